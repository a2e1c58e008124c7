//! The memory that idle connections take.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use crate::server::Server;
use crate::usage::resident_bytes;
use crate::wire::{UNACCEPTED_MAX, connect, read_reply};

/// Servers do some of their housekeeping once a second.
const SETTLING: Duration = Duration::from_millis(1200);

/// Opens connections, each of which has one PONG and then stays idle. Returns by how much the
/// server's resident memory grows for each.
pub(crate) fn idle_bytes(server: &Server, connections: usize) -> io::Result<f64> {
    let exchange = server.first_exchange();
    let before = resident_bytes(server.id())?;
    let mut idle = Vec::with_capacity(connections);
    while idle.len() < connections {
        let first = idle.len();
        for _ in 0..UNACCEPTED_MAX.min(connections - first) {
            let mut connection = connect(server.endpoint())?;
            connection.write_all(&exchange.request)?;
            idle.push(connection);
        }
        for connection in &mut idle[first..] {
            read_reply(connection, exchange)?;
        }
    }
    thread::sleep(SETTLING);
    let grown = resident_bytes(server.id())?.saturating_sub(before);
    // Fails if the server has closed a connection.
    for connection in &mut idle {
        connection.write_all(&exchange.request)?;
    }
    Ok(grown as f64 / connections as f64)
}
