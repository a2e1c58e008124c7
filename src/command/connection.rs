//! The commands about the connection itself.

use super::{Arity, Commands, argument, syntax_error, wrong_number_of_arguments};
use crate::resp::{Protocol, Replied, Reply, Request, parse_integer};
use crate::session::{InvalidName, Session};

pub(super) fn register(commands: &mut Commands) {
    commands.register_prompt("PING", Arity::AtLeast(1), ping);
    commands.register_prompt("ECHO", Arity::Exactly(2), echo);
    commands.register_prompt("HELLO", Arity::AtLeast(1), hello);
    commands.register_prompt("AUTH", Arity::AtLeast(2), auth);
    commands.register_prompt("SELECT", Arity::Exactly(2), select);
    commands.register_prompt("QUIT", Arity::AtLeast(1), quit);
    commands.register_prompt("RESET", Arity::Exactly(1), reset);
}

/// `PING [message]`: `+PONG`, or the message as a bulk string.
fn ping(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    match request.word_count() {
        1 => reply.simple("PONG"),
        2 => echo(session, request, reply),
        _ => wrong_number_of_arguments("ping", reply),
    }
}

/// `ECHO message`: the message as a bulk string, whatever bytes it has.
fn echo(_: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.bulk(argument(request, 0))
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`: what the server is, told in the version
/// of the protocol that is asked for and holds from then on.
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
    let mut name = None;
    while let Some(option) = arguments.next() {
        if option.eq_ignore_ascii_case(b"AUTH") && arguments.len() >= 2 {
            if !is_default_user(arguments.next()) {
                return wrong_password(reply);
            }
            arguments.next();
        } else if option.eq_ignore_ascii_case(b"SETNAME") && arguments.len() >= 1 {
            name = arguments.next();
        } else {
            let mut text = b"ERR Syntax error in HELLO option '".to_vec();
            text.extend_from_slice(option);
            text.push(b'\'');
            return reply.error(text);
        }
    }
    if let Some(Err(InvalidName)) = name.map(|name| session.set_name(name)) {
        return invalid_client_name(reply);
    }
    session.set_protocol(protocol);
    introduce(session, reply.speaking(protocol))
}

/// All seven fields: some clients miss any that lacks.
fn introduce(session: &Session, reply: Reply<'_>) -> Replied {
    let proto = match session.protocol() {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    // No server counts so many clients that their number does not fit.
    let id = session.id() as i64;
    reply.map(7, |fields| {
        fields.pair("server", |value| value.bulk("redis"));
        fields.pair("version", |value| value.bulk(REDIS_VERSION));
        fields.pair("proto", |value| value.integer(proto));
        fields.pair("id", |value| value.integer(id));
        fields.pair("mode", |value| value.bulk("standalone"));
        fields.pair("role", |value| value.bulk("master"));
        fields.pair("modules", |value| value.array(0, |_| ()));
    })
}

/// `AUTH [user] password`: there is one user, `default`, and it needs no password.
fn auth(_: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    match request.word_count() {
        2 => reply.error(
            "ERR AUTH <password> called without any password configured for the default user. Are \
             you sure your configuration is correct?",
        ),
        3 if is_default_user(request.argument(0)) => reply.simple("OK"),
        3 => wrong_password(reply),
        _ => syntax_error(reply),
    }
}

/// `SELECT index`: there are the 16 databases that Redis has by default, all of them empty.
fn select(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let Some(index) = parse_integer(argument(request, 0)) else {
        return reply.error("ERR value is not an integer or out of range");
    };
    if i32::try_from(index).is_err() {
        return reply
            .error("ERR value is out of range, value must between -2147483648 and 2147483647");
    }
    match u8::try_from(index) {
        Ok(index) if index < DATABASES => {
            session.set_database(index);
            reply.simple("OK")
        }
        _ => reply.error("ERR DB index is out of range"),
    }
}

/// `QUIT`: `+OK`, then the close. Requests pipelined behind it are not run.
fn quit(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    session.close_after_reply();
    reply.simple("OK")
}

/// `RESET`: the session is as it was when the client connected, but for its library's name.
fn reset(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    session.reset();
    reply.simple("RESET")
}

pub(super) fn invalid_client_name(reply: Reply<'_>) -> Replied {
    reply.error("ERR Client names cannot contain spaces, newlines or special characters.")
}

fn is_default_user(name: Option<&[u8]>) -> bool {
    name == Some(b"default")
}

fn wrong_password(reply: Reply<'_>) -> Replied {
    reply.error("WRONGPASS invalid username-password pair or user is disabled.")
}

/// The version of Redis whose replies these are; clients take from it what they may send.
pub(super) const REDIS_VERSION: &str = "7.2.0";

/// As many as Redis has by default.
const DATABASES: u8 = 16;
