//! Why clients are closed: every close has one reason, which the log tells and INFO counts.

use std::fmt;
use std::io;

use crate::resp::ProtocolError;
use crate::state::inbox::KillReason;

/// Why a client was closed.
#[derive(Debug)]
pub(crate) enum CloseReason {
    /// It has ended its sending side, and has everything that it was owed.
    PeerLeft,
    /// It asked for it by QUIT, or a command's handler did.
    Quit,
    /// It sent what is not RESP.
    Protocol(ProtocolError),
    /// It spoke HTTP. Only what is a request of HTTP has a response.
    Http { is_answered: bool },
    /// It had its time for something.
    Late(Deadline),
    /// The socket failed; a reset by the peer is the everyday case.
    Io(io::Error),
    /// The server drains.
    Drained,
    /// A handler panicked, or the hook for arrivals.
    Panicked,
    /// It was not let in.
    Refused(Refused),
    /// Others had it closed.
    Killed(KillReason),
    /// It did not read its replies, and more of them waited than may.
    OutputLimit,
    /// The program around the server did not let it in, and told it so in these words.
    RefusedByHook(String),
}

/// What a client had a time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// To send another byte: `timeout`.
    Idle,
    /// To send its first byte: `first-byte-timeout`.
    FirstByte,
    /// To send the rest of a request: `request-timeout`.
    Request,
    /// To take any of its pending output while it is write-blocked: `write-timeout`.
    Write,
    /// To take any of its pending output while its requests are still read:
    /// `pending-output-timeout`.
    PendingOutput,
    /// To end behind its farewell.
    LingeringClose,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are `maxclients` already.
    TooMany,
    /// There are `maxclients-per-address` from its address already.
    TooManyFromAddress,
    /// It comes from another machine, in `protected-mode`.
    Protected,
    /// There is no descriptor left for it.
    NoDescriptor,
}

impl CloseReason {
    /// Whether the peer may still be sending and is owed an orderly end.
    pub(crate) fn lingers(&self) -> bool {
        // To those who take nothing, nothing can be said.
        !matches!(
            self,
            Self::PeerLeft
                | Self::Io(_)
                | Self::Http { is_answered: false }
                | Self::Killed(_)
                | Self::OutputLimit
                | Self::Late(Deadline::Write | Deadline::PendingOutput | Deadline::LingeringClose)
        )
    }

    /// The last words to a peer that could take a reply for another, or wait for one in vain.
    pub(crate) fn error_line(&self) -> Option<&str> {
        match self {
            Self::Refused(refused) => Some(refused.text()),
            Self::Late(Deadline::FirstByte) => Some("ERR no request came in time"),
            Self::Late(Deadline::Request) => {
                Some("ERR the rest of the request did not come in time")
            }
            Self::RefusedByHook(words) => Some(words),
            _ => None,
        }
    }

    /// Its place in [`NAMES`].
    pub(crate) fn index(&self) -> usize {
        match self {
            // Who is late for that was closed for another reason before.
            Self::PeerLeft | Self::Late(Deadline::LingeringClose) => 0,
            Self::Io(_) => 1,
            Self::Quit => 2,
            Self::Protocol(ProtocolError::TooBigRequest) => 19,
            Self::Protocol(ProtocolError::Tls) => 22,
            Self::Protocol(_) => 3,
            Self::Http { .. } => 4,
            Self::Late(Deadline::Idle) => 5,
            Self::Late(Deadline::FirstByte) => 6,
            Self::Late(Deadline::Request) => 7,
            Self::Late(Deadline::Write) => 8,
            Self::Drained => 9,
            Self::Panicked => 10,
            Self::Refused(Refused::TooMany) => 11,
            Self::Refused(Refused::TooManyFromAddress) => 12,
            Self::Refused(Refused::Protected) => 13,
            Self::Refused(Refused::NoDescriptor) => 14,
            Self::Killed(KillReason::ClientKill) => 15,
            Self::Killed(KillReason::SlowReader) => 16,
            Self::Killed(KillReason::Evicted) => 17,
            Self::OutputLimit => 18,
            Self::RefusedByHook(_) => 20,
            Self::Late(Deadline::PendingOutput) => 21,
        }
    }

    /// As INFO names it.
    pub(crate) fn name(&self) -> &'static str {
        NAMES[self.index()]
    }
}

/// The reasons as INFO names them.
pub(crate) const NAMES: [&str; 23] = [
    "peer_left",
    "connection_failed",
    "quit",
    "protocol_error",
    "http",
    "timeout",
    "first_byte_timeout",
    "request_timeout",
    "write_timeout",
    "drained",
    "handler_panicked",
    "refused_maxclients",
    "refused_maxclients_per_address",
    "refused_protected_mode",
    "refused_no_descriptor",
    "killed",
    "slow_subscriber",
    "evicted",
    "output_limit",
    "query_buffer_limit",
    "refused_by_program",
    "pending_output_timeout",
    "tls",
];

