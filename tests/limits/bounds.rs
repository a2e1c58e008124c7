//! Every bound on what a peer may take of the server: it holds, and not earlier than it says; whoever
//! meets it is told, where it can be; INFO counts it, and the log says why.
//!
//! Several addresses of one machine stand for several machines, which needs Linux: there all of
//! 127.0.0.0/8 is the loopback.

#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use respool::config::{OutputLimit, OutputLimits};
use respool::{Arity, Commands, Config};
use respool_testing::process::Respool;
use respool_testing::{PATIENCE, Peer, TestServer, commands_with_gate, config, eventually};

/// A server, and a client that asks it what it has counted.
struct Watched {
    server: TestServer,
    control: Peer,
}

impl Watched {
    fn start(config: Config) -> Self {
        Self::with(config, Commands::builtin())
    }

    fn with(config: Config, commands: Commands) -> Self {
        Lines::collect();
        let server = TestServer::with(config, commands);
        let control = server.connect();
        Self { server, control }
    }

    fn connect(&self) -> Peer {
        self.server.connect()
    }

    fn connect_from(&self, last_byte: u8) -> Peer {
        Peer::connect_from([127, 0, 0, last_byte], self.server.addr)
    }

    #[track_caller]
    fn set(&mut self, key: &str, value: &str) {
        self.control
            .ask(format!("CONFIG SET {key} \"{value}\"\r\n"), "+OK\r\n");
    }

    /// Waits until INFO says so. Asking often keeps the control from being idle.
    #[track_caller]
    fn counts(&mut self, field: &str, count: u64) {
        eventually(&format!("{field} is {count}"), || {
            self.control.count(field) == count
        });
    }

    /// As [`Self::counts`] for a field `closed_*`, and the log says of the peer why.
    #[track_caller]
    fn closes(&mut self, peer_addr: SocketAddr, field: &str, count: u64, why: &str) {
        self.counts(&format!("closed_{field}"), count);
        let begins = format!("({peer_addr}) closed after ");
        let told = |line: &String| line.contains(&begins) && line.ends_with(why);
        eventually(&format!("the log says {why:?}"), || {
            Lines::collect().lock().iter().any(told)
        });
    }

    /// Lets so many seconds of the server's clock pass.
    #[track_caller]
    fn pass(&mut self, seconds: u64) {
        let start = Instant::now();
        eventually("the clock moves on", || {
            self.control.ping();
            start.elapsed() > Duration::from_secs(seconds)
        });
    }

    /// Waits until bytes wait for a client, and the kernel has taken no more of them for a while.
    /// Gives how many.
    #[track_caller]
    fn bytes_that_wait(&mut self) -> u64 {
        const FIELD: &str = "client_recent_max_output_buffer";
        let mut last = (0, Instant::now());
        eventually("something waits, and stays", || {
            let bytes = self.control.count(FIELD);
            if bytes != last.0 {
                last = (bytes, Instant::now());
            }
            bytes > 0 && last.1.elapsed() > Duration::from_millis(1500)
        });
        last.0
    }
}

/// What this process has logged: all of its servers.
struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Lines {
    fn collect() -> &'static Mutex<Vec<String>> {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            log::set_logger(&LINES).expect("it is the only one");
            log::set_max_level(log::LevelFilter::Debug);
        });
        &LINES.0
    }
}

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("respool")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn local_addr(peer: &Peer) -> SocketAddr {
    peer.socket.local_addr().expect("a connected socket")
}

#[track_caller]
fn ping_all(peers: &mut [Peer]) {
    for peer in peers {
        peer.ping();
    }
}

fn echo(message: &str) -> (String, String) {
    let bulk = format!("${}\r\n{message}\r\n", message.len());
    (format!("*2\r\n$4\r\nECHO\r\n{bulk}"), bulk)
}

// Who is let in.

const TOO_MANY: &str = "-ERR max number of clients reached\r\n";
const TOO_MANY_FROM_ADDRESS: &str = "-ERR max number of clients from this address reached\r\n";

#[test]
fn maxclients_is_reached_and_not_passed() {
    let mut watched = Watched::start(Config {
        maxclients: 3,
        ..config(2)
    });
    let (mut second, mut third) = (watched.connect(), watched.connect());
    second.ping();
    third.ping();
    let mut fourth = watched.connect();
    fourth.expect(TOO_MANY);
    fourth.expect_end();
    let addr = local_addr(&fourth);
    drop(fourth);
    watched.closes(addr, "refused_maxclients", 1, "`maxclients` was reached");
    watched.counts("rejected_connections", 1);
    watched.counts("connected_clients", 3);
    second.ping();
    third.ping();
}

#[test]
fn an_address_may_have_so_many_clients_and_another_address_as_many() {
    let mut watched = Watched::start(Config {
        maxclients_per_address: 2,
        ..config(2)
    });
    let mut let_in: Vec<Peer> = [2, 2, 3, 3, 4, 1]
        .iter()
        .map(|&address| watched.connect_from(address))
        .collect();
    ping_all(&mut let_in);
    for (count, address) in (1..).zip([2, 3, 1]) {
        let mut refused = watched.connect_from(address);
        refused.expect(TOO_MANY_FROM_ADDRESS);
        refused.expect_end();
        let addr = local_addr(&refused);
        let why = "`maxclients-per-address` was reached";
        drop(refused);
        watched.closes(addr, "refused_maxclients_per_address", count, why);
        watched.counts("rejected_connections", count);
    }
    watched.connect_from(4).ping();
    ping_all(&mut let_in);

    // Who leaves makes room for one more from there, and for nobody else.
    drop(let_in.remove(0));
    eventually("there is room again", || {
        let mut peer = watched.connect_from(2);
        peer.send("PING\r\n");
        peer.end_sending();
        peer.rest() == b"+PONG\r\n"
    });
    watched.connect_from(3).expect(TOO_MANY_FROM_ADDRESS);
}

