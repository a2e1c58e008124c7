//! The signal to the clock's thread.

use std::mem;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// Wakes or stops the clock's thread.
#[derive(Default)]
pub(crate) struct ClockSignal {
    request: Mutex<Request>,
    changed: Condvar,
}

#[derive(Default)]
struct Request {
    stop: bool,
    wake: bool,
}

/// Why the thread's wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    ByRequest,
    InTime,
}

impl ClockSignal {
    /// Makes the thread check the end of the pause, the timeouts of deferred replies and
    /// `maxmemory-clients` at once.
    pub(crate) fn wake(&self) {
        self.request.lock().wake = true;
        self.changed.notify_one();
    }

    /// Stops the thread.
    pub(crate) fn stop(&self) {
        self.request.lock().stop = true;
        self.changed.notify_one();
    }

    /// Waits for a request, or until `deadline`. Returns `None` if the thread must stop.
    pub(super) fn wait_until(&self, deadline: Instant) -> Option<Woken> {
        let mut request = self.request.lock();
        let is_quiet = |request: &mut Request| !request.stop && !request.wake;
        self.changed
            .wait_while_until(&mut request, is_quiet, deadline);
        let woken = if mem::take(&mut request.wake) {
            Woken::ByRequest
        } else {
            Woken::InTime
        };
        (!request.stop).then_some(woken)
    }
}