impl Refused {
    /// What the peer is told, in Redis's words where it has some.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::TooMany => "ERR max number of clients reached",
            Self::TooManyFromAddress => "ERR max number of clients from this address reached",
            Self::NoDescriptor => "ERR max number of clients reached: no descriptor is left",
            Self::Protected => PROTECTED,
        }
    }
}

/// Redis's words (`src/networking.c`), with this server's names.
const PROTECTED: &str = "DENIED Redis is running in protected mode because protected mode is \
    enabled and no password is set for the default user. In this mode connections are only accepted \
    from the loopback interface. If you want to connect from external computers to Redis you may \
    adopt one of the following solutions: 1) Just disable protected mode sending the command \
    'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same \
    host the server is running, however MAKE SURE Redis is not publicly accessible from internet if \
    you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just \
    disable the protected mode by editing the Redis configuration file, and setting the protected \
    mode option to 'no', and then restarting the server. 3) If you started the server manually just \
    for testing, restart it with the '--protected-mode no' option. 4) Set up an authentication \
    password for the default user. NOTE: You only need to do one of the above things in order for \
    the server to start accepting connections from the outside.";

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Protocol(ProtocolError::Tls) => "it sent a TLS handshake",
            Self::Protocol(error) => return write!(f, "protocol error: {error}"),
            Self::Io(error) => return write!(f, "{error}"),
            Self::RefusedByHook(words) => return write!(f, "a hook refused it: {words}"),
            Self::PeerLeft => "the peer closed the connection",
            Self::Quit => "it asked to be closed",
            Self::Http { .. } => "it sent an HTTP request",
            Self::Late(Deadline::Idle) => "it was idle for longer than `timeout`",
            Self::Late(Deadline::FirstByte) => "it sent nothing within `first-byte-timeout`",
            Self::Late(Deadline::Request) => "a request was incomplete after `request-timeout`",
            Self::Late(Deadline::Write) => {
                "it was write-blocked and read none of its pending output within `write-timeout`"
            }
            Self::Late(Deadline::PendingOutput) => {
                "it read none of its pending output within `pending-output-timeout`"
            }
            Self::Late(Deadline::LingeringClose) => "it did not close after the server's FIN",
            Self::Drained => "the server drains",
            Self::Panicked => "a handler panicked",
            Self::Refused(Refused::TooMany) => "`maxclients` was reached",
            Self::Refused(Refused::TooManyFromAddress) => "`maxclients-per-address` was reached",
            Self::Refused(Refused::Protected) => {
                "it is on another machine, and `protected-mode` is on"
            }
            Self::Refused(Refused::NoDescriptor) => "no descriptor was free",
            Self::Killed(KillReason::ClientKill) => "CLIENT KILL",
            Self::Killed(KillReason::SlowReader) => "it did not read its messages",
            Self::Killed(KillReason::Evicted) => "`maxmemory-clients` was reached",
            Self::OutputLimit => "it did not read its replies (`client-output-buffer-limit`)",
        };
        f.write_str(text)
    }
}

impl From<KillReason> for CloseReason {
    fn from(kill_reason: KillReason) -> Self {
        Self::Killed(kill_reason)
    }
}

impl From<io::Error> for CloseReason {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ProtocolError> for CloseReason {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own() {
        let reasons = [
            CloseReason::PeerLeft,
            CloseReason::Io(io::Error::other("any")),
            CloseReason::Quit,
            CloseReason::Protocol(ProtocolError::UnbalancedQuotes),
            CloseReason::Http { is_answered: true },
            CloseReason::Late(Deadline::Idle),
            CloseReason::Late(Deadline::FirstByte),
            CloseReason::Late(Deadline::Request),
            CloseReason::Late(Deadline::Write),
            CloseReason::Drained,
            CloseReason::Panicked,
            CloseReason::Refused(Refused::TooMany),
            CloseReason::Refused(Refused::TooManyFromAddress),
            CloseReason::Refused(Refused::Protected),
            CloseReason::Refused(Refused::NoDescriptor),
            CloseReason::Killed(KillReason::ClientKill),
            CloseReason::Killed(KillReason::SlowReader),
            CloseReason::Killed(KillReason::Evicted),
            CloseReason::OutputLimit,
            CloseReason::Protocol(ProtocolError::TooBigRequest),
            CloseReason::RefusedByHook("ERR no".into()),
            CloseReason::Late(Deadline::PendingOutput),
            CloseReason::Protocol(ProtocolError::Tls),
        ];
        let indices: Vec<_> = reasons.iter().map(CloseReason::index).collect();
        assert_eq!(indices, (0..NAMES.len()).collect::<Vec<_>>());
    }
}
