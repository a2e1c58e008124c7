//! What it costs to wake a thread, and how long it takes until it runs.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use mio::{Events, Poll, Token, Waker};

use crate::cpu::{Pair, median, pin};

/// The costs of wake-ups, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WakeCosts {
    /// The call that wakes a thread that sleeps in `epoll_wait`, on a core that sleeps too.
    pub(crate) leader_call: f64,
    /// From that call until the thread runs.
    pub(crate) leader_delay: f64,
    /// The same call while nobody sleeps.
    pub(crate) idle_call: f64,
    /// Sending to a channel in which a thread sleeps, on a core that sleeps too.
    pub(crate) follower_call: f64,
    pub(crate) follower_delay: f64,
    /// From waking a thread on the same core and going to sleep until that thread runs.
    pub(crate) switch: f64,
}

const WAKES: usize = 500;
/// After this time, a thread that is about to sleep does, and its core too.
const UNTIL_ASLEEP: Duration = Duration::from_micros(100);

impl WakeCosts {
    pub(crate) fn measure(pair: Pair) -> io::Result<Self> {
        let mut poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), Token(0))?;
        let mut events = Events::with_capacity(8);
        let wake = || waker.wake().expect("it is an eventfd");
        let [leader_call, leader_delay] = wake_other(pair, wake, || {
            poll.poll(&mut events, None).expect("it waits");
        })?;
        let (sender, receiver) = bounded::<()>(8);
        let [follower_call, follower_delay] = wake_other(
            pair,
            || sender.send(()).expect("it has a receiver"),
            || receiver.recv().expect("it has a sender"),
        )?;
        let mut calls = Vec::new();
        for _ in 0..WAKES {
            let start = Instant::now();
            wake();
            calls.push(start.elapsed().as_nanos() as f64);
        }
        Ok(Self {
            leader_call,
            leader_delay,
            idle_call: median(calls),
            follower_call,
            follower_delay,
            switch: switch(pair)?,
        })
    }
}

impl WakeCosts {
    pub(crate) fn values(&mut self) -> [&mut f64; 6] {
        [
            &mut self.leader_call,
            &mut self.leader_delay,
            &mut self.idle_call,
            &mut self.follower_call,
            &mut self.follower_delay,
            &mut self.switch,
        ]
    }
}

/// Measures how long `wake` takes on the first core of the pair, and how long until `sleep` returns
/// on the other.
fn wake_other(pair: Pair, wake: impl Fn(), mut sleep: impl FnMut() + Send) -> io::Result<[f64; 2]> {
    let start = Instant::now();
    let now_ns = || start.elapsed().as_nanos() as u64;
    let (sleeps, woken_ns) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut calls, mut delays) = (Vec::new(), Vec::new());
    pin(&pair[..1])?;
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let pinned = pin(&pair[1..]);
            for _ in 0..WAKES {
                sleeps.store(true, Ordering::Release);
                sleep();
                woken_ns.store(now_ns(), Ordering::Release);
            }
            pinned
        });
        for _ in 0..WAKES {
            while !sleeps.swap(false, Ordering::AcqRel) {
                std::hint::spin_loop();
            }
            spin_for(UNTIL_ASLEEP);
            woken_ns.store(0, Ordering::Release);
            let before = now_ns();
            wake();
            calls.push((now_ns() - before) as f64);
            let woken = loop {
                match woken_ns.load(Ordering::Acquire) {
                    0 => std::hint::spin_loop(),
                    woken => break woken,
                }
            };
            delays.push(woken.saturating_sub(before) as f64);
        }
        sleeper.join().expect("it does not panic")
    })?;
    Ok([median(calls), median(delays)])
}

fn spin_for(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Measures two threads of one core that wake each other in turn. They do not spin before they
/// sleep.
fn switch(pair: Pair) -> io::Result<f64> {
    pin(&pair[..1])?;
    let (mut from_first, mut to_other) = io::pipe()?;
    let (mut from_other, mut to_first) = io::pipe()?;
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut byte = [0];
            while from_first.read_exact(&mut byte).is_ok() && to_first.write_all(&byte).is_ok() {}
        });
        let mut times = Vec::new();
        for _ in 0..WAKES {
            let start = Instant::now();
            to_other.write_all(&[0])?;
            from_other.read_exact(&mut [0])?;
            times.push(start.elapsed().as_nanos() as f64 / 2.0);
        }
        drop(to_other);
        Ok(median(times))
    })
}

/// Measures how long it takes to give way to no thread.
pub(crate) fn give_way(pair: Pair) -> io::Result<f64> {
    pin(&pair[..1])?;
    let time = |_| {
        let start = Instant::now();
        for _ in 0..100 {
            thread::yield_now();
        }
        // The pool reads the clock before and after.
        2.0 * clock() + start.elapsed().as_nanos() as f64 / 100.0
    };
    Ok(median((0..WAKES).map(time).collect()))
}

fn clock() -> f64 {
    let start = Instant::now();
    for _ in 0..9 {
        std::hint::black_box(Instant::now());
    }
    start.elapsed().as_nanos() as f64 / 10.0
}
