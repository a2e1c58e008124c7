//! Notifications for systemd, or another service manager that sets `NOTIFY_SOCKET`:
//! see `sd_notify(3)`.
//!
//! A thread of its own sends them, because a manager that does not read blocks the sender. The
//! variable stays in the environment: the program starts no process that could inherit it, and
//! removing a variable is unsafe.

use std::time::{Duration, Instant};
use std::{env, io};

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
        if env::var_os(NOTIFY_SOCKET).is_none_or(|socket| socket.is_empty()) {
            return (Self(None), None);
        }
        let (sender, events) = unbounded();
        (Self(Some(sender)), Some(events))
    }

    pub(super) fn is_present(&self) -> bool {
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
    /// `None` if the manager wants no pings.
    pings: Option<Pings>,
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
            pings: Pings::wanted(),
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
            let ping_in = self
                .pings
                .as_ref()
                .map(|pings| pings.due_in(Instant::now()));
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
        let works = health.live.is_ok() && health.workers.is_ok();
        if let Some(pings) = &mut self.pings
            && pings.is_to_send(works, Instant::now())
        {
            self.send(&[NotifyState::Watchdog]);
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
        if let Err(error) = notify(states) {
            if !self.has_failed {
                warn!("cannot notify the service manager: {error}");
            }
            self.has_failed = true;
        }
    }
}

/// Sends one datagram, also to an abstract socket, whose name begins with `@`: sd-notify takes that
/// for a file.
#[cfg(target_os = "linux")]
fn notify(states: &[NotifyState<'_>]) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let socket = env::var_os(NOTIFY_SOCKET).unwrap_or_default();
    let Some(name) = socket.as_bytes().strip_prefix(b"@") else {
        return sd_notify::notify(states);
    };
    let address = SocketAddr::from_abstract_name(name)?;
    let lines: Vec<_> = states.iter().map(|state| format!("{state}\n")).collect();
    let sender = UnixDatagram::unbound()?;
    sender
        .send_to_addr(lines.concat().as_bytes(), &address)
        .map(drop)
}

#[cfg(not(target_os = "linux"))]
fn notify(states: &[NotifyState<'_>]) -> io::Result<()> {
    sd_notify::notify(states)
}

const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// When the watchdog of the manager is pinged.
#[derive(Debug)]
struct Pings {
    /// The time between two.
    period: Duration,
    /// When the last one was sent, or the manager began to wait for the first.
    last: Instant,
}

impl Pings {
    /// Returns what the manager wants; `None` if it wants none.
    fn wanted() -> Option<Self> {
        let timeout = sd_notify::watchdog_enabled().filter(|timeout| !timeout.is_zero())?;
        Some(Self::new(timeout, Instant::now()))
    }

    fn new(timeout: Duration, now: Instant) -> Self {
        Self {
            // Half, as `sd_watchdog_enabled(3)` recommends.
            period: timeout / 2,
            last: now,
        }
    }

    /// Returns whether a ping is to be sent now. One that is due stays so while the server does not
    /// work: if it waited for the next period, the timeout would be over although the server works
    /// again.
    fn is_to_send(&mut self, works: bool, now: Instant) -> bool {
        let is_due = now.duration_since(self.last) >= self.period;
        if is_due && works {
            self.last = now;
        }
        is_due && works
    }

    /// Returns the time until the next ping is due, or is to be tried again.
    fn due_in(&self, now: Instant) -> Duration {
        let left = self.period.saturating_sub(now.duration_since(self.last));
        left.max(self.period / 16).max(PING_PAUSE_MIN)
    }
}

/// Returns a number with its noun.
fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Time between two updates of the status.
const STATUS_PERIOD: Duration = Duration::from_secs(1);

/// Minimum time between two checks whether a ping is due, so that a tiny timeout of the watchdog
/// does not keep a CPU busy.
const PING_PAUSE_MIN: Duration = Duration::from_millis(10);

/// Time for what follows a drain: the last turn of the workers, and the end of the process.
const STOP_MARGIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the times in milliseconds at which pings are sent in 10 s, with a timeout of 2 s.
    fn pings_ms(works: impl Fn(u128) -> bool) -> Vec<u128> {
        let start = Instant::now();
        let mut pings = Pings::new(Duration::from_secs(2), start);
        let (mut now, mut sent) = (start, Vec::new());
        while now < start + Duration::from_secs(10) {
            let ms = now.duration_since(start).as_millis();
            if pings.is_to_send(works(ms), now) {
                sent.push(ms);
            }
            now += pings.due_in(now);
        }
        sent
    }

    #[test]
    fn pings_come_in_half_the_time() {
        let sent: Vec<_> = (1..10).map(|number| number * 1000).collect();
        assert_eq!(pings_ms(|_| true), sent);
        assert!(pings_ms(|_| false).is_empty());
    }

    #[test]
    fn ping_is_made_up_for_when_the_server_works_again() {
        // It does not work when the ping of 2 s is due, and soon works again.
        let sent = pings_ms(|ms| !(1900..2500).contains(&ms));
        assert_eq!(sent[0], 1000);
        assert!((2500..2700).contains(&sent[1]), "{sent:?}");
        assert_eq!(sent[2], sent[1] + 1000);
    }

    #[test]
    fn tiny_timeout_leaves_the_cpu_idle() {
        let now = Instant::now();
        let pings = Pings::new(Duration::from_micros(1), now);
        assert_eq!(pings.due_in(now + Duration::from_secs(1)), PING_PAUSE_MIN);
    }
}
