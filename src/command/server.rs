//! The commands about the server.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Arity, Commands, info, syntax_error};
use crate::resp::{Replied, Reply, Request};
use crate::session::{Ending, Session};

pub(super) fn register(commands: &mut Commands) {
    commands.register_prompt("INFO", Arity::AtLeast(1), info::info);
    commands.register_prompt("TIME", Arity::Exactly(1), time);
    commands.register_prompt("CLUSTER", Arity::AtLeast(2), cluster);
    commands.register_prompt("SHUTDOWN", Arity::AtLeast(1), shutdown);
}

/// `TIME`: seconds since 1970 and microseconds of the second.
fn time(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    // A clock before 1970 is set wrong, and 0 says so as well as anything.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    reply.array(2, |items| {
        items.add(|seconds| seconds.bulk(now.as_secs().to_string()));
        items.add(|micros| micros.bulk(now.subsec_micros().to_string()));
    })
}

/// What Redis says when it is no part of a cluster. Clients that look for one are content with it.
fn cluster(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.error("ERR This instance has cluster support disabled")
}

/// `SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]`: starts the drain and closes the connection
/// without a reply. There is nothing to save and nobody to wait for, so the options change nothing.
fn shutdown(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let says = |word: &str| {
        let word = word.as_bytes();
        request
            .arguments()
            .any(|said| said.eq_ignore_ascii_case(word))
    };
    let is_known = |said: &[u8]| {
        let known: [&[u8]; 5] = [b"NOSAVE", b"SAVE", b"NOW", b"FORCE", b"ABORT"];
        known.iter().any(|word| word.eq_ignore_ascii_case(said))
    };
    let aborts = says("ABORT");
    if !request.arguments().all(is_known)
        || (says("SAVE") && says("NOSAVE"))
        || (aborts && request.word_count() > 2)
    {
        return syntax_error(reply);
    }
    if aborts {
        return reply.error("ERR No shutdown in progress.");
    }
    if let Some(control) = session.facts().control() {
        control.drain();
    }
    session.close_silently(Ending::Drain);
    reply.simple("OK")
}
