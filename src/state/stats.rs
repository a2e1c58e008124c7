//! Statistics: what every worker has done, counted where it costs next to nothing, and summed only
//! when somebody asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

/// The tallies of all workers there ever were, and what they stood at when they were last reset.
#[derive(Debug)]
pub(crate) struct ServerStats {
    commands: usize,
    workers: Mutex<Tallies>,
    /// What is subtracted from every sum. Nobody may write a worker's tally but the worker.
    baseline: Mutex<Arc<Totals>>,
}

#[derive(Debug, Default)]
struct Tallies {
    /// Of the workers that there are, and of some that have ended.
    workers: Vec<Arc<WorkerStats>>,
    /// What the others did who have ended.
    past: Totals,
}

/// What one worker has done. Only that worker writes it, so counting costs no more than adding.
#[derive(Debug)]
#[repr(align(64))] // A cache line of its own.
pub(crate) struct WorkerStats {
    /// The number of the worker's thread.
    worker: usize,
    /// Turns begun.
    turns: LocalCounter,
    /// The client whose turn it is; 0 if it is nobody's.
    serves: AtomicU64,
    pub(crate) bytes_read: LocalCounter,
    pub(crate) bytes_sent: LocalCounter,
    pub(crate) reads: LocalCounter,
    pub(crate) writes: LocalCounter,
    /// By the commands' indices.
    pub(crate) commands: Box<[CommandStats]>,
    /// Error replies by their codes. The lock is taken for an error reply, and by who asks.
    errors: Mutex<BTreeMap<Box<str>, u64>>,
}

/// What one worker has done for one command.
#[derive(Debug, Default)]
pub(crate) struct CommandStats {
    /// Requests that its handler has answered.
    pub(crate) calls: LocalCounter,
    /// Requests that were refused before it.
    pub(crate) rejected: LocalCounter,
    /// Requests that it has answered by an error.
    pub(crate) failed: LocalCounter,
    /// How many of the calls were timed, and how long those took.
    timed: LocalCounter,
    timed_ns: LocalCounter,
    /// How long the timed calls took, each; there from the first of them on.
    durations: OnceLock<Box<Histogram>>,
}

/// Counts of one client. Its owner adds to them once a read or write.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) bytes_read: LocalCounter,
    pub(crate) bytes_sent: LocalCounter,
    pub(crate) requests: LocalCounter,
}

/// A number that one thread writes and any may read.
#[derive(Debug, Default)]
pub(crate) struct LocalCounter(AtomicU64);

