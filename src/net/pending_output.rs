//! Pending output: bytes that a socket has not taken yet, and the bounds at which the server stops
//! reading a client's requests.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::OutputLimit;

/// The output of one client that its socket has not taken yet. Exists only while it is not empty.
#[derive(Debug, Default)]
pub(crate) struct PendingOutput {
    // Invariant: no chunk is empty.
    chunks: VecDeque<Vec<u8>>,
    /// Bytes of the first chunk that the socket has taken.
    // Invariant: less than the first chunk's length.
    sent: usize,
    // Invariant: the lengths of all chunks, minus `sent`.
    bytes: usize,
    /// The client is write-blocked until at most this many bytes are pending.
    blocked_above: Option<usize>,
    /// This output's part of the total for all clients.
    counted: CountedBytes,
    /// The time of the last progress, or else of the start, by the coarse clock; `None` before
    /// [`Self::update_timers`].
    progress_s: Option<u32>,
    /// Whether a flush sent nothing, long enough after the last progress.
    is_settled: bool,
    /// The time since which more is pending than the soft limit of `client-output-buffer-limit`.
    over_soft_since_s: Option<u32>,
}

/// The bounds on pending output at which the server stops reading a client's requests.
#[derive(Debug)]
pub(crate) struct OutputBounds<'a> {
    /// Bytes for this client, at least [`RESERVE_BYTES`]: `pending-output-per-client`.
    pub(crate) client_bytes_max: usize,
    /// Bytes for all clients together, without their reserves: `pending-output-total`.
    pub(crate) total_bytes_max: usize,
    /// Pending bytes of all clients, without their reserves.
    pub(crate) total_bytes: &'a Arc<AtomicUsize>,
}

impl PendingOutput {
    /// Keeps the rest of `bytes` after the first `taken`, and empties `bytes`. Copies a few bytes,
    /// so that they keep no large buffer. Keeps the buffer itself if most of it is pending.
    pub(crate) fn push(&mut self, bytes: &mut Vec<u8>, taken: usize) {
        debug_assert!(taken < bytes.len());
        let rest = &bytes[taken..];
        self.bytes += rest.len();
        match self.chunks.back_mut() {
            Some(last) if last.len() + rest.len() <= CHUNK_BYTES => last.extend_from_slice(rest),
            // The chunk is sent next, so it may begin with bytes that were taken.
            None if taken <= rest.len() => {
                self.sent = taken;
                self.chunks.push_back(compact(bytes));
            }
            Some(_) if taken == 0 => self.chunks.push_back(compact(bytes)),
            None if rest.len() > CHUNK_BYTES => {
                cut_front(bytes, taken);
                self.chunks.push_back(mem::take(bytes));
            }
            _ => self.chunks.push_back(rest.to_vec()),
        }
        bytes.clear();
    }

    /// Sends with `send` until nothing is pending, the socket is full, or `calls` is used up.
    /// Returns why it stopped.
    pub(crate) fn flush(
        &mut self,
        calls: &mut usize,
        now_s: u32,
        mut send: impl FnMut(&[u8]) -> io::Result<Option<usize>>,
    ) -> io::Result<Flushed> {
        let before = self.bytes;
        while let Some(chunk) = self.chunks.front() {
            if *calls == 0 {
                return Ok(Flushed::CallsUsed);
            }
            *calls -= 1;
            let Some(taken) = send(&chunk[self.sent..])? else {
                self.free_sent();
                self.is_settled = self.bytes == before && self.may_have_settled(now_s);
                return Ok(Flushed::SocketFull);
            };
            self.progress_s = Some(now_s);
            self.sent += taken;
            self.bytes -= taken;
            if self.sent == chunk.len() {
                self.chunks.pop_front();
                self.sent = 0;
            }
        }
        Ok(Flushed::Everything)
    }

