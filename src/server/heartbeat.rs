//! Whether the threads run that nothing replaces: the acceptor and the clock.

use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::state::health::Unfit;

/// When a thread last showed that it runs.
pub(super) struct Heartbeat {
    name: &'static str,
    pulse: Mutex<Pulse>,
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
        let pulse = Mutex::new(Pulse::Off);
        Self { name, pulse }
    }

    /// Notes that the thread runs. The thread calls this at least once a second.
    pub(super) fn beat(&self) {
        *self.pulse.lock() = Pulse::At(Instant::now());
    }

    /// Notes that the thread has ended as planned.
    pub(super) fn end(&self) {
        let mut pulse = self.pulse.lock();
        match *pulse {
            Pulse::Off | Pulse::At(_) => *pulse = Pulse::Off,
            Pulse::GivenUp => {}
        }
    }

    pub(super) fn give_up(&self) {
        *self.pulse.lock() = Pulse::GivenUp;
    }

    /// Returns whether the thread has started and not ended.
    pub(super) fn is_running(&self) -> bool {
        matches!(*self.pulse.lock(), Pulse::At(_))
    }

    /// Returns an error if the thread was given up or has not run for a while. Waits a moment for a
    /// thread that is late: after the machine stood still, the caller may be the first to run.
    pub(super) fn check(&self) -> Result<(), Unfit> {
        let deadline = Instant::now() + GRACE;
        loop {
            let pulse = *self.pulse.lock();
            match pulse {
                Pulse::Off => return Ok(()),
                Pulse::GivenUp => {
                    return Err(Unfit::new(format!("the {} kept panicking", self.name)));
                }
                Pulse::At(time) if time.elapsed() <= LATE_AFTER => return Ok(()),
                Pulse::At(_) if Instant::now() < deadline => thread::sleep(GRACE / 10),
                Pulse::At(time) => {
                    return Err(Unfit::new(format!(
                        "the {} has made no progress for {} s",
                        self.name,
                        time.elapsed().as_secs()
                    )));
                }
            }
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
        heartbeat.beat();
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
            scope.spawn(|| heartbeat.beat());
            assert_eq!(text(&heartbeat), "fine");
        });
    }
}
