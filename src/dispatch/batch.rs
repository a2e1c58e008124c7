//! A batch: what one read brought, on its way through the commands. Bytes in, bytes out.
//!
//! It names no socket and no thread: what it wants of those around it, [`ServerContext`] and [`ReplySink`] say.
//! `worker.rs` gives it the server and a connection, `fuzz/connection.rs` two stand-ins in memory.

use std::io;
use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::client::PendingInput;
use crate::client::session::{Ending, Session, restriction};
use crate::command::entry::CALLS_TIMED_ONCE;
use crate::command::refusal::Refusal;
use crate::command::{Command, Commands};
use crate::net::pending_output::OutputBounds;
use crate::resp::{
    Limits, Parser, Protocol, ProtocolError, Replied, Reply, Request, is_http_request_line,
};
use crate::state::ServerState;
use crate::state::close_reason::CloseReason;
use crate::state::pause;
use crate::state::stats::WorkerStats;

/// The requests that one read brought, on their way through the commands.
pub(crate) struct Batch<'a, A, S> {
    pub(crate) around: &'a A,
    pub(crate) commands: &'a Commands,
    pub(crate) state: &'a ServerState,
    pub(crate) session: &'a mut Session,
    pub(crate) sink: &'a mut S,
    pub(crate) output: &'a mut Output,
    pub(crate) budget: &'a mut Budget,
    pub(crate) stats: &'a WorkerStats,
}

/// The server, as a batch sees it.
pub(crate) trait ServerContext {
    /// What a client may send.
    fn limits(&self, unauthenticated: bool) -> Limits;

    /// How much output may be pending before the client is write-blocked.
    fn output_bounds(&self, unauthenticated: bool) -> OutputBounds<'_>;

    /// Whether pauses hold requests up. A drain waits for none.
    fn honours_pauses(&self) -> bool;

    /// To be called before a handler that may block: `Pool::hand_over`.
    fn hand_over(&self);
}

