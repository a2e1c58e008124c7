//! A server that runs in the background of a program.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use super::bind::Server;
use super::drain::Drained;
use super::handle::ServerHandle;
use super::inner::Inner;
use super::start::Started;
use super::supervision::spawn;
use crate::error::StartError;

/// A server that runs on threads of its own, returned by [`Server::spawn`].
///
/// Dropping it drains the server, and waits for the drain: at most `drain-timeout-ms` and 100 ms.
/// Do not drop it in a handler or a hook: the drain would wait for that handler.
#[derive(Debug)]
pub struct Background {
    inner: Arc<Inner>,
    handle: ServerHandle,
    http_addrs: Vec<SocketAddr>,
    /// `None` after it was joined.
    thread: Option<JoinHandle<Drained>>,
}

impl Server {
    /// Serves clients on threads of its own until the returned [`Background`] is dropped: for
    /// tests, and for programs whose main thread has other work.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::net::TcpStream;
    ///
    /// use respool::{Commands, Config, Server};
    ///
    /// let config = Config { port: 0, ..Config::default() };
    /// let server = Server::bind(config, Commands::builtin())?.spawn()?;
    /// let mut client = TcpStream::connect(server.local_addrs()[0])?;
    /// client.write_all(b"PING\r\n")?;
    /// let mut reply = [0; 7];
    /// client.read_exact(&mut reply)?;
    /// assert_eq!(&reply, b"+PONG\r\n");
    /// assert_eq!(server.drain().aborted, 0);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`StartError::Thread`] if the system refuses a thread.
    pub fn spawn(self) -> Result<Background, StartError> {
        let inner = Arc::clone(&self.inner);
        let handle = self.handle();
        let http_addrs = self.http_addrs();
        let (sender, receiver) = mpsc::channel();
        // Before the other threads, so that none of them runs if the system refuses this one.
        let thread = spawn(&inner.shared.state, "drain", move || {
            let started = receiver.recv().ok();
            started.map_or_else(Drained::default, Started::wait)
        })?;
        let _ = sender.send(self.start()?);
        Ok(Background {
            inner,
            handle,
            http_addrs,
            thread: Some(thread),
        })
    }
}

impl Background {
    /// Returns the addresses of the TCP sockets: see [`Server::local_addrs`].
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.inner.local_addrs
    }

    /// Returns the addresses of the operations listener: see [`Server::http_addrs`].
    #[must_use]
    pub fn http_addrs(&self) -> &[SocketAddr] {
        &self.http_addrs
    }

    /// Returns a handle to the server, which other threads can clone.
    #[must_use]
    pub fn handle(&self) -> &ServerHandle {
        &self.handle
    }

    /// Waits until the server was drained by another thread or by the `SHUTDOWN` command.
    #[must_use = "`Drained` shows whether clients were aborted"]
    pub fn wait(mut self) -> Drained {
        self.join()
    }

    /// Drains the server, and waits for the end of the drain.
    #[must_use = "`Drained` shows whether clients were aborted"]
    pub fn drain(self) -> Drained {
        self.handle.drain();
        self.wait()
    }

    fn join(&mut self) -> Drained {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(drained)) => drained,
            Some(Err(_)) => Drained {
                failed: true,
                ..Drained::default()
            },
            // Joined by `wait`; this is the drop after it.
            None => Drained::default(),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.inner.shared.request_drain_in_haste();
        self.join();
    }
}
