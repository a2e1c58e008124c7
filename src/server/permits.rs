//! Permits for the flights of TLS handshakes, which `worker/handshakes.rs` explains.

use std::collections::BTreeMap;
use std::mem;

use crate::client::stage::Permit;

/// The permits for flights, and the clients that wait for one.
#[derive(Debug, Default)]
pub(super) struct Permits {
    granted: usize,
    /// The stack: the slots of waiting clients by number, the largest for the newest. A woken
    /// client is removed, but keeps its number.
    waiting: BTreeMap<u64, usize>,
    last_number: u64,
}

impl Permits {
    /// Grants a permit if fewer than `max` are granted. Otherwise puts the client on the stack.
    pub(super) fn request(&mut self, permit: &mut Permit, slot: usize, max: usize) -> bool {
        if self.granted < max {
            self.forget(permit);
            self.granted += 1;
            *permit = Permit::Granted;
            return true;
        }
        if matches!(permit, Permit::None) {
            self.last_number += 1;
            *permit = Permit::Awaited(self.last_number);
        }
        if let Permit::Awaited(number) = *permit {
            self.waiting.insert(number, slot);
        }
        false
    }

    /// Takes the permit back, or the client from the stack. Returns the slot of the client that is
    /// to be woken.
    ///
    /// A woken client that wants no permit any more calls it, too: another one has to be woken in
    /// its place.
    pub(super) fn release(&mut self, permit: &mut Permit, max: usize) -> Option<usize> {
        if matches!(permit, Permit::None) {
            return None;
        }
        self.forget(permit);
        if self.granted >= max {
            return None;
        }
        self.waiting.pop_last().map(|(_, slot)| slot)
    }

    fn forget(&mut self, permit: &mut Permit) {
        match mem::take(permit) {
            Permit::None => {}
            Permit::Awaited(number) => _ = self.waiting.remove(&number),
            Permit::Granted => self.granted -= 1,
        }
    }

    /// Returns the number of clients that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_go_to_the_newest_first() {
        let mut permits = Permits::default();
        let mut clients = [Permit::None, Permit::None, Permit::None, Permit::None];
        let request = |permits: &mut Permits, clients: &mut [Permit; 4], slot: usize| {
            permits.request(&mut clients[slot], slot, 1)
        };
        assert!(request(&mut permits, &mut clients, 0));
        for slot in 1..4 {
            assert!(!request(&mut permits, &mut clients, slot));
        }
        assert_eq!(permits.release(&mut clients[0], 1), Some(3));
        assert!(request(&mut permits, &mut clients, 3));
        // Client 2 leaves the stack. So client 1 is woken next.
        assert_eq!(permits.release(&mut clients[2], 1), None);
        assert_eq!(permits.release(&mut clients[3], 1), Some(1));
        assert!(request(&mut permits, &mut clients, 1));
        assert_eq!(permits.release(&mut clients[1], 1), None);
        assert_eq!((permits.granted, permits.waiting.len()), (0, 0));
    }

    #[test]
    fn woken_client_that_gets_no_permit_keeps_its_place() {
        let mut permits = Permits::default();
        let [mut one, mut two, mut three] = [Permit::None, Permit::None, Permit::None];
        assert!(permits.request(&mut one, 1, 1));
        assert!(!permits.request(&mut two, 2, 1));
        assert_eq!(permits.release(&mut one, 1), Some(2));
        // Another client was faster, and a newer one waits.
        assert!(permits.request(&mut one, 1, 1));
        assert!(!permits.request(&mut three, 3, 1));
        assert!(!permits.request(&mut two, 2, 1));
        assert_eq!(permits.release(&mut one, 1), Some(3));
    }

    #[test]
    fn woken_client_that_leaves_wakes_the_next() {
        let mut permits = Permits::default();
        let [mut one, mut two, mut three] = [Permit::None, Permit::None, Permit::None];
        assert!(permits.request(&mut one, 1, 1));
        assert!(!permits.request(&mut two, 2, 1));
        assert!(!permits.request(&mut three, 3, 1));
        assert_eq!(permits.release(&mut one, 1), Some(3));
        assert_eq!(permits.release(&mut three, 1), Some(2));
    }
}
