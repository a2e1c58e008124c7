//! How long a refusal waits for a client to leave.

use std::time::{Duration, Instant};

/// Delays refusals. A client whose peer has left counts towards the limits until a worker closes
/// it. So after a storm of short connections, the server seems full although it is not. Therefore a
/// connection over a limit is held until a client is closed, or the workers have had time to close
/// those that have left. Over `maxclients`, later ones stay in the backlog meanwhile.
#[derive(Debug, Default)]
pub(super) struct RefusalDelay {
    /// When the current delay began.
    since: Option<Instant>,
    /// `departures` when the last delay expired without a closed client. Refusals do not wait again
    /// until another client departs.
    expired_at: Option<usize>,
}

impl RefusalDelay {
    /// Returns whether a refusal has to wait. `newcomers` clients have not had their first turn,
    /// so nobody knows whether their peers have left; `departures` clients have ever left.
    pub(super) fn must_wait(&mut self, now: Instant, newcomers: usize, departures: usize) -> bool {
        if self.expired_at == Some(departures) {
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let delay_max = if newcomers > 0 {
            NEWCOMERS_DELAY_MAX
        } else {
            DELAY_MAX
        };
        if now.saturating_duration_since(since) < delay_max {
            return true;
        }
        self.end();
        self.expired_at = Some(departures);
        false
    }

    /// Ends the current delay, if any. The acceptor calls this when it admits a connection.
    pub(super) fn end(&mut self) {
        self.since = None;
    }
}

/// Maximum delay while some clients have not had their first turn: a busy server's queue.
const NEWCOMERS_DELAY_MAX: Duration = Duration::from_millis(100);

/// Maximum delay if every client has had its first turn: for clients that have left since.
const DELAY_MAX: Duration = Duration::from_millis(3);
