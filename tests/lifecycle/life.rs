//! Life and death of clients and of the server.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use respool::{Arity, Commands, Config, Server};
use respool_testing::{PATIENCE, Peer, TestServer, config, eventually};

/// The default of `drain-timeout-ms` is 1 s; the rest is for a busy machine.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

const REFUSAL: &str = "-ERR max number of clients reached\r\n";

fn with_maxclients(maxclients: usize) -> TestServer {
    TestServer::with(
        Config {
            maxclients,
            ..config(2)
        },
        Commands::builtin(),
    )
}

#[test]
fn who_comes_over_maxclients_is_told_and_closed() {
    let server = with_maxclients(2);
    let (mut first, mut second) = (server.connect(), server.connect());
    first.ping();
    second.ping();
    for _ in 0..100 {
        let mut third = server.connect();
        third.expect(REFUSAL);
        third.expect_end();
    }
    first.ping();
    drop(second);
    eventually("there is room again", || {
        let mut peer = server.connect();
        peer.send("PING\r\n");
        peer.end_sending();
        peer.rest() == b"+PONG\r\n"
    });
}

#[test]
fn a_refusal_arrives_although_requests_were_sent_before_it() {
    let server = with_maxclients(1);
    let mut first = server.connect();
    first.ping();
    for _ in 0..100 {
        let mut refused = server.connect();
        refused.send("PING\r\n".repeat(1000));
        refused.expect(REFUSAL);
        refused.end_sending();
        refused.expect_end();
    }
}

#[test]
fn maxclients_changes_while_the_server_runs() {
    let server = with_maxclients(2);
    let mut config = Config {
        maxclients: 1,
        ..config(2)
    };
    server
        .handle
        .reconfigure(&config)
        .expect("maxclients may be lowered");
    let mut first = server.connect();
    first.ping();
    server.connect().expect(REFUSAL);
    config.maxclients = 2;
    server
        .handle
        .reconfigure(&config)
        .expect("and raised again");
    server.connect().ping();
    config.maxclients = 3;
    let error = server
        .handle
        .reconfigure(&config)
        .expect_err("there is no place for a third");
    assert_eq!(
        error.to_string(),
        "`maxclients` cannot exceed 2 while the server runs; restart it"
    );
}

#[test]
fn what_is_fixed_at_the_start_is_named() {
    let server = with_maxclients(2);
    let changed = Config {
        port: 1,
        workers: 7,
        ..config(2)
    };
    let error = server
        .handle
        .reconfigure(&changed)
        .expect_err("the port is fixed");
    assert_eq!(
        error.to_string(),
        "`port` cannot change while the server runs; restart it"
    );
    eventually("nothing has changed", || server.handle.workers() == 2);
}

#[test]
fn a_half_closed_peer_still_gets_its_reply() {
    let server = TestServer::start(1);
    for _ in 0..100 {
        let mut peer = server.connect();
        peer.send("PING\r\n");
        peer.end_sending();
        peer.expect("+PONG\r\n");
        peer.expect_end();
    }
}

#[test]
fn a_half_closed_peer_gets_all_that_it_is_owed_however_much() {
    let server = TestServer::start(1);
    let message = vec![b'x'; 100_000];
    let request = [
        b"*2\r\n$4\r\nECHO\r\n$100000\r\n",
        message.as_slice(),
        b"\r\n",
    ]
    .concat();
    let reply = [b"$100000\r\n", message.as_slice(), b"\r\n"].concat();
    let mut peer = server.connect();
    let mut writer = peer.socket.try_clone().expect("a descriptor is left");
    let writing = thread::spawn(move || {
        for _ in 0..300 {
            writer
                .write_all(&request)
                .expect("the server takes the requests");
        }
        writer
            .shutdown(Shutdown::Write)
            .expect("a connected socket");
    });
    // Nothing is read before the server can send no more.
    server.connect().ping();
    for _ in 0..300 {
        peer.expect(&reply);
    }
    peer.expect_end();
    writing.join().expect("everything was sent");
}

