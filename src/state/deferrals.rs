//! Deferred replies: the clients that wait for one, and their timeouts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::clients::ClientInfo;
use super::deferred_request::DeferralId;

/// Counts the clients that wait for a deferred reply, and orders their timeouts.
#[derive(Debug, Default)]
pub(crate) struct Deferrals {
    waiting: AtomicUsize,
    /// The number of the last deferral.
    last_number: AtomicU64,
    /// The clients with a timeout, by its time and the number of the deferral.
    timeouts: Mutex<BTreeMap<(Instant, u64), Arc<ClientInfo>>>,
}

impl Deferrals {
    /// Returns the number of clients that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Returns the number of clients that wait and have a timeout.
    pub(crate) fn timeouts(&self) -> usize {
        self.timeouts.lock().len()
    }

    /// Returns the number of the next deferral, which no other has.
    pub(crate) fn new_number(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Adds a client that waits. Returns whether its timeout is the next of all.
    pub(super) fn add(&self, info: &Arc<ClientInfo>, id: DeferralId) -> bool {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let Some(timeout_at) = id.timeout_at else {
            return false;
        };
        let mut timeouts = self.timeouts.lock();
        let is_next = timeouts
            .first_key_value()
            .is_none_or(|((next_at, _), _)| timeout_at < *next_at);
        timeouts.insert((timeout_at, id.number), Arc::clone(info));
        is_next
    }

    /// Removes a client that does not wait any more.
    pub(super) fn remove(&self, id: DeferralId) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        if let Some(timeout_at) = id.timeout_at {
            self.timeouts.lock().remove(&(timeout_at, id.number));
        }
    }

    /// Returns when the next timeout is.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let timeouts = self.timeouts.lock();
        timeouts.first_key_value().map(|((at, _), _)| *at)
    }

    /// Returns a client whose timeout is over at `now`, and its deferral.
    pub(super) fn timed_out(&self, now: Instant) -> Option<(Arc<ClientInfo>, u64)> {
        let timeouts = self.timeouts.lock();
        let ((at, number), info) = timeouts.first_key_value()?;
        (*at <= now).then(|| (Arc::clone(info), *number))
    }
}
