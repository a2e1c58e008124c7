//! What the threads of a server share: who is let in, who is seen off, and where it is in its life.

use std::cmp::Reverse;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Instant;

use mio::Waker;
use parking_lot::{Condvar, Mutex};

use super::clock_signal::ClockSignal;
use super::hooks::Hooks;
use super::live_settings::LiveSettings;
use crate::client::session::Session;
use crate::client::{Client, Newcomer};
use crate::command::Commands;
use crate::config::OutputLimits;
use crate::net::pending_output::OutputBounds;
use crate::pool::Pool;
use crate::state::ServerState;
use crate::state::clients::{KillReason, flag};
use crate::state::close_reason::{CloseReason, Refused};

/// What the threads of a server share.
pub(crate) struct Shared {
    pub(crate) pool: Pool,
    pub(crate) commands: Commands,
    pub(crate) settings: LiveSettings,
    pub(crate) state: Arc<ServerState>,
    pub(crate) hooks: Hooks,
    acceptor_waker: Waker,
    /// A [`Phase`]. Written by the thread that drains.
    phase: AtomicU8,
    pub(crate) clock: ClockSignal,
    /// Connections that have a place: clients, those on their way out, and those being refused.
    connections: AtomicUsize,
    /// Clients that have not had their first turn: one for each [`Newcomer`].
    newcomers: Arc<AtomicUsize>,
    life: Mutex<Life>,
    life_changed: Condvar,
}

/// What the thread that drains waits for.
#[derive(Debug, Default)]
struct Life {
    drain_wanted: bool,
    /// A thread that the server needs has ended by a panic.
    failed: bool,
}

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It accepts and serves.
    Serving,
    /// It accepts nobody, and closes each client once it has nothing left to read.
    Draining,
    /// It reads nothing more.
    Closing,
}

