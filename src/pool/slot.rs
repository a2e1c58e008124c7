//! Where a client is, as parking sees it: the transitions and nothing else.

use std::mem;

use crate::net::connection::Readiness;

/// A place in parking.
///
/// ```text
///         assign             park
///   Free ────────► Away ────────────► Parked(client)
///     ▲            │ ▲ ◄──────────────── event or fetch gives the client
///     └────────────┘ │ events
///        free        ▼
///                AwayAndReady
/// ```
///
/// `Away` and `AwayAndReady` mean that the client's owner is elsewhere: the acceptor, the queue or
/// a worker. `AwayAndReady` remembers an event that came meanwhile, so that it is not lost.
#[derive(Debug)]
pub(super) enum Slot<C> {
    /// Nobody's.
    Free,
    /// The client is elsewhere.
    Away,
    /// The client is elsewhere, and its socket has become ready again.
    AwayAndReady(Readiness),
    /// The client rests here.
    Parked(C),
}

impl<C> Slot<C> {
    /// The socket has become ready. Gives the client if it rests here; otherwise remembers the
    /// event.
    pub(super) fn event(&mut self, readiness: Readiness) -> Option<C> {
        match mem::replace(self, Self::Away) {
            Self::Parked(client) => return Some(client),
            Self::Away => *self = Self::AwayAndReady(readiness),
            Self::AwayAndReady(before) => *self = Self::AwayAndReady(before.and(readiness)),
            // The client was closed after the event was collected and before it was looked at.
            Self::Free => *self = Self::Free,
        }
        None
    }

    /// Forgets the events that came while the client was away, if any did. Returns what they said.
    pub(super) fn take_event(&mut self) -> Option<Readiness> {
        let Self::AwayAndReady(readiness) = *self else {
            return None;
        };
        *self = Self::Away;
        Some(readiness)
    }

    /// Takes the client if it rests here and is `wanted`.
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
    fn an_event_gives_the_parked_client_once() {
        let mut slot = Slot::Parked('c');
        assert_eq!(slot.event(READY), Some('c'));
        assert_eq!(slot.event(READY), None);
    }

    #[test]
    fn an_event_while_the_client_is_away_is_remembered_until_it_is_taken() {
        let mut slot = Slot::<char>::Away;
        assert_eq!(slot.event(READY), None);
        assert_eq!(slot.take_event(), Some(READY));
        assert_eq!(slot.take_event(), None);
    }

    #[test]
    fn later_events_do_not_hide_what_an_event_said() {
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
    fn an_event_of_a_closed_client_changes_nothing() {
        let mut slot = Slot::<char>::Free;
        assert_eq!(slot.event(ENDING), None);
        assert!(matches!(slot, Slot::Free));
    }

    #[test]
    fn only_a_parked_client_that_is_wanted_is_fetched() {
        let mut slot = Slot::Parked('c');
        assert_eq!(slot.fetch(|_| false), None);
        assert_eq!(slot.fetch(|&client| client == 'c'), Some('c'));
        assert_eq!(slot.fetch(|_| true), None);
    }
}
