//! The clock: the one thread that reads the system clock every second, so that workers do not have
//! to read it for each request.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::state::stats::{Throughput, Turn};

/// Advances the coarse clock, ends CLIENT PAUSE in time, evicts clients, and closes timed-out
/// clients, until the clock is stopped. Can be called again after a panic.
pub(crate) fn run(shared: &Shared) {
    let mut next_tick = Instant::now() + TICK;
    let mut pause_ends = None;
    let mut work_before = Throughput::default();
    let mut long_turns = LongTurns::default();
    while shared
        .clock
        .wait_until(pause_ends.map_or(next_tick, |ends| next_tick.min(ends)))
    {
        let over;
        (pause_ends, over) = shared.state.pause.end_if_over();
        if over {
            shared.resume_paused_clients();
        }
        shared.evict();
        let now = Instant::now();
        if now < next_tick {
            continue;
        }
        let has_stalled = now > next_tick + TICK;
        next_tick = now + TICK;
        // 32 bits hold 136 years.
        let now_s = shared.state.started.elapsed().as_secs() as u32;
        shared.state.clock.set(now_s, has_stalled);
        let work_ever = shared.state.stats.work_ever();
        *shared.state.rates.lock() = work_ever.since(work_before);
        work_before = work_ever;
        check_clients(shared);
        long_turns.check(shared);
    }
}

/// Queues each client that seems to have missed a deadline, or to have too much output pending. A
/// worker decides: it reads the socket first, because bytes that arrived in time may be unread.
/// Also queues write-blocked clients that can go on, because no event tells that.
fn check_clients(shared: &Shared) {
    let now = shared.state.clock.now();
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

/// Turns that last for over a second. The vectors keep their memory between two ticks.
#[derive(Default)]
struct LongTurns {
    /// The turns at the last tick.
    before: Vec<Turn>,
    /// The turns now.
    now: Vec<Turn>,
    /// The turns that were logged.
    logged: Vec<Turn>,
}

impl LongTurns {
    /// Logs each turn that has lasted since the last tick, once.
    fn check(&mut self, shared: &Shared) {
        shared.state.stats.turns(&mut self.now);
        self.logged.retain(|turn| self.now.contains(turn));
        for turn in self.now.iter().filter(|turn| self.before.contains(turn)) {
            if !self.logged.contains(turn) {
                log_long_turn(shared, turn);
                self.logged.push(*turn);
            }
        }
        mem::swap(&mut self.before, &mut self.now);
    }
}

fn log_long_turn(shared: &Shared, turn: &Turn) {
    let Some(info) = shared.state.clients.find(turn.client_id) else {
        return;
    };
    let index = info.command.load(Ordering::Relaxed);
    let command = shared.state.catalog.get(index.into());
    log::warn!(
        "worker-{} has been busy with one client for over a second: client {} ({}), command {}",
        turn.worker,
        info.id,
        info.peer,
        command.map_or("none", |command| &command.full_name)
    );
}

/// Resolution of the coarse clock.
const TICK: Duration = Duration::from_secs(1);
