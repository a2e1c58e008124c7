//! The bare server: polls, reads, counts bytes and writes.
//!
//! It looks at no byte, has one thread, and makes the same system calls as respool. So no server that
//! uses these calls can be faster.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};
use socket2::{Domain, Socket};

use crate::pings::{Exchange, Ping};

/// Answers this PING until the process is killed. Listens on the path, if there is one.
pub(crate) fn serve(port: u16, path: Option<&Path>, ping: Ping) -> io::Result<()> {
    let listener = match path {
        Some(path) => UnixListener::bind(path)?.into(),
        None => TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.into(),
    };
    let mut bare = Bare::new(listener, &ping.exchange())?;
    let mut events = Events::with_capacity(256);
    loop {
        bare.poll.poll(&mut events, None)?;
        for event in &events {
            match event.token() {
                LISTENER => bare.accept()?,
                Token(index) => bare.serve(index, event.is_read_closed()),
            }
        }
    }
}

/// More than the index of any connection.
const LISTENER: Token = Token(usize::MAX);

/// Minimum length of the repeated replies, which one write may send.
const REPLIES_BYTES: usize = 256 * 1024;

struct Bare {
    poll: Poll,
    listener: Socket,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    protocol: Protocol,
}

/// All that this server knows about the protocol.
struct Protocol {
    request_bytes: usize,
    reply_bytes: usize,
    /// The reply, repeated.
    replies: Vec<u8>,
}

struct Connection {
    socket: OwnedFd,
    /// Bytes received of an incomplete request.
    received: usize,
    /// Bytes to send.
    pending: usize,
    /// Bytes sent of the current reply.
    sent: usize,
}

impl Bare {
    fn new(listener: Socket, exchange: &Exchange) -> io::Result<Self> {
        let poll = Poll::new()?;
        listener.set_nonblocking(true)?;
        if listener.domain()? != Domain::UNIX {
            // Its connections inherit this.
            listener.set_tcp_nodelay(true)?;
        }
        let mut source = SourceFd(&listener.as_raw_fd());
        poll.registry()
            .register(&mut source, LISTENER, Interest::READABLE)?;
        let reply_bytes = exchange.reply.len();
        Ok(Self {
            poll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; 128 * 1024],
            protocol: Protocol {
                request_bytes: exchange.request.len(),
                reply_bytes,
                replies: exchange
                    .reply
                    .repeat(REPLIES_BYTES.div_ceil(reply_bytes) + 1),
            },
        })
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = match accept_with(&self.listener, flags) {
                Ok(socket) => socket,
                Err(Errno::WOULDBLOCK) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let index = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(
                &mut SourceFd(&socket.as_raw_fd()),
                Token(index),
                both,
            )?;
            self.connections[index] = Some(Connection {
                socket,
                received: 0,
                pending: 0,
                sent: 0,
            });
        }
    }

    /// Serves a connection, and closes it after its end or an error.
    // Inlined, as are all functions below: as in respool, no function returns after a system call.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn serve(&mut self, index: usize, is_closed: bool) {
        let slot = &mut self.connections[index];
        let Some(connection) = slot else { return };
        if connection
            .serve(&mut self.buffer, &self.protocol, is_closed)
            .is_err()
        {
            *slot = None;
            self.free.push(index);
        }
    }
}

impl Connection {
    /// Reads and writes until there is nothing to read or no room to write.
    #[expect(clippy::inline_always, reason = "see Bare::serve")]
    #[inline(always)]
    fn serve(&mut self, buffer: &mut [u8], protocol: &Protocol, is_closed: bool) -> io::Result<()> {
        while self.flush(protocol)? {
            let count = match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok((count, _)) => count,
                Err(Errno::WOULDBLOCK) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let bytes = self.received + count;
            self.received = bytes % protocol.request_bytes;
            self.pending += bytes / protocol.request_bytes * protocol.reply_bytes;
            // After a short read the poll reports new bytes, but a FIN only once.
            if count < buffer.len() && !is_closed {
                return self.flush(protocol).map(drop);
            }
        }
        Ok(())
    }

    /// Returns whether everything was sent.
    #[expect(clippy::inline_always, reason = "see Bare::serve")]
    #[inline(always)]
    fn flush(&mut self, protocol: &Protocol) -> io::Result<bool> {
        while self.pending > 0 {
            let rest = &protocol.replies[self.sent..];
            let chunk = &rest[..rest.len().min(self.pending)];
            match send(&self.socket, chunk, SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.pending -= count;
                    self.sent = (self.sent + count) % protocol.reply_bytes;
                }
                Err(Errno::WOULDBLOCK) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::loads::Transport;
    use crate::place::Place;

    /// Starts a bare server in a thread. It listens when this returns.
    pub(crate) fn start(transport: Transport, ping: Ping) -> Place {
        let place = Place::new(transport).expect("there is room");
        let (port, path) = (place.port, place.arguments.get(1).map(PathBuf::from));
        thread::spawn(move || serve(port, path.as_deref(), ping));
        while place.endpoint.connect().is_err() {
            thread::sleep(Duration::from_millis(1));
        }
        place
    }
}
