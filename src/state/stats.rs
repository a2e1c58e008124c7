//! Statistics: each worker counts for itself, and a request for the totals adds the counts up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use super::counter::LocalCounter;
use super::histogram::{Durations, Histogram};

/// The counts of all workers, also of those that have ended, and the totals at the last reset.
#[derive(Debug)]
pub(crate) struct ServerStats {
    commands: usize,
    workers: Mutex<AllWorkers>,
    /// Subtracted from every total: only the worker itself may write its counts.
    baseline: Mutex<Arc<Totals>>,
}

#[derive(Debug, Default)]
struct AllWorkers {
    /// Running workers, and some that have ended.
    workers: Vec<Arc<WorkerStats>>,
    /// The totals of all other workers that have ended.
    past: Totals,
}

/// The counts of one worker, which alone writes them.
#[derive(Debug, Default)]
#[repr(align(64))] // A cache line of its own.
pub(crate) struct WorkerStats {
    /// The number of the worker's thread.
    worker: usize,
    /// Turns begun.
    turns: LocalCounter,
    /// The client whose turn it is; 0 if there is none.
    client_id: AtomicU64,
    pub(crate) bytes_read: LocalCounter,
    pub(crate) bytes_sent: LocalCounter,
    pub(crate) reads: LocalCounter,
    pub(crate) writes: LocalCounter,
    /// By the index of the command.
    pub(crate) commands: Box<[CommandStats]>,
    /// Error replies by code.
    errors: Mutex<BTreeMap<Box<str>, u64>>,
}

/// The counts of one worker for one command.
#[derive(Debug, Default)]
pub(crate) struct CommandStats {
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
                past: Totals::zero(commands),
            }),
            baseline: Mutex::default(),
        }
    }

    /// Returns the counts for a new worker.
    pub(crate) fn new_worker(&self, worker: usize) -> Arc<WorkerStats> {
        let commands = (0..self.commands).map(|_| CommandStats::default());
        let stats = Arc::new(WorkerStats {
            worker,
            commands: commands.collect(),
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
                past.add(stats);
            }
            !ended
        });
        workers.push(Arc::clone(&stats));
        stats
    }

    /// Returns the work since the start, regardless of resets.
    pub(crate) fn work_ever(&self) -> Throughput {
        let workers = self.workers.lock();
        let mut work = workers.past.work();
        for stats in &workers.workers {
            let calls = stats.commands.iter().map(|command| command.calls.get());
            work.requests += calls.sum::<u64>();
            work.bytes_read += stats.bytes_read.get();
            work.bytes_sent += stats.bytes_sent.get();
        }
        work
    }

    /// Replaces the contents of `turns` by the turns in progress.
    pub(crate) fn turns(&self, turns: &mut Vec<Turn>) {
        turns.clear();
        let workers = self.workers.lock();
        let all = workers.workers.iter().map(|stats| Turn {
            worker: stats.worker,
            number: stats.turns.get(),
            client_id: stats.client_id.load(Ordering::Relaxed),
        });
        turns.extend(all.filter(|turn| turn.client_id != 0));
    }

    /// Returns the totals since the last reset.
    pub(crate) fn totals(&self) -> Totals {
        // First: a reset in between must not leave more to subtract than there is.
        let baseline = Arc::clone(&self.baseline.lock());
        let mut totals = self.totals_ever();
        totals.subtract(&baseline);
        totals
    }

    /// Lets every count begin at 0 again.
    pub(crate) fn reset(&self) {
        let totals = Arc::new(self.totals_ever());
        *self.baseline.lock() = totals;
    }

    fn totals_ever(&self) -> Totals {
        // Adds up without the lock, which the clock's thread needs.
        let (mut totals, workers) = {
            let workers = self.workers.lock();
            (workers.past.clone(), workers.workers.clone())
        };
        for stats in &workers {
            totals.add(stats);
        }
        totals
    }
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
    /// Notes the begin of a client's turn.
    pub(crate) fn begin_turn(&self, client_id: u64) {
        self.turns.add(1);
        self.client_id.store(client_id, Ordering::Relaxed);
    }

    pub(crate) fn end_turn(&self) {
        self.client_id.store(0, Ordering::Relaxed);
    }

    /// Counts an error reply by its code: the first word of its text.
    #[cold]
    pub(crate) fn count_error(&self, text: &[u8]) {
        let length = text.iter().take(ERROR_CODE_BYTES_MAX);
        let length = length.take_while(|byte| byte.is_ascii_graphic()).count();
        let code = String::from_utf8_lossy(&text[..length]);
        let mut errors = self.errors.lock();
        if let Some(count) = errors.get_mut(&*code) {
            *count += 1;
        } else if errors.len() < ERROR_CODES_MAX {
            errors.insert(code.into(), 1);
        }
    }
}

/// Maximum bytes of an error code; the rest is ignored. Redis's bound.
const ERROR_CODE_BYTES_MAX: usize = 32;

/// Maximum number of codes, so that handlers that invent codes do not fill the memory. Redis's
/// bound.
const ERROR_CODES_MAX: usize = 128;

impl CommandStats {
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
}

