//! State that a program keeps per client, and its hooks for connecting and disconnecting clients.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use parking_lot::Mutex;
use respool::{Arity, Commands, Config, Replied, Server, Session};
use respool_testing::{
    Gate, PATIENCE, Peer, TestServer, builtin_and, commands_with_gate, config, eventually,
};
use socket2::SockRef;

const OK: &str = "+OK\r\n";
const INTERNAL: &str = "-ERR internal error: see the server's log\r\n";

/// The source address of clients that the hook treats differently.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn bind(workers: usize, commands: Commands) -> Server {
    Server::bind(config(workers), commands).expect("the server starts")
}

fn is_from_elsewhere(session: &Session) -> bool {
    session.peer().ip() == Some(IpAddr::from(ELSEWHERE))
}

#[track_caller]
fn next<T>(of: &Receiver<T>) -> T {
    of.recv_timeout(PATIENCE).expect("the hook runs")
}

// State per client.

#[derive(Default)]
struct Count(i64);

/// Reports its drop and the client it belonged to.
struct Kept(u64, Sender<u64>);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.1.send(self.0);
    }
}

/// Returns the built-in commands and: `COUNT`, which counts its calls; `KEEP`, which stores a value
/// that reports its drop; `PANIC`; and a gate.
fn commands_that_keep() -> (Commands, Receiver<u64>, Gate) {
    let (drops, dropped) = channel();
    let (mut commands, gate) = commands_with_gate();
    commands.register("COUNT", Arity::Exactly(1), |session, _, reply| {
        let Count(count) = session.state_mut();
        *count += 1;
        reply.integer(*count)
    });
    commands.register("KEEP", Arity::Exactly(1), move |session, _, reply| {
        let former = session.set_state(Kept(session.id(), drops.clone()));
        reply.boolean(former.is_some())
    });
    commands.register("PANIC", Arity::Exactly(1), |_, _, _| -> Replied {
        panic!("as the test wants it")
    });
    (commands, dropped, gate)
}

#[test]
fn client_state_is_separate_and_ends_with_reset() {
    let (commands, ..) = commands_that_keep();
    let server = TestServer::with(config(2), commands);
    let (mut one, mut two) = (server.connect(), server.connect());
    one.ask("COUNT\r\nCOUNT\r\n", ":1\r\n:2\r\n");
    two.ask("COUNT\r\n", ":1\r\n");
    one.ask("COUNT\r\n", ":3\r\n");
    one.ask("RESET\r\nCOUNT\r\n", "+RESET\r\n:1\r\n");
    two.ask("COUNT\r\n", ":2\r\n");
    // A client that reuses the slot finds no state.
    drop(one);
    for _ in 0..10 {
        server.connect().ask("COUNT\r\nQUIT\r\n", ":1\r\n+OK\r\n");
    }
}

#[test]
fn set_state_returns_the_previous_value_of_its_type() {
    let commands = builtin_and(|commands| {
        commands.register("SWAP", Arity::Exactly(2), |session, request, reply| {
            let Count(former) = match request.integer(0) {
                Ok(number) => session.set_state(Count(number)).unwrap_or(Count(-1)),
                Err(_) => return reply.null(),
            };
            reply.integer(former)
        });
        commands.register("NAME", Arity::Exactly(2), |session, request, reply| {
            let name = request.text(0).unwrap_or_default().to_owned();
            match session.set_state(name) {
                Some(former) => reply.bulk(former),
                None => reply.null(),
            }
        });
        commands.register("BOTH", Arity::Exactly(1), |session, _, reply| {
            let count = session.state().map_or(-1, |&Count(count)| count);
            let name = session.state::<String>();
            reply.bulk(format!("{count} {name:?}"))
        });
    });
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    peer.ask("BOTH\r\n", "$7\r\n-1 None\r\n");
    peer.ask("SWAP 7\r\nSWAP 8\r\n", ":-1\r\n:7\r\n");
    peer.ask("NAME a\r\nNAME b\r\n", "$-1\r\n$1\r\na\r\n");
    peer.ask("BOTH\r\n", "$11\r\n8 Some(\"b\")\r\n");
    peer.ask("SWAP 9\r\n", ":8\r\n");
}

