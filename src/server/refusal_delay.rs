//! How long a refusal waits for a client to leave.

use std::time::{Duration, Instant};

/// Delays refusals. Clients that have left and are not closed yet count towards the limits. After a
/// storm of short connections, clients that stay would be refused because of them. So the first
/// connection over a limit waits, and all others stay in the backlog, until a client is closed or
/// the workers have had time to notice.
#[derive(Debug, Default)]
pub(super) struct RefusalDelay {
    since: Option<Instant>,
    /// The number of departures when the last delay expired. A delay is useless until another one.
    expired_at: Option<usize>,
}

impl RefusalDelay {
    /// Returns whether a refusal has to wait. `newcomers` clients have not had their first turn;
    /// `departures` clients have ever left.
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

    /// Ends the delay: a connection was admitted.
    pub(super) fn end(&mut self) {
        self.since = None;
    }
}

/// Maximum delay while some clients have not had their first turn: a busy server's queue.
const NEWCOMERS_DELAY_MAX: Duration = Duration::from_millis(100);

/// Maximum delay if every client has had its first turn: for clients that have left since.
const DELAY_MAX: Duration = Duration::from_millis(3);
