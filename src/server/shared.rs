//! The state that all threads of a server share.

use std::cmp::Reverse;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::certificates::Certificates;
use super::clock_signal::ClockSignal;
use super::heartbeat::Heartbeat;
use super::hooks::{DisconnectReason, Hooks};
use super::live_settings::LiveSettings;
#[cfg(feature = "tls")]
use super::permits::Permits;
use super::progress::{Progress, Sight};
use crate::client::Client;
use crate::client::session::Session;
use crate::client::stage::Stage;
use crate::command::Commands;
use crate::config::OutputLimits;
use crate::dispatch::batch::{ServerContext, TurnEnd};
use crate::dispatch::budget::Budget;
use crate::logging;
use crate::net::descriptors::WORKER_REFUSALS_MAX;
use crate::net::edge_poll::Waker;
use crate::net::pending_output::OutputBounds;
use crate::pool::Pool;
use crate::resp::{Limits, without_line_ends};
use crate::state::ServerState;
use crate::state::clients::ClientFlags;
use crate::state::close_reason::CloseReason;
use crate::state::inbox::KillReason;

/// The state that all threads of a server share.
pub(crate) struct Shared {
    pub(crate) pool: Pool,
    pub(crate) commands: Commands,
    pub(crate) settings: LiveSettings,
    pub(crate) state: Arc<ServerState>,
    pub(super) hooks: Hooks,
    pub(super) certificates: Certificates,
    #[cfg(feature = "tls")]
    pub(super) permits: Mutex<Permits>,
    acceptor_waker: Waker,
    /// A [`Phase`]. Written by the thread that drains.
    phase: AtomicU8,
    pub(crate) clock: ClockSignal,
    pub(super) acceptor_heartbeat: Heartbeat,
    pub(super) clock_heartbeat: Heartbeat,
    progress: Progress,
    /// Connections that have a slot: clients, lingering closes and refusals.
    connections: AtomicUsize,
    /// Whether a connection waits for a slot, and no client was closed for it since it last asked.
    wants_slot: AtomicBool,
    /// Refused clients that are opening: see `Opening`.
    opening_refusals: AtomicUsize,
    pub(super) drain_request: Mutex<DrainRequest>,
    /// Notified when `drain_request` changes and, during a drain, when a connection is closed.
    drain_progress: Condvar,
}

/// Whether the server has to drain, and why.
#[derive(Default)]
pub(super) struct DrainRequest {
    pub(super) requested: bool,
    /// Whether the drain was requested again, so that it begins without its delay.
    pub(super) in_haste: bool,
    /// When the drain is over at the latest; `None` before it was requested.
    pub(super) ends: Option<Instant>,
    /// A thread that the server needs has panicked again and again.
    pub(super) failed: bool,
}

/// The phase of a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The server accepts and serves clients.
    Serving,
    /// The server accepts no clients, except the rest of the backlog, and closes each client that
    /// has nothing left to read, except a fresh one: it has connected to a server that listened,
    /// and gets an answer if its first request is on its way.
    Settling,
    /// As before, but fresh clients are closed, too.
    Draining,
    /// The server reads nothing more.
    Closing,
}

