//! The clock: the one thread that reads the system clock every second, so that workers do not have
//! to read it for each request.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::clock_signal::Woken;
use super::progress::{LongTurn, Sight, Standstill};
use super::shared::Shared;
use super::supervision;
use crate::logging;
use crate::state::stats::{Throughput, Turn};

/// Runs the clock until it is stopped, also after panics. If it panics again and again, drains.
pub(super) fn keep_running(shared: &Shared) {
    let give_up = || {
        shared.clock_heartbeat.give_up();
        shared.fail();
    };
    supervision::keep_running("clock", || run(shared), give_up);
    shared.clock_heartbeat.end();
}

/// Advances the coarse clock, wakes the acceptor, ends CLIENT PAUSE and waits for deferred replies
/// in time, evicts clients, and closes timed-out clients, until the clock is stopped. Can be called
/// again after a panic.
fn run(shared: &Shared) {
    let mut next_tick = Instant::now() + TICK;
    let mut pause_ends = None;
    let mut wakes_seen = 0;
    let mut work_before = Throughput::default();
    let mut long_turns = LongTurns::default();
    while let Some(woken) = shared
        .clock
        .wait_until(next_wake(shared, next_tick, pause_ends), &mut wakes_seen)
    {
        shared.clock_heartbeat.beat(Instant::now());
        shared.state.end_timed_out(Instant::now());
        let over;
        (pause_ends, over) = shared.state.pause.end_if_over();
        if over {
            shared.resume_paused_clients();
        }
        let now = Instant::now();
        if woken == Woken::ByRequest || now >= next_tick {
            shared.evict();
        }
        long_turns.check(shared);
        if now < next_tick {
            continue;
        }
        let has_stalled = now > next_tick + TICK;
        next_tick = now + TICK;
        // The acceptor beats then. It has no timer of its own.
        shared.wake_acceptor();
        // 32 bits hold 136 years.
        let now_s = shared.state.started.elapsed().as_secs() as u32;
        shared.state.clock.set(now_s, has_stalled);
        let work_ever = shared.state.stats.work_ever();
        *shared.state.rates.lock() = work_ever.since(work_before);
        work_before = work_ever;
        check_clients(shared);
    }
}

/// Returns when the clock has something to do again, unless it is woken before.
fn next_wake(shared: &Shared, next_tick: Instant, pause_ends: Option<Instant>) -> Instant {
    // So that a standstill is noticed after about this time, also if it is less than a second.
    let now = Instant::now();
    let look = now + shared.settings.stuck_after() / 4;
    let timeout = shared.state.deferrals.next_timeout();
    // Many timeouts one after the other must not keep the clock awake.
    let timeout = timeout.map(|at| at.max(now + TIMEOUT_STEP));
    pause_ends
        .into_iter()
        .chain(timeout)
        .fold(next_tick.min(look), Instant::min)
}

/// Queues each client that seems to have missed a deadline, or to have too much output pending. A
/// worker decides: it reads the socket first, because bytes that arrived in time may be unread.
/// Also queues clients with pending output that can go on although no event reports that: the
/// bounds have room, or the socket may have.
fn check_clients(shared: &Shared) {
    let now = shared.state.clock.now();
    let timeouts = shared.settings.timeouts();
    let limits = shared.output_limits();
    shared.pool.fetch(
        |client| {
            client.missed_deadline(now, timeouts).is_some()
                || client.exceeds(now.s, limits)
                || shared.can_unblock(client)
                || client.may_have_room(now.s)
        },
        |mut client| {
            client.needs_check = true;
            shared.pool.submit(client);
        },
    );
}

/// Logs turns that last for over a second, and standstills.
#[derive(Default)]
struct LongTurns {
    /// The turns that were logged.
    logged: Vec<LongTurn>,
    /// The standstill that was logged.
    standstill: Option<Standstill>,
}

impl LongTurns {
    /// Logs each turn and each standstill once, and the end of a standstill.
    fn check(&mut self, shared: &Shared) {
        let sight = shared.look_at_workers();
        self.logged.retain(|logged| sight.turns.contains(logged));
        for long in sight
            .turns
            .iter()
            .filter(|long| long.since.elapsed() >= TICK)
        {
            if !self.logged.contains(long) {
                log_long_turn(shared, &long.turn);
                self.logged.push(*long);
            }
        }
        let standstill = sight.standstill(shared.settings.stuck_after());
        match (self.standstill, standstill) {
            (None, Some(standstill)) => log_standstill(shared, standstill, &sight),
            (Some(standstill), None) => logging::info!(
                "workers make progress again, after {} ms",
                standstill.since().elapsed().as_millis()
            ),
            (None, None) | (Some(_), Some(_)) => {}
        }
        self.standstill = standstill;
    }
}

fn log_standstill(shared: &Shared, standstill: Standstill, sight: &Sight) {
    let mut commands = BTreeMap::new();
    for long in &sight.turns {
        let info = shared.state.clients.find(long.turn.client_id);
        let index = info.map(|info| info.command.load(Ordering::Relaxed));
        let command = index.and_then(|index| shared.state.catalog.get(index.into()));
        let name = command.map_or("none", |command| &command.full_name);
        *commands.entry(name).or_insert(0) += 1;
    }
    let commands: Vec<_> = commands
        .iter()
        .map(|(name, workers)| format!("{name} on {workers}"))
        .collect();
    let reason = standstill.unfit(shared.settings.stuck_after());
    logging::warn!(
        "{reason} (raise `workers`, or `stuck-worker-ms`); commands: {}",
        commands.join(", ")
    );
}

fn log_long_turn(shared: &Shared, turn: &Turn) {
    let Some(info) = shared.state.clients.find(turn.client_id) else {
        return;
    };
    let index = info.command.load(Ordering::Relaxed);
    let command = shared.state.catalog.get(index.into());
    logging::warn!(
        "worker-{} has been busy with one client for over a second: client {} ({}), command {}",
        turn.worker,
        info.id,
        info.peer,
        command.map_or("none", |command| &command.full_name)
    );
}

/// Minimum time between two looks at the timeouts of deferred replies.
const TIMEOUT_STEP: Duration = Duration::from_millis(5);

/// Resolution of the coarse clock.
const TICK: Duration = Duration::from_secs(1);
