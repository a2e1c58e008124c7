//! The acceptor: the one thread that accepts, and admits or refuses.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use super::shared::{Phase, Shared};
use crate::client::Client;
use crate::client::session::Session;
use crate::net::connection::Connection;
use crate::net::descriptors::REFUSALS_MAX;
use crate::net::{descriptors, listen};
use crate::resp::{Protocol, Reply};
use crate::state::clients::ClientInfo;
use crate::state::close_reason::{CloseReason, Refused};

/// The listeners, and the poll that watches them.
#[derive(Debug)]
pub(crate) struct ListenSet {
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

impl ListenSet {
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
    listen_set: ListenSet,
    tcp_keepalive_s: u32,
    /// A connection that is over a limit and is not refused yet: see [`Patience`].
    put_off: Option<Arrival>,
    patience: Patience,
    /// Clients ever admitted.
    admitted: usize,
    refusals: Refusals,
    complaint: Complaint,
}

/// A connection that was accepted, and is neither admitted nor refused.
#[derive(Debug)]
struct Arrival {
    socket: TcpStream,
    peer_addr: SocketAddr,
    local_addr: Arc<SocketAddr>,
}

/// What a pass over the listeners has left in their backlogs.
#[derive(Debug, PartialEq, Eq)]
enum Backlog {
    Empty,
    MayHaveMore,
    /// Connections that would be refused wait: see [`Patience`].
    PutOff,
}

impl Acceptor {
    pub(crate) fn new(shared: Arc<Shared>, listen_set: ListenSet) -> Self {
        let tcp_keepalive_s = shared.settings.tcp_keepalive_s();
        Self {
            shared,
            listen_set,
            tcp_keepalive_s,
            put_off: None,
            patience: Patience::default(),
            admitted: 0,
            refusals: Refusals::new(),
            complaint: Complaint::default(),
        }
    }

