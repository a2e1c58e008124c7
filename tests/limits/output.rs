//! `client-output-buffer-limit`: how much may be pending for a client that does not read.

use std::io::Read;
use std::time::{Duration, Instant};

use respool::Config;
use respool::config::{OutputLimit, OutputLimits};
use respool_testing::{Peer, config, eventually};

use respool_testing::echo;

use crate::{Watched, deaf};

fn normal(hard: u64, soft: u64, seconds: u32) -> String {
    format!("normal {hard} {soft} {seconds}")
}

fn pubsub(hard: u64, soft: u64, seconds: u32) -> String {
    format!("pubsub {hard} {soft} {seconds}")
}

const OUTPUT: &str = "client-output-buffer-limit";

const REPLIES_NOT_READ: &str = "it did not read its replies (`client-output-buffer-limit`)";

#[test]
fn client_beyond_its_hard_limit_is_closed() {
    let mut watched = Watched::start(config(2));
    let (deaf, bytes) = deaf(&mut watched);
    watched.set(OUTPUT, &normal(bytes, 0, 0));
    watched.pass(3);
    watched.counts("connected_clients", 2);
    // The kernel may take a little more when the server tries again.
    watched.set(OUTPUT, &normal(bytes / 2, 0, 0));
    watched.closes(deaf.local_addr(), "output_limit", 1, REPLIES_NOT_READ);
    watched.counts("client_output_buffer_limit_disconnections", 1);
    watched.counts("connected_clients", 1);
}

#[test]
fn client_beyond_its_soft_limit_is_closed_after_its_seconds() {
    let mut watched = Watched::start(config(2));
    let (deaf, bytes) = deaf(&mut watched);
    watched.set(OUTPUT, &normal(0, bytes, 1));
    watched.pass(3);
    watched.set(OUTPUT, &normal(0, bytes / 2, 1000));
    watched.pass(3);
    watched.counts("connected_clients", 2);
    watched.set(OUTPUT, &normal(0, bytes / 2, 1));
    watched.closes(deaf.local_addr(), "output_limit", 1, REPLIES_NOT_READ);
    watched.counts("client_output_buffer_limit_disconnections", 1);
}

