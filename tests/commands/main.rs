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
mod queue_wait;
mod slowlog;
mod stats;

use std::time::{Duration, Instant};

use respool_testing::{Gate, Peer, eventually};

const OK: &str = "+OK\r\n";

/// Returns true if every call is timed, and not only one in 67 of a worker. The server has one
/// worker, which has answered a PING before and answers at most 66 in all.
#[track_caller]
fn every_call_is_observed(peer: &mut Peer) -> bool {
    assert_eq!(peer.answer("CONFIG RESETSTAT"), "OK");
    peer.ping();
    !peer.answers("LATENCY HISTOGRAM ping").is_empty()
}

/// Runs GATE with these arguments, and keeps its handler running for longer than `least`.
#[track_caller]
fn run_slowly(peer: &mut Peer, gate: &Gate, words: &str, least: Duration) {
    peer.send(format!("{words}\r\n"));
    gate.wait_for_start();
    // Only now: on a busy machine, the handler may start late.
    let start = Instant::now();
    eventually("the handler has taken long", || {
        start.elapsed() > least + Duration::from_millis(5)
    });
    gate.let_one_through();
    peer.expect("+OPEN\r\n");
}

const SLOW: Duration = Duration::from_millis(12);