#[test]
fn client_state_is_dropped_once() {
    let (commands, dropped, _gate) = commands_that_keep();
    let server = TestServer::with(config(2), commands);
    let mut other = server.connect();
    let ways: [Leave<'_>; 9] = [
        &|peer, _| peer.ask("QUIT\r\n", OK),
        &|_, _| (),
        &|peer, _| reset_when_dropped(peer),
        &|peer, _| peer.end_sending(),
        &|peer, _| peer.ask("PANIC\r\n", INTERNAL),
        &|peer, _| peer.send("*x\r\n"),
        &|peer, _| peer.send("POST / HTTP/1.1\r\n"),
        &kill,
        &|peer, _| peer.ask("RESET\r\nKEEP\r\nKEEP\r\n", "+RESET\r\n:0\r\n:1\r\n"),
    ];
    let count = ways.len();
    for (index, leave) in ways.into_iter().enumerate() {
        let mut peer = server.connect();
        peer.ask("KEEP\r\n", ":0\r\n");
        let id = peer.id();
        assert!(dropped.try_recv().is_err(), "way {index} of {count}");
        leave(&mut peer, &mut other);
        drop(peer);
        assert_eq!(next(&dropped), id, "way {index} of {count}");
        if index == count - 1 {
            // By RESET, by the second KEEP, and at the disconnect.
            assert_eq!((next(&dropped), next(&dropped)), (id, id));
        }
    }
    other.ping();
    assert!(dropped.try_recv().is_err());
}

#[test]
fn drain_drops_client_state_before_it_ends() {
    let (commands, dropped, gate) = commands_that_keep();
    let server = TestServer::with(patient(2), commands);
    let mut peers: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.ask("KEEP\r\n", ":0\r\n");
    }
    let mut busy = server.connect();
    busy.send("KEEP\r\nGATE\r\n");
    gate.wait_for_start();
    server.handle.drain();
    for peer in &mut peers {
        peer.expect_end();
    }
    gate.let_one_through();
    busy.expect(":0\r\n+OPEN\r\n");
    busy.expect_end();
    drop((peers, busy));
    assert_eq!(server.wait().aborted, 0);
    let mut ids: Vec<_> = dropped.try_iter().collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=21).collect::<Vec<_>>());
}

/// Returns a configuration whose drain may take as long as the test.
fn patient(workers: usize) -> Config {
    Config {
        drain_timeout_ms: 60_000,
        ..config(workers)
    }
}

/// A way for a client to disconnect; the second peer is another client.
type Leave<'a> = &'a dyn Fn(&mut Peer, &mut Peer);

fn kill(peer: &mut Peer, other: &mut Peer) {
    let id = peer.id();
    other.ask(format!("CLIENT KILL ID {id}\r\n"), ":1\r\n");
}

/// Makes the drop of the peer send RST.
fn reset_when_dropped(peer: &mut Peer) {
    SockRef::from(&peer.socket)
        .set_linger(Some(Duration::ZERO))
        .expect("a TCP socket");
}

// Connecting clients.

#[test]
fn client_refused_by_the_hook_gets_the_reason() {
    let (depart, departures) = channel();
    let (run, runs) = channel();
    let commands = builtin_and(|commands| {
        commands.register("RUN", Arity::Exactly(1), move |session, _, reply| {
            let _ = run.send(session.id());
            reply.null()
        });
    });
    let server = bind(1, commands)
        .on_connect(|session| {
            if is_from_elsewhere(session) {
                return Err("DENIED you are from\r\nelsewhere".to_owned());
            }
            Ok(())
        })
        .on_disconnect(move |session, _| {
            let _ = depart.send(session.id());
        });
    let server = TestServer::serve(server);
    let mut good = server.connect();
    good.ask("RUN\r\n", "$-1\r\n");
    for sent in ["", "RUN\r\nPING\r\n"] {
        let mut refused = Peer::connect_from(ELSEWHERE, server.addr);
        refused.send(sent);
        refused.expect("-DENIED you are from  elsewhere\r\n");
        refused.expect_end();
        // The client is not listed although it has not closed its side.
        assert_eq!(good.answer("CLIENT LIST").lines().count(), 1);
        assert_eq!(server.handle.stats().clients, 1);
    }
    eventually("both are closed", || {
        good.count("closed_refused_by_program") == 2
    });
    assert_eq!(good.count("rejected_connections"), 0);
    assert_eq!(good.count("total_connections_received"), 3);
    assert_eq!(runs.try_iter().collect::<Vec<_>>(), [1]);
    assert!(departures.try_recv().is_err());
    drop(good);
    assert_eq!(next(&departures), 1);
}

