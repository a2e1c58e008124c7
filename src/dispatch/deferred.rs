//! Writes deferred replies.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::batch::ServerContext;
use super::output::Output;
use crate::client::session::Session;
use crate::state::deferred_request::DeferralEnd;
use crate::state::stats::WorkerStats;

/// Writes the deferred reply of a client: that of the token or of the timeout, or an error if the
/// wait was ended by another client, or ends now. May call functions of the program, which may
/// panic.
#[cold]
pub(crate) fn write_deferred(
    context: &impl ServerContext,
    output: &mut Output,
    session: &mut Session,
    stats: &WorkerStats,
) {
    let Some((request, end)) = session.end_deferral() else {
        return;
    };
    // Before the program's functions: if one panics, the messages so far stay.
    output.begin_reply();
    if !matches!(end, Some(DeferralEnd::Reply(..))) {
        // The program's functions may block.
        context.note_time(Instant::now());
        context.hand_over();
        if let Some(on_cancel) = request.on_cancel {
            on_cancel();
        }
    }
    let start = output.bytes.len();
    let reply = output.reply(session.protocol());
    let replied = match end {
        Some(DeferralEnd::Reply(bytes, replied)) => reply.encoded(&bytes, &replied),
        Some(DeferralEnd::TimedOut) => (request.on_timeout)(reply),
        Some(DeferralEnd::Cancelled(error)) => reply.error(error),
        None => reply.error(FORCED),
    };
    debug_assert!(output.bytes.len() > start, "every reply has bytes");
    if let Some(error) = replied.error_in(&output.bytes) {
        // The client's last command: it has run none since.
        let index = session.info().command.load(Ordering::Relaxed);
        stats.counts.commands[usize::from(index)].failed.add(1);
        stats.counts.count_error(error);
    }
    if session.has_reply_flags() {
        output.finish_reply(session);
    }
}

/// The error when the server ends all waits, in Redis's words (`disconnectAllBlockedClients` in
/// `src/blocked.c`). Clients connect again on the code `UNBLOCKED`.
const FORCED: &str = "UNBLOCKED force unblock from blocking operation, instance state changed \
    (master -> replica?)";