/// Connections that fit into the pool wait for a worker; the others get the error at once.
#[test]
fn refusal_reaches_its_peer_while_every_worker_is_busy() {
    let (commands, gate) = commands_with_gate();
    let few = Config {
        maxclients: 1,
        ..config(1)
    };
    let server = TestServer::with(few, commands);
    let mut busy = server.connect();
    busy.send("GATE\r\n");
    gate.wait_for_start();
    let mut peers: Vec<Peer> = (0..100)
        .map(|_| {
            let mut peer = server.connect();
            peer.send("PING\r\n");
            peer
        })
        .collect();
    let (first, rest) = peers.split_at_mut(16);
    for peer in rest {
        peer.expect(TOO_MANY);
        peer.expect_end();
    }
    gate.let_one_through();
    for peer in first {
        peer.expect(TOO_MANY);
        peer.expect_end();
    }
}

/// Connects and leaves at once, again and again, until `stop` is set.
fn leave_at_once(addr: SocketAddr, kind: usize, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let mut peer = Peer::connect_from([127, 0, 0, 2], addr);
        match kind {
            0 => drop(peer),
            1 => peer.reset(),
            2 => peer.send("PING\r\n"),
            _ => peer.end_sending(),
        }
    }
}

/// How many of 300 clients are served that come one after the other, while others come and leave at
/// once.
fn served_in_a_storm(config: Config) -> usize {
    let server = TestServer::with(config, Commands::builtin());
    let stop = AtomicBool::new(false);
    let mut count = 0;
    thread::scope(|scope| {
        for kind in 0..4 {
            let stop = &stop;
            scope.spawn(move || leave_at_once(server.addr, kind, stop));
        }
        for _ in 0..300 {
            let mut peer = Peer::connect_from([127, 0, 0, 2], server.addr);
            // A refusal may come as a reset.
            let _ = peer.socket.write_all(b"PING\r\n");
            let mut reply = [0; 7];
            let _ = peer.socket.read(&mut reply);
            count += usize::from(reply == *b"+PONG\r\n");
        }
        stop.store(true, Ordering::Relaxed);
    });
    count
}

/// Connections that their peers had closed already used to fill the limits until a worker came to
/// them, and clients that stayed were refused. On a machine that is busy otherwise some may be.
#[test]
fn connections_that_leave_at_once_do_not_fill_the_limits() {
    let few = Config {
        maxclients: 5,
        ..config(2)
    };
    let few_per_address = Config {
        maxclients_per_address: 5,
        ..config(2)
    };
    for config in [few, few_per_address] {
        let served = served_in_a_storm(config);
        assert!(served >= 295, "{served} of 300");
    }
}

#[test]
fn maxclients_per_address_changes_while_the_server_runs() {
    let mut watched = Watched::start(config(2));
    let mut let_in: Vec<Peer> = (0..3).map(|_| watched.connect_from(2)).collect();
    ping_all(&mut let_in);
    // There are more than may be, and they stay.
    watched.set("maxclients-per-address", "2");
    watched.connect_from(2).expect(TOO_MANY_FROM_ADDRESS);
    ping_all(&mut let_in);
    watched.set("maxclients-per-address", "4");
    let mut fourth = watched.connect_from(2);
    fourth.ping();
    watched.connect_from(2).expect(TOO_MANY_FROM_ADDRESS);
    watched.set("maxclients-per-address", "0");
    watched.connect_from(2).ping();
}

/// Sockets of IPv6 are bound to it alone, so that an IPv4 address never comes as an IPv6 one; and the
/// two loopbacks are two addresses.
#[test]
fn the_addresses_of_ipv4_and_of_ipv6_are_counted_apart() {
    let mut config = Config {
        maxclients_per_address: 2,
        ..config(1)
    };
    config.bind = Config::default().bind;
    let mut watched = Watched::start(config);
    let v6 = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), watched.server.addr.port());
    if TcpStream::connect(v6).is_err() {
        return skip("this machine has no IPv6");
    }
    watched.counts("closed_peer_left", 1);
    let (mut first, mut second) = (Peer::connect(v6), Peer::connect(v6));
    first.ping();
    second.ping();
    Peer::connect(v6).expect(TOO_MANY_FROM_ADDRESS);
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    let mapped = SocketAddr::new(mapped.into(), watched.server.addr.port());
    let mut fourth = Peer::connect(mapped);
    fourth.ping();
    Peer::connect(mapped).expect(TOO_MANY_FROM_ADDRESS);
}

/// An address of this machine that is not the loopback, if it has one. No packet is sent to find it.
fn address_of_an_interface() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Of the addresses that are for documentation only.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

#[test]
fn protected_mode_lets_nobody_in_from_outside_until_there_is_a_password() {
    let Some(address) = address_of_an_interface() else {
        return skip("this machine has no address but the loopback's");
    };
    let mut everywhere = config(2);
    everywhere.bind[0].address = Ipv4Addr::UNSPECIFIED.into();
    let server = TestServer::with(everywhere, Commands::builtin());
    let loopback = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), server.addr.port());
    let outside = SocketAddr::new(address, server.addr.port());
    Lines::collect();
    let control = Peer::connect(loopback);
    let mut watched = Watched { server, control };

    let mut stranger = Peer::connect(outside);
    stranger.send("PING\r\n".repeat(100));
    let line = stranger.line();
    assert!(
        line.starts_with("-DENIED Redis is running in protected mode"),
        "{line}"
    );
    stranger.end_sending();
    stranger.expect_end();
    let (addr, why) = (
        local_addr(&stranger),
        "it is on another machine, and `protected-mode` is on",
    );
    watched.closes(addr, "refused_protected_mode", 1, why);
    watched.counts("rejected_connections", 1);

    watched.set("protected-mode", "no");
    let mut stranger = Peer::connect(outside);
    stranger.ping();
    watched.set("protected-mode", "yes");
    // Who is in stays, as in Redis.
    stranger.ping();
    assert!(Peer::connect(outside).line().starts_with("-DENIED "));
    watched.set("requirepass", "secret");
    let mut stranger = Peer::connect(outside);
    stranger.ask("PING\r\n", "-NOAUTH Authentication required.\r\n");
    stranger.ask("AUTH secret\r\n", "+OK\r\n");
    stranger.ping();
}

