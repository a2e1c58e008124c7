//! The one thread that looks at the clock, so that nobody has to on the way of a request.

use std::sync::atomic::Ordering;
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
    let mut requests_before = 0_u64;
    while stop.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        // 136 years fit.
        let now_s = start.elapsed().as_secs() as u32;
        shared.set_now_s(now_s);
        let requests_ever = shared.facts.totals_ever().requests;
        let requests_per_s = requests_ever.wrapping_sub(requests_before);
        shared
            .facts
            .requests_per_s
            .store(requests_per_s, Ordering::Relaxed);
        requests_before = requests_ever;
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
