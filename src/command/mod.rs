//! The table of commands: name → arity → handler.
//!
//! Nothing here names a socket. A handler sees the session, the request and the reply that it owes.

mod acl;
mod client;
mod clients;
mod config;
mod connection;
mod docs;
pub(crate) mod glob;
mod info;
mod introspection;
mod latency;
mod lolwut;
mod pubsub;
mod server;
mod slowlog;
mod tracking;

use std::fmt;

use crate::facts::pause;
use crate::resp::{Replied, Reply, Request};
use crate::session::{Ending, Session, gate};
use docs::Docs;

/// How many words a command takes, its own name included, as Redis counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// So many words and no others.
    Exactly(usize),
    /// So many words or more.
    AtLeast(usize),
}

impl Arity {
    fn admits(self, words: usize) -> bool {
        match self {
            Self::Exactly(count) => words == count,
            Self::AtLeast(count) => words >= count,
        }
    }
}

/// What runs for a command: it answers `Request` by its `Reply`, and may note things in the
/// session.
type Handler = dyn Fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied + Send + Sync;

/// The handler of one of respool's own commands, which captures nothing.
type OwnHandler = fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied;

/// An entry of the table.
pub struct Command {
    /// Its own name, as it was registered.
    name: Box<[u8]>,
    /// As errors name it: in lower case, and a subcommand with its container, `client|id`.
    full_name: Box<str>,
    arity: Arity,
    /// Its place in the statistics: [`Commands::number`].
    index: u16,
    /// The handler is short: nobody has to watch the other clients meanwhile, and to look at the
    /// clock would cost as much.
    is_short: bool,
    /// The [`gate`]s that do not hold it up.
    passes: u8,
    holds: Holds,
    handler: Box<Handler>,
    /// Those of a container; of another command, none.
    subcommands: Commands,
    /// What is told of it and never looked at to run it.
    docs: Box<Docs>,
}

