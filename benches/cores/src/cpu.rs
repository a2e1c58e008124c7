//! Threads on cores, and functions that take turns on two of them.

use std::fs;
use std::hint;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Two cores that this process may use.
pub(crate) type Pair = [usize; 2];

/// Returns the first two cores that this process may use.
pub(crate) fn pair() -> io::Result<Pair> {
    let set = sched_getaffinity(None)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core));
    match (cores.next(), cores.next()) {
        (Some(first), Some(second)) => Ok([first, second]),
        _ => Err(io::Error::other("this needs two cores")),
    }
}

/// Moves this thread to these cores. The threads that it starts inherit them.
pub(crate) fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// Calls two functions in turns, `rounds` times each: the first on the first core of the pair, the
/// second on the other. Neither core sleeps meanwhile.
pub(crate) fn in_turns(
    pair: Pair,
    rounds: usize,
    mut first: impl FnMut(),
    mut second: impl FnMut() + Send,
) -> io::Result<()> {
    let turn = AtomicUsize::new(0);
    let wait_for = |wanted: usize| spin_until(|| turn.load(Ordering::Acquire) == wanted);
    pin(&pair[..1])?;
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let pinned = pin(&pair[1..]);
            for round in 0..rounds {
                wait_for(2 * round + 1);
                second();
                turn.store(2 * round + 2, Ordering::Release);
            }
            pinned
        });
        for round in 0..rounds {
            wait_for(2 * round);
            first();
            turn.store(2 * round + 1, Ordering::Release);
        }
        other.join().expect("it does not panic")
    })
}

/// Calls a function `rounds` times on each core of the pair, each time on both at once, with the
/// index of the core and the number of the round.
pub(crate) fn at_once(
    pair: Pair,
    rounds: usize,
    work: impl Fn(usize, usize) + Sync,
) -> io::Result<()> {
    let arrived = AtomicUsize::new(0);
    let run = |side: usize| {
        let pinned = pin(&pair[side..=side]);
        for round in 0..rounds {
            arrived.fetch_add(1, Ordering::AcqRel);
            spin_until(|| arrived.load(Ordering::Acquire) >= 2 * (round + 1));
            work(side, round);
        }
        pinned
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| run(1));
        run(0)?;
        other.join().expect("it does not panic")
    })
}

/// Spins, and gives way now and then: on a busy machine the other thread may wait for this core.
fn spin_until(is_done: impl Fn() -> bool) {
    for spin in 1_u32.. {
        if is_done() {
            return;
        }
        if spin.is_multiple_of(4096) {
            thread::yield_now();
        }
        hint::spin_loop();
    }
}

/// How long the two cores were idle, and how long this process ran, until a moment.
pub(crate) struct CpuUsage {
    at: Instant,
    idle_s: f64,
    own_s: f64,
}

impl CpuUsage {
    pub(crate) fn now(pair: Pair) -> io::Result<Self> {
        let of_cores = fs::read_to_string("/proc/stat")?;
        let of_process = fs::read_to_string("/proc/self/stat")?;
        // The name, in brackets, may contain spaces.
        let (_, after_name) = of_process.rsplit_once(") ").unwrap_or_default();
        let idle = |core: usize| {
            let name = format!("cpu{core} ");
            let line = of_cores.lines().find_map(|line| line.strip_prefix(&name));
            // `idle` and `iowait`.
            line.map_or(0.0, |line| sum_s(line, 3))
        };
        Ok(Self {
            at: Instant::now(),
            idle_s: pair.map(idle).iter().sum(),
            // `utime` and `stime`.
            own_s: sum_s(after_name, 11),
        })
    }

    /// Returns the share of the cores' time since then that was neither idle nor this process's.
    pub(crate) fn share_of_others(&self, pair: Pair) -> io::Result<f64> {
        let now = Self::now(pair)?;
        let all = pair.len() as f64 * (now.at - self.at).as_secs_f64();
        Ok(1.0 - (now.idle_s - self.idle_s + now.own_s - self.own_s) / all)
    }
}

/// Returns the sum of two fields of a line of ticks, in seconds.
fn sum_s(line: &str, first: usize) -> f64 {
    /// `USER_HZ` of every Linux.
    const TICKS_PER_S: f64 = 100.0;
    let fields = line.split_whitespace().skip(first).take(2);
    fields
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS_PER_S
}

/// Returns the median; NaN of no values.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_value() {
        assert_eq!(median(vec![3.0, 1.0, 100.0]).to_bits(), 3_f64.to_bits());
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn ticks_of_two_fields_are_summed() {
        let idle_s = sum_s("900 0 50 120 30 7", 3);
        assert!((idle_s - 1.5).abs() < 1e-9, "{idle_s}");
    }

    #[test]
    fn functions_take_turns() {
        let Ok(pair) = pair() else { return };
        let steps = AtomicUsize::new(0);
        let step = |parity: usize| {
            let steps = &steps;
            move || assert_eq!(steps.fetch_add(1, Ordering::Relaxed) % 2, parity)
        };
        in_turns(pair, 10, step(0), step(1)).expect("the cores exist");
        assert_eq!(steps.into_inner(), 20);
    }
}
