//! CLIENT LIST, KILL and PAUSE: what a client sees of others and does to them.

mod kill;
mod list;
mod pause;

use std::time::Instant;

use respool::Config;
use respool_testing::{Peer, TestServer, config, eventually, log};

const OK: &str = "+OK\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";

/// In milliseconds: longer than any test runs.
const AN_HOUR: &str = "3600000";

/// Returns the lines of CLIENT LIST.
#[track_caller]
fn list(peer: &mut Peer, options: &str) -> Vec<String> {
    let text = peer.answer(&format!("CLIENT LIST {options}"));
    text.lines().map(str::to_owned).collect()
}

/// Returns the line of a client, or an empty one if it is not listed.
#[track_caller]
fn line(peer: &mut Peer, id: u64) -> String {
    list(peer, &format!("ID {id}")).pop().unwrap_or_default()
}

#[track_caller]
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let mut fields = line.split(' ').filter_map(|field| field.split_once('='));
    fields
        .find_map(|(field, value)| (field == name).then_some(value))
        .unwrap_or_else(|| panic!("no {name} in {line:?}"))
}

/// Returns a numeric field.
#[track_caller]
fn number(line: &str, name: &str) -> usize {
    field(line, name).parse().expect(line)
}

/// Waits until the client's line has these values.
#[track_caller]
fn wait_for(watcher: &mut Peer, id: u64, values: &[(&str, &str)]) {
    eventually(&format!("client {id} has {values:?}"), || {
        let line = line(watcher, id);
        !line.is_empty()
            && values
                .iter()
                .all(|(name, value)| field(&line, name) == *value)
    });
}

/// Waits until the client is not listed.
#[track_caller]
fn wait_until_gone(watcher: &mut Peer, id: u64) {
    eventually(&format!("client {id} is gone"), || {
        line(watcher, id).is_empty()
    });
}

fn ids(lines: &[String]) -> Vec<u64> {
    let ids = lines.iter().map(|line| field(line, "id").parse());
    ids.map(|id| id.expect("a number")).collect()
}

/// Expects that the server closes, with FIN or, if input was left unread, with RST.
#[track_caller]
fn expect_closed(peer: &mut Peer) {
    use std::io::{ErrorKind, Read};
    let mut bytes = Vec::new();
    if let Err(error) = peer.socket.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(bytes.escape_ascii().to_string(), "");
}

/// Connects a client that waits in the queue because the only worker is busy. Returns when the
/// server has accepted it. As there is one acceptor, that is when the next client is logged.
#[track_caller]
fn connect_to_busy(server: &TestServer) -> Peer {
    log::collect();
    let start = Instant::now();
    let (queued, next) = (server.connect(), server.connect());
    let end = format!(" connected from {}", next.local_addr());
    eventually("the next client has come", || {
        log::find(start, |line| line.ends_with(&end)).is_some()
    });
    queued
}

/// With this configuration, a client is write-blocked as soon as its reserve is full.
fn blocks_early() -> Config {
    Config {
        pending_output_per_client: 0,
        ..config(1)
    }
}
