//! The one thread that looks at the clock, so that nobody has to on the way of a request.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::state::stats::{Throughput, Turn};

/// Keeps the coarse clock, ends a pause in time, and sends those on their way who have rested for
/// too long, until the clock is stopped. Can be called again after a panic.
pub(crate) fn run(shared: &Shared) {
    let mut next_tick = Instant::now() + TICK;
    let mut pause_ends = None;
    let mut work_before = Throughput::default();
    let mut stuck = Stuck::default();
    while shared
        .clock
        .wait_until(pause_ends.map_or(next_tick, |ends| next_tick.min(ends)))
    {
        let over;
        (pause_ends, over) = shared.state.pause.end_if_over();
        if over {
            shared.release_the_paused();
        }
        shared.evict();
        let now = Instant::now();
        if now < next_tick {
            continue;
        }
        let has_stalled = now > next_tick + TICK;
        next_tick = now + TICK;
        // 136 years fit.
        let now_s = shared.state.started.elapsed().as_secs() as u32;
        shared.state.set_now_s(now_s, has_stalled);
        let work_ever = shared.state.stats.work_ever();
        shared.state.set_rates(work_ever.since(work_before));
        work_before = work_ever;
        expire_the_late(shared);
        stuck.look(shared);
    }
}

/// Has a worker decide on each client that seems to be late, or to have too much output pending. The
/// worker reads the socket first: what arrived in time must not be late because it was not read yet.
/// Also has a client served that is write-blocked and need not be any more: no event tells that.
fn expire_the_late(shared: &Shared) {
    let now = shared.state.now();
    let timeouts = shared.settings.timeouts();
    let limits = shared.output_limits();
    shared.pool.fetch(
        |client| {
            client.missed_deadline(now, timeouts).is_some()
                || client.exceeds(now.s, limits)
                || shared.can_unblock(client)
        },
        |mut client| {
            client.needs_check = true;
            shared.pool.submit(client);
        },
    );
}

/// Turns that have lasted for a while.
#[derive(Debug, Default)]
struct Stuck {
    /// Those that were under way at the last look.
    seen: Vec<Turn>,
    /// Those of this look; it keeps its room, as `seen` does.
    found: Vec<Turn>,
    /// Those that were told of.
    told: Vec<Turn>,
}

impl Stuck {
    /// Tells the log of each turn that was under way at the last look already, once.
    fn look(&mut self, shared: &Shared) {
        shared.state.stats.turns(&mut self.found);
        self.told.retain(|turn| self.found.contains(turn));
        for turn in self.found.iter().filter(|turn| self.seen.contains(turn)) {
            if !self.told.contains(turn) {
                tell(shared, turn);
                self.told.push(*turn);
            }
        }
        mem::swap(&mut self.seen, &mut self.found);
    }
}

fn tell(shared: &Shared, turn: &Turn) {
    let Some(info) = shared.state.clients.find(turn.client_id) else {
        return;
    };
    let index = info.command.load(Ordering::Relaxed);
    let command = shared.state.catalog.get(index.into());
    log::warn!(
        "worker-{} has been busy with one client for over a second: client {} ({}), command {}",
        turn.worker,
        info.id,
        info.peer_addr,
        command.map_or("none", |command| &command.full_name)
    );
}

/// How often the clock moves on.
const TICK: Duration = Duration::from_secs(1);
