//! Counts of TLS handshakes, for INFO.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::counter::ResettableCounter;

#[derive(Debug, Default)]
pub(crate) struct HandshakeCounts {
    pub(crate) done: ResettableCounter,
    /// Those that began and did not end well.
    pub(crate) failed: ResettableCounter,
    waiting: AtomicUsize,
}

impl HandshakeCounts {
    /// Returns the number of clients that wait for a permit to go on with their handshake.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn set_waiting(&self, count: usize) {
        self.waiting.store(count, Ordering::Relaxed);
    }

    pub(super) fn reset(&self) {
        self.done.reset();
        self.failed.reset();
    }
}
