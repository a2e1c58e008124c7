//! A socket and its pending output: bytes only, no command and no protocol.

use std::io;
#[cfg(feature = "tls")]
use std::mem;
use std::os::fd::OwnedFd;
use std::time::Duration;

use mio::Interest;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

use crate::net::edge_poll::{self, Event, Registry, Token};
use crate::net::pending_output::{Flushed, OutputBounds, PendingOutput};
use crate::net::tcp_info;
#[cfg(feature = "tls")]
use crate::net::tls::{TlsError, TlsState};

/// A non-blocking connection over TCP or a Unix socket: the system calls are the same. Dropping it
/// closes the socket.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    /// `None` without TLS.
    #[cfg(feature = "tls")]
    tls: Option<Box<TlsState>>,
    /// The bytes that the socket has not taken: with TLS, records. `None` if nothing is pending. In
    /// a box, because few clients have pending output.
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
    /// The peer has sent FIN or, with TLS, `close_notify`. A read after the last bytes returns 0
    /// bytes.
    pub(crate) ending: bool,
    /// The peer has sent urgent data, and a read stops before it (`tcp(7)`). Or a read of TLS has
    /// filled its buffer with records, which have fewer bytes of plaintext.
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
            #[cfg(feature = "tls")]
            tls: None,
            pending: None,
            watched: None,
            readiness: Readiness::default(),
            has_read: false,
            ended: false,
        }
    }

    /// Reads into `buffer`; `None` if the socket is empty.
    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        debug_assert!(!buffer.is_empty());
        let count = unless_blocked(|| self.receive_once(buffer));
        #[cfg(feature = "tls")]
        let count = count.map_err(|error| self.tls_error(error));
        let count = count?;
        match count {
            Some(0) => self.ended = true,
            // The socket is empty, so what earlier events said no longer holds.
            None => self.readiness = Readiness::default(),
            Some(_) => self.has_read = true,
        }
        Ok(count)
    }

    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    fn receive_once(&mut self, buffer: &mut [u8]) -> rustix::io::Result<usize> {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return self.receive_records(buffer);
        }
        receive(&self.socket, buffer, RecvFlags::empty())
    }

    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    fn send_once(&mut self, bytes: &[u8]) -> rustix::io::Result<usize> {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return self.send_records(bytes);
        }
        send(&self.socket, bytes)
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

    /// Returns whether the peer has sent FIN or, with TLS, `close_notify`, also if bytes before it
    /// are unread. Events alone do not say it: one may be of the client that had the slot before.
    #[cold]
    pub(crate) fn has_peer_ended(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.as_ref().is_some_and(|tls| tls.has_peer_closed()) {
            return true;
        }
        let mut socket = [PollFd::new(&self.socket, ENDED)];
        self.readiness.ending
            && poll(&mut socket, Some(&Timespec::default())).is_ok()
            && socket[0].revents().intersects(ENDED | PollFlags::HUP)
    }

    /// Returns whether a read of `count` bytes into `room` has left the socket empty, so that the
    /// next byte causes an event: see [`Readiness`].
    ///
    /// A read of a Unix socket also stops after a message with file descriptors, which no event
    /// reports. No client of Redis sends any; one that does may wait until its next bytes.
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
        // It fails during the handshake, or if TLS has failed: then nothing can be said.
        #[cfg(feature = "tls")]
        if self.encrypt(&mut bytes).is_err() {
            return;
        }
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

    /// Returns how long ago the socket became ready, at most `within`. For a Unix socket, nobody
    /// knows, and this is `within`.
    #[cold]
    pub(crate) fn since_event(&self, within: Duration) -> Duration {
        tcp_info::since_event(&self.socket, within).map_or(within, |since| since.min(within))
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
        match self.watched {
            Some(watched) if watched == interest => return Ok(()),
            Some(_) => edge_poll::change(registry, &self.socket, token, interest)?,
            None => edge_poll::add(registry, &self.socket, token, interest)?,
        }
        self.watched = Some(interest);
        Ok(())
    }
}

/// TLS. Out of line: a connection without it only looks whether there is any.
#[cfg(feature = "tls")]
impl Connection {
    /// Begins TLS: the next bytes of the peer are its handshake.
    pub(crate) fn start_tls(&mut self, tls: TlsState) {
        self.tls = Some(Box::new(tls));
    }

