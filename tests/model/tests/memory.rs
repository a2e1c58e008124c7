//! Litmus tests of the model's memory.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, atomic};

use respool_model::explore::{Orders, explore, spawn};
use respool_model::memory::{AtomicUsize, Ordering, fence};

use Ordering::{Acquire, Relaxed, Release, SeqCst};

/// Two cells, both 0 at first.
struct Cells {
    x: AtomicUsize,
    y: AtomicUsize,
}

/// Returns the results that two threads can have, over all orders.
fn outcomes(one: fn(&Cells) -> usize, other: fn(&Cells) -> usize) -> BTreeSet<(usize, usize)> {
    let seen: &'static Mutex<BTreeSet<_>> = Box::leak(Box::default());
    let scenario = move || {
        let cells = Arc::new(Cells {
            x: AtomicUsize::new(0),
            y: AtomicUsize::new(0),
        });
        let results = Arc::new([NOT_YET, NOT_YET].map(atomic::AtomicUsize::new));
        for (index, body) in [one, other].into_iter().enumerate() {
            let cells = Arc::clone(&cells);
            let results = Arc::clone(&results);
            spawn(format!("thread-{index}"), move || {
                results[index].store(body(&cells), SeqCst);
                let [one, other] = [0, 1].map(|index: usize| results[index].load(SeqCst));
                if one != NOT_YET && other != NOT_YET {
                    seen.lock().expect("no thread panics").insert((one, other));
                }
            });
        }
    };
    explore(Orders::Deviating(10), scenario).expect("no order fails");
    seen.lock().expect("no thread panics").clone()
}

const NOT_YET: usize = usize::MAX;

#[test]
fn without_fences_both_threads_may_miss_the_other_store() {
    let seen = outcomes(
        |cells| {
            cells.x.store(1, Relaxed);
            cells.y.load(Relaxed)
        },
        |cells| {
            cells.y.store(1, Relaxed);
            cells.x.load(Relaxed)
        },
    );
    assert_eq!(seen, [(0, 0), (0, 1), (1, 0), (1, 1)].into());
}

#[test]
fn one_fence_is_not_enough() {
    let seen = outcomes(
        |cells| {
            cells.x.store(1, Relaxed);
            fence(SeqCst);
            cells.y.load(Relaxed)
        },
        |cells| {
            cells.y.fetch_add(1, Relaxed);
            cells.x.load(Relaxed)
        },
    );
    assert!(seen.contains(&(0, 0)));
}

#[test]
fn with_fences_one_thread_sees_the_other_store() {
    let seen = outcomes(
        |cells| {
            cells.x.store(1, Relaxed);
            fence(SeqCst);
            cells.y.load(Relaxed)
        },
        |cells| {
            cells.y.store(1, Relaxed);
            fence(SeqCst);
            cells.x.load(Relaxed)
        },
    );
    assert_eq!(seen, [(0, 1), (1, 0), (1, 1)].into());
}

/// Returns what the reader can see of a message; 2 means not sent yet.
fn message(store: Ordering, load: Ordering) -> BTreeSet<usize> {
    // Function pointers capture nothing, so each ordering needs its own.
    let reader: fn(&Cells) -> usize = match load {
        Acquire => |cells| {
            let sent = cells.y.load(Acquire);
            if sent == 1 { cells.x.load(Relaxed) } else { 2 }
        },
        _ => |cells| {
            let sent = cells.y.load(Relaxed);
            if sent == 1 { cells.x.load(Relaxed) } else { 2 }
        },
    };
    let writer: fn(&Cells) -> usize = match store {
        Release => |cells| {
            cells.x.store(1, Relaxed);
            cells.y.store(1, Release);
            0
        },
        _ => |cells| {
            cells.x.store(1, Relaxed);
            cells.y.store(1, Relaxed);
            0
        },
    };
    let seen = outcomes(writer, reader);
    seen.into_iter().map(|(_, message)| message).collect()
}

#[test]
fn acquire_load_sees_what_a_release_store_published() {
    assert_eq!(message(Release, Acquire), [1, 2].into());
    assert_eq!(message(Release, Relaxed), [0, 1, 2].into());
    assert_eq!(message(Relaxed, Acquire), [0, 1, 2].into());
}

#[test]
fn fences_release_and_acquire() {
    let seen = outcomes(
        |cells| {
            cells.x.store(1, Relaxed);
            fence(SeqCst);
            cells.y.store(1, Relaxed);
            0
        },
        |cells| {
            let sent = cells.y.load(Relaxed);
            fence(SeqCst);
            if sent == 1 { cells.x.load(Relaxed) } else { 2 }
        },
    );
    assert_eq!(seen, [(0, 1), (0, 2)].into());
}

#[test]
fn load_never_returns_an_older_value_than_the_last_load() {
    let seen = outcomes(
        |cells| {
            cells.x.store(1, Relaxed);
            cells.x.store(2, Relaxed);
            0
        },
        |cells| 10 * cells.x.load(Relaxed) + cells.x.load(Relaxed),
    );
    let seen: Vec<_> = seen.into_iter().map(|(_, pair)| pair).collect();
    assert_eq!(seen, [0, 1, 2, 11, 12, 22]);
}

#[test]
fn atomic_updates_are_never_lost() {
    let add = |cells: &Cells| cells.x.fetch_add(1, Relaxed);
    assert_eq!(outcomes(add, add), [(0, 1), (1, 0)].into());
}

#[test]
fn separate_load_and_store_can_lose_an_update() {
    let add = |cells: &Cells| {
        let value = cells.x.load(Relaxed);
        cells.x.store(value + 1, Relaxed);
        value
    };
    assert_eq!(outcomes(add, add), [(0, 0), (0, 1), (1, 0)].into());
}
