//! How a server drains: which requests are answered, which clients are closed, and how long it
//! takes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use respool::{Arity, Commands, Config, Server};
use respool_testing::{PATIENCE, Peer, TestServer, commands_with_gate, config, eventually};
use socket2::SockRef;

/// The default of `drain-timeout-ms` is 1 s; the rest is for a busy machine.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn drain_closes_idle_clients_and_stops_accepting() {
    let server = TestServer::start(2);
    let addr = server.addr;
    let mut quiet: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for peer in &mut quiet[..50] {
        peer.ping();
    }
    let start = Instant::now();
    assert_eq!(server.drain().aborted, 0);
    assert!(start.elapsed() < DRAIN_PATIENCE);
    quiet.iter_mut().for_each(Peer::expect_end);
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn drain_answers_every_complete_request() {
    for workers in [1, 2] {
        for pipelined in [1, 100, 20_000] {
            let patient = Config {
                drain_timeout_ms: 30_000,
                ..config(workers)
            };
            let server = TestServer::with(patient, Commands::builtin());
            let mut peers: Vec<_> = (0..10).map(|_| server.connect()).collect();
            for peer in &mut peers {
                peer.send("PING\r\n".repeat(pipelined) + "*1\r\n$4\r\nPI");
            }
            server.handle.drain();
            for peer in &mut peers {
                let replies = peer.rest();
                assert_eq!(replies.len(), 7 * pipelined, "{pipelined} requests");
                assert!(replies.chunks(7).all(|reply| reply == b"+PONG\r\n"));
            }
            drop(peers);
            assert_eq!(server.drain().aborted, 0);
        }
    }
}

#[test]
fn drain_answers_clients_in_the_backlog() {
    rlimit::increase_nofile_limit(8192).expect("the limit on open files can be raised");
    let patient = Config {
        drain_timeout_ms: 30_000,
        tcp_backlog: 4096,
        ..config(2)
    };
    let server = Server::bind(patient, Commands::builtin()).expect("the server starts");
    let addr = server.local_addrs()[0];
    assert_backlog_is_answered(server, addr, 1500);
}

/// Asserts that a drain answers everybody who waits in the backlog at `addr`, and closes them.
fn assert_backlog_is_answered(server: Server, addr: SocketAddr, count: usize) {
    let handle = server.handle();
    // The server does not accept before it serves, so all of them wait.
    let mut peers: Vec<_> = (0..count).map(|_| Peer::connect(addr)).collect();
    for peer in &mut peers {
        peer.send("PING\r\n");
    }
    handle.drain();
    let serving = thread::spawn(move || server.serve().expect("the server serves"));
    for peer in &mut peers {
        peer.expect("+PONG\r\n");
        peer.expect_end();
    }
    drop(peers);
    let drained = serving.join().expect("the thread does not panic");
    assert_eq!(drained.aborted, 0);
}

/// The passes over the sockets ended at the first error of any of them.
#[test]
fn drain_empties_backlogs_beside_a_broken_socket() {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let (broken, other) = (bind(), bind());
    let own = broken.try_clone().expect("there are descriptors");
    let server = Server::from_listeners([broken, other], config(1), Commands::builtin());
    let server = server.expect("the server starts");
    // As another process that shares the socket may do.
    SockRef::from(&own)
        .shutdown(Shutdown::Both)
        .expect("it listens");
    let addr = server.local_addrs()[1];
    assert_backlog_is_answered(server, addr, 20);
}

#[test]
fn drain_aborts_clients_that_never_read_and_counts_them() {
    let config = Config {
        pending_output_per_client: 0,
        ..config(1)
    };
    let server = TestServer::with(config, Commands::builtin());
    let (mut deaf, mut other) = (server.connect(), server.connect());
    deaf.send_until_stuck("PING\r\n".repeat(10_000).as_bytes(), &mut other);
    let start = Instant::now();
    assert_eq!(server.drain().aborted, 1);
    assert!(start.elapsed() < DRAIN_PATIENCE);
}

#[test]
fn drain_does_not_wait_for_a_stuck_handler() {
    let (started, starts) = channel();
    let mut commands = Commands::builtin();
    let started = parking_lot::Mutex::new(started);
    commands.register("HANG", Arity::Exactly(1), move |_, _, reply| {
        started.lock().send(()).expect("the test waits for it");
        thread::park_timeout(PATIENCE);
        reply.simple("LATE")
    });
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    peer.send("HANG\r\n");
    starts.recv_timeout(PATIENCE).expect("the handler starts");
    let start = Instant::now();
    assert_eq!(server.drain().aborted, 1);
    assert!(start.elapsed() < DRAIN_PATIENCE);
}

