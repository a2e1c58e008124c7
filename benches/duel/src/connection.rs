//! A connection of the load: over TCP, over a Unix socket, or over TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use rustls::ClientConnection;
use socket2::{SockAddr, Socket, Type};

use crate::loads::Transport;
use crate::tls;

/// Where a server listens.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    addr: SockAddr,
    transport: Transport,
}

/// A connection. Without bytes to read or room to write, it fails with `WouldBlock`.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
}

impl Endpoint {
    pub(crate) fn tcp(addr: SocketAddr) -> Self {
        Self {
            addr: addr.into(),
            transport: Transport::Tcp,
        }
    }

    pub(crate) fn tls(addr: SocketAddr) -> Self {
        Self {
            addr: addr.into(),
            transport: Transport::Tls,
        }
    }

    pub(crate) fn unix(path: &Path) -> io::Result<Self> {
        Ok(Self {
            addr: SockAddr::unix(path)?,
            transport: Transport::Unix,
        })
    }

    /// Connects. Over TLS, the handshake has not begun.
    // On the loopback the kernel completes this without the server.
    pub(crate) fn connect(&self) -> io::Result<Connection> {
        let socket = Socket::new(self.addr.domain(), Type::STREAM, None)?;
        socket.connect(&self.addr)?;
        if self.transport != Transport::Unix {
            socket.set_tcp_nodelay(true)?;
        }
        let tls = (self.transport == Transport::Tls).then(|| tls::session().map(Box::new));
        let tls = tls.transpose()?;
        Ok(Connection { socket, tls })
    }

    /// Connects a socket that the caller has made.
    pub(crate) fn connect_socket(&self, socket: &Socket) -> io::Result<()> {
        socket.connect(&self.addr)
    }
}

impl Connection {
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Continues the TLS handshake. Returns whether it is complete, and all its bytes are sent.
    pub(crate) fn handshake(&mut self) -> io::Result<bool> {
        self.flush()?;
        while self.is_handshaking() {
            match self.receive() {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => self.flush()?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Receives and decrypts what has come. Returns 0 after the peer's FIN.
    fn receive(&mut self) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return Ok(0);
        };
        let count = tls.read_tls(&mut self.socket)?;
        tls.process_new_packets().map_err(io::Error::other)?;
        Ok(count)
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(tls) = &mut self.tls else {
                return self.socket.read(buffer);
            };
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            if self.receive()? == 0 {
                return Ok(0);
            }
        }
    }
}

impl Write for Connection {
    /// Writes bytes to the socket. Over TLS they are one record, and the socket has room for it: no
    /// load sends long pipelines over TLS.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write(bytes);
        };
        let count = tls.writer().write(bytes)?;
        self.flush()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        while tls.wants_write() {
            tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}
