//! What must hold whatever comes in, as functions of bytes: for the fuzzers in `fuzz/`, whose
//! `README.md` says how they are run, and for the smoke test beside this, which runs with every
//! other test.
//!
//! Nobody who uses the library sees this: it is compiled for tests and under `--cfg fuzzing` only.
//! Each function returns if its promises hold, and panics if one does not.
//!
//! | function | the bytes are |
//! |---|---|
//! | [`parser`] | a choice of limits, the cuts, and a stream of requests |
//! | [`connection`] | the circumstances, the cuts, and what a client sends |
//! | [`config`] | a configuration file, and perhaps behind a NUL another |

#[cfg(feature = "cli")]
mod config;
mod connection;
mod parser;
mod replies;
#[cfg(test)]
mod smoke;

#[cfg(feature = "cli")]
pub use config::config;
pub use connection::connection;
pub use parser::parser;

/// A stream, how it is cut, and a choice of four flags.
///
/// The first byte holds the flags in its low half, and the second how many cuts there are, in its
/// three low bits: 7 means one behind every byte. Each cut is two bytes, and all else is the stream.
/// So in front of a stream that is not cut stands `00`, digits or NULs alike.
struct Input<'a> {
    flags: u8,
    /// Together they are `stream`; none is empty.
    pieces: Vec<&'a [u8]>,
    stream: &'a [u8],
}

impl<'a> Input<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let (head, rest) = bytes.split_at(bytes.len().min(2));
        let flags = head.first().copied().unwrap_or(0) & 0xf;
        let count = usize::from(head.get(1).copied().unwrap_or(0) & 7);
        if count == EVERYWHERE {
            return Self {
                flags,
                pieces: rest.chunks(1).collect(),
                stream: rest,
            };
        }
        let (cuts, stream) = rest.split_at(rest.len().min(2 * count));
        let offset = |cut: &[u8]| {
            cut.iter()
                .fold(0, |sum, &byte| sum << 8 | usize::from(byte))
        };
        let mut ends: Vec<_> = cuts
            .chunks(2)
            .map(|cut| offset(cut) % (stream.len() + 1))
            .collect();
        ends.extend([0, stream.len()]);
        ends.sort_unstable();
        ends.dedup();
        let pieces = ends.windows(2).map(|ends| &stream[ends[0]..ends[1]]);
        Self {
            flags,
            pieces: pieces.collect(),
            stream,
        }
    }

    /// Whether the flag with this number, 0 to 3, is set.
    fn has(&self, number: u8) -> bool {
        self.flags & 1 << number != 0
    }
}

/// The number of cuts that means as many as there can be.
const EVERYWHERE: usize = 7;