impl LocalCounter {
    /// To be called by the one thread that writes.
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        // No read-modify-write, which would lock the line: nobody else writes.
        let sum = self.get().wrapping_add(more);
        self.0.store(sum, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl ServerStats {
    /// `commands` is how many there are: one more than the highest index.
    pub(crate) fn new(commands: usize) -> Self {
        Self {
            commands,
            workers: Mutex::new(Tallies {
                workers: Vec::new(),
                past: Totals::of(commands),
            }),
            baseline: Mutex::default(),
        }
    }

    /// A tally for a worker that begins.
    pub(crate) fn new_worker(&self, worker: usize) -> Arc<WorkerStats> {
        let stats = Arc::new(WorkerStats {
            worker,
            turns: LocalCounter::default(),
            serves: AtomicU64::new(0),
            bytes_read: LocalCounter::default(),
            bytes_sent: LocalCounter::default(),
            reads: LocalCounter::default(),
            writes: LocalCounter::default(),
            commands: (0..self.commands)
                .map(|_| CommandStats::default())
                .collect(),
            errors: Mutex::default(),
        });
        let mut workers = self.workers.lock();
        let Tallies { workers, past } = &mut *workers;
        // However often the number of workers changes, no more than a tally for each is kept.
        workers.retain(|stats| {
            // One that somebody adds up right now counts as not ended, until the next worker begins.
            let ended = Arc::strong_count(stats) == 1;
            if ended {
                // Behind everything that the worker did before it let go.
                fence(Ordering::Acquire);
                past.add(stats);
            }
            !ended
        });
        workers.push(Arc::clone(&stats));
        stats
    }

    /// All that was ever done, resets or not.
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

    /// Puts the turns that workers are in into `turns`, in place of what is there.
    pub(crate) fn turns(&self, turns: &mut Vec<Turn>) {
        turns.clear();
        let workers = self.workers.lock();
        let all = workers.workers.iter().map(|stats| Turn {
            worker: stats.worker,
            number: stats.turns.get(),
            client_id: stats.serves.load(Ordering::Relaxed),
        });
        turns.extend(all.filter(|turn| turn.client_id != 0));
    }

    /// All that was done since the last reset.
    pub(crate) fn totals(&self) -> Totals {
        // Before the sum, which only grows: a reset that comes between does not make it too small.
        let baseline = Arc::clone(&self.baseline.lock());
        let mut totals = self.totals_ever();
        totals.subtract(&baseline);
        totals
    }

    /// Has every count begin at 0 again.
    pub(crate) fn reset(&self) {
        let totals = Arc::new(self.totals_ever());
        *self.baseline.lock() = totals;
    }

    fn totals_ever(&self) -> Totals {
        // Added up without the lock, which the clock's thread needs.
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

/// A turn that a worker is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The number of the worker's thread.
    pub(crate) worker: usize,
    /// How many turns that worker had begun, this one included.
    pub(crate) number: u64,
    pub(crate) client_id: u64,
}

impl WorkerStats {
    /// A client's turn begins.
    pub(crate) fn begin_turn(&self, client_id: u64) {
        self.turns.add(1);
        self.serves.store(client_id, Ordering::Relaxed);
    }

    /// It is over.
    pub(crate) fn end_turn(&self) {
        self.serves.store(0, Ordering::Relaxed);
    }

    /// Counts an error reply by its code, with which its text begins.
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

/// Bytes of an error's code that are told apart. Redis's bound.
const ERROR_CODE_BYTES_MAX: usize = 32;

/// Codes that are counted, so that handlers that make codes up do not fill the memory. Redis's
/// bound.
const ERROR_CODES_MAX: usize = 128;

impl CommandStats {
    /// Counts how long one call took.
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

/// Tallies added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) bytes_read: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) commands: Vec<CommandTotals>,
    pub(crate) errors: BTreeMap<Box<str>, u64>,
}

/// The tallies of a command, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CommandTotals {
    pub(crate) calls: u64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
    timed: u64,
    timed_ns: u64,
    /// Calls by the bucket of their duration; empty as long as none was timed.
    durations: Vec<u64>,
}

/// How much was done, in short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Throughput {
    pub(crate) requests: u64,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_sent: u64,
}

impl Throughput {
    /// What was done since `before`.
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

    /// Nothing, for so many commands.
    fn of(commands: usize) -> Self {
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

    /// Requests answered.
    pub(crate) fn calls(&self) -> u64 {
        self.commands.iter().map(|command| command.calls).sum()
    }

    /// Error replies.
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
            self.durations.resize(BUCKETS, 0);
            for (sum, count) in self.durations.iter_mut().zip(&histogram.0) {
                *sum += count.get();
            }
        }
    }

    fn subtract(&mut self, before: &Self) {
        self.calls -= before.calls;
        self.rejected -= before.rejected;
        self.failed -= before.failed;
        self.timed -= before.timed;
        self.timed_ns -= before.timed_ns;
        for (sum, before) in self.durations.iter_mut().zip(&before.durations) {
            *sum -= before;
        }
    }

    /// Whether there is anything to tell.
    pub(crate) fn is_used(&self) -> bool {
        self.calls + self.rejected + self.failed > 0
    }

    /// How long a call takes on average, in microseconds, by those that were timed.
    pub(crate) fn micros_per_call(&self) -> f64 {
        if self.timed == 0 {
            return 0.0;
        }
        self.timed_ns as f64 / 1000.0 / self.timed as f64
    }

    /// The duration, in microseconds, within which `percent` of the calls stay; `None` as long as
    /// none was timed.
    pub(crate) fn percentile(&self, percent: f64) -> Option<f64> {
        let kept: u64 = self.durations.iter().sum();
        if kept == 0 {
            return None;
        }
        let wanted = (percent / 100.0 * kept as f64).ceil().max(1.0) as u64;
        let mut sum = 0;
        let bucket = self.durations.iter().position(|count| {
            sum += count;
            sum >= wanted
        });
        Some(upper_ns(bucket.unwrap_or(BUCKETS - 1)) as f64 / 1000.0)
    }

    /// How many calls took up to so many microseconds, for each power of two where that grows:
    /// Redis's `LATENCY HISTOGRAM`. Where only some of the calls were timed, the rest is taken to
    /// be like them.
    pub(crate) fn cumulated(&self) -> Vec<(u64, u64)> {
        let kept: u64 = self.durations.iter().sum();
        let (mut points, mut sum, mut told) = (Vec::new(), 0, 0);
        let mut limit_ns = FIRST_POINT_NS;
        for (bucket, count) in self.durations.iter().enumerate() {
            while upper_ns(bucket) > limit_ns {
                limit_ns *= 2;
            }
            sum += count;
            let ends = upper_ns(bucket) == limit_ns || bucket + 1 == self.durations.len();
            if ends && sum > told {
                told = sum;
                let calls = u128::from(self.calls) * u128::from(sum) / u128::from(kept);
                // With the width of a bucket of Redis's own histogram, so that the points have the
                // same names: 1, 2, 4, 8, 16, 33, 66, …
                points.push(((limit_ns + limit_ns / 128 - 1) / 1000, calls as u64));
            }
        }
        points
    }
}

/// How often what took how long: 16 buckets for each power of two of nanoseconds, so that a
/// duration is known to a sixteenth.
#[derive(Debug)]
struct Histogram([LocalCounter; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([const { LocalCounter(AtomicU64::new(0)) }; BUCKETS])
    }
}

impl Histogram {
    fn add(&self, took_ns: u64) {
        self.0[bucket(took_ns)].add(1);
    }
}

/// The bucket for a duration: those up to 16 ns one by one, then 16 for each power of two.
fn bucket(took_ns: u64) -> usize {
    let last = took_ns.saturating_sub(1);
    if last < 16 {
        return last as usize;
    }
    let power = last.ilog2() as usize;
    let bucket = (power - 3) * 16 + ((last >> (power - 4)) & 15) as usize;
    bucket.min(BUCKETS - 1)
}

/// The longest duration in a bucket, in nanoseconds.
fn upper_ns(bucket: usize) -> u64 {
    if bucket < 16 {
        return bucket as u64 + 1;
    }
    let (power, part) = (bucket / 16 + 3, bucket % 16);
    (16 + part as u64 + 1) << (power - 4)
}

/// Up to a quarter of an hour; what takes longer counts as that.
const BUCKETS: usize = 37 * 16;

/// What `LATENCY HISTOGRAM` begins with.
const FIRST_POINT_NS: u64 = 1024;

const _: () = assert!(size_of::<Histogram>() < 5000);

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(durations_ns: &[u64]) -> CommandTotals {
        let command = CommandStats::default();
        for &ns in durations_ns {
            command.calls.add(1);
            command.time(Duration::from_nanos(ns), true);
        }
        let mut totals = CommandTotals::default();
        totals.add(&command);
        totals
    }

