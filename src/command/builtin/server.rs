//! The commands about the server.

use std::thread;
use std::time::Duration;

use super::arguments::{argument, is, syntax_error, wrong_arguments};
use super::{info, lolwut};
use crate::client::session::{Ending, Session};
use crate::command::help::write_lines;
use crate::command::{Arity, Commands};
use crate::config::DebugAccess;
use crate::resp::{Replied, Reply, Request};
use crate::state::clients::flag;
use crate::time::now_since_1970;

pub(super) fn register(commands: &mut Commands) {
    commands.register_own("INFO", Arity::AtLeast(1), info::info);
    commands.register_own("TIME", Arity::Exactly(1), time);
    commands.register_own("SHUTDOWN", Arity::AtLeast(1), shutdown);
    commands.register_own("MONITOR", Arity::Exactly(1), monitor);
    commands.register_own("LOLWUT", Arity::AtLeast(1), lolwut::lolwut);
    commands.register_own("DEBUG", Arity::AtLeast(2), debug);
}

/// `TIME`: seconds since 1970 and microseconds of the second.
fn time(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    let now = now_since_1970();
    reply.array(2, |items| {
        items.add(|seconds| seconds.bulk(now.as_secs().to_string()));
        items.add(|micros| micros.bulk(now.subsec_micros().to_string()));
    })
}

/// `SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]`: starts the drain and closes the connection
/// without a reply. There is nothing to save and nobody to wait for, so the options change nothing.
fn shutdown(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let says = |word: &str| {
        let word = word.as_bytes();
        request
            .arguments()
            .any(|identity| identity.eq_ignore_ascii_case(word))
    };
    let is_known = |identity: &[u8]| {
        let known: [&[u8]; 5] = [b"NOSAVE", b"SAVE", b"NOW", b"FORCE", b"ABORT"];
        known.iter().any(|word| word.eq_ignore_ascii_case(identity))
    };
    let aborts = says("ABORT");
    let is_abort = |identity: &[u8]| is(identity, "ABORT");
    if !request.arguments().all(is_known)
        || (says("SAVE") && says("NOSAVE"))
        || (aborts && !request.arguments().all(is_abort))
    {
        return syntax_error(reply);
    }
    if aborts {
        return reply.error("ERR No shutdown in progress.");
    }
    if let Some(control) = session.server().control() {
        log::info!(
            "SHUTDOWN by client {} ({}): draining",
            session.id(),
            session.peer_addr()
        );
        control.drain();
    }
    session.close_by(Ending::Drain);
    reply.simple("OK")
}

/// `MONITOR`: from now on the client is told of every request, until it leaves or says `RESET`.
fn monitor(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    session.info().set(flag::MONITOR, true);
    session.server().add_monitor(session.info());
    reply.simple("OK")
}

/// `DEBUG SLEEP seconds`, for whom `enable-debug-command` allows it: keeps a worker busy. The other
/// workers go on, unlike in Redis.
fn debug(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let access = session.server().config.lock().enable_debug_command;
    let is_allowed = match access {
        DebugAccess::No => false,
        DebugAccess::Local => session.peer_addr().ip().to_canonical().is_loopback(),
        DebugAccess::Yes => true,
    };
    if !is_allowed {
        return reply.error(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
             \"local\", you can run it from a local connection, otherwise you need to set this \
             option in the configuration file, and then restart the server.",
        );
    }
    let subcommand = argument(request, 0);
    match request.word_count() {
        2 if is(subcommand, "HELP") => write_lines(&DEBUG_HELP, reply),
        3 if is(subcommand, "SLEEP") => {
            // What is no number of seconds is none, as for `strtod`.
            let seconds = str::from_utf8(argument(request, 1)).unwrap_or_default();
            let seconds = seconds.parse().unwrap_or_default();
            thread::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default());
            reply.simple("OK")
        }
        _ => wrong_arguments("DEBUG", request, reply),
    }
}

const DEBUG_HELP: [&str; 5] = [
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "SLEEP <seconds>",
    "    Stop the worker for <seconds>. Decimals allowed.",
    "HELP",
    "    Prints this help.",
];
