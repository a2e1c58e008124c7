//! What commands may know of the server, and what they may have it do.
//!
//! | file | what is known |
//! |---|---|
//! | `register.rs` | every client, wherever it is, and the mail that others leave for it |
//! | `channels.rs` | who listens to which channel |
//! | `recipients.rs` | clients that the same messages go to |
//! | `slices.rs` | how long lists are walked through without a long lock |
//! | `pause.rs` | whether requests wait |
//! | `stats.rs` | what the workers have done |
//! | `slowlog.rs`, `samples.rs` | what took long |
//! | `control.rs` | what the server does when a command asks for it |

pub(crate) mod catalog;
pub(crate) mod channels;
pub(crate) mod clients;
pub(crate) mod close_reason;
pub(crate) mod control;
pub(crate) mod latency;
pub(crate) mod pause;
mod recipients;
mod redact;
mod slices;
pub(crate) mod slowlog;
pub(crate) mod stats;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use constant_time_eq::constant_time_eq_32;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::config::{Config, OutputLimit, inert};
use crate::resp::Request;
use crate::time::now_since_1970;
use catalog::{Catalog, CommandInfo};
use channels::{Channels, Subscriptions};
use clients::{ClientInfo, ClientRegistry};
use close_reason::{CloseReason, Refused};
use control::Control;
use latency::LatencyMonitor;
use pause::Pause;
use recipients::{Message, Recipients};
use slowlog::Slowlog;
use stats::{ServerStats, Throughput};

/// Shared by the server's threads and every session.
#[derive(Debug)]
pub(crate) struct ServerState {
    pub(crate) catalog: Catalog,
    /// The server itself, while there is one.
    control: Weak<dyn Control>,
    /// The configuration in force. Also held while it is put into force.
    pub(crate) config: Mutex<Config>,
    /// What CONFIG SET has set that changes nothing here.
    pub(crate) inert: inert::Values,
    pub(crate) started: Instant,
    /// Seconds since then, by the coarse clock: up to a second behind. Written by the clock's
    /// thread.
    now_s: AtomicU32,
    /// When the clock's thread last came late, by the coarse clock: [`Now::resumed_s`].
    resumed_s: AtomicU32,
    /// 40 random hexadecimal digits, by which a restart is told from a server that went on.
    pub(crate) run_id: String,
    /// As many, which would name the data's history if there were data.
    pub(crate) replication_id: String,
    /// The port that is listened on, also where the system chose it.
    pub(crate) port: u16,
    /// Clients that were admitted and are not yet done with. Written by acceptor and workers.
    pub(crate) client_count: AtomicUsize,
    /// Connections accepted, refused ones included. Written by the acceptor.
    pub(crate) connections: ResettableCounter,
    /// Connections refused. Written by the acceptor.
    pub(crate) refused: ResettableCounter,
    /// When the log may tell of HTTP again, by the coarse clock.
    next_http_warning_s: AtomicU32,
    /// Closes by their reasons.
    closes: [ResettableCounter; close_reason::NAMES.len()],
    /// Bytes of output that all clients have pending beyond their reserves.
    pub(crate) pending_output_bytes: Arc<AtomicUsize>,
    /// Of the last second that is over. Written by the clock's thread.
    rates: Mutex<Throughput>,
    pub(crate) clients: ClientRegistry,
    pub(crate) stats: ServerStats,
    pub(crate) pause: Pause,
    pub(crate) channels: Channels,
    pub(crate) slowlog: Slowlog,
    pub(crate) samples: LatencyMonitor,
    monitors: Recipients,
    /// A set of [`observed`]s.
    observed: AtomicU8,
    /// What the configuration says of things that are looked at while serving.
    watched: Watched,
}

/// Why every request is looked at more closely than usual. Each costs a PING its speed.
mod observed {
    /// Somebody monitors.
    pub(super) const MONITORS: u8 = 1;
    /// Requests count as slow that are quick enough to be missed if not every one is timed.
    pub(super) const SLOWLOG: u8 = 2;
}

