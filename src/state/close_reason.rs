//! Why clients are closed: every close has one reason, which the log shows and INFO counts.
//!
//! If another thread has a client closed, it leaves a [`KillReason`] in the inbox, which becomes
//! the reason. A program sees the reason as `DisconnectReason`.

use std::fmt;
use std::io;

use crate::resp::ProtocolError;
use crate::state::inbox::KillReason;

/// Why a client was closed.
#[derive(Debug)]
pub(crate) enum CloseReason {
    /// The peer sent FIN, and all output was sent.
    PeerLeft,
    /// The client sent QUIT, or a handler asked for the close.
    Quit,
    /// The peer did not send RESP.
    Protocol(ProtocolError),
    /// A request exceeded `client-query-buffer-limit`.
    TooBigRequest,
    Tls,
    /// The peer's address is in `proxy-protocol-from`, and it sent something else.
    NoProxyHeader,
    /// The peer sent something else than a TLS handshake to a port for TLS.
    #[cfg_attr(not(feature = "tls"), expect(dead_code))]
    NotTls,
    /// The TLS handshake failed, for this reason. No second variant with a `String`: each turn
    /// returns whether there is a reason, and that would take it more instructions.
    #[cfg_attr(not(feature = "tls"), expect(dead_code))]
    TlsFailed(io::Error),
    /// The peer sent something else than a valid record of TLS after its handshake.
    TlsRecord(io::Error),
    /// The peer spoke HTTP. Only a whole request line of HTTP is answered.
    Http {
        is_answered: bool,
    },
    /// The client missed a deadline.
    Late(Deadline),
    /// The socket failed; a reset by the peer is the common case.
    Io(io::Error),
    Drained,
    /// A handler panicked, or the program's `on_connect` hook.
    Panicked,
    /// The connection was not admitted.
    Refused(Refused),
    /// `CLIENT KILL`.
    Killed,
    /// The client did not read its messages.
    SlowReader,
    /// All clients together took too much memory, and this one the most.
    Evicted,
    /// The program closed the client, for this reason. No `String`: see `TlsFailed`.
    ByProgram(io::Error),
    /// The client did not read its replies, and they exceeded `client-output-buffer-limit`.
    OutputLimit,
    /// The rest of a reply could not be read: `Session::bulk_from`.
    ReplySource(io::Error),
    /// The program's `on_connect` hook refused the client with this error.
    RefusedByHook(String),
}

/// A step for which a client has limited time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// To send another byte: `timeout`.
    Idle,
    /// To send the PROXY header: `proxy-protocol-timeout`.
    ProxyHeader,
    /// To end the TLS handshake: `tls-handshake-timeout`.
    #[cfg_attr(not(feature = "tls"), expect(dead_code))]
    Handshake,
    /// To send its first byte: `first-byte-timeout`.
    FirstByte,
    /// To send the rest of a request: `request-timeout`.
    Request,
    /// To take pending output while it is write-blocked: `write-timeout`.
    Write,
    /// To take pending output while its requests are still read: `pending-output-timeout`.
    PendingOutput,
    /// To take the last output and to send FIN.
    LingeringClose,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are `maxclients` already.
    TooMany,
    /// There are `maxclients-per-address` from its address already.
    TooManyFromAddress,
    /// A remote client, in `protected-mode`.
    Protected,
    /// No descriptor is left.
    NoDescriptor,
}

/// Defines the table of reasons. A row has the reasons that it stands for, their name in INFO, and
/// their text in the log. The compiler refuses a reason without a row, and a name in two rows.
macro_rules! reasons {
    ($($reasons:pat => $name:ident: $text:literal;)+) => {
        #[expect(non_camel_case_types, reason = "the names in INFO")]
        #[derive(Debug, Clone, Copy)]
        enum Row {
            $($name),+
        }

        /// The names in INFO, in its order.
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),+];

        impl CloseReason {
            fn row(&self) -> (Row, &'static str) {
                match self {
                    $($reasons => (Row::$name, $text),)+
                }
            }
        }
    };
}