    fn note_overhead(&mut self, bytes: usize) {
        if let Some(tls) = &mut self.tls {
            tls.overhead = bytes;
        }
    }

    /// Returns the bytes of the last read that were not plaintext. They count for the budget of a
    /// turn: a record may have little plaintext.
    pub(crate) fn take_overhead(&mut self) -> usize {
        match &mut self.tls {
            Some(tls) => mem::take(&mut tls.overhead),
            None => 0,
        }
    }

    /// Whether the rest of a record is missing.
    pub(crate) fn is_mid_record(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_mid_record())
    }

    /// Returns the memory of incomplete records, and of plaintext that came with the handshake.
    pub(crate) fn record_bytes(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.kept_bytes())
    }

    /// Whether TLS has begun and not ended.
    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads, and answers the flight of the peer's handshake if it is whole. `None` if the socket
    /// is empty. After [`TlsError::NotTls`] the connection is plain.
    #[cold]
    pub(crate) fn handshake(&mut self, buffer: &mut [u8]) -> Result<Option<Flight>, TlsError> {
        let count = match unless_blocked(|| self.receive_records(buffer)) {
            Ok(count) => count,
            Err(error) => return Err(self.handshake_error(error)),
        };
        if count.is_none() {
            self.readiness = Readiness::default();
        }
        let Some(tls) = &mut self.tls else {
            return Ok(None);
        };
        if tls.is_handshaking() {
            return Ok((count == Some(0)).then_some(Flight::PeerLeft));
        }
        tls.keep_plaintext(&buffer[..count.unwrap_or(0)]);
        // The next read returns it, and then asks the socket.
        self.readiness.urgent = true;
        Ok(Some(Flight::Last))
    }

    /// Receives plaintext: as `recv` would, if the peer had sent no records.
    #[cold]
    #[inline(never)]
    fn receive_records(&mut self, buffer: &mut [u8]) -> rustix::io::Result<usize> {
        let mut received = 0;
        loop {
            let Some(tls) = &mut self.tls else {
                return Ok(0);
            };
            let early = tls.take_plaintext(buffer);
            if early > 0 || tls.has_peer_closed() {
                return Ok(early);
            }
            let start = tls.begin_read(buffer);
            let room = buffer.len() - start;
            let count = receive(&self.socket, &mut buffer[start..], RecvFlags::empty())?;
            if count == 0 {
                return Ok(0);
            }
            received += count;
            let plaintext = self.decrypt(buffer, start + count)?;
            if plaintext > 0 {
                self.note_overhead(received.saturating_sub(plaintext));
                return Ok(plaintext);
            }
            // A record is incomplete, or has no plaintext.
            if self.is_drained(count, room) {
                return Err(Errno::WOULDBLOCK);
            }
        }
    }

    /// Decrypts the records in `buffer`, which end at `filled`, and sends what TLS has to send.
    /// Returns the length of the plaintext.
    fn decrypt(&mut self, buffer: &mut [u8], filled: usize) -> rustix::io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return Ok(0);
        };
        let mut output = Vec::new();
        let result = tls.receive(buffer, filled, &mut output);
        self.readiness = self.readiness.and(Readiness {
            ending: tls.has_peer_closed(),
            urgent: filled == buffer.len(),
        });
        // Ignored: the peer may have left before its ticket was sent, and its requests count. If
        // the connection is broken, the next read reports it.
        let _ = self.send_or_keep(&mut output);
        self.note_error(result)
    }

    /// Sends `plaintext` as records. Keeps the records that the socket does not take, so that all
    /// of `plaintext` is taken.
    #[cold]
    #[inline(never)]
    fn send_records(&mut self, plaintext: &[u8]) -> rustix::io::Result<usize> {
        let mut records = Vec::new();
        let encrypted = match &mut self.tls {
            Some(tls) => tls.encrypt(plaintext, &mut records),
            None => Ok(()),
        };
        self.note_error(encrypted)?;
        self.send_or_keep(&mut records)?;
        Ok(plaintext.len())
    }

    /// Sends records, and keeps the rest as pending output.
    fn send_or_keep(&mut self, records: &mut Vec<u8>) -> rustix::io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut sent = 0;
        if self.pending.is_none() {
            sent = match send(&self.socket, records) {
                Err(Errno::WOULDBLOCK | Errno::INTR) => 0,
                sent => sent?,
            };
        }
        if sent < records.len() {
            self.keep(records, sent);
        }
        Ok(())
    }

    /// Keeps the error of TLS for [`Self::tls_error`]: system calls return numbers.
    fn note_error<T>(&mut self, result: Result<T, TlsError>) -> rustix::io::Result<T> {
        result.map_err(|error| {
            if let Some(tls) = &mut self.tls {
                tls.error = Some(error);
            }
            Errno::PROTO
        })
    }

    /// Returns the error of TLS in place of `error`, if there is one.
    #[cold]
    fn tls_error(&mut self, error: io::Error) -> io::Error {
        let tls = self.tls.as_mut().and_then(|tls| tls.error.take());
        tls.map_or(error, io::Error::from)
    }

    fn handshake_error(&mut self, error: io::Error) -> TlsError {
        let tls = self.tls.as_mut().and_then(|tls| tls.error.take());
        if matches!(tls, Some(TlsError::NotTls)) {
            self.tls = None;
        }
        tls.unwrap_or(TlsError::Io(error))
    }

    /// Replaces `bytes` by records if there is TLS.
    fn encrypt(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        let mut records = Vec::new();
        let encrypted = tls.encrypt(bytes, &mut records);
        *bytes = if encrypted.is_ok() {
            records
        } else {
            Vec::new()
        };
        Ok(encrypted?)
    }

    /// Ends TLS: `close_notify` follows the pending output. Nothing must be sent from now on, and
    /// bytes of the peer are read as they are, to be discarded.
    #[cold]
    pub(crate) fn end_tls(&mut self) {
        if let Some(mut tls) = self.tls.take() {
            let mut records = Vec::new();
            tls.close(&mut records);
            if !records.is_empty() {
                self.keep(&mut records, 0);
            }
        }
    }

    /// Ends TLS of a connection that is dropped next: sends `close_notify` if nothing is pending
    /// and the socket has room.
    #[cold]
    pub(crate) fn end_tls_at_once(&mut self) {
        if let Some(mut tls) = self.tls.take()
            && self.pending.is_none()
        {
            let mut records = Vec::new();
            tls.close(&mut records);
            // Ignored: without it the peer sees FIN alone.
            let _ = self.send_or_keep(&mut records);
        }
    }
}

