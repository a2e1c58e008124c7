//! What a client sees of others and does to them: CLIENT LIST, KILL and PAUSE.

mod kill;
mod list;
mod pause;

use std::collections::HashMap;
use std::sync::Once;
use std::time::Instant;

use parking_lot::Mutex;
use respool::Config;
use respool_testing::{Peer, TestServer, config, eventually};

const OK: &str = "+OK\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";

/// Longer than any test runs, in milliseconds.
const AN_HOUR: &str = "3600000";

/// The lines of CLIENT LIST.
#[track_caller]
fn list(peer: &mut Peer, options: &str) -> Vec<String> {
    let text = peer.answer(&format!("CLIENT LIST {options}"));
    text.lines().map(str::to_owned).collect()
}

/// The line of the client with this number; empty if there is none.
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

/// A field that is a number.
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

/// Waits until the client is in the list no more.
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

/// The server closes, be it in order or by a reset because it has not read everything.
#[track_caller]
fn expect_closed(peer: &mut Peer) {
    use std::io::{ErrorKind, Read};
    let mut bytes = Vec::new();
    if let Err(error) = peer.socket.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(bytes.escape_ascii().to_string(), "");
}

/// When clients came, by their addresses, as the log tells it. A client is in the server's hands
/// once the next one has come: there is one acceptor.
struct Arrivals(Mutex<HashMap<String, Instant>>);

static ARRIVALS: std::sync::LazyLock<Arrivals> =
    std::sync::LazyLock::new(|| Arrivals(Mutex::default()));

impl log::Log for &'static Arrivals {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        if let Some((_, addr)) = line.split_once(" connected from ") {
            self.0.lock().insert(addr.to_owned(), Instant::now());
        }
    }

    fn flush(&self) {}
}

/// A client that waits in the queue: connected while the only worker is busy. Gives it as soon as
/// the server has it.
#[track_caller]
fn connect_to_busy(server: &TestServer) -> Peer {
    static START: Once = Once::new();
    START.call_once(|| {
        log::set_boxed_logger(Box::new(&*ARRIVALS)).expect("there is no other logger");
        log::set_max_level(log::LevelFilter::Debug);
    });
    // Somebody else's client may have had the same address before.
    let start = Instant::now();
    let (queued, next) = (server.connect(), server.connect());
    let addr = next.socket.local_addr().expect("it is connected");
    eventually("the next client has come", || {
        let arrivals = ARRIVALS.0.lock();
        arrivals
            .get(&addr.to_string())
            .is_some_and(|&at| at > start)
    });
    queued
}

/// A client is write-blocked as soon as its reserve is full.
fn blocks_early() -> Config {
    Config {
        pending_output_per_client: 0,
        ..config(1)
    }
}
