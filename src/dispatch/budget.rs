//! How much of a worker's time one turn of a client may take.

use std::mem;
use std::time::Duration;

/// What is left of a turn. When it is spent, other clients have their turn.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) bytes: usize,
    pub(super) requests: usize,
    /// Requests that were left when the time ran out.
    forfeited: usize,
    /// Writes in the middle of a batch, and of pending output.
    pub(crate) writes: usize,
    /// Nanoseconds of handlers.
    time_ns: u32,
}

impl Budget {
    /// Whether something was read in this turn.
    pub(crate) fn has_read(&self) -> bool {
        self.bytes < TURN_BYTES
    }

    pub(super) fn is_spent(&self) -> bool {
        self.requests == 0 || self.writes == 0
    }

    /// Requests that this turn has not served, whether it still may or not.
    pub(super) fn unserved(&self) -> usize {
        self.requests + self.forfeited
    }

    /// Subtracts the time of a handler. If none is left, the whole budget is spent, so that nothing
    /// else has to check the time.
    pub(super) fn spend(&mut self, took: Duration) {
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
        }
    }
}

/// Bytes that a client may have read in one turn; the last read may exceed it.
const TURN_BYTES: usize = 64 * 1024;

/// Requests that a client may have answered in one turn: some hundred microseconds of PING.
const TURN_REQUESTS: usize = 2048;

/// Writes in the middle of a batch in one turn: long replies to short requests take time, too.
const TURN_WRITES: usize = 8;

/// Nanoseconds of handlers in one turn; the last one may exceed it. Only handlers that are not
/// declared short are timed each, so a PING does not read the clock.
const TURN_NS: u32 = 250_000;
