//! A socket and its pending output: bytes only, no command and no protocol.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::event::{Event, Source};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

use crate::net::pending_output::{Flushed, OutputBounds, PendingOutput};

/// A non-blocking connection over TCP or a Unix socket: the system calls are the same. Dropping it
/// closes the socket.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    /// `None` if nothing is pending. In a box, because few clients have pending output.
    pending: Option<Box<PendingOutput>>,
    /// The interest registered with the poll; `None` before the first registration.
    watched: Option<Interest>,
    /// The events since a read found the socket empty.
    pub(crate) readiness: Readiness,
    /// Whether any byte was ever read.
    pub(crate) has_read: bool,
    /// Whether a read returned 0 bytes: the peer has sent FIN, and all its bytes were read.
    pub(crate) ended: bool,
}

/// Events after which a read may fill less than its buffer although there is more to read. Each
/// comes only once, so it is kept until a read would block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// The peer has sent FIN. A read after the last bytes returns 0 bytes.
    pub(crate) ending: bool,
    /// The peer has sent urgent data. A read stops before it (`tcp(7)`).
    pub(crate) urgent: bool,
}

impl Readiness {
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            ending: event.is_read_closed(),
            urgent: event.is_priority(),
        }
    }

    /// Combines this with a later event.
    pub(crate) fn and(self, later: Self) -> Self {
        Self {
            ending: self.ending || later.ending,
            urgent: self.urgent || later.urgent,
        }
    }
}

/// The destination of replies.
pub(crate) trait ReplySink {
    /// Sends `bytes`, and keeps the rest as pending output if it cannot be sent now. Empties
    /// `bytes`, also on an error. Returns whether nothing is pending.
    fn send(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool>;

    /// Blocks or unblocks the client by how much output is pending. Returns whether it is
    /// write-blocked.
    fn update_block(&mut self, bounds: &OutputBounds<'_>) -> bool;
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            pending: None,
            watched: None,
            readiness: Readiness::default(),
            has_read: false,
            ended: false,
        }
    }

    /// Reads into `buffer`; `None` if the socket is empty.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        debug_assert!(!buffer.is_empty());
        let count = unless_blocked(|| receive(&self.socket, buffer, RecvFlags::empty()))?;
        match count {
            Some(0) => self.ended = true,
            // The socket is empty, so what earlier events said no longer holds.
            None => self.readiness = Readiness::default(),
            Some(_) => self.has_read = true,
        }
        Ok(count)
    }

    /// Reads into `buffer`, and leaves the bytes in the socket; `None` if the socket is empty.
    #[cold]
    pub(crate) fn peek(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        unless_blocked(|| receive(&self.socket, buffer, RecvFlags::PEEK))
    }

    /// Takes exactly the bytes of `buffer` from the socket, after [`Self::peek`] returned as many.
    #[cold]
    pub(crate) fn discard(&self, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match unless_blocked(|| receive(&self.socket, buffer, RecvFlags::empty()))? {
                Some(count @ 1..) => buffer = &mut buffer[count..],
                None | Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(())
    }

    /// Returns whether a read of `count` bytes into `room` has left the socket empty, so that the
    /// next byte causes an event: see [`Readiness`].
    pub(crate) fn is_drained(&self, count: usize, room: usize) -> bool {
        count < room && !(self.readiness.ending | self.readiness.urgent)
    }

    /// Records an event.
    pub(crate) fn note(&mut self, readiness: Readiness) {
        self.readiness = self.readiness.and(readiness);
    }

    #[cold]
    fn keep(&mut self, bytes: &mut Vec<u8>, sent: usize) {
        self.pending.get_or_insert_default().push(bytes, sent);
    }

    /// Sends pending output, with `calls` system calls at most. Returns why it stopped.
    pub(crate) fn flush(&mut self, calls: &mut usize, now_s: u32) -> io::Result<Flushed> {
        let Some(pending) = &mut self.pending else {
            return Ok(Flushed::Everything);
        };
        let flushed = pending.flush(calls, now_s, |bytes| {
            unless_blocked(|| send(&self.socket, bytes))
        })?;
        if flushed == Flushed::Everything {
            self.pending = None;
        }
        Ok(flushed)
    }

    /// Adds `bytes` to the pending output, to be sent by the next flush.
    pub(crate) fn append(&mut self, mut bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.keep(&mut bytes, 0);
        }
    }

    /// Returns the output that the socket has not taken yet.
    pub(crate) fn pending(&self) -> Option<&PendingOutput> {
        self.pending.as_deref()
    }

    pub(crate) fn pending_mut(&mut self) -> Option<&mut PendingOutput> {
        self.pending.as_deref_mut()
    }

    /// Sends FIN after everything sent so far.
    pub(crate) fn end_sending(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.socket, Shutdown::Write)?)
    }

    /// Registers the socket with the poll. Without pending output: for readability. With pending
    /// output: for writability, and also for readability unless the client is write-blocked or FIN
    /// was read. Makes a system call only for a change. After a change, a socket that is ready
    /// causes an event at once.
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = match self.pending() {
            None => READABLE,
            Some(pending) if pending.is_blocked() || self.ended => Interest::WRITABLE,
            Some(_) => READABLE | Interest::WRITABLE,
        };
        let descriptor = self.socket.as_raw_fd();
        match self.watched {
            Some(watched) if watched == interest => return Ok(()),
            Some(_) => SourceFd(&descriptor).reregister(registry, token, interest)?,
            None => SourceFd(&descriptor).register(registry, token, interest)?,
        }
        self.watched = Some(interest);
        Ok(())
    }
}