/// When a pause (`CLIENT PAUSE`) holds a command's requests up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
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
    /// Such a call is short, and to look at the clock would cost as much: one in 64 is timed, for
    /// the statistics of `INFO` and `LATENCY`, and for `SLOWLOG`.
    pub fn never_blocks(&mut self) {
        self.is_short = true;
    }

    /// Lets clients run it who have not passed these gates.
    fn passes(&mut self, gates: u8) -> &mut Self {
        self.passes = gates;
        self
    }

    fn is_held_with(&mut self, holds: Holds) {
        self.holds = holds;
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
    pub(crate) fn is_stopped_by(&self, gates: u8) -> u8 {
        gates & !self.passes
    }

    /// Whether a pause that holds such requests up holds this one up.
    pub(crate) fn waits_while(&self, held: u8) -> bool {
        match self.holds {
            Holds::WithAll => held == pause::ALL,
            Holds::WithWrites => held != pause::NOTHING,
            Holds::Never => false,
        }
    }

    /// Whether the call behind so many others is one of those that are timed.
    #[inline]
    pub(crate) fn times(&self, calls: u64) -> bool {
        !self.is_short || calls & UNTIMED_BITS == 0
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

    fn is_in_category(&self, name: &[u8]) -> bool {
        self.docs
            .categories()
            .any(|category| category.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The words of a request, without what only the client and the server are to know.
    pub(crate) fn words_to_show<'a>(&self, request: &Request<'a>) -> Vec<&'a [u8]> {
        let mut words = vec![request.name()];
        words.extend(request.arguments());
        let mut hide = |from: usize, count: usize| {
            words
                .iter_mut()
                .skip(from)
                .take(count)
                .for_each(|word| *word = b"(redacted)");
        };
        let says = |index: usize, word: &[u8]| {
            request
                .argument(index)
                .is_some_and(|said| said.eq_ignore_ascii_case(word))
        };
        match &*self.full_name {
            "auth" => hide(1, usize::MAX),
            "hello" => (1..request.word_count())
                .filter(|&index| says(index - 1, b"AUTH"))
                .for_each(|index| hide(index + 1, 2)),
            "config|set" => (2..request.word_count())
                .filter(|&index| says(index - 1, b"requirepass"))
                .for_each(|index| hide(index + 1, 1)),
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

    /// Says in a line what the command does, for `COMMAND DOCS` and so for `help` in redis-cli.
    pub fn describe(&mut self, summary: &'static str) {
        self.docs.summary = summary;
    }

    /// Takes over what is documented of respool's own command of this name.
    fn look_up_docs(&mut self) {
        if let Some(docs) = docs::find(&self.full_name) {
            *self.docs = *docs;
        }
    }

    fn is_named(&self, name: &[u8]) -> bool {
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

/// Why a request is not run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal<'a> {
    Unknown,
    UnknownSubcommand,
    WrongNumberOfArguments(&'a Command),
    /// The client has not said the password.
    NoPassword(&'a Command),
    /// The client is subscribed, in RESP2.
    Subscribed(&'a Command),
}

impl<'a> Refusal<'a> {
    /// For a command that is held up by one of these gates.
    pub(crate) fn by_gates(gates: u8, command: &'a Command) -> Self {
        if gates & gate::PASSWORD != 0 {
            Self::NoPassword(command)
        } else {
            Self::Subscribed(command)
        }
    }

    /// The command that was not run, if there is one of that name.
    pub(crate) fn command(self) -> Option<&'a Command> {
        match self {
            Self::Unknown | Self::UnknownSubcommand => None,
            Self::WrongNumberOfArguments(command)
            | Self::NoPassword(command)
            | Self::Subscribed(command) => Some(command),
        }
    }

    #[cold]
    pub(crate) fn tell(
        self,
        session: &mut Session,
        request: &Request<'_>,
        reply: Reply<'_>,
    ) -> Replied {
        match self {
            Self::Unknown => unknown(session, request, reply),
            Self::UnknownSubcommand => wrong_subcommand(session, request, reply),
            Self::WrongNumberOfArguments(command) => {
                wrong_number_of_arguments(&command.full_name, reply)
            }
            Self::NoPassword(_) => reply.error("NOAUTH Authentication required."),
            Self::Subscribed(command) => reply.error(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                 RESET are allowed in this context",
                command.full_name
            )),
        }
    }
}

/// Of a short command, one call in 64 is timed: what that takes is lost among them.
const UNTIMED_BITS: u64 = 63;

/// Bytes of a peer's words that an unknown-command error quotes: of the name, and of the arguments
/// in all.
const QUOTED_BYTES_MAX: usize = 128;

/// Redis's reply to a name that it does not know (`commandCheckExistence` in `src/server.c`): the
/// name and the first arguments, quoted, each cut at a NUL as C's `printf` does. The connection
/// stays open.
fn unknown(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    if is_http(c_string(request.name(), QUOTED_BYTES_MAX)) {
        session.close_silently(Ending::Http);
    }
    let mut arguments = Vec::new();
    for argument in request.arguments() {
        let Some(room) = QUOTED_BYTES_MAX
            .checked_sub(arguments.len())
            .filter(|&room| room > 0)
        else {
            break;
        };
        arguments.push(b'\'');
        arguments.extend_from_slice(c_string(argument, room));
        arguments.extend_from_slice(b"' ");
    }
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(c_string(request.name(), QUOTED_BYTES_MAX));
    text.extend_from_slice(b"', with args beginning with: ");
    text.extend_from_slice(&arguments);
    reply.error(text)
}

/// A web page can make a browser send requests here, headers and body as inline requests. Redis
/// closes such a connection at the first line that betrays it (`securityWarningCommand`), before
/// the body runs.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:")
}

/// The front of `bytes`: up to the first NUL, and at most `length` of them.
fn c_string(bytes: &[u8], length: usize) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(length)];
    bytes.split(|&byte| byte == 0).next().unwrap_or(bytes)
}

/// Redis's reply to a container that lacks the subcommand.
fn wrong_subcommand(_: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend_from_slice(c_string(
        request.argument(0).unwrap_or_default(),
        QUOTED_BYTES_MAX,
    ));
    text.extend_from_slice(b"'. Try ");
    text.extend_from_slice(&request.name().to_ascii_uppercase());
    text.extend_from_slice(b" HELP.");
    reply.error(text)
}

/// Redis's reply to a known command with too few or too many words.
#[cold]
fn wrong_number_of_arguments(full_name: &str, reply: Reply<'_>) -> Replied {
    reply.error(format!(
        "ERR wrong number of arguments for '{full_name}' command"
    ))
}

/// The argument at `index`, which the command's arity says is there.
fn argument<'a>(request: &Request<'a>, index: usize) -> &'a [u8] {
    request.argument(index).unwrap_or_default()
}

fn syntax_error(reply: Reply<'_>) -> Replied {
    reply.error("ERR syntax error")
}

/// Redis's words for too few or too many arguments where a subcommand itself counts them.
fn wrong_arguments(container: &str, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let mut text = b"ERR unknown subcommand or wrong number of arguments for '".to_vec();
    text.extend_from_slice(c_string(argument(request, 0), QUOTED_BYTES_MAX));
    text.extend_from_slice(format!("'. Try {container} HELP.").as_bytes());
    reply.error(text)
}

/// What a container's `HELP` answers: a line each.
fn help(lines: &[&str], reply: Reply<'_>) -> Replied {
    reply.array(lines.len(), |items| {
        for line in lines {
            items.add(|item| item.simple(line));
        }
    })
}

/// Whether `word` is `name`, in any case.
fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
