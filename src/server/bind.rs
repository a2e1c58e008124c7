//! A server that listens and does not serve yet.

use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::advice::advice;
use super::certificates::{Certificates, Loaded};
use super::handle::ServerHandle;
use super::hooks::DisconnectReason;
use super::host::Host;
use super::inner::Inner;
use super::listen_set::ListenSet;
use crate::client::session::Session;
use crate::command::Commands;
use crate::config::Config;
use crate::error::StartError;
use crate::logging;
use crate::net::descriptors;
use crate::net::listen::{self, ListenSocket, Listener, QueueView};
use crate::pool::Pool;

/// A server that listens and does not serve yet. [`Server::serve`] and [`Server::spawn`] start it.
#[derive(Debug)]
pub struct Server {
    pub(crate) inner: Arc<Inner>,
    pub(super) listen_set: ListenSet,
    /// The sockets of the operations listener.
    pub(super) http_sockets: Vec<mio::net::TcpListener>,
}

impl Server {
    /// Listens on every address of `config.bind`, for TLS on those of `config.tls_bind`, and on
    /// `config.unixsocket`. Unless `config.http_port` is 0, listens on those of `config.http_bind`
    /// for the operations listener.
    ///
    /// Raises the process's limit on open files to what `config.maxclients` needs. If the system
    /// refuses, lowers `maxclients` and logs a warning.
    ///
    /// # Errors
    ///
    /// Returns a [`StartError`] if a value of `config` is invalid or the system refuses something.
    pub fn bind(config: Config, commands: Commands) -> Result<Self, StartError> {
        let count = sockets_max(&config);
        let listen = |config: &Config| {
            let listeners = listen::listen_all(config)?;
            Ok((listeners, listen::listen_for_http(config)?))
        };
        Self::new(config, commands, count, listen)
    }

    /// Checks `config` without listening: its values, whether the machine has the addresses,
    /// whether the Unix socket's file can be made and, with a `tls-port`, the certificates. Does
    /// not check whether another server listens there.
    ///
    /// Returns warnings about values that work, but probably not as intended: each says what to
    /// write instead. It does not know the commands: if [`Commands::on_auth`] checks logins, ignore
    /// that there is no password. Raises the process's limit on open files like [`Self::bind`], to
    /// see whether the system allows it.
    ///
    /// # Errors
    ///
    /// Returns the error that [`Self::bind`] would return. Files of certificates are required, also
    /// if the program would use `Server::with_tls`.
    pub fn check(config: &Config) -> Result<Vec<String>, StartError> {
        config
            .check()
            .map_err(|(key, reason)| StartError::Config { key, reason })?;
        listen::check_all(config)?;
        if config.tls_port != 0 {
            Loaded::of(config).map_err(|(key, reason)| StartError::Config { key, reason })?;
        }
        let clients_max = clients_max(config, sockets_max(config))?;
        Ok(advice(config, clients_max))
    }

    /// Creates a server from sockets that are listening: from systemd, from the previous process,
    /// or with special options. Each is a `TcpListener`, a `UnixListener`, or a [`Listener`] if
    /// there are several kinds. TCP sockets whose port is `config.tls_port` speak TLS; unless it is
    /// 0, there must be a socket for TLS. If another process has the sockets too, call
    /// [`Self::leave_backlog`]. Ignores `config.bind`, `config.port`, `config.tls_bind`,
    /// `config.unixsocket`, `config.tcp_backlog` and `config.reuse_port`. Makes the sockets, and
    /// clones of them, non-blocking.
    ///
    /// Opens no socket for the operations listener: see `Server::with_http_listener`.
    ///
    /// # Errors
    ///
    /// Returns a [`StartError`] if there is no socket, a value of `config` is invalid, or the
    /// system refuses something.
    pub fn from_listeners(
        listeners: impl IntoIterator<Item = impl Into<Listener>>,
        config: Config,
        commands: Commands,
    ) -> Result<Self, StartError> {
        let listeners: Vec<_> = listeners.into_iter().map(Into::into).collect();
        let count = listeners.len();
        let listen = |config: &Config| Ok((listen::adopt_all(listeners, config)?, Vec::new()));
        let server = Self::new(config, commands, count, listen)?;
        let given = &server.inner.shared.state.given_listeners;
        given.get_or_init(|| server.listen_set.descriptions());
        Ok(server)
    }

