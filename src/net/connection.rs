//! A socket and what is still to be sent on it: bytes only, no command and no protocol.

use std::io;
use std::net::Shutdown;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::net::pending_output::{Flushed, OutputBounds, PendingOutput};

/// One end of a TCP connection, never blocking. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    /// `None` when the socket has taken everything. In a box, because few clients have any.
    pending: Option<Box<PendingOutput>>,
    /// What the poll watches the socket for; `None` before it was first parked.
    watched: Option<Interest>,
    /// What events have said since a read found the socket empty.
    noted: Readiness,
    /// Something was ever read.
    has_read: bool,
    /// A read gave 0 bytes: the peer has ended its sending side, and everything was read.
    ended: bool,
}

/// What an event said of a socket, beside that it is ready: why a short read does not prove that the
/// socket is empty. The event does not come twice, so from then on only a read that would block, or
/// one of 0 bytes, proves it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// The peer has ended its sending side. The end is read after the last bytes, by a read of its
    /// own.
    pub(crate) ending: bool,
    /// The peer has sent urgent data, before which a read stops (`tcp(7)`).
    pub(crate) urgent: bool,
}

impl Readiness {
    /// What `event` says.
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            ending: event.is_read_closed(),
            urgent: event.is_priority(),
        }
    }

    /// What this and a later event say together.
    pub(crate) fn and(self, later: Self) -> Self {
        Self {
            ending: self.ending || later.ending,
            urgent: self.urgent || later.urgent,
        }
    }
}

impl Connection {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            pending: None,
            watched: None,
            noted: Readiness::default(),
            has_read: false,
            ended: false,
        }
    }

    /// Reads what has come, as much as fits; `None` when nothing has.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        debug_assert!(!buffer.is_empty());
        let count = unless_blocked(|| receive(&self.socket, buffer))?;
        match count {
            Some(0) => self.ended = true,
            // An event that was about this peer's end would have been read.
            None => self.noted = Readiness::default(),
            Some(_) => self.has_read = true,
        }
        Ok(count)
    }

    /// Whether a read of `count` bytes into `room` has left the socket empty, so that the next byte
    /// brings an event. A short read proves that only if no event has said that there is more than
    /// bytes: see [`Readiness`].
    pub(crate) fn is_drained(&self, count: usize, room: usize) -> bool {
        count < room && !(self.noted.ending | self.noted.urgent)
    }

    /// Whether any byte was ever read.
    pub(crate) fn has_read(&self) -> bool {
        self.has_read
    }

    /// Whether the peer has ended its sending side and everything that it sent was read.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Whether an event said that the peer has ended its sending side.
    pub(crate) fn is_ending(&self) -> bool {
        self.noted.ending
    }

    /// Notes what an event said.
    pub(crate) fn note(&mut self, readiness: Readiness) {
        self.noted = self.noted.and(readiness);
    }

    /// Sends `bytes` and empties it, whatever comes of it. What the socket does not take is kept as
    /// pending output.
    ///
    /// Returns whether nothing is pending.
    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    pub(crate) fn send(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        if let Some(pending) = &mut self.pending {
            // The socket was full: an event will tell when it takes more.
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

    /// The output that the socket has not taken yet.
    pub(crate) fn pending(&self) -> Option<&PendingOutput> {
        self.pending.as_deref()
    }

    /// As [`Self::pending`].
    pub(crate) fn pending_mut(&mut self) -> Option<&mut PendingOutput> {
        self.pending.as_deref_mut()
    }

    /// Bytes that the socket has not taken yet.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.pending().map_or(0, PendingOutput::len)
    }

    /// Blocks or unblocks the client: see [`PendingOutput::update_block`]. Returns whether it is
    /// write-blocked.
    pub(crate) fn update_block(&mut self, bounds: &OutputBounds<'_>) -> bool {
        self.pending_mut()
            .is_some_and(|pending| pending.update_block(bounds))
    }

    /// Ends our sending side: the peer reads everything sent so far, and then the end.
    pub(crate) fn end_sending(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Has the poll watch the socket: for bytes to read, unless the client is write-blocked or its
    /// peer has ended; and for room to send, while output is pending. Only a change costs a system
    /// call; a change also brings an event at once if the socket is ready already.
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = match self.pending() {
            None => READABLE,
            Some(pending) if pending.is_blocked() || self.ended => Interest::WRITABLE,
            Some(_) => READABLE | Interest::WRITABLE,
        };
        match self.watched {
            Some(watched) if watched == interest => return Ok(()),
            Some(_) => registry.reregister(&mut self.socket, token, interest)?,
            None => registry.register(&mut self.socket, token, interest)?,
        }
        self.watched = Some(interest);
        Ok(())
    }
}

/// What tells that there is something to read, and where the system knows it, that there is urgent
/// data.
#[cfg(any(target_os = "linux", target_os = "android"))]
const READABLE: Interest = Interest::READABLE.add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const READABLE: Interest = Interest::READABLE;

// By rustix, not by the standard library: in a process with threads, glibc's calls make themselves
// points at which the thread could be cancelled, and take them back, with locked instructions. That
// is 3 to 4 % of a PING.

fn receive(socket: &TcpStream, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    rustix::net::recv(socket, buffer, RecvFlags::empty()).map(|(count, _)| count)
}

fn send(socket: &TcpStream, bytes: &[u8]) -> rustix::io::Result<usize> {
    // Apple has no such flag; the standard library passes none there either.
    #[cfg(target_vendor = "apple")]
    let no_signal = SendFlags::empty();
    #[cfg(not(target_vendor = "apple"))]
    let no_signal = SendFlags::NOSIGNAL;
    rustix::net::send(socket, bytes, no_signal)
}

/// Runs `call` until no signal cuts it short; `None` when it would have to wait.
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

    /// A connection whose sockets hold little, and its peer.
    fn connected() -> (Connection, Peer) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let peer = Peer::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let (socket, _) = listener.accept().expect("the peer has come");
        let few = |socket: socket2::SockRef<'_>| {
            socket.set_send_buffer_size(32 * 1024)?;
            socket.set_recv_buffer_size(32 * 1024)
        };
        few((&peer).into()).expect("the system lets us");
        few((&socket).into()).expect("the system lets us");
        socket.set_nonblocking(true).expect("the system lets us");
        (Connection::new(TcpStream::from_std(socket)), peer)
    }

    // A peer that had taken all but the end of a huge reply made the server keep all of it, and
    // counted as a client with few bytes pending.
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
            let (held, pending) = (pending.memory_bytes(), pending.len());
            assert!(held <= 2 * pending + 64 * 1024, "{held} for {pending}");
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