// What may be sent.

/// What the parser keeps of a word beside its bytes.
const WORD_BYTES: usize = 8;

#[test]
fn a_request_may_take_so_many_bytes_and_not_one_more() {
    const LIMIT: usize = 1 << 20;
    let mut watched = Watched::start(Config {
        client_query_buffer_limit: LIMIT,
        ..config(2)
    });
    let around = echo("12345").0.len() - 5 + "0000000".len() - "5".len();
    let longest = "x".repeat(LIMIT - 2 * WORD_BYTES - around);
    let (request, reply) = echo(&longest);
    assert_eq!(request.len() + 2 * WORD_BYTES, LIMIT);
    let mut peer = watched.connect();
    for _ in 0..3 {
        peer.ask(&request, &reply);
    }
    // In pieces, and several at once: the limit is for one request.
    for piece in request.as_bytes().chunks(100_000) {
        peer.send(piece);
    }
    peer.expect(&reply);
    peer.ask(request.repeat(5), reply.repeat(5));

    for cut in [0, 1] {
        let mut request = echo(&format!("{longest}x")).0;
        // One that is not whole is judged by what has come of it.
        request.truncate(request.len() - cut);
        request.push_str(if cut == 0 { "" } else { "\n" });
        let mut peer = watched.connect();
        peer.send(&request);
        peer.expect("-ERR Protocol error: too big request\r\n");
        peer.end_sending();
        peer.expect_end();
        let (addr, count) = (local_addr(&peer), cut as u64 + 1);
        let why = "protocol error: too big request";
        watched.closes(addr, "query_buffer_limit", count, why);
        watched.counts("client_query_buffer_limit_disconnections", count);
    }
    peer.ping();
}

#[test]
fn many_short_words_count_for_what_they_make_the_server_hold() {
    const LIMIT: usize = 1 << 20;
    let mut watched = Watched::start(Config {
        client_query_buffer_limit: LIMIT,
        ..config(2)
    });
    // `$0\r\n\r\n` are 6 bytes, and 14 with what is kept of the word.
    let request = |words: usize| {
        let empty = "$0\r\n\r\n".repeat(words - 1);
        format!("*{words}\r\n$4\r\nPING\r\n{empty}")
    };
    // Their number has five digits and not one.
    let held = |words: usize| request(1).len() + 4 + 6 * (words - 1) + words * WORD_BYTES;
    let most = (1..LIMIT).take_while(|&words| held(words) <= LIMIT);
    let most = most.last().expect("there is room for one");
    assert_eq!(request(most).len() + most * WORD_BYTES, held(most));
    let mut peer = watched.connect();
    let arity = "-ERR wrong number of arguments for 'ping' command\r\n";
    peer.ask(request(most), arity);
    peer.ask(
        request(most + 1),
        "-ERR Protocol error: too big request\r\n",
    );
    watched.counts("closed_query_buffer_limit", 1);
}

// How much may wait for who does not read.

fn normal(hard: u64, soft: u64, seconds: u32) -> String {
    format!("normal {hard} {soft} {seconds}")
}

fn pubsub(hard: u64, soft: u64, seconds: u32) -> String {
    format!("pubsub {hard} {soft} {seconds}")
}

const OUTPUT: &str = "client-output-buffer-limit";

/// A client for whom replies wait that it does not read, and how many bytes.
fn deaf(watched: &mut Watched) -> (Peer, u64) {
    let mut deaf = Peer::connect_with_small_buffer(watched.server.addr);
    deaf.send(echo(&"x".repeat(8 << 20)).0);
    let bytes = watched.bytes_that_wait();
    (deaf, bytes)
}

const NOT_READ: &str = "it did not read its replies (`client-output-buffer-limit`)";

#[test]
fn client_beyond_its_hard_limit_is_closed() {
    let mut watched = Watched::start(config(2));
    let (deaf, bytes) = deaf(&mut watched);
    watched.set(OUTPUT, &normal(bytes, 0, 0));
    watched.pass(3);
    watched.counts("connected_clients", 2);
    // The kernel may take a little more when the server tries again.
    watched.set(OUTPUT, &normal(bytes / 2, 0, 0));
    watched.closes(local_addr(&deaf), "output_limit", 1, NOT_READ);
    watched.counts("client_output_buffer_limit_disconnections", 1);
    watched.counts("connected_clients", 1);
}

#[test]
fn client_beyond_its_soft_limit_is_closed_after_some_seconds() {
    let mut watched = Watched::start(config(2));
    let (deaf, bytes) = deaf(&mut watched);
    watched.set(OUTPUT, &normal(0, bytes, 1));
    watched.pass(3);
    watched.set(OUTPUT, &normal(0, bytes / 2, 1000));
    watched.pass(3);
    watched.counts("connected_clients", 2);
    watched.set(OUTPUT, &normal(0, bytes / 2, 1));
    watched.closes(local_addr(&deaf), "output_limit", 1, NOT_READ);
    watched.counts("client_output_buffer_limit_disconnections", 1);
}

