//! A running server, from any thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::inner::Inner;
use crate::config::Config;
use crate::error::ReconfigureError;

/// A hold on a server from another thread. Clones hold the same server.
#[derive(Debug, Clone)]
pub struct ServerHandle {
    pub(super) inner: Arc<Inner>,
}

/// What a server has done since it started. `INFO` tells more, and counts from the last
/// `CONFIG RESETSTAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Clients that are connected now.
    pub clients: usize,
    /// Connections accepted, those included that were refused.
    pub connections: u64,
    /// Connections refused by `maxclients`, `maxclients-per-address`, `protected-mode`, or for want
    /// of a descriptor.
    pub refused: u64,
    /// Requests that were answered by a command's handler.
    pub requests: u64,
    /// Bytes of requests.
    pub bytes_read: u64,
    /// Bytes of replies, without what those are told who are turned away.
    pub bytes_sent: u64,
}

impl ServerHandle {
    /// Has the server drain: no more connections are accepted, every request received whole is
    /// answered, quiet clients are closed, and [`Server::serve`] returns, all within
    /// `drain-timeout-ms`, and a tenth of a second more where a handler does not return.
    ///
    /// Returns at once; calling it again changes nothing.
    pub fn drain(&self) {
        self.inner.shared.want_drain();
    }

    /// How many worker threads there are. After a change of `workers` it follows as turns end; a
    /// handler that blocks keeps its worker for as long.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.inner.threads.size()
    }

    /// What the server has done since it started, and is doing.
    ///
    /// The workers count for themselves and are not stopped: the numbers belong together only as
    /// far as nothing happens meanwhile.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = &self.inner.shared.state;
        let work = state.stats.work_ever();
        Stats {
            clients: state.client_count.load(Ordering::Relaxed),
            connections: state.connections.ever(),
            refused: state.refused.ever(),
            requests: work.requests,
            bytes_read: work.bytes_read,
            bytes_sent: work.bytes_sent,
        }
    }

    /// The configuration that is in force.
    #[must_use]
    pub fn config(&self) -> Config {
        self.inner.shared.state.config.lock().clone()
    }

    /// Gives the running server another configuration. It takes effect at once, the number of
    /// workers included; new settings of `tcp-keepalive` hold for new connections. A line of the log
    /// names each key that changes.
    ///
    /// # Errors
    ///
    /// A [`ReconfigureError`] says why the server keeps the configuration that it has, all of it.
    pub fn reconfigure(&self, config: &Config) -> Result<(), ReconfigureError> {
        config
            .check()
            .map_err(|(key, reason)| ReconfigureError::Config { key, reason })?;
        let maxclients_max = self.inner.maxclients_at_start;
        let changes = self.inner.change(maxclients_max, |current| {
            current.clone_from(config);
            Ok::<_, ReconfigureError>(())
        })?;
        for change in changes {
            log::info!("{change}");
        }
        Ok(())
    }
}
