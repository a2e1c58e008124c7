//! Stand-in for the crate's module of this name: the parts of a client that the pool and a worker's
//! turn use.

#![expect(missing_docs, reason = "the original documents it")]

use std::io;
use std::sync::Arc;

use crate::mio::{Registry, Socket, Token};
use crate::net::connection::Readiness;
use crate::world::{Inbox, Request};

#[derive(Debug)]
pub struct Client {
    slot: usize,
    /// No clock runs here.
    pub ready_at: u32,
    pub is_notified: bool,
    pub connection: Connection,
    /// Requests that were read and not served yet.
    pub(crate) pending: Vec<Request>,
    /// It is parked because of a pause.
    pub(crate) paused: bool,
    pub(crate) inbox: Arc<Inbox>,
}

/// Remembers the peer's FIN as the original does.
#[derive(Debug)]
pub struct Connection {
    pub(crate) socket: Arc<Socket>,
    watched: bool,
    noted: Readiness,
    ended: bool,
}

impl Client {
    pub(crate) fn new(slot: usize, socket: Arc<Socket>, inbox: Arc<Inbox>) -> Self {
        Self {
            slot,
            ready_at: 0,
            is_notified: false,
            connection: Connection {
                socket,
                watched: false,
                noted: Readiness::default(),
                ended: false,
            },
            pending: Vec::new(),
            paused: false,
            inbox,
        }
    }

    pub fn slot(&self) -> usize {
        self.slot
    }

    pub fn has_unread(&self) -> bool {
        self.inbox.has_unread()
    }

    /// No client of the model has pending output.
    pub fn is_idle(&self) -> bool {
        true
    }
}

impl Connection {
    pub(crate) fn read(&mut self) -> Option<Vec<Request>> {
        let read = self.socket.read();
        match &read {
            Some(requests) => self.ended = requests.is_empty(),
            None => self.noted = Readiness::default(),
        }
        read
    }

    /// Whether a short read has left the socket empty.
    pub(crate) fn is_drained(&self) -> bool {
        !self.noted.ending
    }

    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    pub fn note(&mut self, readiness: Readiness) {
        self.noted = self.noted.and(readiness);
    }

    pub fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if !self.watched {
            registry.register(&self.socket, token);
            self.watched = true;
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.socket.close();
    }
}