#[test]
fn connect_hook_runs_once_before_the_first_request() {
    let (arrive, arrivals) = channel();
    let commands = builtin_and(|commands| {
        commands.register("WHENCE", Arity::Exactly(1), |session, _, reply| {
            let peer = session.state::<respool::Peer>();
            reply.bulk(peer.map_or_else(String::new, ToString::to_string))
        });
    });
    let server = bind(2, commands)
        .on_connect(move |session| {
            assert!(session.set_state(session.peer().clone()).is_none());
            let _ = arrive.send(session.id());
            Ok(())
        })
        // The first hook stays.
        .on_connect(|_| Err("ERR no".to_owned()));
    let server = TestServer::serve(server);
    // A silent client runs the hook, too.
    let silent = server.connect();
    assert_eq!(next(&arrivals), 1);
    let mut peer = Peer::connect_from(ELSEWHERE, server.addr);
    assert_eq!(next(&arrivals), 2);
    for _ in 0..10 {
        let addr = peer.local_addr();
        assert_eq!(peer.answer("WHENCE"), addr.to_string());
        peer.ping();
    }
    // Clients that the server refuses itself do not reach the hook.
    let few = Config {
        maxclients: 2,
        ..config(2)
    };
    server.handle.reconfigure(&few).expect("it may be lowered");
    let mut refused = server.connect();
    refused.expect("-ERR max number of clients reached\r\n");
    refused.expect_end();
    drop((silent, refused));
    assert!(arrivals.try_recv().is_err());
}

#[test]
fn panicking_hook_closes_only_its_client() {
    let (depart, departures) = channel();
    let (keep, dropped) = channel();
    let server = bind(1, Commands::builtin())
        .on_connect(move |session| {
            session.set_state(Kept(session.id(), keep.clone()));
            assert!(!is_from_elsewhere(session), "as the test wants it");
            Ok(())
        })
        .on_disconnect(move |session, _| {
            let _ = depart.send(session.id());
        });
    let server = TestServer::serve(server);
    let mut other = server.connect();
    for id in 2..12 {
        other.ping();
        let mut peer = Peer::connect_from(ELSEWHERE, server.addr);
        peer.send("PING\r\n");
        peer.expect(INTERNAL);
        peer.expect_end();
        assert_eq!(next(&dropped), id);
    }
    assert_eq!(server.handle.stats().clients, 1);
    assert!(departures.try_recv().is_err());
    eventually("they are closed", || {
        other.count("closed_handler_panicked") == 10
    });
    drop(other);
    assert_eq!((next(&departures), next(&dropped)), (1, 1));
}

#[test]
fn blocking_hook_delays_only_its_client() {
    let (start, starts) = channel();
    let (open, opens) = channel();
    let opens = Mutex::new(opens);
    let server = bind(2, Commands::builtin()).on_connect(move |session| {
        if is_from_elsewhere(session) {
            let _ = start.send(());
            let patience = opens.lock().recv_timeout(PATIENCE);
            patience.expect("the test opens the gate");
        }
        Ok(())
    });
    let server = TestServer::serve(server);
    let mut other = server.connect();
    for round in 0..100 {
        // The worker of this request may also take the new client.
        other.send("PING\r\n".repeat(round * 10));
        let mut waiting = Peer::connect_from(ELSEWHERE, server.addr);
        if round % 2 == 0 {
            waiting.send("PING\r\n");
        }
        next(&starts);
        other.expect("+PONG\r\n".repeat(round * 10));
        other.ping();
        server.connect().ping();
        assert!(has_nothing_to_read(&waiting));
        open.send(()).expect("the hook waits");
        if round % 2 == 0 {
            waiting.expect("+PONG\r\n");
        }
        waiting.ping();
    }
}

#[test]
fn drain_waits_for_a_hook_and_answers_requests_after_it() {
    let (start, starts) = channel();
    let (open, opens) = channel::<Result<(), String>>();
    let opens = Mutex::new(opens);
    let server = Server::bind(patient(1), Commands::builtin())
        .expect("the server starts")
        .on_connect(move |_| {
            let _ = start.send(());
            let answer = opens.lock().recv_timeout(PATIENCE);
            answer.expect("the test opens the gate")
        });
    let server = TestServer::serve(server);
    let (mut first, mut second) = (server.connect(), server.connect());
    for peer in [&mut first, &mut second] {
        peer.send("PING\r\n");
    }
    next(&starts);
    server.handle.drain();
    open.send(Ok(())).expect("the hook waits");
    first.expect("+PONG\r\n");
    // The only worker may serve the second client before it closes the first.
    next(&starts);
    open.send(Err("DENIED now".into())).expect("the hook waits");
    second.expect("-DENIED now\r\n");
    second.expect_end();
    first.expect_end();
    drop((first, second));
    assert_eq!(server.wait().aborted, 0);
}

