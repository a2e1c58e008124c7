//! The listening sockets of the acceptor.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::getsockname;

use crate::logging;
use crate::net::edge_poll::{Events, Poll, Token, Waker};
use crate::net::level_poll::{self, LevelPoll};
use crate::net::listen::{self, ListenSocket};
use crate::net::peer::Peer;

/// The listening sockets of the acceptor.
#[derive(Debug)]
pub(super) struct ListenSet {
    listeners: Vec<Listener>,
    /// Watches the listening sockets, and then the waker's poll.
    poll: LevelPoll,
    /// The indices of the sockets that are not watched now: see [`Self::set_aside`].
    aside: Vec<usize>,
    /// When they are watched again.
    aside_until: Instant,
    /// Watches only the waker.
    waker_poll: Poll,
    events: Events,
    /// The indices of the sockets with pending connections, as the last wait found them.
    pub(super) ready: Vec<usize>,
    /// Whether another process accepts what is in the backlogs after this server: see
    /// [`Server::leave_backlog`](crate::Server::leave_backlog).
    pub(super) leaves_backlog: bool,
}

#[derive(Debug)]
struct Listener {
    socket: ListenSocket,
    /// The local address that all its connections have; `None` for a Unix socket, and if the socket
    /// listens on all addresses.
    addr: Option<Arc<SocketAddr>>,
}

/// An accepted connection that is neither admitted nor refused yet.
pub(super) struct NewConnection {
    pub(super) socket: OwnedFd,
    pub(super) peer: Peer,
    /// `None` for a Unix socket.
    pub(super) local_addr: Option<Arc<SocketAddr>>,
    /// Whether a TLS handshake comes next.
    pub(super) speaks_tls: bool,
}

impl ListenSet {
    /// Watches `listeners`. Also returns a waker that ends [`Self::wait`].
    pub(super) fn new(listeners: Vec<ListenSocket>) -> io::Result<(Self, Waker)> {
        let waker_poll = Poll::new()?;
        let waker = Waker::new(waker_poll.registry(), Token(0))?;
        let listeners: Vec<_> = listeners.into_iter().map(Listener::new).collect();
        let mut poll = LevelPoll::new()?;
        for (index, listener) in listeners.iter().enumerate() {
            poll.add(index, &listener.socket)?;
        }
        poll.add(listeners.len(), waker_poll.registry())?;
        let listen_set = Self {
            listeners,
            poll,
            aside: Vec::new(),
            aside_until: Instant::now(),
            waker_poll,
            events: Events::with_capacity(1),
            ready: Vec::new(),
            leaves_backlog: false,
        };
        Ok((listen_set, waker))
    }

    /// Returns each socket as INFO shows it.
    pub(super) fn descriptions(&self) -> Vec<String> {
        let all = self.listeners.iter();
        all.map(|listener| listener.socket.description()).collect()
    }

    /// Waits for connections, for the waker, or for `timeout`. Then `ready` has the sockets with
    /// pending connections. After an error, the acceptor has to pause.
    ///
    /// A socket is ready as long as a connection is pending. If it were reported only when it
    /// becomes ready, as by `edge_poll`, only an `accept` that fails would show that none is
    /// pending, and the kernel makes a socket before it fails.
    pub(super) fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.ready.clear();
        let timeout = self.watch_again(timeout)?;
        self.poll.wait(timeout, &mut self.ready)?;
        let waker = self.listeners.len();
        if let Some(position) = self.ready.iter().position(|&index| index == waker) {
            self.ready.swap_remove(position);
            self.await_waker(Duration::ZERO);
        }
        Ok(())
    }

    /// Stops watching a socket for a pause. Accepting from it has failed, so it may stay ready.
    pub(super) fn set_aside(&mut self, index: usize, pause: Duration) -> io::Result<()> {
        self.poll.remove(index, &self.listeners[index].socket)?;
        if self.aside.is_empty() {
            self.aside_until = Instant::now() + pause;
        }
        self.aside.push(index);
        Ok(())
    }

    /// Makes the next wait watch the sockets again that were set aside.
    pub(super) fn end_pause(&mut self) {
        self.aside_until = Instant::now();
    }

    /// Watches the sockets again that were set aside, if their pause is over. Otherwise returns the
    /// rest of the pause, at most `timeout`.
    fn watch_again(&mut self, timeout: Duration) -> io::Result<Duration> {
        if self.aside.is_empty() {
            return Ok(timeout);
        }
        let rest = self.aside_until.saturating_duration_since(Instant::now());
        if !rest.is_zero() {
            return Ok(timeout.min(rest));
        }
        while let Some(&index) = self.aside.last() {
            self.poll.add(index, &self.listeners[index].socket)?;
            self.aside.pop();
        }
        Ok(timeout)
    }

    /// Waits for the waker only, or for `timeout`.
    pub(super) fn pause(&mut self, timeout: Duration) {
        self.ready.clear();
        self.await_waker(timeout);
    }

    fn await_waker(&mut self, timeout: Duration) {
        if let Err(error) = self.waker_poll.poll(&mut self.events, Some(timeout))
            && error.kind() != ErrorKind::Interrupted
        {
            logging::error!("cannot wait for the waker: {error}");
        }
    }

    /// Accepts a connection from the socket at `index`.
    pub(super) fn accept(&self, index: usize) -> io::Result<NewConnection> {
        let listener = &self.listeners[index];
        match &listener.socket {
            ListenSocket::Tcp(tcp) | ListenSocket::Tls(tcp) => {
                let (socket, peer_addr) = level_poll::accept(tcp)?;
                Ok(NewConnection {
                    local_addr: Some(listener.local_addr_of(&socket)),
                    socket,
                    peer: peer_addr.into(),
                    speaks_tls: listener.socket.speaks_tls(),
                })
            }
            ListenSocket::Unix(unix) => {
                let (socket, _) = unix.listener.accept()?;
                Ok(NewConnection {
                    local_addr: None,
                    socket: socket.into(),
                    peer: Peer::Unix(Arc::clone(&unix.path)),
                    speaks_tls: false,
                })
            }
        }
    }

    /// Sets `tcp-keepalive` for connections accepted from now on.
    pub(super) fn set_keepalive(&self, keepalive_s: u32) {
        for listener in &self.listeners {
            if let ListenSocket::Tcp(tcp) | ListenSocket::Tls(tcp) = &listener.socket
                && let Err(error) = listen::set_keepalive(&**tcp, keepalive_s)
            {
                logging::warn!("cannot set `tcp-keepalive` to {keepalive_s}: {error}");
            }
        }
    }

    /// Removes the files of Unix sockets, so that no more clients connect to them.
    pub(super) fn remove_files(&mut self) {
        for listener in &mut self.listeners {
            match &mut listener.socket {
                ListenSocket::Tcp(_) | ListenSocket::Tls(_) => {}
                ListenSocket::Unix(unix) => unix.remove_file(),
            }
        }
    }
}

impl Listener {
    fn new(socket: ListenSocket) -> Self {
        let addr = socket.local_addr();
        let addr = addr.filter(|addr| !addr.ip().is_unspecified());
        Self {
            socket,
            addr: addr.map(Arc::new),
        }
    }

    /// Returns the local address of a connection; all zeros if the peer has already left.
    fn local_addr_of(&self, socket: &OwnedFd) -> Arc<SocketAddr> {
        self.addr.clone().unwrap_or_else(|| {
            let addr = getsockname(socket).and_then(SocketAddr::try_from);
            Arc::new(addr.unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into()))
        })
    }
}
