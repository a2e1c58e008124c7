//! The table of commands: name → arity → handler.
//!
//! Nothing here names a socket. A handler sees the session, the request and the reply that it owes.

mod connection;

use std::fmt;

use crate::resp::{Replied, Reply, Request};
use crate::session::Session;

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
    name: Box<[u8]>,
    arity: Arity,
    blocks: bool,
    handler: Box<Handler>,
}

impl Command {
    /// Declares that the handler never waits: not for a lock that is held for long, not for a disk,
    /// not for another machine. The worker then runs it without first asking another worker to
    /// watch the other clients. A handler that waits all the same delays those clients by as long.
    pub fn never_blocks(&mut self) {
        self.blocks = false;
    }
}

impl Command {
    fn is_named(&self, name: &[u8]) -> bool {
        // Mostly the case is the same too, and that is found out in half the time.
        *self.name == *name || self.name.eq_ignore_ascii_case(name)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("name", &self.name.escape_ascii().to_string())
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
}

impl Commands {
    /// No command at all: every request is answered by the unknown-command error.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The commands of respool itself: PING, ECHO and QUIT.
    #[must_use]
    pub fn builtin() -> Self {
        let mut commands = Self::empty();
        commands
            .register("PING", Arity::AtLeast(1), connection::ping)
            .never_blocks();
        commands
            .register("ECHO", Arity::Exactly(2), connection::echo)
            .never_blocks();
        commands
            .register("QUIT", Arity::AtLeast(1), connection::quit)
            .never_blocks();
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
        let name = name.as_bytes();
        if self.by_length.len() <= name.len() {
            self.by_length.resize_with(name.len() + 1, Vec::new);
        }
        let commands = &mut self.by_length[name.len()];
        commands.retain(|command| !command.is_named(name));
        commands.push(Command {
            name: name.into(),
            arity,
            blocks: true,
            handler: Box::new(handler),
        });
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
        let Some(command) = self.find(request.name()) else {
            return unknown(session, request, reply);
        };
        if !command.arity.admits(request.word_count()) {
            return wrong_number_of_arguments(request, reply);
        }
        if command.blocks {
            before_blocking();
        }
        (command.handler)(session, request, reply)
    }

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
        session.close_silently();
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

/// Redis's reply to a known command with too few or too many words.
#[cold]
fn wrong_number_of_arguments(request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let name = request.name().to_ascii_lowercase();
    let name = name.escape_ascii();
    reply.error(format!(
        "ERR wrong number of arguments for '{name}' command"
    ))
}
