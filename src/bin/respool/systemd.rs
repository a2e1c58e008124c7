//! Notifications for systemd, or another service manager that sets `NOTIFY_SOCKET`:
//! see `sd_notify(3)`.
//!
//! A thread of its own sends them, because a manager that does not read blocks the sender. The
//! variable stays in the environment: the program starts no process that could inherit it, and
//! removing a variable is unsafe.

use std::env;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use log::warn;
use sd_notify::NotifyState;

use respool::ServerHandle;

/// The service manager, as the rest of the program sees it. Without one, nothing happens.
#[derive(Clone)]
pub(super) struct Systemd(Option<Sender<Event>>);

/// What the service manager hears of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The sockets listen, and the threads run.
    Ready,
    Reloading,
    Reloaded,
    /// A drain was requested. It takes up to this time.
    Stopping(Duration),
    /// The server has stopped.
    Stopped,
}

impl Systemd {
    /// Also returns the events, for [`Notifier`]; `None` without a service manager.
    pub(super) fn new() -> (Self, Option<Receiver<Event>>) {
        if env::var_os("NOTIFY_SOCKET").is_none() {
            return (Self(None), None);
        }
        let (sender, events) = unbounded();
        (Self(Some(sender)), Some(events))
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Has the service manager notified, and returns at once.
    pub(super) fn notify(&self, event: Event) {
        if let Some(events) = &self.0 {
            let _ = events.send(event);
        }
    }
}

/// The thread that sends the notifications.
pub(super) struct Notifier {
    server: ServerHandle,
    events: Receiver<Event>,
    /// The time between two pings of the watchdog; `None` if the manager wants none.
    ping_period: Option<Duration>,
    pinged_at: Instant,
    /// The status that was sent last.
    status: String,
    is_stopping: bool,
    has_failed: bool,
}

impl Notifier {
    pub(super) fn new(server: ServerHandle, events: Receiver<Event>) -> Self {
        Self {
            server,
            events,
            // Half, as `sd_watchdog_enabled(3)` recommends.
            ping_period: sd_notify::watchdog_enabled().map(|timeout| timeout / 2),
            pinged_at: Instant::now(),
            status: String::new(),
            is_stopping: false,
            has_failed: false,
        }
    }

    /// Sends notifications until the server has stopped.
    pub(super) fn run(mut self) {
        let mut next = self.events.recv().map_err(RecvTimeoutError::from);
        loop {
            match next {
                Ok(Event::Stopped) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(event) => self.report(event),
                Err(RecvTimeoutError::Timeout) => self.report_state(),
            }
            let ping_in = self.ping_period.map(|period| {
                let since = self.pinged_at.elapsed();
                period.saturating_sub(since)
            });
            let timeout = ping_in.into_iter().fold(STATUS_PERIOD, Duration::min);
            next = self.events.recv_timeout(timeout);
        }
    }

    fn report(&mut self, event: Event) {
        match event {
            Event::Ready => {
                self.send(&[NotifyState::Ready]);
                self.report_state();
            }
            // A service that is stopping does not become ready again.
            Event::Reloading | Event::Reloaded if self.is_stopping => {}
            Event::Reloading => match NotifyState::monotonic_usec_now() {
                Ok(now) => self.send(&[NotifyState::Reloading, now]),
                Err(error) => warn!("cannot read the clock for the service manager: {error}"),
            },
            Event::Reloaded => self.send(&[NotifyState::Ready]),
            Event::Stopping(at_most) => {
                self.is_stopping = true;
                // An hour of delay and an hour of drain do not fit, and one of them is enough.
                let us = u32::try_from((at_most + STOP_MARGIN).as_micros()).unwrap_or(u32::MAX);
                self.send(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(us)]);
                self.report_state();
            }
            Event::Stopped => {}
        }
    }

    /// Sends the status if it has changed, and a ping if it is time and the server works.
    fn report_state(&mut self) {
        let health = self.server.health();
        let is_due = |period| self.pinged_at.elapsed() >= period;
        if self.ping_period.is_some_and(is_due) {
            self.pinged_at = Instant::now();
            if health.live.is_ok() && health.workers.is_ok() {
                self.send(&[NotifyState::Watchdog]);
            }
        }
        let clients = count(self.server.stats().clients, "client");
        let workers = count(self.server.workers(), "worker");
        let status = match health.ready {
            Ok(()) => format!("serving {clients} on {workers}"),
            Err(unfit) => format!("{unfit} ({clients}, {workers})"),
        };
        if status != self.status {
            self.send(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    fn send(&mut self, states: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(states) {
            if !self.has_failed {
                warn!("cannot notify the service manager: {error}");
            }
            self.has_failed = true;
        }
    }
}

/// Returns a number with its noun.
fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Time between two looks at what the status shows.
const STATUS_PERIOD: Duration = Duration::from_secs(1);

/// Time for what follows a drain: the last turn of the workers, and the end of the process.
const STOP_MARGIN: Duration = Duration::from_secs(5);
