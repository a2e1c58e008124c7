//! A turn of a client that waits for a deferred reply.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::Worker;
use crate::client::Client;
use crate::client::stage::Stage;
use crate::dispatch::batch::TurnEnd;
use crate::dispatch::budget::Budget;
use crate::dispatch::deferred::write_deferred;
use crate::server::shared::Phase;
use crate::state::clients::ClientFlags;
use crate::state::close_reason::CloseReason;

impl Worker {
    /// Serves a client that waits for a deferred reply. A panic is handled as in
    /// [`Self::serve_caught`].
    #[cold]
    pub(super) fn serve_deferred_caught(
        &mut self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<Option<TurnEnd>, CloseReason> {
        let start = Instant::now();
        let end = match catch_unwind(AssertUnwindSafe(|| self.serve_deferred(client, budget))) {
            Ok(Ok(end)) => Ok(end),
            Ok(Err(reason)) => Err(self.send_last(client, reason)),
            Err(panic) => Err(self.end_panic(client, panic.as_ref())),
        };
        let now = Instant::now();
        budget.note_time(now);
        budget.spend(now - start);
        end
    }

    /// Sends pending output and messages, and the deferred reply if it is there. Returns `None`
    /// after the reply.
    fn serve_deferred(
        &mut self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<Option<TurnEnd>, CloseReason> {
        let phase = self.shared.phase();
        if client.connection.pending().is_some()
            && self.flush(client, budget)? == Some(TurnEnd::BudgetSpent)
        {
            return Ok(Some(TurnEnd::BudgetSpent));
        }
        let is_over = client.session.info().inbox.has_ended_deferral()
            || (phase != Phase::Serving && !client.session.holds_drain());
        if !is_over && client.connection.has_peer_ended() {
            return Err(CloseReason::PeerLeft);
        }
        if client.session.info().inbox.has_unread() {
            self.take_messages(client, budget);
        }
        if is_over {
            let session = &mut client.session;
            write_deferred(&*self.shared, &mut self.output, session, &self.stats);
            client.stage = Stage::Open;
            client.session.info().set(ClientFlags::BLOCKED, false);
            // Its requests were not read, so `request-timeout` starts again.
            if let Some(input) = &mut client.pending_input {
                input.restart(self.shared.state.now_s());
            }
        }
        self.send_output(client)?;
        match (is_over, client.session.ending) {
            // Messages may come without pause.
            (false, _) if budget.bytes == 0 => Ok(Some(TurnEnd::BudgetSpent)),
            (false, _) => Ok(Some(TurnEnd::Deferred)),
            (true, None) => Ok(None),
            (true, Some(_)) => Err(CloseReason::Quit),
        }
    }
}
