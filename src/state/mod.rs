//! The state of the server, and its operations that commands may call.
//!
//! | file | contents |
//! |---|---|
//! | `catalog.rs`, `keys.rs` | names, arity, keys and documentation of the commands |
//! | `clients.rs` | every client, as far as other threads may know of it |
//! | `inbox.rs` | messages that other threads leave for a client |
//! | `deferred_request.rs`, `deferrals.rs` | requests that wait for a deferred reply, and all of them |
//! | `channels.rs`, `recipients.rs`, `slices.rs` | subscribers, and how messages reach many of them without a long lock |
//! | `monitors.rs` | clients that see every request |
//! | `pause.rs` | CLIENT PAUSE |
//! | `close_reason.rs`, `closes.rs` | why clients are closed, and how often |
//! | `stats.rs`, `counter.rs`, `histogram.rs` | what the workers did |
//! | `handshakes.rs` | counts of TLS handshakes |
//! | `slowlog.rs`, `latency.rs`, `redact.rs` | slow requests, without their passwords |
//! | `command_settings.rs`, `coarse_clock.rs` | directives and time, without a lock |
//! | `own_info.rs` | what the program says of itself and its data |
//! | `control.rs`, `health.rs` | what commands may have the server do, and whether it works |

mod buffers;
pub(crate) mod catalog;
pub(crate) mod channels;
pub(crate) mod clients;
pub(crate) mod close_reason;
mod closes;
pub(crate) mod coarse_clock;
mod command_settings;
pub(crate) mod control;
mod counter;
mod deferrals;
pub(crate) mod deferred_request;
#[cfg(feature = "tls")]
mod handshakes;
pub(crate) mod health;
pub(crate) mod histogram;
pub(crate) mod inbox;
pub(crate) mod keys;
pub(crate) mod latency;
mod monitors;
pub(crate) mod notifications;
pub(crate) mod own_info;
pub(crate) mod pause;
mod recipients;
pub(crate) mod redact;
mod slices;
pub(crate) mod slowlog;
pub(crate) mod stats;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::{Config, inert};
use crate::net::peer::Peer;
use crate::resp::{LastArguments, Request};
use buffers::Buffers;
use catalog::{Catalog, CommandInfo};
use channels::{Channels, Subscriptions};
use clients::{ClientFlags, ClientInfo, ClientRegistry, NO_COMMAND};
use close_reason::{CloseReason, Refused};
use closes::Closes;
use coarse_clock::CoarseClock;
use command_settings::CommandSettings;
use control::{Control, PoolSnapshot};
use counter::ResettableCounter;
use deferrals::Deferrals;
use deferred_request::{DeferralEnd, DeferredRequest};
#[cfg(feature = "tls")]
use handshakes::HandshakeCounts;
use inbox::Terms;
use latency::LatencyMonitor;
use monitors::Monitors;
use notifications::Notifications;
use pause::Pause;
use slowlog::{CallTimes, Slowlog};
use stats::{CommandCounts, Counts, ServerStats, Throughput};

