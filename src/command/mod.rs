//! The table of commands: name → arity → handler.
//!
//! Nothing here names a socket. A handler sees the session, the request and the reply.
//!
//! | file | content |
//! |---|---|
//! | `mod.rs` | the table: register, resolve |
//! | `entry.rs` | a command, and what is declared of it |
//! | `registration.rs` | adds a command to a table |
//! | `middleware.rs` | the program's hook around each call |
//! | `outcome.rs` | what a handler returns |
//! | `deferral.rs` | handlers that reply later |
//! | `exec.rs` | what a program sees of a transaction |
//! | `refusal.rs` | replies to requests that are not run |
//! | `help.rs` | `HELP` of every container |
//! | `builtin/` | respool's own commands, one file for each group |

pub(crate) mod builtin;
mod deferral;
pub(crate) mod entry;
mod exec;
mod help;
mod middleware;
mod outcome;
pub(crate) mod refusal;
mod registration;

use std::sync::Weak;
use std::{iter, mem};

use crate::client::session::Session;
use crate::config::Config;
use crate::resp::{Reply, Request};
use crate::state::ServerState;
pub use crate::state::catalog::Arity;
use crate::state::catalog::Catalog;
use crate::state::control::Control;
use crate::state::own_info::OwnInfo;
pub use deferral::{Deferral, DeferredReply};
use entry::ByName;
pub use entry::Command;
pub(crate) use exec::OnExec;
pub use exec::{Exec, Executed};
use help::list_subcommands;
pub use middleware::{Call, CallOutcome, Middleware, OutcomeKind};
pub use outcome::Outcome;
use refusal::{Refusal, wrong_subcommand};
pub use registration::Registered;

/// The table of a server's commands, by name. Names are case-insensitive.
///
/// ```
/// use respool::{Arity, Commands};
///
/// let mut commands = Commands::builtin();
/// commands.remove("DEBUG");
/// commands
///     .register("DOUBLE", Arity::Exactly(2), |_session, request, reply| {
///         Ok(reply.double(2.0 * request.float(0)?))
///     })
///     .describe("Doubles a number")
///     .never_blocks();
/// let mut jobs = commands.container("JOB");
/// jobs.register("STATE", Arity::Exactly(3), |_session, request, reply| {
///     // Argument 0 is the subcommand's name.
///     Ok(reply.bulk(request.bytes(1)?))
/// });
/// ```
#[derive(Debug, Default)]
pub struct Commands {
    table: ByName,
    own_info: OwnInfo,
    pub(crate) middleware: Option<Box<dyn Middleware>>,
    /// Whether the program checks logins: see [`Commands::on_auth`].
    pub(crate) has_on_auth: bool,
    /// Runs transactions; `None` without [`Commands::transactions`].
    pub(crate) on_exec: Option<OnExec>,
}

/// The table of a container's subcommands, returned by [`Commands::container`].
#[derive(Debug)]
pub struct Container<'a>(&'a mut Command);

