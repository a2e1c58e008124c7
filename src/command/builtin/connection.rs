//! The commands about the connection itself.

use super::common::{argument, is, syntax_error};
use crate::client::session::{InvalidName, Restrictions, Session};
use crate::command::entry::{OwnHandler, PausePolicy};
use crate::command::refusal::wrong_number_of_arguments;
use crate::command::{Arity, Commands};
use crate::resp::{Protocol, Replied, Reply, Request, parse_integer};
use crate::state::REDIS_VERSION;
use crate::state::clients::NAME_BYTES_MAX;

pub(crate) fn register(commands: &mut Commands) {
    const NO_PASSWORD: Restrictions = Restrictions::PASSWORD;
    const ANY: Restrictions = Restrictions::all();
    let ping = commands.register_own("PING", Arity::AtLeast(1), ping);
    ping.mark_pure_and_short();
    ping.allowed_under = Restrictions::SUBSCRIBED;
    commands
        .register_own("ECHO", Arity::Exactly(2), echo)
        .mark_pure_and_short();
    // During a pause, a client has to be able to connect and send CLIENT UNPAUSE, and to leave.
    for (name, arity, handler, restrictions) in [
        ("HELLO", Arity::AtLeast(1), hello as OwnHandler, NO_PASSWORD),
        ("AUTH", Arity::AtLeast(2), auth, NO_PASSWORD),
        ("QUIT", Arity::AtLeast(1), quit, ANY),
        ("RESET", Arity::Exactly(1), reset, ANY),
    ] {
        let command = commands.register_own(name, arity, handler);
        command.allowed_under = restrictions;
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

/// `HELLO [version [AUTH user password] [SETNAME name]]`: switches the protocol and answers with
/// the server's properties. A refused `HELLO` changes nothing.
fn hello(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let mut arguments = request.arguments();
    let protocol = match arguments.next().map(parse_integer) {
        None => session.protocol(),
        Some(Some(2)) => Protocol::Resp2,
        Some(Some(3)) => Protocol::Resp3,
        Some(Some(_)) => return reply.error("NOPROTO unsupported protocol version"),
        Some(None) => {
            return reply.error("ERR Protocol version is not an integer or out of range");
        }
    };
    let (mut name, mut has_password) = (None, false);
    while let Some(option) = arguments.next() {
        if is(option, "AUTH") && arguments.len() >= 2 {
            let (user, password) = (arguments.next(), arguments.next());
            if !is_right(session, user, password) {
                return wrong_password(reply);
            }
            has_password = true;
        } else if is(option, "SETNAME") && arguments.len() >= 1 {
            name = arguments.next();
            if let Some(Err(invalid)) = name.map(Session::check_name) {
                return invalid_client_name(invalid, reply);
            }
        } else {
            return reply.error([b"ERR Syntax error in HELLO option '", option, b"'"].concat());
        }
    }
    if !has_password && session.wants_password() {
        return reply.error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        );
    }
    if let Some(Err(invalid)) = name.map(|name| session.set_name(name)) {
        return invalid_client_name(invalid, reply);
    }
    if has_password {
        session.authenticate();
    }
    session.set_protocol(protocol);
    introduce(session, reply.with_protocol(protocol))
}

/// Answers all seven fields of Redis: some clients fail if one is missing.
fn introduce(session: &Session, reply: Reply<'_>) -> Replied {
    let proto = match session.protocol() {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    // No server counts so many clients that their number does not fit.
    let id = session.id() as i64;
    let mode = session.server_state().catalog.own_info.mode();
    reply.map(7, |fields| {
        fields.pair("server", |value| value.bulk("redis"));
        fields.pair("version", |value| value.bulk(REDIS_VERSION));
        fields.pair("proto", |value| value.integer(proto));
        fields.pair("id", |value| value.integer(id));
        fields.pair("mode", |value| value.bulk(mode));
        fields.pair("role", |value| value.bulk("master"));
        fields.pair("modules", |value| value.array(0, |_| ()));
    })
}

/// `AUTH [user] password`: the only user is `default`, and its password is `requirepass`. If that
/// is unset, every password is right.
fn auth(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let (user, password) = match request.word_count() {
        2 if !session.server_state().settings.requires_password() => {
            return reply.error(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            );
        }
        2 => (Some(&b"default"[..]), request.argument(0)),
        3 => (request.argument(0), request.argument(1)),
        _ => return syntax_error(reply),
    };
    if !is_right(session, user, password) {
        return wrong_password(reply);
    }
    session.authenticate();
    reply.simple("OK")
}

fn is_right(session: &Session, user: Option<&[u8]>, password: Option<&[u8]>) -> bool {
    // Compares the password in any case, so that a wrong user takes as long.
    let is_password = session
        .server_state()
        .settings
        .is_password(password.unwrap_or_default());
    user == Some(b"default") && is_password
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
    match invalid {
        InvalidName::Characters => {
            reply.error("ERR Client names cannot contain spaces, newlines or special characters.")
        }
        InvalidName::Length => reply.error(format!(
            "ERR Client names cannot be longer than {NAME_BYTES_MAX} bytes."
        )),
    }
}

fn wrong_password(reply: Reply<'_>) -> Replied {
    reply.error("WRONGPASS invalid username-password pair or user is disabled.")
}

/// Redis's default.
const DATABASES: u8 = 16;
