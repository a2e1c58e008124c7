//! A client that sends its bytes in time is not closed because the server is late: while all
//! workers are busy, after the process was stopped, or while the bytes arrive slowly. A byte of TCP
//! urgent data hides none of the bytes around it.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use respool_testing::process::Respool;
use respool_testing::target::program;
use respool_testing::{Peer, eventually};
use socket2::SockRef;

/// Starts the program with these settings. DEBUG SLEEP keeps a worker busy.
fn respool(workers: usize, flags: &[&str]) -> Respool {
    let mut command = Command::new(program());
    command.args(["--workers", &workers.to_string()]);
    command.args(["--enable-debug-command", "yes", "--loglevel", "debug"]);
    Respool::run_beside_others(command.args(flags))
}

/// Seconds for which workers are busy or the process is stopped: longer than each timeout here and
/// than the step of the server's clock.
const ABSENT_S: u64 = 6;

/// Clients whose workers sleep.
struct Sleepers {
    start: Instant,
    peers: Vec<Peer>,
}

impl Sleepers {
    /// Each client occupies one worker, because a sleeping worker takes no other client.
    fn start(server: &Respool, workers: usize) -> Self {
        let mut peers: Vec<_> = (0..workers).map(|_| server.connect()).collect();
        let start = Instant::now();
        for peer in &mut peers {
            peer.send(format!("DEBUG SLEEP {ABSENT_S}\r\n"));
        }
        Self { start, peers }
    }

    /// Waits until half a second of the sleep is over.
    fn wait_for_half_a_second(&self) {
        let due = self.start + Duration::from_millis(500);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }

    fn wait_for_the_end(self) {
        for mut peer in self.peers {
            peer.expect("+OK\r\n");
        }
        assert!(
            self.start.elapsed() >= Duration::from_secs(ABSENT_S),
            "no worker slept"
        );
    }
}

fn connected(server: &Respool, count: usize) -> Vec<Peer> {
    let mut peers: Vec<_> = (0..count).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.ping();
    }
    peers
}

/// Sends `begin` and waits until the server has read it.
fn begin_requests(server: &Respool, begin: &str, count: usize) -> Vec<Peer> {
    let mut peers: Vec<_> = (0..count).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.send(begin);
    }
    let mut control = server.connect();
    eventually("the server holds the begun requests", || {
        let list = control.answer("CLIENT LIST");
        let held = format!(" qbuf={} ", begin.len());
        list.lines().filter(|line| line.contains(&held)).count() == count
    });
    peers
}

fn send_to_all(peers: &mut [Peer], bytes: &str) {
    for peer in peers {
        peer.send(bytes);
    }
}

/// Expects that each peer gets its reply and is served afterwards.
#[track_caller]
fn all_are_answered(peers: &mut [Peer], reply: &str) {
    for (number, peer) in peers.iter_mut().enumerate() {
        assert_eq!(peer.rest_or(reply.len()), reply, "client {number}");
    }
    for peer in peers {
        peer.ping();
    }
}

// All workers are busy.

fn ping_during_sleep_is_answered(workers: usize) {
    let server = respool(workers, &["--timeout", "2"]);
    let mut peers = connected(&server, 100);
    let sleepers = Sleepers::start(&server, workers);
    sleepers.wait_for_half_a_second();
    send_to_all(&mut peers, "PING\r\n");
    sleepers.wait_for_the_end();
    all_are_answered(&mut peers, "+PONG\r\n");
}

#[test]
fn pings_sent_to_the_only_busy_worker_are_answered() {
    ping_during_sleep_is_answered(1);
}

#[test]
fn pings_sent_to_busy_workers_are_answered() {
    ping_during_sleep_is_answered(4);
}

#[test]
fn first_bytes_sent_to_busy_workers_are_answered() {
    let server = respool(2, &["--first-byte-timeout", "2"]);
    let mut peers: Vec<_> = (0..50).map(|_| server.connect()).collect();
    let mut control = server.connect();
    eventually("all are accepted", || {
        control.count("connected_clients") == 51
    });
    let sleepers = Sleepers::start(&server, 2);
    sleepers.wait_for_half_a_second();
    send_to_all(&mut peers, "PING\r\n");
    sleepers.wait_for_the_end();
    all_are_answered(&mut peers, "+PONG\r\n");
}

