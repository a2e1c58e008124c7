//! The bare server: polls, reads, counts bytes and writes. It does not look at what it reads, has one
//! thread, and makes its system calls as respool does, so nothing that answers through the same ones
//! can be faster.

use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::pings::{Dialect, Ping};

/// Serves until the process is killed.
pub(crate) fn serve(port: u16, ping: Ping) -> io::Result<()> {
    let exchange = ping.exchange(&Dialect::Resp);
    let exchange = exchange.ok_or_else(|| io::Error::other("RESP can say every PING"))?;
    let mut bare = Bare::listen(port, exchange.request.len(), &exchange.reply)?;
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

/// No connection's index is as high.
const LISTENER: Token = Token(usize::MAX);

/// Replies are repeated to so many bytes, for one write.
const REPLIES_BYTES: usize = 256 * 1024;

struct Bare {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    terms: Terms,
}

/// All that it knows about the protocol.
struct Terms {
    request_bytes: usize,
    reply_bytes: usize,
    /// The reply over and over.
    replies: Vec<u8>,
}

struct Connection {
    socket: TcpStream,
    /// Bytes of a request that is not whole yet.
    begun: usize,
    /// Bytes to write.
    owed: usize,
    /// Bytes of a reply that are written already: where the next one goes on.
    written: usize,
}

impl Bare {
    fn listen(port: u16, request_bytes: usize, reply: &[u8]) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port).into())?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; 128 * 1024],
            terms: Terms {
                request_bytes,
                reply_bytes: reply.len(),
                replies: reply.repeat(REPLIES_BYTES.div_ceil(reply.len()) + 1),
            },
        })
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut socket, Token(index), both)?;
            self.connections[index] = Some(Connection {
                socket,
                begun: 0,
                owed: 0,
                written: 0,
            });
        }
    }

    /// Closes the connection at its end, and at any error.
    // Inlined, as is all below: no function returns behind a system call, as in respool.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn serve(&mut self, index: usize, ends: bool) {
        let slot = &mut self.connections[index];
        let Some(connection) = slot else { return };
        if connection
            .serve(&mut self.buffer, &self.terms, ends)
            .is_err()
        {
            *slot = None;
            self.free.push(index);
        }
    }
}

impl Connection {
    /// Reads and writes until there is nothing to read, or no room to write.
    #[expect(clippy::inline_always, reason = "see Bare::serve")]
    #[inline(always)]
    fn serve(&mut self, buffer: &mut [u8], terms: &Terms, ends: bool) -> io::Result<()> {
        while self.flush(terms)? {
            let count = match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok((count, _)) => count,
                Err(Errno::WOULDBLOCK) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let bytes = self.begun + count;
            self.begun = bytes % terms.request_bytes;
            self.owed += bytes / terms.request_bytes * terms.reply_bytes;
            // The poll tells of what comes behind a short read, but not again of an end.
            if count < buffer.len() && !ends {
                return self.flush(terms).map(drop);
            }
        }
        Ok(())
    }

    /// Gives whether nothing is owed any more.
    #[expect(clippy::inline_always, reason = "see Bare::serve")]
    #[inline(always)]
    fn flush(&mut self, terms: &Terms) -> io::Result<bool> {
        while self.owed > 0 {
            let rest = &terms.replies[self.written..];
            let some = &rest[..rest.len().min(self.owed)];
            match send(&self.socket, some, SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.owed -= count;
                    self.written = (self.written + count) % terms.reply_bytes;
                }
                Err(Errno::WOULDBLOCK) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}
