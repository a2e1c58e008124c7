//! Replaces `level_poll.rs` on systems without epoll, by `poll(2)`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Watches sockets for input.
#[derive(Debug)]
pub(crate) struct LevelPoll {
    /// Duplicates.
    sockets: Vec<OwnedFd>,
}

impl LevelPoll {
    #[expect(clippy::unnecessary_wraps, reason = "with epoll, it may fail")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            sockets: Vec::new(),
        })
    }

    /// Adds a socket. Its index is the number of those before it.
    pub(crate) fn add(&mut self, socket: impl AsFd) -> io::Result<()> {
        self.sockets.push(socket.as_fd().try_clone_to_owned()?);
        Ok(())
    }

    /// Waits for input or for `timeout`, and adds the indices of ready sockets to `ready`.
    pub(crate) fn wait(&self, timeout: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        let polled = |socket| PollFd::new(socket, PollFlags::IN);
        let mut polled: Vec<_> = self.sockets.iter().map(polled).collect();
        // A timeout that is too long for the kernel is none.
        let timeout = Timespec::try_from(timeout).ok();
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {
                let is_ready = |index: &usize| !polled[*index].revents().is_empty();
                ready.extend((0..polled.len()).filter(is_ready));
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
