//! Stand-in for `src/net/edge_poll.rs`, whose names are those of mio: a poll like `epoll(7)` with
//! `EPOLLET`, and its sockets.
//!
//! Bytes or FIN put a socket on the poll's list, once. Registering a readable socket does so too. A
//! wait takes sockets from the list and returns those that are still readable. Nothing here orders
//! memory, because no system call promises to.

#![expect(missing_docs, reason = "the original documents it")]

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::explore::{Key, key, step, wait_for, wake};
use crate::world::Request;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token(pub usize);

#[derive(Debug)]
pub struct Poll(Registry);

#[derive(Debug, Clone)]
pub struct Registry {
    ready: Arc<Mutex<VecDeque<(Token, Source)>>>,
    came: Key,
}

#[derive(Debug, Clone)]
enum Source {
    Waker,
    Socket(Arc<Socket>),
}

#[derive(Debug)]
pub struct Events {
    events: Vec<Event>,
    capacity: usize,
}

#[derive(Debug, Clone, Copy)]
pub struct Event {
    token: Token,
    ending: bool,
}

#[derive(Debug)]
pub struct Waker(Registry, Token);

impl Poll {
    pub fn new() -> io::Result<Self> {
        Ok(Self(Registry {
            ready: Arc::default(),
            came: key(),
        }))
    }

    pub fn registry(&self) -> &Registry {
        &self.0
    }

    pub fn poll(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.events.clear();
        let Self(registry) = self;
        wait_for(registry.came, "an event", || {
            while let Some((token, source)) = registry.ready().pop_front() {
                events.events.extend(source.event(token));
                if events.events.len() == events.capacity {
                    break;
                }
            }
            (timeout.is_some() || !events.events.is_empty()).then_some(())
        });
        Ok(())
    }
}

impl Registry {
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(self.clone())
    }

    /// Watches the socket for readability.
    pub fn register(&self, socket: &Arc<Socket>, token: Token) {
        step();
        let mut state = socket.state();
        assert!(state.watched_by.is_none(), "a socket is registered once");
        state.watched_by = Some((self.clone(), token));
        drop(state);
        socket.report();
    }

    fn ready(&self) -> MutexGuard<'_, VecDeque<(Token, Source)>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, token: Token, source: Source) {
        let mut ready = self.ready();
        if ready.iter().all(|&(other, _)| other != token) {
            ready.push_back((token, source));
        }
        drop(ready);
        wake(self.came);
    }
}

impl Source {
    fn event(self, token: Token) -> Option<Event> {
        let ending = match self {
            Self::Waker => false,
            Self::Socket(socket) => {
                let state = socket.state();
                if !state.is_readable() {
                    return None;
                }
                state.ended
            }
        };
        Some(Event { token, ending })
    }
}

impl Events {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            events: Vec::new(),
            capacity,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }
}

impl Event {
    pub fn token(&self) -> Token {
        self.token
    }

    pub fn is_read_closed(&self) -> bool {
        self.ending
    }
}

impl Waker {
    pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self(registry.clone(), token))
    }

    pub fn wake(&self) -> io::Result<()> {
        step();
        self.0.add(self.1, Source::Waker);
        Ok(())
    }
}

/// A connection, as the kernel keeps it.
#[derive(Debug)]
pub struct Socket {
    state: Mutex<State>,
    answered: Key,
}

#[derive(Debug, Default)]
struct State {
    unread: Vec<Request>,
    /// The peer has sent FIN.
    ended: bool,
    /// The server has closed it.
    closed: bool,
    /// Replies sent to the peer.
    replies: usize,
    watched_by: Option<(Registry, Token)>,
}

impl State {
    fn is_readable(&self) -> bool {
        !self.closed && (self.ended || !self.unread.is_empty())
    }
}

impl Default for Socket {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            answered: key(),
        }
    }
}

/// The peer's side.
impl Socket {
    /// Sends all requests at once.
    pub fn send(self: &Arc<Self>, requests: &[Request]) {
        step();
        self.state().unread.extend(requests);
        self.report();
    }

    /// Sends FIN.
    pub fn end(self: &Arc<Self>) {
        step();
        self.state().ended = true;
        self.report();
    }

    /// Waits until the peer has `count` replies.
    pub fn wait_for_replies(&self, count: usize) {
        wait_for(self.answered, "a reply", || {
            (self.state().replies >= count).then_some(())
        });
    }

    /// Waits until the peer has `count` replies, or the server has closed the socket.
    pub fn wait_for_replies_or_close(&self, count: usize) {
        wait_for(self.answered, "a reply or the close", || {
            let state = self.state();
            (state.closed || state.replies >= count).then_some(())
        });
    }

    /// Waits until the server has closed the socket.
    pub fn wait_until_closed(&self) {
        wait_for(self.answered, "the close", || {
            self.state().closed.then_some(())
        });
    }
}

/// The server's side.
impl Socket {
    /// Returns the requests since the last read; an empty list for FIN; `None` if it would block.
    pub(crate) fn read(&self) -> Option<Vec<Request>> {
        step();
        let mut state = self.state();
        state
            .is_readable()
            .then(|| std::mem::take(&mut state.unread))
    }

    pub(crate) fn reply(&self) {
        step();
        self.state().replies += 1;
        wake(self.answered);
    }

    pub(crate) fn close(&self) {
        if std::thread::panicking() {
            return;
        }
        step();
        let mut state = self.state();
        state.closed = true;
        // The kernel forgets a closed socket. Events that a wait has returned already stay.
        let watched_by = state.watched_by.take();
        drop(state);
        if let Some((registry, token)) = watched_by {
            registry.ready().retain(|&(other, _)| other != token);
        }
        wake(self.answered);
    }

    fn report(self: &Arc<Self>) {
        let state = self.state();
        if let Some((registry, token)) = &state.watched_by
            && state.is_readable()
        {
            registry.add(*token, Source::Socket(Arc::clone(self)));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
