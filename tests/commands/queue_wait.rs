//! The waits of clients for their turns: INFO, LATENCY and SLOWLOG.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use respool::{Arity, Commands, Config};
use respool_testing::{PATIENCE, Peer, Scratch, TestServer, config, eventually, free_port};

/// The command HOLD: each of its handlers runs until the test lets one return.
#[derive(Default)]
struct Hold {
    started: AtomicUsize,
    returning: AtomicUsize,
}

impl Hold {
    fn commands(self: &Arc<Self>) -> Commands {
        let hold = Arc::clone(self);
        let mut commands = Commands::builtin();
        commands.register("HOLD", Arity::AtLeast(1), move |_, _, reply| {
            hold.started.fetch_add(1, SeqCst);
            let is_one = |count: usize| count.checked_sub(1);
            let deadline = Instant::now() + PATIENCE;
            while hold.returning.fetch_update(SeqCst, SeqCst, is_one).is_err() {
                assert!(Instant::now() < deadline, "the test lets it return");
                thread::park_timeout(Duration::from_millis(1));
            }
            reply.simple("HELD")
        });
        commands
    }

    /// Waits until so many handlers have started in all.
    #[track_caller]
    fn wait_for(&self, count: usize) {
        eventually("the handlers run", || self.started.load(SeqCst) == count);
    }

    /// Lets so many handlers return.
    fn release(&self, count: usize) {
        self.returning.fetch_add(count, SeqCst);
    }
}

fn server(config: Config) -> (TestServer, Arc<Hold>) {
    let hold = Arc::new(Hold::default());
    let server = TestServer::with(config, hold.commands());
    (server, hold)
}

/// Sends PING, which the held handler delays for `time`. Returns the shortest and the longest time
/// that it may have waited.
#[track_caller]
fn ping_behind(
    hold: &Hold,
    peer: &mut Peer<impl Read + Write>,
    time: Duration,
) -> (Duration, Duration) {
    let before_sent = Instant::now();
    peer.send("PING\r\n");
    let sent = Instant::now();
    pass(sent, time);
    let least = sent.elapsed();
    hold.release(1);
    peer.expect("+PONG\r\n");
    (least, before_sent.elapsed())
}

/// Waits until so much time has passed.
#[track_caller]
fn pass(start: Instant, time: Duration) {
    eventually("time passes", || start.elapsed() >= time);
}

#[track_caller]
fn longest(peer: &mut Peer<impl Read + Write>) -> Duration {
    let us = peer.info("clients", "queue_wait_usec", "max=");
    Duration::from_micros(us.expect("INFO has it"))
}

/// Asserts that a wait was measured as within these bounds. Of connections, the kernel counts in
/// ticks.
#[track_caller]
fn assert_within(wait: Duration, least: Duration, most: Duration) {
    assert!(
        wait + TICK >= least && wait <= most + TICK,
        "{wait:?}, expected {least:?} to {most:?}"
    );
}

const TICK: Duration = Duration::from_millis(20);

const LONG: Duration = Duration::from_millis(300);

#[test]
fn wait_begins_when_the_request_arrives() {
    let (server, hold) = server(config(1));
    let (mut holder, mut peer) = (server.connect(), server.connect());
    holder.ping();
    peer.ping();
    for (before, after, number) in [(Duration::ZERO, LONG, 1), (LONG, LONG / 3, 2)] {
        assert_eq!(peer.answer("CONFIG RESETSTAT"), "OK");
        assert!(longest(&mut peer) < LONG / 3, "the longest wait is reset");
        holder.send("HOLD\r\n");
        hold.wait_for(number);
        pass(Instant::now(), before);
        let (least, most) = ping_behind(&hold, &mut peer, after);
        holder.expect("+HELD\r\n");
        assert_within(longest(&mut peer), least, most);
    }
}

#[test]
fn every_client_behind_held_workers_has_waited() {
    let (server, hold) = server(config(2));
    let mut holders = [(); 2].map(|()| server.connect());
    let mut peers = [(); 20].map(|()| server.connect());
    for peer in holders.iter_mut().chain(&mut peers) {
        peer.ping();
    }
    for (holder, count) in holders.iter_mut().zip(1..) {
        holder.send("HOLD\r\n");
        hold.wait_for(count);
    }
    for peer in &mut peers {
        peer.send("PING\r\n");
    }
    // New clients wait in the queue.
    let mut new = [(); 20].map(|()| server.connect());
    for peer in &mut new {
        peer.send("PING\r\n");
    }
    pass(Instant::now(), LONG);
    hold.release(2);
    for peer in peers.iter_mut().chain(&mut new) {
        peer.expect("+PONG\r\n");
    }
    let points = peers[0].answers("LATENCY HISTOGRAM queue-wait");
    assert_eq!(points[..2], ["queue-wait", "calls"]);
    let points: Vec<u64> = points[4..]
        .iter()
        .map(|n| n.parse().expect("a number"))
        .collect();
    let all = points.last().expect("a point");
    // Up to 270,336 microseconds: a power of two below the wait.
    let below = points.chunks(2).rev().find(|point| point[0] <= 270_336);
    let long = all - below.map_or(0, |point| point[1]);
    assert!(long >= 40, "{long} of {points:?}");
}

