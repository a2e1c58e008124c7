//! `CLIENT PAUSE`, `UNPAUSE` and `UNBLOCK`.

use std::time::Duration;

use crate::client::session::Session;
use crate::command::builtin::common::{argument, is, wrong_arguments};
use crate::resp::{Replied, Reply, Request, parse_integer};
use crate::state::ServerState;
use crate::state::deferred_request::DeferralEnd;
use crate::state::pause::PauseLevel;

/// `CLIENT PAUSE milliseconds [WRITE|ALL]`: the requests of other clients wait. Unlike in Redis,
/// `CLIENT UNPAUSE`, the client that asked and a drain do not wait.
pub(super) fn pause(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let level = match (request.word_count(), request.argument(2)) {
        (3, _) => PauseLevel::All,
        (4, Some(mode)) if is(mode, "ALL") => PauseLevel::All,
        (4, Some(mode)) if is(mode, "WRITE") => PauseLevel::Writes,
        (4, _) => return reply.error("ERR CLIENT PAUSE mode must be WRITE or ALL"),
        _ => return wrong_arguments("CLIENT", request, reply),
    };
    let Some(lasts_ms) = parse_integer(argument(request, 1)) else {
        return reply.error("ERR timeout is not an integer or out of range");
    };
    let Ok(lasts_ms) = u64::try_from(lasts_ms) else {
        return reply.error("ERR timeout is negative");
    };
    let state = session.server_state();
    let lasts = Duration::from_millis(lasts_ms);
    state.pause.begin(session.id(), level, lasts);
    follow_pause(state);
    reply.simple("OK")
}

/// `CLIENT UNPAUSE`: ends the pause.
pub(super) fn unpause(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    if session.server_state().pause.end() {
        follow_pause(session.server_state());
    }
    reply.simple("OK")
}

fn follow_pause(state: &ServerState) {
    if let Some(control) = state.control() {
        control.follow_pause();
    }
}

/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`: ends the wait of a client for a deferred reply, as its
/// timeout would, or by an error. Replies whether it waited. A client that CLIENT PAUSE holds up
/// does not count, as in Redis.
pub(super) fn unblock(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let end = match (request.word_count(), request.argument(2)) {
        (3, _) => DeferralEnd::TimedOut,
        (4, Some(reason)) if is(reason, "TIMEOUT") => DeferralEnd::TimedOut,
        (4, Some(reason)) if is(reason, "ERROR") => {
            DeferralEnd::Cancelled("UNBLOCKED client unblocked via CLIENT UNBLOCK")
        }
        (4, _) => return reply.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        _ => return wrong_arguments("CLIENT", request, reply),
    };
    match request.integer(1) {
        Ok(id) => {
            let state = session.server_state();
            let info = state.clients.find(id as u64);
            let has_ended = info.is_some_and(|info| state.end_deferral(&info, None, end));
            reply.integer(has_ended.into())
        }
        Err(error) => reply.value(error),
    }
}
