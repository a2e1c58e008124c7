//! The one thread that looks at the clock, so that nobody has to on the way of a request.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::facts::stats::Work;
use crate::server::Shared;

/// How others have the clock's thread look up, or end.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    word: Mutex<Word>,
    given: Condvar,
}

#[derive(Debug, Default)]
struct Word {
    stop: bool,
    look: bool,
}

impl Clock {
    /// Has the thread look at the pause, whose end has changed.
    pub(crate) fn look(&self) {
        self.word.lock().look = true;
        self.given.notify_one();
    }

    /// Has the thread end.
    pub(crate) fn stop(&self) {
        self.word.lock().stop = true;
        self.given.notify_one();
    }

    /// Waits for a word, or until `deadline`. Gives whether the thread is to go on.
    fn wait_until(&self, deadline: Instant) -> bool {
        let mut word = self.word.lock();
        let silent = |word: &mut Word| !word.stop && !word.look;
        self.given.wait_while_until(&mut word, silent, deadline);
        word.look = false;
        !word.stop
    }
}

/// Keeps the coarse clock, ends a pause in time, and sends those on their way who have rested for
/// too long, until the clock is stopped.
pub(crate) fn run(shared: &Shared) {
    let start = Instant::now();
    let mut next_tick = start + TICK;
    let mut pause_ends = None;
    let mut work_before = Work::default();
    while shared
        .clock
        .wait_until(pause_ends.map_or(next_tick, |ends| next_tick.min(ends)))
    {
        let over;
        (pause_ends, over) = shared.facts.pause.end_if_over();
        if over {
            shared.release_the_paused();
        }
        let now = Instant::now();
        if now < next_tick {
            continue;
        }
        next_tick = now + TICK;
        // 136 years fit.
        let now_s = start.elapsed().as_secs() as u32;
        shared.facts.now_s.store(now_s, Ordering::Relaxed);
        let work_ever = shared.facts.stats.work_ever();
        shared.facts.set_rates(work_ever.since(work_before));
        work_before = work_ever;
        let timeout_s = shared.settings.timeout_s();
        shared.pool.fetch(
            |client| client.is_overdue(now_s, timeout_s),
            |mut client| {
                client.expire();
                shared.pool.submit(client);
            },
        );
    }
}

/// How often the clock moves on.
const TICK: Duration = Duration::from_secs(1);
