//! A server that is reached over one of the transports.

use std::net::SocketAddr;

use respool::{Commands, Config};
use respool_testing::certificates::{Authority, Folder};
use respool_testing::peer::Transport;
use respool_testing::tls::TlsClients;
use respool_testing::{Peer, Scratch, TestServer, config, free_port};

/// A transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    Unix,
    #[cfg_attr(not(feature = "tls"), expect(dead_code))]
    Tls,
}

/// A server, and a client that takes no part in the transcripts.
pub(crate) struct Stage {
    pub(crate) over: Over,
    pub(crate) other: Peer,
    server: TestServer,
    socket: Scratch,
    tls: SocketAddr,
    tls_clients: TlsClients,
    _certificates: Folder,
}

impl Over {
    pub(crate) const ALL: &[Self] = &[
        Self::Tcp,
        Self::Unix,
        #[cfg(feature = "tls")]
        Self::Tls,
    ];
}

impl Stage {
    pub(crate) fn new(over: Over, workers: usize) -> Self {
        let certificates = Authority::new("a CA").folder();
        let socket = Scratch::unused();
        let mut config = config(workers);
        let mut tls = SocketAddr::from(([127, 0, 0, 1], 0));
        match over {
            Over::Tcp => {}
            Over::Unix => {
                config.unixsocket = Some(socket.path().to_owned());
                config.port = free_port();
            }
            Over::Tls => {
                tls.set_port(free_port());
                with_tls(&mut config, tls.port(), &certificates);
            }
        }
        let server = TestServer::with(config, Commands::builtin());
        Self {
            over,
            other: server.connect(),
            server,
            socket,
            tls,
            tls_clients: TlsClients::anonymous(&certificates),
            _certificates: certificates,
        }
    }

    pub(crate) fn connect(&self) -> Peer<Box<dyn Transport>> {
        let socket: Box<dyn Transport> = match self.over {
            Over::Tcp => Box::new(self.server.connect().socket),
            Over::Unix => Box::new(Peer::connect_to_file(self.socket.path()).socket),
            Over::Tls => Box::new(self.tls_clients.connect(self.tls).socket),
        };
        Peer { socket }
    }
}

/// Makes the server listen for TLS, too. Clients need no certificate.
fn with_tls(config: &mut Config, port: u16, certificates: &Folder) {
    config.port = free_port();
    config.tls_port = port;
    config.tls_cert_file = Some(certificates.server_certificate());
    config.tls_key_file = Some(certificates.server_key());
    config.tls_auth_clients = respool::config::TlsAuthClients::No;
}