/// What a read during a handshake has brought, besides a flight that is not the last.
#[cfg(feature = "tls")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flight {
    /// The last flight: the handshake is over.
    Last,
    /// FIN.
    PeerLeft,
}

impl ReplySink for Connection {
    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    fn send(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        if self.pending.is_some() {
            // The socket was full. An event will report when it has room.
            #[cfg(feature = "tls")]
            self.encrypt(bytes)?;
            if !bytes.is_empty() {
                self.keep(bytes, 0);
            }
            return Ok(false);
        }
        if bytes.is_empty() {
            return Ok(true);
        }
        let sent = unless_blocked(|| self.send_once(bytes));
        #[cfg(feature = "tls")]
        let sent = sent.map_err(|error| self.tls_error(error));
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

/// FIN of the peer, where the system reports it; otherwise only the end of both directions.
#[cfg(any(target_os = "linux", target_os = "android"))]
const ENDED: PollFlags = PollFlags::RDHUP;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const ENDED: PollFlags = PollFlags::HUP;

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
#[expect(clippy::inline_always, reason = "see Worker::serve_input")]
#[inline(always)]
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
    use std::time::{Duration, Instant};

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

    // Regression: an event of the client that had the slot before closed its successor.
    #[test]
    fn event_alone_does_not_end_a_connection() {
        let (mut connection, peer) = connected();
        connection.note(Readiness {
            ending: true,
            urgent: false,
        });
        assert!(!connection.has_peer_ended());
        peer.shutdown(std::net::Shutdown::Write)
            .expect("a connection");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !connection.has_peer_ended() {
            assert!(Instant::now() < deadline, "FIN does not show");
        }
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
