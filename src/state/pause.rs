//! `CLIENT PAUSE`: holds up requests of other clients for a while.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The pause, if there is one. Commands begin and end it, the clock's thread ends it in time, and
/// workers look at it for each request.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    /// A [`PauseLevel`], or 0 without a pause. Written under the lock of `terms`, read without.
    level: AtomicU8,
    terms: Mutex<Terms>,
}

/// The requests that a pause holds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PauseLevel {
    /// Requests that change something for other clients.
    Writes = 1,
    All,
}

#[derive(Debug, Default)]
struct Terms {
    ends: Option<Instant>,
    /// The numbers of the clients that began a pause: their own requests are not held up.
    by: Vec<u64>,
}

impl Pause {
    /// Begins a pause, or makes the current one stricter and longer, never shorter. A pause of no
    /// time is none.
    pub(crate) fn begin(&self, by: u64, level: PauseLevel, lasts: Duration) {
        let mut terms = self.terms.lock();
        let current = self.level();
        if lasts.is_zero() && current.is_none() {
            return;
        }
        let now = Instant::now();
        let ends = now.checked_add(lasts).unwrap_or(now + A_LONG_TIME);
        terms.ends = terms.ends.max(Some(ends));
        if !terms.by.contains(&by) && terms.by.len() < PAUSERS_MAX {
            terms.by.push(by);
        }
        let level = current.map_or(level, |current| current.max(level));
        self.level.store(level as u8, Ordering::Relaxed);
    }

    /// Ends the pause. Returns whether there was one.
    pub(crate) fn end(&self) -> bool {
        self.end_under(&mut self.terms.lock())
    }

    fn end_under(&self, terms: &mut Terms) -> bool {
        *terms = Terms::default();
        self.level.swap(0, Ordering::Relaxed) != 0
    }

    /// Ends the pause if its time is over. Returns when it will end, and whether it has ended now.
    pub(crate) fn end_if_over(&self) -> (Option<Instant>, bool) {
        let mut terms = self.terms.lock();
        if terms.ends.is_none_or(|ends| ends > Instant::now()) {
            return (terms.ends, false);
        }
        (None, self.end_under(&mut terms))
    }

    #[inline]
    pub(crate) fn level(&self) -> Option<PauseLevel> {
        match self.level.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(PauseLevel::Writes),
            _ => Some(PauseLevel::All),
        }
    }

    /// Returns the level of the pause for the requests of this client; `None` if none holds them
    /// up.
    #[inline]
    pub(crate) fn level_for(&self, id: u64) -> Option<PauseLevel> {
        self.level().filter(|_| !self.is_by(id))
    }

    #[cold]
    fn is_by(&self, id: u64) -> bool {
        self.terms.lock().by.contains(&id)
    }
}

/// Maximum clients that are remembered as having begun a pause. A further one holds itself up, too.
const PAUSERS_MAX: usize = 64;

/// A century, in place of a time that no clock reaches.
const A_LONG_TIME: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::PauseLevel::{All, Writes};
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn pause_holds_up_all_but_the_client_that_began_it() {
        let pause = Pause::default();
        assert_eq!(pause.level_for(1), None);
        pause.begin(1, All, HOUR);
        assert_eq!((pause.level_for(1), pause.level_for(2)), (None, Some(All)));
        pause.end();
        assert_eq!(pause.level_for(2), None);
    }

    #[test]
    fn longer_and_stricter_of_two_pauses_wins() {
        let pause = Pause::default();
        pause.begin(1, All, HOUR);
        let (ends, _) = pause.end_if_over();
        pause.begin(2, Writes, Duration::ZERO);
        assert_eq!(pause.end_if_over(), (ends, false));
        assert_eq!(pause.level_for(3), Some(All));
    }

    #[test]
    fn pause_ends_in_time_once() {
        let pause = Pause::default();
        pause.begin(1, Writes, Duration::from_nanos(1));
        while pause.end_if_over() != (None, true) {}
        assert_eq!(pause.end_if_over(), (None, false));
    }

    // It held every other client up until the clock's thread ended it.
    #[test]
    fn pause_of_no_time_holds_nothing_up() {
        let pause = Pause::default();
        pause.begin(1, All, Duration::ZERO);
        assert_eq!(pause.level_for(2), None);
        pause.begin(1, Writes, HOUR);
        pause.begin(1, All, Duration::ZERO);
        assert_eq!(pause.level_for(2), Some(All));
    }

    #[test]
    fn time_beyond_all_clocks_is_a_long_time() {
        let pause = Pause::default();
        pause.begin(1, All, Duration::from_millis(u64::MAX));
        assert_eq!(pause.level_for(2), Some(All));
        assert!(!pause.end_if_over().1);
    }
}
