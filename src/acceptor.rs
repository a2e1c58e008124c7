//! The acceptor: the one thread that accepts, and admits or refuses.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::client::{Client, Closed};
use crate::connection::Connection;
use crate::facts::register::Entry;
use crate::listen;
use crate::resp::{Protocol, Reply};
use crate::server::{Phase, Shared};
use crate::session::Session;

/// The listeners, and the poll that watches them.
#[derive(Debug)]
pub(crate) struct Door {
    listeners: Vec<Listener>,
    poll: Poll,
}

/// A listening socket, and the address at our end of the connections that it accepts; `None` if
/// that differs from one to the next, because it listens on all addresses of the machine.
#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    addr: Option<Arc<SocketAddr>>,
}

impl Listener {
    fn new(socket: TcpListener) -> Self {
        let addr = socket.local_addr().ok();
        Self {
            socket,
            addr: addr
                .filter(|addr| !addr.ip().is_unspecified())
                .map(Arc::new),
        }
    }

    /// The address at our end of a connection. One that cannot be had because the peer is gone
    /// already is all zeros.
    fn local_addr_of(&self, socket: &TcpStream) -> Arc<SocketAddr> {
        self.addr.clone().unwrap_or_else(|| {
            let addr = socket.local_addr();
            Arc::new(addr.unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into()))
        })
    }
}

impl Door {
    /// Also gives the waker that has [`Acceptor::run`] look at the server's phase and settings.
    pub(crate) fn new(listeners: Vec<TcpListener>) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let mut listeners: Vec<_> = listeners.into_iter().map(Listener::new).collect();
        for (index, listener) in listeners.iter_mut().enumerate() {
            poll.registry()
                .register(&mut listener.socket, Token(index), Interest::READABLE)?;
        }
        let waker = Waker::new(poll.registry(), Token(listeners.len()))?;
        Ok((Self { listeners, poll }, waker))
    }
}

/// Accepts from every listener until the server drains.
#[derive(Debug)]
pub(crate) struct Acceptor {
    shared: Arc<Shared>,
    door: Door,
    tcp_keepalive_s: u32,
    complaint: Complaint,
}

impl Acceptor {
    pub(crate) fn new(shared: Arc<Shared>, door: Door) -> Self {
        let tcp_keepalive_s = shared.settings.tcp_keepalive_s();
        Self {
            shared,
            door,
            tcp_keepalive_s,
            complaint: Complaint::default(),
        }
    }

    /// Accepts until the server drains; then also those who had connected before it did.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(self.door.listeners.len() + 1);
        let mut pause = None;
        while self.shared.phase() == Phase::Serving {
            match self.door.poll.poll(&mut events, pause) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    log::error!("cannot wait for connections: {error}");
                }
                _ => {}
            }
            self.follow_settings();
            pause = match self.accept_all() {
                Ok(false) => None,
                Ok(true) => Some(Duration::ZERO),
                Err(error) => {
                    self.complaint.make(&error);
                    Some(ACCEPT_PAUSE)
                }
            };
        }
        // Whoever cannot be accepted even now is reset when the listeners close. The bound is for
        // those who go on to come.
        let _ = (0..LAST_PASSES).find(|_| !matches!(self.accept_all(), Ok(true)));
    }

    /// What is set on a listener holds for every connection that it accepts from then on.
    fn follow_settings(&mut self) {
        let wanted = self.shared.settings.tcp_keepalive_s();
        if wanted == self.tcp_keepalive_s {
            return;
        }
        self.tcp_keepalive_s = wanted;
        for listener in &self.door.listeners {
            if let Err(error) = listen::set_keepalive(&listener.socket, wanted) {
                log::warn!("cannot set `tcp-keepalive` to {wanted}: {error}");
            }
        }
    }

    /// Accepts who waits, up to [`ACCEPTS_PER_PASS`] from each listener. Gives whether somebody may
    /// still wait. An error means that accepting makes no sense for a while: most often, that the
    /// process or the machine is out of descriptors.
    fn accept_all(&self) -> io::Result<bool> {
        let mut more = false;
        // Every listener and not only the ready ones: an event does not come twice, and behind a
        // pause it has come already.
        for listener in &self.door.listeners {
            more |= self.accept_from(listener)?;
        }
        Ok(more)
    }

    fn accept_from(&self, listener: &Listener) -> io::Result<bool> {
        for _ in 0..ACCEPTS_PER_PASS {
            match listener.socket.accept() {
                Ok((socket, peer_addr)) => self.receive(listener, socket, peer_addr),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(false),
                    // This peer's misfortune: it was gone before we came.
                    ErrorKind::Interrupted
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(true)
    }

    /// Admits a connection or refuses it, and queues it in either case: a refusal too is told by a
    /// worker, who sees to it that it arrives.
    fn receive(&self, listener: &Listener, socket: TcpStream, peer_addr: SocketAddr) {
        let Some(place) = self.shared.assign_place() else {
            self.shared.facts.connections.count();
            self.shared.facts.refused.count();
            return refuse_in_passing(socket);
        };
        let admitted = self.shared.admit();
        let facts = Arc::clone(&self.shared.facts);
        let id = facts.connections.count() + 1;
        let entry = Arc::new(Entry::new(
            id,
            place,
            peer_addr,
            listener.local_addr_of(&socket),
            socket.as_raw_fd(),
            facts.now_s(),
        ));
        log::debug!("client {id} came from {peer_addr}");
        if admitted {
            facts.register.add(&entry);
        }
        let mut client = Client::new(socket, Session::new(entry, facts));
        if !admitted {
            client.connection.owe(refusal());
            client.leave(Closed::Refused);
        }
        self.shared.pool.submit(Box::new(client));
    }
}

/// So many were refused within seconds that there is no place left to see them off from.
fn refuse_in_passing(socket: TcpStream) {
    let mut connection = Connection::new(socket);
    // A new socket takes a line. If it does not, the peer has gone.
    let _ = connection.send(&mut refusal());
    let _ = connection.end_sending();
}

/// Redis's words.
fn refusal() -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = Reply::new(&mut bytes, Protocol::Resp2).error("ERR max number of clients reached");
    bytes
}

/// Says that accepting fails, and not again before a while has passed.
#[derive(Debug, Default)]
struct Complaint {
    made: Option<Instant>,
}

impl Complaint {
    fn make(&mut self, error: &io::Error) {
        if self
            .made
            .is_some_and(|made| made.elapsed() < COMPLAINT_PERIOD)
        {
            return;
        }
        self.made = Some(Instant::now());
        log::warn!(
            "cannot accept connections: {error}; they wait until there is room (raise `ulimit -n`, or \
             lower `maxclients`)"
        );
    }
}

/// Connections accepted from one listener before the others, the settings and a drain are looked
/// at. Redis's `MAX_ACCEPTS_PER_CALL`.
const ACCEPTS_PER_PASS: usize = 1000;

/// Passes that empty the longest backlog there can be: 65,535 connections.
const LAST_PASSES: usize = 66;

/// How long accepting rests when there are no descriptors: short for those who wait, and long
/// enough that a full server does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the log says that accepting fails.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(10);
