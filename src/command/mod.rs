//! The table of commands: name → arity → handler.
//!
//! Nothing here names a socket. A handler sees the session, the request and the reply that it owes.

mod client;
mod config;
mod connection;
mod docs;
mod glob;
mod info;
mod introspection;
mod server;

use std::fmt;

use crate::resp::{Replied, Reply, Request};
use crate::session::{Ending, Session};
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

/// An entry of the table.
pub struct Command {
    /// Its own name, as it was registered.
    name: Box<[u8]>,
    /// As errors name it: in lower case, and a subcommand with its container, `client|id`.
    full_name: Box<str>,
    arity: Arity,
    blocks: bool,
    handler: Box<Handler>,
    /// Those of a container; of another command, none.
    subcommands: Commands,
    /// What is told of it and never looked at to run it.
    docs: Box<Docs>,
}

impl Command {
    /// Declares that the handler never waits: not for a lock that is held for long, not for a disk,
    /// not for another machine. The worker then runs it without first asking another worker to
    /// watch the other clients. A handler that waits all the same delays those clients by as long.
    pub fn never_blocks(&mut self) {
        self.blocks = false;
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
            .field("blocks", &self.blocks)
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
            blocks: true,
            handler: Box::new(handler),
            subcommands: Self::empty(),
            docs: Box::new(Docs::UNDOCUMENTED),
        })
    }

    /// Adds a command whose handler never blocks: most of respool's own are such.
    fn register_prompt(
        &mut self,
        name: &str,
        arity: Arity,
        handler: fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied,
    ) -> &mut Command {
        let command = self.register(name, arity, handler);
        command.never_blocks();
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
        handler: fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied,
    ) -> &mut Self {
        let container = self.register_prompt(name, arity, handler);
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

    /// Answers `request`. `before_blocking` is called first if the command's handler may block.
    #[inline]
    pub(crate) fn dispatch(
        &self,
        session: &mut Session,
        request: &Request<'_>,
        reply: Reply<'_>,
        before_blocking: impl FnOnce(),
    ) -> Replied {
        let Some(mut command) = self.find(request.name()) else {
            return unknown(session, request, reply);
        };
        if !command.subcommands.is_empty()
            && let Some(name) = request.argument(0)
        {
            match command.subcommands.find(name) {
                Some(subcommand) => command = subcommand,
                None => return wrong_subcommand(session, request, reply),
            }
        }
        if !command.arity.admits(request.word_count()) {
            return wrong_number_of_arguments(&command.full_name, reply);
        }
        if command.blocks {
            before_blocking();
        }
        (command.handler)(session, request, reply)
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

/// Bytes of a peer's words that an unknown-command error quotes: of the name, and of the arguments
/// in all.
const QUOTED_BYTES_MAX: usize = 128;

/// Redis's reply to a name that it does not know (`commandCheckExistence` in `src/server.c`): the
/// name and the first arguments, quoted, each cut at a NUL as C's `printf` does. The connection
/// stays open.
#[cold]
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
#[cold]
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