/// A copy of some directives, to be read without the lock.
#[derive(Debug)]
struct Watched {
    wants_password: AtomicBool,
    /// The SHA-256 of `requirepass`, if there is one.
    password: Mutex<Option<[u8; 32]>>,
    slower_than_us: AtomicI64,
    slowlog_length_max: AtomicUsize,
    latency_threshold_ms: AtomicU64,
    keeps_durations: AtomicBool,
    messages_limit: Mutex<OutputLimit>,
}

/// The time for deadlines, in seconds of the coarse clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) s: u32,
    /// When the process last went on after it was stopped, as a virtual machine that is moved; 0 if it
    /// never was. Before the clock's thread ran again, workers noted times of before the stop.
    pub(crate) resumed_s: u32,
}

impl Now {
    /// Seconds since `since_s` in which the process could run.
    pub(crate) fn elapsed_s(self, since_s: u32) -> u32 {
        self.s.saturating_sub(since_s.max(self.resumed_s))
    }
}

/// A number of events since the last reset.
#[derive(Debug, Default)]
pub(crate) struct ResettableCounter {
    ever: AtomicU64,
    before_reset: AtomicU64,
}

impl ResettableCounter {
    /// Counts one more. Gives how many there were before, resets or not.
    pub(crate) fn count(&self) -> u64 {
        self.ever.fetch_add(1, Ordering::Relaxed)
    }

    /// Resets or not.
    pub(crate) fn ever(&self) -> u64 {
        self.ever.load(Ordering::Relaxed)
    }

    pub(crate) fn get(&self) -> u64 {
        let before = self.before_reset.load(Ordering::Relaxed);
        self.ever.load(Ordering::Relaxed).saturating_sub(before)
    }

    fn reset(&self) {
        let ever = self.ever.load(Ordering::Relaxed);
        self.before_reset.store(ever, Ordering::Relaxed);
    }
}

impl ServerState {
    pub(crate) fn new(
        catalog: Catalog,
        control: Weak<dyn Control>,
        config: Config,
        port: u16,
    ) -> Self {
        let count = catalog.len();
        let state = Self {
            catalog,
            control,
            started: Instant::now(),
            now_s: AtomicU32::new(0),
            resumed_s: AtomicU32::new(0),
            run_id: random_id(),
            replication_id: random_id(),
            port,
            client_count: AtomicUsize::new(0),
            connections: ResettableCounter::default(),
            refused: ResettableCounter::default(),
            next_http_warning_s: AtomicU32::new(0),
            closes: Default::default(),
            pending_output_bytes: Arc::default(),
            rates: Mutex::default(),
            clients: ClientRegistry::default(),
            stats: ServerStats::new(count),
            pause: Pause::default(),
            channels: Channels::default(),
            slowlog: Slowlog::default(),
            samples: LatencyMonitor::default(),
            monitors: Recipients::default(),
            observed: AtomicU8::new(0),
            watched: Watched {
                wants_password: AtomicBool::new(false),
                password: Mutex::default(),
                slower_than_us: AtomicI64::new(0),
                slowlog_length_max: AtomicUsize::new(0),
                latency_threshold_ms: AtomicU64::new(0),
                keeps_durations: AtomicBool::new(true),
                messages_limit: Mutex::new(config.client_output_buffer_limit.pubsub),
            },
            config: Mutex::new(config),
            inert: inert::Values::default(),
        };
        state.follow(&state.config.lock());
        state
    }

