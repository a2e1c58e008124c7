//! Sends output that does not answer a request of this turn: pending output, messages, last bytes.

use std::mem;

use super::Worker;
use crate::client::Client;
use crate::dispatch::batch::{ServerContext, TurnEnd};
use crate::dispatch::budget::Budget;
use crate::net::connection::ReplySink;
use crate::net::pending_output::Flushed;
use crate::state::close_reason::CloseReason;

impl Worker {
    /// Sends pending output. Returns why the turn ended early.
    #[cold]
    pub(super) fn flush(
        &self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<Option<TurnEnd>, CloseReason> {
        client.is_notified = false;
        let now_s = self.shared.state.now_s();
        let was_blocked = client.is_write_blocked();
        match client.connection.flush(&mut budget.writes, now_s)? {
            Flushed::CallsUsed => return Ok(Some(TurnEnd::BudgetSpent)),
            Flushed::SocketFull if self.update_block(client) => {
                return Ok(Some(TurnEnd::WriteBlocked));
            }
            Flushed::SocketFull | Flushed::Everything => {}
        }
        // The client's requests were not read, so `request-timeout` starts again.
        if was_blocked && let Some(input) = &mut client.pending_input {
            input.restart(now_s);
        }
        Ok(None)
    }

    /// Blocks or unblocks the client. Returns whether it is write-blocked.
    #[cold]
    pub(super) fn update_block(&self, client: &mut Client) -> bool {
        let bounds = self.shared.output_bounds(client.session.wants_password());
        client.connection.update_block(&bounds)
    }

    /// Sends the messages in the client's inbox. Returns how the turn ends if it need not go on.
    #[cold]
    pub(super) fn deliver(
        &mut self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<Option<TurnEnd>, CloseReason> {
        let was_all = self.has_only_messages(client);
        client.is_notified = false;
        debug_assert!(self.output.bytes.is_empty(), "a turn sends all its output");
        let messages = client.session.info().inbox.take_messages();
        budget.bytes = budget.bytes.saturating_sub(messages.len());
        // Sent without a copy. The output keeps its memory.
        let output = mem::replace(&mut self.output.bytes, messages);
        let is_sent = self.send_output(client);
        let messages = mem::replace(&mut self.output.bytes, output);
        self.shared.state.buffers.keep(messages);
        if !is_sent? && self.update_block(client) {
            return Ok(Some(TurnEnd::WriteBlocked));
        }
        Ok(was_all.then_some(TurnEnd::Idle))
    }

    /// Adds the messages in the client's inbox to the output.
    #[cold]
    pub(super) fn take_messages(&mut self, client: &Client, budget: &mut Budget) {
        let messages = client.session.info().inbox.take_messages();
        budget.bytes = budget.bytes.saturating_sub(messages.len());
        self.output.bytes.extend_from_slice(&messages);
        self.shared.state.buffers.keep(messages);
    }

    /// Sends what was collected outside of a batch. Returns whether the socket took all of it.
    #[cold]
    pub(super) fn send_output(&mut self, client: &mut Client) -> Result<bool, CloseReason> {
        let traffic = &client.session.info().traffic;
        traffic.bytes_sent.add(self.output.bytes.len() as u64);
        let is_sent = self.output.send(&mut client.connection, &self.stats)?;
        // The limit on this client's messages counts its pending output.
        client.publish(self.shared.state.now_s());
        Ok(is_sent)
    }

    /// Sends the last output of a client that is about to be closed for `reason`.
    #[cold]
    pub(super) fn send_last(&mut self, client: &mut Client, reason: CloseReason) -> CloseReason {
        // Before the last output, so that no message follows it.
        self.shared.stop_listening(&mut client.session);
        // Ignored: unsent bytes become pending output, and a broken socket fails again.
        if !self.output.bytes.is_empty() {
            let _ = self.output.send(&mut client.connection, &self.stats);
        }
        reason
    }
}
