//! `SLOWLOG`: requests whose handlers took long.

use super::common::{argument, array, bulks, wrong_arguments};
use crate::client::session::Session;
use crate::command::{Arity, Container};
use crate::resp::{Replied, Reply, Request, parse_integer};

pub(super) fn register(mut slowlog: Container<'_>) {
    slowlog.register_own("GET", Arity::AtLeast(2), get);
    slowlog.register_own("LEN", Arity::Exactly(2), len);
    slowlog.register_own("RESET", Arity::Exactly(2), reset);
}

/// `SLOWLOG GET [count]`: the latest entries, 10 by default; -1 means all.
fn get(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let count = match request.word_count() {
        2 => Some(10),
        3 => parse_integer(argument(request, 1)),
        _ => return wrong_arguments("SLOWLOG", request, reply),
    };
    let count = match count {
        Some(-1) => usize::MAX,
        Some(count @ 0..) => count as usize,
        _ => return reply.error("ERR count should be greater than or equal to -1"),
    };
    let records = session.server_state().slowlog.latest(count);
    array(&records, reply, |record, item| {
        item.array(6, |fields| {
            // Numbers, seconds and microseconds all fit.
            fields.add(|id| id.integer(record.id as i64));
            fields.add(|time| time.integer(record.at_s as i64));
            fields.add(|micros| micros.integer(record.took.as_micros() as i64));
            fields.add(|words| bulks(record.words().iter(), words));
            fields.add(|addr| addr.bulk(&*record.peer));
            fields.add(|name| name.bulk(&record.client_name));
        })
    })
}

/// `SLOWLOG LEN`: the number of entries.
fn len(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.integer(session.server_state().slowlog.len() as i64)
}

/// `SLOWLOG RESET`: removes all entries.
fn reset(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    session.server_state().slowlog.reset();
    reply.simple("OK")
}
