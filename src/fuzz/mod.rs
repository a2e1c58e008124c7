//! Properties that hold for any input. Each is a function of bytes that panics if the property does
//! not hold. Used by the fuzzers in `fuzz/` (see its `README.md`) and by `smoke.rs`.
//!
//! Compiled only for tests and under `--cfg fuzzing`.
//!
//! | function | content of the bytes |
//! |---|---|
//! | [`parser`] | limits, cuts, and a stream of requests |
//! | [`connection`] | circumstances, cuts, and the input of a client |
//! | [`proxy_header`] | the first bytes of a connection from a proxy |
//! | [`tls`] | what happens to the records of a TLS client |
//! | [`config`] | a configuration file, and optionally another one after a NUL |

#[cfg(feature = "cli")]
mod config;
mod connection;
pub(crate) mod naive;
mod parser;
mod proxy_header;
mod replies;
#[cfg(test)]
mod smoke;
#[cfg(feature = "tls")]
mod tls;

#[cfg(feature = "cli")]
pub use config::config;
pub use connection::connection;
pub use parser::parser;
pub use proxy_header::proxy_header;
#[cfg(feature = "tls")]
pub use tls::{TlsSettings, tls};

/// A stream, its cuts, and four flags.
///
/// The first byte has the flags in its low half. The second has the number of cuts in its three low
/// bits; 7 means a cut after every byte. Each cut takes two bytes, and the rest is the stream. So
/// the prefix `00`, as digits or NULs, means no flags and no cuts.
struct Input<'a> {
    flags: u8,
    /// The pieces of `stream`; none is empty.
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

    /// Returns whether the flag with this number, 0 to 3, is set.
    fn has(&self, number: u8) -> bool {
        self.flags & 1 << number != 0
    }
}

/// The number of cuts that means a cut after every byte.
const EVERYWHERE: usize = 7;