    /// Accepts until the server drains; then also the connections that were there before it did. Can
    /// be called again after a panic.
    pub(crate) fn run(&mut self) {
        let mut events = Events::with_capacity(self.listen_set.listeners.len() + 1);
        // The first pass waits for no event: one that came before a panic does not come again.
        let mut pause = Some(Duration::ZERO);
        while self.shared.phase() == Phase::Serving {
            let lingering = self.refusals.next_close_in();
            let timeout = pause.into_iter().chain(lingering).min();
            match self.listen_set.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    log::error!("cannot wait for connections: {error}");
                }
                _ => {}
            }
            self.follow_settings();
            self.refusals.close_expired(Instant::now());
            pause = match self.accept_all() {
                Ok(Backlog::Empty) => None,
                Ok(Backlog::MayHaveMore) => Some(Duration::ZERO),
                Ok(Backlog::PutOff) => Some(PATIENCE_STEP),
                Err(error) => {
                    self.complaint.make(&error);
                    Some(ACCEPT_PAUSE)
                }
            };
        }
        // Connections that cannot be accepted even now are reset when the listeners close. The
        // bounds are for peers that go on connecting.
        let mut passes = 0..LAST_PASSES;
        while self.shared.phase() == Phase::Draining
            && passes.next().is_some()
            && matches!(self.accept_all(), Ok(Backlog::MayHaveMore))
        {}
    }

    /// What is set on a listener holds for every connection that it accepts from then on.
    fn follow_settings(&mut self) {
        let wanted = self.shared.settings.tcp_keepalive_s();
        if wanted == self.tcp_keepalive_s {
            return;
        }
        self.tcp_keepalive_s = wanted;
        for listener in &self.listen_set.listeners {
            if let Err(error) = listen::set_keepalive(&listener.socket, wanted) {
                log::warn!("cannot set `tcp-keepalive` to {wanted}: {error}");
            }
        }
    }

    /// Accepts pending connections, up to [`ACCEPTS_PER_PASS`] from each listener. An error means
    /// that accepting makes no sense for a while: most often, that the process or the machine is out
    /// of descriptors.
    fn accept_all(&mut self) -> io::Result<Backlog> {
        if let Some(arrival) = self.put_off.take()
            && !self.receive(arrival)
        {
            return Ok(Backlog::PutOff);
        }
        let mut outcome = Backlog::Empty;
        // Every listener and not only the ready ones: an event does not come twice, and after a pause
        // it has come already.
        for index in 0..self.listen_set.listeners.len() {
            match self.accept_from(index)? {
                Backlog::Empty => {}
                Backlog::MayHaveMore => outcome = Backlog::MayHaveMore,
                Backlog::PutOff => return Ok(Backlog::PutOff),
            }
        }
        Ok(outcome)
    }

    fn accept_from(&mut self, index: usize) -> io::Result<Backlog> {
        for _ in 0..ACCEPTS_PER_PASS {
            match self.accept_one(index) {
                Ok(arrival) => {
                    if !self.receive(arrival) {
                        return Ok(Backlog::PutOff);
                    }
                }
                Err(error) if descriptors::is_out_of_descriptors(&error) => {
                    return self.refuse_without_descriptors(index, error);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(Backlog::Empty),
                    // This peer's misfortune: it was gone before we came.
                    ErrorKind::Interrupted
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(Backlog::MayHaveMore)
    }

    fn accept_one(&self, index: usize) -> io::Result<Arrival> {
        let listener = &self.listen_set.listeners[index];
        let (socket, peer_addr) = listener.socket.accept()?;
        Ok(Arrival {
            local_addr: listener.local_addr_of(&socket),
            socket,
            peer_addr,
        })
    }

    /// Out of descriptors: refuses pending connections one after the other, with the descriptors
    /// that [`Refusals`] keeps. Returns the error if it has none.
    fn refuse_without_descriptors(
        &mut self,
        index: usize,
        error: io::Error,
    ) -> io::Result<Backlog> {
        if self.puts_refusals_off() {
            return Ok(Backlog::PutOff);
        }
        self.complaint.make(&error);
        for _ in 0..REFUSALS_PER_PASS {
            if !self.refusals.free_one() {
                self.refusals.refill();
                return Err(error);
            }
            match self.accept_one(index) {
                Ok(arrival) => {
                    let why = Refused::NoDescriptor;
                    self.shared.state.note_refusal(arrival.peer_addr, why);
                    self.refusals.refuse(arrival.socket, why);
                }
                // Another thread was faster.
                Err(error) if descriptors::is_out_of_descriptors(&error) => {}
                Err(_) => {
                    self.refusals.refill();
                    return Ok(Backlog::Empty);
                }
            }
        }
        Ok(Backlog::MayHaveMore)
    }

    /// Admits a connection or refuses it. In either case a worker serves it: a lingering close sees
    /// to it that the refusal arrives. Returns false if the connection is over a limit and is put
    /// off.
    fn receive(&mut self, arrival: Arrival) -> bool {
        let admission = self.shared.admission(arrival.peer_addr);
        let is_over_limit = matches!(
            admission,
            Err(Refused::TooMany | Refused::TooManyFromAddress)
        );
        if is_over_limit && self.puts_refusals_off() {
            self.put_off = Some(arrival);
            return false;
        }
        let Arrival {
            socket,
            peer_addr,
            local_addr,
        } = arrival;
        let Some(slot) = self.shared.assign_slot() else {
            self.shared.state.note_refusal(peer_addr, Refused::TooMany);
            self.refusals.refuse(socket, Refused::TooMany);
            return true;
        };
        let state = Arc::clone(&self.shared.state);
        let id = state.connections.count() + 1;
        let info = Arc::new(ClientInfo::new(
            id,
            slot,
            peer_addr,
            local_addr,
            socket.as_raw_fd(),
            state.now_s(),
        ));
        let mut client = Client::new(socket, Session::new(Arc::clone(&info), state));
        match admission {
            Ok(()) => {
                self.shared.count_in(&mut client);
                self.admitted += 1;
                self.patience.end();
            }
            Err(why) => {
                self.shared.state.refused.count();
                client.begin_close(CloseReason::Refused(why));
            }
        }
        self.shared.pool.submit(Box::new(client));
        log::debug!("client {id} connected from {peer_addr}");
        true
    }

    /// Whether a refusal has to wait. A drain does not wait.
    fn puts_refusals_off(&mut self) -> bool {
        let clients = self.shared.state.client_count.load(Ordering::Relaxed);
        let departures = self.admitted.saturating_sub(clients);
        self.shared.phase() == Phase::Serving
            && self
                .patience
                .lasts(Instant::now(), self.shared.newcomers(), departures)
    }
}

/// How long refusals are put off. While clients that have left are not noticed yet, they fill the
/// limits: after a storm of connections that are closed at once, clients that stay would be refused
/// for them. So the first connection that is over a limit waits, and all others stay in the backlog,
/// until a client has gone or the workers have had the time to notice.
#[derive(Debug, Default)]
struct Patience {
    since: Option<Instant>,
    /// How many clients had ever gone when the last wait ended in vain. Until another one goes, the
    /// clients that there are stay, and no refusal waits.
    in_vain: Option<usize>,
}

impl Patience {
    /// Whether to wait. `newcomers` clients have not had their first turn, and `departures` have ever
    /// gone.
    fn lasts(&mut self, now: Instant, newcomers: usize, departures: usize) -> bool {
        if self.in_vain == Some(departures) {
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let limit = if newcomers > 0 {
            NEWCOMERS_PATIENCE
        } else {
            PATIENCE
        };
        if now.saturating_duration_since(since) < limit {
            return true;
        }
        self.end();
        self.in_vain = Some(departures);
        false
    }

    fn end(&mut self) {
        self.since = None;
    }
}

/// Refused connections that linger, and descriptors kept for them, so that connections can be refused
/// when the process has no other descriptor. Nothing here waits for a peer.
#[derive(Debug)]
struct Refusals {
    // Invariant: spares.len() + lingering.len() <= REFUSALS_MAX.
    spares: Vec<File>,
    /// The oldest first, each with the time at which it is closed. The error line was sent, and FIN.
    lingering: VecDeque<(Connection, Instant)>,
}

impl Refusals {
    fn new() -> Self {
        let mut refusals = Self {
            spares: Vec::with_capacity(REFUSALS_MAX),
            lingering: VecDeque::with_capacity(REFUSALS_MAX),
        };
        refusals.refill();
        refusals
    }

    /// Sends the reason and FIN, and lets the connection linger for a moment: the bytes that the
    /// peer sends meanwhile, left unread, would turn the close into a reset, and the line could be
    /// lost.
    fn refuse(&mut self, socket: TcpStream, why: Refused) {
        if self.count() == REFUSALS_MAX {
            self.free_one();
        }
        let mut bytes = Vec::new();
        let _ = Reply::new(&mut bytes, Protocol::Resp2).error(why.text());
        let mut connection = Connection::new(socket);
        // A new socket takes a line. If it does not, the peer has gone.
        let _ = connection.send(&mut bytes);
        let _ = connection.end_sending();
        let end = Instant::now() + LINGERING;
        self.lingering.push_back((connection, end));
    }

    /// Frees a descriptor: a spare one if there is one, otherwise that of the oldest connection.
    /// Returns false if there is neither.
    fn free_one(&mut self) -> bool {
        self.spares.pop().is_some() || self.close_oldest()
    }

    fn close_oldest(&mut self) -> bool {
        let oldest = self.lingering.pop_front();
        oldest.map(|(connection, _)| close(connection)).is_some()
    }

    fn close_expired(&mut self, now: Instant) {
        while self.lingering.front().is_some_and(|&(_, end)| end <= now) {
            self.close_oldest();
        }
        self.refill();
    }

    /// How long until the next one is to be closed.
    fn next_close_in(&self) -> Option<Duration> {
        let &(_, end) = self.lingering.front()?;
        Some(end.saturating_duration_since(Instant::now()))
    }

    /// Opens spare descriptors again, as many as the process may.
    fn refill(&mut self) {
        while self.count() < REFUSALS_MAX
            && let Ok(spare) = File::open("/dev/null")
        {
            self.spares.push(spare);
        }
    }

    fn count(&self) -> usize {
        self.spares.len() + self.lingering.len()
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        while self.close_oldest() {}
    }
}

/// Closes a refused connection, after reading what has come.
fn close(mut connection: Connection) {
    let mut scratch = [0; 4096];
    for _ in 0..LINGERING_READS_MAX {
        if !connection
            .read(&mut scratch)
            .is_ok_and(|count| count > Some(0))
        {
            return;
        }
    }
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
            "cannot accept connections, so they wait: {error} (raise `ulimit -n`, or \
             lower `maxclients`)"
        );
    }
}

/// Connections accepted from one listener before the others, the settings and a drain are looked
/// at. Redis's `MAX_ACCEPTS_PER_CALL`.
const ACCEPTS_PER_PASS: usize = 1000;

/// Connections refused without descriptors before the others, the settings and a drain are looked
/// at.
const REFUSALS_PER_PASS: usize = 64;

/// Longest wait before a refusal, while clients have not had their first turn: about as long as the
/// queue of a busy server.
const NEWCOMERS_PATIENCE: Duration = Duration::from_millis(100);

/// Longest wait before a refusal, when every client has had its first turn: for those whose end has
/// come since.
const PATIENCE: Duration = Duration::from_millis(3);

/// How often a refusal that is put off is looked at again.
const PATIENCE_STEP: Duration = Duration::from_millis(1);

/// How long a refused connection lingers, unless others need its descriptor: several round trips
/// to a peer on the same machine or the next one.
const LINGERING: Duration = Duration::from_millis(50);

/// Reads of 4 KiB before a refused connection is closed.
const LINGERING_READS_MAX: usize = 16;

/// Passes that empty the longest backlog there can be: 65,535 connections.
const LAST_PASSES: usize = 66;

/// How long accepting rests when there are no descriptors: short for the clients that wait, and long
/// enough that a full server does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the log says that accepting fails.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(10);