    /// Frees the front of the first chunk if more of it was sent than is pending. So at most one
    /// byte is moved for each byte sent.
    fn free_sent(&mut self) {
        if let Some(chunk) = self.chunks.front_mut()
            && self.sent > (chunk.len() - self.sent).max(CHUNK_BYTES / 2)
        {
            cut_front(chunk, self.sent);
            self.sent = 0;
        }
    }

    /// Returns the number of pending bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// Returns the memory of the chunks.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.chunks.iter().map(Vec::capacity).sum()
    }

    /// Returns whether the client is write-blocked, by the last [`Self::update_block`].
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked_above.is_some()
    }

    /// Blocks the client until everything is sent.
    pub(crate) fn block_until_sent(&mut self) {
        self.blocked_above = Some(0);
    }

    /// Blocks the client if more is pending than `bounds` allow. Unblocks it after half of that was
    /// sent, or when the bounds have [room](Self::has_room) for it. Returns whether it is
    /// write-blocked.
    pub(crate) fn update_block(&mut self, bounds: &OutputBounds<'_>) -> bool {
        let beyond_reserve = self.bytes.saturating_sub(RESERVE_BYTES);
        let total_bytes = self.counted.set(beyond_reserve, bounds.total_bytes);
        if self.blocked_above.is_some_and(|above| self.bytes > above) && !self.has_room(bounds) {
            return true;
        }
        let is_allowed = beyond_reserve == 0
            || (self.bytes <= bounds.client_bytes_max && total_bytes <= bounds.total_bytes_max);
        self.blocked_above = (!is_allowed).then_some(self.bytes / 2);
        !is_allowed
    }

    /// Returns whether at most half of `bounds` is used: after a client was blocked, others have
    /// sent their output, or a bound was raised. Half, to avoid blocking the client again at once.
    pub(crate) fn has_room(&self, bounds: &OutputBounds<'_>) -> bool {
        let total_bytes = bounds.total_bytes.load(Ordering::Relaxed);
        self.bytes <= bounds.client_bytes_max / 2 && total_bytes <= bounds.total_bytes_max / 2
    }

    /// Returns the time of the last progress, or else of the start, by the coarse clock.
    pub(crate) fn progress_s(&self) -> u32 {
        self.progress_s.unwrap_or_default()
    }

    /// Whether the socket may have room that no event reports: for TCP, Linux reports room only
    /// when a third of the buffer is free. The kernel often takes more a moment after the socket
    /// was full, which must not count as progress much later.
    pub(crate) fn may_have_room(&self, now_s: u32) -> bool {
        !self.is_settled && self.may_have_settled(now_s)
    }

    /// Whether the last progress is at least a second ago, by the coarse clock.
    fn may_have_settled(&self, now_s: u32) -> bool {
        now_s > self.progress_s() + 1
    }

    /// Updates both times after each turn that leaves output pending.
    pub(crate) fn update_timers(&mut self, now_s: u32, limit: OutputLimit) {
        self.progress_s.get_or_insert(now_s);
        if limit.soft_bytes > 0 && self.bytes > limit.soft_bytes {
            self.over_soft_since_s.get_or_insert(now_s);
        } else {
            self.over_soft_since_s = None;
        }
    }

    /// Returns whether the output exceeds the hard limit, or has exceeded the soft limit for too
    /// long. Before [`Self::update_timers`], exceeding the soft limit is enough.
    pub(crate) fn exceeds(&self, now_s: u32, limit: OutputLimit) -> bool {
        let is_over = |limit_bytes| limit_bytes > 0 && self.bytes > limit_bytes;
        let too_long = |since_s| now_s.saturating_sub(since_s) > limit.soft_s;
        is_over(limit.hard_bytes)
            || (is_over(limit.soft_bytes) && self.over_soft_since_s.is_none_or(too_long))
    }
}

/// Why a flush stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Everything was sent.
    Everything,
    /// The socket is full. An event reports when it has room.
    SocketFull,
    /// The calls are used up. The socket may have room, so no event will come.
    CallsUsed,
}

