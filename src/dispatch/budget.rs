//! Limits one turn of a client, so that other clients have their turn.

use std::mem;
use std::time::{Duration, Instant};

/// The rest of a turn's budget.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) bytes: usize,
    pub(super) requests: usize,
    /// Requests that were left when the time was spent.
    forfeited: usize,
    /// Writes of pending output and in the middle of a batch.
    pub(crate) writes: usize,
    /// Time for handlers.
    time_ns: u32,
    /// The time at the end of the last handler that was timed.
    noted_time: Option<Instant>,
}

impl Budget {
    /// Returns whether any bytes were read in this turn.
    pub(crate) fn has_read(&self) -> bool {
        self.bytes < TURN_BYTES
    }

    pub(super) fn is_spent(&self) -> bool {
        self.requests == 0 || self.writes == 0
    }

    /// Returns the number of requests that this turn has not served, including forfeited ones.
    pub(super) fn unserved(&self) -> usize {
        self.requests + self.forfeited
    }

    /// Notes the time, after anything that may have taken long.
    pub(crate) fn note_time(&mut self, now: Instant) {
        self.noted_time = Some(now);
    }

    /// Returns the last time that was noted.
    pub(crate) fn noted_time(&self) -> Option<Instant> {
        self.noted_time
    }

    /// Subtracts the time of a handler or of a deferred reply. If no time is left, clears the whole
    /// budget, so that only this has to check the time.
    pub(crate) fn spend(&mut self, took: Duration) {
        let took_ns = u32::try_from(took.as_nanos()).unwrap_or(u32::MAX);
        self.time_ns = self.time_ns.saturating_sub(took_ns);
        if self.time_ns == 0 {
            self.forfeited += mem::take(&mut self.requests);
            self.bytes = 0;
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: TURN_BYTES,
            requests: TURN_REQUESTS,
            forfeited: 0,
            writes: TURN_WRITES,
            time_ns: TURN_NS,
            noted_time: None,
        }
    }
}

/// Maximum bytes read in one turn; the last read may exceed it.
const TURN_BYTES: usize = 64 * 1024;

/// Maximum requests answered in one turn: some hundred microseconds of PING.
const TURN_REQUESTS: usize = 2048;

/// Maximum writes in the middle of a batch in one turn: long replies take time, too.
const TURN_WRITES: usize = 8;

/// Maximum time of handlers in one turn; the last handler may exceed it. Not every call of a short
/// command is timed, so that a PING need not read the clock.
const TURN_NS: u32 = 250_000;

/// How much longer the turn of a publisher may be. If it ends between two messages, each subscriber
/// costs a second write, which takes longer than leaving a hundred messages for it.
pub(super) const LONGER: u32 = 4;