impl Commands {
    /// Returns a table without commands: the reply to every request is the unknown-command error.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Adds the command `name`, or replaces it. The handler is a closure: it captures the state
    /// that all clients share, and keeps the state of one client in its [`Session`]. It returns
    /// what a method of the [`Reply`] returns, or a `Result` of it: see [`Outcome`].
    ///
    /// Returns the command, to declare more about it, and to register the next one.
    ///
    /// The handler may block for a short time: the other workers serve the other clients meanwhile.
    /// If all of them sleep, the worker wakes one before the call, which takes some ten
    /// microseconds of processor time; [`Command::never_blocks`] avoids this. At most as many
    /// handlers as there are workers run at a time, and if all of them wait, no client is served:
    /// so a handler that waits for an event or another machine replies later, by
    /// [`Session::defer`].
    ///
    /// If the handler panics, its client gets an error reply and is closed. No other client
    /// notices. `INFO` counts a failed call, and the log names the command, the client and, if a
    /// [`Reply`] was used wrongly, the line of the handler. This needs unwinding: in a program that
    /// is built with `panic = "abort"`, a panic ends the process.
    ///
    /// A command that replaces another is allowed when that one was: an `AUTH` of your own also
    /// runs for clients that are not authenticated, and calls [`Session::authenticate`]. But most
    /// clients log in by `HELLO`: see [`Self::on_auth`].
    ///
    /// # Panics
    ///
    /// If no request could call the command: the name is empty or contains `|` or a byte that is
    /// not visible ASCII, the arity does not count the name, or its maximum is below its minimum.
    #[track_caller]
    pub fn register<R: Outcome>(
        &mut self,
        name: &str,
        arity: Arity,
        handler: impl Fn(&mut Session, &Request<'_>, Reply<'_>) -> R + Send + Sync + 'static,
    ) -> Registered<'_> {
        Registered::in_table(&mut self.table, None, name, arity, handler)
    }

    /// Returns the subcommands of the container `name`, such as `CLIENT`, to add some. If there is
    /// no such container, adds it, with the subcommand `HELP`, which lists all others. A command
    /// `name` that is no container is replaced.
    ///
    /// # Panics
    ///
    /// If the name is empty or contains `|` or a byte that is not visible ASCII.
    #[track_caller]
    pub fn container(&mut self, name: &str) -> Container<'_> {
        let is_container = |command: &Command| !command.subcommands.is_empty();
        if !self.table.find(name.as_bytes()).is_some_and(is_container) {
            let command = self.register(name, Arity::AtLeast(2), wrong_subcommand);
            Container(command.into_command())
                .register("HELP", Arity::Exactly(2), list_subcommands)
                .describe("Prints this help")
                .never_blocks();
        }
        let container = self.table.find_mut(name.as_bytes());
        Container(container.expect("found, or added above"))
    }

    /// Returns the command `name`, to declare more about it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Command> {
        self.table.find_mut(name.as_bytes())
    }

    /// Removes the command `name`, a container with its subcommands. Returns whether it existed.
    pub fn remove(&mut self, name: &str) -> bool {
        self.table.remove(name.as_bytes()).is_some()
    }

    /// Sets the hook around each call, in place of the previous one: see [`Middleware`].
    pub fn set_middleware(&mut self, middleware: impl Middleware) -> &mut Self {
        self.middleware = Some(Box::new(middleware));
        self
    }

    /// Returns the state of a server with these commands.
    pub(crate) fn state(
        &mut self,
        control: Weak<dyn Control>,
        config: Config,
        port: u16,
    ) -> ServerState {
        let state = ServerState::new(self.catalog(), control, config, port);
        if self.middleware.is_some() {
            state.observe_for_middleware();
        }
        if self.has_on_auth {
            state.settings.require_logins();
        }
        state
    }

    /// Numbers the commands and returns their descriptions.
    pub(crate) fn catalog(&mut self) -> Catalog {
        let all = self
            .table
            .iter()
            .flat_map(|command| iter::once(command).chain(command.subcommands.iter()));
        let catalog = Catalog::new(
            all.map(|command| command.info.clone()).collect(),
            mem::take(&mut self.own_info),
        );
        let number = |command: &mut Command| {
            let info = catalog.find(command.info.full_name.as_bytes());
            command.info.index = info.map_or(0, |info| info.index);
        };
        for command in self.table.iter_mut() {
            number(command);
            command.subcommands.iter_mut().for_each(number);
        }
        catalog
    }

    /// Whether `command` is the EXEC of [`Commands::transactions`].
    pub(crate) fn is_exec(&self, command: &Command) -> bool {
        self.on_exec.is_some() && command.full_name() == "exec"
    }

    /// Returns the command of a request that was resolved before, such as one in a queue.
    #[cold]
    pub(crate) fn command_of(&self, request: &Request<'_>) -> Option<&Command> {
        self.resolve(request).ok()
    }

    /// Returns the command that `request` names, if it has the right number of words.
    // Every request comes here. A batch exists twice, for sockets and for tests in memory, so the
    // compiler would not inline this by itself.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    pub(crate) fn resolve(&self, request: &Request<'_>) -> Result<&Command, Refusal<'_>> {
        let Some(mut command) = self.table.find(request.name()) else {
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
    /// Adds the subcommand `name`, or replaces it, like [`Commands::register`]. The arity counts
    /// both names. [`Request::argument`] 0 is the subcommand's name, and 1 the first after it.
    ///
    /// # Panics
    ///
    /// Like [`Commands::register`]; the arity has to count both names.
    #[track_caller]
    pub fn register<R: Outcome>(
        &mut self,
        name: &str,
        arity: Arity,
        handler: impl Fn(&mut Session, &Request<'_>, Reply<'_>) -> R + Send + Sync + 'static,
    ) -> Registered<'_> {
        let Command {
            info, subcommands, ..
        } = &mut *self.0;
        Registered::in_table(subcommands, Some(&info.full_name), name, arity, handler)
    }

    /// Sets the line, without a full stop, that says what the container is for: see
    /// [`Command::describe`].
    pub fn describe(&mut self, summary: &'static str) -> &mut Self {
        self.0.describe(summary);
        self
    }

    /// Returns the subcommand `name`, to declare more about it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Command> {
        self.0.subcommands.find_mut(name.as_bytes())
    }

    /// Removes the subcommand `name`. Returns whether it existed.
    pub fn remove(&mut self, name: &str) -> bool {
        self.0.subcommands.remove(name.as_bytes()).is_some()
    }
}
