//! Statistics: each worker counts for itself, and a request for the totals adds the counts up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use super::counter::LocalCounter;
use super::histogram::Histogram;
use crate::resp::is_code;

/// The counts of all workers, also of those that have ended, and the totals at the last reset.
#[derive(Debug)]
pub(crate) struct ServerStats {
    commands: usize,
    workers: Mutex<AllWorkers>,
    /// Subtracted from every total: only the worker itself may write its counts.
    baseline: Mutex<Baseline>,
    /// The longest wait for a turn since the last reset, in microseconds.
    longest_wait_us: AtomicU32,
}

/// The totals at the last reset, and the number of resets.
#[derive(Debug, Clone, Default)]
struct Baseline {
    counts: Arc<Counts>,
    resets: u64,
}

#[derive(Debug)]
struct AllWorkers {
    /// Running workers, and some that have ended.
    workers: Vec<Arc<WorkerStats>>,
    /// The totals of all other workers that have ended.
    past: Counts,
}

/// The counts of one worker, which alone writes them.
#[derive(Debug, Default)]
#[repr(align(64))] // A cache line of its own.
pub(crate) struct WorkerStats {
    /// The number of the worker's thread.
    worker: usize,
    /// The client whose turn it is; 0 if there is none, and [`ENDED`] after the worker's end.
    client_id: AtomicU64,
    /// The last turn for which a client had waited, by its number, and for how many microseconds.
    waited_turn: AtomicU64,
    wait_us: AtomicU32,
    pub(crate) counts: Counts,
}

/// The work of one worker, or of several together.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) bytes_read: LocalCounter,
    pub(crate) bytes_sent: LocalCounter,
    pub(crate) reads: LocalCounter,
    pub(crate) writes: LocalCounter,
    pub(crate) queue_wait: QueueWait,
    /// By the index of the command.
    pub(crate) commands: Box<[CommandCounts]>,
    /// Error replies by code.
    pub(crate) errors: Mutex<BTreeMap<Box<str>, u64>>,
}

/// How long clients waited for their turns: `pool/README.md`, section "Queue wait".
#[derive(Debug, Default)]
pub(crate) struct QueueWait {
    /// Turns begun, each after a wait.
    turns: LocalCounter,
    sum_ns: LocalCounter,
    /// The waits that were long enough to be measured; in the totals, all.
    waits: Histogram,
    /// Only in the totals: the longest wait since the last reset.
    longest_us: u32,
}

impl QueueWait {
    fn add(&self, wait_us: u32) {
        let ns = u64::from(wait_us) * 1000;
        self.sum_ns.add(ns);
        self.waits.add(ns);
    }

    /// Completes the totals.
    fn complete(&mut self, longest_us: u32) {
        // A wait is counted just before its turn.
        let short = self.turns.get().saturating_sub(self.waits.count());
        self.waits.add_shortest(short);
        self.longest_us = longest_us;
    }

    /// Returns the number of waits, also of those that were too short to be measured.
    pub(crate) fn count(&self) -> u64 {
        self.waits.count()
    }

    pub(crate) fn waits(&self) -> &Histogram {
        &self.waits
    }

    /// Returns the sum of all waits in nanoseconds.
    pub(crate) fn sum_ns(&self) -> u64 {
        self.sum_ns.get()
    }

    /// Returns the longest wait in microseconds.
    pub(crate) fn longest_us(&self) -> u32 {
        self.longest_us
    }

    fn combine(&self, other: &Self, sum: fn(u64, u64) -> u64) {
        self.turns.combine(&other.turns, sum);
        self.sum_ns.combine(&other.sum_ns, sum);
        self.waits.combine(&other.waits, sum);
    }
}

/// The requests for one command.
#[derive(Debug, Default)]
pub(crate) struct CommandCounts {
    /// Requests that the handler answered.
    pub(crate) calls: LocalCounter,
    /// Requests refused before the handler.
    pub(crate) rejected: LocalCounter,
    /// Requests that the handler answered with an error.
    pub(crate) failed: LocalCounter,
    /// Calls that were timed, and their time.
    timed: LocalCounter,
    timed_ns: LocalCounter,
    /// The durations of the timed calls, from the first one on.
    durations: OnceLock<Box<Histogram>>,
}

/// The counts of one client, written by its owner once a read or write.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) bytes_read: LocalCounter,
    pub(crate) bytes_sent: LocalCounter,
    pub(crate) requests: LocalCounter,
}

