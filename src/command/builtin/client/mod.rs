//! `CLIENT`: what a client says and asks about itself. What it asks about others stands in
//! `clients.rs`.

mod list;
mod tracking;

use crate::command::builtin::arguments::{argument, syntax_error};
use crate::client::session::{InvalidName, Session};
use crate::command::builtin::connection::invalid_client_name;
use crate::command::entry::{OwnHandler, PausePolicy};
use crate::command::{Arity, Container};
use crate::resp::{Replied, Reply, Request};
use crate::state::clients::{NAME_BYTES_MAX, flag};

pub(super) fn register(mut client: Container<'_>) {
    client.register_own("ID", Arity::Exactly(2), id);
    client.register_own("GETNAME", Arity::Exactly(2), getname);
    // With these, libraries begin, and the next thing may be CLIENT UNPAUSE.
    for (name, arity, handler) in [
        ("SETNAME", Arity::Exactly(3), setname as OwnHandler),
        ("SETINFO", Arity::Exactly(4), setinfo),
    ] {
        client
            .register_own(name, arity, handler)
            .is_held_with(PausePolicy::Never);
    }
    client.register_own("REPLY", Arity::Exactly(3), reply_mode);
    client.register_own("NO-EVICT", Arity::Exactly(3), no_evict);
    client.register_own("NO-TOUCH", Arity::Exactly(3), no_touch);
    client.register_own("INFO", Arity::Exactly(2), info);
    list::register(&mut client);
    tracking::register(&mut client);
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

/// `CLIENT SETINFO LIB-NAME|LIB-VER value`: which library the client is written with.
fn setinfo(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let (option, value) = (argument(request, 1), argument(request, 2));
    let set = if option.eq_ignore_ascii_case(b"LIB-NAME") {
        session.set_library_name(value)
    } else if option.eq_ignore_ascii_case(b"LIB-VER") {
        session.set_library_version(value)
    } else {
        return reply.error([b"ERR Unrecognized option '", option, b"'"].concat());
    };
    if let Err(invalid) = set {
        let mut text = [b"ERR ", option].concat();
        match invalid {
            InvalidName::Characters => {
                text.extend_from_slice(b" cannot contain spaces, newlines or special characters.");
            }
            InvalidName::Length => text.extend_from_slice(
                format!(" cannot be longer than {NAME_BYTES_MAX} bytes.").as_bytes(),
            ),
        }
        return reply.error(text);
    }
    reply.simple("OK")
}

/// `CLIENT REPLY ON|OFF|SKIP`: whether requests are answered. Only `ON` is answered itself.
fn reply_mode(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let mode = argument(request, 1);
    if mode.eq_ignore_ascii_case(b"ON") {
        session.send_replies();
    } else if mode.eq_ignore_ascii_case(b"OFF") {
        session.drop_replies();
    } else if mode.eq_ignore_ascii_case(b"SKIP") {
        session.skip_next_reply();
    } else {
        return syntax_error(reply);
    }
    reply.simple("OK")
}

/// `CLIENT NO-EVICT on|off`: whether the client is spared when memory runs out.
fn no_evict(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    switch(session, flag::NO_EVICT, request, reply)
}

/// `CLIENT NO-TOUCH on|off`: whether the client leaves the keys' ages alone. There are no keys.
fn no_touch(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    switch(session, flag::NO_TOUCH, request, reply)
}

fn switch(session: &Session, flag: u8, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let word = argument(request, 1);
    if word.eq_ignore_ascii_case(b"on") {
        session.info().set(flag, true);
    } else if word.eq_ignore_ascii_case(b"off") {
        session.info().set(flag, false);
    } else {
        return syntax_error(reply);
    }
    reply.simple("OK")
}

/// `CLIENT INFO`: the client's own line of `CLIENT LIST`.
fn info(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    let mut line = String::new();
    list::add_line(&mut line, session.server(), session.info());
    reply.verbatim(line)
}