/// Where replies go.
pub(crate) trait ReplySink {
    /// Sends `bytes` and empties it, whatever comes of it. What cannot be sent now is kept as pending
    /// output.
    ///
    /// Returns whether nothing is pending.
    fn send(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool>;

    /// Blocks or unblocks the client by how much output is pending. Returns whether it is
    /// write-blocked.
    fn update_block(&mut self, bounds: &OutputBounds<'_>) -> bool;
}

impl<A: ServerContext, S: ReplySink> Batch<'_, A, S> {
    /// Serves what the client holds and, behind it, what was `fresh`ly read, and sends the replies.
    /// Gives why to pause, unless every whole request was served and every reply was taken.
    ///
    /// `parser` is of the front of `fresh`. If a request is not whole, it goes along with its bytes.
    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    pub(crate) fn serve_input(
        &mut self,
        client_held: &mut Option<Box<PendingInput>>,
        own_parser: &mut Parser,
        fresh: &[u8],
    ) -> Result<Option<Pause>, CloseReason> {
        let mut pending_input = client_held.take();
        let (parser, bytes) = match pending_input.as_deref_mut() {
            Some(pending_input) => pending_input.extend(fresh, self.state.now_s()),
            None => (&mut *own_parser, fresh),
        };
        let before = self.budget.unserved();
        let (served, pause) = self.serve(parser, bytes)?;
        let requests = before - self.budget.unserved();
        let traffic = &self.session.info().traffic;
        traffic.requests.add(requests as u64);
        *client_held = match pending_input {
            Some(pending_input) => pending_input.without(served, self.state.now_s()),
            None if served == fresh.len() => None,
            None => Some(Box::new(PendingInput::new(
                &fresh[served..],
                mem::take(own_parser),
                self.state.now_s(),
            ))),
        };
        if pause != Some(Pause::Blocked) && self.send()? {
            return Ok(Some(Pause::Blocked));
        }
        Ok(pause)
    }

    /// Sends the replies collected so far. Returns whether the client is write-blocked.
    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    fn send(&mut self) -> Result<bool, CloseReason> {
        let traffic = &self.session.info().traffic;
        traffic.bytes_sent.add(self.output.bytes.len() as u64);
        Ok(!self.output.send(self.sink, self.stats)? && self.is_write_blocked())
    }

    #[cold]
    fn is_write_blocked(&mut self) -> bool {
        let bounds = self.around.output_bounds(self.session.wants_password());
        self.sink.update_block(&bounds)
    }

    /// Answers the whole requests in `bytes`. Gives how many bytes they took, and why it stopped
    /// before the last of them, if it did.
    // Seldom makes a system call, and is too much to have twice.
    #[inline(never)]
    fn serve(
        &mut self,
        parser: &mut Parser,
        bytes: &[u8],
    ) -> Result<(usize, Option<Pause>), CloseReason> {
        let mut served = 0;
        loop {
            let rest = &bytes[served..];
            if rest.is_empty() {
                return Ok((served, None));
            }
            if self.budget.is_spent() {
                return Ok((served, Some(Pause::Spent)));
            }
            let limits = self.around.limits(self.session.wants_password());
            let length = match parser.parse(rest, limits) {
                Ok(Some(length)) => length,
                Ok(None) => return Ok((served, None)),
                Err(error) => return Err(self.protocol_error(error, rest)),
            };
            let Some(request) = parser.request(rest) else {
                self.budget.requests -= 1;
                served += length;
                // An empty request is one that is skipped, too.
                if self.session.has_reply_flags() {
                    let _ = self.session.end_request();
                }
                continue;
            };
            let resolved = self.commands.resolve(&request);
            // A pipeline is mostly the same request again and again; the same bytes mean the same.
            let repeatable = resolved.ok().filter(|_| length <= REPEATED_BYTES_MAX);
            loop {
                self.budget.requests -= 1;
                if let Some(pending_input) = self.answer(&request, resolved)? {
                    return Ok((served, Some(Pause::Paused(pending_input))));
                }
                served += length;
                if let Some(command) = repeatable
                    && bytes.len() >= served + length
                {
                    served += length * self.repeat(command, length, &bytes[served - length..]);
                }
                if self.output.is_full() {
                    self.budget.writes -= 1;
                    if self.send()? {
                        return Ok((served, Some(Pause::Blocked)));
                    }
                }
                let again = repeatable.is_some() && begins_with(&bytes[served..], &rest[..length]);
                if !again || self.budget.is_spent() {
                    break;
                }
            }
        }
    }

    /// The request in the first `length` of `bytes` has just been answered; answers those behind it
    /// that are the same once more as it was. Gives how many. Only where the handler would say the
    /// same again, and nobody is told of each request.
    fn repeat(&mut self, command: &Command, length: usize, bytes: &[u8]) -> usize {
        if !command.is_pure() || self.state.observes_every_call() {
            return 0;
        }
        let count_max = self.output.repeats_max().min(self.budget.requests);
        let count = repeats(bytes, length, count_max);
        self.output.repeat(count);
        self.budget.requests -= count;
        let stats = &self.stats.commands[command.index()];
        stats.calls.add(count as u64);
        count
    }

    /// Answers a request that cannot be parsed, at the front of `bytes`.
    #[cold]
    fn protocol_error(&mut self, error: ProtocolError, bytes: &[u8]) -> CloseReason {
        let reply = self.output.reply(self.session.protocol());
        // A URL may hold any quote. To the splitter such a line has no words.
        if error == ProtocolError::UnbalancedQuotes && is_http_request_line(bytes) {
            let _ = reply.http_response();
            return CloseReason::Http { is_answered: true };
        }
        let _ = reply.protocol_error(error);
        error.into()
    }

    /// How strict the pause is that holds the client's request up, if there is one. A drain waits
    /// for none.
    #[inline]
    fn holds_up(&self, command: &Command) -> Option<u8> {
        match self.state.pause.held_of(self.session.id()) {
            pause::NOTHING => None,
            pending_input => (command.waits_while(pending_input) && self.around.honours_pauses())
                .then_some(pending_input),
        }
    }

    /// Answers a request, unless a pause holds it up; gives how strict a pause that is.
    #[inline]
    fn answer(
        &mut self,
        request: &Request<'_>,
        resolved: Result<&Command, Refusal<'_>>,
    ) -> Result<Option<u8>, CloseReason> {
        match resolved {
            Ok(command) => {
                let restrictions = command.is_stopped_by(self.session.restrictions());
                if restrictions != 0 && !self.opens(restrictions) {
                    self.refuse(Refusal::by_gates(restrictions, command), request);
                } else if let Some(pending_input) = self.holds_up(command) {
                    return Ok(Some(pending_input));
                } else {
                    self.run(command, request);
                }
            }
            Err(refusal) => self.refuse(refusal, request),
        }
        if self.session.has_reply_flags() {
            self.output.finish_reply(self.session);
        }
        match self.session.ending() {
            None => Ok(None),
            Some(ending) => Err(self.end(ending)),
        }
    }

    #[inline]
    fn run(&mut self, command: &Command, request: &Request<'_>) {
        let index = command.index();
        let info = self.session.info();
        // No program has so many commands that their number does not fit.
        info.command.store(index as u16, Ordering::Relaxed);
        if command.may_take_long() {
            info.active_at_s
                .store(self.state.now_s(), Ordering::Relaxed);
            self.around.hand_over();
        }
        let stats = &self.stats.commands[index];
        let replied = if self.state.observes_every_call() || command.times(stats.calls.get()) {
            self.run_closely(command, request)
        } else {
            let reply = self.output.reply(self.session.protocol());
            command.run(self.session, request, reply)
        };
        stats.calls.add(1);
        if let Some(error) = replied.error_in(&self.output.bytes) {
            stats.failed.add(1);
            self.stats.count_error(error);
        }
    }

    /// Runs a command, looks at the clock before and behind it, and tells those who want to know.
    #[cold]
    fn run_closely(&mut self, command: &Command, request: &Request<'_>) -> Replied {
        let start = Instant::now();
        let reply = self.output.reply(self.session.protocol());
        let replied = command.run(self.session, request, reply);
        let took = start.elapsed();
        // Of a short command, the calls that are not timed count as if they took as long.
        let is_sample = !command.may_take_long() && !self.state.observes_every_call();
        let calls = if is_sample { CALLS_TIMED_ONCE } else { 1 };
        self.budget.spend(took * calls);
        let stats = &self.stats.commands[command.index()];
        stats.time(took, self.state.keeps_durations());
        self.state
            .note(&command.info, request, self.session.info(), took);
        replied
    }

    /// Whether these gates are open after all: the password was taken away since the client came,
    /// and until there is one again.
    #[cold]
    fn opens(&self, restrictions: u8) -> bool {
        restrictions == restriction::PASSWORD && !self.session.wants_password()
    }

    #[cold]
    fn refuse(&mut self, refusal: Refusal<'_>, request: &Request<'_>) {
        let start = Instant::now();
        let reply = self.output.reply(self.session.protocol());
        let replied = refusal.tell(self.session, request, reply);
        if let Some(command) = refusal.command() {
            self.stats.commands[command.index()].rejected.add(1);
        }
        if let Some(error) = replied.error_in(&self.output.bytes) {
            self.stats.count_error(error);
        }
        self.budget.spend(start.elapsed());
    }

    #[cold]
    fn end(&mut self, ending: Ending) -> CloseReason {
        let why = match ending {
            Ending::AfterReply => return CloseReason::Quit,
            Ending::Http { is_answered: true } => return CloseReason::Http { is_answered: true },
            Ending::Http { is_answered: false } => CloseReason::Http { is_answered: false },
            Ending::Drain => CloseReason::Drained,
        };
        self.output.take_back();
        why
    }
}

/// Why a turn paused without closing the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// There is nothing left to read.
    Quiet,
    /// The client is write-blocked: its input stays unread until the peer takes replies.
    Blocked,
    /// The budget is spent.
    Spent,
    /// The server's clients are paused, so strictly. Its input stays unread until they are not.
    Paused(u8),
}

