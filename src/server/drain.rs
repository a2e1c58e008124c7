//! Stops a server gracefully.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::acceptor::AcceptorThread;
use super::inner::Inner;
use super::shared::{Phase, Shared};
use crate::logging;
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

/// After `drain-delay-ms`, stops accepting, answers every request that was received whole, and
/// closes idle clients.
///
/// A client that has connected a moment ago gets some time for its first request, so that no client
/// whose connect succeeded misses its reply. Reading ends after half of the time, and accepting the
/// rest of the backlog after a quarter. In the second half nothing is read, so that a client that
/// sends without pause is closed between two replies and not in the middle of one.
pub(super) fn drain(inner: &Inner, acceptor: &AcceptorThread) -> Drained {
    let shared = &inner.shared;
    announce(inner);
    delay(shared);
    // Not from the configuration, whose lock may be taken for long.
    let timeout = Duration::from_millis(shared.settings.drain_timeout_ms().into());
    let start = Instant::now();
    shared.drain_request.lock().ends = Some(start + timeout);
    shared.set_phase(Phase::Settling);
    shared.wake_acceptor();
    shared.pool.begin_drain();
    let accepted_all = acceptor.has_ended_by(start + timeout / 4);
    shared.wait_until_empty(start + FIRST_REQUEST_MAX.min(timeout / 4));
    shared.end_settling();
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
        logging::warn!(
            "drain: the acceptor is still busy, so connections in the backlog are reset"
        );
    }
    shared
        .pool
        .empty(|client| shared.close(client, &CloseReason::Drained));
    let failed = shared.drain_request.lock().failed;
    Drained { aborted, failed }
}

/// Reports to the program how long the drain may take.
fn announce(inner: &Inner) {
    let settings = &inner.shared.settings;
    let delay_ms = if inner.shared.drain_request.lock().in_haste {
        0
    } else {
        settings.drain_delay_ms()
    };
    let at_most_ms = u64::from(delay_ms) + u64::from(settings.drain_timeout_ms());
    if let Some(host) = inner.host.get() {
        host.drain_requested(Duration::from_millis(at_most_ms));
    }
}

/// Serves on for `drain-delay-ms`, so that load balancers learn that the server is not ready before
/// it refuses clients.
fn delay(shared: &Shared) {
    let delay_ms = shared.settings.drain_delay_ms();
    let begins = Instant::now() + Duration::from_millis(delay_ms.into());
    let timeout_ms = shared.settings.drain_timeout_ms();
    let mut request = shared.drain_request.lock();
    if delay_ms == 0 || request.in_haste {
        return;
    }
    request.ends = Some(begins + Duration::from_millis(timeout_ms.into()));
    drop(request);
    logging::info!(
        "drain: clients are accepted and served for another {delay_ms} ms (drain-delay-ms)"
    );
    shared.wait_for_haste(begins);
    logging::info!("drain: no more clients are accepted");
}

/// Maximum time that a drain waits for the first request of a client that has just connected.
const FIRST_REQUEST_MAX: Duration = Duration::from_secs(1);

/// Time for the workers to end their last turn. A handler that takes longer is not waited for.
const LAST_TURN: Duration = Duration::from_millis(100);
