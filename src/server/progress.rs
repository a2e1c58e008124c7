//! Whether the workers make progress, and since when they do not.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::state::health::Unfit;
use crate::state::stats::{Activity, Turn};

/// Since when each worker is in its turn. Known as exactly as somebody looks: the clock does so at
/// least once a second.
pub(super) struct Progress(Mutex<Seen>);

struct Seen {
    /// When somebody looked last.
    at: Instant,
    turns: Vec<LongTurn>,
    /// Turns that the running workers had begun.
    begun: u64,
    /// Since when clients wait in the queue and no turn has begun.
    waiting_since: Option<Instant>,
}

/// A turn in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LongTurn {
    pub(super) turn: Turn,
    /// When it was seen first.
    pub(super) since: Instant,
}

/// What the workers were doing at a look.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) turns: Vec<LongTurn>,
    /// Since when every worker has been in its turn.
    all_since: Option<Instant>,
    waiting_since: Option<Instant>,
    at: Instant,
}

/// Why the workers make no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standstill {
    /// Every worker has been in one handler since then.
    AllInHandlers(Instant),
    /// Clients have waited in the queue since then, and no turn has begun.
    QueueStands(Instant),
}

impl Progress {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Seen {
            at: Instant::now(),
            turns: Vec::new(),
            begun: 0,
            waiting_since: None,
        }))
    }

    /// Notes what the workers are doing, and how many clients are `queued`.
    pub(super) fn look(&self, activity: &Activity, queued: usize) -> Sight {
        let mut seen = self.0.lock();
        // Inside the lock, so that time does not go back from one look to the next.
        seen.update(activity, queued, Instant::now())
    }
}

impl Seen {
    fn update(&mut self, activity: &Activity, queued: usize, now: Instant) -> Sight {
        if now.duration_since(self.at) > STALLED_AFTER {
            // The process was stopped. That does not count against the workers.
            self.turns.iter_mut().for_each(|turn| turn.since = now);
            self.waiting_since = self.waiting_since.map(|_| now);
        }
        let since = |turn: &Turn| {
            let known = self.turns.iter().find(|seen| seen.turn == *turn);
            known.map_or(now, |seen| seen.since)
        };
        let turns = activity.turns.iter().map(|turn| LongTurn {
            turn: *turn,
            since: since(turn),
        });
        self.turns = turns.collect();
        let stands = queued > 0 && activity.begun == self.begun;
        self.waiting_since = stands.then(|| self.waiting_since.unwrap_or(now));
        self.begun = activity.begun;
        self.at = now;
        let are_all_busy = self.turns.len() >= activity.workers;
        let youngest = self.turns.iter().map(|turn| turn.since).max();
        Sight {
            turns: self.turns.clone(),
            all_since: youngest.filter(|_| are_all_busy),
            waiting_since: self.waiting_since,
            at: now,
        }
    }
}

impl Sight {
    /// Returns why the workers have made no progress for `limit`; `None` if they have made some.
    pub(super) fn standstill(&self, limit: Duration) -> Option<Standstill> {
        let is_long = |since: &Instant| self.at.duration_since(*since) >= limit;
        let all = self.all_since.filter(is_long);
        let waiting = self.waiting_since.filter(is_long);
        all.map(Standstill::AllInHandlers)
            .or(waiting.map(Standstill::QueueStands))
    }
}

impl Standstill {
    pub(super) fn since(self) -> Instant {
        match self {
            Self::AllInHandlers(since) | Self::QueueStands(since) => since,
        }
    }

    /// Returns the reason that [`Health`](crate::Health) shows. It says `limit` and not the time,
    /// so that it is the same until it ends.
    pub(super) fn unfit(self, limit: Duration) -> Unfit {
        let ms = limit.as_millis();
        Unfit::new(match self {
            Self::AllInHandlers(_) => {
                format!("every worker has been in one handler for over {ms} ms")
            }
            Self::QueueStands(_) => {
                format!("clients wait, and no worker has taken one for over {ms} ms")
            }
        })
    }
}

/// Time between two checks after which the process must have been stopped.
const STALLED_AFTER: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Two workers, seen once a second.
    struct Test {
        seen: Seen,
        now: Instant,
    }

    impl Test {
        fn new() -> Self {
            let Progress(seen) = Progress::new();
            let seen = seen.into_inner();
            Self { now: seen.at, seen }
        }

        /// Looks once in each of the next `seconds`. `turns` are the numbers of the turns in
        /// progress.
        fn after(&mut self, seconds: u64, turns: &[u64], queued: usize) -> Option<Standstill> {
            let turns = turns.iter().enumerate();
            let activity = Activity {
                workers: 2,
                begun: turns.clone().map(|(_, number)| number).sum(),
                turns: turns
                    .map(|(worker, &number)| Turn {
                        worker,
                        number,
                        client_id: 1 + worker as u64,
                    })
                    .collect(),
            };
            let mut sight = None;
            for _ in 0..seconds {
                self.now += Duration::from_secs(1);
                sight = Some(self.seen.update(&activity, queued, self.now));
            }
            sight.expect("some seconds pass").standstill(LIMIT)
        }
    }

    #[test]
    fn workers_stand_still_if_all_are_in_long_turns() {
        let mut test = Test::new();
        assert_eq!(test.after(10, &[1, 1], 0), None);
        let standstill = test.after(1, &[1, 1], 0).expect("10 s have passed");
        let unfit = standstill.unfit(LIMIT).to_string();
        assert_eq!(
            unfit,
            "every worker has been in one handler for over 10000 ms"
        );
        assert_eq!(test.after(1, &[1, 2], 0), None);
        assert_eq!(test.after(9, &[1, 2], 0), None);
        assert!(test.after(1, &[1, 2], 0).is_some());
    }

    #[test]
    fn one_worker_without_a_turn_is_progress() {
        let mut test = Test::new();
        assert_eq!(test.after(100, &[1], 0), None);
    }

    #[test]
    fn workers_stand_still_if_nobody_takes_queued_clients() {
        let mut test = Test::new();
        assert_eq!(test.after(11, &[1], 1), None);
        let standstill = test.after(1, &[1], 1).expect("10 s have passed");
        assert!(matches!(standstill, Standstill::QueueStands(_)));
        assert_eq!(test.after(1, &[2], 1), None);
        assert_eq!(test.after(100, &[2], 0), None);
    }

    #[test]
    fn time_in_which_the_process_was_stopped_does_not_count() {
        let mut test = Test::new();
        assert_eq!(test.after(5, &[1, 1], 1), None);
        test.now += Duration::from_secs(3600);
        assert_eq!(test.after(10, &[1, 1], 1), None);
        assert!(test.after(1, &[1, 1], 1).is_some());
    }
}
