//! Opens listening sockets, and sets the options that their connections inherit.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mio::net::TcpListener;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::config::{BindAddress, Config};
use crate::error::StartError;
use crate::logging;
use crate::net::tcp_info::{self, AcceptQueue};
use crate::net::unix::{self, UnixSocket};

/// A socket that is listening, for [`Server::from_listeners`](crate::Server::from_listeners).
#[derive(Debug)]
#[non_exhaustive]
pub enum Listener {
    /// A TCP socket. It speaks TLS if its port is [`Config::tls_port`].
    Tcp(std::net::TcpListener),
    /// A TCP socket that speaks TLS, whatever its port. Needs the feature `tls`, and
    /// [`Config::tls_cert_file`] and [`Config::tls_key_file`], or
    /// [`Server::with_tls`](crate::Server::with_tls).
    #[cfg(feature = "tls")]
    Tls(std::net::TcpListener),
    /// A Unix socket. Its file is not removed when the server stops.
    Unix(UnixListener),
}

impl From<std::net::TcpListener> for Listener {
    fn from(listener: std::net::TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

/// A listening socket of a server.
#[derive(Debug)]
pub(crate) enum ListenSocket {
    /// Shared, so that another thread can look at its accept queue while it is open.
    Tcp(Arc<TcpListener>),
    /// As above, for TLS.
    Tls(Arc<TcpListener>),
    Unix(UnixSocket),
}

impl AsFd for ListenSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(tcp) | Self::Tls(tcp) => tcp.as_fd(),
            Self::Unix(unix) => unix.listener.as_fd(),
        }
    }
}

impl ListenSocket {
    /// Returns its address; `None` for a Unix socket.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) | Self::Tls(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Returns it as a field `listenerN` of INFO has it.
    pub(crate) fn description(&self) -> String {
        let name = match self {
            Self::Tcp(_) => "tcp",
            Self::Tls(_) => "tls",
            Self::Unix(unix) => return format!("name=unix,bind={}", unix.path),
        };
        let addr = self.local_addr();
        addr.map_or_else(String::new, |addr| {
            format!("name={name},bind={},port={}", addr.ip(), addr.port())
        })
    }