/// Frees the first `count` bytes. Moves the others in place: a copy would need memory for both.
fn cut_front(bytes: &mut Vec<u8>, count: usize) {
    bytes.drain(..count);
    bytes.shrink_to_fit();
}

/// Takes the buffer, and frees its unused memory.
fn compact(bytes: &mut Vec<u8>) -> Vec<u8> {
    let mut bytes = mem::take(bytes);
    bytes.shrink_to_fit();
    bytes
}

/// One client's part of a total. Dropping it subtracts the part.
#[derive(Debug, Default)]
struct CountedBytes {
    bytes: usize,
    /// `None` before anything was counted.
    total: Option<Arc<AtomicUsize>>,
}

impl CountedBytes {
    /// Sets the part to `bytes`. Returns the new total.
    fn set(&mut self, bytes: usize, total: &Arc<AtomicUsize>) -> usize {
        let before = mem::replace(&mut self.bytes, bytes);
        if bytes == before {
            return total.load(Ordering::Relaxed);
        }
        let total = self.total.get_or_insert_with(|| Arc::clone(total));
        // Wrapping, as the addition of an atomic is. Relaxed: no other memory depends on the total.
        let change = bytes.wrapping_sub(before);
        total
            .fetch_add(change, Ordering::Relaxed)
            .wrapping_add(change)
    }
}

