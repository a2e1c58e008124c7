//! The built-in commands, one file per group.
//!
//! CLIENT LIST, KILL and PAUSE have a folder of their own: `tests/clients`.

mod command;
mod config;
mod connection;
mod latency;
mod monitor;
mod password;
mod pubsub;
mod slowlog;
mod stats;

use std::time::{Duration, Instant};

use respool_testing::{Gate, Peer, eventually};

const OK: &str = "+OK\r\n";

/// Whether every PING is looked at closely, and not only the first of each 67 of a worker: then it
/// has a duration. The server has one worker, which has answered a PING before and answers no more
/// than 66 in all.
#[track_caller]
fn is_attentive(peer: &mut Peer) -> bool {
    assert_eq!(peer.answer("CONFIG RESETSTAT"), "OK");
    peer.ping();
    !peer.answers("LATENCY HISTOGRAM ping").is_empty()
}

/// Runs GATE with these words in `peer`, and keeps it there for longer than `least`.
#[track_caller]
fn pass_slowly(peer: &mut Peer, gate: &Gate, words: &str, least: Duration) {
    let start = Instant::now();
    peer.send(format!("{words}\r\n"));
    gate.wait_for_start();
    eventually("the handler has taken long", || {
        start.elapsed() > least + Duration::from_millis(5)
    });
    gate.let_one_through();
    peer.expect("+OPEN\r\n");
}

const SLOW: Duration = Duration::from_millis(12);
