//! Clients over TLS, by rustls.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};

use crate::Peer;
use crate::certificates::Folder;
use crate::peer::Transport;

/// A TLS connection of a client.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Clients with the same settings. Later ones resume the session of an earlier one, if the server
/// lets them.
#[derive(Clone)]
pub struct TlsClients(Arc<ClientConfig>);

impl TlsClients {
    /// Clients without a certificate that trust the CA of `files`.
    pub fn anonymous(files: &Folder) -> Self {
        Self::with_versions(files, rustls::DEFAULT_VERSIONS)
    }

    /// As [`Self::anonymous`], with these versions of TLS.
    pub fn with_versions(files: &Folder, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let config = builder(files, versions).with_no_client_auth();
        Self(Arc::new(config))
    }

    /// Clients with the client's certificate of `files`.
    pub fn with_certificate(files: &Folder) -> Self {
        let chain = vec![certificate(&files.client_certificate())];
        let key = PrivateKeyDer::from_pem_file(files.client_key()).expect("a key");
        let builder = builder(files, rustls::DEFAULT_VERSIONS);
        let config = builder.with_client_auth_cert(chain, key);
        Self(Arc::new(config.expect("a pair")))
    }

    /// These clients, without resumption.
    #[must_use]
    pub fn without_resumption(&self) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.resumption = rustls::client::Resumption::disabled();
        Self(Arc::new(config))
    }

    /// Connects to 127.0.0.1 and expects a handshake.
    #[track_caller]
    pub fn connect(&self, addr: SocketAddr) -> Peer<TlsStream> {
        self.try_connect(addr).expect("a handshake")
    }

    /// Connects and does the handshake.
    pub fn try_connect(&self, addr: SocketAddr) -> io::Result<Peer<TlsStream>> {
        let mut socket = self.over(Peer::connect(addr).socket);
        while socket.conn.is_handshaking() {
            socket.conn.complete_io(&mut socket.sock)?;
        }
        Ok(Peer { socket })
    }

    /// Returns a connection over `socket` whose handshake has not begun.
    pub fn over(&self, socket: TcpStream) -> TlsStream {
        let name = "127.0.0.1".try_into().expect("an address");
        let connection = ClientConnection::new(Arc::clone(&self.0), name);
        StreamOwned::new(connection.expect("the settings fit"), socket)
    }
}

impl Peer<TlsStream> {
    /// Returns the certificate that the server has shown.
    pub fn server_certificate(&self) -> Vec<u8> {
        let chain = self.socket.conn.peer_certificates();
        chain.expect("the handshake is over")[0].to_vec()
    }
}

impl Transport for TlsStream {
    /// Sends `close_notify` and then FIN.
    fn end_sending(&mut self) {
        self.conn.send_close_notify();
        while self.conn.wants_write() {
            self.conn.write_tls(&mut self.sock).expect("a socket");
        }
        self.sock.end_sending();
    }
}

fn builder(
    files: &Folder,
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&files.ca())).expect("a CA");
    // Named, because another crate may bring a second one.
    let provider = Arc::new(ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("ring has their ciphers")
        .with_root_certificates(roots)
}

fn certificate(file: &Path) -> CertificateDer<'static> {
    let text = fs::read_to_string(file).expect("there is a file");
    der(&text).into()
}

/// Returns the bytes of a certificate in PEM.
pub fn der(certificate: &str) -> Vec<u8> {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes());
    certificate.expect("a certificate").to_vec()
}
