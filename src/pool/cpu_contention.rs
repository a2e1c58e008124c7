//! Whether other threads want the workers' processors.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What the workers have noticed of other threads that want their processors.
///
/// A worker that is called to help where there is no processor for it takes one away from somebody;
/// from the clients, if they run on this machine. Nobody gains by that, and whoever it has in hand
/// when its time is over waits until it has its next.
#[derive(Debug)]
pub(super) struct CpuContention {
    start: Instant,
    /// In microseconds from `start`: so long nobody is to be called.
    until_us: AtomicU64,
}

impl CpuContention {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            until_us: AtomicU64::new(0),
        }
    }

    /// Lets another thread have this processor, if one waits for it, and notes whether one did.
    pub(super) fn give_way(&self) {
        let before = Instant::now();
        thread::yield_now();
        self.note(before, Instant::now());
    }

    fn note(&self, before: Instant, now: Instant) {
        if now - before >= ABSENCE_MIN {
            let until = now + LASTING - self.start;
            // In half a million years it will not fit.
            let until_us = until.as_micros() as u64;
            self.until_us.store(until_us, Ordering::Relaxed);
        }
    }

    /// Whether it is best not to call anybody to help.
    pub(super) fn lasts(&self) -> bool {
        // Mostly there is no need to look at the clock.
        self.until_us.load(Ordering::Relaxed) > 0 && self.lasts_at(Instant::now())
    }

    fn lasts_at(&self, now: Instant) -> bool {
        (now - self.start).as_micros() < self.until_us.load(Ordering::Relaxed).into()
    }
}

/// Who is away from the processor for so long has not just made room for a moment of the kernel's.
/// To give way to nobody takes less than a microsecond.
const ABSENCE_MIN: Duration = Duration::from_micros(500);

/// How long it counts. A helper's few turns in vain are next to nothing beside it, and a processor
/// that becomes free is soon made use of.
const LASTING: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_away_for_long_has_noticed_a_crowd_and_it_passes() {
        let cpu_contention = CpuContention::new();
        assert!(!cpu_contention.lasts());
        let before = Instant::now();
        cpu_contention.note(before, before + ABSENCE_MIN / 2);
        assert!(!cpu_contention.lasts_at(before));
        let now = before + ABSENCE_MIN;
        cpu_contention.note(before, now);
        assert!(cpu_contention.lasts_at(now + LASTING / 2));
        assert!(!cpu_contention.lasts_at(now + LASTING * 2));
    }
}