    #[test]
    fn the_tallies_of_all_workers_are_added_up_and_outlive_them() {
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
    fn a_reset_begins_at_nothing_and_counts_on() {
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
        let nothing = Totals::of(1);
        let mut totals = stats.totals();
        assert!(totals.commands[0].percentile(50.0).is_none());
        totals.commands[0].durations.clear();
        assert_eq!(totals, nothing);
        work(2);
        assert_eq!(stats.totals().calls(), 2);
        assert_eq!(stats.totals().errors(), 1);
        assert_eq!(stats.work_ever().requests, 7);
    }

    #[test]
    fn errors_are_counted_by_their_codes_and_not_by_more_of_them_than_128() {
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

    #[test]
    fn every_duration_falls_into_the_bucket_that_ends_at_it_or_closely_above() {
        for ns in (1..100_000).chain((0..39).map(|power| 1 << power)) {
            let upper = upper_ns(bucket(ns));
            assert!(ns <= upper && upper <= ns + ns / 16 + 1, "{ns} in {upper}");
            assert!(bucket(ns) == 0 || upper_ns(bucket(ns) - 1) < ns, "{ns}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_those_of_the_calls_that_were_timed() {
        let mut durations = vec![1_000; 98];
        durations.extend([50_000, 1_000_000]);
        let totals = timed(&durations);
        let near = |percent, micros: f64| {
            let value = totals.percentile(percent).expect("some were timed");
            assert!(
                (micros..micros * 17.0 / 16.0 + 0.001).contains(&value),
                "{percent}: {value}"
            );
        };
        near(50.0, 1.0);
        near(98.0, 1.0);
        near(99.0, 50.0);
        near(99.9, 1000.0);
        near(100.0, 1000.0);
        assert_eq!(timed(&[]).percentile(50.0), None);
    }

    #[test]
    fn the_cumulated_histogram_has_the_points_of_redis_and_ends_at_all_calls() {
        let mut totals = timed(&[500, 1024, 1025, 30_000, 40_000, 1_000_000]);
        assert_eq!(
            totals.cumulated(),
            [(1, 2), (2, 3), (33, 4), (66, 5), (1056, 6)]
        );
        totals.calls = 600;
        assert_eq!(totals.cumulated().last(), Some(&(1056, 600)));
    }
}
