//! A socket and what is still to be sent on it: bytes only, no command and no protocol.

use std::io::{self, Read};
use std::mem;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// One end of a TCP connection, never blocking. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    /// Bytes that the socket did not take yet; those before `sent` it has taken.
    unsent: Vec<u8>,
    // Invariant: sent <= unsent.len(), and both are 0 when nothing is owed.
    sent: usize,
    /// What the poll watches the socket for; `None` before it was first parked.
    watched: Option<Interest>,
    /// An event said that the peer has ended its sending side. That event does not come twice, so
    /// from then on only a read of 0 bytes means that there is nothing left to read.
    ending: bool,
    /// Something was ever read.
    has_read: bool,
    /// A read gave 0 bytes: the peer has ended its sending side, and everything was read.
    ended: bool,
}

impl Connection {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            unsent: Vec::new(),
            sent: 0,
            watched: None,
            ending: false,
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
            // The event was not about this peer's end: that would have been read.
            None => self.ending = false,
            Some(_) => self.has_read = true,
        }
        Ok(count)
    }

    /// Whether a read that gave `count` bytes where `room` were wanted has left the socket empty,
    /// so that the next byte brings an event.
    pub(crate) fn is_drained(&self, count: usize, room: usize) -> bool {
        count < room && !self.ending
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
        self.ending
    }

    /// Notes what an event said of the peer's sending side.
    pub(crate) fn note_ending(&mut self, ending: bool) {
        self.ending |= ending;
    }

    /// Sends `bytes` and empties it, whatever comes of it. What the socket does not take is kept
    /// and owed.
    ///
    /// Gives whether nothing is owed.
    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    pub(crate) fn send(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        if self.owes() {
            self.unsent.append(bytes);
            return self.flush();
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
        sent.map(|_| !self.owes())
    }

    /// Keeps the bytes that the socket did not take: a few are copied, so that they keep no large
    /// buffer; where they are most of it, it is kept itself.
    fn keep(&mut self, bytes: &mut Vec<u8>, sent: usize) {
        if bytes.len() - sent > bytes.capacity() / 2 {
            self.unsent = mem::take(bytes);
            self.sent = sent;
        } else {
            self.unsent.extend_from_slice(&bytes[sent..]);
        }
    }

    /// Sends what is owed. Gives whether nothing is owed any more.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        while self.owes() {
            let unsent = &self.unsent[self.sent..];
            let Some(count) = unless_blocked(|| send(&self.socket, unsent))? else {
                self.forget_sent();
                return Ok(false);
            };
            self.sent += count;
            if self.sent == self.unsent.len() {
                // A quiet client keeps no buffers.
                self.unsent = Vec::new();
                self.sent = 0;
            }
        }
        Ok(true)
    }

    /// Gives the room back of what was sent, once that is more than what is still owed: so no byte
    /// is moved more than once for one that was sent.
    fn forget_sent(&mut self) {
        if self.sent > self.owed_bytes().max(UNSENT_BYTES_KEPT / 2) {
            self.unsent = self.unsent[self.sent..].to_vec();
            self.sent = 0;
        }
    }

    /// Keeps `bytes` as owed, to be sent by the next flush.
    pub(crate) fn owe(&mut self, mut bytes: Vec<u8>) {
        self.unsent.append(&mut bytes);
    }

    /// Whether bytes are kept that the socket has not taken.
    pub(crate) fn owes(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// How many bytes that is.
    pub(crate) fn owed_bytes(&self) -> usize {
        self.unsent.len() - self.sent
    }

    /// Reads what still comes and throws it away, until the peer ends or `deadline` has passed.
    pub(crate) fn discard(self, deadline: Instant) {
        let socket = std::net::TcpStream::from(self.socket);
        let mut scratch = [0; 4096];
        let mut read = || -> io::Result<usize> {
            socket.set_nonblocking(false)?;
            // No wait can be of no time.
            let left = deadline.saturating_duration_since(Instant::now());
            socket.set_read_timeout(Some(left.max(Duration::from_micros(1))))?;
            (&socket).read(&mut scratch)
        };
        while Instant::now() < deadline && read().is_ok_and(|count| count > 0) {}
    }

    /// Ends our sending side: the peer reads everything sent so far, and then the end.
    pub(crate) fn end_sending(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Has the poll watch the socket: for room to send while bytes are owed, and for bytes to read
    /// otherwise. Only a change costs a system call; a change also brings an event at once if the
    /// socket is ready already.
    pub(crate) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = if self.owes() {
            Interest::WRITABLE
        } else {
            Interest::READABLE
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

/// Bytes of a buffer that is kept however little of it is still owed: to move that costs more than
/// its room is worth.
const UNSENT_BYTES_KEPT: usize = 64 * 1024;

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

    // Whoever took all but the end of a huge reply had the server keep all of it, and counted as
    // somebody for whom a few bytes wait.
    #[test]
    fn who_is_owed_little_keeps_no_large_buffer() {
        let (mut connection, mut peer) = connected();
        let mut bytes = vec![b'x'; 1024 * 1024];
        let mut to_come = bytes.len();
        let mut taken = connection.send(&mut bytes).expect("the peer is there");
        assert!(!taken);
        let mut scratch = [0; 16 * 1024];
        while !taken {
            let held = connection.unsent.capacity();
            let owed = connection.owed_bytes();
            assert!(held <= 2 * owed + UNSENT_BYTES_KEPT, "{held} for {owed}");
            to_come -= peer.read(&mut scratch).expect("it is sent");
            taken = connection.flush().expect("the peer is there");
        }
        drop(connection);
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).expect("it is sent");
        assert_eq!(rest.len(), to_come);
    }
}
