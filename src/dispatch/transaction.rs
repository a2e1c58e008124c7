//! Queues the requests between MULTI and EXEC, and runs them.

use std::sync::atomic::Ordering;

use super::batch::{Batch, ServerContext};
use super::output::Output;
use crate::client::session::{Restrictions, Session};
use crate::command::entry::{Command, PausePolicy};
use crate::command::refusal::Refusal;
use crate::command::{Exec, Executed, OnExec};
use crate::resp::{ErrorReply, Replied, Request, RequestQueue};
use crate::state::pause::PauseLevel;

impl<C: ServerContext, S> Batch<'_, C, S> {
    /// Answers a request whose command is restricted: refuses, queues or runs it. If CLIENT PAUSE
    /// applies, returns its level instead.
    #[cold]
    pub(super) fn answer_restricted(
        &mut self,
        command: &Command,
        mut restrictions: Restrictions,
        request: &Request<'_>,
    ) -> Option<PauseLevel> {
        // `requirepass` may have been removed since the client connected.
        if !self.session.wants_password() {
            restrictions.remove(Restrictions::PASSWORD);
        }
        let is_queued = restrictions.contains(Restrictions::MULTI);
        restrictions.remove(Restrictions::MULTI);
        if !restrictions.is_empty() {
            self.refuse(Refusal::by_restrictions(restrictions, command), request);
        } else if let Some(level) = self.pause_level(command) {
            return Some(level);
        } else if !is_queued {
            self.run(command, self.counts_of(command), request);
        } else if self.commands.is_exec(command) {
            return self.answer_exec(command, request);
        } else if command.info.docs.has_flag("no_multi") {
            self.refuse(Refusal::InTransaction(command), request);
        } else {
            self.queue(command, request);
        }
        None
    }

    fn queue(&mut self, command: &Command, request: &Request<'_>) {
        let limits = self.context.limits(self.session.wants_password());
        let bytes_max = limits.request_bytes_max;
        let writes = command.pause_policy == PausePolicy::WithWrites;
        if !self.session.queue(request, writes, bytes_max) {
            return self.refuse(Refusal::TransactionTooLong(command, bytes_max), request);
        }
        self.note_last_command(command);
        let _ = self.output.reply(self.session.protocol()).simple("QUEUED");
        if self.session.has_reply_flags() {
            self.output.finish_reply(self.session);
        }
        // Requests like this one are queued too, instead of copying the reply.
        self.output.keep_reply();
    }

    /// Aborts the transaction of a request that was refused, if the client is in one. If EXEC
    /// itself was refused, replaces its error by EXECABORT. Returns the reply.
    pub(super) fn abort_transaction(&mut self, refusal: Refusal<'_>, replied: Replied) -> Replied {
        let is_exec = |command| self.commands.is_exec(command);
        if !refusal.command().is_some_and(is_exec) {
            if self.session.is_in_transaction() {
                self.session.abort_transaction();
            }
            return replied;
        }
        self.session.end_transaction();
        let Some(error) = replied.error_in(&self.output.bytes) else {
            return replied;
        };
        let error = error.strip_suffix(b"\r\n").unwrap_or(error);
        let error = error.strip_prefix(b"ERR ").unwrap_or(error);
        let text = [b"EXECABORT Transaction discarded because of: ", error].concat();
        self.output.remove_reply();
        self.output.reply(self.session.protocol()).error(text)
    }

    fn answer_exec(&mut self, exec: &Command, request: &Request<'_>) -> Option<PauseLevel> {
        let level = self.state.pause.level_for(self.session.id());
        if level.is_some() && self.session.transaction_writes() && self.context.honours_pauses() {
            return level;
        }
        // The program's hook may wait for a lock.
        self.context.hand_over();
        self.run_observed(exec, request);
        // Middleware may have refused it.
        self.session.end_transaction();
        self.note_last_command(exec);
        None
    }

    #[inline]
    pub(super) fn note_last_command(&self, command: &Command) {
        // No program has more than 65,535 commands.
        let index = command.index() as u16;
        self.session.info().command.store(index, Ordering::Relaxed);
    }

    /// Runs the requests of the transaction under the program's hook, and ends the transaction.
    pub(super) fn run_transaction(&mut self) -> Replied {
        self.output.begin_reply();
        let transaction = self.session.take_transaction();
        let result = match &self.commands.on_exec {
            Some(hook) if !transaction.is_aborted => {
                self.session.begin_exec();
                let result = self.call_hook(hook, &transaction.requests);
                self.session.end_exec();
                result
            }
            _ => Err(ErrorReply::new(
                "EXECABORT",
                "Transaction discarded because of previous errors.",
            )),
        };
        self.session.end_transaction();
        match result {
            Ok(_) => {
                // `run_queued` has removed those of them that CLIENT REPLY skips.
                self.output.keep_reply();
                self.output.reply(self.session.protocol()).nothing()
            }
            Err(error) => {
                self.output.remove_reply();
                let reply = self.output.reply(self.session.protocol());
                reply.value(error)
            }
        }
    }

    fn call_hook(
        &mut self,
        hook: &OnExec,
        requests: &RequestQueue,
    ) -> Result<Executed, ErrorReply> {
        let bytes_max = self.replies_bytes_max();
        let Self {
            context,
            commands,
            state,
            session,
            output,
            budget,
            stats,
            ..
        } = self;
        let mut is_too_long = None;
        let mut run = |session: &mut Session| {
            let mut batch = Batch {
                context: *context,
                commands,
                state,
                session,
                sink: &mut (),
                output,
                budget,
                stats,
            };
            is_too_long = Some(batch.run_queue(requests, bytes_max));
        };
        let exec = Exec {
            requests,
            resolve: &|request| commands.command_of(request),
            run: &mut run,
        };
        let executed = hook.call(session, exec)?;
        match is_too_long {
            Some(false) => Ok(executed),
            Some(true) => Err(too_long(bytes_max)),
            // The program has kept the proof of another transaction.
            None => Err(ErrorReply::err("the transaction was not run")),
        }
    }

    /// Returns the bytes that the replies of a transaction may take: none is sent before the last.
    fn replies_bytes_max(&self) -> usize {
        let bounds = self.context.output_bounds(self.session.wants_password());
        bounds.client_bytes_max.max(REPLIES_BYTES_MIN)
    }

    /// Runs the requests of a transaction and writes their replies. Returns whether these take more
    /// than `bytes_max`, so that not all are there.
    fn run_queue(&mut self, requests: &RequestQueue, bytes_max: usize) -> bool {
        let start = self.output.bytes.len();
        let output = &mut *self.output;
        let mut whole = WholeReply { output, start };
        whole.begin(self.session, requests.len());
        let mut is_too_long = false;
        for request in requests.iter() {
            let mut batch = Batch {
                session: &mut *self.session,
                sink: &mut *self.sink,
                output: &mut *whole.output,
                budget: &mut *self.budget,
                ..*self
            };
            batch.run_queued(&request);
            is_too_long |= whole.remove_above(bytes_max);
        }
        is_too_long
    }

    /// Runs a request of a transaction.
    fn run_queued(&mut self, request: &Request<'_>) {
        match self.commands.command_of(request) {
            Some(command) => self.run(command, self.counts_of(command), request),
            None => unreachable!("only requests of known commands are queued"),
        }
        if self.session.has_reply_flags() {
            self.output.finish_queued(self.session);
        }
    }
}

