//! Where a server listens, and the files that it needs there.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tempfile::TempDir;

use crate::connection::Endpoint;
use crate::loads::Transport;
use crate::tls::Certificate;

/// Where a server listens. Its files are removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    /// Every server listens on plain TCP, too.
    pub(crate) port: u16,
    pub(crate) endpoint: Endpoint,
    /// What a server needs to listen at the endpoint, besides the port. All products that can do
    /// it have the same options.
    pub(crate) arguments: Vec<OsString>,
    _directory: Option<TempDir>,
}

impl Place {
    pub(crate) fn new(transport: Transport) -> io::Result<Self> {
        let addr = free_addr()?;
        let port = addr.port();
        match transport {
            Transport::Tcp => Ok(Self {
                port,
                endpoint: Endpoint::tcp(addr),
                arguments: Vec::new(),
                _directory: None,
            }),
            Transport::Unix => Self::unix(port),
            Transport::Tls => Self::tls(port),
        }
    }

    fn unix(port: u16) -> io::Result<Self> {
        let directory = TempDir::new()?;
        let path = directory.path().join("socket");
        Ok(Self {
            port,
            endpoint: Endpoint::unix(&path)?,
            arguments: vec!["--unixsocket".into(), path.into()],
            _directory: Some(directory),
        })
    }

    fn tls(port: u16) -> io::Result<Self> {
        let directory = TempDir::new()?;
        let Certificate { cert, key } = Certificate::write_into(directory.path())?;
        let addr = free_addr()?;
        let tls_port = addr.port().to_string();
        let arguments = [
            ("--tls-port", tls_port.into()),
            ("--tls-cert-file", cert.into()),
            ("--tls-key-file", key.into()),
            ("--tls-auth-clients", "no".into()),
        ];
        let arguments = arguments.map(|(option, value)| [option.into(), value]);
        Ok(Self {
            port,
            endpoint: Endpoint::tls(addr),
            arguments: arguments.concat(),
            _directory: Some(directory),
        })
    }
}

/// Returns a port that was free a moment ago. If another program takes it, the server cannot start.
pub(crate) fn free_addr() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn files_are_removed_with_the_place() {
        let place = Place::new(Transport::Tls).expect("it is made");
        let values = place.arguments.iter().skip(1).step_by(2);
        let [_, cert, key, _] = values.map(Path::new).collect::<Vec<_>>()[..] else {
            panic!("{place:?}");
        };
        assert!(cert.is_file() && key.is_file(), "{place:?}");
        let directory = cert.parent().expect("it is in a directory").to_owned();
        drop(place);
        assert!(!directory.exists());
    }
}
