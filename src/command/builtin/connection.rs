//! The commands about the connection itself.

use super::common::argument;
use crate::client::session::{InvalidName, Restrictions, Session};
use crate::command::entry::{OwnHandler, PausePolicy};
use crate::command::refusal::wrong_number_of_arguments;
use crate::command::{Arity, Commands};
use crate::resp::{Replied, Reply, Request};
use crate::state::clients::NAME_BYTES_MAX;

pub(crate) fn register(commands: &mut Commands) {
    let ping = commands.register_own("PING", Arity::AtLeast(1), ping);
    ping.mark_pure_and_short();
    ping.allowed_under = Restrictions::SUBSCRIBED;
    commands
        .register_own("ECHO", Arity::Exactly(2), echo)
        .mark_pure_and_short();
    // During a pause, a client has to be able to leave.
    for (name, arity, handler) in [
        ("QUIT", Arity::AtLeast(1), quit as OwnHandler),
        ("RESET", Arity::Exactly(1), reset),
    ] {
        let command = commands.register_own(name, arity, handler);
        command.allowed_under = Restrictions::all();
        command.pause_policy = PausePolicy::Never;
    }
    commands.register_own("SELECT", Arity::Exactly(2), select);
}

/// `PING [message]`: `+PONG`, or the message as a bulk string. A subscriber in RESP2 gets an array
/// that looks like a message.
fn ping(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let is_subscribed = session.restrictions.contains(Restrictions::SUBSCRIBED);
    match request.word_count() {
        1 if !is_subscribed => reply.simple("PONG"),
        2 if !is_subscribed => echo(session, request, reply),
        1 | 2 => pong_among_messages(request, reply),
        _ => wrong_number_of_arguments("ping", reply),
    }
}

#[cold]
fn pong_among_messages(request: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.array(2, |items| {
        items.add(|item| item.bulk("pong"));
        items.add(|item| item.bulk(argument(request, 0)));
    })
}

/// `ECHO message`: the message as a bulk string.
fn echo(_: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.bulk(argument(request, 0))
}

/// `SELECT index`: 16 databases, as by default in Redis, all of them empty.
fn select(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    match request.integer_in(0, i32::MIN.into()..=i32::MAX.into()) {
        Ok(index) if (0..DATABASES.into()).contains(&index) => {
            // The index is below 16.
            session.set_database(index as u8);
            reply.simple("OK")
        }
        Ok(_) => reply.error("ERR DB index is out of range"),
        Err(error) => reply.value(error),
    }
}

/// `QUIT`: `+OK`, then the close. Requests pipelined after it are not run.
fn quit(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    session.close_after_reply();
    reply.simple("OK")
}

/// `RESET`: puts the session back to its state after the accept, except for the library's name.
fn reset(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    session.reset();
    reply.simple("RESET")
}

pub(crate) fn invalid_client_name(invalid: InvalidName, reply: Reply<'_>) -> Replied {
    reply.error(invalid_name(invalid))
}

/// Returns the error for a name that a client cannot have.
pub(super) fn invalid_name(invalid: InvalidName) -> String {
    match invalid {
        InvalidName::Characters => {
            "ERR Client names cannot contain spaces, newlines or special characters.".to_owned()
        }
        InvalidName::Length => {
            format!("ERR Client names cannot be longer than {NAME_BYTES_MAX} bytes.")
        }
    }
}

/// Redis's default.
const DATABASES: u8 = 16;
