//! TLS as all servers speak it: 1.3, one cipher suite, one key exchange, a P-256 certificate.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
};

/// A certificate and its private key, as files.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    /// Writes a new self-signed certificate into a directory.
    pub(crate) fn write_into(directory: &Path) -> io::Result<Self> {
        let pair = rcgen::generate_simple_self_signed([NAME.to_owned()]);
        let pair = pair.map_err(io::Error::other)?;
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.join(name));
        fs::write(&cert, pair.cert.pem())?;
        fs::write(&key, pair.signing_key.serialize_pem())?;
        Ok(Self { cert, key })
    }
}

const NAME: &str = "localhost";

/// Returns a new session of a client. Its handshake is a full one.
pub(crate) fn session() -> io::Result<ClientConnection> {
    let name = ServerName::try_from(NAME).expect("it is a name");
    ClientConnection::new(CONFIG.clone(), name).map_err(io::Error::other)
}

static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let provider = CryptoProvider {
        // OpenSSL and rustls prefer this suite, so it is what most clients get.
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_256_GCM_SHA384],
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    };
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&TLS13])
        .expect("the suite is one of TLS 1.3");
    let mut config = config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unverified))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.into()
});

/// Accepts every certificate. To verify takes longer than the rest of a client's handshake, and
/// would make the load slower than the servers.
#[derive(Debug)]
struct Unverified;

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    /// Is for TLS 1.2 only.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    /// Returns the scheme of a P-256 key.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::thread;

    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;
    use crate::connection::Endpoint;
    use crate::pings::Ping;

    /// Starts a server that sends this reply for each PING.
    pub(crate) fn serve(reply: &'static [u8]) -> Endpoint {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let endpoint = Endpoint::tls(listener.local_addr().expect("it listens"));
        let config = server_config();
        thread::spawn(move || {
            for socket in listener.incoming() {
                let config = Arc::clone(&config);
                thread::spawn(move || answer(socket?, config, reply));
            }
        });
        endpoint
    }

    fn server_config() -> Arc<ServerConfig> {
        let directory = tempfile::tempdir().expect("there is room");
        let files = Certificate::write_into(directory.path()).expect("there is room");
        let cert = CertificateDer::from_pem_file(files.cert).expect("it is a certificate");
        let key = PrivateKeyDer::from_pem_file(files.key).expect("it is a key");
        let config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("they are the provider's")
            .with_no_client_auth()
            .with_single_cert(vec![cert], key);
        config.expect("they are a pair").into()
    }

    /// Answers until the client closes the connection.
    fn answer(socket: TcpStream, config: Arc<ServerConfig>, reply: &[u8]) -> io::Result<()> {
        let session = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, socket);
        let mut request = Ping::Array.exchanges().swap_remove(0).request;
        loop {
            stream.read_exact(&mut request)?;
            stream.write_all(reply)?;
        }
    }
}
