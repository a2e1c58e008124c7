//! The table of commands: name → arity → handler.
//!
//! Nothing here names a socket. A handler sees the session, the request and the reply that it owes.

mod acl;
mod client;
mod clients;
mod config;
mod connection;
mod docs;
mod entry;
pub(crate) mod glob;
mod info;
mod introspection;
mod latency;
mod lolwut;
mod pubsub;
mod refusal;
mod server;
mod slowlog;
mod tracking;
mod words;

use crate::resp::{Replied, Reply, Request};
use crate::session::Session;
use docs::Docs;
pub use entry::{Arity, Command};
use entry::{Holds, OwnHandler};
pub(crate) use refusal::Refusal;
use refusal::{QUOTED_BYTES_MAX, c_string, wrong_number_of_arguments, wrong_subcommand};
use words::{NOT_AN_INTEGER, argument, help, is, syntax_error, wrong_arguments};

/// The commands that a server knows, by name; names are case-insensitive.
#[derive(Debug, Default)]
pub struct Commands {
    /// At each index the commands whose names have so many bytes. They are few, so to find a name
    /// costs a comparison or two, which is less than to hash it.
    by_length: Vec<Vec<Command>>,
    /// What stands before their own names in the full ones: `client|`, or nothing.
    prefix: String,
}

impl Commands {
    /// No command at all: every request is answered by the unknown-command error.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The commands of respool itself: those about connections, which every Redis client may send.
    #[must_use]
    pub fn builtin() -> Self {
        let mut commands = Self::empty();
        connection::register(&mut commands);
        introspection::register(&mut commands);
        client::register(commands.container("CLIENT"));
        config::register(commands.container("CONFIG"));
        server::register(&mut commands);
        pubsub::register(&mut commands);
        acl::register(commands.container("ACL"));
        slowlog::register(commands.container("SLOWLOG"));
        latency::register(commands.container("LATENCY"));
        commands
    }

    /// Adds the command `name`, or replaces it. The handler may block: while it does, the other
    /// workers serve the other clients. What it needs to know it captures.
    pub fn register(
        &mut self,
        name: &str,
        arity: Arity,
        handler: impl Fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied + Send + Sync + 'static,
    ) -> &mut Command {
        self.add(Command {
            name: name.as_bytes().into(),
            full_name: format!("{}{}", self.prefix, name.to_ascii_lowercase()).into(),
            arity,
            index: 0,
            is_short: false,
            passes: 0,
            holds: Holds::WithAll,
            handler: Box::new(handler),
            subcommands: Self::empty(),
            docs: Box::new(Docs::UNDOCUMENTED),
        })
    }

    /// Adds one of respool's own commands.
    fn register_own(&mut self, name: &str, arity: Arity, handler: OwnHandler) -> &mut Command {
        let command = self.register(name, arity, handler);
        command.look_up_docs();
        command
    }

    /// Adds a command that only contains others, such as `CLIENT`. Gives the table for those; their
    /// arity counts the container's name too.
    fn container(&mut self, name: &str) -> &mut Self {
        // It is never called: a request either names a subcommand, or has too few words.
        self.container_and_command(name, Arity::AtLeast(2), wrong_subcommand)
    }

    /// As [`Self::container`], for a container that is a command too: `handler` runs for a request
    /// that names no subcommand.
    fn container_and_command(
        &mut self,
        name: &str,
        arity: Arity,
        handler: OwnHandler,
    ) -> &mut Self {
        let container = self.register_own(name, arity, handler);
        container.subcommands.prefix = format!("{}|", container.full_name);
        &mut container.subcommands
    }

    fn add(&mut self, command: Command) -> &mut Command {
        let length = command.name.len();
        if self.by_length.len() <= length {
            self.by_length.resize_with(length + 1, Vec::new);
        }
        let commands = &mut self.by_length[length];
        commands.retain(|other| !other.is_named(&command.name));
        commands.push(command);
        let last = commands.len() - 1;
        &mut commands[last]
    }

    /// Numbers the commands, for the statistics. Gives how many there are.
    pub(crate) fn number(&mut self) -> usize {
        self.number_from(0)
    }

    fn number_from(&mut self, mut next: usize) -> usize {
        for command in self.by_length.iter_mut().flatten() {
            // No program has so many commands that their number does not fit.
            command.index = next as u16;
            next = command.subcommands.number_from(next + 1);
        }
        next
    }

    /// The command with this number.
    pub(crate) fn numbered(&self, index: usize) -> Option<&Command> {
        let commands = self.by_length.iter().flatten();
        // A container has a lower number than its subcommands, and they one than the next command.
        let before = commands.filter(|command| command.index() <= index);
        let command = before.max_by_key(|command| command.index)?;
        if command.index() == index {
            return Some(command);
        }
        command.subcommands.numbered(index)
    }

    /// The command that `request` names, if it has the right number of words.
    #[inline]
    pub(crate) fn resolve(&self, request: &Request<'_>) -> Result<&Command, Refusal<'_>> {
        let Some(mut command) = self.find(request.name()) else {
            return Err(Refusal::Unknown);
        };
        if !command.subcommands.is_empty()
            && let Some(name) = request.argument(0)
        {
            match command.subcommands.find(name) {
                Some(subcommand) => command = subcommand,
                None => return Err(Refusal::UnknownSubcommand),
            }
        }
        if !command.arity.admits(request.word_count()) {
            return Err(Refusal::WrongNumberOfArguments(command));
        }
        Ok(command)
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.by_length.is_empty()
    }

    /// The command or subcommand of this full name: `ping`, `client|id`.
    fn find_by_full_name(&self, full_name: &[u8]) -> Option<&Command> {
        let mut names = full_name.splitn(2, |&byte| byte == b'|');
        let command = self.find(names.next()?)?;
        match names.next() {
            None => Some(command),
            Some(name) => command.subcommands.find(name),
        }
    }

    /// Every command, each container's subcommands behind it.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Command> {
        self.sorted()
            .into_iter()
            .flat_map(|command| std::iter::once(command).chain(command.subcommands.sorted()))
    }

    /// The commands by name, without their subcommands. Redis lists them in the order of a hash
    /// table, which is another after every start.
    fn sorted(&self) -> Vec<&Command> {
        let mut commands: Vec<_> = self.by_length.iter().flatten().collect();
        commands.sort_unstable_by_key(|command| &*command.full_name);
        commands
    }

    // On the way of every request, where the call costs as much as the search.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn find(&self, name: &[u8]) -> Option<&Command> {
        let commands = self.by_length.get(name.len())?;
        commands.iter().find(|command| command.is_named(name))
    }
}
