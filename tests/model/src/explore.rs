//! Runs a scenario many times, each time in another order.
//!
//! The threads of a scenario are coroutines of one real thread, and one of them runs at a time. At
//! each `step` another thread may continue, and each load may return an old value
//! ([`crate::memory`]): these are the *choices*. Choice 0 is always the plain one (the thread
//! continues; the load returns the newest value), the others are *deviations*. The same choices lead
//! to the same run.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use generator::{Generator, Gn};

use crate::memory::{Memory, Views};

/// The orders to run.
#[derive(Debug, Clone, Copy)]
pub enum Orders {
    /// Random orders.
    Random {
        /// The seed of the first order. Each next order has the next seed.
        seed: u64,
        /// The number of orders.
        count: usize,
    },
    /// All orders with at most this many deviations.
    Deviating(usize),
}

/// An order in which the scenario failed.
#[derive(Debug)]
pub struct Failure {
    /// The panic or deadlock.
    pub reason: String,
    /// Orders that were run, including this one.
    pub runs: usize,
    /// The steps of all threads, one per line.
    pub trace: String,
}

/// Runs `scenario` in many orders. Returns how many, or the first failure.
pub fn explore(
    orders: Orders,
    scenario: impl Fn() + Copy + Send + 'static,
) -> Result<usize, Failure> {
    let mut runs = 0;
    let mut next = Some(Plan::first(orders));
    while let Some(plan) = next {
        runs += 1;
        let (outcome, plan) = run(plan, false, scenario);
        if let Err(reason) = outcome {
            let again = Plan::again(&plan);
            let trace = mem::take(&mut run(again, true, scenario).1.trace);
            return Err(Failure {
                reason,
                runs,
                trace,
            });
        }
        next = plan.next(orders, runs);
    }
    Ok(runs)
}

/// The choices of a run: those to make, and those made.
#[derive(Debug, Default)]
struct Plan {
    given: Vec<usize>,
    /// Makes the choices after the given ones. Without it they are 0.
    dice: Option<Dice>,
    /// Each choice, and the number of its alternatives.
    made: Vec<(usize, usize)>,
    trace: String,
}

impl Plan {
    fn first(orders: Orders) -> Self {
        let dice = match orders {
            Orders::Random { seed, .. } => Some(Dice::new(seed)),
            Orders::Deviating(_) => None,
        };
        Self {
            dice,
            ..Self::default()
        }
    }

    fn again(plan: &Self) -> Self {
        Self {
            given: plan.made.iter().map(|&(chosen, _)| chosen).collect(),
            ..Self::default()
        }
    }

    /// Returns the plan after this one, which was number `runs`.
    fn next(self, orders: Orders, runs: usize) -> Option<Self> {
        match orders {
            Orders::Random { seed, count } => (runs < count).then(|| Self {
                dice: Some(Dice::new(seed + runs as u64)),
                ..Self::default()
            }),
            Orders::Deviating(deviations_max) => self.next_deviating(deviations_max),
        }
    }

    /// Depth first: changes the last choice that has an untried alternative and may deviate.
    fn next_deviating(self, deviations_max: usize) -> Option<Self> {
        let mut made = self.made;
        let mut deviations = made.iter().filter(|&&(chosen, _)| chosen > 0).count();
        while let Some((chosen, of)) = made.pop() {
            deviations -= usize::from(chosen > 0);
            if chosen + 1 < of && deviations < deviations_max {
                let given = made.iter().map(|&(chosen, _)| chosen);
                return Some(Self {
                    given: given.chain([chosen + 1]).collect(),
                    ..Self::default()
                });
            }
        }
        None
    }

    /// Makes a choice that is 0 unless it deviates.
    fn choose(&mut self, of: usize) -> usize {
        self.make(of, Dice::roll)
    }

    /// Makes a choice without a plain value.
    fn draw(&mut self, of: usize) -> usize {
        self.make(of, |dice, of| (dice.draw() % of as u64) as usize)
    }

