//! The states of a slot in parking, and the transitions between them.

use std::mem;

use crate::net::connection::Readiness;

/// A slot in parking.
///
/// ```text
///         assign             park
///   Free ────────► Away ────────────► Parked(client)
///     ▲            │ ▲ ◄──────────────── event or fetch returns the client
///     └────────────┘ │ events
///        free        ▼
///                AwayAndReady
/// ```
///
/// In `Away` and `AwayAndReady`, the client is owned by the acceptor, the queue or a worker.
/// `AwayAndReady` remembers an event that came in the meantime, so that it is not lost.
#[derive(Debug)]
pub(super) enum Slot<C> {
    /// No client uses the slot.
    Free,
    /// The client is not parked.
    Away,
    /// The client is not parked, and its socket has become ready again.
    AwayAndReady(Readiness),
    /// The client is parked.
    Parked(C),
}

impl<C> Slot<C> {
    /// Handles an event of the socket. Returns the client if it is parked; otherwise remembers the
    /// event.
    pub(super) fn event(&mut self, readiness: Readiness) -> Option<C> {
        match mem::replace(self, Self::Away) {
            Self::Parked(client) => return Some(client),
            Self::Away => *self = Self::AwayAndReady(readiness),
            Self::AwayAndReady(before) => *self = Self::AwayAndReady(before.and(readiness)),
            // The client was closed after the poll returned the event.
            Self::Free => *self = Self::Free,
        }
        None
    }

    /// Takes the readiness of the events that came while the client was away, if any came.
    pub(super) fn take_event(&mut self) -> Option<Readiness> {
        let Self::AwayAndReady(readiness) = *self else {
            return None;
        };
        *self = Self::Away;
        Some(readiness)
    }

    /// Takes the client if it is parked and `wanted`.
    pub(super) fn fetch(&mut self, wanted: impl FnOnce(&C) -> bool) -> Option<C> {
        match mem::replace(self, Self::Away) {
            Self::Parked(client) if wanted(&client) => Some(client),
            other => {
                *self = other;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Readiness = Readiness {
        ending: false,
        urgent: false,
    };
    const ENDING: Readiness = Readiness {
        ending: true,
        ..READY
    };
    const URGENT: Readiness = Readiness {
        urgent: true,
        ..READY
    };

    #[test]
    fn event_returns_the_parked_client_once() {
        let mut slot = Slot::Parked('c');
        assert_eq!(slot.event(READY), Some('c'));
        assert_eq!(slot.event(READY), None);
    }

    #[test]
    fn event_while_client_is_away_is_remembered_until_taken() {
        let mut slot = Slot::<char>::Away;
        assert_eq!(slot.event(READY), None);
        assert_eq!(slot.take_event(), Some(READY));
        assert_eq!(slot.take_event(), None);
    }

    #[test]
    fn later_event_does_not_hide_earlier_readiness() {
        let mut slot = Slot::<char>::Away;
        slot.event(ENDING);
        slot.event(READY);
        slot.event(URGENT);
        let both = Readiness {
            ending: true,
            ..URGENT
        };
        assert_eq!(slot.take_event(), Some(both));
    }

    #[test]
    fn event_of_a_closed_client_changes_nothing() {
        let mut slot = Slot::<char>::Free;
        assert_eq!(slot.event(ENDING), None);
        assert!(matches!(slot, Slot::Free));
    }

    #[test]
    fn fetch_takes_only_a_parked_and_wanted_client() {
        let mut slot = Slot::Parked('c');
        assert_eq!(slot.fetch(|_| false), None);
        assert_eq!(slot.fetch(|&client| client == 'c'), Some('c'));
        assert_eq!(slot.fetch(|_| true), None);
    }
}
