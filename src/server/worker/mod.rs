//! A worker: takes a client, serves one turn of it, and parks it.
//!
//! | file | content |
//! |---|---|
//! | `mod.rs` | the worker, and the turn of an open client; all code on the way of a PING |
//! | `opening.rs` | a turn before the client is served: reads a PROXY header |
//! | `handshakes.rs` | a turn in a TLS handshake |
//! | `deferred.rs` | a turn of a client that waits for a deferred reply |
//! | `sending.rs` | a turn of a client whose reply is read while it is sent |
//! | `messages.rs` | a turn of a client that was notified of messages |
//! | `closing.rs` | begins a lingering close, and serves its turns |
//! | `output.rs` | sends what does not answer a request of this turn |
//! | `failures.rs` | counts and logs failed calls |

mod closing;
mod deferred;
mod failures;
#[cfg(feature = "tls")]
mod handshakes;
mod messages;
mod opening;
mod output;
mod sending;

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::opening::open;
use super::shared::{Phase, Shared};
use crate::client::Client;
use crate::client::stage::Stage;
use crate::dispatch::batch::{Batch, TurnEnd};
use crate::dispatch::budget::Budget;
use crate::dispatch::output::Output;
use crate::pool::{Parked, WorkerLocal};
use crate::resp::Parser;
use crate::state::clients::{ClientFlags, ClientInfo};
use crate::state::close_reason::CloseReason;
use crate::state::pause::PauseLevel;
use crate::state::stats::WorkerStats;

