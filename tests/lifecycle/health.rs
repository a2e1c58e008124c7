//! Whether a server is live and ready, and its workers make progress.

use std::time::Instant;

use respool::{Commands, Config, Health, Server};
use respool_testing::{TestServer, commands_with_gate, config, eventually, log};

/// Returns the reason in a part of a server's health.
fn reason(part: Result<(), respool::Unfit>) -> String {
    part.map_or_else(|unfit| unfit.to_string(), |()| "none".into())
}

#[test]
fn server_is_ready_from_its_start_to_its_end() {
    let server = Server::bind(config(1), Commands::builtin()).expect("the server starts");
    let handle = server.handle();
    assert_eq!(handle.health().live, Ok(()));
    assert_eq!(reason(handle.health().ready), "not serving");
    let server = TestServer::serve(server);
    eventually("the server is ready", || handle.health().ready.is_ok());
    server.connect().ping();
    server.drain();
    let Health {
        live,
        ready,
        workers,
        ..
    } = handle.health();
    for part in [live, ready, workers] {
        assert_eq!(reason(part), "the server has ended");
    }
}

#[test]
fn workers_that_are_all_stuck_make_a_server_unready() {
    log::collect();
    let start = Instant::now();
    let config = Config {
        stuck_worker_ms: 400,
        ..config(2)
    };
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config, commands);
    let mut peers = [server.connect(), server.connect()];
    peers[0].send("GATE\r\n");
    gate.wait_for_start();
    // Waits for the first one to end.
    peers[1].send("GATE\r\n");
    let are_stuck = || server.handle.health().workers.is_err();
    eventually("the workers are stuck", are_stuck);
    assert!(start.elapsed().as_millis() >= 400);
    let health = server.handle.health();
    let text = "every worker has been in one handler for over 400 ms";
    assert_eq!(health.live, Ok(()));
    assert_eq!(reason(health.workers), text);
    assert_eq!(reason(health.ready), text);
    let is_logged = |text: &str| log::find(start, |line| line.contains(text)).is_some();
    let text = "over 400 ms (raise `workers`, or `stuck-worker-ms`); commands: gate on 2";
    eventually("the standstill is logged", || is_logged(text));
    gate.let_one_through();
    eventually("a worker makes progress", || !are_stuck());
    assert_eq!(server.handle.health().ready, Ok(()));
    eventually("the end is logged", || {
        is_logged("workers make progress again")
    });
    gate.let_one_through();
}

#[test]
fn one_stuck_worker_leaves_a_server_ready() {
    let config = Config {
        stuck_worker_ms: 100,
        ..config(2)
    };
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config, commands);
    let (mut stuck, mut other) = (server.connect(), server.connect());
    stuck.send("GATE\r\n");
    gate.wait_for_start();
    let start = Instant::now();
    while start.elapsed().as_millis() < 500 {
        other.ping();
        assert_eq!(server.handle.health().ready, Ok(()));
    }
    gate.let_one_through();
}