/// How often the first `length` of `bytes` come again right behind, up to `count_max` times.
fn repeats(bytes: &[u8], length: usize, count_max: usize) -> usize {
    let (first, behind) = bytes.split_at(length);
    let count = (behind.len() / length).min(count_max);
    // Bytes that are equal to those so far before them are the same over and over: one comparison,
    // where they mostly are.
    if behind[..count * length] == bytes[..count * length] {
        return count;
    }
    let next = behind.chunks_exact(length).take(count);
    next.take_while(|next| begins_with(next, first)).count()
}

/// Whether the front of `bytes` is `front`.
#[inline]
fn begins_with(bytes: &[u8], front: &[u8]) -> bool {
    let Some(bytes) = bytes.get(..front.len()) else {
        return false;
    };
    // Of 8 to 16 bytes, as a PING has, by two words that may overlap: to call a function that
    // compares any number would take as long as the comparison.
    match (bytes.first_chunk(), front.first_chunk()) {
        (Some(first), Some(wanted)) if front.len() <= 2 * WORD_BYTES => {
            let word = u64::from_ne_bytes;
            word(*first) == word(*wanted)
                && bytes.last_chunk().copied().map(word) == front.last_chunk().copied().map(word)
        }
        _ => bytes == front,
    }
}

const WORD_BYTES: usize = size_of::<u64>();

/// Replies on their way to the socket: one write for a batch, or several for one that has much to
/// say.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
    /// Where the last reply begins.
    reply_start: usize,
}

