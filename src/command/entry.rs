//! An entry of the table: a command, and how its requests are treated.

use std::fmt;

use super::by_name::{ByName, Named};
use crate::client::session::Session;
use crate::resp::{Replied, Reply, Request};
use crate::state::catalog::{Arity, CommandInfo, Docs};
use crate::state::pause;

/// What runs for a command: it answers `Request` by its `Reply`, and may note things in the
/// session.
pub(crate) type Handler = dyn Fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied + Send + Sync;

/// The handler of one of respool's own commands, which captures nothing.
pub(crate) type OwnHandler = fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied;

/// A registered command, returned by [`Commands::register`](crate::Commands::register) to declare
/// more about it.
pub struct Command {
    /// Its own name, as it was registered.
    pub(crate) name: Box<[u8]>,
    pub(crate) info: CommandInfo,
    /// The handler is short: nobody has to watch the other clients meanwhile, and to look at the
    /// clock would cost as much.
    pub(crate) is_short: bool,
    /// The reply follows from the request and the session, and the handler does nothing else.
    pub(crate) is_pure: bool,
    /// The [`restriction`](crate::client::session::gate)s that do not hold it up.
    pub(crate) passes: u8,
    pub(crate) holds: PausePolicy,
    pub(crate) handler: Box<Handler>,
    /// Those of a container; of another command, none.
    pub(crate) subcommands: ByName<Self>,
}

/// When a pause (`CLIENT PAUSE`) holds a command's requests up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PausePolicy {
    /// When it holds all requests up.
    WithAll,
    /// Also when it only holds up what changes something for others.
    WithWrites,
    /// Never.
    Never,
}

impl Command {
    /// A command that may block, is held up by every pause and needs authentication.
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
            passes: 0,
            holds: PausePolicy::WithAll,
            handler,
            subcommands: ByName::default(),
        }
    }

    /// Declares that the handler never waits: not for a lock that is held for long, not for a disk,
    /// not for another machine. The worker then runs it without first asking another worker to
    /// watch the other clients. A handler that waits all the same delays those clients by as long.
    ///
    /// Such a call is short, and to look at the clock would cost as much: at most one in 64 is
    /// timed, for the statistics of `INFO` and `LATENCY`, and for `SLOWLOG`.
    pub fn never_blocks(&mut self) -> &mut Self {
        self.info.docs.add_flag("fast");
        self.is_short()
    }

    /// As [`Self::never_blocks`], and what is documented of it stays.
    pub(crate) fn is_short(&mut self) -> &mut Self {
        self.is_short = true;
        self
    }

    /// Declares that it changes something for other clients: then `CLIENT PAUSE … WRITE` holds its
    /// requests up, too.
    pub fn writes(&mut self) -> &mut Self {
        self.info.docs.add_flag("write");
        self.is_held_with(PausePolicy::WithWrites)
    }

    /// Declares that it always answers the same to the same request in the same session, and does
    /// nothing else.
    pub(crate) fn is_pure_and_short(&mut self) -> &mut Self {
        self.is_pure = true;
        self.is_short()
    }

    pub(crate) fn is_pure(&self) -> bool {
        self.is_pure
    }

    /// Lets clients run it who have not passed these gates.
    pub(crate) fn passes(&mut self, restrictions: u8) -> &mut Self {
        self.passes = restrictions;
        self
    }

    pub(crate) fn is_held_with(&mut self, holds: PausePolicy) -> &mut Self {
        self.holds = holds;
        self
    }

    /// Takes over when clients may run the command that it replaces: who brings an `AUTH` of their
    /// own wants it to be run by those who have not said the password.
    pub(crate) fn stands_in_for(&mut self, replaced: &Self) {
        self.passes = replaced.passes;
        self.holds = replaced.holds;
    }

    pub(crate) fn index(&self) -> usize {
        self.info.index.into()
    }

    /// As errors and statistics name it.
    pub(crate) fn full_name(&self) -> &str {
        &self.info.full_name
    }

    /// Whether it may take so long that another worker has to watch the other clients.
    pub(crate) fn may_take_long(&self) -> bool {
        !self.is_short
    }

    /// Of these gates, those that hold it up.
    pub(crate) fn is_stopped_by(&self, restrictions: u8) -> u8 {
        restrictions & !self.passes
    }

    /// Whether a pause that holds such requests up holds this one up.
    pub(crate) fn waits_while(&self, held: u8) -> bool {
        match self.holds {
            PausePolicy::WithAll => held == pause::ALL,
            PausePolicy::WithWrites => held != pause::NOTHING,
            PausePolicy::Never => false,
        }
    }

    /// Whether the call behind so many others is one of those that are timed.
    #[inline]
    pub(crate) fn times(&self, calls: u64) -> bool {
        !self.is_short || calls.is_multiple_of(CALLS_TIMED_ONCE.into())
    }

    #[inline]
    pub(crate) fn run(
        &self,
        session: &mut Session,
        request: &Request<'_>,
        reply: Reply<'_>,
    ) -> Replied {
        (self.handler)(session, request, reply)
    }

    /// Says in a line without a full stop what the command does, for `COMMAND DOCS`, and of a
    /// subcommand for its container's `HELP`.
    pub fn describe(&mut self, summary: &'static str) -> &mut Self {
        self.info.docs.summary = summary;
        self
    }
}

impl Named for Command {
    fn name(&self) -> &[u8] {
        &self.name
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

/// Of so many calls of a short command at most one is timed: what that takes is lost among them. In a
/// pipeline mostly the first is called, so it is a prime number: else each of 64 would be timed.
pub(crate) const CALLS_TIMED_ONCE: u32 = 67;