    pub(crate) fn speaks_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

/// The accept queue of a TCP socket that listens. Does not keep the socket open.
#[derive(Debug)]
pub(crate) struct QueueView {
    addr: SocketAddr,
    socket: Weak<TcpListener>,
}

impl QueueView {
    /// Returns a view of a TCP socket's queue; `None` for another socket.
    pub(crate) fn of(socket: &ListenSocket) -> Option<Self> {
        match socket {
            ListenSocket::Tcp(listener) | ListenSocket::Tls(listener) => Some(Self {
                addr: listener.local_addr().ok()?,
                socket: Arc::downgrade(listener),
            }),
            ListenSocket::Unix(_) => None,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the address and the queue; `None` after the socket was closed.
    pub(crate) fn get(&self) -> Option<(SocketAddr, AcceptQueue)> {
        let socket = self.socket.upgrade()?;
        Some((self.addr, tcp_info::accept_queue(&*socket)?))
    }
}

/// Listens on every address of `bind` and, for TLS, of `tls-bind`, and on the Unix socket.
pub(crate) fn listen_all(config: &Config) -> Result<Vec<ListenSocket>, StartError> {
    check_combination(config)?;
    let shares = config.reuse_port;
    let plain = listen_on(&config.bind, config.port, shares, config)?;
    let tls_addresses = config.tls_addresses();
    let tls = listen_on(&tls_addresses, config.tls_port, shares, config).map_err(of_tls)?;
    let plain = plain.into_iter().map(Arc::new).map(ListenSocket::Tcp);
    let tls = tls.into_iter().map(Arc::new).map(ListenSocket::Tls);
    let mut listeners: Vec<_> = plain.chain(tls).collect();
    if let Some(path) = &config.unixsocket {
        // At most 65,535, by the configuration.
        let backlog = config.tcp_backlog as i32;
        let socket = UnixSocket::listen(path, config.unixsocketperm, backlog)
            .map_err(|error| unix_error(path, error))?;
        listeners.push(ListenSocket::Unix(socket));
    }
    Ok(listeners)
}

/// Listens on every address of the operations listener, if `http-port` is set. Never shares the
/// port: a scraper of metrics would get the figures of one process now, of another next time.
pub(crate) fn listen_for_http(config: &Config) -> Result<Vec<TcpListener>, StartError> {
    let addresses = config.http_addresses();
    listen_on(addresses, config.http_port, false, config).map_err(of_http)
}

/// Checks that there is something to listen on, and that the keys fit together.
fn check_combination(config: &Config) -> Result<(), StartError> {
    let refused = |key, reason: &'static str| {
        let reason = reason.into();
        Err(StartError::Config { key, reason })
    };
    let (has_plain, has_tls) = (!config.bind.is_empty(), config.tls_port != 0);
    if !has_plain && !has_tls && config.unixsocket.is_none() {
        return Err(StartError::NoListener);
    }
    if has_plain && has_tls && config.port == config.tls_port {
        let reason = "must differ from `port`: the plain port and the one for TLS are two";
        return refused("tls-port", reason);
    }
    if has_plain && config.port == 0 && has_tls {
        let reason = "0 means any free port, not off as in redis.conf; for TLS only, write \
                      `bind = []`, and the addresses as `tls-bind`; for both, choose a port";
        return refused("port", reason);
    }
    if has_plain && config.port == 0 && config.unixsocket.is_some() {
        let reason = "0 means any free port, not off as in redis.conf; beside `unixsocket`, write \
                      `bind = []` for no TCP, or choose a port";
        return refused("port", reason);
    }
    check_http(config)?;
    if config.reuse_port && !cfg!(target_os = "linux") {
        // On other systems, the option has another name, or the connections are not spread.
        return refused("reuse-port", "needs Linux");
    }
    if let Some(path) = &config.unixsocket
        && config.unixsocketperm != 0
        && unix::is_abstract(path)
    {
        let reason = "a name in the abstract namespace has no permissions, so every user of the \
                      machine can connect; choose a path as `unixsocket`, or 0";
        return refused("unixsocketperm", reason);
    }
    Ok(())
}

/// Checks that the port of the operations listener is none of the others, and has an address.
fn check_http(config: &Config) -> Result<(), StartError> {
    let port = config.http_port;
    let refused = |key, reason: &'static str| {
        let reason = reason.into();
        Err(StartError::Config { key, reason })
    };
    if port == 0 {
        return Ok(());
    }
    if config.http_bind.is_empty() {
        return refused(
            "http-bind",
            "is empty: write an address, or `http-port = 0` for none",
        );
    }
    if !config.bind.is_empty() && port == config.port {
        return refused(
            "http-port",
            "must differ from `port`, which speaks Redis's protocol",
        );
    }
    if port == config.tls_port {
        return refused("http-port", "must differ from `tls-port`, which speaks TLS");
    }
    Ok(())
}

/// Returns the error about the addresses of the operations listener.
fn of_http(error: StartError) -> StartError {
    match error {
        StartError::Listen { address, error } => StartError::ListenHttp { address, error },
        other => of_key("http-bind", other),
    }
}

/// Returns the error about the addresses for TLS.
fn of_tls(error: StartError) -> StartError {
    match error {
        StartError::Listen { address, error } => StartError::ListenTls { address, error },
        other => of_key("tls-bind", other),
    }
}

/// Returns the error with the name of the key whose addresses this machine lacks.
fn of_key(key: &'static str, error: StartError) -> StartError {
    match error {
        StartError::NoAddressAvailable => StartError::Config {
            key,
            reason: "this machine has none of the addresses".into(),
        },
        other => other,
    }
}

fn unix_error(path: &Path, error: io::Error) -> StartError {
    let path = path.to_string_lossy().into_owned();
    StartError::ListenUnix { path, error }
}

/// Listens on these addresses. One with a leading `-` may be missing, but not all of them. If
/// `shares_port`, other processes may listen there too.
fn listen_on(
    addresses: &[BindAddress],
    mut port: u16,
    shares_port: bool,
    config: &Config,
) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::new();
    for bind in addresses {
        let address = SocketAddr::new(bind.address, port);
        match listen(address, shares_port, config) {
            Ok(listener) => {
                // With `port = 0`, the system chooses a port for the first address.
                port = listener.local_addr().map_or(port, |address| address.port());
                listeners.push(listener);
            }
            Err(error) if bind.optional && is_missing(&error, bind.address) => {
                logging::trace!("not listening on {address}: this machine lacks it");
            }
            Err(error) => return Err(StartError::Listen { address, error }),
        }
    }
    if listeners.is_empty() && !addresses.is_empty() {
        return Err(StartError::NoAddressAvailable);
    }
    Ok(listeners)
}

/// Checks that the machine has the addresses of `bind`, `tls-bind` and `http-bind`, and that the
/// Unix socket can be bound.
pub(crate) fn check_all(config: &Config) -> Result<(), StartError> {
    check_combination(config)?;
    check_addresses(&config.bind, config.port)?;
    check_addresses(&config.tls_addresses(), config.tls_port).map_err(of_tls)?;
    check_addresses(config.http_addresses(), config.http_port).map_err(of_http)?;
    match &config.unixsocket {
        Some(path) => unix::check(path).map_err(|error| unix_error(path, error)),
        None => Ok(()),
    }
}

/// Checks that the machine has these addresses. Uses any free port, because a server may be running
/// on the configured one.
fn check_addresses(addresses: &[BindAddress], port: u16) -> Result<(), StartError> {
    let mut any_found = addresses.is_empty();
    for bind in addresses {
        let any_port = SocketAddr::new(bind.address, 0);
        match open(any_port).and_then(|socket| socket.bind(&any_port.into())) {
            Ok(()) => any_found = true,
            Err(error) if bind.optional && is_missing(&error, bind.address) => {}
            Err(error) => {
                let address = SocketAddr::new(bind.address, port);
                return Err(StartError::Listen { address, error });
            }
        }
    }
    any_found
        .then_some(())
        .ok_or(StartError::NoAddressAvailable)
}

