//! Replaces `level_poll.rs` on systems without epoll, by `poll(2)`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use mio::net::TcpListener;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Watches sockets for input.
#[derive(Debug)]
pub(crate) struct LevelPoll {
    /// Indices, and duplicates of the sockets.
    sockets: Vec<(usize, OwnedFd)>,
}

impl LevelPoll {
    #[expect(clippy::unnecessary_wraps, reason = "with epoll, it may fail")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            sockets: Vec::new(),
        })
    }

    /// Adds a socket, with its index.
    pub(crate) fn add(&mut self, index: usize, socket: impl AsFd) -> io::Result<()> {
        let duplicate = socket.as_fd().try_clone_to_owned()?;
        self.sockets.push((index, duplicate));
        Ok(())
    }

    /// Removes a socket.
    #[expect(clippy::unnecessary_wraps, reason = "with epoll, it may fail")]
    pub(crate) fn remove(&mut self, index: usize, _socket: impl AsFd) -> io::Result<()> {
        self.sockets.retain(|(other, _)| *other != index);
        Ok(())
    }

    /// Waits for input or for `timeout`, and adds the indices of ready sockets to `ready`.
    pub(crate) fn wait(&self, timeout: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        let sockets = self.sockets.iter();
        let polled = sockets.map(|(_, socket)| PollFd::new(socket, PollFlags::IN));
        let mut polled: Vec<_> = polled.collect();
        // A timeout that is too long for the kernel is none.
        let timeout = Timespec::try_from(timeout).ok();
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {
                let both = polled.iter().zip(&self.sockets);
                let of_ready = both.filter(|(polled, _)| !polled.revents().is_empty());
                ready.extend(of_ready.map(|(_, (index, _))| *index));
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Accepts a connection. Also returns the address of its peer.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(OwnedFd, SocketAddr)> {
    let (socket, peer) = listener.accept()?;
    Ok((socket.into(), peer))
}