    /// Facts of a server that has no command and can do nothing.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        let control: Weak<tests::Nobody> = Weak::new();
        Self::new(Catalog::default(), control, Config::default(), 0)
    }

    /// Takes over what is read without the configuration's lock.
    pub(crate) fn follow(&self, config: &Config) {
        let Watched {
            wants_password,
            password,
            slower_than_us,
            slowlog_length_max,
            latency_threshold_ms,
            keeps_durations,
            messages_limit,
        } = &self.watched;
        *password.lock() = config.requirepass.as_deref().map(password_digest);
        wants_password.store(config.requirepass.is_some(), Ordering::Relaxed);
        let slow_us = config.slowlog_log_slower_than_us;
        slower_than_us.store(slow_us, Ordering::Relaxed);
        slowlog_length_max.store(config.slowlog_max_len, Ordering::Relaxed);
        latency_threshold_ms.store(config.latency_monitor_threshold_ms, Ordering::Relaxed);
        keeps_durations.store(config.latency_tracking, Ordering::Relaxed);
        *messages_limit.lock() = config.client_output_buffer_limit.pubsub;
        self.observe(observed::SLOWLOG, (0..SURELY_NOTICED_US).contains(&slow_us));
    }

    /// The server; `None` when it is no more.
    pub(crate) fn control(&self) -> Option<Arc<dyn Control>> {
        self.control.upgrade()
    }

    pub(crate) fn now_s(&self) -> u32 {
        self.now_s.load(Ordering::Relaxed)
    }

    /// The time for deadlines.
    pub(crate) fn now(&self) -> Now {
        Now {
            s: self.now_s(),
            resumed_s: self.resumed_s.load(Ordering::Relaxed),
        }
    }

    /// Sets the coarse clock. `has_stalled` says that it came late, because the process was stopped.
    pub(crate) fn set_now_s(&self, now_s: u32, has_stalled: bool) {
        if has_stalled {
            self.resumed_s.store(now_s, Ordering::Relaxed);
        }
        self.now_s.store(now_s, Ordering::Relaxed);
    }

    /// What was done in the last second that is over.
    pub(crate) fn rates(&self) -> Throughput {
        *self.rates.lock()
    }

    pub(crate) fn set_rates(&self, rates: Throughput) {
        *self.rates.lock() = rates;
    }

    /// Whether new clients have to say a password.
    pub(crate) fn wants_password(&self) -> bool {
        self.watched.wants_password.load(Ordering::Relaxed)
    }

    /// Whether `password` is the one that is wanted, or none is. How long this takes says nothing of
    /// how much of it was right. AUTH asks here, so that it does not wait for a change of the
    /// configuration.
    pub(crate) fn is_password(&self, password: &[u8]) -> bool {
        let wanted = *self.watched.password.lock();
        wanted.is_none_or(|wanted| constant_time_eq_32(&password_digest(password), &wanted))
    }

    /// Whether every request has to be timed and told of.
    #[inline]
    pub(crate) fn observes_every_call(&self) -> bool {
        self.observed.load(Ordering::Relaxed) != 0
    }

    fn observe(&self, to: u8, wanted: bool) {
        if wanted {
            self.observed.fetch_or(to, Ordering::Relaxed);
        } else {
            self.observed.fetch_and(!to, Ordering::Relaxed);
        }
    }

    /// Whether durations are kept one by one: `latency-tracking`.
    pub(crate) fn keeps_durations(&self) -> bool {
        self.watched.keeps_durations.load(Ordering::Relaxed)
    }

    /// Notes how long a request took, if that was long, and tells those who monitor.
    pub(crate) fn note(
        &self,
        command: &CommandInfo,
        request: &Request<'_>,
        info: &ClientInfo,
        took: Duration,
    ) {
        let slower_than_us = self.watched.slower_than_us.load(Ordering::Relaxed);
        let is_slow = u64::try_from(slower_than_us)
            .is_ok_and(|slower_than_us| took.as_micros() >= u128::from(slower_than_us));
        if is_slow && command.is_shown_in_slowlog() {
            let length_max = self.watched.slowlog_length_max.load(Ordering::Relaxed);
            let words = command.words_to_show(request, slowlog::WORDS_MAX);
            let count = request.word_count();
            self.slowlog.add(&words, count, took, info, length_max);
        }
        let latency_threshold_ms = self.watched.latency_threshold_ms.load(Ordering::Relaxed);
        let took_ms = took.as_millis() as u64;
        if latency_threshold_ms > 0 && took_ms >= latency_threshold_ms {
            let event = if command.is_fast() {
                "fast-command"
            } else {
                "command"
            };
            self.samples.add(event, took_ms);
        }
        if self.observed.load(Ordering::Relaxed) & observed::MONITORS != 0
            && command.is_shown_to_monitors()
        {
            let words = command.words_to_show(request, MONITOR_WORDS_MAX);
            self.tell_monitors(&words, request.word_count(), info);
        }
    }

    /// From now on the client is told of every request.
    pub(crate) fn add_monitor(&self, info: &Arc<ClientInfo>) {
        self.monitors.change(|monitors| {
            // It has no end.
            let _ = monitors.add(info);
            self.observe(observed::MONITORS, true);
        });
    }

    fn remove_monitor(&self, info: &ClientInfo) {
        self.monitors.change(|monitors| {
            monitors.remove(info.id);
            self.observe(observed::MONITORS, monitors.len() > 0);
        });
    }

    /// `words` are the first of the `count` words of the request.
    fn tell_monitors(&self, words: &[&[u8]], count: usize, info: &ClientInfo) {
        let line = monitor_line(now_since_1970(), words, count, info);
        let mut told = Vec::new();
        let tell = |monitor: &ClientInfo| told.push(monitor.slot);
        let (now_s, limit) = (self.now_s(), self.messages_limit());
        self.monitors
            .push(&Message::Line(&line), now_s, limit, tell);
        self.notify(&told);
    }

    /// Has the clients at these places served, so that they see their mail.
    pub(crate) fn notify(&self, slots: &[usize]) {
        if let Some(control) = self.control() {
            for &slot in slots {
                control.notify(slot);
            }
        }
    }

    /// Stops sending messages of others to a client: those of its `subscriptions` and of MONITOR.
    pub(crate) fn forget_listener(&self, info: &ClientInfo, subscriptions: Option<&Subscriptions>) {
        if let Some(subscriptions) = subscriptions {
            self.channels.forget_all(info, subscriptions);
        }
        if info.has(clients::flag::MONITOR) {
            self.remove_monitor(info);
        }
    }

    /// How much may wait for a client that listens.
    pub(crate) fn messages_limit(&self) -> OutputLimit {
        *self.watched.messages_limit.lock()
    }

    /// Counts a close, and tells the log of it.
    pub(crate) fn note_close(&self, info: &ClientInfo, why: &CloseReason) {
        self.closes[why.index()].count();
        if matches!(why, CloseReason::Http { .. }) {
            self.warn_of_http(info);
        }
        log::debug!(
            "client {} ({}) closed after {} s: {why}",
            info.id,
            info.peer_addr,
            self.now_s().saturating_sub(info.came_at_s)
        );
    }

    /// Logs that a client spoke HTTP, as Redis does: at most once a minute.
    fn warn_of_http(&self, info: &ClientInfo) {
        let now_s = self.now_s();
        let is_due = |next_s| (now_s >= next_s).then_some(now_s + HTTP_WARNING_S);
        let next_s = &self.next_http_warning_s;
        if next_s
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_due)
            .is_ok()
        {
            log::warn!(
                "client {} ({}) closed: it sent an HTTP request, perhaps from a web page that attacks \
                 this port (INFO counts these as closed_http)",
                info.id,
                info.peer_addr
            );
        }
    }

    /// Counts a connection that did not become a client, and tells the log of it.
    pub(crate) fn note_refusal(&self, peer_addr: SocketAddr, why: Refused) {
        self.connections.count();
        self.refused.count();
        let why = CloseReason::Refused(why);
        self.closes[why.index()].count();
        log::debug!("connection from {peer_addr} closed at once: {why}");
    }

    /// How many closes there were for each reason.
    pub(crate) fn closes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        close_reason::NAMES
            .into_iter()
            .zip(self.closes.iter().map(ResettableCounter::get))
    }

    /// Has every count begin at 0 again: `CONFIG RESETSTAT`.
    pub(crate) fn reset_stats(&self) {
        self.stats.reset();
        let sums = [&self.connections, &self.refused];
        for sum in sums.into_iter().chain(&self.closes) {
            sum.reset();
        }
    }
}

