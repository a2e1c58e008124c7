//! `CLIENT`: what a client says and asks about itself.

use super::connection::invalid_client_name;
use super::{Arity, Commands, argument, syntax_error};
use crate::resp::{Replied, Reply, Request};
use crate::session::{InvalidName, Replies, Session};

pub(super) fn register(client: &mut Commands) {
    client.register_prompt("ID", Arity::Exactly(2), id);
    client.register_prompt("GETNAME", Arity::Exactly(2), getname);
    client.register_prompt("SETNAME", Arity::Exactly(3), setname);
    client.register_prompt("SETINFO", Arity::Exactly(4), setinfo);
    client.register_prompt("REPLY", Arity::Exactly(3), reply_mode);
    client.register_prompt("TRACKING", Arity::AtLeast(3), on_or_off);
    client.register_prompt("CACHING", Arity::Exactly(3), yes_or_no);
    client.register_prompt("NO-EVICT", Arity::Exactly(3), on_or_off);
    client.register_prompt("NO-TOUCH", Arity::Exactly(3), on_or_off);
    client.register_prompt("GETREDIR", Arity::Exactly(2), getredir);
    client.register_prompt("HELP", Arity::Exactly(2), help);
}

fn id(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    // No server counts so many clients that their number does not fit.
    reply.integer(session.id() as i64)
}

fn getname(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    match session.name() {
        [] => reply.null(),
        name => reply.bulk(name),
    }
}

fn setname(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    match session.set_name(argument(request, 1)) {
        Ok(()) => reply.simple("OK"),
        Err(InvalidName) => invalid_client_name(reply),
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
    if let Err(InvalidName) = set {
        let text: &[u8] = b" cannot contain spaces, newlines or special characters.";
        return reply.error([b"ERR ", option, text].concat());
    }
    reply.simple("OK")
}

/// `CLIENT REPLY ON|OFF|SKIP`: whether requests are answered. Only `ON` is answered itself.
fn reply_mode(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let mode = argument(request, 1);
    if mode.eq_ignore_ascii_case(b"ON") {
        session.set_replies(Replies::On);
    } else if mode.eq_ignore_ascii_case(b"OFF") {
        session.set_replies(Replies::Off);
    } else if mode.eq_ignore_ascii_case(b"SKIP") {
        session.skip_next_reply();
    } else {
        return syntax_error(reply);
    }
    reply.simple("OK")
}

/// What changes nothing here, where there are no keys to track, to cache or to evict for.
fn on_or_off(_: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    one_of([b"on", b"off"], request, reply)
}

/// As [`on_or_off`].
fn yes_or_no(_: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    one_of([b"yes", b"no"], request, reply)
}

fn one_of(words: [&[u8]; 2], request: &Request<'_>, reply: Reply<'_>) -> Replied {
    if words
        .iter()
        .any(|word| word.eq_ignore_ascii_case(argument(request, 1)))
    {
        reply.simple("OK")
    } else {
        syntax_error(reply)
    }
}

/// The client that invalidations are redirected to: none, as nothing is tracked.
fn getredir(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.integer(-1)
}

fn help(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.array(HELP.len(), |lines| {
        for line in HELP {
            lines.add(|item| item.simple(line));
        }
    })
}

const HELP: [&str; 23] = [
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CACHING (YES|NO)",
    "    Accepted without effect: there are no keys.",
    "GETREDIR",
    "    Return -1: nothing is tracked.",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "NO-EVICT (ON|OFF)",
    "    Accepted without effect: no client is evicted.",
    "NO-TOUCH (ON|OFF)",
    "    Accepted without effect: there are no keys.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO (LIB-NAME|LIB-VER) <value>",
    "    Set the name or the version of the client's library.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "TRACKING (ON|OFF) [options]",
    "    Accepted without effect: there are no keys.",
    "HELP",
    "    Print this help.",
];