/// Not what the clients have sent and are owed: whoever logs a handle should not log that.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("phase", &self.phase())
            .field("clients", &self.state.client_count)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(
        pool: Pool,
        commands: Commands,
        state: Arc<ServerState>,
        acceptor_waker: Waker,
    ) -> Self {
        let settings = LiveSettings::new(&state.config.lock());
        Self {
            pool,
            commands,
            settings,
            state,
            hooks: Hooks::default(),
            acceptor_waker,
            phase: AtomicU8::new(Phase::Serving as u8),
            clock: ClockSignal::default(),
            connections: AtomicUsize::new(0),
            newcomers: Arc::default(),
            life: Mutex::new(Life::default()),
            life_changed: Condvar::new(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Closing,
        }
    }

    /// Gives a connection a place; `None` if there is none left.
    pub(crate) fn assign_slot(&self) -> Option<usize> {
        let slot = self.pool.assign().or_else(|| {
            // Rather than to refuse anybody, those are let go who have been sent everything.
            let half_closed = |client: &Client| client.is_half_closed();
            self.pool.fetch(half_closed, |client| {
                self.close(client, &CloseReason::PeerLeft);
            });
            self.pool.assign()
        })?;
        self.connections.fetch_add(1, Ordering::Relaxed);
        Some(slot)
    }

    /// Whether a client from this address may be admitted now. Only the acceptor calls this.
    pub(crate) fn admission(&self, peer_addr: SocketAddr) -> Result<(), Refused> {
        let (settings, state) = (&self.settings, &self.state);
        let ip = peer_addr.ip().to_canonical();
        let per_address = settings.maxclients_per_address();
        if settings.refuses_remote_clients() && !ip.is_loopback() {
            Err(Refused::Protected)
        } else if state.client_count.load(Ordering::Relaxed) >= settings.maxclients() {
            Err(Refused::TooMany)
        } else if per_address > 0 && state.clients.count_from(ip) >= per_address {
            Err(Refused::TooManyFromAddress)
        } else {
            Ok(())
        }
    }

    /// Counts a client in. Only the acceptor calls this.
    pub(crate) fn count_in(&self, client: &mut Client) {
        client.newcomer = Some(Newcomer::new(&self.newcomers));
        self.state.client_count.fetch_add(1, Ordering::Relaxed);
        self.state.clients.add(client.session.info());
    }

    /// How many clients have not had their first turn.
    pub(crate) fn newcomers(&self) -> usize {
        self.newcomers.load(Ordering::Relaxed)
    }

    /// How much output a client may have pending before it is write-blocked.
    pub(crate) fn output_bounds(&self, unauthenticated: bool) -> OutputBounds<'_> {
        let client_bytes_max = if unauthenticated {
            0
        } else {
            self.settings.pending_output_bytes_max()
        };
        OutputBounds {
            client_bytes_max,
            total_bytes_max: self.settings.total_pending_output_bytes_max(),
            total_bytes: &self.state.pending_output_bytes,
        }
    }

    /// Whether a client is write-blocked, although the bounds have room for its output again.
    pub(crate) fn can_unblock(&self, client: &Client) -> bool {
        client.closing.is_none()
            && client.connection.pending().is_some_and(|pending| {
                let unauthenticated = client.session.wants_password();
                pending.is_blocked() && pending.has_room(&self.output_bounds(unauthenticated))
            })
    }

    /// How much output may be pending before a client is closed, by its class.
    pub(crate) fn output_limits(&self) -> OutputLimits {
        OutputLimits {
            normal: self.settings.output_limit(),
            pubsub: self.state.messages_limit(),
        }
    }

    /// Has the program decide on a client that has come.
    #[cold]
    pub(crate) fn arrive(&self, session: &mut Session) -> Result<(), CloseReason> {
        if self.hooks.arrive.get().is_some() {
            self.pool.hand_over();
        }
        self.hooks.arrive(session)
    }

    /// Counts a client out: it was sent all that it was owed, or is gone.
    pub(crate) fn count_out(&self, session: &mut Session, why: &CloseReason) {
        self.state.clients.remove(session.info());
        self.state.client_count.fetch_sub(1, Ordering::Relaxed);
        if self.hooks.depart.get().is_some() {
            self.pool.hand_over();
        }
        self.hooks.depart(session, why);
    }

    /// Evicts the clients for which the most memory is held, until `maxmemory-clients` is kept.
    pub(crate) fn evict(&self) {
        let Some(bytes_max) = self.settings.memory_bytes_max() else {
            return;
        };
        // Those that are about to be closed give theirs back.
        let staying = || {
            let all = self.state.clients.all();
            all.filter(|info| info.kill_reason().is_none())
        };
        let mut bytes: u64 = staying().map(|info| info.memory_bytes()).sum();
        if bytes <= bytes_max {
            return;
        }
        let evictable = staying().filter(|info| !info.has(flag::NO_EVICT));
        let mut sized: Vec<_> = evictable.map(|info| (info.memory_bytes(), info)).collect();
        sized.sort_by_key(|(entry_bytes, _)| Reverse(*entry_bytes));
        for (entry_bytes, info) in sized {
            if bytes <= bytes_max || entry_bytes == 0 {
                break;
            }
            bytes = bytes.saturating_sub(entry_bytes);
            info.kill(KillReason::Evicted);
            self.pool.notify(info.slot);
        }
    }

    /// Has those served who rest because of a pause that is over.
    pub(crate) fn release_the_paused(&self) {
        self.pool
            .fetch(Client::is_paused, |client| self.pool.submit(client));
    }

    /// Has a client that leaves be told of nothing any more.
    pub(crate) fn stop_listening(&self, session: &mut Session) {
        if session.listens() {
            // It may take a while to find all that it is subscribed to.
            self.pool.hand_over();
            session.stop_listening();
        }
    }

    /// Closes a client: the end of it.
    pub(crate) fn close(&self, mut client: Box<Client>, why: &CloseReason) {
        self.stop_listening(&mut client.session);
        let is_counted = client.is_counted();
        let Client {
            session, closing, ..
        } = &mut *client;
        let why = closing.as_ref().map_or(why, |closing| &closing.reason);
        if is_counted {
            self.count_out(session, why);
        }
        self.state.note_close(session.info(), why);
        let slot = client.slot();
        drop(client);
        self.pool.free(slot);
        self.connections.fetch_sub(1, Ordering::Relaxed);
        if self.phase() != Phase::Serving {
            // Under the lock, or the one who waits could miss it between looking and waiting.
            let _life = self.life.lock();
            self.life_changed.notify_all();
        }
    }

    pub(super) fn want_drain(&self) {
        self.life.lock().drain_wanted = true;
        self.life_changed.notify_all();
    }

    /// Starts the drain, because a thread that the server needs has ended by a panic.
    pub(crate) fn fail(&self) {
        self.life.lock().failed = true;
        self.want_drain();
    }

    pub(super) fn has_failed(&self) -> bool {
        self.life.lock().failed
    }

    pub(super) fn wants_drain(&self) -> bool {
        self.life.lock().drain_wanted
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub(super) fn wake_acceptor(&self) {
        if let Err(error) = self.acceptor_waker.wake() {
            log::error!("cannot wake the acceptor: {error}");
        }
    }

    pub(super) fn wait_for_drain(&self) {
        let mut life = self.life.lock();
        self.life_changed
            .wait_while(&mut life, |life| !life.drain_wanted);
    }

    /// Waits until the last connection is closed, or until `deadline`. Gives whether it is.
    pub(super) fn wait_until_empty(&self, deadline: Instant) -> bool {
        let mut life = self.life.lock();
        let anyone = |_: &mut Life| self.connections.load(Ordering::Relaxed) > 0;
        !self
            .life_changed
            .wait_while_until(&mut life, anyone, deadline)
            .timed_out()
    }
}
