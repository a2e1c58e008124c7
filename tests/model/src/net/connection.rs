//! What stands in for the crate's module of this name: what an event says.

use crate::mio::Event;

/// As its namesake. No peer in the model sends urgent data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Readiness {
    pub(crate) ending: bool,
    pub(crate) urgent: bool,
}

impl Readiness {
    /// As its namesake.
    pub fn of(event: &Event) -> Self {
        Self {
            ending: event.is_read_closed(),
            urgent: false,
        }
    }

    /// As its namesake.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            ending: self.ending || later.ending,
            urgent: self.urgent || later.urgent,
        }
    }
}
