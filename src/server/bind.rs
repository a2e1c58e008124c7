//! A server that listens.

use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpListener;

use super::acceptor::ListenSet;
use super::handle::ServerHandle;
use super::hooks::DisconnectReason;
use super::host::Host;
use super::inner::Inner;
use crate::client::session::Session;
use crate::command::Commands;
use crate::config::Config;
use crate::error::StartError;
use crate::net::{descriptors, listen};
use crate::pool::Pool;

/// A server that listens and does not serve yet.
#[derive(Debug)]
pub struct Server {
    pub(super) inner: Arc<Inner>,
    pub(super) listen_set: ListenSet,
    local_addrs: Vec<SocketAddr>,
}

impl Server {
    /// Listens on every address of `config.bind`.
    ///
    /// Also raises the process's limit on open files to what `config.maxclients` needs; where that
    /// may not be, fewer clients are admitted and a warning is logged.
    ///
    /// # Errors
    ///
    /// A [`StartError`] says what the system refused.
    pub fn bind(config: Config, commands: Commands) -> Result<Self, StartError> {
        let count = config.bind.len();
        Self::with(config, commands, count, listen::listen_all)
    }

    /// Checks that a server could start with `config`, as far as that shows without listening: its
    /// values, and that the machine has the addresses. A port that is taken is not found.
    ///
    /// # Errors
    ///
    /// That with which [`Self::bind`] would fail.
    pub fn check(config: &Config) -> Result<(), StartError> {
        config
            .check()
            .map_err(|(key, reason)| StartError::Config { key, reason })?;
        listen::check_all(config)
    }

    /// As [`Self::bind`], on sockets that listen already: from systemd, from a process before this
    /// one, or with options of their own. `config.bind`, `config.port` and `config.tcp_backlog` are
    /// not looked at. The sockets, and clones of them, do not block from then on.
    ///
    /// # Errors
    ///
    /// A [`StartError`] says what the system refused.
    pub fn from_listeners(
        listeners: Vec<std::net::TcpListener>,
        config: Config,
        commands: Commands,
    ) -> Result<Self, StartError> {
        let count = listeners.len();
        let listen = |config: &Config| listen::adopt_all(listeners, config);
        Self::with(config, commands, count, listen)
    }

    fn with(
        mut config: Config,
        commands: Commands,
        listeners: usize,
        listen: impl FnOnce(&Config) -> Result<Vec<TcpListener>, StartError>,
    ) -> Result<Self, StartError> {
        config
            .check()
            .map_err(|(key, reason)| StartError::Config { key, reason })?;
        let clients_max =
            descriptors::make_room(config.maxclients, listeners).map_err(StartError::OpenFiles)?;
        let listeners = listen(&config)?;
        let local_addrs: Vec<_> = listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect();
        let port = local_addrs.first().map_or(config.port, SocketAddr::port);
        warn_about_wildcard_bind(&config, &local_addrs);
        let (listen_set, acceptor_waker) = ListenSet::new(listeners).map_err(StartError::Poll)?;
        let pool = Pool::new(clients_max + descriptors::REFUSED_MAX, num_cpus::get());
        let maxclients_at_start = config.maxclients;
        config.maxclients = clients_max;
        let pool = pool.map_err(StartError::Poll)?;
        let inner = Inner::new(
            pool,
            commands,
            config,
            port,
            maxclients_at_start,
            acceptor_waker,
        );
        Ok(Self {
            inner,
            listen_set,
            local_addrs,
        })
    }

    /// Has `hook` decide on every client that comes: `Err` turns it away, with that error line,
    /// which begins with a code such as `ERR` or `DENIED`. What the session is to remember of the
    /// client it can keep there, until the client says `RESET` (see [`Session::state`]): what must
    /// outlast that belongs in a map by [`Session::id`], or `RESET` is left out of the commands.
    ///
    /// It runs on a worker before the client's first request is read, and may block as a handler
    /// may. A client that `maxclients` or `protected-mode` refuses does not come this far. A second
    /// call changes nothing.
    #[must_use]
    pub fn on_connect(
        self,
        hook: impl Fn(&mut Session) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.inner
            .shared
            .hooks
            .arrive
            .get_or_init(|| Box::new(hook));
        self
    }

    /// Has `hook` called when a client has gone, once for each that was let in: it was sent all that
    /// it was owed, or cannot be.
    ///
    /// It runs on a worker, and may block as a handler may. At the end of a drain it runs on the
    /// thread that drains, which waits for it. A second call changes nothing.
    #[must_use]
    pub fn on_disconnect(
        self,
        hook: impl Fn(&mut Session, &DisconnectReason<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.inner
            .shared
            .hooks
            .depart
            .get_or_init(|| Box::new(hook));
        self
    }

    /// Gives the server the program around it, for what CONFIG can do only by that. The first one
    /// stays.
    #[must_use]
    pub fn with_host(self, host: impl Host + 'static) -> Self {
        self.inner.host.get_or_init(|| Box::new(host));
        self
    }

    /// The first address that is listened on, with the port that the system chose if it was to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addrs[0]
    }

    /// The addresses that are listened on, at least one, with the port that the system chose if it
    /// was to.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// How many workers there will be: the configured number, or one per CPU.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.inner.shared.state.config.lock().worker_count()
    }

    /// A hold on this server for other threads. Kept in a handler, it keeps the server in memory
    /// after its end.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle {
            inner: Arc::clone(&self.inner),
        }
    }
}

/// Who listens on every address of the machine may not have thought of everybody who can reach it.
fn warn_about_wildcard_bind(config: &Config, local_addrs: &[SocketAddr]) {
    let is_open = |addr: &SocketAddr| addr.ip().is_unspecified();
    if config.requirepass.is_some() || !local_addrs.iter().any(is_open) {
        return;
    }
    if config.protected_mode {
        log::warn!(
            "listening on every address without a password: clients from other machines are \
             refused, because of `protected-mode` (set `requirepass`)"
        );
    } else {
        log::warn!(
            "listening on every address without a password: every client may run every \
             command (set `requirepass`, or bind fewer addresses)"
        );
    }
}
