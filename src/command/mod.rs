//! The table of commands: name → arity → handler.
//!
//! Nothing here names a socket. A handler sees the session, the request and the reply that it owes.

mod builtin;
pub(crate) mod docs;
pub(crate) mod entry;
pub(crate) mod refusal;

use crate::client::session::Session;
use crate::resp::{Replied, Reply, Request};
use builtin::words::list_subcommands;
use docs::Docs;
pub(crate) use entry::CALLS_TIMED_ONCE;
pub use entry::{Arity, Command};
use entry::{OwnHandler, PausePolicy};
pub(crate) use refusal::Refusal;
use refusal::wrong_subcommand;

/// The commands that a server knows, by name; names are case-insensitive.
///
/// ```
/// use respool::{Arity, Commands};
///
/// let mut commands = Commands::builtin();
/// commands.remove("DEBUG");
/// commands
///     .register("DOUBLE", Arity::Exactly(2), |_session, request, reply| {
///         match request.float(0) {
///             Ok(number) => reply.double(2.0 * number),
///             Err(error) => reply.error(error.to_string()),
///         }
///     })
///     .describe("Gives twice a number")
///     .never_blocks();
/// let jobs = commands.container("JOB");
/// jobs.register("STATE", Arity::Exactly(3), |_, request, reply| {
///     // The subcommand's name is argument 0.
///     reply.bulk(request.argument(1).unwrap_or_default())
/// });
/// ```
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

    /// Adds the command `name`, or replaces it. A handler is a closure: what it needs to know it
    /// captures, and what it is to remember of a client it keeps in the [`Session`].
    ///
    /// The handler may block: while it does, the other workers serve the other clients. Its worker
    /// sees to that before each call; where the other workers sleep, that is a thread woken: some
    /// ten microseconds of processor time. Handlers that never wait are spared it:
    /// [`Command::never_blocks`]. As many clients as there are workers can be in handlers that
    /// block; further ones wait, so have one worker more than handlers that block at a time.
    ///
    /// A handler that panics costs its client the connection, behind an error reply, and nobody
    /// else anything.
    ///
    /// A command that replaces another runs when that one would: an `AUTH` of your own also for
    /// clients who have not said the password ([`Session::authenticate`] lets them in).
    ///
    /// # Panics
    ///
    /// If nobody could call the command: the name is empty, or has a blank, a `|` or something
    /// other than visible ASCII, or the arity does not count the name itself (and a container's).
    pub fn register(
        &mut self,
        name: &str,
        arity: Arity,
        handler: impl Fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied + Send + Sync + 'static,
    ) -> &mut Command {
        assert!(
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'|'),
            "a command's name is visible ASCII characters other than `|`, and not {name:?}"
        );
        let names = if self.prefix.is_empty() { 1 } else { 2 };
        assert!(
            arity.admits_some_from(names),
            "an arity counts the names too, so that of {name} is at least {names}"
        );
        self.add(Command {
            name: name.as_bytes().into(),
            full_name: format!("{}{}", self.prefix, name.to_ascii_lowercase()).into(),
            arity,
            index: 0,
            is_short: false,
            is_pure: false,
            passes: 0,
            holds: PausePolicy::WithAll,
            handler: Box::new(handler),
            subcommands: Self::empty(),
            docs: Box::new(Docs::UNDOCUMENTED),
        })
    }

    /// Adds a container, a command that only contains others, such as `CLIENT`. Gives the table of
    /// its subcommands, whose arity counts the container's name too; their first argument proper is
    /// the [`argument`](Request::argument) at index 1.
    ///
    /// It begins with the subcommand `HELP`, which lists them all; that of a built-in container stays
    /// as it is written. If there is a container of this name, its table is given; a command of this
    /// name is replaced.
    ///
    /// # Panics
    ///
    /// As [`Self::register`], and within a container: no request has three names.
    pub fn container(&mut self, name: &str) -> &mut Self {
        assert!(
            self.prefix.is_empty(),
            "a container's subcommands contain no others, and so {name} cannot"
        );
        let is_container = |command: &Command| !command.subcommands.is_empty();
        if !self.find(name.as_bytes()).is_some_and(is_container) {
            let command = self.register(name, Arity::AtLeast(2), wrong_subcommand);
            command.contain();
            let help = command
                .subcommands
                .register("HELP", Arity::Exactly(2), list_subcommands);
            help.describe("Prints this help").never_blocks();
        }
        let found = self.find_mut(name.as_bytes());
        &mut found.expect("it is there, or was added above").subcommands
    }

    /// The command or container `name`, if there is one, for more to be declared of it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Command> {
        self.find_mut(name.as_bytes())
    }

    /// Leaves the command `name` out; a container with its subcommands. Gives whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(commands) = self.by_length.get_mut(name.len()) else {
            return false;
        };
        let before = commands.len();
        commands.retain(|command| !command.is_named(name.as_bytes()));
        commands.len() < before
    }

    /// Adds one of respool's own commands.
    fn register_own(
        &mut self,
        name: &str,
        arity: Arity,
        handler: impl Fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied + Send + Sync + 'static,
    ) -> &mut Command {
        let command = self.register(name, arity, handler);
        command.look_up_docs();
        command
    }

    /// Adds one of respool's own containers.
    fn own_container(&mut self, name: &str) -> &mut Self {
        // It is never called: a request either names a subcommand, or has too few words.
        self.own_container_and_command(name, Arity::AtLeast(2), wrong_subcommand)
    }

    /// As [`Self::own_container`], for a container that is a command too: `handler` runs for a
    /// request that names no subcommand.
    fn own_container_and_command(
        &mut self,
        name: &str,
        arity: Arity,
        handler: OwnHandler,
    ) -> &mut Self {
        let container = self.register_own(name, arity, handler);
        container.contain();
        &mut container.subcommands
    }

    fn add(&mut self, mut command: Command) -> &mut Command {
        let length = command.name.len();
        if self.by_length.len() <= length {
            self.by_length.resize_with(length + 1, Vec::new);
        }
        let commands = &mut self.by_length[length];
        let before = commands
            .iter()
            .position(|other| other.is_named(&command.name));
        if let Some(before) = before {
            command.stands_in_for(&commands.swap_remove(before));
        }
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
        // A container has a lower number than its subcommands, and they one than the next command.
        let is_before = |command: &Command| command.index() <= index;
        let mut lengths = self.by_length.iter().rev();
        let commands = lengths.find(|commands| commands.first().is_some_and(is_before))?;
        let command = &commands[commands.partition_point(is_before) - 1];
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

    fn find_mut(&mut self, name: &[u8]) -> Option<&mut Command> {
        let commands = self.by_length.get_mut(name.len())?;
        commands.iter_mut().find(|command| command.is_named(name))
    }

    // On the way of every request, where the call costs as much as the search.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn find(&self, name: &[u8]) -> Option<&Command> {
        let commands = self.by_length.get(name.len())?;
        commands.iter().find(|command| command.is_named(name))
    }
}
