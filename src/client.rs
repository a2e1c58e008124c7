//! A client: the value that travels from the acceptor over the queue and the workers to parking.

use std::fmt;
use std::io;
use std::mem;
use std::net::SocketAddr;

use mio::net::TcpStream;

use crate::connection::Connection;
use crate::resp::{Parser, ProtocolError};
use crate::session::Session;

/// One client. It has one owner at a time: the acceptor makes it, the queue carries it, a worker
/// serves it, parking keeps it while it is quiet. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its slot in parking, from its accept to its close.
    pub(crate) place: usize,
    pub(crate) connection: Connection,
    pub(crate) session: Session,
    /// The bytes of a request that has not wholly come, or of requests that wait for their turn.
    pub(crate) held: Option<Box<Held>>,
    /// Set once the client is on its way out.
    pub(crate) leaving: Option<Leaving>,
    /// When it was last parked, by the coarse clock. It is also what `timeout` counts from.
    pub(crate) parked_at_s: u32,
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

    /// What is left behind the next `count` bytes, which were served; `None` if nothing is.
    pub(crate) fn without(mut self: Box<Self>, count: usize) -> Option<Box<Self>> {
        self.served += count;
        debug_assert!(self.served <= self.bytes.len());
        (self.served < self.bytes.len()).then_some(self)
    }
}

/// The state of a lingering close: what was owed is sent, then our end, and then the peer's bytes
/// are read away until it ends too. A socket closed with unread bytes in it would send a reset
/// instead, which can overtake the last reply.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) why: Closed,
    /// When it began, by the coarse clock.
    since_s: u32,
    /// Everything owed was sent, and our end behind it.
    pub(crate) sending_ended: bool,
    /// Bytes read away so far.
    pub(crate) discarded: usize,
    /// It has had its time: the next turn closes it.
    pub(crate) overdue: bool,
}

impl Client {
    pub(crate) fn new(id: u64, place: usize, socket: TcpStream, peer_addr: SocketAddr) -> Self {
        Self {
            place,
            connection: Connection::new(socket),
            session: Session::new(id, peer_addr),
            held: None,
            leaving: None,
            parked_at_s: 0,
        }
    }

    /// Whether it rests only for want of something to read: nothing is owed, and it is not on its
    /// way out.
    pub(crate) fn is_quiet(&self) -> bool {
        self.leaving.is_none() && !self.connection.owes()
    }

    /// Puts the client on its way out.
    pub(crate) fn leave(&mut self, why: Closed, now_s: u32) {
        self.held = None;
        self.leaving = Some(Leaving {
            why,
            since_s: now_s,
            sending_ended: false,
            discarded: 0,
            overdue: false,
        });
    }

    /// Ends the rest of a client that is overdue: it leaves, and if it was leaving, it goes.
    pub(crate) fn expire(&mut self, now_s: u32) {
        match &mut self.leaving {
            Some(leaving) => leaving.overdue = true,
            None => self.leave(Closed::Timeout, now_s),
        }
    }

    /// Whether it is one of the server's clients: admitted, and not yet sent all that it is owed.
    pub(crate) fn is_counted(&self) -> bool {
        self.leaving.as_ref().is_none_or(Leaving::is_counted)
    }

    /// Whether the client has rested for too long: behind its farewell, or by the directive
    /// `timeout` (0 means for ever).
    pub(crate) fn is_overdue(&self, now_s: u32, timeout_s: u32) -> bool {
        match &self.leaving {
            Some(leaving) => now_s.saturating_sub(leaving.since_s) > FAREWELL_S_MAX,
            None => timeout_s > 0 && now_s.saturating_sub(self.parked_at_s) > timeout_s,
        }
    }
}

impl Leaving {
    /// As [`Client::is_counted`].
    pub(crate) fn is_counted(&self) -> bool {
        !self.sending_ended && !matches!(self.why, Closed::Refused)
    }
}

/// Seconds between the last reply to a client and its close, if the peer does not end before. One
/// round trip is what an attentive peer takes; the coarse clock may add one second.
const FAREWELL_S_MAX: u32 = 2;

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
    Drained {
        /// Bytes had come from it since it last rested, so its reply may still be under way.
        heard: bool,
    },
    /// A command's handler panicked.
    Panicked,
    /// The server had `maxclients` already.
    Refused,
}

impl Closed {
    /// Whether the peer may still be sending and is owed an orderly end.
    pub(crate) fn wants_farewell(&self) -> bool {
        !matches!(
            self,
            Self::PeerLeft | Self::Io(_) | Self::Http | Self::Drained { heard: false }
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
            Self::Drained { .. } => f.write_str("the server drains"),
            Self::Panicked => f.write_str("a command's handler panicked"),
            Self::Refused => f.write_str("`maxclients` was reached"),
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