#[test]
fn client_is_closed_if_its_handler_outlives_the_drain() {
    let (started, starts) = channel();
    let (open, opens) = channel::<()>();
    let ends = parking_lot::Mutex::new((started, opens));
    let mut commands = Commands::builtin();
    commands.register("LATE", Arity::Exactly(1), move |_, _, reply| {
        let ends = ends.lock();
        ends.0.send(()).expect("the test waits for it");
        ends.1
            .recv_timeout(PATIENCE)
            .expect("the test lets it go on");
        reply.simple("LATE")
    });
    let hasty = Config {
        drain_timeout_ms: 100,
        ..config(1)
    };
    let server = TestServer::with(hasty, commands);
    let handle = server.handle.clone();
    let mut peer = server.connect();
    peer.send("LATE\r\n");
    starts.recv_timeout(PATIENCE).expect("the handler starts");
    assert_eq!(server.drain().aborted, 1);
    open.send(()).expect("the handler waits");
    eventually("the worker has ended", || handle.workers() == 0);
    eventually("the connection is closed", || {
        peer.socket.write_all(b"PING\r\n").is_err()
    });
}

#[test]
fn drain_ends_a_client_that_never_pauses() {
    let server = TestServer::start(2);
    let peer = server.connect();
    let (mut writer, mut reader) = (
        peer.socket.try_clone().expect("a descriptor is left"),
        peer.socket,
    );
    let writing =
        thread::spawn(move || while writer.write_all(&b"PING\r\n".repeat(4096)).is_ok() {});
    let mut start = vec![0; 7 * 4096];
    reader.read_exact(&mut start).expect("it is served");
    let reading = thread::spawn(move || {
        let mut replies = Vec::new();
        // RST after the last reply is fine: the peer goes on sending.
        let _ = reader.read_to_end(&mut replies);
        replies
    });
    server.drain();
    let replies = reading.join().expect("the thread does not panic");
    writing.join().expect("the thread does not panic");
    assert_eq!(replies.len() % 7, 0, "the last reply is whole");
    assert!(replies.chunks(7).all(|reply| reply == b"+PONG\r\n"));
}

#[test]
fn drain_timeout_leaves_no_connection_open() {
    let server = TestServer::with(
        Config {
            drain_timeout_ms: 100,
            pending_output_per_client: 0,
            ..config(1)
        },
        Commands::builtin(),
    );
    // The handle keeps the shared state alive.
    let handle = server.handle.clone();
    let (mut deaf, mut other) = (server.connect(), server.connect());
    deaf.send_until_stuck("PING\r\n".repeat(10_000).as_bytes(), &mut other);
    assert_eq!(server.drain().aborted, 1);
    // Replies that the kernel has taken, then FIN or RST.
    let mut replies = Vec::new();
    if let Err(error) = deaf.socket.read_to_end(&mut replies) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    eventually("the workers have ended", || handle.workers() == 0);
}

#[test]
fn shutdown_answers_only_earlier_requests() {
    let server = TestServer::start(2);
    let mut peer = server.connect();
    peer.ask("SHUTDOWN SAVE NOSAVE\r\n", "-ERR syntax error\r\n");
    peer.ask("SHUTDOWN NOW ABORT\r\n", "-ERR syntax error\r\n");
    peer.ask("SHUTDOWN later\r\n", "-ERR syntax error\r\n");
    peer.ask("SHUTDOWN ABORT\r\n", "-ERR No shutdown in progress.\r\n");
    peer.send("PING\r\nSHUTDOWN nosave now\r\nPING\r\n");
    peer.expect("+PONG\r\n");
    peer.expect_end();
    assert_eq!(server.wait().aborted, 0);
}

/// A drain closed an idle client at once. The next bytes from the client were answered with RST,
/// which discarded replies that the kernel had not delivered.
#[test]
fn drain_delivers_a_reply_while_the_client_keeps_sending() {
    // One worker parks a client before it serves the next, and closes them in that order.
    let patient = Config {
        drain_timeout_ms: 30_000,
        ..config(1)
    };
    let server = TestServer::with(patient, Commands::builtin());
    let mut slow = Peer::connect_with_small_buffer(server.addr);
    let message = "x".repeat(500_000);
    let bulk = format!("${}\r\n{message}\r\n", message.len());
    slow.send(format!("*2\r\n$4\r\nECHO\r\n{bulk}"));
    // The kernel has the whole reply, but can deliver only the start of it.
    slow.socket.peek(&mut [0]).expect("the reply has started");
    let mut second = server.connect();
    second.ping();

    let draining = thread::spawn(move || server.drain());
    second.expect_end();
    slow.send("PING\r\n");

    let mut received = Vec::new();
    let end = slow.socket.read_to_end(&mut received);
    let Some(rest) = received.strip_prefix(bulk.as_bytes()) else {
        panic!("{} bytes of {}, then {end:?}", received.len(), bulk.len());
    };
    // The late PING may or may not be answered, but never in part.
    assert!(rest.is_empty() || rest == b"+PONG\r\n", "{rest:?}");
    drop((slow, second));
    assert_eq!(
        draining.join().expect("the thread does not panic").aborted,
        0
    );
}

