//! Whether other threads want the workers' processors.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Detects that other threads wait for the workers' processors.
///
/// While they do, a helper (a worker that a busy worker wakes) would take a processor from one of
/// them, often from a client on the same machine. The client that the helper serves would wait
/// until the helper runs again.
#[derive(Debug)]
pub(super) struct CpuContention {
    start: Instant,
    /// The end of the contention, in microseconds from `start`; 0 before the first one.
    until_us: AtomicU64,
}

impl CpuContention {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            until_us: AtomicU64::new(0),
        }
    }

    /// Yields the processor to another thread, if one waits for it. Notes contention if that takes
    /// long. Returns the time at the end.
    pub(super) fn give_way(&self) -> Instant {
        let before = Instant::now();
        thread::yield_now();
        let now = Instant::now();
        self.note(before, now);
        now
    }

    fn note(&self, before: Instant, now: Instant) {
        if now - before >= CONTENTION_YIELD_MIN {
            let until = now + CONTENTION_DURATION - self.start;
            // 64 bits last for half a million years.
            let until_us = until.as_micros() as u64;
            self.until_us.store(until_us, Ordering::Relaxed);
        }
    }

    /// Whether contention was noted recently. If so, no worker should spin or wake a helper.
    pub(super) fn lasts(&self) -> bool {
        // Reads no clock before the first contention.
        self.until_us.load(Ordering::Relaxed) > 0 && self.lasts_at(Instant::now())
    }

    fn lasts_at(&self, now: Instant) -> bool {
        (now - self.start).as_micros() < self.until_us.load(Ordering::Relaxed).into()
    }
}

/// The shortest yield that counts as contention. A yield to no thread takes less than a
/// microsecond; one to a short task of the kernel takes less than this.
const CONTENTION_YIELD_MIN: Duration = Duration::from_micros(500);

/// How long contention is assumed to last: long enough that helpers woken too early cost little,
/// and short enough that a free processor is soon used.
const CONTENTION_DURATION: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_yield_notes_contention_which_passes() {
        let cpu_contention = CpuContention::new();
        assert!(!cpu_contention.lasts());
        let before = Instant::now();
        cpu_contention.note(before, before + CONTENTION_YIELD_MIN / 2);
        assert!(!cpu_contention.lasts_at(before));
        let now = before + CONTENTION_YIELD_MIN;
        cpu_contention.note(before, now);
        assert!(cpu_contention.lasts_at(now + CONTENTION_DURATION / 2));
        assert!(!cpu_contention.lasts_at(now + CONTENTION_DURATION * 2));
    }
}