#[test]
fn wait_over_a_unix_socket_is_measured() {
    let folder = Scratch::for_sockets();
    let path = folder.path().join("s");
    let (server, hold) = server(Config {
        unixsocket: Some(path.clone()),
        port: free_port(),
        ..config(1)
    });
    let (mut holder, mut peer) = (server.connect(), Peer::connect_to_file(&path));
    holder.ping();
    peer.ping();
    holder.send("HOLD\r\n");
    hold.wait_for(1);
    let (least, most) = ping_behind(&hold, &mut peer, LONG);
    assert_within(longest(&mut peer), least, most);
}

#[test]
fn wait_of_a_client_that_leaves_begins_with_its_fin() {
    let (server, hold) = server(config(1));
    let (mut holder, mut peer, mut leaver) = (server.connect(), server.connect(), server.connect());
    holder.ping();
    assert_eq!(peer.answer("CONFIG RESETSTAT"), "OK");
    // In the same tick of the kernel as the poll before the handler.
    leaver.ping();
    holder.send("HOLD\r\n");
    hold.wait_for(1);
    pass(Instant::now(), 2 * LONG);
    let before = Instant::now();
    leaver.end_sending();
    let sent = Instant::now();
    pass(sent, LONG / 3);
    let least = sent.elapsed();
    hold.release(1);
    leaver.expect_end();
    assert_within(longest(&mut peer), least, before.elapsed());
}

#[test]
fn client_whose_budget_is_spent_waits_too() {
    let (server, hold) = server(config(1));
    let (mut spender, mut holder) = (server.connect(), server.connect());
    let mut peer = server.connect();
    for peer in [&mut spender, &mut holder, &mut peer] {
        peer.ping();
    }
    // Its first handler uses up its budget, and the other client is served before its second.
    spender.send("HOLD\r\nPING\r\n");
    hold.wait_for(1);
    holder.send("HOLD\r\n");
    hold.release(1);
    hold.wait_for(2);
    let begun = Instant::now();
    pass(begun, LONG);
    let least = begun.elapsed();
    hold.release(1);
    spender.expect("+HELD\r\n+PONG\r\n");
    holder.expect("+HELD\r\n");
    assert_within(longest(&mut peer), least, PATIENCE);
}

#[test]
fn idle_server_has_no_waits() {
    let (server, _) = server(config(1));
    let mut peer = server.connect();
    peer.ping();
    assert_eq!(peer.answer("CONFIG RESETSTAT"), "OK");
    for _ in 0..1000 {
        peer.ping();
    }
    let waits = peer.count("queue_waits");
    assert!((1000..1100).contains(&waits), "{waits}");
    let p50 = peer.info("clients", "queue_wait_usec", "p50=");
    assert!(p50 < Some(1000), "{p50:?}");
}

/// Returns the number in the remark of an entry of SLOWLOG.
fn waited_ms(word: &str) -> Option<u64> {
    let rest = word.strip_prefix("... (waited ")?;
    let ms = rest.strip_suffix(" ms in the queue)")?;
    Some(ms.parse().expect(word))
}

#[test]
fn slowlog_and_latency_show_a_wait() {
    let (server, hold) = server(config(1));
    let (mut holder, mut peer) = (server.connect(), server.connect());
    holder.ping();
    let set = "CONFIG SET latency-monitor-threshold 100 slowlog-log-slower-than 100000";
    assert_eq!(peer.answer(set), "OK");
    holder.send("HOLD\r\n");
    hold.wait_for(1);
    let before_sent = Instant::now();
    peer.send("HOLD \"two words\"\r\n");
    pass(Instant::now(), LONG);
    hold.release(1);
    hold.wait_for(2);
    let most = before_sent.elapsed();
    pass(Instant::now(), LONG);
    hold.release(1);
    peer.expect("+HELD\r\n");
    holder.expect("+HELD\r\n");

    let entries = peer.answers("SLOWLOG GET 2");
    assert_eq!(entries[3..5], ["HOLD", "two words"]);
    let ms = waited_ms(&entries[5]);
    let ms = ms.unwrap_or_else(|| panic!("{entries:?}"));
    assert_within(Duration::from_millis(ms), LONG, most);
    // The first one hardly waited, even on a busy machine.
    let others = entries[6..].iter().filter_map(|word| waited_ms(word));
    assert!(others.max() < Some(100), "{entries:?}");

    let latest = peer.answers("LATENCY LATEST");
    let at = latest.iter().position(|name| name == "queue-wait");
    let at = at.unwrap_or_else(|| panic!("{latest:?}"));
    assert_eq!(latest[at + 3], ms.to_string());
    let history = peer.answers("LATENCY HISTORY queue-wait");
    assert_eq!(history, latest[at + 1..at + 3]);
    assert_eq!(peer.answer("LATENCY RESET queue-wait"), "1");
    assert_eq!(peer.answer("CONFIG SET latency-tracking no"), "OK");
    peer.ask("LATENCY HISTOGRAM queue-wait\r\n", "*0\r\n");
}