#[test]
fn rest_of_a_request_sent_to_busy_workers_is_answered() {
    let server = respool(2, &["--request-timeout", "2"]);
    let mut peers = begin_requests(&server, "PING 1", 50);
    let sleepers = Sleepers::start(&server, 2);
    sleepers.wait_for_half_a_second();
    send_to_all(&mut peers, "2\r\n");
    sleepers.wait_for_the_end();
    all_are_answered(&mut peers, "$2\r\n12\r\n");
}

/// The peer read its replies in time; the server had no free worker to send the rest.
#[test]
fn pending_output_beside_busy_workers_is_sent() {
    let server = respool(2, &["--pending-output-timeout", "2"]);
    let message = "x".repeat(10 << 20);
    let mut peer = Peer::connect_with_small_buffer(server.addr);
    let mut control = server.connect();
    let length = message.len();
    peer.send(format!("*2\r\n$4\r\nECHO\r\n${length}\r\n{message}\r\n"));
    eventually("the socket is full", || {
        control.answer("CLIENT LIST").contains(" events=w ")
    });
    let sleepers = Sleepers::start(&server, 2);
    sleepers.wait_for_half_a_second();
    let reply = format!("${}\r\n{message}\r\n", message.len());
    thread::scope(|scope| {
        let reading = scope.spawn(|| peer.rest_or(reply.len()));
        sleepers.wait_for_the_end();
        let text = reading.join().expect("the thread does not panic");
        assert!(text == reply, "{} of {} bytes", text.len(), reply.len());
    });
    peer.ping();
}

/// An idle client is still closed. No request is lost before.
#[test]
fn idle_client_is_closed_after_timeout_beside_busy_workers() {
    let server = respool(2, &["--timeout", "1"]);
    let mut idle = connected(&server, 10);
    let sleepers = Sleepers::start(&server, 2);
    sleepers.wait_for_the_end();
    for peer in &mut idle {
        peer.expect_end();
    }
}

// The process was stopped, like a virtual machine that is moved.

fn stop_for(server: &Respool, act: impl FnOnce()) {
    server.signal("STOP");
    act();
    thread::sleep(Duration::from_secs(ABSENT_S));
    server.signal("CONT");
}

#[test]
fn pings_sent_during_a_stop_are_answered() {
    let server = respool(2, &["--timeout", "2"]);
    let mut peers = connected(&server, 100);
    stop_for(&server, || send_to_all(&mut peers, "PING\r\n"));
    all_are_answered(&mut peers, "+PONG\r\n");
}

#[test]
fn rest_of_a_request_sent_during_a_stop_is_answered() {
    let server = respool(2, &["--request-timeout", "2", "--timeout", "2"]);
    let mut peers = begin_requests(&server, "PING 1", 50);
    stop_for(&server, || send_to_all(&mut peers, "2\r\n"));
    all_are_answered(&mut peers, "$2\r\n12\r\n");
}

#[test]
fn connections_made_during_a_stop_are_served() {
    let server = respool(2, &["--first-byte-timeout", "2", "--timeout", "2"]);
    server.connect().ping();
    let mut peers = Vec::new();
    stop_for(&server, || {
        peers.extend((0..50).map(|_| server.connect()));
        send_to_all(&mut peers, "PING\r\n");
    });
    all_are_answered(&mut peers, "+PONG\r\n");
}

// The rest of a request arrives slowly.

/// Sends `request` with a pause after each byte. Stops when the server closes.
fn trickle(peer: &mut Peer, request: &[u8], pause: Duration) {
    use std::io::Write;
    for byte in request {
        if peer.socket.write_all(&[*byte]).is_err() {
            return;
        }
        thread::sleep(pause);
    }
}