reasons! {
    // A client that misses the deadline of a lingering close was closed for another reason before.
    Self::PeerLeft | Self::Late(Deadline::LingeringClose) =>
        peer_left: "the peer closed the connection";
    Self::Io(_) => connection_failed: "the connection failed";
    Self::Quit => quit: "it asked to be closed";
    Self::Protocol(_) => protocol_error: "protocol error";
    Self::Http { .. } => http: "it sent an HTTP request";
    Self::Late(Deadline::Idle) => timeout: "it was idle for longer than `timeout`";
    Self::Late(Deadline::FirstByte) =>
        first_byte_timeout: "it sent nothing within `first-byte-timeout`";
    Self::Late(Deadline::Request) =>
        request_timeout: "a request was incomplete after `request-timeout`";
    Self::Late(Deadline::Write) =>
        write_timeout:
            "it was write-blocked and read none of its pending output within `write-timeout`";
    Self::Drained => drained: "the server drains";
    Self::Panicked => handler_panicked: "a handler panicked";
    Self::Refused(Refused::TooMany) => refused_maxclients: "`maxclients` was reached";
    Self::Refused(Refused::TooManyFromAddress) =>
        refused_maxclients_per_address: "`maxclients-per-address` was reached";
    Self::Refused(Refused::Protected) =>
        refused_protected_mode: "it is on another machine, and `protected-mode` is on";
    Self::Refused(Refused::NoDescriptor) => refused_no_descriptor: "no descriptor was free";
    Self::Killed => killed: "CLIENT KILL";
    Self::SlowReader => slow_subscriber: "it did not read its messages";
    Self::ByProgram(_) => by_program: "closed by the program";
    Self::Evicted => evicted: "`maxmemory-clients` was reached";
    Self::OutputLimit =>
        output_limit: "it did not read its replies (`client-output-buffer-limit`)";
    Self::TooBigRequest => query_buffer_limit: "a request exceeded `client-query-buffer-limit`";
    Self::RefusedByHook(_) => refused_by_program: "a hook refused it";
    Self::Late(Deadline::PendingOutput) =>
        pending_output_timeout:
            "it read none of its pending output within `pending-output-timeout`";
    Self::Tls => tls: "it sent a TLS handshake";
    Self::NoProxyHeader =>
        proxy_header: "it sent no valid PROXY header, which `proxy-protocol-from` requires";
    Self::Late(Deadline::ProxyHeader) =>
        proxy_header_timeout: "it sent no whole PROXY header within `proxy-protocol-timeout`";
    Self::NotTls => not_tls: "it did not speak TLS on the port for TLS";
    Self::TlsFailed(_) => tls_handshake_failed: "the TLS handshake failed";
    Self::Late(Deadline::Handshake) =>
        tls_handshake_timeout: "the TLS handshake did not end within `tls-handshake-timeout`";
    Self::TlsRecord(_) => tls_record: "TLS failed after the handshake";
    Self::ReplySource(_) => reply_source: "the rest of its reply could not be read";
}

impl CloseReason {
    /// Whether the connection ends with a lingering close. A peer that reads nothing gets none.
    pub(crate) fn lingers(&self) -> bool {
        !matches!(
            self,
            Self::PeerLeft
                | Self::Io(_)
                | Self::Http { is_answered: false }
                | Self::Killed
                | Self::SlowReader
                | Self::Evicted
                | Self::ByProgram(_)
                | Self::OutputLimit
                | Self::Late(Deadline::Write | Deadline::PendingOutput | Deadline::LingeringClose)
        )
    }

    /// Returns the error sent before closing, to a peer that may wait for a reply.
    pub(crate) fn error_line(&self) -> Option<&str> {
        match self {
            Self::Refused(refused) => Some(refused.text()),
            Self::NotTls => {
                Some("ERR this port speaks TLS: connect with TLS, for example redis-cli --tls")
            }
            Self::NoProxyHeader => Some("ERR a PROXY header is required from this address"),
            Self::Late(Deadline::ProxyHeader) => Some("ERR no PROXY header came in time"),
            Self::Late(Deadline::FirstByte) => Some("ERR no request came in time"),
            Self::Late(Deadline::Request) => {
                Some("ERR the rest of the request did not come in time")
            }
            Self::RefusedByHook(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the peer may have been sent an alert of TLS.
    pub(crate) fn has_alert(&self) -> bool {
        matches!(self, Self::TlsFailed(_))
    }

    /// Returns the index in [`NAMES`].
    pub(crate) fn index(&self) -> usize {
        self.row().0 as usize
    }

    /// Returns the name in INFO.
    pub(crate) fn name(&self) -> &'static str {
        NAMES[self.index()]
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().1)?;
        match self {
            Self::Protocol(error) => write!(f, ": {error}"),
            Self::Io(error)
            | Self::TlsFailed(error)
            | Self::TlsRecord(error)
            | Self::ReplySource(error) => {
                write!(f, ": {error}")
            }
            Self::RefusedByHook(error) => write!(f, ": {error}"),
            Self::ByProgram(reason) => match reason.to_string() {
                reason if reason.is_empty() => Ok(()),
                reason => write!(f, ": {reason}"),
            },
            _ => Ok(()),
        }
    }
}

impl From<io::Error> for CloseReason {
    fn from(error: io::Error) -> Self {
        // No system call has an error of this kind.
        if error.kind() == io::ErrorKind::InvalidData {
            Self::TlsRecord(error)
        } else {
            Self::Io(error)
        }
    }
}

impl From<KillReason> for CloseReason {
    fn from(reason: KillReason) -> Self {
        match reason {
            KillReason::ClientKill => Self::Killed,
            KillReason::SlowReader => Self::SlowReader,
            KillReason::Evicted => Self::Evicted,
            KillReason::Program(reason) => Self::ByProgram(io::Error::other(String::from(reason))),
        }
    }
}

impl From<ProtocolError> for CloseReason {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::TooBigRequest => Self::TooBigRequest,
            ProtocolError::Tls => Self::Tls,
            error => Self::Protocol(error),
        }
    }
}

impl Refused {
    /// Returns the error for the peer, in Redis's words where it has some.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::TooMany => "ERR max number of clients reached",
            Self::TooManyFromAddress => "ERR max number of clients from this address reached",
            Self::NoDescriptor => "ERR max number of clients reached: no descriptor is left",
            Self::Protected => PROTECTED,
        }
    }
}

/// Redis's words (`src/networking.c`).
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
