//! The limit on open files.

use std::io;

use rlimit::Resource;

/// Descriptors beside the connections, of the load and of any server.
const OTHERS: u64 = 64;

/// How many connections there is room for now.
pub(crate) fn room() -> io::Result<usize> {
    Ok(Resource::NOFILE.get_soft()?.saturating_sub(OTHERS) as usize)
}

/// Raises the limit to what so many connections need, beyond the hard limit if we may. Gives how
/// many there is room for then.
pub(crate) fn make_room(connections: usize) -> io::Result<usize> {
    let wanted = connections as u64 + OTHERS;
    let (soft, hard) = Resource::NOFILE.get()?;
    if soft < wanted && (hard >= wanted || Resource::NOFILE.set(wanted, wanted).is_err()) {
        rlimit::increase_nofile_limit(wanted)?;
    }
    room()
}