/// Returns true if neither a byte nor FIN can be read now.
fn has_nothing_to_read(peer: &Peer) -> bool {
    peer.socket.set_nonblocking(true).expect("a TCP socket");
    let peeked = peer.socket.peek(&mut [0]);
    peer.socket.set_nonblocking(false).expect("a TCP socket");
    peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

// Disconnecting clients.

/// A disconnected client: id, reason, displayed reason, and its counter.
type Departed = (u64, &'static str, String, i64);

/// Returns a server that reports each disconnect.
fn reporting(config: Config) -> (TestServer, Receiver<Departed>, Gate) {
    let (depart, departures) = channel();
    let (commands, _, gate) = commands_that_keep();
    let server = Server::bind(config, commands)
        .expect("the server starts")
        .on_disconnect(move |session, departure| {
            let count = session.state().map_or(0, |&Count(count)| count);
            let text = departure.to_string();
            let _ = depart.send((session.id(), departure.name(), text, count));
        })
        // The first hook stays.
        .on_disconnect(|_, _| panic!("this one is never called"));
    (TestServer::serve(server), departures, gate)
}

#[test]
fn disconnect_hook_runs_once_with_reason_and_state() {
    let (server, departures, _gate) = reporting(config(2));
    let mut other = server.connect();
    other.ping();
    let ways: [(&str, &str, Leave<'_>); 6] = [
        ("quit", "it asked to be closed", &|peer, _| {
            peer.ask("QUIT\r\n", OK);
            peer.expect_end();
        }),
        ("peer_left", "the peer closed the connection", &|peer, _| {
            peer.end_sending();
            peer.expect_end();
        }),
        ("killed", "CLIENT KILL", &|peer, other| {
            kill(peer, other);
            peer.expect_end();
        }),
        (
            "protocol_error",
            "protocol error: invalid multibulk length",
            &|peer, _| {
                peer.ask(
                    "*x\r\n",
                    "-ERR Protocol error: invalid multibulk length\r\n",
                );
                peer.expect_end();
            },
        ),
        ("handler_panicked", "a handler panicked", &|peer, _| {
            peer.ask("PANIC\r\n", INTERNAL);
            peer.expect_end();
        }),
        ("http", "it sent an HTTP request", &|peer, _| {
            peer.send("Host: here\r\n");
            peer.expect_end();
        }),
    ];
    for ((reason, text, leave), count) in ways.into_iter().zip(1..) {
        let mut peer = server.connect();
        let id = peer.id();
        for _ in 0..count {
            peer.answer("COUNT");
        }
        leave(&mut peer, &mut other);
        // The hook has run before the peer sees FIN.
        let seen = departures.try_recv().expect("the hook ran before");
        assert_eq!(seen, (id, reason, text.to_owned(), count));
    }
    let mut reset = server.connect();
    reset.ping();
    reset.reset();
    let (_, reason, _, count) = next(&departures);
    assert_eq!((reason, count), ("connection_failed", 0));
    // Not again when the connections are closed, and not for clients that stay.
    other.ping();
    assert!(departures.try_recv().is_err());
    let id = other.id();
    assert_eq!(server.drain().aborted, 0);
    let text = "the server drains".to_owned();
    assert_eq!(
        departures.try_iter().collect::<Vec<_>>(),
        [(id, "drained", text, 0)]
    );
}

#[test]
fn idle_client_disconnects_by_timeout() {
    let short = Config {
        timeout_s: 1,
        ..config(1)
    };
    let (server, departures, _gate) = reporting(short);
    let mut peer = server.connect();
    peer.ping();
    peer.expect_end();
    let (id, reason, ..) = departures.try_recv().expect("the hook ran before");
    assert_eq!((id, reason), (1, "timeout"));
    drop(server);
    assert!(departures.try_recv().is_err());
}

#[test]
fn close_waits_for_the_disconnect_hook() {
    let (start, starts) = channel();
    let (open, opens) = channel();
    let opens = Mutex::new(opens);
    let server = bind(2, commands_that_keep().0).on_disconnect(move |session, departure| {
        let _ = start.send((session.id(), departure.name()));
        let patience = opens.lock().recv_timeout(PATIENCE);
        patience.expect("the test opens the gate");
    });
    let server = TestServer::serve(server);
    let mut other = server.connect();
    for (reason, request, reply) in [
        ("quit", "QUIT\r\n", OK),
        ("handler_panicked", "PANIC\r\n", INTERNAL),
        ("http", "POST /\r\n", ""),
        ("killed", "", ""),
        ("drained", "", ""),
    ] {
        let mut peer = server.connect();
        let id = peer.id();
        match reason {
            "killed" => other.ask(format!("CLIENT KILL ID {id}\r\n"), ":1\r\n"),
            "drained" => {
                // Otherwise both clients would wait for the hook.
                other.ask("QUIT\r\n", OK);
                assert_eq!(next(&starts), (1, "quit"));
                open.send(()).expect("the hook waits");
                other.expect_end();
                server.handle.drain();
            }
            _ => peer.ask(request, reply),
        }
        assert_eq!(next(&starts), (id, reason));
        assert!(has_nothing_to_read(&peer), "{reason}");
        if reason != "drained" {
            // The other worker is free.
            other.ping();
        }
        open.send(()).expect("the hook waits");
        peer.expect_end();
    }
    assert_eq!(server.wait().aborted, 0);
}

#[test]
fn panicking_disconnect_hook_affects_no_other_client() {
    let (keep, dropped) = channel();
    let server = bind(1, commands_that_keep().0)
        .on_connect(move |session| {
            session.set_state(Kept(session.id(), keep.clone()));
            Ok(())
        })
        .on_disconnect(|_, _| panic!("as the test wants it"));
    let server = TestServer::serve(server);
    let mut other = server.connect();
    for id in 2..12 {
        let mut peer = server.connect();
        // A client that leaves before its hook has run was never admitted.
        peer.ping();
        match id % 3 {
            0 => peer.ask("QUIT\r\n", OK),
            1 => other.ask(format!("CLIENT KILL ID {id}\r\n"), ":1\r\n"),
            _ => peer.end_sending(),
        }
        peer.expect_end();
        assert_eq!(next(&dropped), id);
        other.ping();
    }
    assert_eq!(server.handle.stats().clients, 1);
    assert_eq!(server.handle.workers(), 1);
    assert_eq!(server.drain().aborted, 0);
    assert_eq!(next(&dropped), 1);
}

/// A value that panics when it is dropped.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("as the test wants it");
    }
}

#[test]
fn panic_in_drop_of_client_state_is_contained() {
    let server = bind(1, Commands::builtin()).on_connect(|session| {
        if is_from_elsewhere(session) {
            session.set_state(Grenade);
        }
        Ok(())
    });
    let server = TestServer::serve(server);
    let mut other = server.connect();
    for request in ["QUIT\r\n", "RESET\r\nPING\r\n", ""] {
        let mut peer = Peer::connect_from(ELSEWHERE, server.addr);
        peer.send(request);
        peer.end_sending();
        peer.rest();
        other.ping();
    }
    eventually("they are gone", || server.handle.stats().clients == 1);
    assert_eq!(server.handle.workers(), 1);
    assert_eq!(server.drain().aborted, 0);
}

#[test]
fn aborted_client_disconnects_when_its_handler_returns() {
    let short = Config {
        drain_timeout_ms: 50,
        ..config(1)
    };
    let (server, departures, gate) = reporting(short);
    let mut busy = server.connect();
    busy.send("COUNT\r\nGATE\r\n");
    gate.wait_for_start();
    assert_eq!(server.drain().aborted, 1);
    assert!(departures.try_recv().is_err());
    gate.let_one_through();
    let (id, reason, _, count) = next(&departures);
    assert_eq!((id, reason, count), (1, "drained", 1));
    busy.rest();
}

// It printed all that the server knows, including bytes of other clients' requests.
#[test]
fn debug_output_shows_no_other_client() {
    let server = bind(
        2,
        builtin_and(|commands| {
            commands.register("PRINT", Arity::Exactly(1), |session, _, reply| {
                reply.verbatim(format!("{session:?}"))
            });
        }),
    );
    let server = TestServer::serve(server);
    let (mut peer, mut other) = (server.connect(), server.connect());
    other.ask("CLIENT SETNAME secretive\r\n", "+OK\r\n");
    other.send("ECHO secret");
    let session = peer.answer("PRINT");
    assert!(session.starts_with("Session { id: 1, "), "{session}");
    let handle = format!("{:?}", server.handle);
    assert!(handle.starts_with("ServerHandle {"), "{handle}");
    for text in [session, handle] {
        assert!(!text.contains("secret"), "{text}");
        assert!(text.len() < 200, "{text}");
    }
}