/// Returns a line of `MONITOR`: when and by whom a request was sent, and the first of its `count`
/// words, each in quotes (`sdscatrepr`).
///
/// Clients split the line at its quotes, so a remark about what is left out stands in quotes, too.
fn monitor_line(now: Duration, words: &[&[u8]], count: usize, info: &ClientInfo) -> Vec<u8> {
    let database = info.database.load(Ordering::Relaxed);
    let mut line = format!(
        "+{}.{:06} [{database} {}]",
        now.as_secs(),
        now.subsec_micros(),
        info.peer_addr
    )
    .into_bytes();
    for word in words {
        let shown = &word[..word.len().min(MONITOR_WORD_BYTES_MAX)];
        line.extend_from_slice(b" \"");
        append_quoted(&mut line, shown);
        if shown.len() < word.len() {
            let more = word.len() - shown.len();
            line.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
        }
        line.push(b'"');
    }
    if count > words.len() {
        let more = count - words.len();
        line.extend_from_slice(format!(" \"... ({more} more arguments)\"").as_bytes());
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// Appends `word` as it stands between quotes.
fn append_quoted(line: &mut Vec<u8>, word: &[u8]) {
    for &byte in word {
        match byte {
            b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            7 => line.extend_from_slice(b"\\a"),
            8 => line.extend_from_slice(b"\\b"),
            b' '..=b'~' => line.push(byte),
            _ => {
                let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
                line.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

/// Words of a request that a monitor is shown, and bytes of each: enough to see what is sent, and not
/// so much that one huge request has every monitor closed for being slow. Redis shows all.
const MONITOR_WORDS_MAX: usize = 1024;
const MONITOR_WORD_BYTES_MAX: usize = 4 * 1024;

/// Seconds between two lines about HTTP.
const HTTP_WARNING_S: u32 = 60;

/// Microseconds: requests that are to be noted as slow although they took less than this have to be
/// timed each, because a command that never blocks can take so long any time.
const SURELY_NOTICED_US: i64 = 1_000;

fn password_digest(password: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(password).into()
}

fn random_id() -> String {
    let number = || u128::from(RandomState::new().build_hasher().finish());
    let (high, low) = (number() << 64 | number(), number() & 0xffff_ffff);
    format!("{high:032x}{low:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::{NotRewritten, Unchanged};

    /// Stands for the server where there is none.
    #[derive(Debug)]
    pub(super) struct Nobody;

    impl Control for Nobody {
        fn notify(&self, _: usize) {}

        fn follow_pause(&self) {}

        fn config_file(&self) -> Option<std::path::PathBuf> {
            None
        }

        fn snapshot(&self) -> control::PoolSnapshot {
            control::PoolSnapshot::default()
        }

        fn drain(self: Arc<Self>) {}

        fn change_config(
            self: Arc<Self>,
            _: &mut dyn FnMut(&mut Config) -> Result<(), Unchanged>,
        ) -> Result<(), Unchanged> {
            Ok(())
        }

        fn rewrite_config(self: Arc<Self>) -> Result<(), NotRewritten> {
            Err(NotRewritten::NoFile)
        }
    }

    #[test]
    fn a_monitor_sees_every_byte() {
        let info = ClientInfo::for_test(0, ([127, 0, 0, 1], 5000).into());
        let now = Duration::new(1_700_000_000, 1_234_000);
        let words: [&[u8]; 3] = [b"ECHO", b"", b"a \"\\\r\n\t\x07\x08\0\xff"];
        assert_eq!(
            String::from_utf8_lossy(&monitor_line(now, &words, 3, &info)),
            "+1700000000.001234 [0 127.0.0.1:5000] \"ECHO\" \"\" \
             \"a \\\"\\\\\\r\\n\\t\\a\\b\\x00\\xff\"\r\n"
        );
    }

    #[test]
    fn an_id_has_40_hexadecimal_digits_and_is_another_every_time() {
        let id = random_id();
        assert!(id.len() == 40 && id.bytes().all(|digit| digit.is_ascii_hexdigit()));
        assert_ne!(id, random_id());
    }
}
