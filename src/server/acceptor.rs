//! The acceptor: the one thread that accepts connections, and admits or refuses them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::listen_set::{ListenSet, NewConnection};
use super::refusal_delay::RefusalDelay;
use super::refusals::Refusals;
use super::scheduling::interrupt_no_thread;
use super::shared::{Phase, Shared};
use super::supervision::{keep_running, spawn};
use crate::client::Client;
use crate::client::session::Session;
use crate::client::stage::{Opening, Stage};
use crate::error::StartError;
use crate::logging;
use crate::net::descriptors;
use crate::net::peer::Peer;
use crate::state::clients::ClientInfo;
use crate::state::close_reason::{CloseReason, Refused};

/// Accepts connections from every listening socket until the server drains.
pub(super) struct Acceptor {
    shared: Arc<Shared>,
    listen_set: ListenSet,
    tcp_keepalive_s: u32,
    /// Connections over a limit that are not refused yet, and the one that waits for a slot.
    delayed: VecDeque<NewConnection>,
    refusal_delay: RefusalDelay,
    /// Shared by the clients that have not had their first turn.
    newcomers: Arc<()>,
    /// Clients ever admitted.
    admitted: usize,
    refusals: Refusals,
    warned_at: Option<Instant>,
    /// When the current pass began.
    now: Instant,
    /// When the next heartbeat is due.
    next_beat_at: Instant,
}

/// The acceptor's thread. A drain waits for it, up to a deadline.
pub(super) struct AcceptorThread {
    /// Disconnected when the thread ends; nothing is ever sent.
    ended: mpsc::Receiver<()>,
}

/// Why the acceptor has to pause.
enum Pause {
    /// The next connection would be refused, see [`RefusalDelay`], or no slot is free yet.
    Delayed,
    /// Usually the process or the machine is out of descriptors.
    Failed(io::Error),
}

impl AcceptorThread {
    pub(super) fn start(shared: &Arc<Shared>, listen_set: ListenSet) -> Result<Self, StartError> {
        let acceptor = Acceptor::new(Arc::clone(shared), listen_set);
        let (end, ended) = mpsc::channel::<()>();
        // Before the thread starts, so that the server is ready from its start on.
        shared.acceptor_heartbeat.beat(acceptor.now);
        spawn(&shared.state, "acceptor", move || {
            // Dropped after the acceptor, so that its sockets are closed when the thread has ended.
            let _end = end;
            interrupt_no_thread();
            let mut acceptor = acceptor;
            let shared = Arc::clone(&acceptor.shared);
            let give_up = || {
                shared.acceptor_heartbeat.give_up();
                shared.fail();
            };
            keep_running("acceptor", || acceptor.run(), give_up);
            shared.acceptor_heartbeat.end();
        })
        .inspect_err(|_| shared.acceptor_heartbeat.end())?;
        Ok(Self { ended })
    }

    /// Returns whether the thread has ended before `deadline`.
    pub(super) fn has_ended_by(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        self.ended.recv_timeout(left) == Err(RecvTimeoutError::Disconnected)
    }
}

impl Acceptor {
    fn new(shared: Arc<Shared>, listen_set: ListenSet) -> Self {
        let tcp_keepalive_s = shared.settings.tcp_keepalive_s();
        let now = Instant::now();
        Self {
            shared,
            listen_set,
            tcp_keepalive_s,
            delayed: VecDeque::new(),
            refusal_delay: RefusalDelay::default(),
            newcomers: Arc::default(),
            admitted: 0,
            refusals: Refusals::default(),
            warned_at: None,
            now,
            next_beat_at: now,
        }
    }

