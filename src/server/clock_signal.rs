//! The signal to the clock's thread.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// Wakes or stops the clock's thread.
#[derive(Debug, Default)]
pub(crate) struct ClockSignal {
    request: Mutex<Request>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Request {
    stop: bool,
    look: bool,
}

impl ClockSignal {
    /// Makes the thread check the end of the pause and the memory at once.
    pub(crate) fn look(&self) {
        self.request.lock().look = true;
        self.changed.notify_one();
    }

    /// Stops the thread.
    pub(crate) fn stop(&self) {
        self.request.lock().stop = true;
        self.changed.notify_one();
    }

    /// Waits for a request, or until `deadline`. Returns whether the thread goes on.
    pub(super) fn wait_until(&self, deadline: Instant) -> bool {
        let mut request = self.request.lock();
        let silent = |request: &mut Request| !request.stop && !request.look;
        self.changed
            .wait_while_until(&mut request, silent, deadline);
        request.look = false;
        !request.stop
    }
}