/// The replies to a pipeline wait each time, and are read each time.
#[test]
fn client_that_catches_up_again_and_again_stays() {
    let mut watched = Watched::start(config(2));
    watched.set(OUTPUT, &normal(0, 1, 2));
    let (request, reply) = echo(&"x".repeat(1 << 20));
    let mut peer = Peer::connect_with_small_buffer(watched.server.addr);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(6) {
        peer.send(request.repeat(4));
        eventually("replies wait", || {
            watched.control.count("client_recent_max_output_buffer") > 0
        });
        peer.expect(reply.repeat(4));
    }
    watched.counts("closed_output_limit", 0);
}

#[test]
fn monitor_that_does_not_read_its_replies_is_closed() {
    let mut watched = Watched::start(config(2));
    let mut deaf = Peer::connect_with_small_buffer(watched.server.addr);
    deaf.ask("MONITOR\r\n", "+OK\r\n");
    watched.set(OUTPUT, &pubsub(1 << 20, 0, 0));
    deaf.send(echo(&"x".repeat(8 << 20)).0);
    watched.closes(local_addr(&deaf), "slow_subscriber", 1, NOT_HEARD);
}

#[test]
fn resp3_subscriber_that_does_not_read_its_replies_is_closed() {
    let mut watched = Watched::start(config(2));
    watched.set(OUTPUT, &pubsub(1 << 20, 0, 0));
    let mut deaf = Peer::connect_with_small_buffer(watched.server.addr);
    deaf.send("HELLO 3\r\nSUBSCRIBE b\r\n");
    deaf.send(echo(&"x".repeat(8 << 20)).0);
    watched.closes(local_addr(&deaf), "slow_subscriber", 1, NOT_HEARD);
}

/// A subscriber that does not read, and how many bytes wait for it.
fn deaf_subscriber(watched: &mut Watched) -> (Peer, u64) {
    let mut deaf = Peer::connect_with_small_buffer(watched.server.addr);
    deaf.send("SUBSCRIBE b\r\n");
    deaf.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:1\r\n");
    publish(watched, 8 << 20);
    let bytes = watched.bytes_that_wait();
    (deaf, bytes)
}

fn publish(watched: &mut Watched, bytes: usize) {
    let publication = format!("*3\r\n$7\r\nPUBLISH\r\n{}", channel_and_message(bytes));
    watched.control.ask(publication, ":1\r\n");
}

/// What a message of so many bytes makes for a subscriber.
fn message_bytes(bytes: usize) -> u64 {
    ("*3\r\n$7\r\nmessage\r\n".len() + channel_and_message(bytes).len()) as u64
}

fn channel_and_message(bytes: usize) -> String {
    format!("$1\r\nb\r\n${bytes}\r\n{}\r\n", "x".repeat(bytes))
}

const NOT_HEARD: &str = "it did not read its messages";

#[test]
fn so_many_bytes_of_messages_may_wait_and_not_one_more() {
    let mut watched = Watched::start(config(2));
    watched.set(OUTPUT, &pubsub(0, 0, 0));
    let (deaf, bytes) = deaf_subscriber(&mut watched);
    let message = message_bytes(100);
    watched.set(OUTPUT, &pubsub(bytes + 2 * message, 0, 0));
    publish(&mut watched, 100);
    publish(&mut watched, 100);
    watched.pass(2);
    let bytes = watched.bytes_that_wait();
    watched.set(OUTPUT, &pubsub(bytes + message, 0, 0));
    publish(&mut watched, 100);
    watched.counts("pubsub_clients", 1);
    // If the kernel has taken some after all, one of the next is too many.
    eventually("one message is too many", || {
        watched.control.send("PUBLISH b x\r\n");
        watched.control.line() == ":0"
    });
    watched.closes(local_addr(&deaf), "slow_subscriber", 1, NOT_HEARD);
    watched.counts("client_output_buffer_limit_disconnections", 1);
    watched.counts("pubsub_clients", 0);
}

#[test]
fn more_bytes_of_messages_may_wait_for_so_many_seconds() {
    let mut watched = Watched::start(config(2));
    watched.set(OUTPUT, &pubsub(0, 0, 0));
    let (deaf, bytes) = deaf_subscriber(&mut watched);
    watched.set(OUTPUT, &pubsub(0, bytes + 10_000, 1));
    publish(&mut watched, 100);
    watched.pass(3);
    publish(&mut watched, 100);
    watched.counts("pubsub_clients", 1);
    publish(&mut watched, 4 << 20);
    eventually("the time for more is over", || {
        watched.control.send("PUBLISH b x\r\n");
        watched.control.line() == ":0"
    });
    watched.closes(local_addr(&deaf), "slow_subscriber", 1, NOT_HEARD);
    watched.counts("client_output_buffer_limit_disconnections", 1);
}

/// The seconds began anew with each lot of messages that was handed to the socket, even if that lot
/// alone was more than may wait. Who was always behind by less than two of them stayed for ever.
#[test]
fn who_never_catches_up_with_its_messages_uses_up_its_seconds() {
    let mut watched = Watched::start(config(2));
    let (mut behind, _) = deaf_subscriber(&mut watched);
    let addr = local_addr(&behind);
    watched.set(OUTPUT, &pubsub(64 << 20, 1000, 2));
    let lot = message_bytes(8 << 20);
    let (mut bytes, mut heard) = (vec![0; 64 * 1024], 0);
    let mut read_up_to = |wanted: u64| {
        while heard < wanted {
            match behind.socket.read(&mut bytes) {
                Ok(0) | Err(_) => return false,
                Ok(count) => heard += count as u64,
            }
        }
        true
    };
    // One more lot waits before the one in front of it is read.
    let mut lots = 1;
    eventually("its time is over", || {
        let publication = format!("*3\r\n$7\r\nPUBLISH\r\n{}", channel_and_message(8 << 20));
        watched.control.send(publication);
        let gone = watched.control.line() == ":0";
        let gone = gone || !read_up_to(lots * lot);
        lots += 1;
        gone
    });
    watched.closes(addr, "slow_subscriber", 1, NOT_HEARD);
}