/// The replies of a transaction. When dropped, also by a panic, they are one reply.
struct WholeReply<'a> {
    output: &'a mut Output,
    start: usize,
}

impl WholeReply<'_> {
    fn begin(&mut self, session: &mut Session, count: usize) {
        let _ = self.output.reply(session.protocol()).array_header(count);
        if session.has_reply_flags() {
            self.output.finish_queued(session);
            // After the messages that came before the transaction.
            self.start = self.output.reply_start();
        }
    }
}

impl WholeReply<'_> {
    /// Removes the replies if they take more than `bytes_max`. Returns whether they did.
    fn remove_above(&mut self, bytes_max: usize) -> bool {
        let is_too_long = self.output.bytes.len() - self.start > bytes_max;
        if is_too_long {
            self.output.bytes.truncate(self.start);
        }
        is_too_long
    }
}

fn too_long(bytes_max: usize) -> ErrorReply {
    ErrorReply::err(format!(
        "the transaction was run, but its replies take more than {bytes_max} bytes \
         (pending-output-per-client)"
    ))
}

/// Each client may have so many bytes of replies pending, whatever the configuration is.
const REPLIES_BYTES_MIN: usize = 64 * 1024;

impl Drop for WholeReply<'_> {
    fn drop(&mut self) {
        self.output.join_replies(self.start);
    }
}
