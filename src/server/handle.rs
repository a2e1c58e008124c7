//! Controls a running server from any thread.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::inner::{Inner, Trigger};
use crate::client::session::Session;
use crate::config::Config;
use crate::error::ReconfigureError;
use crate::logging;
use crate::state::ServerState;
use crate::state::health::{Health, Unfit};

/// A handle to a server, for any thread. Clones refer to the same server.
///
/// A handle does not keep the server running, nor its commands in memory. So a handler may keep
/// one; it gets one from [`Session::server`]. After the end of the server, a handle shows the last
/// state.
#[derive(Clone)]
pub struct ServerHandle {
    state: Arc<ServerState>,
}

impl Session {
    /// Returns a handle to the server of the client, for handlers and hooks.
    ///
    /// ```
    /// # use respool::{Arity, Commands};
    /// let mut commands = Commands::builtin();
    /// commands.register("ONLINE", Arity::Exactly(1), |session, _, reply| {
    ///     reply.value(session.server().stats().clients)
    /// });
    /// ```
    #[must_use]
    pub fn server(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(self.server_state()))
    }
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
    pub(super) fn new(state: Arc<ServerState>) -> Self {
        Self { state }
    }

    pub(super) fn state(&self) -> &ServerState {
        &self.state
    }

    /// Returns the server; `None` after it has ended.
    fn inner(&self) -> Option<Arc<Inner>> {
        let control: Arc<dyn Any + Send + Sync> = self.state.control()?;
        control.downcast().ok()
    }

    /// Starts a drain, and returns at once.
    ///
    /// For `drain-delay-ms`, which is 0 by default, the server serves as before, but is not
    /// [ready](crate::Health::ready). A second call ends this delay. Then the server accepts no
    /// more connections, answers every request received whole, sends FIN to idle clients, waits up
    /// to 3 seconds for the FIN of each, and [`Server::serve`](crate::Server::serve) returns. This
    /// takes at most `drain-timeout-ms`, and 100 ms more if a handler does not return.
    ///
    /// The library handles no signals. With the crate `signal-hook`, a program drains on Ctrl-C and
    /// when a service manager stops it:
    ///
    /// ```no_run
    /// # #[cfg(feature = "cli")]
    /// # fn drain_on_signals(server: &respool::Server) -> std::io::Result<()> {
    /// use signal_hook::consts::{SIGINT, SIGTERM};
    /// use signal_hook::iterator::Signals;
    ///
    /// let handle = server.handle();
    /// let mut signals = Signals::new([SIGINT, SIGTERM])?;
    /// std::thread::spawn(move || {
    ///     signals.forever().next();
    ///     handle.drain();
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn drain(&self) {
        if let Some(inner) = self.inner() {
            inner.shared.request_drain();
        }
    }

    /// Returns the number of worker threads. Threads end after a turn when `workers` is lowered.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.inner().map_or(0, |inner| inner.threads.size())
    }

    /// Returns counts since the start of the server.
    ///
    /// Each worker has its own counters. So the numbers may be of slightly different times.
    #[must_use]
    pub fn stats(&self) -> ServerStats {
        let state = &self.state;
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
    /// 100 ms if it does not. After the server has ended, no part of it works.
    #[must_use]
    pub fn health(&self) -> Health {
        let gone = || Err(Unfit::new("the server has ended"));
        let gone = || Health {
            live: gone(),
            ready: gone(),
            workers: gone(),
        };
        let control = self.state.control();
        control.map_or_else(gone, |control| control.health())
    }

    /// Returns the current configuration.
    #[must_use]
    pub fn config(&self) -> Config {
        self.state.config.lock().clone()
    }

    /// Replaces the configuration of the running server, and logs each key that changes.
    ///
    /// The new configuration takes effect at once, including the number of workers. `tcp-keepalive`
    /// applies to new connections only. With TLS, loads the certificates again, also if their files
    /// have the same names. Undoes what clients have changed by `CONFIG SET`; [`Self::update`] does
    /// not.
    ///
    /// # Errors
    ///
    /// Returns a [`ReconfigureError`] if the configuration is invalid or cannot be applied now.
    /// Then nothing changes.
    pub fn reconfigure(&self, config: &Config) -> Result<(), ReconfigureError> {
        self.change(Trigger::Reconfigure, |current| current.clone_from(config))
    }

    /// Changes a part of the configuration of the running server, as [`Self::reconfigure`] does,
    /// and returns what `change` returns. Loads certificates only if one of their keys changes.
    ///
    /// `change` gets the current configuration. Other changes wait meanwhile, and fail after a
    /// second, so `change` must return soon, and must not change the configuration by a handle.
    ///
    /// ```
    /// # use respool::{Commands, Config, Server};
    /// # let config = Config { port: 0, ..Config::default() };
    /// # let server = Server::bind(config, Commands::builtin())?;
    /// # let handle = server.handle();
    /// handle.update(|config| config.timeout_s = 60)?;
    /// // The first error is that of the server, the second that of the value.
    /// handle.update(|config| config.set("maxclients", "500"))??;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a [`ReconfigureError`] if the configuration is invalid or cannot be applied now.
    /// Then nothing changes.
    pub fn update<T>(&self, change: impl FnOnce(&mut Config) -> T) -> Result<T, ReconfigureError> {
        self.change(Trigger::Update, change)
    }

    /// Changes the configuration, and logs each key that changes.
    fn change<T>(
        &self,
        trigger: Trigger,
        change: impl FnOnce(&mut Config) -> T,
    ) -> Result<T, ReconfigureError> {
        let inner = self.inner().ok_or(ReconfigureError::Draining)?;
        let _entered = logging::enter(self.state.name());
        let mut returned = None;
        let changes = inner.change(inner.maxclients_at_start, trigger, |config| {
            returned = Some(change(config));
            let checked = config.check();
            checked.map_err(|(key, reason)| ReconfigureError::Config { key, reason })
        })?;
        for change in changes {
            logging::info!("{change}");
        }
        // Invariant: there is no error, so `change` was called.
        Ok(returned.expect("the change was called"))
    }
}

/// Shows no input or output of clients: the log must not show them.
impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("clients", &self.state.client_count)
            .finish_non_exhaustive()
    }
}
