//! The limit on open files: every client has one.

use std::io;

use rlimit::Resource;

/// Descriptors beside the clients': listeners, polls and wakers, standard streams, log, signals, and those
/// who are told that they are one too many.
const RESERVED: u64 = 32 + REFUSED_MAX as u64;

/// Refused connections that are seen off at once.
pub(crate) const REFUSED_MAX: usize = 64;

/// Raises the limit to what `maxclients` clients need. Gives how many there is room for, at most
/// `maxclients`; a warning says why if it is fewer. As Redis's `adjustOpenFilesLimit`.
pub(crate) fn make_room(maxclients: usize) -> io::Result<usize> {
    let wanted = maxclients as u64 + RESERVED;
    let limit = raise(wanted)?;
    if limit >= wanted {
        return Ok(maxclients);
    }
    // Less than `maxclients`, so it fits.
    let room = limit.saturating_sub(RESERVED) as usize;
    if room == 0 {
        return Err(io::Error::other(format!(
            "only {limit} files may be open at once, and {} is the least that this needs",
            RESERVED + 1
        )));
    }
    log::warn!(
        "`maxclients` is lowered from {maxclients} to {room}: only {limit} files may be open at once; \
         raise `ulimit -n` to {wanted}"
    );
    Ok(room)
}

/// Raises the limit towards `wanted`, beyond the hard limit if we may. Gives the limit that holds then.
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