/// The counts of all workers, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) bytes_read: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) commands: Vec<CommandTotals>,
    pub(crate) errors: BTreeMap<Box<str>, u64>,
}

/// The counts of one command, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CommandTotals {
    pub(crate) calls: u64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
    timed: u64,
    timed_ns: u64,
    pub(crate) durations: Durations,
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

impl Totals {
    fn work(&self) -> Throughput {
        Throughput {
            requests: self.calls(),
            bytes_read: self.bytes_read,
            bytes_sent: self.bytes_sent,
        }
    }

    /// Zero for each of so many commands.
    fn zero(commands: usize) -> Self {
        Self {
            commands: vec![CommandTotals::default(); commands],
            ..Self::default()
        }
    }

    fn add(&mut self, stats: &WorkerStats) {
        self.bytes_read += stats.bytes_read.get();
        self.bytes_sent += stats.bytes_sent.get();
        self.reads += stats.reads.get();
        self.writes += stats.writes.get();
        for (total, command) in self.commands.iter_mut().zip(&stats.commands) {
            total.add(command);
        }
        for (code, count) in stats.errors.lock().iter() {
            *self.errors.entry(code.clone()).or_default() += count;
        }
    }

    fn subtract(&mut self, baseline: &Self) {
        self.bytes_read -= baseline.bytes_read;
        self.bytes_sent -= baseline.bytes_sent;
        self.reads -= baseline.reads;
        self.writes -= baseline.writes;
        for (total, before) in self.commands.iter_mut().zip(&baseline.commands) {
            total.subtract(before);
        }
        for (code, before) in &baseline.errors {
            if let Some(count) = self.errors.get_mut(code) {
                *count -= before;
            }
        }
        self.errors.retain(|_, count| *count > 0);
    }

    /// Returns the number of requests that handlers answered.
    pub(crate) fn calls(&self) -> u64 {
        self.commands.iter().map(|command| command.calls).sum()
    }

    /// Returns the number of error replies.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.values().sum()
    }
}

impl CommandTotals {
    fn add(&mut self, stats: &CommandStats) {
        self.calls += stats.calls.get();
        self.rejected += stats.rejected.get();
        self.failed += stats.failed.get();
        self.timed += stats.timed.get();
        self.timed_ns += stats.timed_ns.get();
        if let Some(histogram) = stats.durations.get() {
            self.durations.add(histogram);
        }
    }

    fn subtract(&mut self, before: &Self) {
        self.calls -= before.calls;
        self.rejected -= before.rejected;
        self.failed -= before.failed;
        self.timed -= before.timed;
        self.timed_ns -= before.timed_ns;
        self.durations.subtract(&before.durations);
    }

    /// Whether any request for the command came.
    pub(crate) fn is_used(&self) -> bool {
        self.calls + self.rejected + self.failed > 0
    }

    /// Returns the mean time of the timed calls in microseconds.
    pub(crate) fn micros_per_call(&self) -> f64 {
        if self.timed == 0 {
            return 0.0;
        }
        self.timed_ns as f64 / 1000.0 / self.timed as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_include_workers_that_have_ended() {
        let stats = ServerStats::new(2);
        let (one, other) = (stats.new_worker(0), stats.new_worker(0));
        one.commands[0].calls.add(2);
        one.commands[1].calls.add(3);
        other.commands[0].calls.add(10);
        other.bytes_sent.add(7);
        drop(one);
        stats.new_worker(0);
        assert_eq!(stats.workers.lock().workers.len(), 2);
        let totals = stats.totals();
        assert_eq!(totals.calls(), 15);
        assert_eq!(totals.commands[0].calls, 12);
        assert_eq!(totals.bytes_sent, 7);
    }

    #[test]
    fn counts_begin_at_0_after_a_reset() {
        let stats = ServerStats::new(1);
        let worker = stats.new_worker(0);
        let work = |times: u64| {
            worker.commands[0].calls.add(times);
            worker.commands[0].time(Duration::from_micros(3), true);
            worker.count_error(b"ERR no\r\n");
            worker.reads.add(times);
        };
        work(5);
        stats.reset();
        let mut totals = stats.totals();
        assert!(totals.commands[0].durations.percentile(50.0).is_none());
        totals.commands[0].durations = Durations::default();
        assert_eq!(totals, Totals::zero(1));
        work(2);
        assert_eq!(stats.totals().calls(), 2);
        assert_eq!(stats.totals().errors(), 1);
        assert_eq!(stats.work_ever().requests, 7);
    }

    #[test]
    fn errors_are_counted_by_at_most_128_codes() {
        let stats = ServerStats::new(0);
        let worker = stats.new_worker(0);
        worker.count_error(b"ERR one\r\n");
        worker.count_error(b"ERR two\r\n");
        worker.count_error(b"NOAUTH\r\n");
        let errors = stats.totals().errors;
        assert_eq!(errors.get("ERR"), Some(&2));
        assert_eq!(errors.get("NOAUTH"), Some(&1));
        for number in 0..1000 {
            worker.count_error(format!("CODE{number} x\r\n").as_bytes());
        }
        assert_eq!(stats.totals().errors.len(), ERROR_CODES_MAX);
    }
}