    fn make(&mut self, of: usize, throw: impl FnOnce(&mut Dice, usize) -> usize) -> usize {
        let chosen = match self.given.get(self.made.len()) {
            Some(&chosen) => chosen,
            None => self.dice.as_mut().map_or(0, |dice| throw(dice, of)),
        };
        assert!(chosen < of, "the same choices lead to the same run");
        self.made.push((chosen, of));
        chosen
    }
}

/// A random generator with a seed.
#[derive(Debug)]
struct Dice {
    state: u64,
    /// One choice in this many deviates. It differs from run to run: some errors need a single
    /// deviation, others many.
    rarity: u64,
}

impl Dice {
    fn new(seed: u64) -> Self {
        let mut dice = Self {
            state: seed,
            rarity: 0,
        };
        dice.rarity = 2 << (dice.draw() % 5);
        dice
    }

    /// splitmix64.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn roll(&mut self, of: usize) -> usize {
        if self.draw().is_multiple_of(self.rarity) {
            1 + (self.draw() % (of as u64 - 1)) as usize
        } else {
            0
        }
    }
}

/// The current run.
#[derive(Debug)]
pub(crate) struct Run {
    threads: Vec<Thread>,
    current: usize,
    pub(crate) memory: Memory,
    plan: Plan,
    steps: usize,
    traces: bool,
    failure: Option<String>,
    /// Keys made so far.
    keys: usize,
}

#[derive(Debug)]
struct Thread {
    name: String,
    /// The key and the description of the event that it waits for.
    waits_for: Option<(Key, &'static str)>,
    /// `None` while it runs, and after it has ended.
    coroutine: Option<Coroutine>,
    ended: bool,
    views: Views,
}

/// An event that threads wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(usize);

type Coroutine = Generator<'static, (), ()>;

thread_local! {
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
    /// Coroutines that have ended. Their stacks are reused.
    static SPARE: RefCell<Vec<Coroutine>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn with_run<R>(body: impl FnOnce(&mut Run) -> R) -> R {
    RUN.with_borrow_mut(|run| body(run.as_mut().expect("only within a scenario")))
}

fn run(
    plan: Plan,
    traces: bool,
    scenario: impl FnOnce() + Send + 'static,
) -> (Result<(), String>, Plan) {
    RUN.set(Some(Run {
        threads: Vec::new(),
        current: 0,
        memory: Memory::default(),
        plan,
        steps: 0,
        traces,
        failure: None,
        keys: 0,
    }));
    spawn("main".to_owned(), scenario);
    let outcome = loop {
        let (index, mut coroutine) = with_run(Run::take_current);
        coroutine.resume();
        let ended = coroutine.is_done();
        if ended {
            SPARE.with_borrow_mut(|spare| spare.push(coroutine));
        } else {
            with_run(|run| run.threads[index].coroutine = Some(coroutine));
        }
        if let Some(outcome) = with_run(|run| run.find_next(index, ended)) {
            break outcome;
        }
    };
    let mut run = RUN.take().expect("it was set above");
    for thread in run.threads {
        // Unwinding an unfinished thread would run destructors that access the run.
        mem::forget(thread.coroutine);
    }
    (outcome, mem::take(&mut run.plan))
}

impl Run {
    fn take_current(&mut self) -> (usize, Coroutine) {
        let coroutine = self.threads[self.current].coroutine.take();
        (self.current, coroutine.expect("it is ready to run"))
    }

    /// Called after the thread `index` stopped: makes a thread current that can continue. Returns the
    /// outcome if the run has ended.
    fn find_next(&mut self, index: usize, ended: bool) -> Option<Result<(), String>> {
        self.threads[index].ended |= ended;
        if let Some(failure) = self.failure.take() {
            return Some(Err(failure));
        }
        if self.is_ready(self.current) {
            return None;
        }
        if self.threads.iter().all(|thread| thread.ended) {
            return Some(Ok(()));
        }
        if self.ready().next().is_none() {
            return Some(Err(self.describe_waits()));
        }
        self.pick(0);
        None
    }

    /// Chooses the thread that continues: without a deviation, the first ready one after `passed`.
    fn pick(&mut self, passed: usize) {
        let of = self.ready().count();
        let chosen = (self.choose(of) + passed) % of;
        let next = self.ready().nth(chosen);
        self.current = next.expect("it is below the count");
    }

    fn is_ready(&self, index: usize) -> bool {
        let thread = &self.threads[index];
        !thread.ended && thread.waits_for.is_none()
    }

    /// Returns the threads that can continue, the current one first.
    fn ready(&self) -> impl Iterator<Item = usize> {
        let count = self.threads.len();
        let all = (self.current..count).chain(0..self.current);
        all.filter(|&index| self.is_ready(index))
    }

    fn describe_waits(&self) -> String {
        let mut text = "all threads wait:".to_owned();
        for Thread {
            name, waits_for, ..
        } in &self.threads
        {
            if let Some((_, what)) = waits_for {
                let _ = write!(text, " {name} for {what};");
            }
        }
        text
    }

    /// Returns a number below `of`.
    pub(crate) fn choose(&mut self, of: usize) -> usize {
        if of > 1 { self.plan.choose(of) } else { 0 }
    }

    /// Returns the memory, and the views of the current thread.
    pub(crate) fn memory(&mut self) -> (&mut Memory, &mut Views) {
        (&mut self.memory, &mut self.threads[self.current].views)
    }

    pub(crate) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        if self.traces {
            let name = &self.threads[self.current].name;
            let _ = writeln!(self.plan.trace, "{name:>10}  {what}");
        }
    }
}

/// Starts a thread. It begins with the views of its starter.
pub fn spawn(name: String, body: impl FnOnce() + Send + 'static) {
    let body = move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            with_run(|run| run.failure = Some(text.unwrap_or_default()));
        }
    };
    let coroutine = match SPARE.with_borrow_mut(Vec::pop) {
        Some(mut coroutine) => {
            coroutine.init_code(body);
            coroutine
        }
        None => Gn::<()>::new_opt(STACK_WORDS, body),
    };
    with_run(|run| {
        let views = run
            .threads
            .get(run.current)
            .map(|thread| thread.views.clone())
            .unwrap_or_default();
        run.threads.push(Thread {
            name,
            waits_for: None,
            coroutine: Some(coroutine),
            ended: false,
            views,
        });
    });
}

