//! respool's own commands, one file for each group.

mod acl;
mod client;
mod client_admin;
mod config;
mod connection;
mod info;
mod introspection;
mod keyspace;
mod latency;
mod lolwut;
mod pubsub;
mod server;
mod slowlog;
mod tracking;
pub(super) mod words;

pub(super) use config::{is_public, is_secret};

use super::Commands;

impl Commands {
    /// The commands of respool itself: those about connections, which every Redis client may send.
    #[must_use]
    pub fn builtin() -> Self {
        let mut commands = Self::empty();
        connection::register(&mut commands);
        introspection::register(&mut commands);
        client::register(commands.own_container("CLIENT"));
        config::register(commands.own_container("CONFIG"));
        server::register(&mut commands);
        keyspace::register(&mut commands);
        pubsub::register(&mut commands);
        acl::register(commands.own_container("ACL"));
        slowlog::register(commands.own_container("SLOWLOG"));
        latency::register(commands.own_container("LATENCY"));
        commands
    }
}
