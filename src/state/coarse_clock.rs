//! The coarse clock: seconds since the server started, which cost no system call.

use std::sync::atomic::{AtomicU32, Ordering};

/// Up to a second late. Written by the clock's thread.
#[derive(Debug, Default)]
pub(crate) struct CoarseClock {
    s: AtomicU32,
    resumed_s: AtomicU32,
}

/// The time for deadlines, in seconds of the coarse clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) s: u32,
    /// When the process last continued after it was stopped, as when a virtual machine is moved; 0
    /// if it never was. Times before this count as this, so that the stop does not count against
    /// the clients. They include times that workers noted after the stop, before the clock was set.
    pub(crate) resumed_s: u32,
}

impl Now {
    /// Returns the seconds since `since_s` in which the process could run.
    pub(crate) fn elapsed_s(self, since_s: u32) -> u32 {
        self.s.saturating_sub(since_s.max(self.resumed_s))
    }
}

impl CoarseClock {
    pub(crate) fn s(&self) -> u32 {
        self.s.load(Ordering::Relaxed)
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            s: self.s(),
            resumed_s: self.resumed_s.load(Ordering::Relaxed),
        }
    }

    /// Sets the time. `has_stalled` means that the process was stopped, so the clock's thread came
    /// late.
    pub(crate) fn set(&self, s: u32, has_stalled: bool) {
        if has_stalled {
            self.resumed_s.store(s, Ordering::Relaxed);
        }
        self.s.store(s, Ordering::Relaxed);
    }
}
