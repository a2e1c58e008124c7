//! Two servers with `docs/respool.toml` on one machine: each has an address of the loopback, in
//! place of a machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use respool_testing::process::Respool;
use respool_testing::target::program;
use respool_testing::{PATIENCE, Peer, Scratch, free_port};

use crate::proxy::recipe;

/// Two servers whose clients come by way of a balancer.
pub(crate) struct Fleet {
    pub(crate) servers: [Server; 2],
    /// Where the balancer listens.
    pub(crate) balancer: SocketAddr,
}

/// A server that can be restarted at the same address.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) http_port: u16,
    file: Scratch,
    flags: &'static [&'static str],
    /// `None` while it restarts.
    running: Option<Respool>,
}

impl Fleet {
    pub(crate) fn start() -> Self {
        Self::with_flags(&[])
    }

    pub(crate) fn with_flags(flags: &'static [&'static str]) -> Self {
        // As on two machines, both have the same ports.
        let [port, http_port] = [free_port(), free_port()];
        let server = |address: [u8; 4]| Server::start((address, port).into(), http_port, flags);
        Self {
            servers: [[127, 0, 0, 11], [127, 0, 0, 12]].map(server),
            balancer: (Ipv4Addr::LOCALHOST, free_port()).into(),
        }
    }
}

impl Server {
    fn start(addr: SocketAddr, http_port: u16, flags: &'static [&'static str]) -> Self {
        let here = [
            ("192.0.2.11", addr.ip().to_string()),
            ("port = 6379", format!("port = {}", addr.port())),
            ("port = 9121", format!("port = {http_port}")),
            ("192.0.2.10", Ipv4Addr::LOCALHOST.to_string()),
        ];
        let mut server = Self {
            addr,
            http_port,
            file: Scratch::file(&recipe("respool.toml", &here)),
            flags,
            running: None,
        };
        server.run();
        server
    }

    fn run(&mut self) {
        let mut command = Command::new(program());
        let [ip, port] = [self.addr.ip().to_string(), self.addr.port().to_string()];
        // As in the file: without these, the test would put its own.
        command
            .arg(self.file.path())
            .args(["--bind", &ip, "--port", &port])
            .args(self.flags);
        self.running = Some(Respool::run_beside_others(&mut command));
    }

    /// Ends the server by SIGTERM, and starts another at its address. Expects that the first has
    /// sent every reply.
    pub(crate) fn restart(&mut self) {
        let running = self.running.take().expect("it runs");
        running.signal("TERM");
        let log = running.ended(PATIENCE).without_complaint();
        assert!(log.contains("stopped: every reply was sent"), "{log}");
        self.run();
    }

    /// Ends the server at once, as a crash does, and starts another after `meanwhile`.
    pub(crate) fn crash(&mut self, meanwhile: impl FnOnce()) {
        // Dropping it kills the process.
        self.running = None;
        meanwhile();
        self.run();
    }

    /// Returns how many connections the server has had.
    pub(crate) fn connections(&self) -> u64 {
        // The balancer's connections come from 127.0.0.1 and begin with a header. This has none.
        let mut peer = Peer::connect_from(Ipv4Addr::new(127, 0, 0, 9), self.addr);
        peer.count("total_connections_received")
    }
}