/// Without a limit on what waits for who waits for replies, a subscriber has its own all the same.
#[test]
fn a_client_that_only_waits_for_replies_has_no_limit_of_subscribers() {
    let limits = OutputLimits {
        pubsub: OutputLimit {
            hard_bytes: 1,
            soft_bytes: 1,
            soft_s: 0,
        },
        ..OutputLimits::default()
    };
    let mut watched = Watched::start(Config {
        client_output_buffer_limit: limits,
        ..config(2)
    });
    let (mut deaf, _) = deaf(&mut watched);
    watched.pass(2);
    deaf.expect(echo(&"x".repeat(8 << 20)).1);
    deaf.ping();
}

// How much may wait for all.

/// A client that has sent the beginning of a request.
fn holding(watched: &mut Watched, bytes: usize) -> Peer {
    let mut peer = watched.connect();
    peer.ping();
    let request = echo(&"x".repeat(1 << 20)).0;
    peer.send(&request.as_bytes()[..bytes]);
    eventually("it is held", || {
        let list = watched.control.answer("CLIENT LIST");
        let port = local_addr(&peer).port();
        let begins = format!(" addr=127.0.0.1:{port} ");
        let held = format!(" qbuf={bytes} ");
        list.lines()
            .any(|line| line.contains(&begins) && line.contains(&held))
    });
    peer
}

/// Bytes of memory that are held for all clients together: what CLIENT LIST says of each, beyond what
/// the control takes, for which nothing is held.
fn held_for_all(watched: &mut Watched) -> u64 {
    let own = memory_of(&watched.control.answer("CLIENT INFO"))[0];
    let all = memory_of(&watched.control.answer("CLIENT LIST"));
    all.iter().map(|bytes| bytes - own).sum()
}

/// The `tot-mem` of each line of CLIENT LIST.
fn memory_of(list: &str) -> Vec<u64> {
    let field = |line: &str| {
        line.split(' ')
            .find_map(|word| word.strip_prefix("tot-mem=")?.parse().ok())
    };
    list.lines().map(|line| field(line).expect(line)).collect()
}

const EVICTED: &str = "`maxmemory-clients` was reached";

#[test]
fn the_largest_goes_when_all_together_hold_too_much_but_not_who_said_no_evict() {
    let mut watched = Watched::start(config(2));
    let small = holding(&mut watched, 200_000);
    let large = holding(&mut watched, 300_000);
    let mut spared = watched.connect();
    spared.ask("CLIENT NO-EVICT ON\r\n", "+OK\r\n");
    let (request, reply) = echo(&"x".repeat(1 << 20));
    let (front, rest) = request.split_at(400_000);
    spared.send(front);
    eventually("all hold what they sent", || {
        watched.control.count("client_recent_max_input_buffer") == 400_000
    });

    let held = held_for_all(&mut watched);
    assert!((900_000..2_000_000).contains(&held), "{held}");
    watched.set("maxmemory-clients", &held.to_string());
    watched.pass(3);
    watched.counts("evicted_clients", 0);
    watched.set("maxmemory-clients", &(held - 1).to_string());
    watched.closes(local_addr(&large), "evicted", 1, EVICTED);
    watched.pass(2);
    watched.counts("evicted_clients", 1);
    watched.set("maxmemory-clients", "400000");
    watched.closes(local_addr(&small), "evicted", 2, EVICTED);
    watched.set("maxmemory-clients", "1");
    watched.pass(2);
    watched.counts("evicted_clients", 2);
    spared.ask(rest, reply);
    watched.counts("connected_clients", 2);
}

#[test]
fn who_does_not_read_is_evicted_for_what_waits_for_it() {
    let mut watched = Watched::start(config(2));
    let holding = holding(&mut watched, 1000);
    let (deaf, _) = deaf(&mut watched);
    let held = held_for_all(&mut watched);
    watched.set("maxmemory-clients", &held.to_string());
    watched.pass(3);
    watched.counts("evicted_clients", 0);
    watched.bytes_that_wait();
    let held = held_for_all(&mut watched);
    watched.set("maxmemory-clients", &(held - 1).to_string());
    watched.closes(local_addr(&deaf), "evicted", 1, EVICTED);
    watched.counts("connected_clients", 2);
    drop(holding);
}

/// A client's `tot-mem` beyond that of another for which nothing is held.
#[track_caller]
fn memory_grows(watched: &mut Watched, peer: &mut Peer, bytes: std::ops::Range<u64>) {
    let idle = memory_of(&watched.control.answer("CLIENT INFO"))[0];
    let id = peer.id();
    let own = memory_of(&watched.control.answer(&format!("CLIENT LIST ID {id}")))[0];
    assert!(bytes.contains(&(own - idle)), "{own} and {idle}");
}

