//! The commands about the server.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Arity, Commands, info};
use crate::resp::{Replied, Reply, Request};
use crate::session::Session;

pub(super) fn register(commands: &mut Commands) {
    commands.register_prompt("INFO", Arity::AtLeast(1), info::info);
    commands.register_prompt("TIME", Arity::Exactly(1), time);
    commands.register_prompt("CLUSTER", Arity::AtLeast(2), cluster);
}

/// `TIME`: seconds since 1970 and microseconds of the second.
fn time(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    // A clock before 1970 is set wrong, and 0 says so as well as anything.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    reply.array(2, |items| {
        items.add(|seconds| seconds.bulk(now.as_secs().to_string()));
        items.add(|micros| micros.bulk(now.subsec_micros().to_string()));
    })
}

/// What Redis says when it is no part of a cluster. Clients that look for one are content with it.
fn cluster(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.error("ERR This instance has cluster support disabled")
}
