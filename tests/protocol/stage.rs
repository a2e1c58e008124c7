//! A server that is reached over one of the transports.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use respool::{Commands, Config};
use respool_testing::certificates::{Authority, Folder};
use respool_testing::peer::Transport;
use respool_testing::tls::{TlsClients, TlsStream};
use respool_testing::{Peer, Scratch, TestServer, config, free_port};

/// A transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "tls"),
    expect(dead_code, reason = "two need the feature")
)]
pub(crate) enum Over {
    Tcp,
    Unix,
    Tls,
    /// Over TLS, with records that arrive in pieces.
    TlsInPieces,
}

/// A server, and a client that takes no part in the transcripts.
pub(crate) struct Stage {
    pub(crate) over: Over,
    pub(crate) other: Peer,
    server: TestServer,
    folder: Scratch,
    tls: SocketAddr,
    tls_clients: TlsClients,
    _certificates: Folder,
}

/// The name of the Unix socket in its folder.
const SOCKET: &str = "socket";

impl Over {
    pub(crate) const ALL: &[Self] = &[
        Self::Tcp,
        Self::Unix,
        #[cfg(feature = "tls")]
        Self::Tls,
        #[cfg(feature = "tls")]
        Self::TlsInPieces,
    ];

    /// Returns the numbers of workers to test with.
    pub(crate) fn workers(self) -> &'static [usize] {
        match self {
            Self::Tcp => &[1, 2],
            Self::TlsInPieces => &[1],
            Self::Unix | Self::Tls => &[2],
        }
    }
}

impl Stage {
    pub(crate) fn new(over: Over, workers: usize) -> Self {
        let certificates = Authority::new("a CA").folder();
        let folder = Scratch::for_sockets();
        let mut config = config(workers);
        let mut tls = SocketAddr::from(([127, 0, 0, 1], 0));
        match over {
            Over::Tcp => {}
            Over::Unix => {
                config.unixsocket = Some(folder.path().join(SOCKET));
                config.port = free_port();
            }
            Over::Tls | Over::TlsInPieces => {
                tls.set_port(free_port());
                with_tls(&mut config, tls.port(), &certificates);
            }
        }
        let server = TestServer::with(config, Commands::builtin());
        Self {
            over,
            other: server.connect(),
            server,
            folder,
            tls,
            tls_clients: TlsClients::anonymous(&certificates),
            _certificates: certificates,
        }
    }

    pub(crate) fn connect(&self) -> Peer<Box<dyn Transport>> {
        let socket: Box<dyn Transport> = match self.over {
            Over::Tcp => Box::new(self.server.connect().socket),
            Over::Unix => Box::new(Peer::connect_to_file(&self.folder.path().join(SOCKET)).socket),
            Over::Tls => Box::new(self.connect_securely(0)),
            Over::TlsInPieces => Box::new(self.connect_securely(SINGLE_BYTES)),
        };
        Peer { socket }
    }

    fn connect_securely(&self, single_bytes: usize) -> Records {
        Records {
            tls: self.tls_clients.connect(self.tls).socket,
            single_bytes,
        }
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

/// A TLS connection whose records are sent whole, or the first bytes of them one by one. After an
/// error of a write, what has arrived can still be read.
struct Records {
    tls: TlsStream,
    single_bytes: usize,
}

/// More than a record's header and a short request.
const SINGLE_BYTES: usize = 64;

impl Write for Records {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.tls.conn.writer().write(bytes)?;
        let mut records = Vec::new();
        while self.tls.conn.wants_write() {
            self.tls.conn.write_tls(&mut records)?;
        }
        let (first, rest) = records.split_at(records.len().min(self.single_bytes));
        for piece in first.chunks(1).chain([rest]) {
            self.tls.sock.write_all(piece)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Records {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.tls.read(bytes)
    }
}

impl Transport for Records {
    fn end_sending(&mut self) {
        self.tls.end_sending();
    }
}