#[test]
fn memory_kept_for_a_client_shows_in_its_tot_mem() {
    let mut watched = Watched::start(config(2));
    let mut named = watched.connect();
    named.ask(
        format!("CLIENT SETNAME {}\r\n", "n".repeat(1000)),
        "+OK\r\n",
    );
    memory_grows(&mut watched, &mut named, 1000..1200);
    let mut library = watched.connect();
    let set = format!("CLIENT SETINFO LIB-NAME {}\r\n", "n".repeat(1000));
    library.ask(set, "+OK\r\n");
    memory_grows(&mut watched, &mut library, 1000..1200);
    let mut tracking = watched.connect();
    let prefix = "p".repeat(1000);
    tracking.ask(
        format!("CLIENT TRACKING ON BCAST PREFIX {prefix}\r\n"),
        "+OK\r\n",
    );
    memory_grows(&mut watched, &mut tracking, 1000..1300);
    tracking.ask("CLIENT TRACKING OFF\r\n", "+OK\r\n");
    memory_grows(&mut watched, &mut tracking, 0..200);
    let mut subscriber = watched.connect();
    subscriber.speak_resp3();
    for kind in ["SUBSCRIBE", "PSUBSCRIBE"] {
        let name = "c".repeat(200);
        subscriber.answers(&format!("{kind} {name}"));
    }
    memory_grows(&mut watched, &mut subscriber, 500..1500);
    subscriber.answers("UNSUBSCRIBE");
    subscriber.answers("PUNSUBSCRIBE");
    memory_grows(&mut watched, &mut subscriber, 0..1);
}

#[test]
fn subscriptions_count_for_maxmemory_clients() {
    const CHANNELS: usize = 10_000;
    let mut watched = Watched::start(config(2));
    let mut subscriber = watched.connect();
    let names: Vec<_> = (0..CHANNELS).map(|number| number.to_string()).collect();
    let mut words = vec![&b"SUBSCRIBE"[..]];
    words.extend(names.iter().map(String::as_bytes));
    subscriber.send(respool_testing::request(&words));
    for _ in 0..CHANNELS {
        subscriber.leaves();
    }
    let held = held_for_all(&mut watched);
    assert!(held as usize > CHANNELS * 100, "{held}");
    watched.set("maxmemory-clients", &(held - 1).to_string());
    watched.closes(local_addr(&subscriber), "evicted", 1, EVICTED);
    watched.counts("pubsub_channels", 0);
    watched.counts("connected_clients", 1);
}

#[test]
fn table_of_arguments_counts_before_the_request_is_whole() {
    const WORDS: usize = 100_000;
    let mut watched = Watched::start(config(2));
    let mut peer = watched.connect();
    let words = "$0\r\n\r\n".repeat(WORDS);
    peer.send(format!("*{}\r\n$4\r\nPING\r\n{words}", WORDS + 2));
    eventually("the table is shown", || {
        let list = watched.control.answer("CLIENT LIST");
        let tables = list
            .split(' ')
            .filter_map(|word| word.strip_prefix("argv-mem="));
        tables
            .filter_map(|bytes| bytes.parse().ok())
            .any(|bytes: usize| bytes >= WORDS * WORD_BYTES)
    });
    let held = held_for_all(&mut watched) as usize;
    assert!(held >= WORDS * (WORD_BYTES + "$0\r\n\r\n".len()), "{held}");
    watched.set("maxmemory-clients", &(held - 1).to_string());
    watched.closes(local_addr(&peer), "evicted", 1, EVICTED);
}

// How long something may take.

#[test]
fn a_silent_client_is_told_when_its_first_byte_does_not_come() {
    let mut watched = Watched::start(Config {
        first_byte_timeout_s: 1,
        ..config(2)
    });
    let (mut silent, mut talks) = (watched.connect(), watched.connect());
    talks.ping();
    // One byte is a byte, and so is an empty line.
    let (mut begins, mut empty) = (watched.connect(), watched.connect());
    begins.send("P");
    empty.send("\r\n");
    let why = "it sent nothing within `first-byte-timeout`";
    let begun = Instant::now();
    watched.closes_after_words(&mut silent, "first_byte_timeout", why);
    assert!(begun.elapsed() > Duration::from_millis(900));
    silent.expect("-ERR no request came in time\r\n");
    silent.expect_end();
    watched.pass(3);
    begins.ask("ING\r\n", "+PONG\r\n");
    empty.ping();
    talks.ping();
    watched.counts("closed_first_byte_timeout", 1);
}

impl Watched {
    /// As [`Self::closes`] for the first of its reason, and the peer ends when it has seen our end.
    #[track_caller]
    fn closes_after_words(&mut self, peer: &mut Peer, field: &str, why: &str) {
        eventually("it is told", || {
            self.control.ping();
            let mut byte = [0];
            let waited = Some(Duration::from_millis(10));
            peer.socket.set_read_timeout(waited).expect("a socket");
            peer.socket.peek(&mut byte).is_ok()
        });
        peer.socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket");
        peer.end_sending();
        self.closes(local_addr(peer), field, 1, why);
    }
}

const REST_TOO_LATE: &str = "-ERR the rest of the request did not come in time\r\n";
const NOT_WHOLE: &str = "a request was incomplete after `request-timeout`";

#[test]
fn a_request_that_does_not_become_whole_is_told_so() {
    let mut watched = Watched::start(Config {
        request_timeout_s: 1,
        ..config(2)
    });
    let (mut half, mut idle) = (watched.connect(), watched.connect());
    idle.ping();
    half.send("PING\r\n*1\r\n$4\r\nPI");
    half.expect("+PONG\r\n");
    watched.closes_after_words(&mut half, "request_timeout", NOT_WHOLE);
    half.expect(REST_TOO_LATE);
    half.expect_end();
    // Who has not begun one has all the time.
    watched.pass(2);
    idle.ping();
}

#[test]
fn request_that_comes_too_slowly_is_told_so() {
    let mut watched = Watched::start(Config {
        request_timeout_s: 3,
        timeout_s: 3600,
        ..config(2)
    });
    let mut slow = watched.connect();
    slow.send("PI");
    let mut told = [0];
    // Less than a byte a second, and never nothing for three seconds.
    let wait = Some(Duration::from_secs(2));
    slow.socket.set_read_timeout(wait).expect("a TCP socket");
    eventually("it is told that it takes too long", || {
        let _ = slow.socket.write(b"x");
        slow.socket.peek(&mut told).is_ok()
    });
    slow.socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket");
    slow.expect(REST_TOO_LATE);
    slow.end_sending();
    slow.expect_end();
    watched.closes(local_addr(&slow), "request_timeout", 1, NOT_WHOLE);
}

