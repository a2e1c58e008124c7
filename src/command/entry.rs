//! An entry of the table: a command, and how its requests are treated.

use std::fmt;

use crate::client::session::Session;
use crate::command::Commands;
use crate::command::builtin::{is_public, is_secret};
use crate::command::docs::{self, Docs};
use crate::resp::{Replied, Reply, Request};
use crate::state::pause;

/// How many words a command takes, its own name included, as Redis counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// So many words and no others.
    Exactly(usize),
    /// So many words or more.
    AtLeast(usize),
}

impl Arity {
    pub(crate) fn admits(self, words: usize) -> bool {
        match self {
            Self::Exactly(count) => words == count,
            Self::AtLeast(count) => words >= count,
        }
    }

    /// Whether a request of at least so many words can meet it, and only such ones do.
    pub(crate) fn admits_some_from(self, words: usize) -> bool {
        let (Self::Exactly(count) | Self::AtLeast(count)) = self;
        count >= words
    }
}

/// What runs for a command: it answers `Request` by its `Reply`, and may note things in the
/// session.
pub(crate) type Handler = dyn Fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied + Send + Sync;

/// The handler of one of respool's own commands, which captures nothing.
pub(crate) type OwnHandler = fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied;

/// An entry of the table: what [`Commands::register`] gives, for more to be declared of it.
pub struct Command {
    /// Its own name, as it was registered.
    pub(crate) name: Box<[u8]>,
    /// As errors name it: in lower case, and a subcommand with its container, `client|id`.
    pub(crate) full_name: Box<str>,
    pub(crate) arity: Arity,
    /// Its place in the statistics: [`Commands::number`].
    pub(crate) index: u16,
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
    pub(crate) subcommands: Commands,
    /// What is told of it and never looked at to run it.
    pub(crate) docs: Box<Docs>,
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
    /// Declares that the handler never waits: not for a lock that is held for long, not for a disk,
    /// not for another machine. The worker then runs it without first asking another worker to
    /// watch the other clients. A handler that waits all the same delays those clients by as long.
    ///
    /// Such a call is short, and to look at the clock would cost as much: at most one in 64 is
    /// timed, for the statistics of `INFO` and `LATENCY`, and for `SLOWLOG`.
    pub fn never_blocks(&mut self) -> &mut Self {
        self.docs.add_flag("fast");
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
        self.docs.add_flag("write");
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

    /// Has it contain others.
    pub(crate) fn contain(&mut self) {
        self.subcommands.prefix = format!("{}|", self.full_name);
    }

    pub(crate) fn index(&self) -> usize {
        self.index.into()
    }

    /// As errors and statistics name it.
    pub(crate) fn full_name(&self) -> &str {
        &self.full_name
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

    /// Whether monitors are told of its requests.
    pub(crate) fn is_shown_to_monitors(&self) -> bool {
        !self.docs.has_flag("admin") && !self.docs.has_flag("skip_monitor")
    }

    pub(crate) fn is_shown_in_slowlog(&self) -> bool {
        !self.docs.has_flag("skip_slowlog")
    }

    /// Whether it takes the same short time always.
    pub(crate) fn is_fast(&self) -> bool {
        self.docs.has_flag("fast")
    }

    pub(crate) fn is_in_category(&self, name: &[u8]) -> bool {
        self.docs
            .categories()
            .any(|category| category.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Returns the first words of a request, up to `count_max`, as MONITOR and SLOWLOG may show them.
    /// Only words that cannot be secret are shown where a password may stand, so that a misspelled or
    /// misplaced word hides too much rather than too little.
    pub(crate) fn words_to_show<'a>(
        &self,
        request: &Request<'a>,
        count_max: usize,
    ) -> Vec<&'a [u8]> {
        let mut words = vec![request.name()];
        words.extend(request.arguments().take(count_max - 1));
        match &*self.full_name {
            "auth" => hide(&mut words[1..]),
            "hello" => hide_in_hello(&mut words[1..]),
            "config|set" => hide_in_config_set(&mut words[2..]),
            _ => {}
        }
        words
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
        self.docs.summary = summary;
        self
    }

    /// Takes over what is documented of respool's own command of this name.
    pub(crate) fn look_up_docs(&mut self) {
        if let Some(docs) = docs::find(&self.full_name) {
            *self.docs = *docs;
        }
    }

    pub(crate) fn is_named(&self, name: &[u8]) -> bool {
        // Mostly the case is the same too, and that is found out in half the time.
        *self.name == *name || self.name.eq_ignore_ascii_case(name)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("name", &self.full_name)
            .field("arity", &self.arity)
            .field("is_short", &self.is_short)
            .finish_non_exhaustive()
    }
}

fn hide(words: &mut [&[u8]]) {
    words.fill(b"(redacted)");
}

/// Hides what is neither a version nor a client's name: `[protocol [AUTH user password] [SETNAME
/// name]]`.
fn hide_in_hello(words: &mut [&[u8]]) {
    let has_version = words
        .first()
        .is_some_and(|word| matches!(word, [b'0'..=b'9']));
    let mut index = usize::from(has_version);
    while index < words.len() {
        if words[index].eq_ignore_ascii_case(b"SETNAME") {
            index += 2;
        } else if words[index].eq_ignore_ascii_case(b"AUTH") {
            let end = words.len().min(index + 3);
            hide(&mut words[index + 1..end]);
            index = end;
        } else {
            return hide(&mut words[index..]);
        }
    }
}

/// Hides the values of directives that are secret or unknown, and unknown names: with a word too
/// many or too few before it, a password stands where a name should.
fn hide_in_config_set(words: &mut [&[u8]]) {
    for pair in words.chunks_mut(2) {
        if !is_public(pair[0]) {
            let is_secret = is_secret(pair[0]);
            hide(&mut pair[usize::from(is_secret)..]);
        }
    }
}

/// Of so many calls of a short command at most one is timed: what that takes is lost among them. In a
/// pipeline mostly the first is called, so it is a prime number: else each of 64 would be timed.
pub(crate) const CALLS_TIMED_ONCE: u32 = 67;