    /// Creates a server without sockets, which only serves clients in memory: it never starts.
    pub(crate) fn offline(config: Config, commands: Commands) -> Result<Self, StartError> {
        let server = Self::new(config, commands, 0, |_| Ok((Vec::new(), Vec::new())))?;
        server.inner.is_offline.store(true, Ordering::Relaxed);
        Ok(server)
    }

    fn new(
        mut config: Config,
        commands: Commands,
        listeners: usize,
        listen: impl FnOnce(&Config) -> Result<Sockets, StartError>,
    ) -> Result<Self, StartError> {
        config
            .check()
            .map_err(|(key, reason)| StartError::Config { key, reason })?;
        let clients_max = clients_max(&config, listeners)?;
        let (listeners, http_sockets) = listen(&config)?;
        if let Some(listener) = listeners.first() {
            descriptors::grow_table(listener, clients_max);
        }
        let queues: Vec<_> = listeners.iter().filter_map(QueueView::of).collect();
        let local_addrs: Vec<_> = queues.iter().map(QueueView::addr).collect();
        if config.requirepass.is_none() && !commands.has_on_auth {
            warn_about_wildcard_bind(&config, &local_addrs);
        }
        let has_tls = listeners.iter().any(ListenSocket::speaks_tls);
        let certificates = certificates(&config, has_tls)?;
        let (listen_set, acceptor_waker) = ListenSet::new(listeners).map_err(StartError::Poll)?;
        let slots = clients_max + descriptors::WORKER_REFUSALS_MAX;
        let pool = Pool::new(slots, num_cpus::get()).map_err(StartError::Poll)?;
        let maxclients_at_start = mem::replace(&mut config.maxclients, clients_max);
        let inner = Inner::new(
            pool,
            commands,
            config,
            queues,
            maxclients_at_start,
            certificates,
            acceptor_waker,
        );
        Ok(Self {
            inner,
            listen_set,
            http_sockets,
        })
    }

    /// Sets a hook that admits or refuses every client.
    ///
    /// If `hook` returns an error, the client is sent that error line, and is closed. The line
    /// begins with a code such as `ERR` or `DENIED`. `hook` can keep [state](Session::state) in the
    /// session; `RESET` drops it. Keep state that must survive `RESET` in a map by [`Session::id`].
    ///
    /// `hook` runs on a worker before the client's first request is read, and may block as a
    /// handler may. It does not run for clients that `maxclients` or `protected-mode` refuses. Only
    /// the first call of this method has an effect.
    #[must_use]
    pub fn on_connect(
        self,
        hook: impl Fn(&mut Session) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let hooks = &self.inner.shared.hooks;
        hooks.on_connect.get_or_init(|| Box::new(hook));
        self
    }

    /// Sets a hook that is called after the last reply to a client was sent, or cannot be sent any
    /// more: once for each client that was admitted.
    ///
    /// `hook` runs on a worker, and may block as a handler may. At the end of a drain, it runs on
    /// the draining thread, which waits for it. Only the first call of this method has an effect.
    #[must_use]
    pub fn on_disconnect(
        self,
        hook: impl Fn(&mut Session, &DisconnectReason<'_>) + Send + Sync + 'static,
    ) -> Self {
        let hooks = &self.inner.shared.hooks;
        hooks.on_disconnect.get_or_init(|| Box::new(hook));
        self
    }

    /// Names the server, so that two of them in one program can be distinguished: in the names of
    /// its threads, such as `cache-worker-3`, and at the beginning of its log lines, `cache: `.
    /// Linux shows 15 bytes of a thread's name, so there the name is cut: names should differ in
    /// their first two or three bytes.
    ///
    /// The log lines of [`Self::bind`] have no name yet. Only the first call of this method has an
    /// effect.
    #[must_use]
    pub fn with_name(self, name: &str) -> Self {
        self.inner.shared.state.set_name(name);
        self
    }

    /// Leaves connections that were not accepted before a drain to another process that has the
    /// same listening sockets: the service manager, or the next server. So no connect is refused or
    /// reset while servers follow one another. Without this, a drain accepts and serves them.
    #[must_use]
    pub fn leave_backlog(mut self) -> Self {
        self.listen_set.leaves_backlog = true;
        self
    }

    /// Sets the [`Host`], which CONFIG needs to rewrite the configuration file. Only the first call
    /// of this method has an effect.
    #[must_use]
    pub fn with_host(self, host: impl Host + 'static) -> Self {
        self.inner.host.get_or_init(|| Box::new(host));
        self
    }

    /// Sets the configuration of TLS: for a certificate that is in no file, or a check of clients
    /// of the program's own. It replaces what the `tls_*` keys of [`Config`] say about
    /// certificates, clients, versions and sessions, and they cannot change any more.
    ///
    /// TLS is spoken by the sockets with the port [`Config::tls_port`], and by [`Listener::Tls`].
    /// If there is none, the start fails. Needs the feature `tls`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(self, tls: Arc<rustls::ServerConfig>) -> Self {
        self.inner.shared.certificates.take_from_program(tls);
        self
    }

