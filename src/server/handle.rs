//! Controls a running server from any thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::inner::{Inner, Trigger};
use crate::config::Config;
use crate::error::ReconfigureError;
use crate::state::control::Control;
use crate::state::health::Health;

/// A handle to a server, for any thread. Clones refer to the same server.
#[derive(Debug, Clone)]
pub struct ServerHandle {
    pub(super) inner: Arc<Inner>,
}

/// Counts since the start of a server. Those of `INFO` begin at the last `CONFIG RESETSTAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Clients that are connected at present.
    pub clients: usize,
    /// Connections accepted, including the refused ones.
    pub connections: u64,
    /// Connections refused by `maxclients`, `maxclients-per-address`, `protected-mode`, or because
    /// no file descriptor was free.
    pub refused: u64,
    /// Requests answered by a command's handler.
    pub requests: u64,
    /// Bytes received from clients.
    pub bytes_read: u64,
    /// Bytes of replies, without the errors for refused connections.
    pub bytes_sent: u64,
}

impl ServerHandle {
    /// Starts a drain, and returns at once.
    ///
    /// For `drain-delay-ms`, which is 0 by default, the server serves as before, but is not
    /// [ready](crate::Health::ready). A second call ends this delay. Then the server accepts no more
    /// connections, answers every request received whole, closes idle clients, and
    /// [`Server::serve`](crate::Server::serve) returns. This takes at most `drain-timeout-ms`, and
    /// 100 ms more if a handler does not return.
    pub fn drain(&self) {
        self.inner.shared.request_drain();
    }

    /// Returns the number of worker threads. Threads end after a turn when `workers` is lowered.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.inner.threads.size()
    }

    /// Returns counts since the start of the server.
    ///
    /// Each worker has its own counters. So the numbers may be of slightly different times.
    #[must_use]
    pub fn stats(&self) -> ServerStats {
        let state = &self.inner.shared.state;
        let work = state.stats.work_ever();
        ServerStats {
            clients: state.client_count.load(Ordering::Relaxed),
            connections: state.connections.ever(),
            refused: state.refused.ever(),
            requests: work.requests,
            bytes_read: work.bytes_read,
            bytes_sent: work.bytes_sent,
        }
    }

    /// Returns whether the server works: for a watchdog, or a load balancer's question. Waits up to
    /// 100 ms if it does not.
    #[must_use]
    pub fn health(&self) -> Health {
        self.inner.health()
    }

    /// Returns the current configuration.
    #[must_use]
    pub fn config(&self) -> Config {
        self.inner.shared.state.config.lock().clone()
    }

    /// Changes the configuration of the running server, and logs each key that changes.
    ///
    /// The new configuration takes effect at once, including the number of workers. `tcp-keepalive`
    /// applies to new connections only. With TLS, loads the certificates again, also if their files
    /// have the same names.
    ///
    /// # Errors
    ///
    /// Returns a [`ReconfigureError`] if the configuration is invalid or cannot be applied now.
    /// Then nothing changes.
    pub fn reconfigure(&self, config: &Config) -> Result<(), ReconfigureError> {
        config
            .check()
            .map_err(|(key, reason)| ReconfigureError::Config { key, reason })?;
        let changes = self.inner.change(
            self.inner.maxclients_at_start,
            Trigger::Reconfigure,
            |current| {
                current.clone_from(config);
                Ok::<_, ReconfigureError>(())
            },
        )?;
        for change in changes {
            log::info!("{change}");
        }
        Ok(())
    }
}
