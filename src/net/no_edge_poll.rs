//! Replaces `edge_poll.rs` outside Linux, by mio.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use mio::Interest;
pub(crate) use mio::event::Event;
use mio::event::Source;
use mio::unix::SourceFd;
pub(crate) use mio::{Events, Poll, Registry, Token, Waker};

/// Adds a socket. If it is ready, that is its first event.
pub(crate) fn add(
    registry: &Registry,
    socket: impl AsFd,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    SourceFd(&socket.as_fd().as_raw_fd()).register(registry, token, interest)
}

/// Changes what a socket is watched for. If it is ready for that, there is an event.
pub(crate) fn change(
    registry: &Registry,
    socket: impl AsFd,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    SourceFd(&socket.as_fd().as_raw_fd()).reregister(registry, token, interest)
}
