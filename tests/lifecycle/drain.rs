//! What a drain owes to those who were quiet when it began.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use respool::{Commands, Config};
use respool_testing::{Peer, TestServer, commands_with_gate, config};

/// A drain used to close a quiet client outright. Whatever the client sent next was answered by a
/// reset, which took with it the replies that the kernel had not delivered yet.
#[test]
fn a_reply_on_its_way_when_the_drain_begins_arrives_although_the_client_goes_on_sending() {
    // One worker lets a client rest before it serves the next, and closes them in this order, too.
    let patient = Config {
        drain_timeout_ms: 30_000,
        ..config(1)
    };
    let server = TestServer::with(patient, Commands::builtin());
    let mut slow = Peer::connect_with_small_buffer(server.addr);
    let message = "x".repeat(500_000);
    let bulk = format!("${}\r\n{message}\r\n", message.len());
    slow.send(format!("*2\r\n$4\r\nECHO\r\n{bulk}"));
    // The server has handed all of the reply to the kernel, which can deliver only the start of it.
    slow.socket.peek(&mut [0]).expect("the reply begins");
    let mut second = server.connect();
    second.ping();

    let draining = thread::spawn(move || server.drain());
    second.expect_end();
    slow.send("PING\r\n");

    let mut heard = Vec::new();
    let end = slow.socket.read_to_end(&mut heard);
    let Some(rest) = heard.strip_prefix(bulk.as_bytes()) else {
        panic!("{} bytes of {}, then {end:?}", heard.len(), bulk.len());
    };
    // Whether the late PING came in time is for the server to say, but not by half a reply.
    assert!(rest.is_empty() || rest == b"+PONG\r\n", "{rest:?}");
    drop((slow, second));
    assert_eq!(draining.join().expect("it does not panic").aborted, 0);
}

/// The acceptor used to wait 10 ms for each peer that it refused while no worker was free, and the
/// drain waited for the acceptor.
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
    let mut busy = server.connect();
    busy.send("GATE\r\n");
    gate.wait_for_start();
    let peers: Vec<Peer> = (0..REFUSED).map(|_| server.connect()).collect();
    let start = Instant::now();
    // The handler does not return.
    assert_eq!(server.drain().aborted, 1);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    gate.let_one_through();
    drop(peers);
}