    /// Accepts until the server drains, and then the backlogs, unless they are left to another
    /// process. Can be called again after a panic.
    fn run(&mut self) {
        self.refusals.refill();
        let mut pause = None;
        while self.shared.phase() == Phase::Serving {
            let timeout = self.timeout();
            let waited = match pause {
                Some(pause) => {
                    self.listen_set.pause(timeout.min(pause));
                    Ok(())
                }
                None => self.listen_set.wait(timeout),
            };
            if self.shared.phase() != Phase::Serving {
                // Another process may be the one that accepts what is left.
                break;
            }
            self.begin_pass();
            self.apply_keepalive();
            self.refusals.close_expired(self.now);
            let accepted = waited
                .map_err(Pause::Failed)
                .and_then(|()| self.accept_ready());
            pause = match accepted {
                Ok(()) => None,
                Err(Pause::Delayed) => Some(DELAY_STEP),
                Err(Pause::Failed(error)) => {
                    self.warn(&error);
                    Some(ACCEPT_PAUSE)
                }
            };
        }
        // They were accepted. No refusal is delayed during a drain.
        let _ = self.receive_delayed();
        if !self.listen_set.leaves_backlog {
            self.accept_backlogs();
        }
    }

    /// Reads the clock, once for all connections of a pass. Beats if that is due.
    fn begin_pass(&mut self) {
        self.now = Instant::now();
        if self.now >= self.next_beat_at {
            self.shared.acceptor_heartbeat.beat(self.now);
            self.next_beat_at = self.now + BEAT_MIN;
        }
    }

    /// Returns how long the acceptor may wait. That is mostly without end, because a timer takes
    /// about a percent of a connection: the clock wakes the acceptor once a second.
    fn timeout(&self) -> Duration {
        let longest = if self.delayed.is_empty() {
            Duration::MAX
        } else {
            DELAY_STEP
        };
        let next_close_in = self.refusals.next_close_in();
        next_close_in.map_or(longest, |lingering| lingering.min(longest))
    }

    /// Accepts what is left in the backlogs when a drain begins.
    fn accept_backlogs(&mut self) {
        // Before the last passes, which then empty the backlogs of the Unix sockets.
        self.listen_set.remove_files();
        self.listen_set.end_pause();
        // Connections that cannot be accepted even now are reset when the sockets close. The number
        // of passes is bounded because peers may connect without end.
        for _ in 0..LAST_PASSES {
            let waited = self.listen_set.wait(Duration::ZERO);
            self.begin_pass();
            let is_over = self.listen_set.ready.is_empty() || self.shared.phase() == Phase::Closing;
            if is_over || waited.is_err() || self.accept_ready().is_err() {
                break;
            }
        }
    }

    /// Applies a change of `tcp-keepalive`.
    fn apply_keepalive(&mut self) {
        let keepalive_s = self.shared.settings.tcp_keepalive_s();
        if keepalive_s != self.tcp_keepalive_s {
            self.tcp_keepalive_s = keepalive_s;
            self.listen_set.set_keepalive(keepalive_s);
        }
    }

    /// Accepts one connection from each socket that is ready.
    fn accept_ready(&mut self) -> Result<(), Pause> {
        self.receive_delayed()?;
        for position in 0..self.listen_set.ready.len() {
            self.accept_from(self.listen_set.ready[position])?;
        }
        Ok(())
    }

    fn accept_from(&mut self, index: usize) -> Result<(), Pause> {
        match self.listen_set.accept(index) {
            Ok(connection) => self.receive(connection),
            Err(error) if descriptors::is_out_of_descriptors(&error) => {
                self.refuse_without_descriptors(index, error)
            }
            Err(error) => match error.kind() {
                // The peer has left, or another process that shares the socket was faster.
                ErrorKind::WouldBlock
                | ErrorKind::Interrupted
                | ErrorKind::ConnectionAborted
                | ErrorKind::ConnectionReset => Ok(()),
                // The other sockets may have no fault.
                _ => {
                    self.warn(&error);
                    let set_aside = self.listen_set.set_aside(index, ACCEPT_PAUSE);
                    set_aside.map_err(Pause::Failed)
                }
            },
        }
    }

