//! A client: the value that travels from the acceptor over the queue and the workers to parking.

use std::fmt;
use std::io;
use std::mem;
use std::sync::atomic::Ordering;

use mio::net::TcpStream;

use crate::connection::Connection;
use crate::facts::register::{Sentence, flag};
use crate::resp::{Parser, ProtocolError};
use crate::session::Session;

/// One client. It has one owner at a time: the acceptor makes it, the queue carries it, a worker
/// serves it, parking keeps it while it is quiet. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) session: Session,
    /// The bytes of a request that has not wholly come, or of requests that wait for their turn.
    pub(crate) held: Option<Box<Held>>,
    /// Set once the client is on its way out.
    pub(crate) leaving: Option<Leaving>,
}

/// Input that a turn left unserved, and how far the request at its front was understood.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    // Invariant: served <= bytes.len().
    served: usize,
    parser: Parser,
}

impl Held {
    pub(crate) fn new(bytes: &[u8], parser: Parser) -> Self {
        Self {
            bytes: bytes.to_vec(),
            served: 0,
            parser,
        }
    }

    /// Adds what has come since. Gives all that is unserved, and its parser.
    pub(crate) fn extend(&mut self, fresh: &[u8]) -> (&mut Parser, &[u8]) {
        self.bytes.drain(..mem::take(&mut self.served));
        self.bytes.extend_from_slice(fresh);
        (&mut self.parser, &self.bytes)
    }

    /// Bytes that are unserved.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.served
    }

    /// What is left behind the next `count` bytes, which were served; `None` if nothing is.
    pub(crate) fn without(mut self: Box<Self>, count: usize) -> Option<Box<Self>> {
        self.served += count;
        debug_assert!(self.served <= self.bytes.len());
        if self.served > SERVED_BYTES_KEPT {
            self.bytes = self.bytes[mem::take(&mut self.served)..].to_vec();
            self.parser.shrink();
        }
        (self.served < self.bytes.len()).then_some(self)
    }
}

/// Bytes already served that are kept in front of those that are not. Beyond that it is cheaper to
/// move those than to keep, until the rest of a request comes, the memory that a huge one has left.
const SERVED_BYTES_KEPT: usize = 64 * 1024;

/// The state of a lingering close: what was owed is sent, then our end, and then the peer's bytes
/// are read away until it ends too. A socket closed with unread bytes in it would send a reset
/// instead, which can overtake the last reply.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) why: Closed,
    /// Everything owed was sent, and our end behind it.
    pub(crate) sending_ended: bool,
    /// When that was, by the coarse clock.
    pub(crate) since_s: u32,
    /// Bytes read away so far.
    pub(crate) discarded: usize,
    /// It has had its time: the next turn closes it.
    pub(crate) overdue: bool,
}

impl Client {
    pub(crate) fn new(socket: TcpStream, session: Session) -> Self {
        Self {
            connection: Connection::new(socket),
            session,
            held: None,
            leaving: None,
        }
    }

    /// Its slot in parking, from its accept to its close.
    pub(crate) fn place(&self) -> usize {
        self.session.entry().place
    }

    /// Whether it rests because the server's clients are paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.session.entry().has(flag::PAUSED)
    }

    /// Notes in its entry that it has been served, and what is left to do for it.
    pub(crate) fn publish(&self, now_s: u32) {
        let held_bytes = self.held.as_ref().map_or(0, |held| held.len());
        let owed_bytes = self.connection.owed_bytes();
        let entry = self.session.entry();
        entry.publish(now_s, held_bytes, owed_bytes);
    }

    /// Whether it rests only for want of something to read, or because of a pause: nothing is
    /// owed, and it is not on its way out.
    pub(crate) fn is_quiet(&self) -> bool {
        self.leaving.is_none() && !self.connection.owes()
    }

    /// Puts the client on its way out.
    pub(crate) fn leave(&mut self, why: Closed) {
        self.held = None;
        self.leaving = Some(Leaving {
            why,
            sending_ended: false,
            since_s: 0,
            discarded: 0,
            overdue: false,
        });
    }

    /// Ends the rest of a client that is overdue: it leaves, and if it was leaving, it goes.
    pub(crate) fn expire(&mut self) {
        match &mut self.leaving {
            Some(leaving) => leaving.overdue = true,
            None => self.leave(Closed::Timeout),
        }
    }

    /// Whether it is one of the server's clients: admitted, and not yet sent all that it is owed.
    pub(crate) fn is_counted(&self) -> bool {
        self.leaving.as_ref().is_none_or(Leaving::is_counted)
    }

    /// Whether it has been sent all that it is owed, and our end, and only its own end is waited
    /// for.
    pub(crate) fn is_seen_off(&self) -> bool {
        self.leaving
            .as_ref()
            .is_some_and(|leaving| leaving.sending_ended)
    }

    /// Whether the client has rested for too long: behind its farewell, before it took what it is
    /// owed, or by the directive `timeout` (0 means for ever).
    pub(crate) fn is_overdue(&self, now_s: u32, timeout_s: u32) -> bool {
        let active_at_s = self.session.entry().active_at_s.load(Ordering::Relaxed);
        let (since_s, limit_s) = match &self.leaving {
            Some(leaving) if leaving.sending_ended => (leaving.since_s, FAREWELL_S_MAX),
            Some(_) => (active_at_s, OWED_S_MAX),
            // As in Redis, neither who waits by our word nor who only listens.
            None if timeout_s > 0
                && !self
                    .session
                    .entry()
                    .has(flag::PAUSED | flag::SUBSCRIBER | flag::MONITOR) =>
            {
                (active_at_s, timeout_s)
            }
            None => return false,
        };
        now_s.saturating_sub(since_s) > limit_s
    }
}

