//! The limit on open files. Servers inherit it.

use std::io;

use rlimit::Resource;

/// Descriptors that the load or a server needs besides its connections.
const OTHERS: u64 = 64;

/// Raises the limit for this many connections, and the hard limit too if that is permitted.
/// Returns how many connections the limit then allows.
pub(crate) fn make_room(connections: usize) -> io::Result<usize> {
    let wanted = connections as u64 + OTHERS;
    let (soft, hard) = Resource::NOFILE.get()?;
    if soft < wanted && (hard >= wanted || Resource::NOFILE.set(wanted, wanted).is_err()) {
        rlimit::increase_nofile_limit(wanted)?;
    }
    Ok(Resource::NOFILE.get_soft()?.saturating_sub(OTHERS) as usize)
}
