//! A turn of a client to which a reply is sent while it is read from its source.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::Worker;
use crate::client::Client;
use crate::client::stage::Stage;
use crate::dispatch::batch::TurnEnd;
use crate::dispatch::budget::Budget;
use crate::net::pending_output::Flushed;
use crate::server::supervision::panic_text;
use crate::state::close_reason::CloseReason;

impl Worker {
    /// Sends more of a reply that is read while it is sent. Ends the request if this fails: nothing
    /// more can be sent, because the peer would take it for the value.
    #[cold]
    pub(super) fn send_rest_caught(
        &mut self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<Option<TurnEnd>, CloseReason> {
        let end = catch_unwind(AssertUnwindSafe(|| self.send_rest(client, budget))).unwrap_or_else(
            |panic| {
                self.note_panic(&client.session, panic_text(panic.as_ref()), 0);
                Err(CloseReason::Panicked)
            },
        );
        if let Err(reason) = &end {
            self.output.bytes.clear();
            self.shared.stop_listening(&mut client.session);
            if let CloseReason::ReplySource(error) = reason {
                self.note_broken_source(&client.session, error);
            }
        }
        end
    }

    /// Sends pending output, and then the next chunk of the reply. Returns `None` after the last.
    fn send_rest(
        &mut self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<Option<TurnEnd>, CloseReason> {
        let now_s = self.shared.state.now_s();
        match client.connection.flush(&mut budget.writes, now_s)? {
            Flushed::CallsUsed => return Ok(Some(TurnEnd::BudgetSpent)),
            Flushed::SocketFull => return Ok(Some(self.await_room(client))),
            Flushed::Everything => {}
        }
        if budget.writes == 0 {
            return Ok(Some(TurnEnd::BudgetSpent));
        }
        budget.writes -= 1;
        let is_last = self.read_chunk(client, budget)?;
        let is_sent = self.send_output(client)?;
        if !is_last {
            let end = if is_sent {
                TurnEnd::BudgetSpent
            } else {
                self.await_room(client)
            };
            return Ok(Some(end));
        }
        client.stage = Stage::Open;
        // Its requests were not read, so `request-timeout` starts again.
        if let Some(input) = &mut client.pending_input {
            input.restart(now_s);
        }
        match client.session.ending {
            None => Ok(None),
            Some(_) => Err(CloseReason::Quit),
        }
    }

    /// Adds the next chunk of the reply to the output. Returns whether it is the last.
    fn read_chunk(
        &mut self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<bool, CloseReason> {
        // The reader may block.
        self.shared.hand_over_now();
        let start = Instant::now();
        let source = client.session.source_mut();
        let read = source.map_or(Ok(true), |source| source.read(&mut self.output.bytes));
        let is_last = read.map_err(CloseReason::ReplySource)?;
        if is_last {
            client.session.drop_source();
        }
        let end = Instant::now();
        budget.note_time(end);
        budget.spend(end - start);
        Ok(is_last)
    }

    /// Has a client wait until all its pending output is sent.
    fn await_room(&self, client: &mut Client) -> TurnEnd {
        // The total counts what is pending.
        self.update_block(client);
        if let Some(pending) = client.connection.pending_mut() {
            pending.block_until_sent();
        }
        TurnEnd::WriteBlocked
    }
}
