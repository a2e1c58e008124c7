//! Whether a server works: for a watchdog that restarts it, and a balancer that sends it clients.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// Whether a server works: see [`ServerHandle::health`](crate::ServerHandle::health).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether the threads run that nothing replaces: the acceptor and the clock. If not, only a
    /// restart helps. A handler that does not return changes nothing here.
    pub live: Result<(), Unfit>,
    /// Whether new clients are welcome: the server is live, a drain was not requested, and the
    /// workers make progress.
    pub ready: Result<(), Unfit>,
    /// Whether the workers make progress. They do not if each has been in one handler for
    /// `stuck-worker-ms`, or if clients have waited for as long and no worker has taken one.
    pub workers: Result<(), Unfit>,
}

/// Why a server does not work, as a text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit(Cow<'static, str>);

impl Unfit {
    pub(crate) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Unfit {}
