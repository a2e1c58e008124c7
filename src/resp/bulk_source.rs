//! Bulk strings that are read while they are sent.

use std::fmt;
use std::io::{self, ErrorKind, Read};

/// The rest of a bulk string after its header.
pub(crate) struct BulkSource {
    reader: Box<dyn Read + Send>,
    missing: u64,
}

impl BulkSource {
    pub(crate) fn new(length: u64, reader: impl Read + Send + 'static) -> Self {
        Self {
            reader: Box::new(reader),
            missing: length,
        }
    }

    /// Reads once, and appends the bytes to `out`: at most [`CHUNK_BYTES`]. After the last ones,
    /// appends the line end and returns true.
    ///
    /// After an error or a panic, no more may be sent: the peer would take it for the value.
    pub(crate) fn read(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        if self.missing > 0 {
            let start = out.len();
            let room = usize::try_from(self.missing).map_or(CHUNK_BYTES, |n| n.min(CHUNK_BYTES));
            out.resize(start + room, 0);
            let read = read_some(&mut *self.reader, &mut out[start..]);
            out.truncate(start + read.as_ref().map_or(0, |count| *count));
            match read? {
                0 => return Err(self.too_short()),
                count => self.missing -= count as u64,
            }
        }
        let is_last = self.missing == 0;
        if is_last {
            out.extend_from_slice(b"\r\n");
        }
        Ok(is_last)
    }

    fn too_short(&self) -> io::Error {
        let missing = self.missing;
        io::Error::new(
            ErrorKind::UnexpectedEof,
            format!("the reader ended {missing} bytes too early"),
        )
    }
}

/// Reads at least one byte, unless the reader has ended.
fn read_some(reader: &mut dyn Read, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(room) {
            Ok(count) => {
                assert!(count <= room.len(), "a reader returned more than its room");
                return Ok(count);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl fmt::Debug for BulkSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkSource")
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}

/// Maximum bytes of one read: they are in memory until the socket has taken them.
const CHUNK_BYTES: usize = 64 * 1024;
