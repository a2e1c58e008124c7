//! What locks, counters, lists and the channel cost when their cache lines stay, and when they move.

use std::collections::VecDeque;
use std::hint::black_box;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_channel::bounded;
use parking_lot::Mutex;

use crate::costs::Cost;
use crate::cpu::{Pair, in_turns, median, pin};

/// Objects in a sweep. They fit into a core's first cache.
const OBJECTS: usize = 128;
const SWEEPS: usize = 400;

/// An object that shares no line with another, nor a pair of lines that are fetched together.
#[repr(align(128))]
struct Padded<T>(T);

/// Measures two functions on the same objects: `first` on all of them, then `second` on all.
///
/// On one core nothing moves. On two, each function finds the lines where the other left them.
fn sweep<T: Sync + Send>(
    pair: Pair,
    make: impl Fn() -> T,
    first: impl Fn(&T),
    second: impl Fn(&T) + Sync + Send,
) -> io::Result<[Cost; 2]> {
    let mut objects: Vec<_> = (0..OBJECTS).map(|_| Box::new(Padded(make()))).collect();
    // So that no core fetches the next line before it is asked to.
    fastrand::Rng::with_seed(1).shuffle(&mut objects);
    let time = |each: &dyn Fn(&T), times: &mut Vec<f64>| {
        let start = Instant::now();
        for object in &objects {
            each(&object.0);
        }
        times.push(start.elapsed().as_nanos() as f64 / OBJECTS as f64);
    };
    let [
        mut first_alone,
        mut second_alone,
        mut first_moved,
        mut second_moved,
    ] = [const { Vec::new() }; 4];
    pin(&pair[..1])?;
    for _ in 0..SWEEPS {
        time(&first, &mut first_alone);
        time(&second, &mut second_alone);
    }
    in_turns(
        pair,
        SWEEPS,
        || time(&first, &mut first_moved),
        || time(&second, &mut second_moved),
    )?;
    let cost = |alone, moved| Cost {
        alone: median(alone),
        moved: median(moved),
    };
    Ok([
        cost(first_alone, first_moved),
        cost(second_alone, second_moved),
    ])
}

fn sweep_both<T: Sync + Send>(
    pair: Pair,
    make: impl Fn() -> T,
    each: impl Fn(&T) + Sync + Send,
) -> io::Result<Cost> {
    sweep(pair, make, &each, &each).map(|[first, _]| first)
}

/// Returns the costs of a lock, of taking from the woken list under it, and of a counter.
pub(crate) fn locks(pair: Pair) -> io::Result<[Cost; 3]> {
    let lock = sweep_both(pair, || Mutex::new(0_u64), |lock| drop(lock.try_lock()))?;
    let woken = || Mutex::new((0..64_u64).map(Box::new).collect::<VecDeque<_>>());
    let take = sweep_both(pair, woken, |woken| {
        if let Some(mut woken) = woken.try_lock() {
            let client = woken.pop_front();
            woken.extend(client);
        }
    })?;
    let counter = || AtomicU64::new(0);
    let atomic = sweep_both(pair, counter, |counter| {
        counter.fetch_add(1, Ordering::Relaxed);
    })?;
    Ok([lock, take, atomic])
}

/// Returns the costs of sending to the channel and of taking from it.
pub(crate) fn channel(pair: Pair) -> io::Result<[Cost; 2]> {
    sweep(
        pair,
        || bounded::<Box<u64>>(64),
        |(sender, _)| drop(sender.try_send(Box::new(1))),
        |(_, receiver)| drop(receiver.try_recv()),
    )
}

/// Returns the cost of reading a line that another core writes.
pub(crate) fn read(pair: Pair) -> io::Result<Cost> {
    let write = |line: &AtomicU64| line.store(1, Ordering::Relaxed);
    let read = |line: &AtomicU64| {
        // A locked instruction, without which the reads would overlap: in a turn they do not.
        black_box(line.load(Ordering::SeqCst));
        std::sync::atomic::fence(Ordering::SeqCst);
    };
    sweep(pair, || AtomicU64::new(0), write, read).map(|[_, read]| read)
}

/// Lines that a client without a request takes: 390 bytes.
const CLIENT_LINES: usize = 7;

/// Returns the cost of touching the memory of a client.
pub(crate) fn client(pair: Pair) -> io::Result<Cost> {
    #[repr(align(64))]
    struct Line(AtomicU64);
    let client = || std::array::from_fn::<_, CLIENT_LINES, _>(|_| Line(AtomicU64::new(0)));
    sweep_both(pair, client, |lines| {
        for line in lines {
            let value = line.0.load(Ordering::Relaxed);
            line.0.store(value + 1, Ordering::Relaxed);
        }
        std::sync::atomic::fence(Ordering::SeqCst);
    })
}

/// Returns the time in which a write becomes visible on another core: half of there and back.
pub(crate) fn transfer(pair: Pair) -> io::Result<f64> {
    const TRIPS: usize = 10_000;
    let start = Instant::now();
    in_turns(pair, TRIPS, || (), || ())?;
    Ok(start.elapsed().as_nanos() as f64 / (2 * TRIPS) as f64)
}
