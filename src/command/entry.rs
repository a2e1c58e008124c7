//! A command, and what is declared of it.

use std::fmt;

use crate::client::session::{Restrictions, Session};
use crate::resp::{Replied, Reply, Request};
use crate::state::catalog::{Arity, CommandInfo, Docs};
use crate::state::pause::PauseLevel;

/// Answers a request of a command.
pub(crate) type Handler = dyn Fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied + Send + Sync;

/// The handler of one of respool's own commands, which captures nothing.
pub(crate) type OwnHandler = fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied;

/// A registered command, returned by [`Commands::get_mut`](crate::Commands::get_mut) to declare
/// more about it.
pub struct Command {
    /// The name as it was registered, in the case that requests use most, without its container's.
    pub(crate) name: Box<[u8]>,
    pub(crate) info: CommandInfo,
    /// The handler is short: no other worker has to watch the other clients meanwhile, and reading
    /// the clock would cost as much as the handler.
    pub(crate) is_short: bool,
    /// The reply depends only on the request and the session, and the handler does nothing else.
    pub(crate) is_pure: bool,
    /// The restrictions under which it runs all the same.
    pub(crate) allowed_under: Restrictions,
    pub(crate) pause_policy: PausePolicy,
    pub(crate) handler: Box<Handler>,
    /// Empty unless the command is a container.
    pub(crate) subcommands: ByName,
}

/// The pauses (`CLIENT PAUSE`) during which a command's requests wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PausePolicy {
    /// A pause of all requests.
    WithAll,
    /// Any pause.
    WithWrites,
    /// None.
    Never,
}

impl Command {
    /// Returns a command that may block, is paused with all requests and needs authentication.
    pub(super) fn new(name: &str, full_name: String, arity: Arity, handler: Box<Handler>) -> Self {
        Self {
            name: name.as_bytes().into(),
            info: CommandInfo {
                full_name: full_name.into(),
                arity,
                index: 0,
                docs: Box::new(Docs::UNDOCUMENTED),
            },
            is_short: false,
            is_pure: false,
            allowed_under: Restrictions::empty(),
            pause_policy: PausePolicy::WithAll,
            handler,
            subcommands: ByName::default(),
        }
    }

    /// Declares that the handler never waits: for a lock that is held for long, a disk or another
    /// machine. The worker then runs it without waking another worker to watch the other clients. A
    /// handler that waits in spite of this delays those clients by as long.
    ///
    /// Reading the clock would cost as much as such a call. The statistics of `INFO` and `LATENCY`,
    /// and `SLOWLOG`, therefore time about one call in 64.
    pub fn never_blocks(&mut self) -> &mut Self {
        self.info.docs.add_flag("fast");
        self.mark_short()
    }

    /// Declares that the command changes something for other clients: its requests then also wait
    /// for `CLIENT PAUSE … WRITE`.
    pub fn writes(&mut self) -> &mut Self {
        self.info.docs.add_flag("write");
        self.pause_policy = PausePolicy::WithWrites;
        self
    }

    /// Sets the line, without a full stop, that says what the command does: for `COMMAND DOCS`, and
    /// for a subcommand in its container's `HELP`.
    pub fn describe(&mut self, summary: &'static str) -> &mut Self {
        self.info.docs.summary = summary;
        self
    }

    /// Like [`Self::never_blocks`], without a change of the documentation.
    pub(crate) fn mark_short(&mut self) -> &mut Self {
        self.is_short = true;
        self
    }

    /// Declares that the reply depends only on the request and the session, and that the handler is
    /// short and does nothing else.
    pub(crate) fn mark_pure_and_short(&mut self) -> &mut Self {
        self.is_pure = true;
        self.mark_short()
    }

    /// Takes over when clients may run the command that this one replaces: an `AUTH` of a program's
    /// own has to run for clients that are not authenticated.
    pub(super) fn take_over_from(&mut self, replaced: &Self) {
        self.allowed_under = replaced.allowed_under;
        self.pause_policy = replaced.pause_policy;
    }

    pub(crate) fn index(&self) -> usize {
        self.info.index.into()
    }

    /// Returns the name that errors and statistics use.
    pub(crate) fn full_name(&self) -> &str {
        &self.info.full_name
    }

    /// Whether the command's requests wait during a pause of this level.
    pub(crate) fn waits_while(&self, level: PauseLevel) -> bool {
        match self.pause_policy {
            PausePolicy::WithAll => level == PauseLevel::All,
            PausePolicy::WithWrites => true,
            PausePolicy::Never => false,
        }
    }

    /// Whether the call after so many others is timed.
    #[inline]
    pub(crate) fn times(&self, calls: u64) -> bool {
        !self.is_short || calls.is_multiple_of(CALLS_TIMED_ONCE.into())
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("name", &self.info.full_name)
            .field("arity", &self.info.arity)
            .field("is_short", &self.is_short)
            .finish_non_exhaustive()
    }
}

/// Commands by name, grouped by the name's length. The groups are small, so a look-up is one or two
/// comparisons, which is faster than hashing the name.
#[derive(Debug, Default)]
pub(crate) struct ByName(Vec<Vec<Command>>);

impl ByName {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Command> {
        self.0.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Command> {
        self.0.iter_mut().flatten()
    }

    // Every request comes here, and a call would cost as much as the search.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    pub(crate) fn find(&self, name: &[u8]) -> Option<&Command> {
        let group = self.0.get(name.len())?;
        group.iter().find(|command| is_named(command, name))
    }

    pub(crate) fn find_mut(&mut self, name: &[u8]) -> Option<&mut Command> {
        let group = self.0.get_mut(name.len())?;
        group.iter_mut().find(|command| is_named(command, name))
    }

    /// Adds `command` at the end of its group.
    pub(super) fn add(&mut self, command: Command) {
        let length = command.name.len();
        if self.0.len() <= length {
            self.0.resize_with(length + 1, Vec::new);
        }
        self.0[length].push(command);
    }

    /// Returns the command that was added last among those whose names have this length.
    pub(super) fn last_mut(&mut self, length: usize) -> &mut Command {
        self.0[length].last_mut().expect("a command was added")
    }

    /// Removes the command of this name and returns it.
    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<Command> {
        let group = self.0.get_mut(name.len())?;
        let index = group.iter().position(|command| is_named(command, name))?;
        Some(group.swap_remove(index))
    }
}

#[inline]
fn is_named(command: &Command, name: &[u8]) -> bool {
    // Most clients send this case, and an exact comparison takes half the time.
    *command.name == *name || command.name.eq_ignore_ascii_case(name)
}

/// One call in so many of a short command is timed, so that the clock costs little. The number is a
/// prime, so that a pipeline of 64 is not timed at the same place every time.
pub(crate) const CALLS_TIMED_ONCE: u32 = 67;