impl Output {
    pub(crate) fn reply(&mut self, protocol: Protocol) -> Reply<'_> {
        self.reply_start = self.bytes.len();
        Reply::new(&mut self.bytes, protocol)
    }

    /// How often the last reply can be sent again before it is time to send: never, if it was taken
    /// back, or is an error, which is counted.
    fn repeats_max(&self) -> usize {
        match self.bytes.get(self.reply_start) {
            None | Some(b'-') => 0,
            Some(_) => {
                let length = self.bytes.len() - self.reply_start;
                OUTPUT_BYTES.saturating_sub(self.bytes.len()) / length
            }
        }
    }

    /// Adds the last reply so many times more.
    fn repeat(&mut self, count: usize) {
        let start = self.reply_start;
        let mut missing = count * (self.bytes.len() - start);
        self.bytes.reserve(missing);
        while missing > 0 {
            // All that there are already, so that it takes few steps.
            let some = missing.min(self.bytes.len() - start);
            self.bytes.extend_from_within(start..start + some);
            missing -= some;
        }
    }

    /// Cuts the last reply off.
    fn take_back(&mut self) {
        self.bytes.truncate(self.reply_start);
    }

    /// Inserts the messages of the request that has just run before its reply, and cuts the reply
    /// off unless it is sent.
    #[cold]
    fn finish_reply(&mut self, session: &mut Session) {
        let (messages, is_sent) = session.end_request();
        if !is_sent {
            self.take_back();
        }
        // The messages are no part of the reply: from here on nothing takes them back.
        let start = self.reply_start.min(self.bytes.len());
        self.reply_start = start + messages.len();
        self.bytes.splice(start..start, messages);
    }

    /// Cuts off the reply of a handler that has panicked, and keeps the messages before it.
    #[cold]
    pub(crate) fn finish_panic(&mut self, session: &mut Session) {
        self.take_back();
        self.finish_reply(session);
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= OUTPUT_BYTES
    }

    /// Sends everything. Returns whether the socket took it all; if not, the rest is pending.
    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    pub(crate) fn send(
        &mut self,
        sink: &mut impl ReplySink,
        stats: &WorkerStats,
    ) -> Result<bool, CloseReason> {
        stats.writes.add((!self.bytes.is_empty()).into());
        stats.bytes_sent.add(self.bytes.len() as u64);
        let sent = sink.send(&mut self.bytes);
        if self.bytes.capacity() > OUTPUT_CAPACITY_MAX {
            self.bytes = Vec::new();
        }
        Ok(sent?)
    }
}

/// What a client may use up before other clients have their turn.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) bytes: usize,
    requests: usize,
    /// Requests that were left when the time was spent.
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

    fn is_spent(&self) -> bool {
        self.requests == 0 || self.writes == 0
    }

    /// Requests that this turn has not served, whether it still may or not.
    fn unserved(&self) -> usize {
        self.requests + self.forfeited
    }

    /// Takes the time of a handler off. Without any left, the rest is spent, too: so nothing has to
    /// ask for the time.
    fn spend(&mut self, took: Duration) {
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

/// Bytes that a client may have read in one turn; the last read may go beyond it.
const TURN_BYTES: usize = 64 * 1024;

/// Requests that a client may have answered in one turn: some hundred microseconds of PING.
const TURN_REQUESTS: usize = 2048;

/// How often a client may have [`OUTPUT_BYTES`] of replies sent in the middle of a batch in one turn:
/// long replies to short requests take time, too.
const TURN_WRITES: usize = 8;

/// Nanoseconds that handlers may take in one turn; the last one may go beyond it. Only handlers that are not
/// declared short are timed each, so a PING does not look at the clock.
const TURN_NS: u32 = 250_000;

/// Bytes of a request that is compared with the next. A longer one is parsed faster, by its headers.
const REPEATED_BYTES_MAX: usize = 64;

/// Bytes of replies that are collected before they are sent in the middle of a batch. By so much, and
/// one reply, pending output can exceed its bounds.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Bytes of room that a worker keeps for replies from turn to turn. One huge reply does not keep
/// its room.
const OUTPUT_CAPACITY_MAX: usize = 4 * OUTPUT_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_outlive_the_reply_of_a_handler_that_panics() {
        let mut session = Session::for_test(0, ([127, 0, 0, 1], 5000).into());
        let mut output = Output::default();
        let _ = output.reply(Protocol::Resp2).simple("before");
        let reply = output.reply(Protocol::Resp2);
        session.push(|message| message.simple("message"));
        let _ = reply.simple("cut off");
        output.finish_panic(&mut session);
        assert_eq!(output.bytes, b"+before\r\n+message\r\n");
        // Nor does a second end take them back.
        output.finish_panic(&mut session);
        assert_eq!(output.bytes, b"+before\r\n+message\r\n");
    }
}
