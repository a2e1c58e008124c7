//! The clients that are notified of messages after the turn of their publisher.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Slots of clients whose inboxes have messages, in the order of the messages. The worker that adds
/// one takes all of them before it waits for anything, unless another worker has.
#[derive(Debug, Default)]
pub(crate) struct Notifications {
    slots: Mutex<VecDeque<usize>>,
    /// The length of `slots`: written under its lock, read without it at the end of turns.
    count: AtomicUsize,
}

impl Notifications {
    pub(super) fn add(&self, added: &[usize]) {
        let mut slots = self.slots.lock();
        slots.extend(added);
        self.count.store(slots.len(), Ordering::Relaxed);
    }

    /// Takes the first slot.
    pub(crate) fn next(&self) -> Option<usize> {
        if self.count() == 0 {
            return None;
        }
        let mut slots = self.slots.lock();
        let slot = slots.pop_front();
        self.count.store(slots.len(), Ordering::Relaxed);
        slot
    }

    /// Returns the number of slots: at least of those that this thread added, and none has taken.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}
