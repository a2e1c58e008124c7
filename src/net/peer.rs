//! The address of a client.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The address of a client.
///
/// Displayed as Redis shows it: `127.0.0.1:50000`, `[::1]:50000`, and for a client of a Unix socket
/// the path of the socket and port 0, `/run/respool.sock:0`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// The client of a TCP socket.
    Tcp(SocketAddr),
    /// The client of a Unix socket: the path of the socket that it connected to, or `@` and a name
    /// in the abstract namespace.
    Unix(Arc<str>),
    /// A client that connected to a proxy. The proxy sent its address in a PROXY header. In a box,
    /// so that it makes other clients no larger.
    Proxied(Box<Proxied>),
}

/// The addresses of a client that connected to a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proxied {
    /// The address of the client.
    pub client: SocketAddr,
    /// The address of the proxy.
    pub proxy: SocketAddr,
}

impl Peer {
    /// Returns the address and port of the client; `None` for a client of a Unix socket.
    #[must_use]
    pub fn addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(addr) => Some(*addr),
            Self::Proxied(addrs) => Some(addrs.client),
            Self::Unix(_) => None,
        }
    }

    /// Returns the IP address of the client; `None` for a client of a Unix socket. An IPv4 address
    /// inside IPv6 is returned as IPv4.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.addr().map(|addr| addr.ip().to_canonical())
    }

    /// Returns whether the client is on this machine: on the loopback interface, or a client of a
    /// Unix socket. The client of a proxy is if the proxy is, too: a loopback address that a remote
    /// proxy reports is on the proxy's machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let is_loopback = |addr: &SocketAddr| addr.ip().to_canonical().is_loopback();
        match self {
            Self::Tcp(addr) => is_loopback(addr),
            Self::Unix(_) => true,
            Self::Proxied(addrs) => is_loopback(&addrs.client) && is_loopback(&addrs.proxy),
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(addr: SocketAddr) -> Self {
        Self::Tcp(addr)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Proxied(addrs) => addrs.client.fmt(f),
            Self::Unix(path) => write!(f, "{path}:0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Otherwise 10,000 idle clients take more than the mark for them.
    #[test]
    fn peer_is_no_larger_than_an_address() {
        assert_eq!(size_of::<Peer>(), size_of::<SocketAddr>());
    }

    #[test]
    fn client_of_a_remote_proxy_is_never_local() {
        let proxied = |client: &str, proxy: &str| {
            Peer::Proxied(Box::new(Proxied {
                client: client.parse().expect("an address"),
                proxy: proxy.parse().expect("an address"),
            }))
        };
        let local = "[::ffff:127.0.0.1]:1000";
        let remote = "192.0.2.1:1000";
        assert!(proxied(local, local).is_local());
        assert!(!proxied(local, remote).is_local());
        assert!(!proxied(remote, local).is_local());
    }
}
