//! The bare server: polls, reads, counts bytes and writes.
//!
//! It looks at no byte, has one thread, and makes the same system calls as respool, but none that
//! fails where that can be avoided. So no server that uses these calls can be faster.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};
use socket2::{Domain, Socket};

use crate::pings::{Exchange, Ping};

/// Answers this PING until the process is killed. Listens on the path, if there is one.
pub(crate) fn serve(port: u16, path: Option<&Path>, ping: Ping) -> io::Result<()> {
    let listener = listen(port, path)?;
    let mut bare = Bare::new(ping)?;
    // Level-triggered, so that no accept has to fail.
    bare.watch(&listener, LISTENER, EventFlags::IN)?;
    let mut events = Vec::with_capacity(256);
    loop {
        epoll::wait(&bare.epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => {
                    if let Some(socket) = accept(&listener)? {
                        let index = bare.add(socket);
                        bare.register(index)?;
                    }
                }
                index => bare.serve(index as usize, event.flags),
            }
        }
    }
}

/// Listens on the path, or else on the port.
pub(crate) fn listen(port: u16, path: Option<&Path>) -> io::Result<Socket> {
    let listener: Socket = match path {
        Some(path) => UnixListener::bind(path)?.into(),
        None => TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.into(),
    };
    listener.set_nonblocking(true)?;
    if listener.domain()? != Domain::UNIX {
        // Its connections inherit this.
        listener.set_tcp_nodelay(true)?;
    }
    Ok(listener)
}

/// Accepts a connection; `None` if the peer has gone again.
pub(crate) fn accept(listener: &Socket) -> io::Result<Option<OwnedFd>> {
    match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
        Ok(socket) => Ok(Some(socket)),
        Err(Errno::WOULDBLOCK | Errno::CONNABORTED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// More than the index of any connection.
const LISTENER: u64 = u64::MAX;

/// What a connection is polled for. It is not polled for writability until a send would block.
const READABLE: EventFlags = EventFlags::IN
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);

/// Minimum length of the repeated replies, which one write may send.
const REPLIES_BYTES: usize = 256 * 1024;

/// The connections of a serving thread.
pub(crate) struct Bare {
    pub(crate) epoll: OwnedFd,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    protocol: Protocol,
}

/// All that this server knows about the protocol.
struct Protocol {
    /// Every request and every reply has the same length.
    request_bytes: usize,
    reply_bytes: usize,
    /// The replies in turn, which then begin again.
    replies: Vec<u8>,
    /// The length after which they begin again.
    cycle_bytes: usize,
}

struct Connection {
    socket: OwnedFd,
    index: EventData,
    /// Bytes received of an incomplete request.
    received: usize,
    /// Bytes to send.
    pending: usize,
    /// Where the next byte to send is among the replies.
    next: usize,
}

impl Bare {
    pub(crate) fn new(ping: Ping) -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            connections: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; 128 * 1024],
            protocol: Protocol::new(&ping.exchanges()),
        })
    }

    /// Polls something that is no connection.
    pub(crate) fn watch(&self, what: impl AsFd, index: u64, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            what,
            EventData::new_u64(index),
            flags,
        )?)
    }

    /// Adds a connection, which is not polled yet, and returns its index.
    pub(crate) fn add(&mut self, socket: OwnedFd) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        self.connections[index] = Some(Connection {
            socket,
            index: EventData::new_u64(index as u64),
            received: 0,
            pending: 0,
            next: 0,
        });
        index
    }

    /// Polls a connection, unless it was closed.
    pub(crate) fn register(&self, index: usize) -> io::Result<()> {
        if let Some(connection) = &self.connections[index] {
            epoll::add(&self.epoll, &connection.socket, connection.index, READABLE)?;
        }
        Ok(())
    }

    /// Serves a connection, and closes it after its end or an error.
    // Inlined, as are all functions below: as in respool, no function returns after a system call.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    pub(crate) fn serve(&mut self, index: usize, flags: EventFlags) {
        let slot = &mut self.connections[index];
        let Some(connection) = slot else { return };
        let closed = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        let is_closed = flags.intersects(closed);
        match connection.serve(&mut self.buffer, &self.protocol, is_closed) {
            Ok(State::Readable) => {}
            Ok(State::Blocked) => {
                // If it cannot be polled for more, its client waits in vain, and reports that.
                let both = READABLE | EventFlags::OUT;
                let _ = epoll::modify(&self.epoll, &connection.socket, connection.index, both);
            }
            Err(_) => {
                *slot = None;
                self.free.push(index);
            }
        }
    }
}

/// What a connection waits for.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Readable,
    /// A send would block.
    Blocked,
}

impl Protocol {
    fn new(exchanges: &[Exchange]) -> Self {
        let replies = exchanges.iter().map(|exchange| exchange.reply.as_slice());
        let cycle = replies.collect::<Vec<_>>().concat();
        Self {
            request_bytes: exchanges[0].request.len(),
            reply_bytes: exchanges[0].reply.len(),
            replies: cycle.repeat(REPLIES_BYTES.div_ceil(cycle.len()) + 1),
            cycle_bytes: cycle.len(),
        }
    }
}

impl Connection {
    /// Reads and writes until there is nothing to read or no room to write.
    #[expect(clippy::inline_always, reason = "see Bare::serve")]
    #[inline(always)]
    fn serve(
        &mut self,
        buffer: &mut [u8],
        protocol: &Protocol,
        is_closed: bool,
    ) -> io::Result<State> {
        while self.flush(protocol)? == State::Readable {
            let count = match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok((count, _)) => count,
                Err(Errno::WOULDBLOCK) => return Ok(State::Readable),
                Err(error) => return Err(error.into()),
            };
            let bytes = self.received + count;
            self.received = bytes % protocol.request_bytes;
            self.pending += bytes / protocol.request_bytes * protocol.reply_bytes;
            // After a short read the poll reports new bytes, but a FIN only once.
            if count < buffer.len() && !is_closed {
                return self.flush(protocol);
            }
        }
        Ok(State::Blocked)
    }

    /// Sends what is pending.
    #[expect(clippy::inline_always, reason = "see Bare::serve")]
    #[inline(always)]
    fn flush(&mut self, protocol: &Protocol) -> io::Result<State> {
        while self.pending > 0 {
            let rest = &protocol.replies[self.next..];
            let chunk = &rest[..rest.len().min(self.pending)];
            match send(&self.socket, chunk, SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.pending -= count;
                    self.next = (self.next + count) % protocol.cycle_bytes;
                }
                Err(Errno::WOULDBLOCK) => return Ok(State::Blocked),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(State::Readable)
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
