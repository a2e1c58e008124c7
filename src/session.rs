//! What the server remembers of a client, and all of it that a command sees.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::facts::Facts;
use crate::resp::Protocol;

/// One client's session, from its accept to its close.
#[derive(Debug)]
pub struct Session {
    id: u64,
    peer_addr: SocketAddr,
    protocol: Protocol,
    replies: Replies,
    database: u8,
    ending: Option<Ending>,
    name: Box<[u8]>,
    library_name: Box<[u8]>,
    library_version: Box<[u8]>,
    facts: Arc<Facts>,
}

/// How a command wants its client's connection to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The reply is sent, then the connection is closed.
    AfterReply,
    /// Nothing more is sent: it spoke HTTP.
    Http,
    /// Nothing more is sent: it has the server drain.
    Drain,
}

/// Whether requests are answered: `CLIENT REPLY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replies {
    /// They are.
    On,
    /// They are not.
    Off,
    /// This one is not, and neither is the next.
    SkipTwo,
    /// This one is not.
    SkipOne,
}

/// A name with a byte that is no visible ASCII character: it could break the lines of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidName;

impl Session {
    pub(crate) fn new(id: u64, peer_addr: SocketAddr, facts: Arc<Facts>) -> Self {
        Self {
            id,
            peer_addr,
            protocol: Protocol::Resp2,
            replies: Replies::On,
            database: 0,
            ending: None,
            name: Box::default(),
            library_name: Box::default(),
            library_version: Box::default(),
            facts,
        }
    }

    #[cfg(test)]
    pub(crate) fn for_test(peer_addr: SocketAddr) -> Self {
        Self::new(1, peer_addr, Arc::new(Facts::for_test()))
    }

    /// The client's number: counted from 1 as clients come, never used twice.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The address that the client came from.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer_addr
    }

    /// The version of the protocol in which the client is answered.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The name that the client has given itself; empty if it has not.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The database that the client has selected, 0 to 15.
    #[must_use]
    pub fn database(&self) -> u8 {
        self.database
    }

    /// What is to be known of the server.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Closes the client's connection once this request's reply is sent. Requests pipelined behind
    /// this one are not run.
    pub fn close_after_reply(&mut self) {
        self.ending = Some(Ending::AfterReply);
    }

    /// Closes the client's connection without this request's reply.
    pub(crate) fn close_silently(&mut self, ending: Ending) {
        self.ending = Some(ending);
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        self.ending
    }

    pub(crate) fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    pub(crate) fn set_database(&mut self, database: u8) {
        self.database = database;
    }

    pub(crate) fn set_name(&mut self, name: &[u8]) -> Result<(), InvalidName> {
        set(&mut self.name, name)
    }

    pub(crate) fn set_library_name(&mut self, name: &[u8]) -> Result<(), InvalidName> {
        set(&mut self.library_name, name)
    }

    pub(crate) fn set_library_version(&mut self, version: &[u8]) -> Result<(), InvalidName> {
        set(&mut self.library_version, version)
    }

    pub(crate) fn set_replies(&mut self, replies: Replies) {
        self.replies = replies;
    }

    /// The next request is not answered, and neither is this one. Where none is, none is skipped.
    pub(crate) fn skip_next_reply(&mut self) {
        if self.replies != Replies::Off {
            self.replies = Replies::SkipTwo;
        }
    }

    /// Whether the request that has just run is not answered after all.
    #[inline]
    pub(crate) fn takes_reply_back(&mut self) -> bool {
        if self.replies == Replies::On {
            return false;
        }
        self.replies = match self.replies {
            Replies::SkipTwo => Replies::SkipOne,
            Replies::SkipOne => Replies::On,
            same => same,
        };
        true
    }

    /// Forgets what the client has set, but for what it said of its library: Redis's `RESET`.
    pub(crate) fn reset(&mut self) {
        self.protocol = Protocol::Resp2;
        self.replies = Replies::On;
        self.database = 0;
        self.name = Box::default();
    }
}

/// Sets a name, which must consist of visible ASCII characters; an empty one unsets it.
fn set(field: &mut Box<[u8]>, name: &[u8]) -> Result<(), InvalidName> {
    if !name.iter().all(u8::is_ascii_graphic) {
        return Err(InvalidName);
    }
    *field = name.into();
    Ok(())
}