/// Shared by the server's threads and every session.
#[derive(Debug)]
pub(crate) struct ServerState {
    pub(crate) catalog: Catalog,
    /// The server itself, until it is dropped.
    control: Weak<dyn Control>,
    /// The configuration in force. Locked while another one is put into force.
    pub(crate) config: Mutex<Config>,
    /// Directives set by CONFIG SET that have no effect.
    pub(crate) inert: inert::Values,
    pub(crate) settings: CommandSettings,
    /// See [`Self::name`].
    name: OnceLock<Arc<str>>,
    pub(crate) started: Instant,
    pub(crate) clock: CoarseClock,
    /// 40 random hexadecimal digits; another number after each start.
    pub(crate) run_id: String,
    /// As `run_id`: Redis's identifier of a replication history.
    pub(crate) replication_id: String,
    /// The port that the server listens on, also if the system chose it.
    pub(crate) port: u16,
    /// The sockets that the program has given, as INFO shows them. Not set if the configuration
    /// names the sockets.
    pub(crate) given_listeners: OnceLock<Vec<String>>,
    /// Clients admitted and not closed. Written by acceptor and workers.
    pub(crate) client_count: AtomicUsize,
    /// Connections accepted, also those that were refused. Written by the acceptor.
    pub(crate) connections: ResettableCounter,
    /// Connections refused. Written by the acceptor.
    pub(crate) refused: ResettableCounter,
    #[cfg(feature = "tls")]
    pub(crate) handshakes: HandshakeCounts,
    pub(crate) closes: Closes,
    /// Bytes of pending output of all clients, beyond their reserves.
    pub(crate) pending_output_bytes: Arc<AtomicUsize>,
    /// The work of the last full second. Written by the clock's thread.
    pub(crate) rates: Mutex<Throughput>,
    pub(crate) clients: ClientRegistry,
    pub(crate) stats: ServerStats,
    pub(crate) pause: Pause,
    pub(crate) deferrals: Deferrals,
    pub(crate) channels: Channels,
    pub(crate) notifications: Notifications,
    pub(crate) buffers: Buffers,
    pub(crate) slowlog: Slowlog,
    pub(crate) latency: LatencyMonitor,
    monitors: Monitors,
    /// A set of [`observed_for`]s.
    observed_for: AtomicU8,
}

/// The event of the latency monitor for clients that wait for their turns.
pub(crate) const QUEUE_WAIT: &str = "queue-wait";

/// Why every call is observed. Each reason makes PING slower.
mod observed_for {
    pub(super) const MONITORS: u8 = 1;
    /// `slowlog-log-slower-than` is so short that sampling would miss requests.
    pub(super) const SLOWLOG: u8 = 1 << 1;
    /// The program has a middleware.
    pub(super) const MIDDLEWARE: u8 = 1 << 2;
}

impl ServerState {
    pub(crate) fn new(
        catalog: Catalog,
        control: Weak<dyn Control>,
        config: Config,
        port: u16,
    ) -> Self {
        let command_count = catalog.len();
        let state = Self {
            catalog,
            control,
            settings: CommandSettings::default(),
            config: Mutex::new(config),
            inert: inert::Values::default(),
            name: OnceLock::new(),
            started: Instant::now(),
            clock: CoarseClock::default(),
            run_id: random_id(),
            replication_id: random_id(),
            port,
            given_listeners: OnceLock::new(),
            client_count: AtomicUsize::new(0),
            connections: ResettableCounter::default(),
            refused: ResettableCounter::default(),
            #[cfg(feature = "tls")]
            handshakes: HandshakeCounts::default(),
            closes: Closes::default(),
            pending_output_bytes: Arc::default(),
            rates: Mutex::default(),
            clients: ClientRegistry::default(),
            stats: ServerStats::new(command_count),
            pause: Pause::default(),
            deferrals: Deferrals::default(),
            channels: Channels::default(),
            notifications: Notifications::default(),
            buffers: Buffers::default(),
            slowlog: Slowlog::default(),
            latency: LatencyMonitor::default(),
            monitors: Monitors::default(),
            observed_for: AtomicU8::new(0),
        };
        state.apply(&state.config.lock());
        state
    }

