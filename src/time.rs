//! The wall clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// By the system's clock. One that stands before 1970 is set wrong, and 0 says so as well as
/// anything.
pub(crate) fn now_since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
