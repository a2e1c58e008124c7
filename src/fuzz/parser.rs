//! Compares the parser with the naive one.

use std::iter;

use super::Input;
use super::naive::{self, Words};
use crate::resp::limits::REQUEST_BYTES_MAX;
use crate::resp::{Limits, Parser, ProtocolError};

/// Parses a stream as a worker does, piece by piece. At every cut, the parser has found the same
/// requests as the naive parser in all bytes so far. Cutting changes nothing. The parser uses
/// memory in proportion to the bytes that have arrived, not to the announced lengths.
///
/// The flags: arguments have at most 32 bytes; the client is not authenticated; a request takes at
/// most 256 bytes of memory. The naive parser does not know that last limit, so there the oracle is
/// the uncut stream.
pub fn parser(bytes: &[u8]) {
    let input = Input::new(bytes);
    let is_tight = input.has(2);
    let limits = Limits {
        bulk_bytes_max: if input.has(0) { 32 } else { 512 << 20 },
        unauthenticated: input.has(1),
        request_bytes_max: if is_tight { 256 } else { REQUEST_BYTES_MAX },
    };
    let oracle = |arrived: &[u8]| {
        if is_tight {
            let mut whole = Reading::new(limits);
            whole.read_on(arrived);
            (whole.requests, whole.error)
        } else {
            naive::parse(arrived, limits)
        }
    };

    let mut reading = Reading::new(limits);
    let checks_each = input.pieces.len() <= CHECKS_MAX;
    let mut arrived = 0;
    for piece in &input.pieces {
        arrived += piece.len();
        let all = &input.stream[..arrived];
        reading.read_on(all);
        if checks_each || arrived == input.stream.len() {
            let (requests, error) = oracle(all);
            assert_eq!(reading.requests, requests, "of {}", all.escape_ascii());
            assert_eq!(reading.error, error, "of {}", all.escape_ascii());
        }
    }
}

struct Reading {
    limits: Limits,
    parser: Parser,
    /// Bytes of the stream that were parsed as whole requests.
    taken: usize,
    requests: Vec<Words>,
    error: Option<ProtocolError>,
}

impl Reading {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            parser: Parser::default(),
            taken: 0,
            requests: Vec::new(),
            error: None,
        }
    }

    /// Parses all whole requests; `arrived` is the stream so far.
    fn read_on(&mut self, arrived: &[u8]) {
        while self.error.is_none() {
            let input = &arrived[self.taken..];
            let parsed = self.parser.parse(input, self.limits);
            let memory_bytes = self.parser.memory_bytes();
            assert!(
                memory_bytes <= MEMORY_PER_BYTE * arrived.len() + MEMORY_BYTES_MIN,
                "{memory_bytes} bytes of memory for {}",
                arrived.len()
            );
            match parsed {
                Ok(Some(length)) => {
                    assert!((1..=input.len()).contains(&length), "{length} bytes taken");
                    self.requests.extend(self.words(input));
                    self.taken += length;
                }
                Ok(None) => {
                    assert!(input.len() <= self.limits.request_bytes_max);
                    return;
                }
                Err(error) => self.error = Some(error),
            }
        }
    }

    /// Returns the words of the request just parsed; `None` if it has none.
    fn words(&self, input: &[u8]) -> Option<Words> {
        let request = self.parser.request(input)?;
        let words: Words = iter::once(request.name())
            .chain(request.arguments())
            .map(<[u8]>::to_vec)
            .collect();
        assert_eq!(words.len(), request.word_count());
        Some(words)
    }
}

/// A stream in more pieces than this is checked only at its end. Otherwise, an input would take
/// quadratic time.
const CHECKS_MAX: usize = 10;

/// Bytes of memory for each byte of the stream. A word of a line takes two bytes, its span eight,
/// and a growing table has room for as many again; its text is copied.
const MEMORY_PER_BYTE: usize = 12;

/// The smallest table has four words, the smallest text eight bytes.
const MEMORY_BYTES_MIN: usize = 64;
