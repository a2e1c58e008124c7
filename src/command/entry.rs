//! A command, and what is declared of it.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;

use crate::bytes::has_same_ends;
use crate::client::session::{Restrictions, Session};
use crate::resp::{LastArguments, Replied, Reply, Request};
use crate::state::catalog::{Arity, CATEGORIES, CommandInfo, Docs};
use crate::state::keys::Keys;
use crate::state::pause::PauseLevel;

/// Answers a request of a command.
pub(crate) type Handler = dyn Fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied + Send + Sync;

/// The handler of one of respool's own commands, which captures nothing.
pub(crate) type OwnHandler = fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied;

/// Answers a request, and the requests that it takes of those that follow and differ only in the
/// last argument: all with the same reply, a short one.
pub(crate) type BurstHandler =
    for<'a> fn(&mut Session, &Request<'a>, &mut LastArguments<'a>, Reply<'_>) -> Replied;

/// A registered command, returned by [`Commands::get_mut`](crate::Commands::get_mut) to declare
/// more about it.
pub struct Command {
    /// The name as it was registered, in the case that requests use most, without its container's.
    pub(crate) name: Box<[u8]>,
    pub(crate) info: CommandInfo,
    /// The handler is short: no other worker has to watch the other clients meanwhile, and reading
    /// the clock would cost as much as the handler.
    pub(crate) is_short: bool,
    /// The handler never waits, but may take long: then it hands over to another worker itself.
    pub(crate) hands_over: bool,
    /// The reply depends only on the request and the session, and the handler does nothing else.
    pub(crate) is_pure: bool,
    /// The restrictions under which it runs all the same.
    pub(crate) allowed_under: Restrictions,
    pub(crate) pause_policy: PausePolicy,
    pub(crate) handler: Box<Handler>,
    /// Answers several requests by one call, unless something is to happen between two of them.
    pub(crate) burst_handler: Option<BurstHandler>,
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
                secret_from: None,
                docs: Box::new(Docs::UNDOCUMENTED),
                keys: None,
            },
            is_short: false,
            hands_over: false,
            is_pure: false,
            allowed_under: Restrictions::empty(),
            pause_policy: PausePolicy::WithAll,
            handler,
            burst_handler: None,
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
    /// for `CLIENT PAUSE … WRITE`. It is in the ACL category `write`.
    pub fn writes(&mut self) -> &mut Self {
        self.info.docs.add_flag("write");
        self.pause_policy = PausePolicy::WithWrites;
        self
    }

    /// Declares that the command reads what other clients write, and changes nothing. It is in the
    /// ACL category `read`, and clients may send it to a replica.
    pub fn reads(&mut self) -> &mut Self {
        self.info.docs.add_flag("readonly");
        self
    }

    /// Declares that the command is for operators. It is in the ACL categories `admin` and
    /// `dangerous`, and `MONITOR` does not show its requests.
    pub fn admin(&mut self) -> &mut Self {
        self.info.docs.add_flag("admin");
        self
    }

    /// Declares that the client may wait long for the reply, as with Redis's `BLPOP`. It is in the
    /// ACL category `blocking`.
    ///
    /// This is about the client. [`Self::never_blocks`] is about the worker that runs the handler.
    pub fn defers(&mut self) -> &mut Self {
        self.info.docs.add_flag("blocking");
        self
    }

    /// Declares that clients may run the command before they have authenticated, as `AUTH`.
    pub fn needs_no_auth(&mut self) -> &mut Self {
        self.info.docs.add_flag("no_auth");
        self.allowed_under |= Restrictions::PASSWORD;
        self
    }

    /// Adds the command to an ACL category of Redis, such as `string` or `hash`: for `ACL CAT`,
    /// `COMMAND INFO` and `COMMAND LIST FILTERBY ACLCAT`. The categories `read`, `write`, `admin`,
    /// `dangerous`, `blocking`, `fast` and `slow` follow from the other declarations.
    ///
    /// # Panics
    ///
    /// If Redis has no such category. Names are in lower case, without `@`.
    #[track_caller]
    pub fn category(&mut self, name: &str) -> &mut Self {
        assert!(
            self.info.docs.add_category(name),
            "the ACL categories are {CATEGORIES}, and {name:?} is none of them"
        );
        self
    }

    /// Declares which words of a request are keys: every `step`-th word from `first` to `last`,
    /// both included. The name is word 0, so the first argument is 1, or 2 after the name of a
    /// subcommand. A negative `last` counts from the end: -1 is the last word. These are the
    /// numbers that `COMMAND INFO` shows.
    ///
    /// | request | `first`, `last`, `step` |
    /// |---|---|
    /// | `GET key` | 1, 1, 1 |
    /// | `DEL key [key …]` | 1, -1, 1 |
    /// | `MSET key value [key value …]` | 1, -1, 2 |
    /// | `BLPOP key [key …] timeout` | 1, -2, 1 |
    /// | `OBJECT ENCODING key` | 2, 2, 1 |
    ///
    /// Proxies and clients of a cluster send a request where its keys are, so they need to know.
    /// Replaces an earlier declaration.
    ///
    /// # Panics
    ///
    /// If no request could have these keys: `first` is a word of the name or beyond the maximum of
    /// the arity, `last` is before `first`, or `step` is 0.
    #[track_caller]
    pub fn keys(&mut self, first: usize, last: isize, step: usize) -> &mut Self {
        let name = &self.info.full_name;
        let is_forward = usize::try_from(last).map_or(true, |last| last >= first);
        let has_first = first >= self.info.name_words() && self.info.arity.admits_up_to(first + 1);
        assert!(
            has_first && is_forward && step > 0,
            "no request of {name} has keys at {first}, {last}, {step}"
        );
        self.info.keys = Some(Arc::new(Keys::Range { first, last, step }));
        self
    }

    /// Declares a function that finds the keys in a request, if [`Self::keys`] cannot say where
    /// they are. It returns the indices of the keys among the arguments, in order, as
    /// [`Request::argument`] takes them: the first argument is 0. The list ends at the first index
    /// outside of the request.
    ///
    /// The function gets requests with the right number of words, also if nobody runs them. It
    /// returns no index if the request is malformed. Replaces an earlier declaration.
    ///
    /// ```
    /// use respool::{Arity, Commands};
    ///
    /// let mut commands = Commands::builtin();
    /// // UNION destination count key [key …]
    /// commands
    ///     .register("UNION", Arity::AtLeast(4), |_session, _request, reply| reply.simple("OK"))
    ///     .keys_by(|request| {
    ///         let count = request.integer_in(1, 1..=1_000_000).unwrap_or(0);
    ///         [0].into_iter().chain((2..).take(count as usize))
    ///     });
    /// ```
    pub fn keys_by<P: IntoIterator<Item = usize>>(
        &mut self,
        find: impl Fn(&Request<'_>) -> P + Send + Sync + 'static,
    ) -> &mut Self {
        self.info.keys = Some(Arc::new(Keys::found_by(find)));
        self
    }

    /// Declares that the words of a request from the position `from` on are secret: `MONITOR` and
    /// `SLOWLOG` show `(redacted)` instead. The name is word 0, so the first argument is 1, or 2
    /// after the name of a subcommand. Of a request with too few words to have one at `from`, all
    /// arguments are hidden: one of them may be the secret. Replaces an earlier declaration.
    ///
    /// The words of `AUTH`, `HELLO` and `CONFIG SET` that may be passwords are always hidden, also
    /// if a program replaces these commands.
    pub fn secret(&mut self, from: usize) -> &mut Self {
        let from = from.max(self.info.name_words());
        // No request has so many words as the maximum, so that all arguments are hidden.
        self.info.secret_from = NonZero::new(u32::try_from(from).unwrap_or(u32::MAX));
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
        if replaced.info.docs.has_flag("no_auth") {
            self.info.docs.add_flag("no_auth");
        }
        self.pause_policy = replaced.pause_policy;
    }

    pub(crate) fn index(&self) -> usize {
        self.info.index.into()
    }

    /// Returns the name that errors and statistics use.
    pub(crate) fn full_name(&self) -> &str {
        &self.info.full_name
    }

    /// Whether it is a subcommand, whose name has two words.
    pub(crate) fn is_subcommand(&self) -> bool {
        self.name.len() < self.info.full_name.len()
    }

    /// Whether the command's requests wait during a pause of this level.
    pub(crate) fn waits_while(&self, level: PauseLevel) -> bool {
        match self.pause_policy {
            PausePolicy::WithAll => level == PauseLevel::All,
            PausePolicy::WithWrites => true,
            PausePolicy::Never => false,
        }
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
    // Most clients send this case, and an exact comparison takes a fraction of the time.
    is_same(&command.name, name) || command.name.eq_ignore_ascii_case(name)
}

#[inline]
fn is_same(name: &[u8], other: &[u8]) -> bool {
    name.len() == other.len()
        && match name.len() {
            2..=4 => has_same_ends::<2>(name, other),
            5..=8 => has_same_ends::<4>(name, other),
            9..=16 => has_same_ends::<8>(name, other),
            _ => name == other,
        }
}

/// One call in so many of a short command is timed, so that the clock costs little. The number is a
/// prime, so that a pipeline of 64 is not timed at the same place every time.
pub(crate) const CALLS_TIMED_ONCE: u32 = 67;
