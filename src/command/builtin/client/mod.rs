//! `CLIENT`. This file has what a client sets and asks about itself.
//!
//! | file | content |
//! |---|---|
//! | `list.rs` | `LIST`, `INFO` |
//! | `kill.rs` | `KILL` |
//! | `kind.rs` | the kinds of clients by which both filter |
//! | `pause.rs` | `PAUSE`, `UNPAUSE`, `UNBLOCK` |
//! | `tracking.rs` | `TRACKING`, `CACHING`, `TRACKINGINFO`, `GETREDIR` |

mod kill;
mod kind;
mod list;
mod pause;
mod tracking;

use super::common::{argument, is, syntax_error};
use super::connection::invalid_client_name;
use crate::client::session::{InvalidName, Session};
use crate::command::entry::{OwnHandler, PausePolicy};
use crate::command::{Arity, Container};
use crate::resp::{Replied, Reply, Request};
use crate::state::clients::{ClientFlags, NAME_BYTES_MAX};

pub(super) fn register(mut client: Container<'_>) {
    for (name, arity, handler) in [
        ("ID", Arity::Exactly(2), id as OwnHandler),
        ("GETNAME", Arity::Exactly(2), getname),
        ("REPLY", Arity::Exactly(3), reply_mode),
        ("NO-EVICT", Arity::Exactly(3), |session, request, reply| {
            switch(session, ClientFlags::NO_EVICT, request, reply)
        }),
        ("NO-TOUCH", Arity::Exactly(3), |session, request, reply| {
            switch(session, ClientFlags::NO_TOUCH, request, reply)
        }),
        ("INFO", Arity::Exactly(2), list::info),
        ("LIST", Arity::AtLeast(2), list::list),
        ("KILL", Arity::AtLeast(3), kill::kill),
        ("PAUSE", Arity::AtLeast(3), pause::pause),
        ("UNBLOCK", Arity::AtLeast(3), pause::unblock),
        ("TRACKING", Arity::AtLeast(3), tracking::tracking),
        ("CACHING", Arity::Exactly(3), tracking::caching),
        ("TRACKINGINFO", Arity::Exactly(2), tracking::trackinginfo),
        ("GETREDIR", Arity::Exactly(2), tracking::getredir),
    ] {
        client.register_own(name, arity, handler);
    }
    // Libraries begin with the first two, and the next request may be CLIENT UNPAUSE.
    for (name, arity, handler) in [
        ("SETNAME", Arity::Exactly(3), setname as OwnHandler),
        ("SETINFO", Arity::Exactly(4), setinfo),
        ("UNPAUSE", Arity::Exactly(2), pause::unpause),
    ] {
        let command = client.register_own(name, arity, handler);
        command.pause_policy = PausePolicy::Never;
    }
}

fn id(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    // No server counts so many clients that their number does not fit.
    reply.integer(session.id() as i64)
}

fn getname(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    match session.name() {
        name if name.is_empty() => reply.null(),
        name => reply.bulk(name),
    }
}

fn setname(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    match session.set_name(argument(request, 1)) {
        Ok(()) => reply.simple("OK"),
        Err(invalid) => invalid_client_name(invalid, reply),
    }
}

/// `CLIENT SETINFO LIB-NAME|LIB-VER value`: the library that the client uses.
fn setinfo(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let (option, value) = (argument(request, 1), argument(request, 2));
    let set = if is(option, "LIB-NAME") {
        session.set_word(value, |identity| &mut identity.library_name)
    } else if is(option, "LIB-VER") {
        session.set_word(value, |identity| &mut identity.library_version)
    } else {
        return reply.error([b"ERR Unrecognized option '", option, b"'"].concat());
    };
    let reason = match set {
        Ok(()) => return reply.simple("OK"),
        Err(InvalidName::Characters) => {
            "cannot contain spaces, newlines or special characters.".to_owned()
        }
        Err(InvalidName::Length) => format!("cannot be longer than {NAME_BYTES_MAX} bytes."),
    };
    reply.error([b"ERR ", option, b" ", reason.as_bytes()].concat())
}

/// `CLIENT REPLY ON|OFF|SKIP`: whether requests get replies. Only `ON` gets one itself.
fn reply_mode(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let mode = argument(request, 1);
    if is(mode, "ON") {
        session.send_replies();
    } else if is(mode, "OFF") {
        session.drop_replies();
    } else if is(mode, "SKIP") {
        session.skip_next_reply();
    } else {
        return syntax_error(reply);
    }
    reply.simple("OK")
}

/// `CLIENT NO-EVICT on|off`, which exempts the client from eviction, and `CLIENT NO-TOUCH on|off`,
/// which has no effect, because there are no keys to touch.
fn switch(
    session: &Session,
    flag: ClientFlags,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> Replied {
    let word = argument(request, 1);
    if !is(word, "on") && !is(word, "off") {
        return syntax_error(reply);
    }
    session.info().set(flag, is(word, "on"));
    reply.simple("OK")
}
