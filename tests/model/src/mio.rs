//! What stands in for the crate of this name: a poll as `epoll(7)` is with `EPOLLET`, and sockets as
//! it sees them.
//!
//! What comes for a socket puts it on the poll's list, once; so does registering it when something
//! is there already. A wait takes from the list those who still have something to read. Nothing of
//! it orders memory: that a system call does so is nowhere promised.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::explore::{Key, call, key, step, wait_for};
use crate::world::Request;

/// As its namesake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token(pub usize);

/// As its namesake.
#[derive(Debug)]
pub struct Poll(Registry);

/// As its namesake.
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

/// As its namesake.
#[derive(Debug)]
pub struct Events {
    events: Vec<Event>,
    capacity: usize,
}

/// As its namesake.
#[derive(Debug)]
pub struct Event {
    token: Token,
    ending: bool,
}

/// As its namesake.
#[derive(Debug)]
pub struct Waker(Registry, Token);

impl Poll {
    /// As its namesake.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Registry {
            ready: Arc::default(),
            came: key(),
        }))
    }

    /// As its namesake.
    pub fn registry(&self) -> &Registry {
        &self.0
    }

    /// As its namesake.
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
    /// As its namesake.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(self.clone())
    }

    /// Watches the socket for what is to be read.
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
        call(self.came);
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
    /// As its namesake.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// As its namesake.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            events: Vec::new(),
            capacity,
        }
    }

    /// As its namesake.
    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }
}

impl Event {
    /// As its namesake.
    pub fn token(&self) -> Token {
        self.token
    }

    /// As its namesake.
    pub fn is_read_closed(&self) -> bool {
        self.ending
    }
}

impl Waker {
    /// As its namesake.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self(registry.clone(), token))
    }

    /// As its namesake.
    pub fn wake(&self) -> io::Result<()> {
        step();
        self.0.add(self.1, Source::Waker);
        Ok(())
    }
}

/// A connection, as the system keeps it.
#[derive(Debug)]
pub struct Socket {
    state: Mutex<State>,
    answered: Key,
}

#[derive(Debug, Default)]
struct State {
    unread: Vec<Request>,
    /// The peer has ended its sending side.
    ended: bool,
    /// We have closed it.
    closed: bool,
    /// What the peer has been sent.
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

/// The peer's end.
impl Socket {
    /// Sends all of these at once.
    pub fn send(self: &Arc<Self>, requests: &[Request]) {
        step();
        self.state().unread.extend(requests);
        self.report();
    }

    /// Ends the peer's sending side.
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

    /// Waits until the peer has `count` replies, or our end has closed it.
    pub fn wait_for_replies_or_the_end(&self, count: usize) {
        wait_for(self.answered, "a reply or the end", || {
            let state = self.state();
            (state.closed || state.replies >= count).then_some(())
        });
    }

    /// Waits until our end has closed it.
    pub fn wait_until_closed(&self) {
        wait_for(self.answered, "the end", || {
            self.state().closed.then_some(())
        });
    }
}

/// Our end.
impl Socket {
    /// What has come since the last read; nothing behind its end. `None` if it would have to wait.
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
        call(self.answered);
    }

    pub(crate) fn close(&self) {
        if std::thread::panicking() {
            return;
        }
        step();
        let mut state = self.state();
        state.closed = true;
        // The system forgets a closed socket. Events that a wait has given already stay.
        let watched_by = state.watched_by.take();
        drop(state);
        if let Some((registry, token)) = watched_by {
            registry.ready().retain(|&(other, _)| other != token);
        }
        call(self.answered);
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
