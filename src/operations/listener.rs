//! The thread of the operations listener: its sockets and its connections, in one poll.

use std::cmp::Reverse;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use super::connection::{Connection, Step};
use super::routes::Routes;
use crate::logging;
use crate::net::descriptors::HTTP_CONNECTIONS_MAX as CONNECTIONS_MAX;
use crate::state::ServerState;

/// Accepts connections and answers their requests. It never blocks except in its poll.
#[derive(Debug)]
pub(crate) struct Listener {
    poll: Poll,
    events: Events,
    sockets: Vec<TcpListener>,
    /// By token.
    connections: Vec<Option<Connection>>,
    routes: Routes,
    signal: Arc<Signal>,
}

/// Ends [`Listener::run`] when it is dropped.
#[derive(Debug)]
pub(crate) struct Stop(Arc<Signal>);

/// Shared, because an event of a waker that is dropped is lost.
#[derive(Debug)]
struct Signal {
    waker: Waker,
    stopped: AtomicBool,
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Release);
        if let Err(error) = self.0.waker.wake() {
            logging::error!("cannot wake the operations listener: {error}");
        }
    }
}

impl Listener {
    pub(crate) fn new(
        mut sockets: Vec<TcpListener>,
        state: Arc<ServerState>,
    ) -> io::Result<(Self, Stop)> {
        let poll = Poll::new()?;
        for (index, socket) in sockets.iter_mut().enumerate() {
            let token = Token(CONNECTIONS_MAX + 1 + index);
            poll.registry()
                .register(socket, token, Interest::READABLE)?;
        }
        let signal = Arc::new(Signal {
            waker: Waker::new(poll.registry(), Token(CONNECTIONS_MAX))?,
            stopped: AtomicBool::new(false),
        });
        let stop = Stop(Arc::clone(&signal));
        let listener = Self {
            events: Events::with_capacity(CONNECTIONS_MAX + 1 + sockets.len()),
            poll,
            sockets,
            connections: (0..CONNECTIONS_MAX).map(|_| None).collect(),
            routes: Routes::new(state),
            signal,
        };
        Ok((listener, stop))
    }

    /// Answers requests until the [`Stop`] is dropped. Can be called again after a panic.
    pub(crate) fn run(&mut self) {
        // An event from before a panic does not repeat.
        for connection in self.connections.iter_mut().flatten() {
            connection.is_ready = true;
        }
        let mut pause = Some(Duration::ZERO);
        loop {
            // Read first, so that one more pass answers the requests that have arrived.
            let is_last = self.signal.stopped.load(Ordering::Acquire);
            self.wait(if is_last { Some(Duration::ZERO) } else { pause });
            pause = self.accept_all();
            self.step_all();
            self.close_late(Instant::now());
            if is_last {
                break;
            }
        }
    }

    /// Waits for events, for `pause`, or for the next deadline.
    fn wait(&mut self, pause: Option<Duration>) {
        let connections = || self.connections.iter().flatten();
        let timeout = if connections().any(|connection| connection.is_ready) {
            Some(Duration::ZERO)
        } else {
            let deadline = connections().map(|connection| connection.deadline).min();
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            left.into_iter().chain(pause).min()
        };
        if let Err(error) = self.poll.poll(&mut self.events, timeout)
            && error.kind() != ErrorKind::Interrupted
        {
            logging::error!("the operations listener cannot wait: {error}");
        }
        for event in &self.events {
            let index = event.token().0;
            if let Some(Some(connection)) = self.connections.get_mut(index) {
                connection.is_ready = true;
            }
        }
    }

    /// Accepts pending connections from all sockets. Returns the time after which to try again,
    /// if not all could be accepted.
    fn accept_all(&mut self) -> Option<Duration> {
        let mut pause = None;
        // All sockets, not only the ready ones: an event does not repeat after a pause.
        for index in 0..self.sockets.len() {
            pause = pause.or(self.accept_from(index));
        }
        pause
    }

    fn accept_from(&mut self, index: usize) -> Option<Duration> {
        for _ in 0..ACCEPTS_PER_PASS {
            match self.sockets[index].accept() {
                Ok((socket, peer)) => self.add(socket, peer.ip()),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return None,
                    // The peer left before it was accepted.
                    ErrorKind::Interrupted
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset => {}
                    // Not logged: the acceptor warns if no descriptor is left.
                    _ => return Some(ACCEPT_PAUSE),
                },
            }
        }
        Some(Duration::ZERO)
    }

    /// Adds a connection, in the place of another one if all are taken.
    fn add(&mut self, mut socket: TcpStream, peer: IpAddr) {
        let place = self.place();
        // Before it is registered with the same token.
        self.connections[place] = None;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        if registry
            .register(&mut socket, Token(place), interest)
            .is_ok()
        {
            let deadline = Instant::now() + TIME_MAX;
            self.connections[place] = Some(Connection::new(socket, peer, deadline));
        }
    }

    /// Returns a free place, or that of the connection that [`Self::merit`] ranks lowest.
    fn place(&self) -> usize {
        let free = self.connections.iter().position(Option::is_none);
        free.unwrap_or_else(|| {
            let rank = |place: &usize| self.connections[*place].as_ref().map(|it| self.merit(it));
            let places = 0..self.connections.len();
            places.min_by_key(rank).unwrap_or(0)
        })
    }

    /// Returns what decides who makes room. An address with many connections does, so that it keeps
    /// no other out, however fast it connects. Among those of one address, the oldest does whose
    /// answer is not being sent: so silent connections keep no other out.
    fn merit(&self, connection: &Connection) -> (Reverse<usize>, bool, Instant) {
        let all = self.connections.iter().flatten();
        let of_peer = all.filter(|other| other.peer == connection.peer).count();
        let is_answered = connection.is_answered();
        (Reverse(of_peer), is_answered, connection.deadline)
    }

    fn step_all(&mut self) {
        for place in &mut self.connections {
            let Some(connection) = place.as_mut().filter(|connection| connection.is_ready) else {
                continue;
            };
            match connection.step(|request| self.routes.answer(request)) {
                Step::Waits => connection.is_ready = false,
                Step::HasMore => {}
                Step::Ended => *place = None,
            }
        }
    }

    fn close_late(&mut self, now: Instant) {
        for place in &mut self.connections {
            place.take_if(|connection| connection.deadline <= now);
        }
    }
}

/// Time that a connection may take, from accept to close.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Connections accepted from one socket before those that are open have their turn.
const ACCEPTS_PER_PASS: usize = CONNECTIONS_MAX / 2;

/// Pause without descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
