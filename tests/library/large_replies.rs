//! Replies that are read while they are sent.

use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use respool::config::TlsAuthClients;
use respool::testing::{Answer, Offline};
use respool::{Arity, Commands, Config, ErrorReply, Listener, Replied, Server};
use respool_testing::certificates::Authority;
use respool_testing::tls::TlsClients;
use respool_testing::{Peer, Scratch, TestServer, config, eventually, log};

/// How a reader ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Early,
    Error,
    Panic,
}

/// What all readers have read, and how many were dropped.
#[derive(Default)]
struct Counts {
    read: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A reader of a pattern.
struct Pattern {
    counts: Arc<Counts>,
    at: u64,
    ends_at: u64,
    end: End,
}

impl Read for Pattern {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = room.len().min((self.ends_at - self.at) as usize);
        if count == 0 {
            return match self.end {
                End::Early => Ok(0),
                End::Error => Err(io::Error::other("the disk\nis gone")),
                End::Panic => panic!("as the test wants it"),
            };
        }
        fill(&mut room[..count], self.at);
        self.at += count as u64;
        self.counts.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Drop for Pattern {
    fn drop(&mut self) {
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Fills `bytes` with the pattern from this place on.
fn fill(bytes: &mut [u8], at: u64) {
    const PERIOD: usize = 251;
    let mut start = [0; PERIOD];
    for (byte, number) in start.iter_mut().zip(at..) {
        *byte = (number % PERIOD as u64) as u8;
    }
    for period in bytes.chunks_mut(PERIOD) {
        period.copy_from_slice(&start[..period.len()]);
    }
}

/// Returns the value of this length.
fn value(length: u64) -> Vec<u8> {
    let mut bytes = vec![0; length as usize];
    fill(&mut bytes, 0);
    bytes
}

/// Returns the reply with the value of this length.
fn bulk(length: u64) -> Vec<u8> {
    [format!("${length}\r\n").as_bytes(), &value(length), b"\r\n"].concat()
}

/// Expects the reply with the value of this length, which is too long to be printed.
#[track_caller]
fn expect_bulk<S: Read + io::Write>(peer: &mut Peer<S>, length: u64) {
    let expected = bulk(length);
    let bytes = peer.bytes(expected.len());
    assert!(bytes == expected, "other bytes");
}

/// Returns the built-in commands and: `BULK length`; `BREAK length ends-at end`, whose reader ends
/// too early; `LAST length`, which closes the client; `FAIL`, whose handler returns an error; and
/// `ITEM`, whose reply cannot be read later.
fn commands() -> (Commands, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let own = Arc::clone(&counts);
    let reader = move |ends_at: i64, end| Pattern {
        counts: Arc::clone(&own),
        at: 0,
        ends_at: ends_at as u64,
        end,
    };
    let mut commands = Commands::builtin();
    let new = reader.clone();
    commands.register("BULK", Arity::Exactly(2), move |session, request, reply| {
        let length = request.integer(0)?;
        Ok(session.bulk_from(reply, length as u64, new(length, End::Panic)))
    });
    let new = reader.clone();
    commands.register(
        "BREAK",
        Arity::Exactly(4),
        move |session, request, reply| {
            let (length, ends_at) = (request.integer(0)? as u64, request.integer(1)?);
            let end = match request.text(2)? {
                "early" => End::Early,
                "error" => End::Error,
                "panic" => End::Panic,
                _ => return Err(ErrorReply::SYNTAX),
            };
            Ok(session.bulk_from(reply, length, new(ends_at, end)))
        },
    );
    let new = reader.clone();
    commands.register("LAST", Arity::Exactly(2), move |session, request, reply| {
        let length = request.integer(0)?;
        session.close_after_reply();
        Ok(session.bulk_from(reply, length as u64, new(length, End::Panic)))
    });
    let new = reader.clone();
    commands.register("FAIL", Arity::Exactly(1), move |session, _, reply| {
        let Replied { .. } = session.bulk_from(reply, 10, new(10, End::Panic));
        Err::<Replied, _>(ErrorReply::SYNTAX)
    });
    commands.register("ITEM", Arity::Exactly(1), move |session, _, reply| {
        reply.array(1, |items| {
            items.add(|item| session.bulk_from(item, 10, reader(10, End::Panic)));
        })
    });
    commands.transactions(|session, exec| exec.run(session));
    (commands, counts)
}

fn serve() -> (TestServer, Arc<Counts>) {
    serve_with(config(2))
}

fn serve_with(config: Config) -> (TestServer, Arc<Counts>) {
    let (commands, counts) = commands();
    (TestServer::with(config, commands), counts)
}

/// More than the buffers of both sockets hold.
const MUCH: u64 = 8 << 20;

/// Returns a client that has requested `MUCH` and reads nothing, when the server waits for it.
fn deaf(server: &TestServer, counts: &Counts, control: &mut Peer) -> (Peer, u64) {
    let mut deaf = Peer::connect_with_small_buffer(server.addr);
    let id = deaf.id();
    deaf.send(format!("BULK {MUCH}\r\nPING\r\n"));
    wait_until_blocked(counts, control, id);
    (deaf, id)
}

/// Waits until output is pending and no more of it was read for a while.
fn wait_until_blocked(counts: &Counts, control: &mut Peer, id: u64) {
    let mut last = (0, Instant::now());
    eventually("the reader is not read any more", || {
        if counts.read() != last.0 {
            last = (counts.read(), Instant::now());
        }
        pending_bytes(control, id) > 0 && last.1.elapsed() > Duration::from_millis(200)
    });
}

/// Returns the pending output of a client, as CLIENT LIST shows it.
fn pending_bytes(control: &mut Peer, id: u64) -> usize {
    let line = control.answer(&format!("CLIENT LIST ID {id}"));
    let mut words = line.split(' ');
    let bytes = words.find_map(|word| word.strip_prefix("omem="));
    bytes.map_or(0, |bytes| bytes.parse().expect("a number"))
}

const LENGTHS: [u64; 7] = [0, 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 3 << 20, 5];

#[test]
fn bytes_are_exact_and_replies_keep_their_order() {
    let (server, counts) = serve();
    let mut peer = server.connect();
    let requests = LENGTHS.map(|length| format!("PING\r\nBULK {length}\r\nPING\r\n"));
    peer.send(requests.concat());
    for length in LENGTHS {
        peer.expect("+PONG\r\n");
        expect_bulk(&mut peer, length);
        peer.expect("+PONG\r\n");
    }
    assert_eq!(counts.dropped(), LENGTHS.len() as u64);
    assert_eq!(counts.read(), LENGTHS.iter().sum());
}

#[test]
fn bytes_are_exact_over_tls_and_unix_sockets() {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let (plain, tls) = (listen(), listen());
    let addr = tls.local_addr().expect("it listens");
    let folder = Scratch::for_sockets();
    let path = folder.path().join("socket");
    let unix = UnixListener::bind(&path).expect("a free path");
    let files = Authority::new("the CA").folder();
    let config = Config {
        tls_port: addr.port(),
        tls_cert_file: Some(files.server_certificate()),
        tls_key_file: Some(files.server_key()),
        tls_auth_clients: TlsAuthClients::No,
        ..config(2)
    };
    let listeners = [plain.into(), tls.into(), Listener::from(unix)];
    let server = Server::from_listeners(listeners, config, commands().0);
    let _server = TestServer::serve(server.expect("the server starts"));
    expect_exact_bytes(TlsClients::anonymous(&files).connect(addr));
    expect_exact_bytes(Peer::connect_to_file(&path));
}

#[track_caller]
fn expect_exact_bytes<S: Read + io::Write>(mut peer: Peer<S>) {
    peer.send("BULK 3145728\r\nBULK 70000\r\nPING\r\n");
    for length in [3 << 20, 70_000] {
        expect_bulk(&mut peer, length);
    }
    peer.expect("+PONG\r\n");
}

#[test]
fn reader_waits_for_a_slow_peer() {
    // A limit on pending output that is smaller than the value, and is not exceeded by a chunk.
    let mut small = config(2);
    small.client_output_buffer_limit.normal.hard_bytes = 128 << 10;
    let (server, counts) = serve_with(small);
    let mut control = server.connect();
    let (mut deaf, id) = deaf(&server, &counts, &mut control);
    assert!(pending_bytes(&mut control, id) <= 64 << 10);
    for _ in 0..100 {
        control.ping();
    }
    // What the sockets hold, and one chunk.
    let read = counts.read();
    assert!(read < MUCH - (1 << 20), "{read}");
    expect_bulk(&mut deaf, MUCH);
    deaf.expect("+PONG\r\n");
    assert_eq!(counts.read(), MUCH);
}

#[test]
fn other_clients_have_their_turns() {
    let (server, counts) = serve_with(config(1));
    let mut peer = server.connect();
    peer.send("BULK 10000000000\r\n");
    let mut other = server.connect();
    let mut bytes = vec![0; 1 << 20];
    for _ in 0..20 {
        peer.socket.read_exact(&mut bytes).expect("it is sent");
        other.ping();
    }
    assert!(counts.read() < 10_000_000_000);
}

#[test]
fn messages_wait_for_the_end_of_the_value() {
    let (server, counts) = serve();
    let mut control = server.connect();
    let mut peer = Peer::connect_with_small_buffer(server.addr);
    let id = peer.id();
    peer.speak_resp3();
    peer.ask(
        "SUBSCRIBE c\r\n",
        ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
    );
    peer.send(format!("BULK {MUCH}\r\nPING\r\n"));
    wait_until_blocked(&counts, &mut control, id);
    control.ask("PUBLISH c hello\r\n", ":1\r\n");
    expect_bulk(&mut peer, MUCH);
    let message = ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n";
    let rest = peer.bytes(message.len() + "+PONG\r\n".len());
    let rest = String::from_utf8(rest).expect("text");
    assert!(
        rest == format!("{message}+PONG\r\n") || rest == format!("+PONG\r\n{message}"),
        "{rest}"
    );
}

#[test]
fn broken_reader_closes_the_client() {
    log::collect();
    for (end, field, why) in [
        (
            "early",
            "reply_source",
            "the reader ended 29 bytes too early",
        ),
        ("error", "reply_source", "the disk is gone"),
        ("panic", "handler_panicked", "as the test wants it"),
    ] {
        let (server, counts) = serve();
        let start = Instant::now();
        // The missing bytes are fewer than those of an error.
        for length in [29, 100_029] {
            let mut peer = server.connect();
            let (addr, ends_at) = (peer.local_addr(), length - 29);
            peer.send(format!("BREAK {length} {ends_at} {end}\r\nPING\r\n"));
            let mut expected = bulk(length as u64);
            expected.truncate(expected.len() - 31);
            assert!(peer.rest() == expected, "{end}");
            let client = format!("({addr})");
            let line = log::find(start, |line| {
                line.contains("command break, client ") && line.contains(&client)
            });
            let line = line.expect("a line");
            assert!(line.contains(why), "{line}");
        }
        let mut other = server.connect();
        let field = format!("closed_{field}");
        eventually("both are closed", || other.count(&field) == 2);
        let stats = other.info("commandstats", "cmdstat_break", "failed_calls=");
        assert_eq!(stats, Some(2));
        let stats = other.info("commandstats", "cmdstat_break", "calls=");
        assert_eq!(stats, Some(2));
        assert_eq!(counts.dropped(), 2);
    }
}

#[test]
fn client_that_leaves_has_its_reader_dropped() {
    let (server, counts) = serve();
    let mut control = server.connect();
    let (one, id) = deaf(&server, &counts, &mut control);
    control.ask(format!("CLIENT KILL ID {id}\r\n"), ":1\r\n");
    eventually("it is killed", || counts.dropped() == 1);
    drop(one);
    let (two, _) = deaf(&server, &counts, &mut control);
    two.reset();
    eventually("it has left", || counts.dropped() == 2);
    let (three, _) = deaf(&server, &counts, &mut control);
    drop(three);
    eventually("it has left, too", || counts.dropped() == 3);
}

#[test]
fn half_closed_peer_gets_the_whole_value() {
    let (server, counts) = serve();
    let mut peer = server.connect();
    peer.send(format!("BULK {MUCH}\r\nPING\r\n"));
    peer.end_sending();
    expect_bulk(&mut peer, MUCH);
    peer.expect("+PONG\r\n");
    peer.expect_end();
    assert_eq!(counts.dropped(), 1);
}

#[test]
fn drain_waits_for_the_rest() {
    let (server, counts) = serve();
    let mut control = server.connect();
    let (mut deaf, _) = deaf(&server, &counts, &mut control);
    server.handle.drain();
    control.expect_end();
    expect_bulk(&mut deaf, MUCH);
    deaf.expect("+PONG\r\n");
    deaf.expect_end();
    assert_eq!(server.wait().aborted, 0);
}

#[test]
fn drain_does_not_wait_for_ever() {
    let (server, counts) = serve_with(Config {
        drain_timeout_ms: 200,
        ..config(2)
    });
    let (deaf, _) = deaf(&server, &counts, &mut server.connect());
    assert_eq!(server.drain().aborted, 1);
    assert_eq!(counts.dropped(), 1);
    drop(deaf);
}

#[test]
fn write_timeout_closes_a_peer_that_does_not_read() {
    let (server, counts) = serve_with(Config {
        write_timeout_s: 1,
        ..config(2)
    });
    let mut control = server.connect();
    let (_deaf, _) = deaf(&server, &counts, &mut control);
    eventually("it is closed", || {
        control.count("closed_write_timeout") == 1
    });
    assert_eq!(counts.dropped(), 1);
}

#[test]
fn skipped_reply_is_not_read() {
    let (server, counts) = serve();
    let mut peer = server.connect();
    peer.ask("CLIENT REPLY SKIP\r\nBULK 10\r\nPING\r\n", "+PONG\r\n");
    peer.send("CLIENT REPLY OFF\r\nBULK 10\r\n");
    peer.ask("CLIENT REPLY ON\r\nPING\r\n", "+OK\r\n+PONG\r\n");
    assert_eq!((counts.read(), counts.dropped()), (0, 2));
}

#[test]
fn handler_may_close_the_client_or_fail() {
    let (server, counts) = serve();
    let mut peer = server.connect();
    peer.ask("FAIL\r\nPING\r\n", "-ERR syntax error\r\n+PONG\r\n");
    assert_eq!((counts.read(), counts.dropped()), (0, 1));
    peer.ask("LAST 70000\r\nPING\r\n", bulk(70_000));
    peer.expect_end();
    let mut peer = server.connect();
    peer.ask("ITEM\r\n", "-ERR internal error: see the server's log\r\n");
    peer.expect_end();
}

#[test]
fn values_in_a_transaction_are_parts_of_one_reply() {
    let (server, counts) = serve();
    let mut peer = server.connect();
    peer.send("MULTI\r\nBULK 70000\r\nBREAK 9 5 early\r\nBREAK 9 5 error\r\nPING\r\nEXEC\r\n");
    peer.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n");
    expect_bulk(&mut peer, 70_000);
    let error = "-ERR internal error: see the server's log\r\n";
    peer.expect([error, error, "+PONG\r\n"].concat());
    assert_eq!(counts.dropped(), 3);
}

#[test]
fn value_is_read_whole_offline() -> Result<(), Box<dyn std::error::Error>> {
    let (commands, counts) = commands();
    let server = Offline::new(commands)?;
    let mut client = server.client();
    for length in LENGTHS {
        let answer = client.call(["BULK", &length.to_string()])?;
        assert!(answer == Answer::bulk(value(length)), "{length}");
    }
    assert_eq!(counts.read(), LENGTHS.iter().sum());
    client.send(["BREAK", "10", "3", "early"])?;
    assert_eq!(client.receive_close()?, b"$10\r\n\0\x01\x02");
    Ok(())
}
