//! A poll that reports a socket as long as it is ready, and not only when it becomes ready: by
//! `epoll(7)`. For systems other than Linux, `no_epoll.rs` replaces it.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use mio::net::TcpListener;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};

/// Watches sockets for input. It has to be dropped with its sockets.
#[derive(Debug)]
pub(crate) struct LevelPoll {
    epoll: OwnedFd,
}

impl LevelPoll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
        })
    }

    /// Adds a socket, with its index.
    pub(crate) fn add(&mut self, index: usize, socket: impl AsFd) -> io::Result<()> {
        let index = EventData::new_u64(index as u64);
        Ok(epoll::add(&self.epoll, socket, index, EventFlags::IN)?)
    }

    /// Removes a socket.
    pub(crate) fn remove(&mut self, _index: usize, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    /// Waits for input or for `timeout`, and adds the indices of ready sockets to `ready`. If more
    /// than 16 are ready, it reports the others next time.
    pub(crate) fn wait(&self, timeout: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        let mut events = [const { MaybeUninit::<Event>::uninit() }; 16];
        // A timeout that is too long for the kernel is none.
        let timeout = Timespec::try_from(timeout).ok();
        match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok((events, _)) => {
                // It was a `usize`.
                ready.extend(events.iter().map(|event| event.data.u64() as usize));
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Accepts a connection. Also returns the address of its peer.
#[inline]
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(OwnedFd, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, peer) = acceptfrom_with(listener, flags)?;
    let peer = peer.ok_or(Errno::AFNOSUPPORT)?;
    Ok((socket, peer.try_into()?))
}
