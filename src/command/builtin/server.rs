//! Commands about the server: `TIME`, `SHUTDOWN`, `MONITOR`, `LOLWUT` and `DEBUG`.

use std::thread;
use std::time::Duration;

use super::common::{NOT_AN_INTEGER, argument, is, syntax_error, wrong_arguments};
use super::info;
use crate::client::session::{Ending, Session};
use crate::command::help::write_lines;
use crate::command::{Arity, Commands};
use crate::config::DebugAccess;
use crate::logging;
use crate::resp::{Replied, Reply, Request, parse_integer};
use crate::state::REDIS_VERSION;
use crate::state::clients::ClientFlags;
use crate::time::now_since_1970;

pub(super) fn register(commands: &mut Commands) {
    commands.register_own("INFO", Arity::AtLeast(1), info::info);
    commands.register_own("TIME", Arity::Exactly(1), time);
    commands.register_own("SHUTDOWN", Arity::AtLeast(1), shutdown);
    commands.register_own("MONITOR", Arity::Exactly(1), monitor);
    commands.register_own("LOLWUT", Arity::AtLeast(1), lolwut);
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

/// `LOLWUT [VERSION version [argument …]]`: the last line of Redis's, without the picture.
fn lolwut(_: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let has_version = request.argument(0).is_some_and(|word| is(word, "VERSION"));
    let is_number = |word| parse_integer(word).is_some();
    if has_version && !request.argument(1).is_none_or(is_number) {
        return reply.error(NOT_AN_INTEGER);
    }
    reply.verbatim(format!("Redis ver. {REDIS_VERSION}\n"))
}

/// `SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]`: starts the drain and closes the connection
/// without a reply. `NOW` leaves out `drain-delay-ms`, and so does a second `SHUTDOWN`. Unlike in
/// Redis, `ABORT` aborts no shutdown. The other options change nothing: there is
/// no data to save and no replica to wait for.
fn shutdown(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let has = |option: &str| request.arguments().any(|word| is(word, option));
    let all = |options: &[&str]| {
        let mut words = request.arguments();
        words.all(|word| options.iter().any(|option| is(word, option)))
    };
    if !all(&["NOSAVE", "SAVE", "NOW", "FORCE", "ABORT"])
        || (has("SAVE") && has("NOSAVE"))
        || (has("ABORT") && !all(&["ABORT"]))
    {
        return syntax_error(reply);
    }
    let control = session.server_state().control();
    if has("ABORT") {
        let is_draining = control.is_some_and(|control| control.drain_ends_in().is_some());
        return reply.error(if is_draining {
            "ERR The shutdown in progress cannot be aborted."
        } else {
            "ERR No shutdown in progress."
        });
    }
    if let Some(control) = control {
        logging::info!(
            "SHUTDOWN by client {} ({}): draining",
            session.id(),
            session.peer()
        );
        control.drain(has("NOW"));
    }
    session.ending = Some(Ending::Drain);
    reply.simple("OK")
}

/// `MONITOR`: sends every request of any client to this one, until it leaves or sends `RESET`. As
/// in Redis, not in a transaction.
fn monitor(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    if session.is_in_exec() {
        return reply.error("ERR MONITOR isn't allowed for DENY BLOCKING client");
    }
    session.info().set(ClientFlags::MONITOR, true);
    session.server_state().add_monitor(session.info());
    reply.simple("OK")
}

/// `DEBUG SLEEP seconds`: blocks one worker, if `enable-debug-command` allows it. Unlike in Redis,
/// the other clients are served meanwhile.
fn debug(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let access = session.server_state().config.lock().enable_debug_command;
    let is_allowed = match access {
        DebugAccess::No => false,
        DebugAccess::Local => session.peer().is_local(),
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
            // An invalid number is 0, as for C's `strtod`.
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