#[test]
fn request_of_two_bytes_a_second_is_answered() {
    let mut watched = Watched::start(Config {
        request_timeout_s: 1,
        ..config(2)
    });
    let mut slow = watched.connect();
    for piece in b"PING abcd\r\n".chunks(1) {
        slow.send(piece);
        let sent = Instant::now();
        while sent.elapsed() < Duration::from_millis(500) {
            watched.control.ping();
        }
    }
    slow.expect("$4\r\nabcd\r\n");
}

#[test]
fn whole_requests_one_after_the_other_may_come_slowly_for_ever() {
    let mut watched = Watched::start(Config {
        request_timeout_s: 2,
        ..config(2)
    });
    let mut slow = watched.connect();
    slow.send("PI");
    // Never without a request that has begun, and none of them takes long.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        slow.ask("NG\r\nPI", "+PONG\r\n");
        watched.control.ping();
    }
    slow.ask("NG\r\n", "+PONG\r\n");
    watched.counts("closed_request_timeout", 0);
}

#[test]
fn while_clients_are_paused_the_time_for_a_request_stands_still() {
    let mut watched = Watched::start(Config {
        request_timeout_s: 1,
        ..config(2)
    });
    let mut paused = watched.connect();
    paused.ping();
    watched.control.ask("CLIENT PAUSE 4000\r\n", "+OK\r\n");
    paused.send("PING\r\nPI");
    watched.pass(3);
    watched.counts("blocked_clients", 1);
    watched.counts("closed_request_timeout", 0);
    paused.expect("+PONG\r\n");
    paused.ask("NG\r\n", "+PONG\r\n");
}

/// The time was counted from when the server stopped reading because the client did not take its
/// replies. Who began to read again could be closed before it had a chance to send the rest.
#[test]
fn while_the_server_does_not_read_the_time_for_a_request_stands_still() {
    let mut watched = Watched::start(Config {
        request_timeout_s: 4,
        pending_output_per_client: 0,
        ..config(2)
    });
    let (request, reply) = echo(&"x".repeat(50_000));
    let mut blocked = watched.connect();
    blocked.send("PI");
    // The last of them leaves more than the reserve pending, and the beginning of a request.
    let mut count = 0;
    eventually("it is write-blocked", || {
        blocked.send(format!("NG\r\n{request}PI"));
        count += 1;
        eventually("it was served", || {
            let served = watched
                .control
                .info("commandstats", "cmdstat_echo", "calls=");
            served == Some(count)
        });
        watched.control.count("client_recent_max_output_buffer") > 64 * 1024
    });
    watched.pass(6);
    for _ in 0..count {
        blocked.expect("+PONG\r\n");
        blocked.expect(&reply);
    }
    watched.pass(1);
    blocked.ask("NG\r\n", "+PONG\r\n");
    watched.counts("closed_request_timeout", 0);
}

#[test]
fn write_blocked_client_without_progress_is_closed() {
    let config = Config {
        write_timeout_s: 1,
        pending_output_per_client: 0,
        request_timeout_s: 1,
        ..config(2)
    };
    let why = "it was write-blocked and read none of its pending output within `write-timeout`";
    only_a_client_without_progress_is_closed(config, "write_timeout", why);
}

#[test]
fn pending_output_without_progress_closes_a_client() {
    let config = Config {
        write_timeout_s: 3600,
        pending_output_timeout_s: 1,
        request_timeout_s: 1,
        ..config(2)
    };
    let why = "it read none of its pending output within `pending-output-timeout`";
    only_a_client_without_progress_is_closed(config, "pending_output_timeout", why);
}

#[track_caller]
fn only_a_client_without_progress_is_closed(config: Config, field: &str, why: &str) {
    let mut watched = Watched::start(config);
    let (request, reply) = echo(&"x".repeat(4 << 20));
    let mut slow = Peer::connect_with_small_buffer(watched.server.addr);
    let mut deaf = Peer::connect_with_small_buffer(watched.server.addr);
    let mut idle = watched.connect();
    idle.ping();
    deaf.send(&request);
    slow.send(&request);
    // So much at a time that each makes room for the server, and so slowly that it takes a while.
    let start = Instant::now();
    for piece in reply.as_bytes().chunks(100_000) {
        slow.expect(piece);
        let pause = start.elapsed() + Duration::from_millis(100);
        while start.elapsed() < pause {
            watched.control.ping();
        }
    }
    slow.ping();
    idle.ping();
    watched.closes(local_addr(&deaf), field, 1, why);
    let mut heard = Vec::new();
    let _ = deaf.socket.read_to_end(&mut heard);
    assert!(!heard.is_empty() && reply.as_bytes().starts_with(&heard));
    assert!(heard.len() < reply.len());
}

#[test]
fn an_idle_client_is_closed_after_timeout_but_neither_a_subscriber_nor_a_paused_one() {
    let mut watched = Watched::start(Config {
        timeout_s: 1,
        ..config(2)
    });
    let mut idle = watched.connect();
    idle.ping();
    let mut subscriber = watched.connect();
    subscriber.send("SUBSCRIBE b\r\n");
    subscriber.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:1\r\n");
    let addr = local_addr(&idle);
    let idler = thread::spawn(move || {
        idle.expect_end();
    });
    let why = "it was idle for longer than `timeout`";
    watched.closes(addr, "timeout", 1, why);
    idler.join().expect("it reads the end and nothing else");
    let mut paused = watched.connect();
    paused.ping();
    watched.control.ask("CLIENT PAUSE 4000\r\n", "+OK\r\n");
    paused.send("PING\r\n");
    watched.pass(3);
    paused.expect("+PONG\r\n");
    watched.counts("closed_timeout", 1);
    watched.control.send("PUBLISH b x\r\n");
    subscriber.expect("*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$1\r\nx\r\n");
}

