//! The errors of starting and reconfiguring a server.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// An error that prevents a server from starting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A value of the configuration is invalid.
    #[error("`{key}`: {reason}")]
    Config {
        /// The directive.
        key: &'static str,
        /// The reason why its value is invalid.
        reason: Cow<'static, str>,
    },
    /// Listening on an address failed.
    #[error("cannot listen on {address}: {error}{}", advice(error, "port", "bind"))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        #[source]
        error: io::Error,
    },
    /// Listening on an address for TLS failed.
    #[error(
        "cannot listen on {address} for TLS: {error}{}",
        advice(error, "tls-port", "tls-bind")
    )]
    ListenTls {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        #[source]
        error: io::Error,
    },
    /// Listening on an address for the operations listener failed.
    #[error(
        "cannot listen on {address} for HTTP: {error}{}",
        advice(error, "http-port", "http-bind")
    )]
    ListenHttp {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        #[source]
        error: io::Error,
    },
    /// Listening on a Unix socket failed.
    #[error("cannot listen on {path}: {error}{}", advice_about_file(error))]
    ListenUnix {
        /// The path, or `@` and a name in the abstract namespace.
        path: String,
        /// The error of the system, or the reason why `path` cannot be used.
        #[source]
        error: io::Error,
    },
    /// No address of `bind` is on this machine. All of them are marked as optional.
    #[error("this machine has none of the addresses in `bind`")]
    NoAddressAvailable,
    /// The limit on open files leaves no room for a single client.
    #[error("the limit on open files is too low: {0}")]
    OpenFileLimit(#[source] io::Error),
    /// The configuration has no `bind`, `tls-port` and `unixsocket`, or
    /// [`Server::from_listeners`](crate::Server::from_listeners) was called without a socket.
    #[error("there is nothing to listen on: set `bind`, `tls-port` or `unixsocket`")]
    NoListener,
    /// The system refuses a poll instance.
    #[error("cannot set up polling: {0}")]
    Poll(#[source] io::Error),
    /// The system refuses a thread.
    #[error("cannot start a thread: {0}; fewer `workers` may help")]
    Thread(#[source] io::Error),
}

/// An error that prevents a running server from changing its configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// A value of the configuration is invalid.
    #[error("`{key}`: {reason}")]
    Config {
        /// The directive.
        key: &'static str,
        /// The reason why its value is invalid.
        reason: Cow<'static, str>,
    },
    /// The server is about to stop.
    #[error("the server drains")]
    Draining,
    /// The directive takes effect only when the server starts.
    #[error("`{0}` cannot change while the server runs; restart it")]
    NeedsRestart(&'static str),
    /// `maxclients` is higher than its value when the server started.
    #[error("`maxclients` cannot exceed {0} while the server runs; restart it")]
    MaxclientsTooHigh(usize),
    /// Another change has not ended yet: it waits for the disk with the files of the certificates.
    #[error("another change of the configuration has not ended yet")]
    Busy,
    /// The system refuses a thread.
    #[error("cannot start a thread: {0}; fewer `workers` may help")]
    Thread(#[source] io::Error),
}

/// Returns advice for the operator, to be appended to the system's error. `port` and `bind` are the
/// keys of the address.
fn advice(error: &io::Error, port: &str, bind: &str) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => {
            format!(" (another server uses it; stop that one, or choose another `{port}`)")
        }
        ErrorKind::AddrNotAvailable => format!(" (this machine lacks the address; see `{bind}`)"),
        ErrorKind::PermissionDenied => {
            format!(" (ports below 1024 need privileges; choose another `{port}`)")
        }
        _ => String::new(),
    }
}

/// Returns advice about a Unix socket, to be appended to the error.
fn advice_about_file(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => {
            " (another server uses it; stop that one, or choose another `unixsocket`)"
        }
        ErrorKind::AlreadyExists => " (move it away, or choose another `unixsocket`)",
        ErrorKind::NotFound => " (make its folder, or choose another `unixsocket`)",
        ErrorKind::PermissionDenied => {
            " (the server must be able to read and write its folder; choose another `unixsocket`)"
        }
        _ => "",
    }
}
