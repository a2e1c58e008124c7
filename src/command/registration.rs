//! Adds commands to a table.

use super::entry::{ByName, Command, Handler};
use super::outcome::Outcome;
use crate::client::session::Session;
use crate::resp::{Reply, Request};
use crate::state::catalog::Arity;

/// A command that was just registered: declares more about it, and registers the next one in the
/// same table.
///
/// ```
/// use respool::{Arity, Commands};
///
/// let mut commands = Commands::builtin();
/// commands
///     .register("ON", Arity::Exactly(1), |_session, _request, reply| reply.boolean(true))
///     .describe("Returns true")
///     .never_blocks()
///     .register("OFF", Arity::Exactly(1), |_session, _request, reply| reply.boolean(false))
///     .describe("Returns false")
///     .never_blocks();
/// ```
#[derive(Debug)]
pub struct Registered<'a> {
    table: &'a mut ByName,
    /// The container whose table it is.
    container: Option<&'a str>,
    /// The length of the name. The command is the last one of this length.
    name_length: usize,
}

#[expect(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "the command is registered"
)]
impl<'a> Registered<'a> {
    /// Adds a command to `table`, or replaces the one of the same name.
    #[track_caller]
    pub(super) fn in_table<R: Outcome>(
        table: &'a mut ByName,
        container: Option<&'a str>,
        name: &str,
        arity: Arity,
        handler: impl Fn(&mut Session, &Request<'_>, Reply<'_>) -> R + Send + Sync + 'static,
    ) -> Self {
        add(table, container, name, arity, R::into_handler(handler));
        Self {
            table,
            container,
            name_length: name.len(),
        }
    }

    /// Registers the next command, like [`Commands::register`](crate::Commands::register), or the
    /// next subcommand of the same container, like
    /// [`Container::register`](crate::Container::register).
    ///
    /// # Panics
    ///
    /// Like those.
    #[track_caller]
    pub fn register<R: Outcome>(
        self,
        name: &str,
        arity: Arity,
        handler: impl Fn(&mut Session, &Request<'_>, Reply<'_>) -> R + Send + Sync + 'static,
    ) -> Self {
        Self::in_table(self.table, self.container, name, arity, handler)
    }

    /// Declares that the handler never waits: see [`Command::never_blocks`].
    pub fn never_blocks(mut self) -> Self {
        self.command().never_blocks();
        self
    }

    /// Declares that the command changes something for other clients: see [`Command::writes`].
    pub fn writes(mut self) -> Self {
        self.command().writes();
        self
    }

    /// Declares that the command changes nothing: see [`Command::reads`].
    pub fn reads(mut self) -> Self {
        self.command().reads();
        self
    }

    /// Declares that the command is for operators: see [`Command::admin`].
    pub fn admin(mut self) -> Self {
        self.command().admin();
        self
    }

    /// Declares that the client may wait long for the reply: see [`Command::defers`].
    pub fn defers(mut self) -> Self {
        self.command().defers();
        self
    }

    /// Declares that clients need not be authenticated: see [`Command::needs_no_auth`].
    pub fn needs_no_auth(mut self) -> Self {
        self.command().needs_no_auth();
        self
    }

    /// Adds the command to an ACL category: see [`Command::category`].
    ///
    /// # Panics
    ///
    /// If Redis has no such category.
    #[track_caller]
    pub fn category(mut self, name: &str) -> Self {
        self.command().category(name);
        self
    }

    /// Declares which words of a request are keys: see [`Command::keys`].
    ///
    /// # Panics
    ///
    /// If no request could have these keys.
    #[track_caller]
    pub fn keys(mut self, first: usize, last: isize, step: usize) -> Self {
        self.command().keys(first, last, step);
        self
    }

    /// Declares a function that finds the keys in a request: see [`Command::keys_by`].
    pub fn keys_by<P: IntoIterator<Item = usize>>(
        mut self,
        find: impl Fn(&Request<'_>) -> P + Send + Sync + 'static,
    ) -> Self {
        self.command().keys_by(find);
        self
    }

    /// Declares that the words of a request from the position `from` on are secret: see
    /// [`Command::secret`].
    pub fn secret(mut self, from: usize) -> Self {
        self.command().secret(from);
        self
    }

    /// Sets the line that says what the command does: see [`Command::describe`].
    pub fn describe(mut self, summary: &'static str) -> Self {
        self.command().describe(summary);
        self
    }

    /// Returns the command, to change more of it than a program may.
    pub(super) fn into_command(self) -> &'a mut Command {
        self.table.last_mut(self.name_length)
    }

    fn command(&mut self) -> &mut Command {
        self.table.last_mut(self.name_length)
    }
}

#[track_caller]
fn add(
    table: &mut ByName,
    container: Option<&str>,
    name: &str,
    arity: Arity,
    handler: Box<Handler>,
) {
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
    assert!(
        !matches!(arity, Arity::Between(min, max) if max < min),
        "the maximum of an arity is at least its minimum, and that of {name} is {arity:?}"
    );
    let lower = name.to_ascii_lowercase();
    let full_name =
        container.map_or_else(|| lower.clone(), |container| format!("{container}|{lower}"));
    let mut command = Command::new(name, full_name, arity, handler);
    if let Some(replaced) = table.remove(name.as_bytes()) {
        command.take_over_from(&replaced);
    }
    table.add(command);
}