    /// Has the operations listener answer on this socket too: one from systemd, or with a port that
    /// the system chose. Set `Config::http_port` to its port, so that descriptors are reserved for
    /// its connections. Makes the socket, and clones of it, non-blocking. Needs the feature `http`.
    ///
    /// # Errors
    ///
    /// Returns a [`StartError`] if the system refuses something.
    #[cfg(feature = "http")]
    pub fn with_http_listener(
        mut self,
        listener: std::net::TcpListener,
    ) -> Result<Self, StartError> {
        let config = self.inner.shared.state.config.lock().clone();
        let socket = listen::adopt_for_http(listener, &config)?;
        self.http_sockets.push(socket);
        Ok(self)
    }

    /// Returns the addresses of the operations listener; empty if there is none.
    #[must_use]
    pub fn http_addrs(&self) -> Vec<SocketAddr> {
        let sockets = self.http_sockets.iter();
        sockets
            .filter_map(|socket| socket.local_addr().ok())
            .collect()
    }

    /// Returns the addresses of the TCP sockets that listen, the plain ones first, then those for
    /// TLS; empty if there are none. If `port` is 0, shows the port that the system chose.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.inner.local_addrs
    }

    /// Returns the number of workers to start: the configured number, or one per CPU.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.inner.shared.state.config.lock().worker_count()
    }

    /// Returns a handle to the server for other threads. Handlers get one from
    /// [`Session::server`].
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(&self.inner.shared.state))
    }
}

/// Returns the number of sockets that a server with `config` listens on, except for HTTP.
fn sockets_max(config: &Config) -> usize {
    let unix = usize::from(config.unixsocket.is_some());
    config.bind.len() + config.tls_addresses().len() + unix
}

/// Raises the limit on open files. Returns how many clients fit beside so many sockets.
fn clients_max(config: &Config, sockets: usize) -> Result<usize, StartError> {
    let others = sockets + descriptors::of_http(config.http_addresses().len());
    descriptors::make_room(config.maxclients, others).map_err(StartError::OpenFileLimit)
}

/// The sockets for clients, and those of the operations listener.
type Sockets = (Vec<ListenSocket>, Vec<mio::net::TcpListener>);

/// Loads the certificates if a socket needs them and a file is named. Otherwise, the program may
/// still set them; the start checks that.
fn certificates(config: &Config, has_tls: bool) -> Result<Certificates, StartError> {
    let certificates = Certificates::new(has_tls);
    let has_file = config.tls_cert_file.is_some() || config.tls_key_file.is_some();
    if has_file && has_tls {
        let loaded = Loaded::of(config);
        let loaded = loaded.map_err(|(key, reason)| StartError::Config { key, reason })?;
        // They are the first, so there is nothing to log.
        certificates.replace(loaded);
    }
    Ok(certificates)
}

/// Warns about a wildcard bind, for a server without a password.
fn warn_about_wildcard_bind(config: &Config, local_addrs: &[SocketAddr]) {
    let is_open = |addr: &SocketAddr| addr.ip().is_unspecified();
    if !local_addrs.iter().any(is_open) {
        return;
    }
    if config.protected_mode {
        logging::warn!(
            "listening on every address without a password: clients from other machines are \
             refused, because of `protected-mode` (set `requirepass`)"
        );
    } else {
        logging::warn!(
            "listening on every address without a password: every client may run every \
             command (set `requirepass`, or bind fewer addresses)"
        );
    }
}