impl ServerStats {
    /// `commands` is the number of commands.
    pub(crate) fn new(commands: usize) -> Self {
        Self {
            commands,
            workers: Mutex::new(AllWorkers {
                workers: Vec::new(),
                past: Counts::new(commands),
            }),
            baseline: Mutex::default(),
            longest_wait_us: AtomicU32::new(0),
        }
    }

    /// Returns the counts for a new worker.
    pub(crate) fn new_worker(&self, worker: usize) -> Arc<WorkerStats> {
        let stats = Arc::new(WorkerStats {
            worker,
            counts: Counts::new(self.commands),
            ..WorkerStats::default()
        });
        let mut workers = self.workers.lock();
        let AllWorkers { workers, past } = &mut *workers;
        // Bounded, however often the number of workers changes.
        workers.retain(|stats| {
            // While another thread adds it up it does not count as ended, until the next worker.
            let ended = Arc::strong_count(stats) == 1;
            if ended {
                // Pairs with the drop by the worker: all its counts are visible.
                fence(Ordering::Acquire);
                past.add(&stats.counts);
            }
            !ended
        });
        workers.push(Arc::clone(&stats));
        stats
    }

    /// Returns the work since the start, regardless of resets.
    pub(crate) fn work_ever(&self) -> Throughput {
        let workers = self.workers.lock();
        let mut work = Throughput::default();
        let running = workers.workers.iter().map(|stats| &stats.counts);
        for counts in running.chain([&workers.past]) {
            work.requests += counts.calls();
            work.bytes_read += counts.bytes_read.get();
            work.bytes_sent += counts.bytes_sent.get();
        }
        work
    }

    /// Returns what the workers are doing.
    pub(crate) fn activity(&self) -> Activity {
        let mut activity = Activity::default();
        for stats in &self.workers.lock().workers {
            let turn = Turn {
                worker: stats.worker,
                number: stats.counts.queue_wait.turns.get(),
                client_id: stats.client_id.load(Ordering::Relaxed),
            };
            match turn.client_id {
                ENDED => continue,
                0 => {}
                _ => activity.turns.push(turn),
            }
            activity.workers += 1;
            activity.begun += turn.number;
        }
        activity
    }

    /// Returns the totals since the last reset.
    pub(crate) fn totals(&self) -> Counts {
        self.totals_since_reset().0
    }

    /// Returns the totals since the last reset, and the number of resets.
    pub(crate) fn totals_since_reset(&self) -> (Counts, u64) {
        // First: a reset in between must not leave more to subtract than there is.
        let baseline = self.baseline.lock().clone();
        let mut totals = self.totals_ever();
        totals.subtract(&baseline.counts);
        let longest_us = self.longest_wait_us.load(Ordering::Relaxed);
        totals.queue_wait.complete(longest_us);
        (totals, baseline.resets)
    }

    /// Lets every count begin at 0 again.
    pub(crate) fn reset(&self) {
        let totals = Arc::new(self.totals_ever());
        let mut baseline = self.baseline.lock();
        baseline.counts = totals;
        baseline.resets += 1;
        drop(baseline);
        self.longest_wait_us.store(0, Ordering::Relaxed);
    }

    /// Notes a wait that may be the longest. The worker counts it besides.
    pub(super) fn note_wait(&self, wait_us: u32) {
        if wait_us > self.longest_wait_us.load(Ordering::Relaxed) {
            self.longest_wait_us.fetch_max(wait_us, Ordering::Relaxed);
        }
    }

    fn totals_ever(&self) -> Counts {
        let totals = Counts::new(self.commands);
        // Adds up without the lock, which the clock's thread needs.
        let workers = {
            let workers = self.workers.lock();
            totals.add(&workers.past);
            workers.workers.clone()
        };
        for stats in &workers {
            totals.add(&stats.counts);
        }
        totals
    }
}

/// The turns of the running workers.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// The number of workers.
    pub(crate) workers: usize,
    /// Turns that they have begun.
    pub(crate) begun: u64,
    /// The turns in progress.
    pub(crate) turns: Vec<Turn>,
}

/// A turn in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The number of the worker's thread.
    pub(crate) worker: usize,
    /// How many turns the worker has begun, this one included.
    pub(crate) number: u64,
    pub(crate) client_id: u64,
}

