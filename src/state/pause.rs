//! `CLIENT PAUSE`: for a while, requests of other clients wait.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The pause, if there is one. Commands begin and end it, the clock's thread ends it when its time
/// is over, and workers ask once for each batch.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    /// [`NOTHING`], [`WRITES`] or [`ALL`]. Written under the lock of `terms`, read without.
    held: AtomicU8,
    terms: Mutex<Terms>,
}

#[derive(Debug, Default)]
struct Terms {
    ends: Option<Instant>,
    /// Clients that have paused the others, by their numbers: their own requests do not wait.
    by: Vec<u64>,
}

/// What waits: no request.
pub(crate) const NOTHING: u8 = 0;
/// What waits: requests that change something for others.
pub(crate) const WRITES: u8 = 1;
/// What waits: every request.
pub(crate) const ALL: u8 = 2;

impl Pause {
    /// Begins a pause, or makes the one that there is stricter and longer, never shorter. One of no time
    /// is none.
    pub(crate) fn begin(&self, by: u64, held: u8, lasts: Duration) {
        let mut terms = self.terms.lock();
        if lasts.is_zero() && !self.is_on() {
            return;
        }
        let now = Instant::now();
        let ends = now.checked_add(lasts).unwrap_or(now + A_LONG_TIME);
        terms.ends = terms.ends.max(Some(ends));
        if !terms.by.contains(&by) && terms.by.len() < PAUSERS_MAX {
            terms.by.push(by);
        }
        let held = held.max(self.held.load(Ordering::Relaxed));
        self.held.store(held, Ordering::Relaxed);
    }

    /// Ends the pause. Returns whether there was one.
    pub(crate) fn end(&self) -> bool {
        let mut terms = self.terms.lock();
        let was_on = self.is_on();
        self.end_under(&mut terms);
        was_on
    }

    fn end_under(&self, terms: &mut Terms) {
        *terms = Terms::default();
        self.held.store(NOTHING, Ordering::Relaxed);
    }

    /// Ends the pause if its time is over. Gives when it will be, and whether it has ended now.
    pub(crate) fn end_if_over(&self) -> (Option<Instant>, bool) {
        let mut terms = self.terms.lock();
        if terms.ends.is_none_or(|ends| ends > Instant::now()) {
            return (terms.ends, false);
        }
        self.end_under(&mut terms);
        (None, true)
    }

    /// Whether there is a pause.
    pub(crate) fn is_on(&self) -> bool {
        self.held.load(Ordering::Relaxed) != NOTHING
    }

    /// What waits of the requests of this client.
    #[inline]
    pub(crate) fn held_of(&self, id: u64) -> u8 {
        match self.held.load(Ordering::Relaxed) {
            NOTHING => NOTHING,
            held => self.unless_by(id, held),
        }
    }

    #[cold]
    fn unless_by(&self, id: u64, held: u8) -> u8 {
        if self.terms.lock().by.contains(&id) {
            NOTHING
        } else {
            held
        }
    }
}

/// Clients that are remembered as those who paused the others. The next one's own requests wait.
const PAUSERS_MAX: usize = 64;

/// What stands for a time that no clock reaches: a century.
const A_LONG_TIME: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn all_wait_but_the_one_who_paused_them() {
        let pause = Pause::default();
        assert_eq!(pause.held_of(1), NOTHING);
        pause.begin(1, ALL, HOUR);
        assert_eq!((pause.held_of(1), pause.held_of(2)), (NOTHING, ALL));
        pause.end();
        assert_eq!(pause.held_of(2), NOTHING);
    }

    #[test]
    fn of_two_pauses_the_longer_and_the_stricter_holds() {
        let pause = Pause::default();
        pause.begin(1, ALL, HOUR);
        let (ends, _) = pause.end_if_over();
        pause.begin(2, WRITES, Duration::ZERO);
        assert_eq!(pause.end_if_over(), (ends, false));
        assert_eq!(pause.held_of(3), ALL);
    }

    #[test]
    fn a_pause_ends_when_its_time_is_over_and_says_so_once() {
        let pause = Pause::default();
        pause.begin(1, WRITES, Duration::from_nanos(1));
        while pause.end_if_over() != (None, true) {}
        assert_eq!(pause.end_if_over(), (None, false));
    }

    // Until the clock's thread had ended it, every other client waited.
    #[test]
    fn pause_of_no_time_holds_nobody_up() {
        let pause = Pause::default();
        pause.begin(1, ALL, Duration::ZERO);
        assert_eq!(pause.held_of(2), NOTHING);
        pause.begin(1, WRITES, HOUR);
        pause.begin(1, ALL, Duration::ZERO);
        assert_eq!(pause.held_of(2), ALL);
    }

    #[test]
    fn a_time_beyond_all_clocks_is_a_long_time() {
        let pause = Pause::default();
        pause.begin(1, ALL, Duration::from_millis(u64::MAX));
        assert_eq!(pause.held_of(2), ALL);
        assert!(!pause.end_if_over().1);
    }
}
