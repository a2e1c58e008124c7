//! Requests over a blocking connection, and the check of every reply.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::pings::Exchange;

/// Time for a reply. Nothing that works takes as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Connections that may wait in the server's backlog. If the backlog is full, the kernel drops the
/// next SYN, which is sent again after a second.
pub(crate) const UNACCEPTED_MAX: usize = 100;

pub(crate) fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(addr)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Sends one request and reads its reply.
pub(crate) fn ask(socket: &mut TcpStream, exchange: &Exchange) -> io::Result<()> {
    socket.write_all(&exchange.request)?;
    read_reply(socket, exchange)
}

pub(crate) fn read_reply(socket: &mut TcpStream, exchange: &Exchange) -> io::Result<()> {
    let mut expected = exchange.reply.as_slice();
    let mut buffer = vec![0; expected.len()];
    while !expected.is_empty() {
        let count = socket.read(&mut buffer[..expected.len()])?;
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
