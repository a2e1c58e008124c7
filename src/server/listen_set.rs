//! The listening sockets of the acceptor.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::logging;
use crate::net::listen::{self, ListenSocket};
use crate::net::peer::Peer;

/// The listening sockets, and the poll that watches them.
#[derive(Debug)]
pub(super) struct ListenSet {
    listeners: Vec<Listener>,
    poll: Poll,
    events: Events,
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
        let poll = Poll::new()?;
        let listeners: Vec<_> = listeners.into_iter().map(Listener::new).collect();
        for (index, listener) in listeners.iter().enumerate() {
            let descriptor = listener.descriptor();
            let mut source = SourceFd(&descriptor);
            poll.registry()
                .register(&mut source, Token(index), Interest::READABLE)?;
        }
        let waker = Waker::new(poll.registry(), Token(listeners.len()))?;
        let events = Events::with_capacity(listeners.len() + 1);
        let listen_set = Self {
            listeners,
            poll,
            events,
            leaves_backlog: false,
        };
        Ok((listen_set, waker))
    }

    /// Returns the number of sockets.
    pub(super) fn len(&self) -> usize {
        self.listeners.len()
    }

    /// Returns each socket as INFO shows it.
    pub(super) fn descriptions(&self) -> Vec<String> {
        let all = self.listeners.iter();
        all.map(|listener| listener.socket.description()).collect()
    }

    /// Waits for connections, for the waker, or for `timeout`. Does not say which: the caller tries
    /// every socket.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) {
        if let Err(error) = self.poll.poll(&mut self.events, timeout)
            && error.kind() != ErrorKind::Interrupted
        {
            logging::error!("cannot wait for connections: {error}");
        }
    }

    /// Accepts a connection from the socket at `index`.
    pub(super) fn accept(&self, index: usize) -> io::Result<NewConnection> {
        let listener = &self.listeners[index];
        match &listener.socket {
            ListenSocket::Tcp(tcp) | ListenSocket::Tls(tcp) => {
                let (socket, peer_addr) = tcp.accept()?;
                Ok(NewConnection {
                    local_addr: Some(listener.local_addr_of(&socket)),
                    socket: socket.into(),
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

    fn descriptor(&self) -> RawFd {
        match &self.socket {
            ListenSocket::Tcp(tcp) | ListenSocket::Tls(tcp) => tcp.as_raw_fd(),
            ListenSocket::Unix(unix) => unix.listener.as_raw_fd(),
        }
    }

    /// Returns the local address of a connection; all zeros if the peer has already left.
    fn local_addr_of(&self, socket: &TcpStream) -> Arc<SocketAddr> {
        self.addr.clone().unwrap_or_else(|| {
            let addr = socket.local_addr();
            Arc::new(addr.unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into()))
        })
    }
}
