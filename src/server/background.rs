//! A server beside the rest of a program.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::bind::Server;
use super::drain::Drained;
use super::handle::ServerHandle;
use super::supervision::spawn;
use crate::error::StartError;

/// A server that serves on threads of its own. Dropping it drains the server and waits for that, up
/// to `drain-timeout-ms` and a tenth of a second. A handler or a hook must not be the one who does
/// it: the drain would wait for that handler.
#[derive(Debug)]
pub struct Background {
    handle: ServerHandle,
    local_addrs: Vec<SocketAddr>,
    /// `None` once it was waited for.
    thread: Option<JoinHandle<Drained>>,
}

impl Server {
    /// Serves on threads of its own until what this gives is dropped: for tests, and for programs
    /// whose main thread has something else to do. Clients are served once it returns.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::net::TcpStream;
    ///
    /// use respool::{Commands, Config, Server};
    ///
    /// let config = Config { port: 0, ..Config::default() };
    /// let server = Server::bind(config, Commands::builtin())?.spawn()?;
    /// let mut client = TcpStream::connect(server.local_addr())?;
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
    /// [`StartError::Thread`].
    pub fn spawn(self) -> Result<Background, StartError> {
        let handle = self.handle();
        let local_addrs = self.local_addrs().to_vec();
        let (tell, told) = mpsc::sync_channel(1);
        let thread = spawn("drain", move || match self.start() {
            Ok(started) => {
                let _ = tell.send(Ok(()));
                started.wait()
            }
            Err(error) => {
                let _ = tell.send(Err(error));
                Drained::default()
            }
        })?;
        // It says one or the other before it ends.
        if let Ok(Err(error)) = told.recv() {
            return Err(error);
        }
        Ok(Background {
            handle,
            local_addrs,
            thread: Some(thread),
        })
    }
}

impl Background {
    /// As [`Server::local_addr`].
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addrs[0]
    }

    /// As [`Server::local_addrs`].
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// A hold on the server for other threads.
    #[must_use]
    pub fn handle(&self) -> &ServerHandle {
        &self.handle
    }

    /// Waits until somebody else has drained the server: by [`Self::handle`], or by `SHUTDOWN`.
    #[must_use = "it says whether every client had what it was owed"]
    pub fn wait(mut self) -> Drained {
        self.join()
    }

    /// Drains the server, and waits for that; where somebody else drains it, only waits.
    #[must_use = "it says whether every client had what it was owed"]
    pub fn drain(mut self) -> Drained {
        self.stop()
    }

    fn stop(&mut self) -> Drained {
        self.handle.drain();
        self.join()
    }

    fn join(&mut self) -> Drained {
        let failed = Drained {
            failed: true,
            ..Drained::default()
        };
        let drained = self.thread.take().map(JoinHandle::join);
        drained.map_or_else(Drained::default, |drained| drained.unwrap_or(failed))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop();
        }
    }
}
