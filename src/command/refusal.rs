//! Requests that are not run, and what their clients are told.

use super::Command;
use crate::client::session::{Ending, Session, restriction};
use crate::resp::{Replied, Reply, Request, is_http_version};

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
    /// Returns the refusal for one of these restrictions.
    pub(crate) fn by_restrictions(restrictions: u8, command: &'a Command) -> Self {
        if restrictions & restriction::PASSWORD != 0 {
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
        }
    }
}

/// Bytes of a peer's words that an unknown-command error quotes: of the name, and of the arguments
/// in all.
pub(crate) const QUOTED_BYTES_MAX: usize = 128;

/// Redis's reply to a name that it does not know (`commandCheckExistence` in `src/server.c`): the
/// name and the first arguments, quoted, each cut at a NUL as C's `printf` does. The connection
/// stays open.
fn unknown(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    if is_http_request(request) {
        session.close_by(Ending::Http { is_answered: true });
        return reply.http_response();
    }
    if is_http(c_string(request.name(), QUOTED_BYTES_MAX)) {
        session.close_by(Ending::Http { is_answered: false });
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

/// Whether the line is one by which a request of HTTP begins. The name is no command's: a program
/// may well have a GET.
fn is_http_request(request: &Request<'_>) -> bool {
    request.word_count() == 3
        && request.is_inline()
        && request.argument(1).is_some_and(is_http_version)
}

/// A web page can make a browser send requests here, headers and body as inline requests. Redis
/// closes such a connection at the first line that betrays it (`securityWarningCommand`), before
/// the body runs.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:")
}

/// The front of `bytes`: up to the first NUL, and at most `length` of them.
pub(crate) fn c_string(bytes: &[u8], length: usize) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(length)];
    bytes.split(|&byte| byte == 0).next().unwrap_or(bytes)
}

/// Redis's reply to a container that lacks the subcommand.
pub(crate) fn wrong_subcommand(
    _: &mut Session,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> Replied {
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
pub(crate) fn wrong_number_of_arguments(full_name: &str, reply: Reply<'_>) -> Replied {
    reply.error(format!(
        "ERR wrong number of arguments for '{full_name}' command"
    ))
}
