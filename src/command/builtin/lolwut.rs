//! `LOLWUT`: a picture, as Redis has one for each of its versions. Ours is of the pool, as it is.

use std::fmt::Write;

use super::arguments::{NOT_AN_INTEGER, is};
use crate::client::session::Session;
use crate::command::builtin::connection::REDIS_VERSION;
use crate::resp::{Replied, Reply, Request, parse_integer};
use crate::state::ServerState;
use crate::state::control::PoolSnapshot;

/// `LOLWUT [VERSION version [argument …]]`: the picture; there is one, whatever the version.
pub(crate) fn lolwut(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    if request.argument(0).is_some_and(|word| is(word, "VERSION"))
        && request
            .argument(1)
            .is_some_and(|version| parse_integer(version).is_none())
    {
        return reply.error(NOT_AN_INTEGER);
    }
    reply.verbatim(picture(&snapshot(session.server())))
}

fn snapshot(state: &ServerState) -> PoolSnapshot {
    state
        .control()
        .map(|control| control.snapshot())
        .unwrap_or_default()
}

fn picture(snapshot: &PoolSnapshot) -> String {
    let PoolSnapshot {
        workers,
        followers,
        leads,
        queued,
        clients,
    } = *snapshot;
    let waiting = followers + usize::from(leads);
    let serving = workers.saturating_sub(waiting);
    let resting = clients.saturating_sub(serving + queued);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "  door         queue                  workers\n\
         \x20   _\n\
         \x20  | |   ->   {:<20}   {}{}{}\n\
         \x20  |_|        {queued:<20}   {serving} serving you and others, {followers} following, {}\n\
         \n\
         \x20              parking\n\
         \x20              {}\n\
         \x20              {resting} of {clients} clients rest\n",
        drawn("o", queued, 20, "empty"),
        drawn("\\o/ ", serving, 8, ""),
        drawn("_o_ ", followers, 8, ""),
        if leads { "<o> " } else { "" },
        if leads { "1 leading" } else { "none leading" },
        drawn("z", resting, 60, "empty"),
    );
    let _ = writeln!(text, "Redis ver. {REDIS_VERSION}");
    text
}

/// So many of a figure, as far as there is room.
fn drawn(figure: &str, count: usize, room: usize, none: &str) -> String {
    match count {
        0 => none.to_owned(),
        count if count <= room => figure.repeat(count),
        _ => format!("{}...", figure.repeat(room - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_shows_who_does_what_and_ends_with_the_version() {
        let snapshot = PoolSnapshot {
            workers: 4,
            followers: 2,
            leads: true,
            queued: 3,
            clients: 100,
        };
        let text = picture(&snapshot);
        assert!(text.contains("ooo"), "{text}");
        assert!(text.contains(r"\o/ _o_ _o_ <o>"), "{text}");
        assert!(text.contains("96 of 100 clients rest"), "{text}");
        assert!(text.ends_with("Redis ver. 7.2.0\n"), "{text}");
        assert!(text.lines().all(|line| line.len() < 90), "{text}");
    }

    #[test]
    fn the_largest_pool_fits_too() {
        let snapshot = PoolSnapshot {
            workers: 1024,
            followers: 1000,
            leads: false,
            queued: 1_000_000,
            clients: 1_000_000,
        };
        let text = picture(&snapshot);
        assert!(text.lines().all(|line| line.len() < 130), "{text}");
    }
}
