//! respool's own commands, one file for each group.

mod acl;
mod client;
mod command;
mod common;
mod config;
mod connection;
mod docs;
mod info;
mod keyspace;
mod latency;
mod login;
mod pubsub;
mod server;
mod slowlog;
mod transaction;

use super::entry::{Command, OwnHandler};
use super::help::list_subcommands;
use super::refusal::wrong_subcommand;
use super::{Commands, Container};
use crate::client::session::Session;
use crate::resp::{Replied, Reply, Request};
use crate::state::catalog::Arity;

impl Commands {
    /// Returns respool's own commands: those of Redis about connections and the server.
    ///
    /// | group | commands |
    /// |---|---|
    /// | connection | `PING`, `ECHO`, `HELLO`, `AUTH`, `SELECT`, `RESET`, `QUIT` |
    /// | clients | `CLIENT` `ID`, `INFO`, `SETNAME`, `GETNAME`, `SETINFO`, `REPLY`, `NO-TOUCH`, `NO-EVICT`, `TRACKING`, `TRACKINGINFO`, `CACHING`, `GETREDIR`; for operators `LIST`, `KILL`, `PAUSE`, `UNPAUSE`, `UNBLOCK` |
    /// | pub/sub | `SUBSCRIBE`, `UNSUBSCRIBE`, `PSUBSCRIBE`, `PUNSUBSCRIBE`, `PUBLISH`, `PUBSUB` |
    /// | description | `COMMAND`, `TIME`, `LOLWUT`, `INFO`, `ACL` (`CAT`, `LIST`, `USERS`, `WHOAMI`) |
    /// | keys, replicas, cluster | `DBSIZE`, `SCAN`, `ROLE`, `CLUSTER`, `ASKING`, `READONLY`, `READWRITE`: as a Redis without them |
    /// | operation | `CONFIG`, `SLOWLOG`, `LATENCY`, `MONITOR`, `DEBUG`, `SHUTDOWN` |
    ///
    /// # Before you let clients connect that you do not trust
    ///
    /// A client that may run these commands can stop the server, change its configuration, read the
    /// requests of other clients, and close or pause them. `PUBLISH` and `SUBSCRIBE` reach every
    /// channel. Remove what such clients must not have:
    ///
    /// ```
    /// use respool::Commands;
    ///
    /// let mut commands = Commands::builtin();
    /// for name in [
    ///     "CONFIG", "DEBUG", "SHUTDOWN", // change or stop the server
    ///     "MONITOR", "SLOWLOG", "LATENCY", "INFO", // show what other clients do
    ///     "ACL", // shows the hash of the password
    ///     "PUBLISH", "SUBSCRIBE", "PSUBSCRIBE", "PUBSUB", // reach all channels
    /// ] {
    ///     assert!(commands.remove(name));
    /// }
    /// let mut client = commands.container("CLIENT");
    /// for name in ["LIST", "KILL", "PAUSE", "UNPAUSE", "UNBLOCK", "NO-EVICT"] {
    ///     assert!(client.remove(name));
    /// }
    /// ```
    ///
    /// Keep `HELLO`, `PING`, `CLIENT SETINFO` and `SETNAME`, `SELECT` and `COMMAND`: client
    /// libraries send them by themselves. Some also send `INFO` or `CLIENT LIST` when they connect.
    #[must_use]
    pub fn builtin() -> Self {
        let mut commands = Self::empty();
        connection::register(&mut commands);
        login::register(&mut commands);
        command::register(&mut commands);
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

    /// Adds one of respool's own commands, with its documentation.
    fn register_own(
        &mut self,
        name: &str,
        arity: Arity,
        handler: impl Fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied + Send + Sync + 'static,
    ) -> &mut Command {
        document(self.register(name, arity, handler).into_command())
    }

    /// Adds one of respool's own containers.
    fn own_container(&mut self, name: &str) -> Container<'_> {
        // The handler never runs: a request names a subcommand or has too few words.
        self.own_container_and_command(name, Arity::AtLeast(2), wrong_subcommand)
    }

    /// Adds a container that is a command too: `handler` runs if a request names no subcommand.
    fn own_container_and_command(
        &mut self,
        name: &str,
        arity: Arity,
        handler: OwnHandler,
    ) -> Container<'_> {
        let mut container = Container(self.register_own(name, arity, handler));
        container.register_own("HELP", Arity::Exactly(2), list_subcommands);
        container
    }
}

impl Container<'_> {
    /// Adds one of respool's own subcommands, with its documentation.
    fn register_own(&mut self, name: &str, arity: Arity, handler: OwnHandler) -> &mut Command {
        document(self.register(name, arity, handler).into_command())
    }
}

/// Copies the command's row of the docs table.
fn document(command: &mut Command) -> &mut Command {
    if let Some(docs) = docs::find(&command.info.full_name) {
        *command.info.docs = *docs;
    }
    command
}
