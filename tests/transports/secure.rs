//! A server with a port for TLS.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use respool_testing::certificates::{Authority, Folder};
use respool_testing::free_port;
use respool_testing::process::Respool;
use respool_testing::target::program;
use respool_testing::tls::TlsClients;

/// The program with a plain port and a port for TLS.
pub(crate) struct Secure {
    pub(crate) server: Respool,
    pub(crate) tls: SocketAddr,
    pub(crate) authority: Authority,
    pub(crate) files: Folder,
}

impl Secure {
    /// Starts the program with these flags. Clients need no certificate.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_for("no", flags)
    }

    /// As [`Self::start`], with this value of `tls-auth-clients`.
    pub(crate) fn start_for(clients: &str, flags: &[&str]) -> Self {
        let authority = Authority::new("a CA");
        let files = authority.folder();
        let tls = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut command = Command::new(program());
        command
            .args(flags)
            .args(["--port", &free_port().to_string()])
            .args(["--tls-port", &tls.port().to_string()])
            .args(["--tls-auth-clients", clients, "--tls-ca-cert-file"])
            .arg(files.ca())
            .arg("--tls-cert-file")
            .arg(files.server_certificate())
            .arg("--tls-key-file")
            .arg(files.server_key());
        let server = Respool::run_beside_others(&mut command);
        Self {
            server,
            tls,
            authority,
            files,
        }
    }

    /// Clients that do a whole handshake each time.
    pub(crate) fn clients(&self) -> TlsClients {
        TlsClients::anonymous(&self.files).without_resumption()
    }
}
