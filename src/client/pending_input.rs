//! Requests of a client that a turn left unserved.

use std::mem;

use crate::resp::Parser;
use crate::state::coarse_clock::Now;

/// Input that a turn left unserved, and how much of the request at its front was parsed.
#[derive(Debug)]
pub(crate) struct PendingInput {
    bytes: Vec<u8>,
    // Invariant: served <= bytes.len().
    served: usize,
    parser: Parser,
    /// When the time for the request at the front began, in seconds of the coarse clock.
    since_s: u32,
    /// When the last of these bytes came, or the time was restarted after that, in seconds of the
    /// coarse clock.
    progress_s: u32,
}

impl PendingInput {
    pub(crate) fn new(bytes: &[u8], parser: Parser, now_s: u32) -> Self {
        Self {
            bytes: bytes.to_vec(),
            served: 0,
            parser,
            since_s: now_s,
            progress_s: now_s,
        }
    }

    /// Grants the request at the front its whole time again, from `now_s`.
    pub(crate) fn restart(&mut self, now_s: u32) {
        self.since_s = now_s;
        self.progress_s = now_s;
    }

    /// Whether the rest of the request at the front is late: nothing came for over `timeout_s`, or
    /// the request as a whole takes too long. The whole may take `timeout_s` and a second for each
    /// byte that came, up to [`SLOW_REQUEST_S_MAX`]; beyond that, a second for each
    /// [`REQUEST_BYTES_PER_S_MIN`] bytes. Never late if `timeout_s` is 0.
    pub(super) fn is_late(&self, now: Now, timeout_s: u32) -> bool {
        if timeout_s == 0 {
            return false;
        }
        let bytes = self.len();
        let earned_s = bytes.min(SLOW_REQUEST_S_MAX + bytes / REQUEST_BYTES_PER_S_MIN);
        now.elapsed_s(self.progress_s) > timeout_s
            || now.elapsed_s(self.since_s) as usize > timeout_s as usize + earned_s
    }

    /// Appends `fresh` input. Returns everything that is unserved, and its parser.
    pub(crate) fn extend(&mut self, fresh: &[u8], now_s: u32) -> (&mut Parser, &[u8]) {
        self.bytes.drain(..mem::take(&mut self.served));
        self.bytes.extend_from_slice(fresh);
        if !fresh.is_empty() {
            self.progress_s = now_s;
        }
        (&mut self.parser, &self.bytes)
    }

    /// Bytes that are unserved.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.served
    }

    /// Bytes of the buffer's memory that hold no unserved input: unused, or already served.
    pub(super) fn free_bytes(&self) -> usize {
        self.bytes.capacity() - self.len()
    }

    /// Bytes of memory besides the buffer: this struct, and the table of the arguments parsed so
    /// far.
    pub(super) fn table_bytes(&self) -> usize {
        size_of::<Self>() + self.parser.memory_bytes()
    }

    /// Removes the next `count` bytes, which were served. Returns the rest; `None` if there is
    /// none.
    pub(crate) fn without(mut self: Box<Self>, count: usize, now_s: u32) -> Option<Box<Self>> {
        if count > 0 {
            self.restart(now_s);
        }
        self.served += count;
        debug_assert!(self.served <= self.bytes.len());
        if self.served > SERVED_BYTES_KEPT {
            self.bytes = self.bytes[mem::take(&mut self.served)..].to_vec();
            self.parser.shrink();
        }
        (self.served < self.bytes.len()).then_some(self)
    }
}

/// Maximum bytes already served that stay in the buffer. Beyond that, moving the rest is cheaper
/// than keeping the memory of a huge request.
const SERVED_BYTES_KEPT: usize = 64 * 1024;

/// Maximum seconds that a request earns by one byte each.
const SLOW_REQUEST_S_MAX: usize = 600;

/// Bytes for each further second, after [`SLOW_REQUEST_S_MAX`]. A slow link sends far more, and a
/// peer that only wants to hold memory has to send this much.
const REQUEST_BYTES_PER_S_MIN: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns when a request is late that comes in pieces of `bytes`, one each `period_s`.
    fn late_at(bytes: usize, period_s: u32) -> Option<u32> {
        let piece = vec![b'x'; bytes];
        let mut pending_input = PendingInput::new(&piece, Parser::default(), 0);
        let mut now_s = 0;
        while now_s < 10_000 {
            now_s += 1;
            if pending_input.is_late(
                Now {
                    s: now_s,
                    resumed_s: 0,
                },
                30,
            ) {
                return Some(now_s);
            }
            if now_s.is_multiple_of(period_s) {
                pending_input.extend(&piece, now_s);
            }
        }
        None
    }

    #[test]
    fn request_that_comes_slowly_is_late_only_below_a_rate() {
        // Two bytes a second are enough for ten minutes, and a slow link for any time.
        assert_eq!(late_at(2, 1), Some(30 + 600 + 2));
        assert_eq!(late_at(20_000, 10), None);
        // A byte just before each timeout earns a second.
        assert_eq!(late_at(1, 29), Some(33));
        assert_eq!(late_at(100_000, 31), Some(31));
    }

    #[test]
    fn memory_of_a_huge_request_is_freed_when_it_is_served() {
        let mut pending_input = Box::new(PendingInput::new(
            &vec![b'x'; 1 << 20],
            Parser::default(),
            0,
        ));
        pending_input.extend(b"PI", 0);
        let pending_input = pending_input
            .without(1 << 20, 0)
            .expect("two bytes are left");
        assert_eq!(pending_input.bytes, b"PI");
        assert!(pending_input.bytes.capacity() < 100);
        assert!(pending_input.without(2, 0).is_none());
    }
}