impl WorkerStats {
    /// Notes the begin of a client's turn, for which it has not waited.
    #[inline]
    pub(crate) fn begin_turn(&self, client_id: u64) {
        self.counts.queue_wait.turns.add(1);
        self.client_id.store(client_id, Ordering::Relaxed);
    }

    /// Notes how long the client waited for the turn that has begun.
    #[cold]
    pub(crate) fn note_wait(&self, wait_us: u32) {
        let turn = self.counts.queue_wait.turns.get();
        self.waited_turn.store(turn, Ordering::Relaxed);
        self.wait_us.store(wait_us, Ordering::Relaxed);
        self.counts.queue_wait.add(wait_us);
    }

    /// Returns how long the client of this turn waited for it, in microseconds.
    pub(crate) fn wait_us(&self) -> u32 {
        let turn = self.counts.queue_wait.turns.get();
        if self.waited_turn.load(Ordering::Relaxed) == turn {
            self.wait_us.load(Ordering::Relaxed)
        } else {
            0
        }
    }

    /// Notes that the rest of the turn is for requests that came after its begin.
    #[inline]
    pub(crate) fn continue_turn(&self) {
        self.wait_us.store(0, Ordering::Relaxed);
    }

    pub(crate) fn end_turn(&self) {
        self.client_id.store(0, Ordering::Relaxed);
    }

    /// Notes the end of the worker, and of its turn.
    pub(crate) fn end(&self) {
        self.client_id.store(ENDED, Ordering::Relaxed);
    }
}

/// The client of a worker that has ended.
const ENDED: u64 = u64::MAX;

impl Counts {
    fn new(commands: usize) -> Self {
        Self {
            commands: (0..commands).map(|_| CommandCounts::default()).collect(),
            ..Self::default()
        }
    }

    /// Counts an error reply by its code: the first word of its text, or `ERR` if that is no code.
    #[cold]
    pub(crate) fn count_error(&self, text: &[u8]) {
        let length = text.iter().take(ERROR_CODE_BYTES_MAX);
        let length = length.take_while(|byte| byte.is_ascii_graphic()).count();
        let word = Some(&text[..length]).filter(|word| is_code(word));
        let code = String::from_utf8_lossy(word.unwrap_or(b"ERR"));
        let mut errors = self.errors.lock();
        if let Some(count) = errors.get_mut(&*code) {
            *count += 1;
        } else if errors.len() < ERROR_CODES_MAX {
            errors.insert(code.into(), 1);
        }
    }

    fn add(&self, other: &Self) {
        self.combine(other, u64::wrapping_add);
    }

    fn subtract(&self, before: &Self) {
        self.combine(before, u64::wrapping_sub);
        self.errors.lock().retain(|_, count| *count > 0);
    }

    fn combine(&self, other: &Self, sum: fn(u64, u64) -> u64) {
        self.bytes_read.combine(&other.bytes_read, sum);
        self.bytes_sent.combine(&other.bytes_sent, sum);
        self.reads.combine(&other.reads, sum);
        self.writes.combine(&other.writes, sum);
        self.queue_wait.combine(&other.queue_wait, sum);
        for (own, other) in self.commands.iter().zip(&other.commands) {
            own.combine(other, sum);
        }
        let mut errors = self.errors.lock();
        for (code, &other) in &*other.errors.lock() {
            let count = errors.entry(code.clone()).or_default();
            *count = sum(*count, other);
        }
    }

    /// Returns the number of requests that handlers answered.
    pub(crate) fn calls(&self) -> u64 {
        let calls = self.commands.iter().map(|command| command.calls.get());
        calls.sum()
    }

    /// Returns the number of error replies.
    pub(crate) fn error_replies(&self) -> u64 {
        self.errors.lock().values().sum()
    }
}

/// Maximum bytes of an error code; the rest is ignored. Redis's bound.
const ERROR_CODE_BYTES_MAX: usize = 32;

/// Maximum number of codes, so that handlers that invent codes do not fill the memory. Redis's
/// bound.
const ERROR_CODES_MAX: usize = 128;

impl CommandCounts {
    /// Counts the time of a call. If `keep`, also in the histogram.
    pub(crate) fn time(&self, took: Duration, keep: bool) {
        // 584 years fit.
        let took_ns = took.as_nanos() as u64;
        self.timed.add(1);
        self.timed_ns.add(took_ns);
        if keep {
            self.durations.get_or_init(Box::default).add(took_ns);
        }
    }

