//! The poll that watches the parked clients, and the one of the acceptor's waker: each reports a
//! socket once when it becomes ready, by `epoll(7)` with `EPOLLET`.
//!
//! Outside Linux mio replaces this module (`no_edge_poll.rs`), so the names are those of mio. On
//! Linux, mio calls the C library, which makes each wait a point where the thread could be
//! cancelled. And a return after a system call is slow: see `Worker::serve_input`.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use mio::Interest;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::write;

/// Waits for events of the sockets in its registry.
#[derive(Debug)]
pub(crate) struct Poll(Registry);

/// Adds sockets to a poll.
pub(crate) type Registry = OwnedFd;

/// The number that the events of a socket have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token(pub(crate) usize);

/// The events of one wait.
#[derive(Debug)]
pub(crate) struct Events(Vec<Event>);

/// An event of one socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    token: Token,
    flags: EventFlags,
}

/// Ends the wait of a poll from another thread.
#[derive(Debug)]
pub(crate) struct Waker(OwnedFd);

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0
    }

    /// Waits for events, up to `timeout`, and replaces `events` by them.
    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    pub(crate) fn poll(
        &mut self,
        events: &mut Events,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        // Not kept: the kernel's events hold pointers, which cannot be sent to another thread.
        let mut found = [const { MaybeUninit::<epoll::Event>::uninit() }; EVENTS_MAX];
        let Events(events) = events;
        events.clear();
        // A timeout that is too long for the kernel is none.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let room = &mut found[..events.capacity().min(EVENTS_MAX)];
        let (found, _) = epoll::wait(&self.0, room, timeout.as_ref())?;
        events.extend(found.iter().map(|event| Event {
            // It was a `usize`.
            token: Token(event.data.u64() as usize),
            flags: event.flags,
        }));
        Ok(())
    }
}

/// Adds a socket. If it is ready, that is its first event.
#[inline]
pub(crate) fn add(
    registry: &Registry,
    socket: impl AsFd,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    Ok(epoll::add(registry, socket, data(token), flags(interest))?)
}

/// Changes what a socket is watched for. If it is ready for that, there is an event.
pub(crate) fn change(
    registry: &Registry,
    socket: impl AsFd,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    let flags = flags(interest);
    Ok(epoll::modify(registry, socket, data(token), flags)?)
}

fn data(token: Token) -> EventData {
    EventData::new_u64(token.0 as u64)
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::ET;
    flags.set(EventFlags::IN | EventFlags::RDHUP, interest.is_readable());
    flags.set(EventFlags::OUT, interest.is_writable());
    flags.set(EventFlags::PRI, interest.is_priority());
    flags
}

impl Events {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.0.iter()
    }
}

impl Event {
    pub(crate) fn token(&self) -> Token {
        self.token
    }

    /// Whether the peer sends no more.
    pub(crate) fn is_read_closed(&self) -> bool {
        let both = EventFlags::IN | EventFlags::RDHUP;
        self.flags.contains(EventFlags::HUP) || self.flags.contains(both)
    }

    /// Whether the peer has sent urgent data.
    pub(crate) fn is_priority(&self) -> bool {
        self.flags.contains(EventFlags::PRI)
    }
}

impl Waker {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        add(registry, &counter, token, Interest::READABLE)?;
        Ok(Self(counter))
    }

    /// Ends the current wait, or the next one.
    #[inline]
    pub(crate) fn wake(&self) -> io::Result<()> {
        // Each write is an event, so nobody reads the counter. It counts 2^64 of them.
        write(&self.0, &1_u64.to_ne_bytes())?;
        Ok(())
    }
}

/// Maximum events of one wait.
const EVENTS_MAX: usize = 256;
