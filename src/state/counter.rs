//! Counters that are cheap to write.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread writes and any may read.
#[derive(Debug, Default)]
pub(crate) struct LocalCounter(AtomicU64);

impl LocalCounter {
    /// Only the thread that owns the counter calls this.
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        // No read-modify-write, which would lock the cache line: no other thread writes.
        let sum = self.get().wrapping_add(more);
        self.0.store(sum, Ordering::Relaxed);
    }

    /// Makes the counter the `sum` of itself and `other`, as [`Self::add`].
    pub(super) fn combine(&self, other: &Self, sum: fn(u64, u64) -> u64) {
        self.0
            .store(sum(self.get(), other.get()), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number of events since the start, and since the last reset.
#[derive(Debug, Default)]
pub(crate) struct ResettableCounter {
    ever: AtomicU64,
    before_reset: AtomicU64,
}

impl ResettableCounter {
    /// Counts one event. Returns how many there were before it since the start.
    pub(crate) fn count(&self) -> u64 {
        self.ever.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the number since the start.
    pub(crate) fn ever(&self) -> u64 {
        self.ever.load(Ordering::Relaxed)
    }

    /// Returns the number since the last reset.
    pub(crate) fn get(&self) -> u64 {
        let before = self.before_reset.load(Ordering::Relaxed);
        self.ever().saturating_sub(before)
    }

    pub(super) fn reset(&self) {
        self.before_reset.store(self.ever(), Ordering::Relaxed);
    }
}