impl ReplySink for Connection {
    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    fn send(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        if let Some(pending) = &mut self.pending {
            // The socket was full. An event will report when it has room.
            if !bytes.is_empty() {
                pending.push(bytes, 0);
            }
            return Ok(false);
        }
        if bytes.is_empty() {
            return Ok(true);
        }
        let sent = unless_blocked(|| send(&self.socket, bytes));
        match sent {
            Ok(Some(sent)) if sent == bytes.len() => {}
            Ok(sent) => self.keep(bytes, sent.unwrap_or(0)),
            Err(_) => {}
        }
        bytes.clear();
        sent.map(|_| self.pending.is_none())
    }

    fn update_block(&mut self, bounds: &OutputBounds<'_>) -> bool {
        self.pending_mut()
            .is_some_and(|pending| pending.update_block(bounds))
    }
}

/// Readability, and urgent data where the system reports it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const READABLE: Interest = Interest::READABLE.add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const READABLE: Interest = Interest::READABLE;

// By rustix, not the standard library: in a process with threads, glibc executes locked
// instructions around each call, to make it a cancellation point. They took 3 to 4 % of the time of
// a PING.

fn receive(socket: &OwnedFd, buffer: &mut [u8], flags: RecvFlags) -> rustix::io::Result<usize> {
    rustix::net::recv(socket, buffer, flags).map(|(count, _)| count)
}

fn send(socket: &OwnedFd, bytes: &[u8]) -> rustix::io::Result<usize> {
    // Apple has no such flag. The standard library passes none there either.
    #[cfg(target_vendor = "apple")]
    let no_signal = SendFlags::empty();
    #[cfg(not(target_vendor = "apple"))]
    let no_signal = SendFlags::NOSIGNAL;
    rustix::net::send(socket, bytes, no_signal)
}

/// Repeats `call` while a signal interrupts it; returns `None` if it would block.
fn unless_blocked(
    mut call: impl FnMut() -> rustix::io::Result<usize>,
) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(count) => return Ok(Some(count)),
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Read;
    use std::net::{Ipv4Addr, TcpListener, TcpStream as Peer};

    /// Returns a connection with small socket buffers, and its peer.
    fn connected() -> (Connection, Peer) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let peer = Peer::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (socket, _) = listener.accept().expect("a connection from the peer");
        let limit_buffers = |socket: socket2::SockRef<'_>| {
            socket.set_send_buffer_size(32 * 1024)?;
            socket.set_recv_buffer_size(32 * 1024)
        };
        limit_buffers((&peer).into()).expect("small buffers");
        limit_buffers((&socket).into()).expect("small buffers");
        socket.set_nonblocking(true).expect("a non-blocking socket");
        (Connection::new(socket.into()), peer)
    }

    // Regression: a peer that had read a huge reply almost to its end made the server keep all of
    // it, although few bytes were pending.
    #[test]
    fn little_pending_output_keeps_no_large_buffer() {
        let (mut connection, mut peer) = connected();
        let mut bytes = vec![b'x'; 1024 * 1024];
        let mut to_come = bytes.len();
        let mut is_sent = connection.send(&mut bytes).expect("the peer is there");
        assert!(!is_sent);
        let mut scratch = [0; 16 * 1024];
        while !is_sent {
            let pending = connection.pending().expect("something is pending");
            let (memory, pending) = (pending.memory_bytes(), pending.len());
            assert!(memory <= 2 * pending + 64 * 1024, "{memory} for {pending}");
            to_come -= peer.read(&mut scratch).expect("it is sent");
            let flushed = connection.flush(&mut 1000, 0).expect("the peer is there");
            is_sent = flushed == Flushed::Everything;
        }
        drop(connection);
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).expect("it is sent");
        assert_eq!(rest.len(), to_come);
    }
}
