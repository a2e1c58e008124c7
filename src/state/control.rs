//! What commands may have the server do. The server implements it, and is so named by no command.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Config;

/// The server, as commands see it.
pub(crate) trait Control: fmt::Debug + Send + Sync {
    /// Has the client at `slot` served once more, wherever it is, so that it sees its mail. If
    /// another client has the place by now, that one is served for nothing.
    fn notify(&self, slot: usize);

    /// Follows a change of the pause: ends it in time, and has those served who waited if it is
    /// over.
    fn follow_pause(&self);

    /// The file that the configuration came from, if there is one.
    fn config_file(&self) -> Option<PathBuf>;

    /// Returns what the pool is doing, for INFO.
    fn snapshot(&self) -> PoolSnapshot;

    /// Puts into force what `change` makes of the configuration: all of it or, on an error, nothing.
    /// `change` must not ask for the configuration itself, which nobody else can see meanwhile.
    fn change_config(
        self: Arc<Self>,
        change: &mut dyn FnMut(&mut Config) -> Result<(), Unchanged>,
    ) -> Result<(), Unchanged>;

    /// Has the program write what is in force into its file.
    fn rewrite_config(self: Arc<Self>) -> Result<(), NotRewritten>;

    /// Starts the drain: as `ServerHandle::drain`.
    fn drain(self: Arc<Self>);
}

/// The state of the pool, roughly: its parts are read one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PoolSnapshot {
    /// Clients that wait in the queue.
    pub(crate) queued: usize,
    /// Workers that wait on the queue.
    pub(crate) followers: usize,
    /// Whether a worker watches the parked clients.
    pub(crate) has_leader: bool,
}

/// Why the configuration stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unchanged {
    /// The key that is to blame, if one is.
    pub(crate) key: Option<&'static str>,
    /// In Redis's words where it has some.
    pub(crate) reason: Cow<'static, str>,
}

/// Why the configuration's file stays as it is.
#[derive(Debug)]
pub(crate) enum NotRewritten {
    /// There is no file, or no program to write one.
    NoFile,
    /// The program could not.
    Failed(Box<dyn Error + Send + Sync>),
}