/// Replies are pending after each pipeline, and are read each time.
#[test]
fn client_that_keeps_catching_up_is_not_closed() {
    let mut watched = Watched::start(config(2));
    watched.set(OUTPUT, &normal(0, 1, 2));
    let (request, reply) = echo(&"x".repeat(1 << 20));
    let mut peer = Peer::connect_with_small_buffer(watched.server.addr);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(6) {
        peer.send(request.repeat(4));
        eventually("replies are pending", || {
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
    watched.closes(deaf.local_addr(), "slow_subscriber", 1, MESSAGES_NOT_READ);
}

#[test]
fn resp3_subscriber_that_does_not_read_its_replies_is_closed() {
    let mut watched = Watched::start(config(2));
    watched.set(OUTPUT, &pubsub(1 << 20, 0, 0));
    let mut deaf = Peer::connect_with_small_buffer(watched.server.addr);
    deaf.send("HELLO 3\r\nSUBSCRIBE b\r\n");
    deaf.send(echo(&"x".repeat(8 << 20)).0);
    watched.closes(deaf.local_addr(), "slow_subscriber", 1, MESSAGES_NOT_READ);
}

/// Returns a subscriber that does not read, and how many bytes are pending for it.
fn deaf_subscriber(watched: &mut Watched) -> (Peer, u64) {
    let mut deaf = Peer::connect_with_small_buffer(watched.server.addr);
    deaf.send("SUBSCRIBE b\r\n");
    deaf.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:1\r\n");
    publish(watched, 8 << 20);
    let bytes = watched.pending_bytes();
    (deaf, bytes)
}

fn publish(watched: &mut Watched, bytes: usize) {
    let publication = format!("*3\r\n$7\r\nPUBLISH\r\n{}", channel_and_message(bytes));
    watched.control.ask(publication, ":1\r\n");
}

/// Returns the length of a message with this payload.
fn message_bytes(bytes: usize) -> u64 {
    ("*3\r\n$7\r\nmessage\r\n".len() + channel_and_message(bytes).len()) as u64
}

fn channel_and_message(bytes: usize) -> String {
    format!("$1\r\nb\r\n${bytes}\r\n{}\r\n", "x".repeat(bytes))
}

const MESSAGES_NOT_READ: &str = "it did not read its messages";

#[test]
fn pubsub_hard_limit_is_exact() {
    let mut watched = Watched::start(config(2));
    watched.set(OUTPUT, &pubsub(0, 0, 0));
    let (deaf, bytes) = deaf_subscriber(&mut watched);
    let message = message_bytes(100);
    watched.set(OUTPUT, &pubsub(bytes + 2 * message, 0, 0));
    publish(&mut watched, 100);
    publish(&mut watched, 100);
    watched.pass(2);
    let bytes = watched.pending_bytes();
    watched.set(OUTPUT, &pubsub(bytes + message, 0, 0));
    publish(&mut watched, 100);
    watched.counts("pubsub_clients", 1);
    // The kernel may have taken some more bytes; then a later message exceeds the limit.
    eventually("one message is too many", || {
        watched.control.send("PUBLISH b x\r\n");
        watched.control.line() == ":0"
    });
    watched.closes(deaf.local_addr(), "slow_subscriber", 1, MESSAGES_NOT_READ);
    watched.counts("client_output_buffer_limit_disconnections", 1);
    watched.counts("pubsub_clients", 0);
}

#[test]
fn pubsub_soft_limit_allows_its_seconds() {
    let mut watched = Watched::start(config(2));
    watched.set(OUTPUT, &pubsub(0, 0, 0));
    let (deaf, bytes) = deaf_subscriber(&mut watched);
    watched.set(OUTPUT, &pubsub(0, bytes + 10_000, 1));
    publish(&mut watched, 100);
    watched.pass(3);
    publish(&mut watched, 100);
    watched.counts("pubsub_clients", 1);
    publish(&mut watched, 4 << 20);
    eventually("the time for more has run out", || {
        watched.control.send("PUBLISH b x\r\n");
        watched.control.line() == ":0"
    });
    watched.closes(deaf.local_addr(), "slow_subscriber", 1, MESSAGES_NOT_READ);
    watched.counts("client_output_buffer_limit_disconnections", 1);
}

/// The seconds once started anew with each batch of messages handed to the socket. A subscriber whose
/// unread messages were always fewer than two batches was never closed.
#[test]
fn slow_subscriber_uses_up_the_seconds_of_the_soft_limit() {
    let mut watched = Watched::start(config(2));
    let (mut slow, _) = deaf_subscriber(&mut watched);
    let addr = slow.local_addr();
    watched.set(OUTPUT, &pubsub(64 << 20, 1000, 2));
    let lot = message_bytes(8 << 20);
    let (mut bytes, mut received) = (vec![0; 64 * 1024], 0);
    let mut read_up_to = |wanted: u64| {
        while received < wanted {
            match slow.socket.read(&mut bytes) {
                Ok(0) | Err(_) => return false,
                Ok(count) => received += count as u64,
            }
        }
        true
    };
    // A further batch is pending before the previous one is read.
    let mut lots = 1;
    eventually("its time has run out", || {
        let publication = format!("*3\r\n$7\r\nPUBLISH\r\n{}", channel_and_message(8 << 20));
        watched.control.send(publication);
        let gone = watched.control.line() == ":0";
        let gone = gone || !read_up_to(lots * lot);
        lots += 1;
        gone
    });
    watched.closes(addr, "slow_subscriber", 1, MESSAGES_NOT_READ);
}

/// Normal clients have no limit here, but subscribers do.
#[test]
fn pubsub_limit_does_not_apply_to_normal_clients() {
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
