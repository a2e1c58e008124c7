//! The limit on open files. Every client needs a descriptor.

use std::io;
use std::os::fd::{AsFd, RawFd};

use crate::logging;
use rlimit::Resource;
use rustix::io::fcntl_dupfd_cloexec;

/// Descriptors for other purposes: polls and wakers, standard streams, log, signals.
const OTHERS: usize = 16;

/// Maximum refused connections that workers close at the same time, each in a slot of the pool.
pub(crate) const WORKER_REFUSALS_MAX: usize = 16;

/// Descriptors that the acceptor keeps for connections that it refuses by itself.
pub(crate) const ACCEPTOR_REFUSALS_MAX: usize = 16;

/// Connections of the operations listener at a time. They are apart from `maxclients`.
pub(crate) const HTTP_CONNECTIONS_MAX: usize = 64;

/// Returns the descriptors of an operations listener with so many sockets: its poll, its waker, its
/// connections, and a file of the system that it reads.
pub(crate) fn of_http(sockets: usize) -> usize {
    match sockets {
        0 => 0,
        sockets => sockets + HTTP_CONNECTIONS_MAX + 3,
    }
}

/// Raises the limit to what `maxclients` clients need, like `adjustOpenFilesLimit` of Redis.
/// Returns how many clients fit, at most `maxclients`, and logs a warning if not all do.
pub(crate) fn make_room(maxclients: usize, listeners: usize) -> io::Result<usize> {
    let reserved = (listeners + OTHERS + WORKER_REFUSALS_MAX + ACCEPTOR_REFUSALS_MAX) as u64;
    let wanted = maxclients as u64 + reserved;
    let limit = raise(wanted)?;
    if limit >= wanted {
        return Ok(maxclients);
    }
    // Less than `maxclients`, so it fits in a `usize`.
    let room = limit.saturating_sub(reserved) as usize;
    if room == 0 {
        return Err(io::Error::other(format!(
            "only {limit} files may be open at once, and {} is the least that this needs",
            reserved + 1
        )));
    }
    logging::warn!(
        "`maxclients` lowered from {maxclients} to {room}: only {limit} files may be open at once \
         (raise `ulimit -n` to {wanted})"
    );
    Ok(room)
}

/// Makes the kernel's table of descriptors large enough for `count`.
///
/// Otherwise it grows while clients connect. With threads each doubling takes some ten
/// milliseconds, and meanwhile a backlog may overflow: the peers then try again after a second.
pub(crate) fn grow_table(descriptor: impl AsFd, count: usize) {
    // The lowest free number from here on. The duplicate is closed at once. It fails if the limit
    // is lower; then no more descriptors are needed.
    let highest = RawFd::try_from(count).unwrap_or(RawFd::MAX);
    let _ = fcntl_dupfd_cloexec(descriptor, highest);
}

/// Raises the limit towards `wanted`, also the hard limit if possible. Returns the new limit.
fn raise(wanted: u64) -> io::Result<u64> {
    let (soft, hard) = Resource::NOFILE.get()?;
    if soft >= wanted {
        return Ok(soft);
    }
    if hard < wanted && Resource::NOFILE.set(wanted, wanted).is_ok() {
        return Ok(wanted);
    }
    rlimit::increase_nofile_limit(wanted)
}

/// Returns whether the machine (`ENFILE`, 23) or the process (`EMFILE`, 24) has no descriptor left.
/// The numbers are the same on every Unix.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}