#[test]
fn half_a_request_before_the_end_is_no_request() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.send("PING\r\n*1\r\n$4\r\nPI");
    peer.end_sending();
    peer.expect("+PONG\r\n");
    peer.expect_end();
}

#[test]
fn a_protocol_error_arrives_although_megabytes_stand_behind_it() {
    let server = TestServer::start(2);
    for _ in 0..10 {
        let mut peer = server.connect();
        let mut writer = peer.socket.try_clone().expect("a descriptor is left");
        let writing = thread::spawn(move || {
            let _ = writer.write_all(b"*1\r\n!4\r\n");
            for _ in 0..4 {
                let _ = writer.write_all(&vec![b'x'; 1 << 20]);
            }
            let _ = writer.shutdown(Shutdown::Write);
        });
        peer.expect("-ERR Protocol error: expected '$', got '!'\r\n");
        peer.expect_end();
        writing.join().expect("it does not panic");
    }
}

#[test]
fn who_does_not_leave_after_a_farewell_is_closed_all_the_same() {
    let server = with_maxclients(1);
    let mut stubborn = server.connect();
    stubborn.send("QUIT\r\n");
    stubborn.expect("+OK\r\n");
    stubborn.expect_end();
    // It keeps its side open, and may send for a while; then the server closes for good, and what
    // is sent after that is answered by a reset.
    eventually("the connection is reset", || {
        stubborn.socket.write_all(b"PING\r\n").is_err()
    });
}

#[test]
fn resets_and_silent_connections_are_everyday_events() {
    let server = TestServer::start(2);
    for round in 0..300 {
        let mut peer = server.connect();
        match round % 6 {
            0 => {}
            1 => peer.send("PING\r\n"),
            2 => peer.send("*1\r\n$4\r\nPI"),
            3 => _ = peer.ping(),
            4 => peer.send("PING\r\n".repeat(5000)),
            _ => peer.send("QUIT\r\n"),
        }
        if round % 2 == 0 {
            peer.reset();
        } else {
            drop(peer);
        }
    }
    server.connect().ping();
    // Every one of them was closed here too, and had an orderly end.
    let drained = server.drain();
    assert_eq!(drained.aborted, 0);
}

#[test]
fn an_idle_client_is_closed_after_timeout_and_a_busy_one_is_not() {
    let server = TestServer::with(
        Config {
            timeout_s: 3,
            ..config(1)
        },
        Commands::builtin(),
    );
    let (mut idle, mut busy) = (server.connect(), server.connect());
    idle.ping();
    let mut end = [0];
    idle.socket
        .set_read_timeout(Some(Duration::from_millis(10)))
        .expect("a TCP socket");
    eventually("the idle client is closed", || {
        busy.ping();
        idle.socket.read(&mut end).is_ok_and(|count| count == 0)
    });
    busy.ping();
}

