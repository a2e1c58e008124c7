//! The types of clients that Redis's filters name. respool has no masters and no replicas.

use crate::command::builtin::common::is;
use crate::state::clients::{ClientFlags, ClientInfo};

const TYPES: [&str; 5] = ["normal", "pubsub", "master", "replica", "slave"];

/// Returns the type of this name; an error is the text of the reply.
pub(super) fn named(name: &[u8]) -> Result<&'static str, Vec<u8>> {
    let found = TYPES.into_iter().find(|other| is(name, other));
    found.ok_or_else(|| [b"ERR Unknown client type '", name, b"'"].concat())
}

/// Returns the type of a client. As in Redis, a monitor is normal.
pub(super) fn of(info: &ClientInfo) -> &'static str {
    if info.has(ClientFlags::SUBSCRIBER) {
        "pubsub"
    } else {
        "normal"
    }
}