/// Called before each access that other threads can see: another thread may continue first.
pub(crate) fn step() {
    give_way(0);
}

/// Called in a loop that waits for other threads: they continue first, unless the run deviates.
pub(crate) fn pass() {
    give_way(1);
}

fn give_way(passed: usize) {
    if std::thread::panicking() {
        return;
    }
    let switched = with_run(|run| {
        run.steps += 1;
        assert!(run.steps < STEPS_MAX, "the run does not end");
        let before = run.current;
        run.pick(passed);
        run.current != before
    });
    if switched {
        switch();
    }
}

/// Returns any number below `of`, for a scenario with variants.
pub fn any(of: usize) -> usize {
    with_run(|run| run.plan.draw(of))
}

/// Switches to the chosen thread.
#[expect(
    deprecated,
    reason = "the alternative would have to be passed through the code under test"
)]
fn switch() {
    generator::yield_with(());
}

/// Returns a new key.
pub(crate) fn key() -> Key {
    with_run(|run| {
        run.keys += 1;
        Key(run.keys)
    })
}

/// The key of all channels, so that a thread can wait for two of them.
pub(crate) const CHANNELS: Key = Key(0);

/// Waits until `ready` returns a value. It is called again after each `wake` with the same key.
pub(crate) fn wait_for<T>(key: Key, what: &'static str, mut ready: impl FnMut() -> Option<T>) -> T {
    step();
    loop {
        if let Some(ready) = ready() {
            return ready;
        }
        with_run(|run| {
            run.note(format_args!("waits for {what}"));
            let current = run.current;
            run.threads[current].waits_for = Some((key, what));
        });
        switch();
    }
}

/// Wakes the threads that wait for `key`.
pub(crate) fn wake(key: Key) {
    with_run(|run| {
        for thread in &mut run.threads {
            if thread.waits_for.is_some_and(|(other, _)| other == key) {
                thread.waits_for = None;
            }
        }
    });
}

/// Large enough for a panic and its message.
const STACK_WORDS: usize = 0x4000;

/// Many times the steps of the longest scenario.
const STEPS_MAX: usize = 20_000;
