//! What a drain owes to those who were quiet when it began.

mod common;

use std::io::Read;
use std::thread;

use common::{Peer, TestServer, config};
use respool::{Commands, Config};

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
    assert_eq!(draining.join().expect("it does not panic").cut, 0);
}
