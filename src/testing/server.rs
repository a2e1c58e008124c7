//! A server on a free port of the loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use super::client::TestClient;
use crate::command::Commands;
use crate::config::{BindAddress, Config};
use crate::error::StartError;
use crate::server::{Background, Drained, Server, ServerHandle};

/// Starts a server with `commands` on a free port of the loopback, with [`config`].
///
/// # Errors
///
/// Returns a [`StartError`] if the system refuses something.
pub fn serve(commands: Commands) -> Result<TestServer, StartError> {
    start(Server::bind(config(), commands)?)
}

/// Starts a server that has a hook, or another configuration than [`config`].
///
/// ```
/// use respool::testing;
/// use respool::{Commands, Config, Server};
///
/// let config = Config {
///     requirepass: Some("secret".into()),
///     ..testing::config()
/// };
/// let server = Server::bind(config, Commands::builtin())?
///     .on_connect(|session| session.peer().is_local().then_some(()).ok_or("DENIED".into()));
/// let server = testing::start(server)?;
/// let mut client = server.client()?;
/// assert_eq!(client.call(["AUTH", "secret"])?, "OK");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Returns [`StartError::Thread`] if the system refuses a thread.
pub fn start(server: Server) -> Result<TestServer, StartError> {
    let background = server.spawn()?;
    Ok(TestServer { background })
}

/// Returns the configuration for a test: the default one, but on a free port of 127.0.0.1 only,
/// with four workers on every machine, for at most 1,000 clients.
///
/// With a free port, [`Config::tls_port`] and [`Config::unixsocket`] are refused. To test TLS or a
/// Unix socket, give the server a socket of your own, by [`Server::from_listeners`].
#[must_use]
pub fn config() -> Config {
    Config {
        bind: vec![BindAddress {
            address: Ipv4Addr::LOCALHOST.into(),
            optional: false,
        }],
        port: 0,
        workers: 4,
        maxclients: 1000,
        ..Config::default()
    }
}

/// A server for a test, returned by [`serve`] and [`start`].
///
/// Dropping it drains the server as dropping a [`Background`] does. Drop the clients before: those
/// that are still connected delay it by up to a second.
#[derive(Debug)]
pub struct TestServer {
    background: Background,
}

impl TestServer {
    /// Connects a client.
    ///
    /// # Errors
    ///
    /// Returns the error of the system.
    ///
    /// # Panics
    ///
    /// Panics if the server has no TCP socket.
    pub fn client(&self) -> io::Result<TestClient> {
        TestClient::connect(self.addr())
    }

    /// Returns the address of the first TCP socket.
    ///
    /// # Panics
    ///
    /// Panics if the server has no TCP socket.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.background.local_addrs()[0]
    }

    /// Returns a handle to the server.
    #[must_use]
    pub fn handle(&self) -> &ServerHandle {
        self.background.handle()
    }

    /// Drains the server, and waits for the end of the drain.
    #[must_use = "`Drained` shows whether clients were aborted"]
    pub fn drain(self) -> Drained {
        self.background.drain()
    }
}
