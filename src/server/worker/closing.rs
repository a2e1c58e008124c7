//! Closes clients: at once, or by a lingering close with turns of its own.

use std::time::Instant;

use super::Worker;
use crate::client::Client;
use crate::client::stage::Stage;
use crate::dispatch::batch::TurnEnd;
use crate::dispatch::budget::Budget;
use crate::net::pending_output::Flushed;
use crate::state::close_reason::CloseReason;

impl Worker {
    /// Begins a lingering close if the peer may still be sending, and closes the client otherwise.
    /// Returns the client if it lingers.
    #[cold]
    pub(super) fn begin_close(
        &self,
        mut client: Box<Client>,
        reason: CloseReason,
        budget: &mut Budget,
    ) -> Option<Box<Client>> {
        if client.stage.lingers(&reason) {
            self.shared.abandon_opening(&mut client);
            self.shared.abandon_reply(&mut client.session);
            client.begin_close(reason);
            return Some(client);
        }
        self.close(client, &reason, budget);
        None
    }

    /// Closes a client. That may take long, as the hook for disconnects may block.
    #[cold]
    pub(super) fn close(&self, client: Box<Client>, reason: &CloseReason, budget: &mut Budget) {
        let may_take_long = self.shared.may_close_slowly(&client);
        self.shared.close(client, reason);
        if may_take_long {
            budget.note_time(Instant::now());
        }
    }

    /// A turn of a lingering close: sends pending output, then FIN, then discards input until the
    /// peer's FIN. An error ends it; the reason that counts is the one that began the close.
    #[cold]
    pub(super) fn linger(
        &mut self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<TurnEnd, CloseReason> {
        let now_s = self.shared.state.now_s();
        match client.connection.flush(&mut budget.writes, now_s)? {
            Flushed::Everything => {}
            Flushed::SocketFull => return Ok(TurnEnd::WriteBlocked),
            Flushed::CallsUsed => return Ok(TurnEnd::BudgetSpent),
        }
        let Client {
            connection,
            session,
            stage: Stage::Closing(closing),
            ..
        } = client
        else {
            return Err(CloseReason::PeerLeft);
        };
        if closing.awaits_fin_since_s.is_none() {
            // Before FIN: a peer that sees it may connect again at once, and must be admitted.
            if closing.is_counted() {
                self.shared.count_out(session, &closing.reason);
            }
            // Read again: the hook for disconnects may have blocked.
            closing.awaits_fin_since_s = Some(self.shared.state.now_s());
            budget.note_time(Instant::now());
            connection.end_sending()?;
        }
        while closing.discarded <= DISCARDED_BYTES_MAX {
            if budget.bytes == 0 {
                return if self.shared.take_wish_for_slot() {
                    Err(CloseReason::PeerLeft)
                } else {
                    Ok(TurnEnd::BudgetSpent)
                };
            }
            let Some(count) = connection.read(&mut self.input)? else {
                return Ok(TurnEnd::Idle);
            };
            budget.bytes = budget.bytes.saturating_sub(count);
            closing.discarded += count;
            if connection.ended {
                return Err(CloseReason::PeerLeft);
            }
            if closing.discarded > DISCARDED_BYTES_MAX {
                closing.awaits_fin_since_s = Some(now_s);
            }
        }
        Ok(TurnEnd::Idle)
    }
}

/// Maximum bytes discarded during a lingering close: thousands of times the size of socket buffers.
/// After them nothing is read, so that the writes of a peer that sends without pause block, and it
/// reads its last output. For that it has the whole wait for FIN again, because closing a socket
/// with unread bytes sends RST, which may cut that output short.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024 * 1024;
