//! The acceptor: the one thread that accepts, and admits or refuses.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::client::Client;
use crate::closed::{Closed, Refused};
use crate::connection::Connection;
use crate::facts::register::Entry;
use crate::resp::{Protocol, Reply};
use crate::server::{Phase, Shared};
use crate::session::Session;
use crate::{listen, open_files};

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
    /// Given up to accept and refuse a connection when there is no other descriptor left.
    spare: Option<File>,
    complaint: Complaint,
}

impl Acceptor {
    pub(crate) fn new(shared: Arc<Shared>, door: Door) -> Self {
        let tcp_keepalive_s = shared.settings.tcp_keepalive_s();
        Self {
            shared,
            door,
            tcp_keepalive_s,
            spare: spare_descriptor(),
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
    fn accept_all(&mut self) -> io::Result<bool> {
        let mut more = false;
        // Every listener and not only the ready ones: an event does not come twice, and behind a
        // pause it has come already.
        for index in 0..self.door.listeners.len() {
            more |= self.accept_from(index)?;
        }
        Ok(more)
    }

    fn accept_from(&mut self, index: usize) -> io::Result<bool> {
        for _ in 0..ACCEPTS_PER_PASS {
            let listener = &self.door.listeners[index];
            match listener.socket.accept() {
                Ok((socket, peer_addr)) => self.receive(listener, socket, peer_addr),
                Err(error) if open_files::is_out_of_descriptors(&error) => {
                    return self.refuse_by_spare(index, error);
                }
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

    /// Out of descriptors: gives up the spare one for those who wait, one after the other, so that
    /// they are told. Gives whether somebody may still wait; without a spare one, the error.
    fn refuse_by_spare(&mut self, index: usize, error: io::Error) -> io::Result<bool> {
        self.complaint.make(&error);
        for _ in 0..REFUSALS_PER_PASS {
            if self.spare.take().is_none() {
                self.spare = spare_descriptor();
                return Err(error);
            }
            let accepted = self.door.listeners[index].socket.accept();
            let nobody_waits = accepted.is_err();
            if let Ok((socket, peer_addr)) = accepted {
                let why = Refused::NoDescriptor;
                self.shared.facts.note_refusal(peer_addr, why);
                refuse_in_passing(socket, why);
            }
            self.spare = spare_descriptor();
            if nobody_waits {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Admits a connection or refuses it, and queues it in either case: a refusal too is told by a
    /// worker, who sees to it that it arrives.
    fn receive(&self, listener: &Listener, socket: TcpStream, peer_addr: SocketAddr) {
        let Some(place) = self.shared.assign_place() else {
            self.shared.facts.note_refusal(peer_addr, Refused::TooMany);
            return refuse_in_passing(socket, Refused::TooMany);
        };
        let admitted = self.shared.admit(peer_addr);
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
        if admitted.is_ok() {
            facts.register.add(&entry);
        }
        let mut client = Client::new(socket, Session::new(entry, facts));
        if let Err(why) = admitted {
            client.leave(Closed::Refused(why));
        }
        self.shared.pool.submit(Box::new(client));
    }
}

/// Tells a peer that there is neither a place for it nor one to see it off from. For a moment its
/// own end is waited for: what it has sent, unread, would have it reset, and the words lost.
fn refuse_in_passing(socket: TcpStream, why: Refused) {
    let mut bytes = Vec::new();
    let _ = Reply::new(&mut bytes, Protocol::Resp2).error(why.text());
    let mut connection = Connection::new(socket);
    // A new socket takes a line. If it does not, the peer has gone.
    let _ = connection.send(&mut bytes);
    let _ = connection.end_sending();
    connection.discard(Instant::now() + FAREWELL_IN_PASSING);
}

/// A descriptor to give up in need.
fn spare_descriptor() -> Option<File> {
    File::open("/dev/null").ok()
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

/// Connections refused by means of the spare descriptor before the others, the settings and a drain
/// are looked at.
const REFUSALS_PER_PASS: usize = 64;

/// How long somebody's end is waited for while the others wait: what a peer on the same machine or
/// the next one takes.
const FAREWELL_IN_PASSING: Duration = Duration::from_millis(10);

/// Passes that empty the longest backlog there can be: 65,535 connections.
const LAST_PASSES: usize = 66;

/// How long accepting rests when there are no descriptors: short for those who wait, and long
/// enough that a full server does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the log says that accepting fails.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(10);
