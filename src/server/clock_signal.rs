//! The signal to the clock's thread.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// Wakes or stops the clock's thread. In a server in memory, which has no such thread, wakes the
/// clients that wait for others.
#[derive(Default)]
pub(crate) struct ClockSignal {
    request: Mutex<Request>,
    changed: Condvar,
}

#[derive(Default)]
struct Request {
    stop: bool,
    /// How often [`ClockSignal::wake`] was called.
    wakes: u64,
}

/// Why the thread's wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    ByRequest,
    InTime,
}

impl ClockSignal {
    /// Makes the thread check the end of the pause, the timeouts of deferred replies and
    /// `maxmemory-clients` at once.
    pub(crate) fn wake(&self) {
        self.request.lock().wakes += 1;
        self.changed.notify_all();
    }

    /// Returns how often [`Self::wake`] was called.
    pub(crate) fn wakes(&self) -> u64 {
        self.request.lock().wakes
    }

    /// Stops the thread.
    pub(crate) fn stop(&self) {
        self.request.lock().stop = true;
        self.changed.notify_all();
    }

    /// Waits for a request after the first `seen`, or until `deadline`. Counts it as seen. Returns
    /// `None` if the thread must stop.
    pub(crate) fn wait_until(&self, deadline: Instant, seen: &mut u64) -> Option<Woken> {
        let mut request = self.request.lock();
        let is_quiet = |request: &mut Request| !request.stop && request.wakes == *seen;
        self.changed
            .wait_while_until(&mut request, is_quiet, deadline);
        let woken = if request.wakes == *seen {
            Woken::InTime
        } else {
            Woken::ByRequest
        };
        *seen = request.wakes;
        (!request.stop).then_some(woken)
    }
}
