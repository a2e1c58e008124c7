//! Whether the threads run that nothing replaces: the acceptor and the clock.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::state::health::Unfit;

/// When a thread last showed that it runs.
pub(super) struct Heartbeat {
    name: &'static str,
    pulse: Mutex<Pulse>,
    /// Notified when `pulse` changes.
    changed: Condvar,
}

#[derive(Clone, Copy)]
enum Pulse {
    /// The thread has not started, or has ended as planned.
    Off,
    /// The thread ran at this time.
    At(Instant),
    /// The thread panicked again and again, and was given up.
    GivenUp,
}

impl Heartbeat {
    pub(super) fn of(name: &'static str) -> Self {
        Self {
            name,
            pulse: Mutex::new(Pulse::Off),
            changed: Condvar::new(),
        }
    }

    /// Notes that the thread runs. The thread calls this about once a second, or more often.
    pub(super) fn beat(&self, now: Instant) {
        *self.pulse.lock() = Pulse::At(now);
        self.changed.notify_all();
    }

    /// Notes that the thread has ended as planned.
    pub(super) fn end(&self) {
        let mut pulse = self.pulse.lock();
        match *pulse {
            Pulse::Off | Pulse::At(_) => *pulse = Pulse::Off,
            Pulse::GivenUp => {}
        }
        self.changed.notify_all();
    }

    pub(super) fn give_up(&self) {
        *self.pulse.lock() = Pulse::GivenUp;
        self.changed.notify_all();
    }

    /// Returns whether the thread has started and not ended.
    pub(super) fn is_running(&self) -> bool {
        matches!(*self.pulse.lock(), Pulse::At(_))
    }

    /// Returns an error if the thread was given up or has not run for a while. Waits a moment for a
    /// thread that is late: after the machine stood still, the caller may be the first to run.
    pub(super) fn check(&self) -> Result<(), Unfit> {
        self.check_within(GRACE)
    }

    fn check_within(&self, grace: Duration) -> Result<(), Unfit> {
        let mut pulse = self.pulse.lock();
        let is_late = |pulse: &mut Pulse| match pulse {
            Pulse::At(time) => time.elapsed() > LATE_AFTER,
            Pulse::Off | Pulse::GivenUp => false,
        };
        self.changed.wait_while_for(&mut pulse, is_late, grace);
        match *pulse {
            Pulse::GivenUp => Err(Unfit::new(format!("the {} kept panicking", self.name))),
            Pulse::At(time) if time.elapsed() > LATE_AFTER => Err(Unfit::new(format!(
                "the {} has made no progress for {} s",
                self.name,
                time.elapsed().as_secs()
            ))),
            Pulse::Off | Pulse::At(_) => Ok(()),
        }
    }
}

/// Time without a beat after which a thread counts as dead: long for a busy machine, and shorter
/// than the watchdogs and probes of service managers usually are.
const LATE_AFTER: Duration = Duration::from_secs(10);

/// Time in which a thread that can run beats.
const GRACE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn text(heartbeat: &Heartbeat) -> String {
        heartbeat
            .check()
            .map_or_else(|unfit| unfit.to_string(), |()| "fine".into())
    }

    fn late() -> Pulse {
        let time = Instant::now().checked_sub(LATE_AFTER + Duration::from_secs(2));
        Pulse::At(time.expect("the machine has run for some seconds"))
    }

    #[test]
    fn thread_without_beats_is_dead_and_recovers() {
        let heartbeat = Heartbeat::of("clock");
        assert_eq!(text(&heartbeat), "fine");
        *heartbeat.pulse.lock() = late();
        assert_eq!(text(&heartbeat), "the clock has made no progress for 12 s");
        heartbeat.beat(Instant::now());
        assert_eq!(text(&heartbeat), "fine");
    }

    #[test]
    fn thread_given_up_stays_dead() {
        let heartbeat = Heartbeat::of("acceptor");
        heartbeat.give_up();
        heartbeat.end();
        assert_eq!(text(&heartbeat), "the acceptor kept panicking");
    }

    #[test]
    fn late_thread_that_beats_at_once_is_alive() {
        let heartbeat = Heartbeat::of("clock");
        *heartbeat.pulse.lock() = late();
        thread::scope(|scope| {
            scope.spawn(|| heartbeat.beat(Instant::now()));
            // Longer than a busy machine takes to start a thread.
            let checked = heartbeat.check_within(Duration::from_secs(60));
            assert_eq!(checked, Ok(()));
        });
    }
}
