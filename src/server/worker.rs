//! A worker: takes a client, serves it, lets it rest. The only file that knows sockets *and*
//! commands.

use std::any::Any;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::client::session::Session;
use crate::client::{Client, LingeringClose};
use crate::dispatch::batch::{Batch, Budget, Output, Pause, ReplySink, ServerContext};
use crate::net::connection::Connection;
use crate::net::pending_output::{Flushed, OutputBounds};
use crate::pool::{Parked, WorkerLocal};
use crate::resp::{Limits, Parser};
use crate::server::{Phase, Shared};
use crate::state::clients::{KillReason, flag};
use crate::state::close_reason::CloseReason;
use crate::state::pause;
use crate::state::stats::WorkerStats;

/// One thread of the pool. It serves one client at a time, a turn at a time.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    stats: Arc<WorkerStats>,
    local: WorkerLocal,
    /// What a read brings is served out of here, so that a client needs no buffer of its own.
    input: Box<[u8]>,
    /// Of the request at the front of `input`. One that is not whole takes it along with its
    /// client.
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

    /// Serves clients until the pool has a worker too many.
    pub(crate) fn run(mut self) {
        while let Some(client) = self.shared.pool.next(&mut self.local) {
            self.stats.begin_turn(client.session.id());
            self.serve(client);
            self.stats.end_turn();
        }
    }

    /// Serves a client until it rests, waits in the queue again, or is closed.
    fn serve(&mut self, mut client: Box<Client>) {
        let mut budget = Budget::default();
        loop {
            let info = client.session.info();
            if info.has_unread()
                && let Some(kill_reason) = info.kill_reason()
            {
                return self.shared.close(client, &kill_reason.into());
            }
            let Client {
                connection,
                session,
                lingering,
                ..
            } = &mut *client;
            let outcome = match lingering {
                Some(lingering) => self.farewell(connection, session, lingering, &mut budget),
                None => self.turn(&mut client, &mut budget),
            };
            let outcome = match outcome {
                Ok(pause) if client.has_concerns() => self.judge(&mut client, pause, &budget),
                outcome => outcome,
            };
            match outcome {
                Ok(Pause::Spent) => {
                    client.publish(self.shared.state.now_s());
                    return self.shared.pool.resubmit(client);
                }
                Ok(pause @ (Pause::Quiet | Pause::Blocked | Pause::Paused(_))) => {
                    match self.rest(client, pause) {
                        Some(ready) => client = ready,
                        None => return,
                    }
                }
                Err(why) if client.lingering.is_none() && why.wants_farewell() => client.leave(why),
                Err(why) => return self.shared.close(client, &why),
            }
        }
    }

    /// Closes a client after its turn if too much output is pending, or if it is late: the clock
    /// suspected that, but cannot know what has arrived at the socket.
    #[cold]
    fn judge(
        &self,
        client: &mut Client,
        pause: Pause,
        budget: &Budget,
    ) -> Result<Pause, CloseReason> {
        let (shared, now) = (&self.shared, self.shared.state.now());
        let limits = shared.output_limits();
        let limit = client.output_limit(limits);
        if let Some(pending) = client.connection.pending_mut() {
            pending.note(now.s, limit);
        }
        if client.exceeds(now.s, limits) {
            return Err(if client.session.listens() {
                KillReason::SlowReader.into()
            } else {
                CloseReason::OutputLimit
            });
        }
        if mem::take(&mut client.suspect) && pause != Pause::Spent {
            if budget.has_read() {
                client.publish(now.s);
            }
            if let Some(deadline) = client.is_late_for(now, shared.settings.timeouts()) {
                shared.stop_listening(&mut client.session);
                return Err(CloseReason::Late(deadline));
            }
        }
        Ok(pause)
    }

    /// Parks the client. Gives it back if it has something to say already.
    fn rest(&self, mut client: Box<Client>, pause: Pause) -> Option<Box<Client>> {
        debug_assert!(pause != Pause::Blocked || client.connection.pending().is_some());
        let state = &self.shared.state;
        let now_s = state.now_s();
        client.publish(now_s);
        if pause != Pause::Quiet || client.connection.pending().is_some() {
            self.rest_unserved(&mut client, pause, now_s);
        }
        let pending_input = match pause {
            Pause::Paused(pending_input) => pending_input,
            _ => pause::NOTHING,
        };
        let info = client.session.info();
        if info.has(flag::PAUSED) != (pending_input != pause::NOTHING) {
            info.set(flag::PAUSED, pending_input != pause::NOTHING);
        }
        // Not if the pause is over, or one of writes alone now.
        let may_rest = |client: &Client| {
            pending_input == pause::NOTHING
                || state.pause.held_of(client.session.id()) >= pending_input
        };
        match self.shared.pool.park(client, may_rest) {
            Parked::Resting => None,
            Parked::Ready(client) => Some(client),
            Parked::Failed(client, error) => {
                self.shared.close(client, &CloseReason::Io(error));
                None
            }
        }
    }

    /// Notes what matters of a client that rests with requests unread or output pending.
    #[cold]
    fn rest_unserved(&self, client: &mut Client, pause: Pause, now_s: u32) {
        // While it is not read, it cannot send the rest of its request.
        if pause != Pause::Quiet
            && let Some(pending_input) = &mut client.pending_input
        {
            pending_input.restart(now_s);
        }
        let memory_bytes = client.session.info().memory_bytes();
        if memory_bytes > MUCH_WAITS_BYTES && self.shared.settings.memory_bytes_max().is_some() {
            self.shared.clock.look();
        }
    }

    /// One turn. A handler may panic in it: that costs its client the connection, and nobody else
    /// anything.
    fn turn(&mut self, client: &mut Client, budget: &mut Budget) -> Result<Pause, CloseReason> {
        // A panic leaves `self` and `client` whole: the handler borrowed the session and the
        // output, and the output is put right below.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.read_and_serve(client, budget)))
            .unwrap_or_else(|panic| {
                log::error!("a handler panicked: {}", panic_text(panic.as_ref()));
                self.output.finish_panic(&mut client.session);
                let _ = self
                    .output
                    .reply(client.session.protocol())
                    .error("ERR internal error; the server's log tells");
                Err(CloseReason::Panicked)
            });
        if outcome.is_err() {
            // Before it can know that it is on its way out.
            self.shared.stop_listening(&mut client.session);
            // The last words. What is not taken now is owed, and a socket that fails now fails
            // again.
            let _ = self.output.send(&mut client.connection, &self.stats);
        }
        outcome
    }

    fn read_and_serve(
        &mut self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<Pause, CloseReason> {
        let phase = self.shared.phase();
        let is_first_turn = !client.session.has_arrived();
        if is_first_turn {
            self.shared.arrive(&mut client.session)?;
            client.newcomer = None;
        }
        if client.connection.pending().is_some()
            && let Some(pause) = self.flush(client, budget)?
        {
            return Ok(pause);
        }
        if client.session.info().has_unread() && self.deliver(client, budget)? {
            return Ok(Pause::Blocked);
        }
        if client.pending_input.is_some()
            && let Some(pause) = self.serve_input(client, 0, budget)?
        {
            return unless_gone(pause, client);
        }
        while !client.connection.ended() {
            if phase == Phase::Closing {
                return Err(CloseReason::Drained);
            }
            if budget.bytes == 0 {
                return Ok(Pause::Spent);
            }
            let Some(count) = client.connection.read(&mut self.input)? else {
                return quiet(phase);
            };
            budget.bytes = budget.bytes.saturating_sub(count);
            self.stats.reads.add(1);
            self.stats.bytes_read.add(count as u64);
            let traffic = &client.session.info().traffic;
            traffic.bytes_read.add(count as u64);
            if let Some(pause) = self.serve_input(client, count, budget)? {
                return unless_gone(pause, client);
            }
            // Before it is parked for the first time, no event tells of a peer that has left already.
            if client.connection.is_drained(count, self.input.len()) && !is_first_turn {
                return quiet(phase);
            }
        }
        if client.connection.pending().is_some() {
            return Ok(Pause::Blocked);
        }
        Err(CloseReason::PeerLeft)
    }

    /// Sends pending output. Returns why the turn is over, if it is.
    #[cold]
    fn flush(
        &self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<Option<Pause>, CloseReason> {
        let now_s = self.shared.state.now_s();
        let was_blocked = client.is_write_blocked();
        match client.connection.flush(&mut budget.writes, now_s)? {
            Flushed::CallsUsed => return Ok(Some(Pause::Spent)),
            Flushed::SocketFull if self.update_block(client) => return Ok(Some(Pause::Blocked)),
            Flushed::SocketFull | Flushed::Everything => {}
        }
        // Nothing was read meanwhile, so it could not send the rest of its request.
        if was_blocked && let Some(pending_input) = &mut client.pending_input {
            pending_input.restart(now_s);
        }
        Ok(None)
    }

    /// Returns whether the client is write-blocked.
    #[cold]
    fn update_block(&self, client: &mut Client) -> bool {
        let bounds = self.shared.output_bounds(client.session.wants_password());
        client.connection.update_block(&bounds)
    }

    /// Sends what others have left for the client. Returns whether it is write-blocked.
    #[cold]
    fn deliver(&mut self, client: &mut Client, budget: &mut Budget) -> Result<bool, CloseReason> {
        let messages = client.session.info().take_messages();
        budget.bytes = budget.bytes.saturating_sub(messages.len());
        self.output.bytes.extend_from_slice(&messages);
        let traffic = &client.session.info().traffic;
        traffic.bytes_sent.add(messages.len() as u64);
        let is_sent = self.output.send(&mut client.connection, &self.stats)?;
        // The next message is kept or not by what is pending.
        client.publish(self.shared.state.now_s());
        Ok(!is_sent && self.update_block(client))
    }

    /// Serves what the client holds and, behind it, the `count` bytes just read, and sends the
    /// replies. Gives why to pause, unless every whole request was served and every reply was
    /// taken.
    // Inlined, as is all between here and the system call that sends. A return behind a system call
    // costs much, probably because the kernel's calls have displaced ours in what the processor
    // remembers of where to return to: the two that this saves were 5 to 9 % of a PING.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn serve_input(
        &mut self,
        client: &mut Client,
        count: usize,
        budget: &mut Budget,
    ) -> Result<Option<Pause>, CloseReason> {
        let mut batch = Batch {
            around: &*self.shared,
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

    /// A turn of a client on its way out: sends what is owed, then our end, then reads away what
    /// still comes until the peer ends too. An error closes it.
    fn farewell(
        &mut self,
        connection: &mut Connection,
        session: &mut Session,
        lingering: &mut LingeringClose,
        budget: &mut Budget,
    ) -> Result<Pause, CloseReason> {
        match connection.flush(&mut budget.writes, self.shared.state.now_s())? {
            Flushed::Everything => {}
            Flushed::SocketFull => return Ok(Pause::Blocked),
            Flushed::CallsUsed => return Ok(Pause::Spent),
        }
        if !lingering.sending_ended {
            // First of all: who sees our end may come again at once, and must find room.
            if lingering.is_counted() {
                self.shared.count_out(session, &lingering.why);
            }
            lingering.sending_ended = true;
            lingering.since_s = self.shared.state.now_s();
            connection.end_sending()?;
        }
        while budget.bytes > 0 {
            let Some(count) = connection.read(&mut self.input)? else {
                return Ok(Pause::Quiet);
            };
            budget.bytes = budget.bytes.saturating_sub(count);
            lingering.discarded += count;
            if connection.ended() || lingering.discarded > DISCARDED_BYTES_MAX {
                return Err(CloseReason::PeerLeft);
            }
        }
        Ok(Pause::Spent)
    }
}

/// Ends the turn of a worker that panicked outside of a handler.
impl Drop for Worker {
    fn drop(&mut self) {
        self.stats.end_turn();
    }
}

impl ServerContext for Shared {
    #[inline]
    fn limits(&self, unauthenticated: bool) -> Limits {
        self.settings.limits(unauthenticated)
    }

    fn output_bounds(&self, unauthenticated: bool) -> OutputBounds<'_> {
        Self::output_bounds(self, unauthenticated)
    }

    fn honours_pauses(&self) -> bool {
        self.phase() == Phase::Serving
    }

    fn hand_over(&self) {
        self.pool.hand_over();
    }
}

impl ReplySink for Connection {
    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    fn send(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        Self::send(self, bytes)
    }

    fn update_block(&mut self, bounds: &OutputBounds<'_>) -> bool {
        Self::update_block(self, bounds)
    }
}

/// What follows a pause of a client whose held input was served. One that the server's pause holds
/// is not read; if its peer has ended, nobody may be waiting for the replies any more, and such
/// clients must not fill the places of those who are. So they are closed, as in Redis.
fn unless_gone(pause: Pause, client: &Client) -> Result<Pause, CloseReason> {
    match pause {
        Pause::Paused(_) if client.connection.is_ending() => Err(CloseReason::PeerLeft),
        pause => Ok(pause),
    }
}

/// The socket has nothing left to read: a client rests, unless the server drains.
fn quiet(phase: Phase) -> Result<Pause, CloseReason> {
    match phase {
        Phase::Serving => Ok(Pause::Quiet),
        Phase::Draining | Phase::Closing => Err(CloseReason::Drained),
    }
}

/// The text that a panic was raised with.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

/// Bytes of one read. Larger reads save system calls of those who pipeline, and copies of those who
/// send long messages: a message of 64 KiB comes whole, with what is around it. And this still fits
/// in a core's own cache beside the replies.
const READ_BYTES_MAX: usize = 128 * 1024;

/// Bytes that wait for or from one client: so many that memory is looked at before the next second.
const MUCH_WAITS_BYTES: u64 = 1024 * 1024;

/// Bytes read away from a client on its way out: thousands of times what the buffers of two sockets
/// hold, so that a peer which sends without pause has some tenths of a second to read what it is owed
/// and see our end before it is reset.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024 * 1024;
