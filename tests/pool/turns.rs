//! Turns are bounded in time, whatever runs in them: a request does not wait until all pipelined
//! requests of other clients are served.
//!
//! Nothing is timed: the request is INFO, which shows how many of the other requests were served
//! before it. `tests/manual/hogs` measures times.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use respool::Arity;
use respool_testing::{Peer, TestServer, commands_with_gate, config, eventually, hogs};

/// Pipelining clients on one worker.
const HOGS: usize = 20;

/// Requests per hog: fewer than a turn may have if they are short.
const REQUESTS: usize = 300;

/// Idle clients: a command that visits all clients visits these.
const IDLE: usize = 200;

/// Returns how often `command` was called, by INFO.
fn calls(info: &str, command: &str) -> usize {
    let field = format!("cmdstat_{command}:calls=");
    let line = info.lines().find_map(|line| line.strip_prefix(&field));
    let digits = line.and_then(|line| line.split(',').next());
    digits.map_or(0, |digits| digits.parse().expect("a number"))
}

/// All `HOGS × REQUESTS` wait in sockets before the worker starts to serve. A turn of a quarter of
/// a millisecond serves a small part of them on any machine.
#[track_caller]
fn info_does_not_wait_for(request: &str, command: &str) {
    let (builtin, gate) = commands_with_gate();
    let server = TestServer::with(config(1), builtin);
    let mut idle: Vec<_> = (0..IDLE).map(|_| server.connect()).collect();
    let mut info = server.connect();
    info.ping();
    // With replies off: a hog that does not read would end its turns early.
    let hog = |_| {
        let mut hog = server.connect();
        hog.send("CLIENT REPLY OFF\r\n");
        hog
    };
    let mut hogs: Vec<_> = (0..HOGS).map(hog).collect();
    eventually("all are connected", || {
        info.count("connected_clients") == (HOGS + IDLE + 1) as u64
    });

    idle[0].send("GATE\r\n");
    gate.wait_for_start();
    for hog in &mut hogs {
        hog.send(request.repeat(REQUESTS));
    }
    info.send("INFO commandstats\r\n");
    gate.let_one_through();
    let text = info.leaves().remove(0);
    let before = calls(&text, command);
    assert!(
        before < HOGS * REQUESTS / 2,
        "INFO waited for {before} of {} × {request:?}",
        HOGS * REQUESTS
    );
}

#[test]
fn turns_of_client_list_are_bounded_in_time() {
    info_does_not_wait_for("CLIENT LIST\r\n", "client|list");
}

#[test]
fn turns_of_info_everything_are_bounded_in_time() {
    info_does_not_wait_for("INFO everything\r\n", "info");
}

#[test]
fn turns_of_command_docs_are_bounded_in_time() {
    info_does_not_wait_for("COMMAND DOCS\r\n", "command|docs");
}

#[test]
fn turns_of_command_are_bounded_in_time() {
    info_does_not_wait_for("COMMAND\r\n", "command");
}

#[test]
fn turns_of_config_get_are_bounded_in_time() {
    info_does_not_wait_for("CONFIG GET *\r\n", "config|get");
}

#[test]
fn turns_of_command_list_are_bounded_in_time() {
    info_does_not_wait_for("COMMAND LIST FILTERBY PATTERN *a*e*i*\r\n", "command|list");
}

/// Two clients publish to each other, and each has its next request when the other has published.
/// One worker once served the two in turn for as long as they went on, and no other client.
#[test]
fn clients_that_publish_to_each_other_do_not_starve_others() {
    let (mut commands, gate) = commands_with_gate();
    let relays = Arc::new(AtomicUsize::new(0));
    let players: Arc<Mutex<Vec<Peer>>> = Arc::default();
    let (count, others) = (Arc::clone(&relays), Arc::clone(&players));
    // Lets the other player relay the message back. A player's input ends within a request, so that
    // its socket is read in a turn for messages, too.
    commands.register("RELAY", Arity::Exactly(2), move |_, request, reply| {
        let other = usize::from(request.argument(0) == Some(b"0"));
        if count.fetch_add(1, Ordering::Relaxed) < RELAYS {
            let next = format!("AY {other}\r\nPUBLISH {} x\r\nREL", 1 - other);
            others.lock().expect("no panic")[other].send(next);
        }
        reply.simple("OK")
    });
    let count = Arc::clone(&relays);
    commands.register("RELAYS", Arity::Exactly(1), move |_, _, reply| {
        reply.integer(count.load(Ordering::Relaxed) as i64)
    });
    let server = TestServer::with(config(1), commands);
    let [mut blocking, mut other] = [(); 2].map(|()| server.connect());
    other.ping();
    for number in 0..2 {
        let mut player = server.connect();
        player.speak_resp3();
        player.send(format!("SUBSCRIBE {number}\r\nREL"));
        player.leaves();
        players.lock().expect("no panic").push(player);
    }
    blocking.send("GATE\r\n");
    gate.wait_for_start();
    players.lock().expect("no panic")[0].send("AY 0\r\nPUBLISH 1 x\r\nREL");
    other.send("RELAYS\r\n");
    gate.let_one_through();
    let before: usize = other.line()[1..].parse().expect("a number");
    assert!(before < RELAYS / 2, "{before} of {RELAYS}");
}

/// Fewer than fill the buffers of a player's socket with replies and messages.
const RELAYS: usize = 400;

#[test]
fn every_command_has_a_row_of_hogs() {
    let server = TestServer::start(1);
    let listed = server.connect().answers("COMMAND LIST");
    let listed: BTreeSet<_> = listed.iter().map(String::as_str).collect();
    let rows = hogs::ROWS.iter().map(|row| row.command);
    let known: BTreeSet<_> = rows.chain(hogs::NOT_TRIED).collect();
    let missing: Vec<_> = listed.difference(&known).collect();
    assert!(
        missing.is_empty(),
        "add to tests/support/src/hogs.rs: {missing:?}"
    );
    let gone: Vec<_> = known.difference(&listed).collect();
    assert!(gone.is_empty(), "no longer a command: {gone:?}");
}
