//! Calls the program's middleware around a command.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use super::batch::{Batch, ServerContext};
use super::output::INTERNAL_ERROR;
use crate::command::entry::Command;
use crate::command::{Call, CallOutcome, Middleware, OutcomeKind};
use crate::resp::{Replied, Request};

impl<C: ServerContext, S> Batch<'_, C, S> {
    /// Runs a command, unless the middleware refuses it.
    #[cold]
    pub(super) fn run_within(
        &mut self,
        middleware: &dyn Middleware,
        command: &Command,
        request: &Request<'_>,
    ) {
        let start = Instant::now();
        self.output.begin_reply();
        let call = Call::new(Some(&command.info), request);
        if let Err(error) = middleware.before(self.session, &call) {
            let reply = self.output.reply(self.session.protocol());
            let replied = reply.error_of(&error);
            self.note_refusal(Some(command), request, &replied);
            self.budget.spend(start.elapsed());
            return;
        }
        let called = Instant::now();
        // Caught, because the middleware sees every call.
        let run = AssertUnwindSafe(|| self.run_timed(command, request));
        let (replied, took) = catch_unwind(run).unwrap_or_else(|panic| {
            let kind = OutcomeKind::Failed(INTERNAL_ERROR);
            let duration = called.elapsed();
            middleware.after(self.session, &call, &CallOutcome { duration, kind });
            resume_unwind(panic)
        });
        let text = error_text(&replied, &self.output.bytes);
        let kind = match text.as_deref() {
            Some(error) => OutcomeKind::Failed(error),
            None if self.session.is_deferred() => OutcomeKind::Deferred,
            None => OutcomeKind::Replied,
        };
        let duration = took;
        middleware.after(self.session, &call, &CallOutcome { duration, kind });
        // Last: a panic of the middleware is counted as one of the handler.
        let counts = &self.stats.counts.commands[command.index()];
        self.count(counts, &replied);
        // The time of the handler is spent already.
        let end = Instant::now();
        self.budget.note_time(end);
        self.budget.spend((end - start).saturating_sub(took));
    }

    /// Shows the middleware, if there is one, a request that was refused.
    pub(super) fn show_refusal(
        &mut self,
        command: Option<&Command>,
        request: &Request<'_>,
        replied: &Replied,
    ) {
        if let Some(middleware) = self.commands.middleware.as_deref() {
            let call = Call::new(command.map(|command| &command.info), request);
            let text = error_text(replied, &self.output.bytes).unwrap_or_default();
            let outcome = CallOutcome {
                duration: Duration::ZERO,
                kind: OutcomeKind::Refused(&text),
            };
            middleware.after(self.session, &call, &outcome);
        }
    }
}

/// Returns the text of an error at the end of `output`, without the line end.
fn error_text<'a>(replied: &Replied, output: &'a [u8]) -> Option<Cow<'a, str>> {
    let text = replied.error_in(output)?;
    let text = text.strip_suffix(b"\r\n").unwrap_or(text);
    Some(String::from_utf8_lossy(text))
}