    fn combine(&self, other: &Self, sum: fn(u64, u64) -> u64) {
        self.calls.combine(&other.calls, sum);
        self.rejected.combine(&other.rejected, sum);
        self.failed.combine(&other.failed, sum);
        self.timed.combine(&other.timed, sum);
        self.timed_ns.combine(&other.timed_ns, sum);
        if let Some(other) = other.durations.get() {
            let durations = self.durations.get_or_init(Box::default);
            durations.combine(other, sum);
        }
    }

    /// Returns the number of timed calls, and their time.
    #[cfg(feature = "http")]
    pub(crate) fn timed(&self) -> (u64, Duration) {
        (self.timed.get(), Duration::from_nanos(self.timed_ns.get()))
    }

    /// Returns the mean time of the timed calls in microseconds.
    pub(crate) fn micros_per_call(&self) -> f64 {
        let timed = self.timed.get().max(1);
        self.timed_ns.get() as f64 / 1000.0 / timed as f64
    }

    /// Returns the time of all calls in microseconds, scaled up if only some were timed.
    pub(crate) fn micros(&self) -> f64 {
        self.micros_per_call() * self.calls.get() as f64
    }

    /// Returns the durations of the timed calls; `None` if there is none.
    pub(crate) fn durations(&self) -> Option<&Histogram> {
        let durations = self.durations.get()?;
        (durations.count() > 0).then_some(durations)
    }
}

/// The work done in a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Throughput {
    pub(crate) requests: u64,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_sent: u64,
}

impl Throughput {
    /// Returns the work since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests - before.requests,
            bytes_read: self.bytes_read - before.bytes_read,
            bytes_sent: self.bytes_sent - before.bytes_sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_include_workers_that_have_ended() {
        let stats = ServerStats::new(2);
        let (one, other) = (stats.new_worker(0), stats.new_worker(0));
        one.counts.commands[0].calls.add(2);
        one.counts.commands[1].calls.add(3);
        other.counts.commands[0].calls.add(10);
        other.counts.bytes_sent.add(7);
        drop(one);
        stats.new_worker(0);
        assert_eq!(stats.workers.lock().workers.len(), 2);
        let totals = stats.totals();
        assert_eq!(totals.calls(), 15);
        assert_eq!(totals.commands[0].calls.get(), 12);
        assert_eq!(totals.bytes_sent.get(), 7);
    }

    #[test]
    fn counts_begin_at_0_after_a_reset() {
        let stats = ServerStats::new(1);
        let worker = stats.new_worker(0);
        let work = |times: u64| {
            worker.counts.commands[0].calls.add(times);
            worker.counts.commands[0].time(Duration::from_micros(3), true);
            worker.counts.count_error(b"ERR no\r\n");
            worker.counts.reads.add(times);
        };
        work(5);
        stats.reset();
        let mut totals = stats.totals();
        assert!(totals.commands[0].durations().is_none());
        totals.commands[0].durations = OnceLock::new();
        assert_eq!(format!("{totals:?}"), format!("{:?}", Counts::new(1)));
        work(2);
        let (totals, resets) = stats.totals_since_reset();
        assert_eq!((totals.calls(), resets), (2, 1));
        assert_eq!(stats.totals().errors.lock().get("ERR"), Some(&1));
        assert_eq!(stats.work_ever().requests, 7);
    }

    #[test]
    fn errors_are_counted_by_at_most_128_codes() {
        let stats = ServerStats::new(0);
        let worker = stats.new_worker(0);
        worker.counts.count_error(b"ERR one\r\n");
        worker.counts.count_error(b"ERR two\r\n");
        worker.counts.count_error(b"NOAUTH\r\n");
        worker.counts.count_error(b"no code here\r\n");
        worker.counts.count_error(b" \r\n");
        worker.counts.count_error(b"ERR: three\r\n");
        let errors = stats.totals().errors.into_inner();
        assert_eq!(errors.get("ERR"), Some(&5));
        assert_eq!(errors.get("NOAUTH"), Some(&1));
        assert_eq!(errors.len(), 2);
        for number in 0..1000 {
            worker
                .counts
                .count_error(format!("CODE{number} x\r\n").as_bytes());
        }
        assert_eq!(stats.totals().errors.lock().len(), ERROR_CODES_MAX);
    }
}
