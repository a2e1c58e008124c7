//! What the server remembers of a client, and all of it that a command sees.

use std::net::SocketAddr;

/// One client's session, from its accept to its close.
#[derive(Debug)]
pub struct Session {
    id: u64,
    peer_addr: SocketAddr,
    ending: Option<Ending>,
}

/// How a command wants its client's connection to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The reply is sent, then the connection is closed.
    AfterReply,
    /// Nothing more is sent.
    Silent,
}

impl Session {
    pub(crate) fn new(id: u64, peer_addr: SocketAddr) -> Self {
        Self {
            id,
            peer_addr,
            ending: None,
        }
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

    /// Closes the client's connection once this request's reply is sent. Requests pipelined behind
    /// this one are not run.
    pub fn close_after_reply(&mut self) {
        self.ending = Some(Ending::AfterReply);
    }

    /// Closes the client's connection without this request's reply.
    pub(crate) fn close_silently(&mut self) {
        self.ending = Some(Ending::Silent);
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        self.ending
    }
}