impl Drop for CountedBytes {
    fn drop(&mut self) {
        if let Some(total) = &self.total {
            total.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// Pending bytes that each client may always have, so that a few clients that never read cannot use
/// up the total. One batch of replies leaves at most this much.
pub(crate) const RESERVE_BYTES: usize = 64 * 1024;

/// Maximum bytes of a chunk to which small outputs are appended.
const CHUNK_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns pending output of `bytes` bytes, in pieces of 10 KiB.
    fn pending(bytes: usize) -> PendingOutput {
        let mut pending = PendingOutput::default();
        let mut left = bytes;
        while left > 0 {
            let piece = left.min(10 * 1024);
            pending.push(&mut vec![b'x'; piece], 0);
            left -= piece;
        }
        assert_eq!(pending.len(), bytes);
        pending
    }

    fn bounds(client: usize, total: usize, total_bytes: &Arc<AtomicUsize>) -> OutputBounds<'_> {
        OutputBounds {
            client_bytes_max: client,
            total_bytes_max: total,
            total_bytes,
        }
    }

    fn take(pending: &mut PendingOutput, bytes: usize) {
        let mut left = bytes;
        let flushed = pending.flush(&mut { usize::MAX }, 0, |chunk| {
            let taken = chunk.len().min(left);
            left -= taken;
            Ok((taken > 0).then_some(taken))
        });
        assert_ne!(flushed.expect("no socket fails"), Flushed::CallsUsed);
    }

    #[test]
    fn pending_bytes_are_sent_in_order() {
        let mut pending = PendingOutput::default();
        let mut wanted = Vec::new();
        for (number, length) in [70_000, 1, 65_536, 100, 40_000, 3].into_iter().enumerate() {
            let mut bytes: Vec<_> = (0..length).map(|at| (at * 7 + number) as u8).collect();
            let taken = if number == 0 { 5 } else { 0 };
            wanted.extend_from_slice(&bytes[taken..]);
            pending.push(&mut bytes, taken);
            assert!(bytes.is_empty());
        }
        let mut sent = Vec::new();
        let mut calls = 0;
        let flushed = pending.flush(&mut { usize::MAX }, 0, |chunk| {
            calls += 1;
            let taken = chunk.len().min(999);
            sent.extend_from_slice(&chunk[..taken]);
            Ok(Some(taken))
        });
        assert_eq!(flushed.expect("no socket fails"), Flushed::Everything);
        assert!(sent == wanted);
        assert!(calls > 100);
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn socket_may_have_room_until_a_flush_sends_nothing() {
        let mut pending = pending(30 * 1024);
        pending.update_timers(100, OutputLimit::default());
        assert!(!pending.may_have_room(101));
        assert!(pending.may_have_room(102));
        let mut flush = |bytes: usize, now_s: u32| {
            let mut taken = (bytes > 0).then_some(bytes);
            let flushed = pending.flush(&mut { usize::MAX }, now_s, |_| Ok(taken.take()));
            assert_eq!(flushed.expect("no socket fails"), Flushed::SocketFull);
            [now_s + 1, now_s + 2].map(|now_s| pending.may_have_room(now_s))
        };
        // Too early to show anything.
        assert_eq!(flush(0, 101), [true, true]);
        assert_eq!(flush(5, 102), [false, true]);
        assert_eq!(flush(0, 104), [false, false]);
        assert_eq!(flush(5, 105), [false, true]);
    }

    #[test]
    fn flush_stops_when_its_calls_are_used_up() {
        let mut pending = pending(1024 * 1024);
        let mut calls = 3;
        let flushed = pending.flush(&mut calls, 0, |_| Ok(Some(10)));
        assert_eq!(flushed.expect("no socket fails"), Flushed::CallsUsed);
        assert_eq!((calls, pending.len()), (0, 1024 * 1024 - 30));
    }

    #[test]
    fn client_is_blocked_beyond_its_bound_until_half_is_sent() {
        let total = Arc::default();
        let bounds = bounds(1 << 20, usize::MAX, &total);
        let mut pending = pending(1 << 20);
        assert!(!pending.update_block(&bounds));
        pending.push(&mut vec![b'x'], 0);
        assert!(pending.update_block(&bounds));
        take(&mut pending, 1 << 18);
        assert!(pending.update_block(&bounds));
        take(&mut pending, (1 << 18) + 1);
        assert!(!pending.update_block(&bounds));
    }

    #[test]
    fn client_is_unblocked_when_the_bounds_have_room() {
        let total = Arc::new(AtomicUsize::new(1 << 20));
        let mut pending = pending(1 << 18);
        assert!(pending.update_block(&bounds(usize::MAX, 1 << 20, &total)));
        // Others have sent some of their output, and then most of it.
        total.fetch_sub(1 << 18, Ordering::Relaxed);
        assert!(pending.update_block(&bounds(usize::MAX, 1 << 20, &total)));
        total.fetch_sub(3 << 18, Ordering::Relaxed);
        assert!(!pending.update_block(&bounds(usize::MAX, 1 << 20, &total)));
        // The bound for one client is raised.
        assert!(pending.update_block(&bounds(1 << 17, 1 << 20, &total)));
        assert!(pending.update_block(&bounds(1 << 18, 1 << 20, &total)));
        assert!(!pending.update_block(&bounds(1 << 19, 1 << 20, &total)));
    }

    #[test]
    fn reserve_is_allowed_whatever_the_bounds() {
        let total = Arc::new(AtomicUsize::new(1 << 30));
        let bounds = bounds(0, 0, &total);
        let mut pending = pending(RESERVE_BYTES);
        assert!(!pending.update_block(&bounds));
        pending.push(&mut vec![b'x'], 0);
        assert!(pending.update_block(&bounds));
        assert_eq!(total.load(Ordering::Relaxed), (1 << 30) + 1);
    }

    #[test]
    fn clients_share_the_total_and_free_their_parts() {
        let total = Arc::default();
        let bounds = bounds(usize::MAX, 1 << 20, &total);
        let (mut one, mut other) = (pending(1 << 20), pending(1 << 18));
        assert!(!one.update_block(&bounds));
        assert!(other.update_block(&bounds));
        take(&mut one, 1 << 19);
        assert!(!one.update_block(&bounds));
        drop(one);
        assert_eq!(total.load(Ordering::Relaxed), (1 << 18) - RESERVE_BYTES);
        take(&mut other, 1 << 17);
        assert!(!other.update_block(&bounds));
        drop(other);
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }
}
