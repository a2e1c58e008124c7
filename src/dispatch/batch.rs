//! Runs the requests of one read.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::budget::{Budget, LONGER};
use super::output::Output;
use super::repeat::{begins_with, bytes_before_last_argument, may_be_alike, may_repeat, repeats};
use crate::client::pending_input::PendingInput;
use crate::client::session::{Ending, Session};
use crate::command::Commands;
use crate::command::entry::{CALLS_TIMED_ONCE, Command};
use crate::command::refusal::Refusal;
use crate::net::connection::ReplySink;
use crate::net::pending_output::OutputBounds;
use crate::resp::{Limits, Parser, ProtocolError, Replied, Request, is_http_request_line};
use crate::state::ServerState;
use crate::state::clients::NO_COMMAND;
use crate::state::close_reason::CloseReason;
use crate::state::pause::PauseLevel;
use crate::state::slowlog::CallTimes;
use crate::state::stats::{CommandCounts, WorkerStats};

/// The requests of one read, and their environment.
pub(crate) struct Batch<'a, C, S> {
    pub(crate) context: &'a C,
    pub(crate) commands: &'a Commands,
    pub(crate) state: &'a ServerState,
    pub(crate) session: &'a mut Session,
    pub(crate) sink: &'a mut S,
    pub(crate) output: &'a mut Output,
    pub(crate) budget: &'a mut Budget,
    pub(crate) stats: &'a WorkerStats,
}

/// The parts of the server that a batch needs.
pub(crate) trait ServerContext {
    /// Returns the limits on what a client may send.
    fn limits(&self, unauthenticated: bool) -> Limits;

    /// Returns the pending output at which the client becomes write-blocked.
    fn output_bounds(&self, unauthenticated: bool) -> OutputBounds<'_>;

    /// Returns whether CLIENT PAUSE applies. A drain ignores it.
    fn honours_pauses(&self) -> bool;

    /// Makes sure that another worker watches the other clients, before a handler that may block.
    fn hand_over(&self);

    /// Notes the time, before a handler that may block.
    fn note_time(&self, now: Instant);
}

/// Why a turn ended without closing the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnEnd {
    /// The socket has nothing left to read.
    Idle,
    /// Too much output is pending: requests stay unread until the peer reads replies.
    WriteBlocked,
    /// The budget is spent.
    BudgetSpent,
    /// CLIENT PAUSE applies to the next request, at this level.
    ClientPaused(PauseLevel),
    /// The reply to the last request comes later, and the next requests wait for it.
    Deferred,
    /// The reply to the last request is read while it is sent, and the next requests wait for it.
    Sending,
}

impl TurnEnd {
    /// Whether the last request was served, and its reply or the rest of it comes later.
    fn awaits_reply(self) -> bool {
        matches!(self, Self::Deferred | Self::Sending)
    }
}

/// The number of bytes that were served, and why the turn ended early.
struct Served {
    bytes: usize,
    /// `None` if every whole request was served.
    end: Option<TurnEnd>,
}

impl Served {
    /// Returns that so many bytes were served, and that the turn goes on.
    fn all(bytes: usize) -> Self {
        Self { bytes, end: None }
    }

    /// Returns that the turn ends at a request of this length. It was served if its reply comes
    /// later.
    fn until(end: TurnEnd, length: usize) -> Self {
        Self {
            bytes: if end.awaits_reply() { length } else { 0 },
            end: Some(end),
        }
    }
}

/// The result of parsing the front of the input.
enum Next<'a> {
    Request(Request<'a>, usize),
    /// An empty request, which has no reply.
    Empty(usize),
    Incomplete,
}

