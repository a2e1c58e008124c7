//! What stands in for the crate's module of this name: a client, as far as the pool and a worker's
//! turn look at it.

use std::io;
use std::sync::Arc;

use crate::mio::{Registry, Socket, Token};
use crate::net::connection::Readiness;
use crate::world::{Mailbox, Request};

/// As its namesake.
#[derive(Debug)]
pub struct Client {
    slot: usize,
    /// As its namesake.
    pub connection: Connection,
    /// Requests that were read and wait for their turn.
    pub(crate) held: Vec<Request>,
    /// It rests because of a pause.
    pub(crate) paused: bool,
    pub(crate) mailbox: Arc<Mailbox>,
}

/// As its namesake: what it remembers of the peer's end is the same.
#[derive(Debug)]
pub struct Connection {
    pub(crate) socket: Arc<Socket>,
    watched: bool,
    noted: Readiness,
    ended: bool,
}

impl Client {
    pub(crate) fn new(slot: usize, socket: Arc<Socket>, mailbox: Arc<Mailbox>) -> Self {
        Self {
            slot,
            connection: Connection {
                socket,
                watched: false,
                noted: Readiness::default(),
                ended: false,
            },
            held: Vec::new(),
            paused: false,
            mailbox,
        }
    }

    /// As its namesake.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// As its namesake. Nobody in the model owes anything.
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

    /// Whether a read that did not fill the room has left the socket empty.
    pub(crate) fn is_drained(&self) -> bool {
        !self.noted.ending
    }

    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// As its namesake.
    pub fn note(&mut self, readiness: Readiness) {
        self.noted = self.noted.and(readiness);
    }

    /// As its namesake.
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
