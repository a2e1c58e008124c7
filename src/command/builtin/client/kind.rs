//! The kinds of clients that Redis's filters name. respool has no masters and no replicas.

use crate::command::builtin::common::is;
use crate::state::clients::{ClientFlags, ClientInfo};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Pubsub,
    /// A kind that no client here is of.
    Other,
}

impl Kind {
    /// Returns the kind of this name; an error is the text of the reply.
    pub(super) fn named(name: &[u8]) -> Result<Self, Vec<u8>> {
        let is = |other| is(name, other);
        if is("normal") {
            Ok(Self::Normal)
        } else if is("pubsub") {
            Ok(Self::Pubsub)
        } else if ["master", "replica", "slave"].into_iter().any(is) {
            Ok(Self::Other)
        } else {
            Err([b"ERR Unknown client type '", name, b"'"].concat())
        }
    }

    pub(super) fn of(info: &ClientInfo) -> Self {
        if info.has(ClientFlags::SUBSCRIBER) {
            Self::Pubsub
        } else {
            Self::Normal
        }
    }
}