impl<C: ServerContext, S: ReplySink> Batch<'_, C, S> {
    /// Serves the client's pending input and then the `fresh` bytes, and sends the replies. Returns
    /// why the turn ended early; `None` if every whole request was served and the client is not
    /// write-blocked.
    ///
    /// `own_parser` belongs to the front of `fresh`. If a request is incomplete, its bytes and its
    /// parser become the pending input.
    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    pub(crate) fn serve_input(
        &mut self,
        pending_input: &mut Option<Box<PendingInput>>,
        own_parser: &mut Parser,
        fresh: &[u8],
    ) -> Result<Option<TurnEnd>, CloseReason> {
        let mut input = pending_input.take();
        let (parser, bytes) = match input.as_deref_mut() {
            Some(input) => input.extend(fresh, self.state.now_s()),
            None => (&mut *own_parser, fresh),
        };
        let before = self.budget.unserved();
        let served = self.serve(parser, bytes)?;
        let requests = before - self.budget.unserved();
        self.session.info().traffic.requests.add(requests as u64);
        *pending_input = match input {
            Some(input) => input.without(served.bytes, self.state.now_s()),
            None if served.bytes == fresh.len() => None,
            None => Some(Box::new(PendingInput::new(
                &fresh[served.bytes..],
                mem::take(own_parser),
                self.state.now_s(),
            ))),
        };
        if served.end != Some(TurnEnd::WriteBlocked)
            && self.send()?
            && !served.end.is_some_and(TurnEnd::awaits_reply)
        {
            return Ok(Some(TurnEnd::WriteBlocked));
        }
        Ok(served.end)
    }

    /// Sends the replies collected so far. Returns whether the client is write-blocked.
    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    fn send(&mut self) -> Result<bool, CloseReason> {
        let traffic = &self.session.info().traffic;
        traffic.bytes_sent.add(self.output.bytes.len() as u64);
        Ok(!self.output.send(self.sink, self.stats)? && self.is_write_blocked())
    }

    /// Like [`Self::send`], in the middle of a batch.
    #[cold]
    fn send_early(&mut self) -> Result<bool, CloseReason> {
        self.budget.writes -= 1;
        self.send()
    }

    #[cold]
    fn is_write_blocked(&mut self) -> bool {
        let bounds = self.context.output_bounds(self.session.wants_password());
        self.sink.update_block(&bounds)
    }

    /// Answers the whole requests in `bytes`.
    // Not inlined: large, and its caller is inlined twice.
    #[inline(never)]
    fn serve(&mut self, parser: &mut Parser, bytes: &[u8]) -> Result<Served, CloseReason> {
        let mut served = 0;
        let end = loop {
            let rest = &bytes[served..];
            if rest.is_empty() {
                break None;
            }
            if self.budget.is_spent() {
                break Some(TurnEnd::BudgetSpent);
            }
            match self.next_request(parser, rest)? {
                Next::Request(request, length) => {
                    let run = self.serve_request(request, length, rest)?;
                    served += run.bytes;
                    if run.end.is_some() {
                        break run.end;
                    }
                    if self.output.is_full() && self.send_early()? {
                        break Some(TurnEnd::WriteBlocked);
                    }
                }
                Next::Empty(length) => served += length,
                Next::Incomplete => break None,
            }
        };
        Ok(Served { bytes: served, end })
    }

    /// Parses the request at the front of `bytes`.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn next_request<'a>(
        &mut self,
        parser: &'a mut Parser,
        bytes: &'a [u8],
    ) -> Result<Next<'a>, CloseReason> {
        let limits = self.context.limits(self.session.wants_password());
        let length = match parser.parse(bytes, limits) {
            Ok(Some(length)) => length,
            Ok(None) => return Ok(Next::Incomplete),
            Err(error) => return Err(self.protocol_error(error, bytes)),
        };
        if let Some(request) = parser.request(bytes) {
            return Ok(Next::Request(request, length));
        }
        self.budget.requests -= 1;
        // CLIENT REPLY SKIP counts an empty request, too.
        if self.session.has_reply_flags() {
            let _ = self.session.end_request();
        }
        Ok(Next::Empty(length))
    }

    /// Answers the request in the first `length` of `bytes`, and those like it that follow.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn serve_request(
        &mut self,
        request: Request<'_>,
        length: usize,
        bytes: &[u8],
    ) -> Result<Served, CloseReason> {
        self.budget.requests -= 1;
        let command = match self.commands.resolve(&request) {
            Ok(command) => command,
            Err(refusal) => {
                self.refuse(refusal, &request);
                let end = self.end_request()?;
                return Ok(Served { bytes: length, end });
            }
        };
        if command.burst_handler.is_some()
            && let Some(bytes) = self.answer_burst(command, &request, length, bytes)
        {
            return Ok(Served::all(bytes));
        }
        if let Some(end) = self.answer(command, self.counts_of(command), &request)? {
            return Ok(Served::until(end, length));
        }
        if !may_be_alike(bytes, length) {
            return Ok(Served::all(length));
        }
        let last = self.answer_repeats(command, length, bytes);
        let bytes = bytes.len() - last.len() + length;
        if last.len() < 2 * length {
            // No whole request follows.
            return Ok(Served::all(bytes));
        }
        let alike = self.serve_alike(command, request, length, last)?;
        Ok(Served {
            bytes: bytes + alike.bytes,
            ..alike
        })
    }

    /// Answers the requests after the first `length` of `bytes` that differ from the one there in
    /// the last argument or not at all: a pipeline is often the same command again and again.
    // Not inlined: beside this loop, a request that comes alone would take 50 instructions more.
    #[inline(never)]
    fn serve_alike<'a>(
        &mut self,
        command: &Command,
        mut request: Request<'a>,
        length: usize,
        bytes: &'a [u8],
    ) -> Result<Served, CloseReason> {
        let counts = self.counts_of(command);
        // These bytes decide about the words, the command and the number of arguments.
        let front = &bytes[..bytes_before_last_argument(&request, command).unwrap_or(length)];
        let mut last = bytes;
        let end = loop {
            let next = &last[length..];
            let is_alike = next.len() >= length && begins_with(next, front);
            if !is_alike || self.output.is_full() || self.budget.is_spent() {
                break None;
            }
            if front.len() < length {
                request = request.moved_to(next);
            }
            self.budget.requests -= 1;
            if let Some(end) = self.answer(command, counts, &request)? {
                if end.awaits_reply() {
                    last = next;
                }
                break Some(end);
            }
            last = self.answer_repeats(command, length, next);
        };
        Ok(Served {
            bytes: bytes.len() - last.len(),
            end,
        })
    }

    /// Answers identical requests that follow the first `length` of `bytes` by copying the reply,
    /// if the handler would reply the same. Returns the `bytes` from the last of them on.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn answer_repeats<'a>(
        &mut self,
        command: &Command,
        length: usize,
        bytes: &'a [u8],
    ) -> &'a [u8] {
        if command.is_pure && may_repeat(bytes, length) {
            &bytes[length * self.copy_reply(command, length, bytes)..]
        } else {
            bytes
        }
    }

    /// Copies the last reply for identical requests that follow the first `length` of `bytes`;
    /// returns how many. Copies none if there are monitors.
    fn copy_reply(&mut self, command: &Command, length: usize, bytes: &[u8]) -> usize {
        if self.state.observes_every_call() {
            return 0;
        }
        let count_max = self.output.repeats_max().min(self.budget.requests);
        let count = repeats(bytes, length, count_max);
        self.output.repeat(count);
        self.budget.requests -= count;
        self.counts_of(command).calls.add(count as u64);
        count
    }

    /// Answers a request that cannot be parsed, at the front of `bytes`.
    #[cold]
    fn protocol_error(&mut self, error: ProtocolError, bytes: &[u8]) -> CloseReason {
        let reply = self.output.reply(self.session.protocol());
        // A URL may contain quotes, which are unbalanced in an inline request.
        if error == ProtocolError::UnbalancedQuotes && is_http_request_line(bytes) {
            let _ = reply.http_response();
            return CloseReason::Http { is_answered: true };
        }
        let _ = reply.protocol_error(error);
        // As in Redis, CLIENT REPLY concerns this reply too.
        if self.session.has_reply_flags() {
            self.output.finish_reply(self.session);
        }
        error.into()
    }

    /// Answers a request. If it is not answered now, returns why.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn answer(
        &mut self,
        command: &Command,
        counts: &CommandCounts,
        request: &Request<'_>,
    ) -> Result<Option<TurnEnd>, CloseReason> {
        let restrictions = self.session.restrictions - command.allowed_under;
        if !restrictions.is_empty() {
            if let Some(level) = self.answer_restricted(command, restrictions, request) {
                return Ok(Some(self.hold(level)));
            }
        } else if let Some(level) = self.pause_level(command) {
            return Ok(Some(self.hold(level)));
        } else {
            self.run(command, counts, request);
        }
        self.end_request()
    }

    /// Holds up a request until the end of a pause. It counts when it is served.
    #[cold]
    fn hold(&mut self, level: PauseLevel) -> TurnEnd {
        self.budget.requests += 1;
        TurnEnd::ClientPaused(level)
    }

    /// Ends a request that was answered. If its reply comes later, returns why.
    #[inline]
    fn end_request(&mut self) -> Result<Option<TurnEnd>, CloseReason> {
        if self.session.has_reply_flags()
            && let Some(end) = self.finish_reply()
        {
            return Ok(Some(end));
        }
        match self.session.ending {
            None => Ok(None),
            Some(ending) => Err(self.end(ending)),
        }
    }

    /// Ends a request whose reply needs more than to be sent. Returns why the turn ends if the
    /// reply, or its rest, comes later.
    #[cold]
    fn finish_reply(&mut self) -> Option<TurnEnd> {
        if self.session.is_deferred() {
            return Some(TurnEnd::Deferred);
        }
        let is_sending = self.session.is_sending();
        let is_sent = self.output.finish_reply(self.session);
        if is_sending && !is_sent {
            self.session.drop_source();
        }
        (is_sending && is_sent).then_some(TurnEnd::Sending)
    }

    #[cold]
    fn end(&mut self, ending: Ending) -> CloseReason {
        let reason = match ending {
            Ending::AfterReply => return CloseReason::Quit,
            Ending::Http { is_answered: true } => return CloseReason::Http { is_answered: true },
            Ending::Http { is_answered: false } => CloseReason::Http { is_answered: false },
            Ending::Drain => CloseReason::Drained,
        };
        self.output.remove_reply();
        reason
    }
}