/// The acceptor waited 10 ms for each peer that it refused while no worker was free, and the drain
/// waited for the acceptor.
#[test]
fn drain_does_not_wait_for_refused_peers() {
    const REFUSED: usize = 700;
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(
        Config {
            maxclients: 1,
            drain_timeout_ms: 200,
            tcp_backlog: 1_000,
            ..config(1)
        },
        commands,
    );
    let _busy = gate.busy_client(server.addr);
    let peers: Vec<Peer> = (0..REFUSED).map(|_| server.connect()).collect();
    let start = Instant::now();
    // The handler is still running.
    assert_eq!(server.drain().aborted, 1);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    gate.let_one_through();
    drop(peers);
}

#[test]
fn drain_answers_the_first_request_of_a_new_client() {
    let patient = Config {
        drain_timeout_ms: 60_000,
        ..config(2)
    };
    let server = TestServer::with(patient, Commands::builtin());
    let (mut new, mut silent, mut old) = (server.connect(), server.connect(), server.connect());
    old.ping();
    eventually("all are accepted", || server.handle.stats().clients == 3);
    server.handle.drain();
    // It has had a request, so the drain does not wait for another one.
    old.expect_end();
    new.send("PING\r\n");
    new.expect("+PONG\r\n");
    new.expect_end();
    let start = Instant::now();
    silent.expect_end();
    assert!(start.elapsed() < DRAIN_PATIENCE);
    drop((new, silent, old));
    assert_eq!(server.wait().aborted, 0);
}

/// Returns a configuration with this `drain-delay-ms`.
fn delayed(delay_ms: u32) -> Config {
    Config {
        drain_delay_ms: delay_ms,
        ..config(2)
    }
}

#[test]
fn server_serves_on_until_the_drain_delay_is_over() {
    let server = TestServer::with(delayed(500), Commands::builtin());
    let mut idle = server.connect();
    idle.ping();
    let start = Instant::now();
    server.handle.drain();
    idle.expect_end();
    assert!(start.elapsed().as_millis() >= 500);
    assert_eq!(server.wait().aborted, 0);
}

#[test]
fn configuration_can_change_in_the_drain_delay() {
    let server = TestServer::with(delayed(3_600_000), Commands::builtin());
    server.handle.drain();
    let mut peer = server.connect();
    peer.send("CONFIG SET timeout 500\r\n");
    peer.expect("+OK\r\n");
    server.handle.drain();
    peer.expect_end();
    server.wait();
}

#[test]
fn second_drain_ends_the_delay() {
    let server = TestServer::with(delayed(3_600_000), Commands::builtin());
    let mut peer = server.connect();
    let left_ms = |peer: &mut Peer| peer.info("server", "shutdown_in_milliseconds", "");
    assert_eq!(left_ms(&mut peer), None);
    server.handle.drain();
    eventually("the delay begins", || left_ms(&mut peer).is_some());
    assert!(left_ms(&mut peer) <= Some(3_601_000));
    let cannot = "-ERR The shutdown in progress cannot be aborted.\r\n";
    peer.ask("SHUTDOWN ABORT\r\n", cannot);
    server.connect().ping();
    let ready = server.handle.health().ready;
    assert_eq!(ready.expect_err("it drains").to_string(), "draining soon");
    server.handle.drain();
    peer.expect_end();
    assert_eq!(server.wait().aborted, 0);
}

#[test]
fn second_shutdown_ends_the_delay() {
    let server = TestServer::with(delayed(3_600_000), Commands::builtin());
    let mut idle = server.connect();
    idle.ping();
    for _ in 0..2 {
        let mut peer = server.connect();
        peer.send("SHUTDOWN\r\n");
        peer.expect_end();
    }
    idle.expect_end();
    assert_eq!(server.wait().aborted, 0);
}

#[test]
fn shutdown_now_has_no_drain_delay() {
    let server = TestServer::with(delayed(3_600_000), Commands::builtin());
    let mut idle = server.connect();
    idle.ping();
    server.connect().send("SHUTDOWN NOW\r\n");
    idle.expect_end();
    assert_eq!(server.wait().aborted, 0);
}