/// A thread of the pool. Serves one client at a time, for one turn.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    stats: Arc<WorkerStats>,
    local: WorkerLocal,
    /// Receives the bytes of a read, so that a client needs no buffer of its own.
    input: Box<[u8]>,
    /// The parser of the request at the front of `input`. Moved to the client if the request is
    /// incomplete.
    parser: Parser,
    output: Output,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, number: usize) -> Self {
        Self {
            stats: shared.state.stats.new_worker(number),
            local: shared.pool.join(),
            shared,
            input: vec![0; READ_BYTES_MAX].into_boxed_slice(),
            parser: Parser::default(),
            output: Output::default(),
        }
    }

    /// Serves clients until the pool retires this worker.
    pub(crate) fn run(mut self) {
        while let Some(mut client) = self.shared.pool.next(&mut self.local) {
            let mut is_first = true;
            while let Some(notified) = self.serve_turn(client, is_first) {
                client = notified;
                is_first = false;
            }
        }
    }

    /// Serves one turn of a client. Returns the client that this worker serves next. There is none
    /// unless this is the first turn since it took a client from the pool.
    #[expect(clippy::inline_always, reason = "called in one place, for each turn")]
    #[inline(always)]
    fn serve_turn(&mut self, client: Box<Client>, is_first: bool) -> Option<Box<Client>> {
        self.stats.begin_turn(client.session.id());
        if let Some(wait_us) = self.local.take_wait_us() {
            self.note_wait(&client, wait_us);
        }
        let mut budget = Budget::default();
        self.serve(client, &mut budget);
        self.stats.end_turn();
        let now = budget.noted_time()?;
        self.end_timed_turn(now, is_first)
    }

    /// Notes that a client has waited for its turn.
    #[cold]
    fn note_wait(&self, client: &Client, mut wait_us: u32) {
        // A new client may have sent its request long after it was accepted.
        if wait_us >= 1000 && !client.session.is_connected {
            let wait = Duration::from_micros(wait_us.into());
            // At most the wait, so it fits.
            wait_us = client.connection.since_event(wait).as_micros() as u32;
        }
        self.stats.note_wait(wait_us);
        self.shared.state.note_wait(wait_us);
    }

    /// Serves one turn of a client: until it is parked, queued again, or closed. If its socket is
    /// ready again when it is parked, the turn goes on with what is left of the budget.
    fn serve(&mut self, mut client: Box<Client>, budget: &mut Budget) {
        loop {
            client.is_awaited = false;
            let info = client.session.info();
            if info.inbox.has_unread()
                && let Some(reason) = reason_of_kill(info)
            {
                return self.close(client, &reason, budget);
            }
            let end = match client.stage {
                Stage::Open => self.serve_caught(&mut client, budget),
                Stage::Opening(_) | Stage::Deferred | Stage::Sending | Stage::Closing(_) => {
                    match self.serve_stage(&mut client, budget) {
                        Ok(Some(end)) => Ok(end),
                        // Open now, and served in the same turn.
                        Ok(None) => continue,
                        Err(reason) => Err(reason),
                    }
                }
            };
            let end = match end {
                Ok(end) if client.needs_check || client.connection.pending().is_some() => {
                    self.check(&mut client, end, budget)
                }
                end => end,
            };
            let pause_level = match end {
                Ok(TurnEnd::Idle) => {
                    self.publish_idle(&client);
                    None
                }
                Ok(TurnEnd::WriteBlocked | TurnEnd::Deferred) => {
                    self.publish_unread(&mut client);
                    None
                }
                Ok(TurnEnd::ClientPaused(level)) => {
                    self.publish_unread(&mut client);
                    Some(level)
                }
                Ok(TurnEnd::BudgetSpent | TurnEnd::Sending) => return self.requeue(client, budget),
                Err(reason) => match self.begin_close(client, reason, budget) {
                    Some(lingering) => {
                        client = lingering;
                        continue;
                    }
                    None => return,
                },
            };
            match self.park(client, pause_level, budget) {
                Some(ready) => {
                    self.stats.continue_turn();
                    client = ready;
                }
                None => return,
            }
        }
    }

    /// Queues a client whose budget is spent. Its turn took long, perhaps without a timed command.
    fn requeue(&self, client: Box<Client>, budget: &mut Budget) {
        client.publish(self.shared.state.now_s());
        let now = Instant::now();
        budget.note_time(now);
        self.shared.pool.resubmit(client, now);
    }

    /// Publishes a client that has nothing left to read.
    fn publish_idle(&self, client: &Client) {
        client.publish(self.shared.state.now_s());
        if client.connection.pending().is_some() {
            self.report_memory(client);
        }
    }

    /// Publishes a client whose requests stay unread, because it is write-blocked or paused, or
    /// waits for a deferred reply. Its peer cannot send the rest of a request in the meantime, so
    /// `request-timeout` starts again.
    #[cold]
    fn publish_unread(&self, client: &mut Client) {
        let now_s = self.shared.state.now_s();
        client.publish(now_s);
        if let Some(input) = &mut client.pending_input {
            input.restart(now_s);
        }
        self.report_memory(client);
    }

    /// Parks a client until its socket is ready. A paused client also stops waiting when the pause
    /// ends or becomes weaker than `pause_level`. Returns the client if it is ready again.
    fn park(
        &self,
        client: Box<Client>,
        pause_level: Option<PauseLevel>,
        budget: &mut Budget,
    ) -> Option<Box<Client>> {
        let is_paused = pause_level.is_some();
        let info = client.session.info();
        if info.has(ClientFlags::PAUSED) != is_paused {
            info.set(ClientFlags::PAUSED, is_paused);
        }
        let pause = &self.shared.state.pause;
        let may_rest = |client: &Client| {
            (!is_paused || pause.level_for(client.session.id()) >= pause_level)
                && (!client.is_awaited || self.shared.phase() == Phase::Settling)
        };
        match self.shared.pool.park(client, may_rest) {
            Parked::Resting => None,
            Parked::Ready(client) => Some(client),
            Parked::Failed(client, error) => {
                self.close(client, &CloseReason::Io(error), budget);
                None
            }
        }
    }

    /// Serves a client that is not open. Returns `None` if it is open now.
    #[cold]
    fn serve_stage(
        &mut self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<Option<TurnEnd>, CloseReason> {
        client.is_notified = false;
        match client.stage {
            Stage::Open => Ok(None),
            Stage::Opening(_) => self.open(client, budget),
            Stage::Deferred => self.serve_deferred_caught(client, budget),
            Stage::Sending => self.send_rest_caught(client, budget),
            Stage::Closing(_) => self.linger(client, budget).map(Some),
        }
    }

    /// Serves an opening client. A handshake takes long.
    #[cold]
    fn open(
        &mut self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<Option<TurnEnd>, CloseReason> {
        let end = open(&self.shared, client, &mut self.input);
        budget.note_time(Instant::now());
        end
    }

    /// Makes the clock check `maxmemory-clients` at once if the client uses much memory.
    #[cold]
    fn report_memory(&self, client: &Client) {
        let memory_bytes = client.session.info().memory_bytes();
        if memory_bytes > MUCH_MEMORY_BYTES && self.shared.settings.memory_bytes_max().is_some() {
            self.shared.clock.wake();
        }
    }

    /// Closes a client after its turn if too much output is pending, or if it missed a deadline.
    /// The clock only sets `needs_check`: it cannot see what has arrived at the socket.
    #[cold]
    fn check(
        &self,
        client: &mut Client,
        end: TurnEnd,
        budget: &Budget,
    ) -> Result<TurnEnd, CloseReason> {
        let (shared, now) = (&self.shared, self.shared.state.clock.now());
        let limits = shared.output_limits();
        let limit = client.output_limit(limits);
        if let Some(pending) = client.connection.pending_mut() {
            pending.update_timers(now.s, limit);
        }
        if client.exceeds(now.s, limits) {
            return Err(if client.session.listens() {
                CloseReason::SlowReader
            } else {
                CloseReason::OutputLimit
            });
        }
        if mem::take(&mut client.needs_check) && end != TurnEnd::BudgetSpent {
            if budget.has_read() {
                client.publish(now.s);
            }
            if let Some(deadline) = client.missed_deadline(now, shared.settings.timeouts()) {
                shared.stop_listening(&mut client.session);
                return Err(CloseReason::Late(deadline));
            }
        }
        Ok(end)
    }

    /// Reads and serves. If a handler panics, its client is closed; other clients are not affected.
    fn serve_caught(
        &mut self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<TurnEnd, CloseReason> {
        // After a panic, `self` and `client` are consistent: the handler borrowed only the session
        // and the output, and the output is repaired below.
        match catch_unwind(AssertUnwindSafe(|| self.read_and_serve(client, budget))) {
            Ok(Ok(end)) => Ok(end),
            Ok(Err(reason)) => Err(self.send_last(client, reason)),
            Err(panic) => Err(self.end_panic(client, panic.as_ref())),
        }
    }

    fn read_and_serve(
        &mut self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<TurnEnd, CloseReason> {
        let phase = self.shared.phase();
        if !client.session.is_connected {
            self.shared.connect(&mut client.session, budget)?;
            // From now on a read or an event shows whether the peer has left.
            client.newcomer = None;
        }
        if let Some(end) = self.serve_pending(client, budget)? {
            return end_early(end, client);
        }
        while !client.connection.ended {
            if phase == Phase::Closing {
                return Err(CloseReason::Drained);
            }
            if budget.bytes == 0 {
                return Ok(TurnEnd::BudgetSpent);
            }
            let Some(count) = client.connection.read(&mut self.input)? else {
                return self.shared.idle_or_drained(client, phase);
            };
            budget.bytes = budget.bytes.saturating_sub(count);
            self.count_read(client, count);
            if client.session.info().inbox.has_unread() {
                // A message that was published before these bytes were sent comes first.
                self.take_messages(client, budget);
            }
            if let Some(end) = self.serve_input(client, count, budget)? {
                return end_early(end, client);
            }
            // If the socket is not watched yet, its first event reports what has come meanwhile.
            if client.connection.is_drained(count, self.input.len()) {
                return self.shared.idle_or_drained(client, phase);
            }
            #[cfg(feature = "tls")]
            {
                let overhead = client.connection.take_overhead();
                budget.bytes = budget.bytes.saturating_sub(overhead);
            }
        }
        if client.connection.pending().is_some() {
            return Ok(TurnEnd::WriteBlocked);
        }
        Err(CloseReason::PeerLeft)
    }

    /// Sends pending output and messages, and serves pending input. Returns why the turn ended
    /// early.
    #[inline]
    fn serve_pending(
        &mut self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<Option<TurnEnd>, CloseReason> {
        if client.connection.pending().is_some()
            && let Some(end) = self.flush(client, budget)?
        {
            return Ok(Some(end));
        }
        if client.session.info().inbox.has_unread()
            && let Some(end) = self.deliver(client, budget)?
        {
            return Ok(Some(end));
        }
        if client.pending_input.is_some() {
            return self.serve_input(client, 0, budget);
        }
        Ok(None)
    }

    #[inline]
    fn count_read(&self, client: &Client, count: usize) {
        self.stats.counts.reads.add(1);
        self.stats.counts.bytes_read.add(count as u64);
        let traffic = &client.session.info().traffic;
        traffic.bytes_read.add(count as u64);
    }

    /// Serves the client's pending input and then the `count` bytes just read, and sends the
    /// replies. Returns why the turn ended early; `None` if every whole request was served and the
    /// client is not write-blocked.
    // Inlined, like every function from here to the system call that sends. A return after a system
    // call is slow, probably because the kernel's calls displace ours in the CPU's return stack
    // buffer. The two returns that this saves were 5 to 9 % of a PING.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn serve_input(
        &mut self,
        client: &mut Client,
        count: usize,
        budget: &mut Budget,
    ) -> Result<Option<TurnEnd>, CloseReason> {
        let mut batch = Batch {
            context: &*self.shared,
            commands: &self.shared.commands,
            state: &self.shared.state,
            session: &mut client.session,
            sink: &mut client.connection,
            output: &mut self.output,
            budget,
            stats: &self.stats,
        };
        let fresh = &self.input[..count];
        batch.serve_input(&mut client.pending_input, &mut self.parser, fresh)
    }
}

/// Returns why another thread closes a client, if one does.
#[cold]
fn reason_of_kill(info: &ClientInfo) -> Option<CloseReason> {
    info.inbox.kill_reason().map(CloseReason::from)
}

/// Ends the turn of a worker that panicked outside of a handler, too.
impl Drop for Worker {
    fn drop(&mut self) {
        self.stats.end();
        self.shared.notify();
    }
}

/// Ends a turn that left requests unserved. Closes a client whose requests wait if its peer has
/// sent FIN, as Redis does: its input is not read meanwhile, so it would hold a slot that another
/// client could use.
fn end_early(end: TurnEnd, client: &mut Client) -> Result<TurnEnd, CloseReason> {
    let waits = match end {
        TurnEnd::Deferred => {
            client.stage = Stage::Deferred;
            let info = client.session.info();
            info.set(ClientFlags::BLOCKED, true);
            // The reply may be there already. A peer that has sent FIN may read it.
            !info.inbox.has_ended_deferral()
        }
        TurnEnd::ClientPaused(_) => true,
        TurnEnd::Sending => {
            // The next turn reads the first chunk. A peer that has sent FIN may read on.
            client.stage = Stage::Sending;
            false
        }
        TurnEnd::Idle | TurnEnd::WriteBlocked | TurnEnd::BudgetSpent => false,
    };
    if waits && client.connection.has_peer_ended() {
        return Err(CloseReason::PeerLeft);
    }
    Ok(end)
}

/// Maximum bytes of one read. Large reads save system calls for pipelines, and copies for long
/// messages: one of 64 KiB usually arrives in one read. Input and replies together still fit in a
/// core's cache.
const READ_BYTES_MAX: usize = 128 * 1024;

/// Memory of one client at which `maxmemory-clients` is checked at once, not at the next second.
const MUCH_MEMORY_BYTES: u64 = 1024 * 1024;
