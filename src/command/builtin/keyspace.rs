//! Commands about keys, replicas and clusters: the replies of a Redis that has none. Only a program
//! may have keys.

use super::common::{argument, is, syntax_error};
use crate::client::session::Session;
use crate::command::entry::OwnHandler;
use crate::command::refusal::c_string;
use crate::command::{Arity, Commands};
use crate::resp::{Replied, Reply, Request};

pub(super) fn register(commands: &mut Commands) {
    for (name, arity, handler) in [
        ("DBSIZE", Arity::Exactly(1), dbsize as OwnHandler),
        ("SCAN", Arity::AtLeast(2), scan),
        ("ROLE", Arity::Exactly(1), role),
        ("CLUSTER", Arity::AtLeast(2), no_cluster),
        ("ASKING", Arity::Exactly(1), no_cluster),
        ("READONLY", Arity::Exactly(1), no_cluster),
        ("READWRITE", Arity::Exactly(1), no_cluster),
    ] {
        commands.register_own(name, arity, handler).mark_short();
    }
}

/// `DBSIZE`: the keys of the selected database, as the program counts them.
fn dbsize(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    let databases = session.server_state().catalog.own_info.databases();
    let selected = databases
        .into_iter()
        .find(|(index, ..)| *index == session.database());
    reply.value(selected.map_or(0, |(_, keys, _)| keys))
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`: the end of the iteration, and no keys.
/// Checks the cursor and then the options in their order, as Redis's `scanCommand`.
fn scan(_: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    if !is_cursor(argument(request, 0)) {
        return reply.error("ERR invalid cursor");
    }
    for index in (1..request.word_count() - 1).step_by(2) {
        let (option, value) = (argument(request, index), request.argument(index + 1));
        if value.is_none() {
            return syntax_error(reply);
        } else if is(option, "COUNT") {
            match request.integer(index + 1) {
                Ok(1..) => {}
                Ok(_) => return syntax_error(reply),
                Err(error) => return reply.value(error),
            }
        } else if !is(option, "MATCH") && !is(option, "TYPE") {
            return syntax_error(reply);
        }
    }
    reply.array(2, |items| {
        items.add(|cursor| cursor.bulk("0"));
        items.add(|keys| keys.array(0, |_| ()));
    })
}

/// Whether C's `strtoul` accepts the whole word as a number of 64 bits, as it does an empty word.
fn is_cursor(word: &[u8]) -> bool {
    let word = c_string(word, word.len());
    let digits = match word {
        [] => return true,
        [b'+' | b'-', digits @ ..] | digits => digits,
    };
    let text = str::from_utf8(digits).unwrap_or_default();
    digits.iter().all(u8::is_ascii_digit) && text.parse::<u64>().is_ok()
}

/// `ROLE`: a master that has written nothing and has no replicas.
fn role(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.array(3, |items| {
        items.add(|role| role.bulk("master"));
        items.add(|offset| offset.integer(0));
        items.add(|replicas| replicas.array(0, |_| ()));
    })
}

/// Answers as a Redis outside of a cluster, which clients that look for one expect.
fn no_cluster(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.error("ERR This instance has cluster support disabled")
}