#[test]
fn a_drain_closes_quiet_clients_and_accepts_no_more() {
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
fn a_drain_answers_what_was_received_whole() {
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
fn a_drain_answers_everybody_who_had_connected_before_it_began() {
    rlimit::increase_nofile_limit(8192).expect("the limit on open files can be raised");
    let patient = Config {
        drain_timeout_ms: 30_000,
        tcp_backlog: 4096,
        ..config(2)
    };
    // Nobody accepts before the server serves, so all of them wait in the backlog.
    let server = Server::bind(patient, Commands::builtin()).expect("the server starts");
    let (addr, handle) = (server.local_addrs()[0], server.handle());
    let mut peers: Vec<_> = (0..1500).map(|_| Peer::connect(addr)).collect();
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
    assert_eq!(serving.join().expect("it does not panic").aborted, 0);
}

#[test]
fn a_drain_does_not_wait_for_those_who_never_read_and_says_how_many_it_cut() {
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
fn a_drain_does_not_wait_for_a_handler_that_does_not_return() {
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
    starts.recv_timeout(PATIENCE).expect("the handler begins");
    let start = Instant::now();
    assert_eq!(server.drain().aborted, 1);
    assert!(start.elapsed() < DRAIN_PATIENCE);
}

#[test]
fn a_handler_that_returns_behind_the_drain_leaves_its_client_closed() {
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
    starts.recv_timeout(PATIENCE).expect("the handler begins");
    assert_eq!(server.drain().aborted, 1);
    open.send(()).expect("the handler waits");
    eventually("the worker has ended", || handle.workers() == 0);
    eventually("the connection is closed", || {
        peer.socket.write_all(b"PING\r\n").is_err()
    });
}

#[test]
fn a_drain_ends_a_client_that_never_pauses_between_two_replies() {
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
        // A reset behind the last reply is no fault: the peer goes on sending for as long as it
        // can.
        let _ = reader.read_to_end(&mut replies);
        replies
    });
    server.drain();
    let replies = reading.join().expect("it does not panic");
    writing.join().expect("it does not panic");
    assert_eq!(replies.len() % 7, 0, "the last reply is whole");
    assert!(replies.chunks(7).all(|reply| reply == b"+PONG\r\n"));
}

#[test]
fn a_drain_that_runs_out_of_time_leaves_no_connection_open() {
    let server = TestServer::with(
        Config {
            drain_timeout_ms: 100,
            pending_output_per_client: 0,
            ..config(1)
        },
        Commands::builtin(),
    );
    // As long as a program keeps it, what the server shares is there.
    let handle = server.handle.clone();
    let (mut deaf, mut other) = (server.connect(), server.connect());
    deaf.send_until_stuck("PING\r\n".repeat(10_000).as_bytes(), &mut other);
    assert_eq!(server.drain().aborted, 1);
    // Replies that the kernel has taken, and then the end or a reset.
    let mut replies = Vec::new();
    if let Err(error) = deaf.socket.read_to_end(&mut replies) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    eventually("the workers have ended", || handle.workers() == 0);
}

#[test]
fn shutdown_drains_and_answers_only_what_stands_before_it() {
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

#[test]
fn who_drains_is_not_reconfigured() {
    let server = TestServer::start(1);
    let handle = server.handle.clone();
    server.drain();
    let error = handle.reconfigure(&config(2)).expect_err("it has stopped");
    assert_eq!(error.to_string(), "the server drains");
    eventually("the workers have ended", || handle.workers() == 0);
}

#[test]
fn those_who_linger_behind_their_farewell_keep_nobody_out() {
    let server = with_maxclients(1);
    let lingering: Vec<_> = (0..100)
        .map(|_| {
            let mut peer = server.connect();
            peer.ask("QUIT\r\n", "+OK\r\n");
            peer.expect_end();
            peer
        })
        .collect();
    server.connect().ping();
    drop(lingering);
}

#[test]
fn who_reads_in_bursts_gets_every_reply() {
    let server = TestServer::start(1);
    let replies = b"-ERR unknown command 'x', with args beginning with: \r\n".repeat(1000);
    let mut peer = server.connect();
    let mut writer = peer.socket.try_clone().expect("a descriptor is left");
    let writing = thread::spawn(move || {
        for _ in 0..200 {
            writer
                .write_all(&b"x\n".repeat(1000))
                .expect("the server takes the requests");
        }
    });
    for round in 0..200 {
        if round % 8 == 0 {
            // Meanwhile, the server is blocked, and a burst makes room for it.
            thread::park_timeout(Duration::from_millis(2));
        }
        peer.expect(&replies);
    }
    writing.join().expect("everything was sent");
    peer.ping();
}

#[test]
fn the_first_address_chooses_the_port_for_all() {
    let mut config = config(1);
    config.bind = Config::default().bind;
    let server = TestServer::with(config, Commands::builtin());
    server.connect().ping();
    let v6 = (std::net::Ipv6Addr::LOCALHOST, server.addr.port());
    match TcpStream::connect(v6) {
        Ok(_) => Peer::connect(v6.into()).ping(),
        // This machine has no IPv6: the address may be missing.
        Err(_) => Duration::ZERO,
    };
}
