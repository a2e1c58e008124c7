//! Stand-in for the crate's module of this name.

use crate::mio::Event;

/// No peer of the model sends urgent data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Readiness {
    pub(crate) ending: bool,
    pub(crate) urgent: bool,
}

impl Readiness {
    pub fn of(event: &Event) -> Self {
        Self {
            ending: event.is_read_closed(),
            urgent: false,
        }
    }

    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            ending: self.ending || later.ending,
            urgent: self.urgent || later.urgent,
        }
    }
}
