//! Messages: whom a turn has notified, and the turn of a client that was notified.

use std::time::Instant;

use super::Worker;
use crate::client::Client;
use crate::client::stage::Stage;
use crate::server::shared::Phase;

impl Worker {
    /// Ends a turn in which the time was noted. Returns a client that this worker serves next.
    ///
    /// That is the only client that the turn has notified: to wake another worker would take about
    /// as long as to serve it. If there are several, other workers may take them from the queue.
    /// After a turn that is not the `is_first` since this worker took a client from the pool, there
    /// is none: clients that notify each other would keep all others waiting.
    #[cold]
    pub(super) fn end_timed_turn(&mut self, now: Instant, is_first: bool) -> Option<Box<Client>> {
        let shared = &self.shared;
        let notified = shared.state.notifications.count();
        let serves_notified = notified == 1 && is_first;
        let submits = notified > 0 && !serves_notified;
        shared.pool.end_timed_turn(&mut self.local, now, submits);
        if serves_notified {
            let slot = shared.state.notifications.next()?;
            return shared.pool.take_notified(slot);
        }
        shared.notify();
        None
    }

    /// Whether the client was only notified. Then its socket need not be read: there was nothing to
    /// read when the client was parked, and no event since.
    pub(super) fn has_only_messages(&self, client: &Client) -> bool {
        client.is_notified
            && matches!(client.stage, Stage::Open)
            && client.pending_input.is_none()
            && client.connection.pending().is_none()
            && !client.needs_check
            && self.shared.phase() == Phase::Serving
    }
}
