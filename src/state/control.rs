//! The operations of the server that commands may call. The server implements it, so that no
//! command names the server.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::health::Health;
use crate::config::Config;
use crate::net::tcp_info::AcceptQueue;

/// The server, as commands see it. `Any` leads back to its type, for `ServerHandle`.
pub(crate) trait Control: Any + fmt::Debug + Send + Sync {
    /// Has the client in `slot` served, wherever it is, so that it looks at its inbox. If another
    /// client has the slot by now, that one is served for nothing.
    fn notify(&self, slot: usize);

    /// Makes sure that another worker watches the other clients, before this one takes long.
    fn hand_over(&self);

    /// Has the clock look at the next timeout of a deferred reply.
    fn wake_clock(&self);

    /// Reacts to a change of the pause: plans its end, and has the paused clients served if it is
    /// over.
    fn follow_pause(&self);

    /// Returns the name of the service manager that started the program, if there is one.
    fn supervisor(&self) -> Option<&'static str>;

    /// Returns the file of the configuration, if there is one.
    fn config_file(&self) -> Option<PathBuf>;

    fn snapshot(&self) -> PoolSnapshot;

    /// Returns the accept queues of the TCP sockets that listen for clients, by address.
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "only the operations listener shows them")
    )]
    fn accept_queues(&self) -> Vec<(SocketAddr, AcceptQueue)> {
        Vec::new()
    }

    /// Returns whether the server works. Waits up to 100 ms if it does not.
    fn health(&self) -> Health;

    /// Puts into force what `change` makes of the configuration: all of it or, on an error,
    /// nothing. If `certificates` is set, loads them again, and waits for the disk.
    fn change_config(
        self: Arc<Self>,
        certificates: bool,
        change: &mut dyn FnMut(&mut Config) -> Result<(), Unchanged>,
    ) -> Result<(), Unchanged>;

    /// Has the program write the configuration in force to its file.
    fn rewrite_config(self: Arc<Self>) -> Result<(), NotRewritten>;

    /// Starts the drain: as `ServerHandle::drain`, or without the delay if it is `in_haste`.
    fn drain(self: Arc<Self>, in_haste: bool);

    /// Returns the time after which the drain is over at the latest; `None` if there is none.
    fn drain_ends_in(&self) -> Option<Duration>;
}

/// The state of the pool, roughly: its parts are read one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PoolSnapshot {
    /// Clients in the queue.
    pub(crate) queued: usize,
    /// Workers that wait on the queue.
    pub(crate) followers: usize,
    /// Whether a worker watches the parked clients.
    pub(crate) has_leader: bool,
}

/// Why the configuration stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unchanged {
    /// The key with the error, if there is one.
    pub(crate) key: Option<&'static str>,
    /// In Redis's words where it has some.
    pub(crate) reason: Cow<'static, str>,
}

/// Why the configuration's file stays as it is.
#[derive(Debug)]
pub(crate) enum NotRewritten {
    /// There is no file, or the program writes none.
    NoFile,
    /// The program could not write it.
    Failed(Box<dyn Error + Send + Sync>),
}
