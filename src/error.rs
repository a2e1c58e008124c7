//! Why a server does not start, or does not change.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A value of the configuration is not one that it may have.
    #[error("`{key}`: {reason}")]
    Config {
        /// The directive.
        key: &'static str,
        /// What is wrong with its value.
        reason: Cow<'static, str>,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}{}", advice(error))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// Every address of `bind` may be missing, and is.
    #[error("this machine has none of the addresses in `bind`")]
    NoAddress,
    /// The limit on open files leaves no room for a single client.
    #[error("the limit on open files is too low: {0}")]
    OpenFiles(#[source] io::Error),
    /// There was none in what the server was given, and no address in `bind`.
    #[error("there is no address to listen on")]
    NoListener,
    /// The system refuses what waiting for events needs.
    #[error("cannot set up polling: {0}")]
    Poll(#[source] io::Error),
    /// The system refuses a thread.
    #[error("cannot start a thread: {0}; fewer `workers` may help")]
    Thread(#[source] io::Error),
}

/// Why a running server keeps its configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// A value is not one that the configuration may have.
    #[error("`{key}`: {reason}")]
    Config {
        /// The directive.
        key: &'static str,
        /// What is wrong with its value.
        reason: Cow<'static, str>,
    },
    /// It is about to stop.
    #[error("the server drains")]
    Draining,
    /// The directive takes effect at the start only.
    #[error("`{0}` cannot change while the server runs; restart it")]
    Fixed(&'static str),
    /// The directive is bounded by what it was at the start.
    #[error("`maxclients` cannot exceed {0} while the server runs; restart it")]
    MaxclientsBeyond(usize),
    /// The system refuses a thread.
    #[error("cannot start a thread: {0}; fewer `workers` may help")]
    Thread(#[source] io::Error),
}

/// What an operator can do about it, to stand behind the system's words.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => {
            " (another server uses it; stop that one, or choose another `port`)"
        }
        ErrorKind::AddrNotAvailable => " (this machine lacks the address; see `bind`)",
        ErrorKind::PermissionDenied => " (ports below 1024 need privileges; choose another `port`)",
        _ => "",
    }
}
