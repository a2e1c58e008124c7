//! The wall clock.

use std::time::{Duration, UNIX_EPOCH};

/// Returns the time since 1970 by the system's clock; 0 if the clock is set before that.
pub(crate) fn now_since_1970() -> Duration {
    UNIX_EPOCH.elapsed().unwrap_or_default()
}
