//! Reconfiguration while the server runs.

use respool::Config;
use respool_testing::{TestServer, config, eventually};

const REFUSAL: &str = "-ERR max number of clients reached\r\n";

#[test]
fn maxclients_changes_while_the_server_runs() {
    let server = TestServer::with_maxclients(2);
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
fn fixed_settings_are_named_in_the_error() {
    let server = TestServer::with_maxclients(2);
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
fn draining_server_is_not_reconfigured() {
    let server = TestServer::start(1);
    let handle = server.handle.clone();
    server.drain();
    let error = handle.reconfigure(&config(2)).expect_err("it has stopped");
    assert_eq!(error.to_string(), "the server drains");
    eventually("the workers have ended", || handle.workers() == 0);
}
