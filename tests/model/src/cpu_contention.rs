//! What stands in for the pool's module of this name: no clock, and never a crowd, so that nobody is
//! spared a call.

use crate::explore::pass;

/// As its namesake.
#[derive(Debug, Default)]
pub struct CpuContention;

impl CpuContention {
    /// As its namesake.
    pub fn new() -> Self {
        Self
    }

    /// As its namesake.
    pub fn give_way(&self) {
        pass();
    }

    /// As its namesake.
    pub fn lasts(&self) -> bool {
        false
    }
}