    /// The state of a server that has no command and can do nothing.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        let control: Weak<tests::NoServer> = Weak::new();
        Self::new(Catalog::default(), control, Config::default(), 0)
    }

    /// Returns the name in log lines and of threads, if the program has set one.
    pub(crate) fn name(&self) -> Option<Arc<str>> {
        self.name.get().cloned()
    }

    /// Sets the name, once. Control characters become blanks.
    pub(crate) fn set_name(&self, name: &str) {
        if !name.is_empty() {
            let name = name.replace(char::is_control, " ");
            self.name.get_or_init(|| name.into());
        }
    }

    /// Takes the directives that are read without the configuration's lock.
    pub(crate) fn apply(&self, config: &Config) {
        self.settings.apply(config);
        let from_us = config.slowlog_log_slower_than_us;
        let observes = (0..ALWAYS_OBSERVED_BELOW_US).contains(&from_us);
        self.observe(observed_for::SLOWLOG, observes);
    }

    /// Returns the server; `None` after it was dropped.
    pub(crate) fn control(&self) -> Option<Arc<dyn Control>> {
        self.control.upgrade()
    }

    /// Returns the state of the pool; nothing after the server was dropped.
    pub(crate) fn pool_snapshot(&self) -> PoolSnapshot {
        let control = self.control();
        control.map_or_else(PoolSnapshot::default, |control| control.snapshot())
    }

    /// Returns the commands that were used, by full name, and their counts of `totals`.
    pub(crate) fn used_commands<'a>(
        &'a self,
        totals: &'a Counts,
    ) -> impl Iterator<Item = (&'a str, &'a CommandCounts)> {
        let commands = self.catalog.all().map(|command| &*command.full_name);
        let is_used = |(_, totals): &(&str, &CommandCounts)| {
            totals.calls.get() + totals.rejected.get() + totals.failed.get() > 0
        };
        commands.zip(&totals.commands).filter(is_used)
    }

    /// Returns the seconds since the start by the coarse clock.
    pub(crate) fn now_s(&self) -> u32 {
        self.clock.s()
    }

    /// Whether every call is timed and noted.
    #[inline]
    pub(crate) fn observes_every_call(&self) -> bool {
        self.observed_for.load(Ordering::Relaxed) != 0
    }

    fn observe(&self, reason: u8, observes: bool) {
        if observes {
            self.observed_for.fetch_or(reason, Ordering::Relaxed);
        } else {
            self.observed_for.fetch_and(!reason, Ordering::Relaxed);
        }
    }

    /// Observes every call from now on, because the program has a middleware.
    pub(crate) fn observe_for_middleware(&self) {
        self.observe(observed_for::MIDDLEWARE, true);
    }

    /// Whether [`Self::note`] has something to do for a request that took so long.
    pub(crate) fn notes(&self, took: Duration) -> bool {
        self.settings.slowlog_length_for(took).is_some()
            || self.settings.is_spike(took)
            || self.has_monitors()
    }

    fn has_monitors(&self) -> bool {
        self.observed_for.load(Ordering::Relaxed) & observed_for::MONITORS != 0
    }

    /// Notes a request in the slow log and in the latency monitor, if it took long, and shows it to
    /// monitors.
    pub(crate) fn note(
        &self,
        command: &CommandInfo,
        request: &Request<'_>,
        info: &ClientInfo,
        times: CallTimes,
    ) {
        let took = times.took;
        if let Some(length_max) = self.settings.slowlog_length_for(took)
            && !command.docs.has_flag("skip_slowlog")
        {
            let words = command.words_to_show(request, slowlog::WORDS_MAX);
            let count = request.word_count();
            self.slowlog.add(&words, count, times, info, length_max);
        }
        if self.settings.is_spike(took) {
            let is_fast = command.is_fast();
            let event = if is_fast { "fast-command" } else { "command" };
            self.latency.add(event, took.as_millis() as u64);
        }
        if self.has_monitors() && command.is_shown_to_monitors() {
            let slots = self.monitors.show(command, request, info, self.terms());
            self.notify(&slots);
        }
    }

    /// Notes that a client waited for its turn: for the longest wait, and for the latency monitor.
    #[cold]
    pub(crate) fn note_wait(&self, wait_us: u32) {
        self.stats.note_wait(wait_us);
        let waited = Duration::from_micros(wait_us.into());
        if self.settings.is_spike(waited) {
            self.latency.add(QUEUE_WAIT, waited.as_millis() as u64);
        }
    }

    /// Shows every request to the client from now on.
    pub(crate) fn add_monitor(&self, info: &Arc<ClientInfo>) {
        self.monitors
            .add(info, |any| self.observe(observed_for::MONITORS, any));
    }

    /// Stops sending messages to a client: those of its `subscriptions` and of MONITOR.
    pub(crate) fn forget_listener(&self, info: &ClientInfo, subscriptions: Option<&Subscriptions>) {
        if let Some(subscriptions) = subscriptions {
            self.channels.forget_all(info, subscriptions);
        }
        if info.has(ClientFlags::MONITOR) {
            self.monitors
                .remove(info, |any| self.observe(observed_for::MONITORS, any));
        }
    }

    /// Leaves a message for the subscribers of a channel, and notifies them. Returns the number of
    /// messages left.
    pub(crate) fn publish(&self, channel: &[u8], message: &[u8]) -> usize {
        let mut none = LastArguments::default();
        let (count, slots) = self.leave(channel, message, &mut none, None, &|| ());
        self.notify(&slots);
        count
    }

    /// As [`Self::publish`], for a command of the client `publisher`, which is notified only if it is
    /// killed. If it `may_wait`, the worker notifies the others before it waits for anything, and at
    /// the end of the turn at the latest: by then each may have several messages. Takes messages of
    /// the `following` requests too.
    pub(crate) fn publish_in_turn<'a>(
        &self,
        channel: &[u8],
        message: &'a [u8],
        following: &mut LastArguments<'a>,
        publisher: u64,
        may_wait: bool,
    ) -> usize {
        let control = self.control();
        let hand_over = || {
            if let Some(control) = &control {
                control.hand_over();
            }
        };
        let (count, slots) = self.leave(channel, message, following, Some(publisher), &hand_over);
        match &control {
            Some(_) if may_wait => self.notifications.add(&slots),
            Some(control) => slots.iter().for_each(|&slot| control.notify(slot)),
            None => {}
        }
        count
    }

    /// Returns the terms on which a message is left now.
    pub(crate) fn terms(&self) -> Terms<'_> {
        Terms {
            now_s: self.now_s(),
            limit: self.settings.messages_limit(),
            buffers: &self.buffers,
        }
    }

    /// Leaves a message, and those that it takes of `following` requests, for the subscribers of a
    /// channel. Returns the number of receivers, and the slots of clients to notify, without
    /// `publisher` unless it is killed. Calls `before_long` before what may take long.
    fn leave<'a>(
        &self,
        channel: &[u8],
        message: &'a [u8],
        following: &mut LastArguments<'a>,
        publisher: Option<u64>,
        before_long: &dyn Fn(),
    ) -> (usize, Vec<usize>) {
        let mut slots = Vec::new();
        let notify = |info: &ClientInfo| {
            // Its own turn goes on, and does not see that it is killed for its messages.
            if Some(info.id) != publisher || info.inbox.kill_reason().is_some() {
                slots.push(info.slot);
            }
        };
        let count = self.channels.publish(
            channel,
            message,
            following,
            self.terms(),
            before_long,
            notify,
        );
        (count, slots)
    }

    /// Returns the full name of the client's last command; `None` if it has sent none.
    pub(crate) fn last_command(&self, info: &ClientInfo) -> Option<&str> {
        match info.command.load(Ordering::Relaxed) {
            NO_COMMAND => None,
            index => Some(&self.catalog.get(index.into())?.full_name),
        }
    }

    /// Has the clients in these slots served, so that they look at their inboxes.
    pub(crate) fn notify(&self, slots: &[usize]) {
        if let Some(control) = self.control() {
            for &slot in slots {
                control.notify(slot);
            }
        }
    }

    /// Has the client wait for a deferred reply. Only its owner calls this.
    pub(crate) fn defer(&self, info: &Arc<ClientInfo>, deferral: Box<DeferredRequest>) {
        let is_next = info
            .inbox
            .defer(deferral, |id| self.deferrals.add(info, id));
        if is_next && let Some(control) = self.control() {
            control.wake_clock();
        }
    }

    /// Ends the deferral of this number, or any for `None`. Returns false if the client does not
    /// wait for it.
    pub(crate) fn end_deferral(
        &self,
        info: &ClientInfo,
        number: Option<u64>,
        end: DeferralEnd,
    ) -> bool {
        let removed = |id| self.deferrals.remove(id);
        let has_ended = info.inbox.end_deferral(number, end, removed);
        if has_ended {
            self.notify(&[info.slot]);
        }
        has_ended
    }

    /// Ends the deferrals whose timeouts are over at `now`.
    pub(crate) fn end_timed_out(&self, now: Instant) {
        while let Some((info, number)) = self.deferrals.timed_out(now) {
            self.end_deferral(&info, Some(number), DeferralEnd::TimedOut);
        }
    }

    /// Takes the deferral of a client, and its end, if it has ended. Only the client's owner calls
    /// this.
    pub(crate) fn take_deferral(
        &self,
        info: &ClientInfo,
    ) -> Option<(Box<DeferredRequest>, Option<DeferralEnd>)> {
        info.inbox.take_deferral(|id| self.deferrals.remove(id))
    }

    /// Counts and logs a connection that did not become a client.
    pub(crate) fn note_refusal(&self, peer: &Peer, refused: Refused) {
        self.connections.count();
        self.refused.count();
        self.closes
            .note_refusal(peer, &CloseReason::Refused(refused));
    }

    /// Lets every count begin at 0 again: `CONFIG RESETSTAT`.
    pub(crate) fn reset_stats(&self) {
        self.stats.reset();
        self.connections.reset();
        self.refused.reset();
        #[cfg(feature = "tls")]
        self.handshakes.reset();
        self.closes.reset();
    }
}