impl Shared {
    pub(super) fn new(
        pool: Pool,
        commands: Commands,
        state: Arc<ServerState>,
        certificates: Certificates,
        acceptor_waker: Waker,
    ) -> Self {
        let settings = LiveSettings::new(&state.config.lock());
        Self {
            pool,
            commands,
            settings,
            state,
            hooks: Hooks::default(),
            certificates,
            #[cfg(feature = "tls")]
            permits: Mutex::default(),
            acceptor_waker,
            phase: AtomicU8::new(Phase::Serving as u8),
            clock: ClockSignal::default(),
            acceptor_heartbeat: Heartbeat::of("acceptor"),
            clock_heartbeat: Heartbeat::of("clock"),
            progress: Progress::new(),
            connections: AtomicUsize::new(0),
            wants_slot: AtomicBool::new(false),
            opening_refusals: AtomicUsize::new(0),
            drain_request: Mutex::default(),
            drain_progress: Condvar::new(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Settling,
            2 => Phase::Draining,
            _ => Phase::Closing,
        }
    }

    /// Assigns a slot to a new connection; `None` if there is no free slot.
    pub(crate) fn assign_slot(&self) -> Option<usize> {
        let slot = self.pool.assign().or_else(|| {
            // Frees slots by dropping clients that only await FIN.
            let half_closed = |client: &Client| client.is_half_closed();
            self.pool.fetch(half_closed, |client| {
                self.close(client, &CloseReason::PeerLeft);
            });
            self.pool.assign()
        })?;
        self.connections.fetch_add(1, Ordering::Relaxed);
        Some(slot)
    }

    /// Notes whether a connection waits for a slot.
    pub(super) fn wish_for_slot(&self, waits: bool) {
        self.wants_slot.store(waits, Ordering::Relaxed);
    }

    /// Returns whether a connection waits for a slot. The caller then closes a half-closed client,
    /// which [`Self::assign_slot`] cannot drop because it is not parked.
    pub(super) fn take_wish_for_slot(&self) -> bool {
        self.wants_slot.swap(false, Ordering::Relaxed)
    }

    /// Takes a place for a client that is refused after its handshake. Returns false if all are
    /// taken: such clients must not use up the slots of others.
    pub(super) fn begin_opening_refusal(&self) -> bool {
        let taken = self.opening_refusals.fetch_add(1, Ordering::Relaxed);
        let has_room = taken < WORKER_REFUSALS_MAX;
        if !has_room {
            self.opening_refusals.fetch_sub(1, Ordering::Relaxed);
        }
        has_room
    }

    /// Ends the opening of a client that is about to be closed, if it is opening.
    pub(super) fn abandon_opening(&self, client: &mut Client) {
        #[cfg(feature = "tls")]
        self.abandon_handshake(client);
        if let Stage::Opening(opening) = &client.stage
            && opening.refused().is_some()
        {
            self.opening_refusals.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Returns whether a write-blocked client can go on, because the bounds have room again.
    pub(crate) fn can_unblock(&self, client: &Client) -> bool {
        // A client in the stage `Sending` goes on when everything is sent.
        matches!(client.stage, Stage::Open | Stage::Deferred)
            && client.connection.pending().is_some_and(|pending| {
                let unauthenticated = client.session.wants_password();
                pending.is_blocked() && pending.has_room(&self.output_bounds(unauthenticated))
            })
    }

    /// Returns the pending output at which a client is closed, by its class.
    pub(crate) fn output_limits(&self) -> OutputLimits {
        OutputLimits {
            normal: self.settings.output_limit(),
            pubsub: self.state.settings.messages_limit(),
        }
    }

    /// Admits a client unless the program's hook refuses it. The hook may block.
    #[cold]
    pub(crate) fn connect(
        &self,
        session: &mut Session,
        budget: &mut Budget,
    ) -> Result<(), CloseReason> {
        if let Some(hook) = self.hooks.on_connect.get() {
            self.hand_over_now();
            let refused = |error: String| {
                let line = without_line_ends(error.into());
                CloseReason::RefusedByHook(line.into_owned())
            };
            let connected = hook(session);
            budget.note_time(Instant::now());
            connected.map_err(refused)?;
        }
        session.is_connected = true;
        Ok(())
    }

    /// Hands over before something that may block.
    pub(super) fn hand_over_now(&self) {
        self.pool.note_time(Instant::now());
        self.hand_over();
    }

    /// Notifies the clients that were to be notified after the turn of their publisher.
    pub(super) fn notify(&self) {
        while let Some(slot) = self.state.notifications.next() {
            self.pool.notify(slot);
        }
    }

    /// Counts a client that leaves, calls the program's hook, which may block, if the client was
    /// admitted, and drops the session's states. Catches panics of both.
    pub(crate) fn count_out(&self, session: &mut Session, reason: &CloseReason) {
        self.state.clients.remove(session.info());
        self.state.client_count.fetch_sub(1, Ordering::Relaxed);
        let hook = self.hooks.on_disconnect.get();
        if hook.is_some() {
            self.hand_over_now();
        }
        let called = catch_unwind(AssertUnwindSafe(|| {
            if let Some(hook) = hook.filter(|_| session.is_connected) {
                hook(session, &DisconnectReason(reason));
            }
        }));
        // The program's states may block when they are dropped.
        self.notify();
        let dropped = catch_unwind(AssertUnwindSafe(|| session.forget_states()));
        if called.and(dropped).is_err() {
            logging::error!("the hook for disconnected clients panicked");
        }
    }

    /// Evicts the largest clients until all together are under `maxmemory-clients`.
    pub(crate) fn evict(&self) {
        let Some(bytes_max) = self.settings.memory_bytes_max() else {
            return;
        };
        // Clients that are about to be closed free their memory.
        let staying = || {
            let all = self.state.clients.all();
            all.filter(|info| info.inbox.kill_reason().is_none())
        };
        let mut bytes: u64 = staying().map(|info| info.memory_bytes()).sum();
        if bytes <= bytes_max {
            return;
        }
        let evictable = staying().filter(|info| !info.has(ClientFlags::NO_EVICT));
        let mut sized: Vec<_> = evictable.map(|info| (info.memory_bytes(), info)).collect();
        sized.sort_by_key(|(client_bytes, _)| Reverse(*client_bytes));
        for (client_bytes, info) in sized {
            if bytes <= bytes_max || client_bytes == 0 {
                break;
            }
            bytes = bytes.saturating_sub(client_bytes);
            info.inbox.kill(KillReason::Evicted);
            self.pool.notify(info.slot);
        }
    }

    /// Queues the clients that a pause held up, after the pause.
    pub(crate) fn resume_paused_clients(&self) {
        self.pool
            .fetch(Client::is_paused, |client| self.pool.submit(client));
    }

    /// Ends the subscriptions and the monitoring of a client that is about to be closed.
    pub(crate) fn stop_listening(&self, session: &mut Session) {
        if session.listens() {
            // Unsubscribing from many channels may take a while.
            self.hand_over();
            session.stop_listening();
        }
    }

    /// Ends the wait for a deferred reply of a client that is about to be closed. Catches a panic
    /// of the program's function.
    pub(crate) fn abandon_reply(&self, session: &mut Session) {
        if session.has_reply_to_come() {
            self.hand_over_now();
            if catch_unwind(AssertUnwindSafe(|| session.abandon_reply())).is_err() {
                logging::error!("a function for a reply that is not sent panicked");
            }
        }
    }

    /// Whether closing a client calls functions of the program or of other clients' lists, or frees
    /// much memory.
    pub(super) fn may_close_slowly(&self, client: &Client) -> bool {
        self.hooks.on_disconnect.get().is_some()
            || client.session.keeps_anything()
            || client.connection.pending().is_some()
    }

    /// Closes a client and frees its slot.
    pub(crate) fn close(&self, mut client: Box<Client>, reason: &CloseReason) {
        self.abandon_opening(&mut client);
        #[cfg(feature = "tls")]
        client.connection.end_tls_at_once();
        self.stop_listening(&mut client.session);
        self.abandon_reply(&mut client.session);
        let is_counted = client.is_counted();
        let Client { session, stage, .. } = &mut *client;
        let reason = stage.closing().map_or(reason, |closing| &closing.reason);
        if is_counted {
            self.count_out(session, reason);
        }
        let now_s = self.state.now_s();
        self.state.closes.note(session.info(), reason, now_s);
        let slot = client.slot();
        drop(client);
        self.pool.free(slot);
        self.connections.fetch_sub(1, Ordering::Relaxed);
        if self.phase() != Phase::Serving {
            // Locked, so that the draining thread cannot miss this between its check and its wait.
            let _request = self.drain_request.lock();
            self.drain_progress.notify_all();
        }
    }

    /// Requests a drain, and returns at once. A second request ends the delay of the first.
    pub(super) fn request_drain(&self) {
        let mut request = self.drain_request.lock();
        request.in_haste |= mem::replace(&mut request.requested, true);
        drop(request);
        self.drain_progress.notify_all();
    }

    /// Requests a drain without a delay, and returns at once.
    pub(super) fn request_drain_in_haste(&self) {
        self.drain_request.lock().requested = true;
        self.request_drain();
    }

    /// Returns whether the server is about to stop: not in the drain delay, when it serves as
    /// before.
    pub(super) fn is_stopping(&self) -> bool {
        let request = self.drain_request.lock();
        let has_no_delay = request.in_haste || self.settings.drain_delay_ms() == 0;
        self.phase() != Phase::Serving || (request.requested && has_no_delay)
    }

    /// Requests a drain because a thread that the server needs panicked again and again.
    pub(crate) fn fail(&self) {
        self.drain_request.lock().failed = true;
        self.request_drain_in_haste();
    }

    /// Looks at what the workers are doing.
    pub(super) fn look_at_workers(&self) -> Sight {
        let (queued, _, _) = self.pool.snapshot();
        self.progress.look(&self.state.stats.activity(), queued)
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Returns how the turn ends of a client that has nothing left to read. `phase` was read before
    /// its socket was.
    #[inline]
    pub(super) fn idle_or_drained(
        &self,
        client: &mut Client,
        phase: Phase,
    ) -> Result<TurnEnd, CloseReason> {
        match phase {
            Phase::Serving => Ok(TurnEnd::Idle),
            Phase::Settling if client.is_fresh(self.state.now_s()) => {
                client.is_awaited = true;
                Ok(TurnEnd::Idle)
            }
            Phase::Settling | Phase::Draining | Phase::Closing => Err(CloseReason::Drained),
        }
    }

    /// Ends the phase in which fresh clients are waited for.
    pub(super) fn end_settling(&self) {
        self.set_phase(Phase::Draining);
        let is_awaited = |client: &Client| client.is_awaited;
        self.pool
            .fetch(is_awaited, |client| self.pool.submit(client));
    }

    pub(super) fn wake_acceptor(&self) {
        if let Err(error) = self.acceptor_waker.wake() {
            logging::error!("cannot wake the acceptor: {error}");
        }
    }

    pub(super) fn wait_for_drain(&self) {
        let mut request = self.drain_request.lock();
        self.drain_progress
            .wait_while(&mut request, |request| !request.requested);
    }

    /// Waits until `deadline`, or until the drain is to begin without its delay.
    pub(super) fn wait_for_haste(&self, deadline: Instant) {
        let mut request = self.drain_request.lock();
        let may_wait = |request: &mut DrainRequest| !request.in_haste;
        self.drain_progress
            .wait_while_until(&mut request, may_wait, deadline);
    }

    /// Waits until no connection is left, or until `deadline`. Returns whether none is left.
    pub(super) fn wait_until_empty(&self, deadline: Instant) -> bool {
        let mut request = self.drain_request.lock();
        let is_any_left = |_: &mut DrainRequest| self.connections.load(Ordering::Relaxed) > 0;
        !self
            .drain_progress
            .wait_while_until(&mut request, is_any_left, deadline)
            .timed_out()
    }
}

impl ServerContext for Shared {
    #[inline]
    fn limits(&self, unauthenticated: bool) -> Limits {
        self.settings.limits(unauthenticated)
    }

    fn output_bounds(&self, unauthenticated: bool) -> OutputBounds<'_> {
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

    fn honours_pauses(&self) -> bool {
        self.phase() == Phase::Serving
    }

    fn hand_over(&self) {
        self.notify();
        self.pool.hand_over();
    }

    #[inline]
    fn note_time(&self, now: Instant) {
        self.pool.note_time(now);
    }
}
