//! The one thread that looks at the clock, so that nobody has to on the way of a request.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::server::Shared;

/// What is never sent: the channel only ends.
#[derive(Debug, PartialEq)]
pub(crate) enum Never {}

/// Keeps the coarse clock, and sends those on their way who have rested for too long, until every
/// sender of `stop` is dropped.
pub(crate) fn run(shared: &Shared, stop: &Receiver<Never>) {
    let start = Instant::now();
    while stop.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        // 136 years fit.
        let now_s = start.elapsed().as_secs() as u32;
        shared.set_now_s(now_s);
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