impl Leaving {
    /// As [`Client::is_counted`].
    pub(crate) fn is_counted(&self) -> bool {
        !self.sending_ended && !matches!(self.why, Closed::Refused)
    }
}

/// Seconds between our end and the close, if the peer does not end before. A round trip is what an
/// attentive peer takes. The coarse clock may add one.
const FAREWELL_S_MAX: u32 = 2;

/// Seconds that a client on its way out may take nothing of what it is owed.
const OWED_S_MAX: u32 = 60;

/// Why a client was closed.
#[derive(Debug)]
pub(crate) enum Closed {
    /// It has ended its sending side, and has everything that it was owed.
    PeerLeft,
    /// It asked for it by QUIT, or a command's handler did.
    Quit,
    /// It sent what is not RESP.
    Protocol(ProtocolError),
    /// It spoke HTTP.
    Http,
    /// It sent no byte for as long as `timeout` allows.
    Timeout,
    /// The socket failed; a reset by the peer is the everyday case.
    Io(io::Error),
    /// The server drains.
    Drained,
    /// A command's handler panicked.
    Panicked,
    /// The server had `maxclients` already.
    Refused,
    /// Another client asked for it by `CLIENT KILL`.
    Killed,
    /// It did not read what it had subscribed to.
    SlowReader,
}

impl Closed {
    /// Whether the peer may still be sending and is owed an orderly end.
    pub(crate) fn wants_farewell(&self) -> bool {
        !matches!(
            self,
            Self::PeerLeft | Self::Io(_) | Self::Http | Self::Killed | Self::SlowReader
        )
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerLeft => f.write_str("the peer left"),
            Self::Quit => f.write_str("it asked to be closed"),
            Self::Protocol(error) => write!(f, "protocol error: {error}"),
            Self::Http => f.write_str("it spoke HTTP"),
            Self::Timeout => f.write_str("it was idle for longer than `timeout`"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Drained => f.write_str("the server drains"),
            Self::Panicked => f.write_str("a command's handler panicked"),
            Self::Refused => f.write_str("`maxclients` was reached"),
            Self::Killed => f.write_str("CLIENT KILL"),
            Self::SlowReader => f.write_str("it did not read what it had subscribed to"),
        }
    }
}

impl From<Sentence> for Closed {
    fn from(sentence: Sentence) -> Self {
        match sentence {
            Sentence::Killed => Self::Killed,
            Sentence::SlowReader => Self::SlowReader,
        }
    }
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ProtocolError> for Closed {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    fn client() -> Client {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let socket = TcpStream::connect(addr).expect("it listens");
        Client::new(socket, Session::for_test(0, addr))
    }

    #[test]
    fn timeout_counts_from_the_last_park_and_0_means_for_ever() {
        let client = client();
        client.publish(100);
        assert!(!client.is_overdue(110, 10));
        assert!(client.is_overdue(111, 10));
        assert!(!client.is_overdue(u32::MAX, 0));
    }

    #[test]
    fn a_farewell_waits_longer_for_who_still_reads_than_for_who_only_has_to_end() {
        let mut client = client();
        client.leave(Closed::Quit);
        client.publish(100);
        assert!(!client.is_overdue(100 + OWED_S_MAX, 0));
        assert!(client.is_overdue(101 + OWED_S_MAX, 0));
        if let Some(leaving) = &mut client.leaving {
            leaving.sending_ended = true;
            leaving.since_s = 200;
        }
        assert!(!client.is_overdue(200 + FAREWELL_S_MAX, 0));
        assert!(client.is_overdue(201 + FAREWELL_S_MAX, 0));
    }

    #[test]
    fn what_a_huge_request_needed_is_given_back_when_it_is_served() {
        let mut held = Box::new(Held::new(&vec![b'x'; 1 << 20], Parser::default()));
        held.extend(b"PI");
        let held = held.without(1 << 20).expect("two bytes are left");
        assert_eq!(held.bytes, b"PI");
        assert!(held.bytes.capacity() < 100);
        assert!(held.without(2).is_none());
    }
}
