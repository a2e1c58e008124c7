//! The commands about the connection itself.

use super::wrong_number_of_arguments;
use crate::resp::{Replied, Reply, Request};
use crate::session::Session;

/// `PING [message]`: `+PONG`, or the message as a bulk string.
pub(super) fn ping(_: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    match request.word_count() {
        1 => reply.simple("PONG"),
        2 => echo_first(request, reply),
        _ => wrong_number_of_arguments(request, reply),
    }
}

/// `ECHO message`: the message as a bulk string, whatever bytes it has.
pub(super) fn echo(_: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    echo_first(request, reply)
}

/// `QUIT`: `+OK`, then the close. Requests pipelined behind it are not run.
pub(super) fn quit(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    session.close_after_reply();
    reply.simple("OK")
}

fn echo_first(request: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.bulk(request.argument(0).unwrap_or_default())
}