// The other reasons.

#[test]
fn each_way_to_leave_is_counted_as_what_it_is() {
    let mut commands = Commands::builtin();
    commands.register("PANIC", Arity::Exactly(1), |_, _, _| panic!("on purpose"));
    let mut watched = Watched::with(config(2), commands);
    let closed = |watched: &mut Watched, peer: Peer, field, why| {
        let addr = local_addr(&peer);
        drop(peer);
        watched.closes(addr, field, 1, why);
    };

    let mut peer = watched.connect();
    peer.ping();
    closed(
        &mut watched,
        peer,
        "peer_left",
        "the peer closed the connection",
    );

    let mut peer = watched.connect();
    peer.ping();
    let addr = local_addr(&peer);
    peer.reset();
    let why = "Connection reset by peer (os error 104)";
    watched.closes(addr, "connection_failed", 1, why);

    let mut peer = watched.connect();
    peer.ask("QUIT\r\n", "+OK\r\n");
    peer.expect_end();
    closed(&mut watched, peer, "quit", "it asked to be closed");

    let mut peer = watched.connect();
    peer.ask(
        "PING \"\r\n",
        "-ERR Protocol error: unbalanced quotes in request\r\n",
    );
    let why = "protocol error: unbalanced quotes in request";
    closed(&mut watched, peer, "protocol_error", why);

    let mut peer = watched.connect();
    peer.send("POST / HTTP/1.1\r\nHost: here\r\n\r\n");
    let _ = peer.socket.read(&mut [0; 100]);
    closed(&mut watched, peer, "http", "it sent an HTTP request");

    let mut peer = watched.connect();
    peer.ask("\x16\x03\x01\x02\0", "\x15\x03\x01\0\x02\x02\x28");
    peer.expect_end();
    closed(&mut watched, peer, "tls", "it sent a TLS handshake");

    let mut peer = watched.connect();
    peer.ask(
        "PANIC\r\n",
        "-ERR internal error; the server's log tells\r\n",
    );
    let why = "a handler panicked";
    closed(&mut watched, peer, "handler_panicked", why);

    let mut peer = watched.connect();
    let id = peer.id();
    let kill = format!("CLIENT KILL ID {id}\r\n");
    watched.control.ask(kill, ":1\r\n");
    peer.expect_end();
    closed(&mut watched, peer, "killed", "CLIENT KILL");

    watched.counts("connected_clients", 1);
    watched.counts("closed_peer_left", 1);
    let Watched { server, control } = watched;
    let addr = local_addr(&control);
    assert_eq!(server.drain().aborted, 0);
    let lines = Lines::collect().lock();
    let told = format!("({addr}) closed after ");
    let line = lines.iter().find(|line| line.contains(&told));
    let line = line.expect("the log tells of the end of each client");
    assert!(line.ends_with("the server drains"), "{line}");
}

/// The farewell of who does not end behind it is not its own reason: why it was closed is what came
/// first.
#[test]
fn who_stays_behind_its_farewell_is_counted_once() {
    let mut watched = Watched::start(config(2));
    let mut stubborn = watched.connect();
    stubborn.ask("QUIT\r\n", "+OK\r\n");
    stubborn.expect_end();
    let why = "it asked to be closed";
    watched.closes(local_addr(&stubborn), "quit", 1, why);
}

// What the operator sees.

fn respool(args: &[&str]) -> Respool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_respool"));
    command.args(["--workers", "2"]).args(args);
    Respool::run(&mut command, PATIENCE)
}

#[test]
fn a_worker_that_is_busy_for_over_a_second_is_named_once_with_its_client_and_command() {
    let server = respool(&["--enable-debug-command", "local"]);
    let mut peer = server.connect();
    let id = peer.id();
    peer.ask("DEBUG SLEEP 0\r\n", "+OK\r\n");
    // Long enough that three looks of the clock see it.
    peer.ask("DEBUG SLEEP 4\r\n", "+OK\r\n");
    let addr = local_addr(&peer);
    let log = server.stop();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("busy with one client"))
        .filter(|line| line.contains(&format!("client {id} ({addr}), command debug")))
        .collect();
    let [line] = lines[..] else {
        panic!("not one line but {}: {log}", lines.len());
    };
    assert!(line.contains(" [warning] worker-"), "{line}");
}

#[test]
fn the_exit_code_and_the_last_line_say_whether_everybody_had_what_it_was_owed() {
    for (reads, code, words) in [
        (true, 0, "[notice] stopped: every reply was sent"),
        (
            false,
            3,
            "[warning] stopped: drain-timeout-ms ran out; clients aborted: 1",
        ),
    ] {
        let server = respool(&["--drain-timeout-ms", if reads { "30000" } else { "300" }]);
        let mut peer = Peer::connect_with_small_buffer(server.addr);
        let (request, reply) = echo(&"x".repeat(8 << 20));
        peer.send(request);
        let mut control = server.connect();
        eventually("replies wait", || {
            control.count("client_recent_max_output_buffer") > 0
        });
        drop(control);
        server.signal("TERM");
        if reads {
            peer.expect(reply);
            peer.expect_end();
            drop(peer);
        } else {
            eventually("the server is gone", || {
                TcpStream::connect(server.addr).is_err()
            });
        }
        let ended = server.ended(PATIENCE);
        assert_eq!(ended.status.code(), Some(code), "{}", ended.stdout);
        let last = ended.stdout.lines().last().unwrap_or_default();
        assert!(last.ends_with(words), "{last}");
    }
}
