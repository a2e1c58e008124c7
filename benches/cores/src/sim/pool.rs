//! The state that the workers of a group share: `src/pool/README.md`, section "State".

use std::collections::VecDeque;

use crate::sim::line::Line;

#[derive(Debug, Default)]
pub(super) struct Pool {
    /// The worker that polls.
    pub(super) leader: Option<usize>,
    /// Until when a worker holds the watch that takes a woken client.
    pub(super) taken_until: u64,
    pub(super) watch: Line,
    /// Clients that the leader has found, and not passed on yet.
    pub(super) found: VecDeque<usize>,
    pub(super) woken: VecDeque<usize>,
    /// The sockets in the ready list of the epoll set.
    pub(super) ready: VecDeque<usize>,
    pub(super) ready_list: Line,
    /// The leader sleeps in the poll.
    pub(super) is_leader_asleep: bool,
    /// Workers that sleep on the queue.
    pub(super) followers: VecDeque<usize>,
    pub(super) counters: Line,
    pub(super) channel: Line,
    /// A `Recheck` is in the queue.
    pub(super) recheck: bool,
    /// How long the watch was held.
    pub(super) held_ns: u64,
}

impl Pool {
    /// Whether some worker holds the watch.
    pub(super) fn is_watched(&self, now: u64) -> bool {
        self.leader.is_some() || now < self.taken_until
    }

    /// Whether some worker polls, or takes what a poll has found.
    pub(super) fn is_polled(&self, now: u64) -> bool {
        self.is_watched(now) && !self.is_leader_asleep
    }
}