/// `request-timeout` counts from the last progress: this request takes three times as long.
#[test]
fn slow_request_is_answered_while_its_bytes_come() {
    let server = respool(2, &["--request-timeout", "3"]);
    let mut peer = server.connect();
    trickle(
        &mut peer,
        b"PING 0123456789\r\n",
        Duration::from_millis(500),
    );
    assert_eq!(peer.rest_or(15), "$10\r\n0123456789");
    peer.expect("\r\n");
    peer.ping();
}

/// As above, in an argument of announced length.
#[test]
fn slow_argument_is_answered_while_its_bytes_come() {
    let server = respool(2, &["--request-timeout", "3"]);
    let mut peer = server.connect();
    peer.send("*2\r\n$4\r\nECHO\r\n$16\r\n");
    trickle(
        &mut peer,
        b"0123456789abcdef\r\n",
        Duration::from_millis(500),
    );
    assert_eq!(peer.rest_or(23), "$16\r\n0123456789abcdef\r\n");
    peer.ping();
}

/// One byte per `request-timeout` is too little progress.
#[test]
fn one_byte_for_each_request_timeout_does_not_keep_a_client() {
    let server = respool(2, &["--request-timeout", "4"]);
    let mut peer = server.connect();
    // Each of these bytes earns a second: the test takes 27 s.
    peer.send("*1\r\n$99\r\n");
    let start = Instant::now();
    let mut control = server.connect();
    while control.count("closed_request_timeout") == 0 {
        trickle(&mut peer, b"x", Duration::from_millis(3800));
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "it is still connected"
        );
    }
}

#[test]
fn request_without_progress_is_closed_after_request_timeout() {
    let server = respool(2, &["--request-timeout", "1"]);
    let mut peer = server.connect();
    peer.send("*2\r\n$4\r\nECHO\r\n$100000\r\nx");
    peer.expect("-ERR the rest of the request did not come in time\r\n");
    peer.expect_end();
}

// TCP urgent data: the byte is not part of the stream, as in redis-server.

#[track_caller]
fn send_urgent(peer: &Peer) {
    let sent = SockRef::from(&peer.socket).send_out_of_band(b"!");
    assert_eq!(sent.expect("a connected socket"), 1);
}

#[test]
fn ping_after_an_urgent_byte_is_answered() {
    let server = respool(2, &[]);
    let mut peer = server.connect();
    for _ in 0..20 {
        peer.send("PING\r\n");
        send_urgent(&peer);
        peer.send("PING\r\n");
        peer.expect("+PONG\r\n+PONG\r\n");
    }
}

#[test]
fn ping_after_an_urgent_byte_to_an_idle_client_is_answered() {
    let server = respool(2, &[]);
    let mut peer = server.connect();
    peer.ping();
    send_urgent(&peer);
    peer.ping();
}

#[test]
fn urgent_byte_inside_a_request_changes_nothing() {
    let server = respool(2, &[]);
    let mut peer = server.connect();
    for _ in 0..20 {
        peer.send("PING 12");
        send_urgent(&peer);
        peer.send("34\r\n");
        peer.expect("$4\r\n1234\r\n");
    }
}

#[test]
fn fin_after_an_urgent_byte_is_noticed() {
    let server = respool(2, &[]);
    let mut peer = server.connect();
    peer.send("PING\r\n");
    send_urgent(&peer);
    peer.end_sending();
    peer.expect("+PONG\r\n");
    peer.expect_end();
}

/// The socket has all of it before the server reads.
#[test]
fn requests_around_an_urgent_byte_are_answered_after_a_stop() {
    let server = respool(1, &[]);
    let mut peer = server.connect();
    peer.ping();
    server.signal("STOP");
    peer.send("PING 1\r\n".repeat(1000));
    send_urgent(&peer);
    peer.send("PING 2\r\n".repeat(1000));
    server.signal("CONT");
    peer.expect("$1\r\n1\r\n".repeat(1000));
    peer.expect("$1\r\n2\r\n".repeat(1000));
    peer.ping();
}