impl<'a, C: ServerContext, S> Batch<'a, C, S> {
    /// Returns this worker's counts of the command.
    #[inline]
    pub(super) fn counts_of(&self, command: &Command) -> &'a CommandCounts {
        &self.stats.counts.commands[command.index()]
    }

    /// Returns the level of CLIENT PAUSE if it applies to the command.
    #[inline]
    pub(super) fn pause_level(&self, command: &Command) -> Option<PauseLevel> {
        let level = self.state.pause.level_for(self.session.id())?;
        (command.waits_while(level) && self.context.honours_pauses()).then_some(level)
    }

    /// Runs a command.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    pub(super) fn run(&mut self, command: &Command, counts: &CommandCounts, request: &Request<'_>) {
        self.note_last_command(command);
        // Few calls of a short command are timed.
        let is_sample = counts.calls.get().is_multiple_of(CALLS_TIMED_ONCE.into());
        if command.is_short && !is_sample && !self.state.observes_every_call() {
            let reply = self.output.reply(self.session.protocol());
            let replied = (command.handler)(self.session, request, reply);
            self.count(counts, &replied);
            return;
        }
        if !command.is_short {
            let active_at_s = &self.session.info().active_at_s;
            active_at_s.store(self.state.now_s(), Ordering::Relaxed);
            // Middleware may wait before the handler or after it.
            if !command.hands_over || self.commands.middleware.is_some() {
                self.context.hand_over();
            }
        }
        self.run_observed(command, request);
    }

    /// Counts a call that the handler has answered.
    #[inline]
    pub(super) fn count(&self, counts: &CommandCounts, replied: &Replied) {
        counts.calls.add(1);
        if let Some(error) = replied.error_in(&self.output.bytes) {
            counts.failed.add(1);
            self.stats.counts.count_error(error);
        }
    }

    /// Runs a command with all that few calls need: the clock, the records, and the middleware.
    #[cold]
    pub(super) fn run_observed(&mut self, command: &Command, request: &Request<'_>) {
        if let Some(middleware) = self.commands.middleware.as_deref() {
            self.run_within(middleware, command, request);
        } else {
            let (replied, _) = self.run_timed(command, request);
            let counts = self.counts_of(command);
            self.count(counts, &replied);
        }
    }

    /// Runs a command, times it, and records it for SLOWLOG, LATENCY and MONITOR.
    pub(super) fn run_timed(
        &mut self,
        command: &Command,
        request: &Request<'_>,
    ) -> (Replied, Duration) {
        let start = Instant::now();
        if !command.is_short {
            self.context.note_time(start);
        }
        let replied = self.call(command, request);
        let took = self.end_calls(command, start, 1);
        self.note(command, request, took);
        (replied, took)
    }

    /// Counts the time of `count` calls that have begun at `start`. Returns that of each.
    pub(super) fn end_calls(&mut self, command: &Command, start: Instant, count: u32) -> Duration {
        let end = Instant::now();
        self.budget.note_time(end);
        // For a short command, the time counts for the untimed calls, too.
        let is_sample = command.is_short && !self.state.observes_every_call();
        let calls = if is_sample { CALLS_TIMED_ONCE } else { 1 };
        let share = if command.hands_over { LONGER } else { 1 };
        self.budget.spend((end - start) * calls / share);
        let took = (end - start) / count;
        let stats = self.counts_of(command);
        for _ in 0..count {
            stats.time(took, self.state.settings.latency_tracking());
        }
        took
    }

    /// Notes a call for SLOWLOG, LATENCY and MONITOR.
    pub(super) fn note(&self, command: &Command, request: &Request<'_>, took: Duration) {
        let times = CallTimes {
            took,
            waited: Duration::from_micros(self.stats.wait_us().into()),
        };
        self.state
            .note(&command.info, request, self.session.info(), times);
    }

    fn call(&mut self, command: &Command, request: &Request<'_>) -> Replied {
        if self.session.is_in_transaction() && self.commands.is_exec(command) {
            return self.run_transaction();
        }
        let reply = self.output.reply(self.session.protocol());
        (command.handler)(self.session, request, reply)
    }

    #[cold]
    pub(super) fn refuse(&mut self, refusal: Refusal<'_>, request: &Request<'_>) {
        let start = Instant::now();
        let reply = self.output.reply(self.session.protocol());
        let replied = refusal.reply(self.session, request, reply);
        let replied = self.abort_transaction(refusal, replied);
        self.note_refusal(refusal.command(), request, &replied);
        self.budget.spend(start.elapsed());
    }

    /// Counts a request that is not run, and shows it to the middleware.
    pub(super) fn note_refusal(
        &mut self,
        command: Option<&Command>,
        request: &Request<'_>,
        replied: &Replied,
    ) {
        // As in Redis, CLIENT LIST shows it as the last one.
        let index = command.map_or(NO_COMMAND, |command| command.index() as u16);
        self.session.info().command.store(index, Ordering::Relaxed);
        if let Some(command) = command {
            self.counts_of(command).rejected.add(1);
        }
        if let Some(error) = replied.error_in(&self.output.bytes) {
            self.stats.counts.count_error(error);
        }
        self.show_refusal(command, request, replied);
    }
}