    /// Refuses pending connections one by one, with the descriptors of [`Refusals`]. Returns
    /// `error` if there are none.
    fn refuse_without_descriptors(&mut self, index: usize, error: io::Error) -> Result<(), Pause> {
        if self.delays_refusal() {
            return Err(Pause::Delayed);
        }
        self.warn(&error);
        for _ in 0..REFUSALS_PER_PASS {
            if !self.refusals.free_one() {
                self.refusals.refill();
                return Err(Pause::Failed(error));
            }
            match self.listen_set.accept(index) {
                Ok(connection) => self.refuse(connection, Refused::NoDescriptor),
                // Another thread took the descriptor.
                Err(error) if descriptors::is_out_of_descriptors(&error) => {}
                Err(_) => {
                    self.refusals.refill();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Admits or refuses the delayed connections, or delays them again.
    fn receive_delayed(&mut self) -> Result<(), Pause> {
        let mut received = Ok(());
        for _ in 0..self.delayed.len() {
            // One at a time: a panic loses no other.
            if let Some(connection) = self.delayed.pop_front() {
                received = self.receive(connection).and(received);
            }
        }
        received
    }

    /// Admits a connection, refuses it, or delays its refusal. Returns an error if the next ones
    /// have to wait, too: after `maxclients` and without a slot, which concerns them all, and if too
    /// many are delayed.
    fn receive(&mut self, connection: NewConnection) -> Result<(), Pause> {
        let settings = &self.shared.settings;
        let sends_header = settings.requires_proxy_header(&connection.peer);
        let admission = self.admission(&connection.peer, sends_header);
        let is_over_limit = matches!(
            admission,
            Err(Refused::TooMany | Refused::TooManyFromAddress)
        );
        if is_over_limit && self.delays_refusal() {
            self.delayed.push_back(connection);
            let concerns_all = matches!(admission, Err(Refused::TooMany));
            return if concerns_all || self.delayed.len() >= DELAYED_MAX {
                Err(Pause::Delayed)
            } else {
                Ok(())
            };
        }
        let slot = self.shared.assign_slot();
        let waits = slot.is_none() && admission.is_ok() && self.shared.phase() == Phase::Serving;
        // Half-closed clients that are queued have the slots. A worker closes one or parks one.
        self.shared.wish_for_slot(waits);
        if waits {
            self.delayed.push_back(connection);
            return Err(Pause::Delayed);
        }
        match slot {
            Some(slot) => self.submit(connection, slot, sends_header, admission),
            // No slot is free even for an orderly refusal.
            None => self.refuse(connection, Refused::TooMany),
        }
        Ok(())
    }

    /// Returns why a connection is refused, if it is. Without the PROXY header, the client's
    /// address is not known, and only `maxclients` counts.
    fn admission(&self, peer: &Peer, sends_header: bool) -> Result<(), Refused> {
        let shared = &self.shared;
        let clients = shared.state.client_count.load(Ordering::Relaxed);
        let is_known = !sends_header;
        if is_known && shared.protects_from(peer) {
            Err(Refused::Protected)
        } else if clients >= shared.settings.maxclients() {
            Err(Refused::TooMany)
        } else if is_known && shared.has_too_many_from(peer) {
            Err(Refused::TooManyFromAddress)
        } else {
            Ok(())
        }
    }

    /// Refuses a connection without a worker.
    fn refuse(&mut self, connection: NewConnection, reason: Refused) {
        let state = &self.shared.state;
        state.note_refusal(&connection.peer, reason);
        if connection.speaks_tls {
            // Nothing can be said before a handshake.
            drop(connection);
            // Its descriptor may have been a spare one.
            self.refusals.refill();
            return;
        }
        self.refusals.refuse(connection.socket, reason);
    }

    /// Passes a connection to the workers, which serve it, or refuse it by a lingering close.
    fn submit(
        &mut self,
        connection: NewConnection,
        slot: usize,
        sends_header: bool,
        admission: Result<(), Refused>,
    ) {
        let state = &self.shared.state;
        let id = state.connections.count() + 1;
        let speaks_tls = connection.speaks_tls;
        let info = Arc::new(ClientInfo::new(
            id,
            slot,
            connection.peer,
            connection.local_addr,
            connection.socket.as_raw_fd(),
            state.now_s(),
        ));
        let admission = if sends_header {
            // A worker admits it after the header.
            admission
        } else {
            // Again, because workers have admitted others since.
            admission.and_then(|()| self.shared.admit(&info))
        };
        let opening = opening(sends_header, speaks_tls, state.now_s(), admission.err());
        let session = Session::new(info, Arc::clone(state));
        let mut client = Client::new(connection.socket, session, opening);
        let peer = client.session.peer().clone();
        self.count(&mut client, admission);
        self.submit_or_close(Box::new(client));
        // Last: if the logger panics, the client is not lost.
        logging::debug!("client {id} connected from {peer}");
    }

    /// Passes a client to the workers. Closes it at once if it is to be refused after its
    /// handshake, and too many are.
    fn submit_or_close(&self, mut client: Box<Client>) {
        let refused = match &client.stage {
            Stage::Opening(opening) => opening.refused(),
            Stage::Open | Stage::Deferred | Stage::Sending | Stage::Closing(_) => None,
        };
        match refused {
            Some(reason) if !self.shared.begin_opening_refusal() => {
                client.refuse_silently(reason);
                self.shared.close(client, &CloseReason::Refused(reason));
            }
            Some(_) | None => self.shared.pool.submit_at(client, self.now),
        }
    }

    /// Counts a new client, and begins the close of one that is refused without TLS.
    fn count(&mut self, client: &mut Client, admission: Result<(), Refused>) {
        let state = &self.shared.state;
        match admission {
            Ok(()) => {
                client.newcomer = Some(Arc::clone(&self.newcomers));
                state.client_count.fetch_add(1, Ordering::Relaxed);
                self.admitted += 1;
                if self.delayed.is_empty() {
                    self.refusal_delay.end();
                }
            }
            Err(reason) => {
                state.refused.count();
                if client.is_open() {
                    client.begin_close(CloseReason::Refused(reason));
                }
            }
        }
    }

    /// Returns whether a refusal has to wait. During a drain, none does.
    fn delays_refusal(&mut self) -> bool {
        let clients = self.shared.state.client_count.load(Ordering::Relaxed);
        let departures = self.admitted.saturating_sub(clients);
        let (now, newcomers) = (Instant::now(), Arc::strong_count(&self.newcomers) - 1);
        self.shared.phase() == Phase::Serving
            && self.refusal_delay.must_wait(now, newcomers, departures)
    }

    /// Logs that accepting fails, once in [`WARNING_PERIOD`].
    fn warn(&mut self, error: &io::Error) {
        let is_recent = |warned_at: Instant| warned_at.elapsed() < WARNING_PERIOD;
        if self.warned_at.is_some_and(is_recent) {
            return;
        }
        self.warned_at = Some(Instant::now());
        logging::warn!(
            "cannot accept connections, so they wait: {error} (raise `ulimit -n`, or \
             lower `maxclients`)"
        );
    }
}

/// Returns what comes before a connection is served. A client over TLS is refused after its
/// handshake.
fn opening(
    sends_header: bool,
    speaks_tls: bool,
    now_s: u32,
    refused: Option<Refused>,
) -> Option<Opening> {
    if sends_header && (speaks_tls || refused.is_none()) {
        Some(Opening::proxy_header(speaks_tls, refused))
    } else if speaks_tls {
        Opening::handshake(now_s, refused)
    } else {
        None
    }
}

/// Connections refused without descriptors before the acceptor checks everything else.
const REFUSALS_PER_PASS: usize = 64;

/// Minimum time between two heartbeats: each takes a lock.
const BEAT_MIN: Duration = Duration::from_millis(100);

/// Connections over `maxclients-per-address` that are delayed before all others have to wait.
const DELAYED_MAX: usize = 16;

/// Interval at which a delayed refusal is checked again.
const DELAY_STEP: Duration = Duration::from_millis(1);

/// Passes that empty the longest possible backlog. Each accepts one connection from each socket.
const LAST_PASSES: usize = 65_535;

/// Pause of the acceptor without descriptors, and of a broken socket: short for waiting clients,
/// and long enough that the acceptor does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Minimum time between two warnings that accepting fails.
const WARNING_PERIOD: Duration = Duration::from_secs(10);
