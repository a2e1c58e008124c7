//! Replies to requests that are not run.

use super::Command;
use crate::client::session::{Ending, Restrictions, Session};
use crate::resp::{Replied, Reply, Request, is_http_version};

/// The reason why a request is not run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal<'a> {
    Unknown,
    UnknownSubcommand,
    WrongNumberOfArguments(&'a Command),
    /// The client is not authenticated.
    NoPassword(&'a Command),
    /// The client is subscribed, in RESP2.
    Subscribed(&'a Command),
    /// The command is not allowed between MULTI and EXEC.
    InTransaction(&'a Command),
    /// The requests that are queued for EXEC would take more bytes than these.
    TransactionTooLong(&'a Command, usize),
}

impl<'a> Refusal<'a> {
    /// Returns the refusal for the first of these restrictions.
    pub(crate) fn by_restrictions(restrictions: Restrictions, command: &'a Command) -> Self {
        if restrictions.contains(Restrictions::PASSWORD) {
            Self::NoPassword(command)
        } else {
            Self::Subscribed(command)
        }
    }

    /// Returns the command that was not run, if the name is known.
    pub(crate) fn command(self) -> Option<&'a Command> {
        match self {
            Self::Unknown | Self::UnknownSubcommand => None,
            Self::WrongNumberOfArguments(command)
            | Self::NoPassword(command)
            | Self::Subscribed(command)
            | Self::InTransaction(command)
            | Self::TransactionTooLong(command, _) => Some(command),
        }
    }

    #[cold]
    pub(crate) fn reply(
        self,
        session: &mut Session,
        request: &Request<'_>,
        reply: Reply<'_>,
    ) -> Replied {
        match self {
            Self::Unknown => unknown(session, request, reply),
            Self::UnknownSubcommand => wrong_subcommand(session, request, reply),
            Self::WrongNumberOfArguments(command) => {
                wrong_number_of_arguments(command.full_name(), reply)
            }
            Self::NoPassword(_) => reply.error("NOAUTH Authentication required."),
            Self::Subscribed(command) => reply.error(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                 RESET are allowed in this context",
                command.full_name()
            )),
            Self::InTransaction(_) => reply.error("ERR Command not allowed inside a transaction"),
            Self::TransactionTooLong(_, bytes_max) => reply.error(format!(
                "ERR a transaction takes at most {bytes_max} bytes (client-query-buffer-limit)"
            )),
        }
    }
}

/// Maximum bytes that an unknown-command error quotes: of the name, and of all arguments together.
pub(crate) const QUOTED_BYTES_MAX: usize = 128;

/// Answers an unknown name as Redis does (`commandCheckExistence` in `src/server.c`): the name and
/// the first arguments, quoted, each cut at a NUL as by C's `printf`.
fn unknown(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    if is_http_request(request) {
        session.ending = Some(Ending::Http { is_answered: true });
        return reply.http_response();
    }
    // Redis recognizes HTTP by these names (`securityWarningCommand`). A web page can make a
    // browser send headers and body as inline requests; the close comes before the body.
    let name = c_string(request.name(), QUOTED_BYTES_MAX);
    if name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:") {
        session.ending = Some(Ending::Http { is_answered: false });
    }
    let mut arguments = Vec::new();
    for argument in request.arguments() {
        let room = QUOTED_BYTES_MAX.saturating_sub(arguments.len());
        if room == 0 {
            break;
        }
        arguments.push(b'\'');
        arguments.extend_from_slice(c_string(argument, room));
        arguments.extend_from_slice(b"' ");
    }
    let middle = b"', with args beginning with: ";
    reply.error([b"ERR unknown command '", name, middle, &arguments].concat())
}

/// Whether the line begins a request of HTTP. A program may have a command GET, so only lines with
/// an unknown name come here.
fn is_http_request(request: &Request<'_>) -> bool {
    request.word_count() == 3
        && request.is_inline()
        && request.argument(1).is_some_and(is_http_version)
}

/// Returns the start of `bytes`, up to the first NUL, and at most `length` of them.
pub(crate) fn c_string(bytes: &[u8], length: usize) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(length)];
    bytes.split(|&byte| byte == 0).next().unwrap_or(bytes)
}

/// Answers that the container lacks the subcommand.
pub(crate) fn wrong_subcommand(
    _: &mut Session,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> Replied {
    let subcommand = request.argument(0).unwrap_or_default();
    let subcommand = c_string(subcommand, QUOTED_BYTES_MAX);
    let container = request.name().to_ascii_uppercase();
    reply.error(
        [
            b"ERR unknown subcommand '",
            subcommand,
            b"'. Try ",
            &container,
            b" HELP.",
        ]
        .concat(),
    )
}

/// Answers that a known command got too few or too many arguments.
#[cold]
pub(crate) fn wrong_number_of_arguments(full_name: &str, reply: Reply<'_>) -> Replied {
    reply.error(format!(
        "ERR wrong number of arguments for '{full_name}' command"
    ))
}