/// The version of Redis that clients see, which tells them what they may send.
pub(crate) const REDIS_VERSION: &str = "7.2.0";

/// Every call is observed if the slow log takes calls shorter than this, in microseconds: a command
/// that never blocks can take so long at any time.
const ALWAYS_OBSERVED_BELOW_US: i64 = 1_000;

/// Returns 40 random hexadecimal digits.
fn random_id() -> String {
    let number = || u128::from(RandomState::new().build_hasher().finish());
    let (high, low) = (number() << 64 | number(), number() & 0xffff_ffff);
    format!("{high:032x}{low:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::health::Health;
    use control::{NotRewritten, Unchanged};

    #[derive(Debug)]
    pub(super) struct NoServer;

    impl Control for NoServer {
        fn notify(&self, _: usize) {}

        fn hand_over(&self) {}

        fn wake_clock(&self) {}

        fn follow_pause(&self) {}

        fn supervisor(&self) -> Option<&'static str> {
            None
        }

        fn config_file(&self) -> Option<std::path::PathBuf> {
            None
        }

        fn snapshot(&self) -> PoolSnapshot {
            PoolSnapshot::default()
        }

        fn health(&self) -> Health {
            unreachable!("there is no server")
        }

        fn drain(self: Arc<Self>, _: bool) {}

        fn drain_ends_in(&self) -> Option<Duration> {
            None
        }

        fn change_config(
            self: Arc<Self>,
            _: bool,
            _: &mut dyn FnMut(&mut Config) -> Result<(), Unchanged>,
        ) -> Result<(), Unchanged> {
            Ok(())
        }

        fn rewrite_config(self: Arc<Self>) -> Result<(), NotRewritten> {
            Err(NotRewritten::NoFile)
        }
    }

    #[test]
    fn id_is_40_random_hexadecimal_digits() {
        let id = random_id();
        assert!(id.len() == 40 && id.bytes().all(|digit| digit.is_ascii_hexdigit()));
        assert_ne!(id, random_id());
    }
}
