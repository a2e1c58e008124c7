//! The parser, against the naive one.

use std::iter;

use super::Input;
use crate::resp::limits::REQUEST_BYTES_MAX;
use crate::resp::naive::{self, Words};
use crate::resp::{Limits, Parser, ProtocolError};

/// Parses a stream as a worker does, piece by piece. At every cut there must be what the naive
/// parser finds in all that has come, no sooner and no later; and however the stream is cut, the
/// same. The parser holds memory in proportion to what has come, not to what is promised.
///
/// The flags: arguments have at most 32 bytes; the client has not said the password; a request makes
/// us hold at most 256 bytes. Of that last limit the naive parser knows nothing, so there the stream
/// as a whole is the judge.
pub fn parser(bytes: &[u8]) {
    let input = Input::new(bytes);
    let is_tight = input.has(2);
    let limits = Limits {
        bulk_bytes_max: if input.has(0) { 32 } else { 512 << 20 },
        unauthenticated: input.has(1),
        request_bytes_max: if is_tight { 256 } else { REQUEST_BYTES_MAX },
    };
    let judge = |arrived: &[u8]| {
        if is_tight {
            let mut whole = Reading::new(limits);
            whole.read_on(arrived);
            (whole.requests, whole.error)
        } else {
            naive::parse(arrived, limits)
        }
    };

    let mut reading = Reading::new(limits);
    let looks_often = input.pieces.len() <= LOOKS_MAX;
    let mut arrived = 0;
    for piece in &input.pieces {
        arrived += piece.len();
        let all = &input.stream[..arrived];
        reading.read_on(all);
        if looks_often || arrived == input.stream.len() {
            let (requests, error) = judge(all);
            assert_eq!(reading.requests, requests, "of {}", all.escape_ascii());
            assert_eq!(reading.error, error, "of {}", all.escape_ascii());
        }
    }
}

struct Reading {
    limits: Limits,
    parser: Parser,
    /// Bytes of the stream that were read as whole requests.
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

    /// Reads as far as it goes; `arrived` is everything since the beginning.
    fn read_on(&mut self, arrived: &[u8]) {
        while self.error.is_none() {
            let input = &arrived[self.taken..];
            let parsed = self.parser.parse(input, self.limits);
            let pending_input = self.parser.memory_bytes();
            assert!(
                pending_input <= MEMORY_PER_BYTE * arrived.len() + MEMORY_BYTES_ANYWAY,
                "{pending_input} bytes are held for {}",
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

    /// The words of the request just parsed; `None` if it has none.
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

/// Of a stream in more pieces than this, only the whole is judged: else one input takes quadratic
/// time.
const LOOKS_MAX: usize = 10;

/// Bytes that the parser may hold for each that has come: a word of a line takes two, is noted in
/// eight, and a growing table has room for as many again; its text is copied.
const MEMORY_PER_BYTE: usize = 12;

/// The smallest table has four words, the smallest text eight bytes.
const MEMORY_BYTES_ANYWAY: usize = 64;
