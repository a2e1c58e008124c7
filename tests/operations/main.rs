//! The operations listener: HTTP, bytes in and bytes out.

mod health;
mod hostile;
mod metrics;
mod requests;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use respool::{Commands, Config, Server};
use respool_testing::{TestServer, config, eventually};

/// A server with an operations listener.
struct Operated {
    server: TestServer,
    /// The address of the operations listener.
    http: SocketAddr,
}

impl Operated {
    fn start(workers: usize) -> Self {
        Self::with(config(workers), Commands::builtin())
    }

    fn with(config: Config, commands: Commands) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let server = Server::bind(config, commands).expect("the server starts");
        let server = server.with_http_listener(listener).expect("it listens");
        let http = server.http_addrs()[0];
        let server = TestServer::serve(server);
        // The operations listener answers before the acceptor runs.
        eventually("the server is ready", || {
            server.handle.health().ready.is_ok()
        });
        Self { server, http }
    }
}
