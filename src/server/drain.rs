//! Stops a server gracefully.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::acceptor::AcceptorThread;
use super::inner::Inner;
use super::shared::Phase;
use crate::state::close_reason::CloseReason;

/// The outcome of a drain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// The number of clients that were closed at the deadline, with unsent replies or unread
    /// requests. 0 means that every request that was read was answered, and the reply was sent.
    pub aborted: usize,
    /// Whether the server drained because one of its threads panicked again and again: a bug in
    /// respool, which the log shows. A single panic does not stop the server.
    pub failed: bool,
}

/// Stops accepting, answers every request that was received whole, and closes idle clients.
///
/// Reading ends after half of the time, and accepting the rest of the backlog after a quarter. In
/// the second half nothing is read, so that a client that sends without pause is closed between two
/// replies and not in the middle of one.
pub(super) fn drain(inner: &Inner, acceptor: &AcceptorThread) -> Drained {
    let shared = &inner.shared;
    // Not from the configuration, whose lock may be taken for long.
    let timeout = Duration::from_millis(shared.settings.drain_timeout_ms().into());
    let start = Instant::now();
    shared.set_phase(Phase::Draining);
    shared.wake_acceptor();
    shared.pool.begin_drain();
    let accepted_all = acceptor.has_ended_by(start + timeout / 4);
    if !shared.wait_until_empty(start + timeout / 2) {
        shared.set_phase(Phase::Closing);
        shared.wait_until_empty(start + timeout);
    }
    let aborted = shared.state.client_count.load(Ordering::Relaxed);
    // Ends the acceptor after its current pass.
    shared.set_phase(Phase::Closing);
    inner.threads.shutdown();
    let deadline = Instant::now() + LAST_TURN;
    inner.threads.wait_until_gone(deadline);
    if !accepted_all && !acceptor.has_ended_by(deadline) {
        log::warn!("drain: the acceptor is still busy, so connections in the backlog are reset");
    }
    shared
        .pool
        .empty(|client| shared.close(client, &CloseReason::Drained));
    let failed = shared.drain_request.lock().failed;
    Drained { aborted, failed }
}

/// Time for the workers to end their last turn. A handler that takes longer is not waited for.
const LAST_TURN: Duration = Duration::from_millis(100);
