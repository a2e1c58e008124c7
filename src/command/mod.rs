//! The table of commands: name → arity → handler.
//!
//! Nothing here names a socket. A handler sees the session, the request and the reply.
//!
//! | file | content |
//! |---|---|
//! | `mod.rs` | the table: register, resolve |
//! | `entry.rs` | one command, and how its requests are treated |
//! | `by_name.rs` | the look-up by name |
//! | `refusal.rs` | replies to requests that are not run |
//! | `builtin/` | respool's own commands, one file for each group |

pub(crate) mod builtin;
mod by_name;
pub(crate) mod entry;
mod help;
pub(crate) mod refusal;

use crate::client::session::Session;
use crate::resp::{Replied, Reply, Request};
pub use crate::state::catalog::Arity;
use crate::state::catalog::Catalog;
use by_name::ByName;
pub use entry::Command;
use entry::Handler;
use refusal::{Refusal, wrong_subcommand};

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
/// let mut jobs = commands.container("JOB");
/// jobs.register("STATE", Arity::Exactly(3), |_, request, reply| {
///     // The subcommand's name is argument 0.
///     reply.bulk(request.argument(1).unwrap_or_default())
/// });
/// ```
#[derive(Debug, Default)]
pub struct Commands(ByName<Command>);

/// The subcommands of a container such as `CLIENT`: see [`Commands::container`].
#[derive(Debug)]
pub struct Container<'a>(&'a mut Command);

impl Commands {
    /// Returns a table without commands: every request is answered by the unknown-command error.
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
        add(&mut self.0, None, name, arity, Box::new(handler))
    }

    /// Adds a container, a command that only contains subcommands, such as `CLIENT`. Returns the
    /// table of its subcommands. It begins with the subcommand `HELP`, which lists them all.
    ///
    /// If there is a container of this name, its table is returned; a command of this name is
    /// replaced.
    ///
    /// # Panics
    ///
    /// If the name is empty, or has a blank, a `|` or something other than visible ASCII.
    pub fn container(&mut self, name: &str) -> Container<'_> {
        let is_container = |command: &Command| !command.subcommands.is_empty();
        if !self.0.find(name.as_bytes()).is_some_and(is_container) {
            let mut container = Container(self.register(name, Arity::AtLeast(2), wrong_subcommand));
            container.add_help();
        }
        let container = self.0.find_mut(name.as_bytes());
        Container(container.expect("it was found, or added above"))
    }

    /// Returns the command or container `name`, to declare more about it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Command> {
        self.0.find_mut(name.as_bytes())
    }

    /// Removes the command `name`; a container with its subcommands. Returns whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name.as_bytes()).is_some()
    }

    /// Numbers the commands and returns what there is to know of them.
    pub(crate) fn catalog(&mut self) -> Catalog {
        let of_command = |command: &Command| {
            let subcommands = command
                .subcommands
                .iter()
                .map(|subcommand| subcommand.info.clone());
            std::iter::once(command.info.clone())
                .chain(subcommands)
                .collect::<Vec<_>>()
        };
        let catalog = Catalog::new(self.0.iter().flat_map(of_command).collect());
        let number = |command: &mut Command| {
            let info = catalog.find(command.info.full_name.as_bytes());
            command.info.index = info.map_or(0, |info| info.index);
        };
        for command in self.0.iter_mut() {
            number(command);
            command.subcommands.iter_mut().for_each(number);
        }
        catalog
    }

    /// Returns the command that `request` names, if it has the right number of words.
    #[inline]
    pub(crate) fn resolve(&self, request: &Request<'_>) -> Result<&Command, Refusal<'_>> {
        let Some(mut command) = self.0.find(request.name()) else {
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
        if !command.info.arity.admits(request.word_count()) {
            return Err(Refusal::WrongNumberOfArguments(command));
        }
        Ok(command)
    }
}

impl Container<'_> {
    /// Adds the subcommand `name`, or replaces it: as [`Commands::register`]. The arity counts the
    /// container's name too; the first argument after the subcommand's name is the
    /// [`argument`](Request::argument) at index 1.
    ///
    /// # Panics
    ///
    /// As [`Commands::register`].
    pub fn register(
        &mut self,
        name: &str,
        arity: Arity,
        handler: impl Fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied + Send + Sync + 'static,
    ) -> &mut Command {
        let Command {
            info, subcommands, ..
        } = &mut *self.0;
        add(
            subcommands,
            Some(&info.full_name),
            name,
            arity,
            Box::new(handler),
        )
    }

    /// Returns the subcommand `name`, to declare more about it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Command> {
        self.0.subcommands.find_mut(name.as_bytes())
    }

    /// Removes the subcommand `name`. Returns whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        self.0.subcommands.remove(name.as_bytes()).is_some()
    }

    /// Adds the subcommand HELP.
    fn add_help(&mut self) -> &mut Command {
        let help = self.register("HELP", Arity::Exactly(2), help::list_subcommands);
        help.describe("Prints this help").never_blocks()
    }
}

/// Adds a command to `table`, or replaces the one of the same name.
fn add<'a>(
    table: &'a mut ByName<Command>,
    container: Option<&str>,
    name: &str,
    arity: Arity,
    handler: Box<Handler>,
) -> &'a mut Command {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'|';
    assert!(
        !name.is_empty() && name.bytes().all(is_allowed),
        "a command's name is visible ASCII characters other than `|`, and not {name:?}"
    );
    let names = 1 + usize::from(container.is_some());
    assert!(
        arity.admits_some_from(names),
        "an arity counts the names too, so that of {name} is at least {names}"
    );
    let lower = name.to_ascii_lowercase();
    let full_name =
        container.map_or_else(|| lower.clone(), |container| format!("{container}|{lower}"));
    let mut command = Command::new(name, full_name, arity, handler);
    if let Some(replaced) = table.remove(name.as_bytes()) {
        command.stands_in_for(&replaced);
    }
    table.add(command)
}
