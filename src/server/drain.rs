//! Stops a server in order.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::acceptor_thread::AcceptorThread;
use super::inner::Inner;
use super::shared::Phase;
use crate::state::close_reason::CloseReason;

/// How a drain ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Clients that were cut off at the deadline, because they had not taken their replies, were
    /// still being served, or had not been come to. 0 means that every request that was read was
    /// answered, and the answer sent.
    pub aborted: usize,
    /// The server drained because one of its threads panicked again and again: a defect of respool,
    /// which the log tells of. A panic now and then only costs what the thread was doing.
    pub failed: bool,
}

/// Stops in an orderly way: no more accepts; requests received whole are answered; who is quiet is
/// closed.
///
/// Half of the time is for reading what has come, and the first half of that for accepting the
/// connections that were there before. In the other half nothing is read any more, so that a client
/// that never pauses is closed between two replies and not cut off in one.
pub(super) fn drain(inner: &Inner, acceptor: &AcceptorThread) -> Drained {
    let shared = &inner.shared;
    // Without the configuration's lock, which may be held for long.
    let timeout = shared.settings.drain_timeout();
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
    // From here on the acceptor ends after its pass.
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
    let failed = shared.has_failed();
    Drained { aborted, failed }
}

/// How long workers have to end their last turn once the drain is over. Only a handler that hangs
/// takes longer, and that one is not waited for.
const LAST_TURN: Duration = Duration::from_millis(100);
