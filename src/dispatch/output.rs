//! Collects the replies of a batch, and sends them.

use crate::client::session::Session;
use crate::net::connection::ReplySink;
use crate::resp::{Protocol, Reply};
use crate::state::close_reason::CloseReason;
use crate::state::stats::WorkerStats;

/// Replies that are not sent yet: one write for a batch, or several if it has long replies.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
    /// The offset of the last reply.
    reply_start: usize,
}

impl Output {
    pub(crate) fn reply(&mut self, protocol: Protocol) -> Reply<'_> {
        self.begin_reply();
        Reply::new(&mut self.bytes, protocol)
    }

    /// Begins the reply to the next request: a panic removes nothing before it.
    pub(super) fn begin_reply(&mut self) {
        self.reply_start = self.bytes.len();
    }

    /// Returns how often the last reply may be copied before the next write: never if it was
    /// removed, or if it is an error, because errors are counted.
    pub(super) fn repeats_max(&self) -> usize {
        match self.bytes.get(self.reply_start) {
            None | Some(b'-') => 0,
            Some(_) => self.room_for(self.reply_bytes()),
        }
    }

    /// Returns the length of the last reply.
    pub(super) fn reply_bytes(&self) -> usize {
        self.bytes.len() - self.reply_start
    }

    /// Returns how many replies of `length` bytes fit before the next write.
    pub(super) fn room_for(&self, length: usize) -> usize {
        OUTPUT_BYTES.saturating_sub(self.bytes.len()) / length
    }

    /// Appends `count` copies of the last reply.
    pub(super) fn repeat(&mut self, count: usize) {
        let start = self.reply_start;
        let mut missing = count * (self.bytes.len() - start);
        self.bytes.reserve(missing);
        while missing > 0 {
            // Doubles the copies, so that few steps are needed.
            let some = missing.min(self.bytes.len() - start);
            self.bytes.extend_from_within(start..start + some);
            missing -= some;
        }
    }

    pub(super) fn reply_start(&self) -> usize {
        self.reply_start
    }

    /// Makes what follows `start` one reply.
    pub(super) fn join_replies(&mut self, start: usize) {
        self.reply_start = start;
    }

    /// Keeps the last reply, also if replies are skipped, and does not repeat it.
    pub(super) fn keep_reply(&mut self) {
        self.reply_start = self.bytes.len();
    }

    /// Removes the last reply.
    pub(super) fn remove_reply(&mut self) {
        self.bytes.truncate(self.reply_start);
    }

    /// Inserts the messages of the last request before its reply. Removes the reply if it is
    /// skipped. Returns whether it is sent.
    #[cold]
    pub(super) fn finish_reply(&mut self, session: &mut Session) -> bool {
        self.finish(session.end_request())
    }

    /// Like [`Self::finish_reply`], for a request that EXEC runs.
    #[cold]
    pub(super) fn finish_queued(&mut self, session: &mut Session) {
        self.finish(session.end_queued_request());
    }

    fn finish(&mut self, (messages, is_sent): (Vec<u8>, bool)) -> bool {
        if !is_sent {
            self.remove_reply();
        }
        // The messages are not part of the reply, so removing the reply keeps them.
        let start = self.reply_start.min(self.bytes.len());
        self.reply_start = start + messages.len();
        self.bytes.splice(start..start, messages);
        is_sent
    }

    /// Removes the reply of a handler that panicked, and keeps the messages before it.
    #[cold]
    pub(crate) fn finish_panic(&mut self, session: &mut Session) {
        self.remove_reply();
        self.finish_reply(session);
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= OUTPUT_BYTES
    }

    /// Sends everything. Returns whether the socket took all of it; if not, the rest is pending.
    #[expect(clippy::inline_always, reason = "see Worker::serve_input")]
    #[inline(always)]
    pub(crate) fn send(
        &mut self,
        sink: &mut impl ReplySink,
        stats: &WorkerStats,
    ) -> Result<bool, CloseReason> {
        stats.counts.writes.add((!self.bytes.is_empty()).into());
        stats.counts.bytes_sent.add(self.bytes.len() as u64);
        let sent = sink.send(&mut self.bytes);
        if self.bytes.capacity() > OUTPUT_CAPACITY_MAX {
            self.bytes = Vec::new();
        }
        Ok(sent?)
    }
}

/// The reply to a request whose handler panicked.
pub(crate) const INTERNAL_ERROR: &str = "ERR internal error: see the server's log";

/// Bytes of replies that cause a write in the middle of a batch. Pending output can exceed its
/// bounds by this number and one reply.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Maximum capacity that a worker keeps from turn to turn, so that a huge reply frees its memory.
const OUTPUT_CAPACITY_MAX: usize = 4 * OUTPUT_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_kept_when_a_handler_panics() {
        let mut session = Session::for_test(0, ([127, 0, 0, 1], 5000).into());
        let mut output = Output::default();
        let _ = output.reply(Protocol::Resp2).simple("before");
        let reply = output.reply(Protocol::Resp2);
        session.push(|message| message.simple("message"));
        let _ = reply.simple("cut off");
        output.finish_panic(&mut session);
        assert_eq!(output.bytes, b"+before\r\n+message\r\n");
        // Finishing again keeps the messages, too.
        output.finish_panic(&mut session);
        assert_eq!(output.bytes, b"+before\r\n+message\r\n");
    }
}
