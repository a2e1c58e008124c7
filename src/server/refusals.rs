//! Connections that the acceptor refuses by itself, without a worker.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::net::connection::{Connection, ReplySink};
use crate::net::descriptors::ACCEPTOR_REFUSALS_MAX;
use crate::resp::{Protocol, Reply};
use crate::state::close_reason::Refused;

/// Refused connections in a lingering close, and spare descriptors. The spare descriptors let the
/// acceptor refuse connections when the process has no other descriptor left. The first
/// [`Self::close_expired`] opens them.
#[derive(Default)]
pub(super) struct Refusals {
    // Invariant: spares.len() + lingering.len() <= ACCEPTOR_REFUSALS_MAX.
    spares: Vec<File>,
    /// Connections after the error and FIN, each with the time of its close; the oldest is first.
    lingering: VecDeque<(Connection, Instant)>,
}

impl Refusals {
    /// Sends the error and FIN, and lets the connection linger. A close with unread input would
    /// send RST, and the peer could lose the error.
    pub(super) fn refuse(&mut self, socket: OwnedFd, reason: Refused) {
        if self.count() == ACCEPTOR_REFUSALS_MAX {
            self.free_one();
        }
        let mut bytes = Vec::new();
        let _ = Reply::new(&mut bytes, Protocol::Resp2).error(reason.text());
        let mut connection = Connection::new(socket);
        // A new socket has room for a line. Otherwise, the peer has left.
        let _ = connection.send(&mut bytes);
        let _ = connection.end_sending();
        let end = Instant::now() + LINGERING;
        self.lingering.push_back((connection, end));
    }

    /// Frees a descriptor: a spare one, or else the oldest connection's. Returns false without
    /// either.
    pub(super) fn free_one(&mut self) -> bool {
        self.spares.pop().is_some() || self.close_oldest()
    }

    /// Closes the connections whose time is over, and opens spare descriptors again.
    pub(super) fn close_expired(&mut self, now: Instant) {
        while self.lingering.front().is_some_and(|&(_, end)| end <= now) {
            self.close_oldest();
        }
        self.refill();
    }

    /// Returns the time until the next connection expires.
    pub(super) fn next_close_in(&self) -> Option<Duration> {
        let &(_, end) = self.lingering.front()?;
        Some(end.saturating_duration_since(Instant::now()))
    }

    /// Opens as many spare descriptors as the system allows.
    pub(super) fn refill(&mut self) {
        while self.count() < ACCEPTOR_REFUSALS_MAX
            && let Ok(spare) = File::open("/dev/null")
        {
            self.spares.push(spare);
        }
    }

    fn count(&self) -> usize {
        self.spares.len() + self.lingering.len()
    }

    /// Closes the oldest connection after discarding its input. Returns false if there is none.
    fn close_oldest(&mut self) -> bool {
        let Some((mut connection, _)) = self.lingering.pop_front() else {
            return false;
        };
        let mut scratch = [0; 4096];
        let mut reads = 0..DISCARDING_READS_MAX;
        while reads.next().is_some() && matches!(connection.read(&mut scratch), Ok(Some(1..))) {}
        true
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        while self.close_oldest() {}
    }
}

/// Maximum lingering time of a refused connection: several round trips on a local network.
const LINGERING: Duration = Duration::from_millis(50);

/// Reads of 4 KiB before a refused connection is closed.
const DISCARDING_READS_MAX: usize = 16;
