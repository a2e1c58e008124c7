//! Requests over a blocking connection, and the check of every reply.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use crate::connection::{Connection, Endpoint};
use crate::pings::Exchange;

/// Time for a reply. Nothing that works takes as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Connections that may wait in the server's backlog. If the backlog is full, the kernel drops the
/// next SYN, which is sent again after a second.
pub(crate) const UNACCEPTED_MAX: usize = 100;

/// Connects, with a handshake over TLS.
pub(crate) fn connect(endpoint: &Endpoint) -> io::Result<Connection> {
    be_patient(endpoint.connect()?)
}

/// Sets the time for a reply, and waits for the handshake over TLS.
pub(crate) fn be_patient(mut connection: Connection) -> io::Result<Connection> {
    connection.socket().set_read_timeout(Some(PATIENCE))?;
    if !connection.handshake()? {
        return Err(ErrorKind::TimedOut.into());
    }
    Ok(connection)
}

/// Sends one request and reads its reply.
pub(crate) fn ask(connection: &mut Connection, exchange: &Exchange) -> io::Result<()> {
    connection.write_all(&exchange.request)?;
    read_reply(connection, exchange)
}

pub(crate) fn read_reply(connection: &mut Connection, exchange: &Exchange) -> io::Result<()> {
    let mut expected = exchange.reply.as_slice();
    let mut buffer = vec![0; expected.len()];
    while !expected.is_empty() {
        let count = connection.read(&mut buffer[..expected.len()])?;
        check(&buffer[..count], expected)?;
        expected = &expected[count..];
    }
    Ok(())
}

/// Fails unless `received` is a beginning of `expected`. If it is empty, the connection has ended.
pub(crate) fn check(received: &[u8], expected: &[u8]) -> io::Result<()> {
    if received.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    if expected.starts_with(received) {
        return Ok(());
    }
    let [received, expected] =
        [received, expected].map(|bytes| bytes[..bytes.len().min(80)].escape_ascii());
    let text = format!("a wrong reply: \"{received}\" where \"{expected}\" was expected");
    Err(io::Error::new(ErrorKind::InvalidData, text))
}
