//! The limit on open files: every client has one.

use std::io;

use rlimit::Resource;

/// Descriptors beside the clients' and the listeners': polls and wakers, standard streams, log,
/// signals.
const OURS: usize = 16;

/// Refused connections that workers may close at the same time, each in its slot of the pool.
pub(crate) const REFUSED_MAX: usize = 16;

/// Descriptors that the acceptor keeps for connections that it refuses itself.
pub(crate) const REFUSALS_MAX: usize = 16;

/// Raises the limit to what `maxclients` clients need. Gives how many there is room for, at most
/// `maxclients`; a warning says why if it is fewer. As Redis's `adjustOpenFilesLimit`.
pub(crate) fn make_room(maxclients: usize, listeners: usize) -> io::Result<usize> {
    let reserved = (listeners + OURS + REFUSED_MAX + REFUSALS_MAX) as u64;
    let wanted = maxclients as u64 + reserved;
    let limit = raise(wanted)?;
    if limit >= wanted {
        return Ok(maxclients);
    }
    // Less than `maxclients`, so it fits.
    let room = limit.saturating_sub(reserved) as usize;
    if room == 0 {
        return Err(io::Error::other(format!(
            "only {limit} files may be open at once, and {} is the least that this needs",
            reserved + 1
        )));
    }
    log::warn!(
        "`maxclients` lowered from {maxclients} to {room}: only {limit} files may be open at once \
         (raise `ulimit -n` to {wanted})"
    );
    Ok(room)
}

/// Raises the limit towards `wanted`, beyond the hard limit if we may. Gives the limit that holds
/// then.
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

/// Whether the process or the machine can open no more files: `EMFILE` and `ENFILE`, which have these
/// numbers on every Unix.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}