/// Takes over sockets that are listening.
pub(crate) fn adopt_all(
    listeners: Vec<Listener>,
    config: &Config,
) -> Result<Vec<ListenSocket>, StartError> {
    if listeners.is_empty() {
        return Err(StartError::NoListener);
    }
    let adopt = |listener| match listener {
        Listener::Tcp(listener) => {
            let socket = Arc::new(adopt_tcp(listener, config)?);
            let speaks_tls = socket
                .local_addr()
                .is_ok_and(|addr| config.speaks_tls(&addr));
            let kind = if speaks_tls {
                ListenSocket::Tls
            } else {
                ListenSocket::Tcp
            };
            Ok(kind(socket))
        }
        #[cfg(feature = "tls")]
        Listener::Tls(listener) => {
            let socket = adopt_tcp(listener, config).map(Arc::new);
            socket.map(ListenSocket::Tls)
        }
        Listener::Unix(listener) => {
            let path = unix::path_of(&listener).to_string();
            UnixSocket::adopt(listener)
                .map(ListenSocket::Unix)
                .map_err(|error| StartError::ListenUnix { path, error })
        }
    };
    let mut adopted: Vec<_> = listeners.into_iter().map(adopt).collect::<Result<_, _>>()?;
    if config.tls_port != 0 && !adopted.iter().any(ListenSocket::speaks_tls) {
        // Otherwise, all sockets would speak in plain text.
        let reason = "no socket that was given has this port; give one, or set `tls-port` to the \
                      port of one, or to 0 for no TLS";
        return Err(StartError::Config {
            key: "tls-port",
            reason: reason.into(),
        });
    }
    // Stable: plain sockets first, then those for TLS.
    adopted.sort_by_key(ListenSocket::speaks_tls);
    Ok(adopted)
}

/// Takes over a socket for the operations listener.
#[cfg(feature = "http")]
pub(crate) fn adopt_for_http(
    listener: std::net::TcpListener,
    config: &Config,
) -> Result<TcpListener, StartError> {
    adopt_tcp(listener, config).map_err(of_http)
}

fn adopt_tcp(listener: std::net::TcpListener, config: &Config) -> Result<TcpListener, StartError> {
    // Only for the error: a socket without an address fails in `prepare`.
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let address = listener.local_addr().unwrap_or(unknown);
    prepare(&listener, config)
        .map(|()| TcpListener::from_std(listener))
        .map_err(|error| StartError::Listen { address, error })
}

fn listen(address: SocketAddr, shares_port: bool, config: &Config) -> io::Result<TcpListener> {
    let socket = open(address)?;
    prepare(&socket, config)?;
    // At most 65,535, by the configuration.
    let backlog = config.tcp_backlog as i32;
    if shares_port {
        socket.set_reuse_port(true)?;
    }
    let listening = socket
        .bind(&address.into())
        .and_then(|()| socket.listen(backlog));
    match listening {
        Ok(()) => Ok(TcpListener::from_std(socket.into())),
        Err(error) if shares_port && error.kind() == ErrorKind::AddrInUse => {
            let reason = "the server there has no `reuse-port`, or another user runs it";
            Err(io::Error::new(ErrorKind::AddrInUse, reason))
        }
        Err(error) => Err(error),
    }
}

/// Opens a socket for an address.
fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // So that `::` and `0.0.0.0` can both be bound, in any order.
        socket.set_only_v6(true)?;
    }
    // Otherwise, closed connections in TIME_WAIT would block the port after a restart.
    socket.set_reuse_address(true)?;
    Ok(socket)
}

/// Sets the options of a listening socket.
fn prepare<'a>(socket: impl Into<SockRef<'a>>, config: &Config) -> io::Result<()> {
    let socket = socket.into();
    socket.set_nonblocking(true)?;
    // Accepted connections inherit both options, on Linux and on the BSDs.
    socket.set_tcp_nodelay(true)?;
    set_keepalive(socket, config.tcp_keepalive_s)
}

/// Makes the kernel probe connections that were silent for `keepalive_s` seconds; 0 means never. As
/// Redis's `anetKeepAlive`: three probes, at intervals of a third of that time.
pub(crate) fn set_keepalive<'a>(
    socket: impl Into<SockRef<'a>>,
    keepalive_s: u32,
) -> io::Result<()> {
    let socket = socket.into();
    if keepalive_s == 0 {
        return socket.set_keepalive(false);
    }
    let time = Duration::from_secs(keepalive_s.into());
    let interval = Duration::from_secs((keepalive_s / 3).max(1).into());
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(time)
            .with_interval(interval)
            .with_retries(3),
    )
}

/// Returns whether the machine lacks the address, or its whole family.
fn is_missing(error: &io::Error, address: IpAddr) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable
        // EAFNOSUPPORT has no stable kind. Without IPv6, opening a socket returns it.
        || (address.is_ipv6() && Socket::new(Domain::IPV6, Type::STREAM, None).is_err())
}
