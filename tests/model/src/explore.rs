//! Runs a scenario over and over, each time in another order.
//!
//! The threads of a scenario are coroutines of one real thread, and one of them runs at a time. At
//! each `step` any other may go on instead, and each load may see an old value ([`crate::memory`]):
//! these are the *choices*. Choice 0 is always the plain one (go on; see the newest value), the
//! others are *deviations*. The same choices give the same run.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use generator::{Generator, Gn};

use crate::memory::{Memory, Views};

/// Which orders are run.
#[derive(Debug, Clone, Copy)]
pub enum Orders {
    /// This many that are drawn by lot, from this seed on.
    Drawn {
        /// Each order has a seed of its own: this one, the next, and so on.
        seed: u64,
        /// How many.
        count: usize,
    },
    /// All that deviate at most this often.
    Deviating(usize),
}

/// An order in which the scenario went wrong.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub why: String,
    /// How many orders were run, this one included.
    pub runs: usize,
    /// What each thread did, line by line.
    pub trace: String,
}

/// Runs `scenario` in many orders. Gives how many, unless it went wrong in one.
pub fn explore(
    orders: Orders,
    scenario: impl Fn() + Copy + Send + 'static,
) -> Result<usize, Failure> {
    let mut runs = 0;
    let mut next = Some(Plan::first(orders));
    while let Some(plan) = next {
        runs += 1;
        let (outcome, plan) = run(plan, false, scenario);
        if let Err(why) = outcome {
            let again = Plan::again(&plan);
            let trace = mem::take(&mut run(again, true, scenario).1.trace);
            return Err(Failure { why, runs, trace });
        }
        next = plan.next(orders, runs);
    }
    Ok(runs)
}

/// What a run is to choose, and what it has chosen.
#[derive(Debug, Default)]
struct Plan {
    given: Vec<usize>,
    /// Behind the given ones; without them, 0.
    dice: Option<Dice>,
    /// Each choice, and of how many.
    made: Vec<(usize, usize)>,
    trace: String,
}

impl Plan {
    fn first(orders: Orders) -> Self {
        let dice = match orders {
            Orders::Drawn { seed, .. } => Some(Dice::new(seed)),
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

    /// What comes behind this one, the `runs`th.
    fn next(self, orders: Orders, runs: usize) -> Option<Self> {
        match orders {
            Orders::Drawn { seed, count } => (runs < count).then(|| Self {
                dice: Some(Dice::new(seed + runs as u64)),
                ..Self::default()
            }),
            Orders::Deviating(deviations_max) => self.next_deviating(deviations_max),
        }
    }

    /// Depth first: the last choice that leaves one untried and may deviate makes the next one.
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

    /// A choice that is 0 unless it deviates.
    fn choose(&mut self, of: usize) -> usize {
        self.make(of, Dice::roll)
    }

    /// A choice that has no plain value.
    fn draw(&mut self, of: usize) -> usize {
        self.make(of, |dice, of| (dice.draw() % of as u64) as usize)
    }

    fn make(&mut self, of: usize, throw: impl FnOnce(&mut Dice, usize) -> usize) -> usize {
        let chosen = match self.given.get(self.made.len()) {
            Some(&chosen) => chosen,
            None => self.dice.as_mut().map_or(0, |dice| throw(dice, of)),
        };
        assert!(chosen < of, "the same choices give the same run");
        self.made.push((chosen, of));
        chosen
    }
}

/// Chance, the same for the same seed.
#[derive(Debug)]
struct Dice {
    state: u64,
    /// One choice in so many deviates. It differs from run to run: some errors want one deviation
    /// in a quiet run, others a turmoil.
    calm: u64,
}

impl Dice {
    fn new(seed: u64) -> Self {
        let mut dice = Self {
            state: seed,
            calm: 0,
        };
        dice.calm = 2 << (dice.draw() % 5);
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
        if self.draw().is_multiple_of(self.calm) {
            1 + (self.draw() % (of as u64 - 1)) as usize
        } else {
            0
        }
    }
}

/// A run under way.
#[derive(Debug)]
pub(crate) struct Run {
    threads: Vec<Thread>,
    current: usize,
    pub(crate) memory: Memory,
    plan: Plan,
    steps: usize,
    traces: bool,
    failure: Option<String>,
    /// What things to wait for are known by: counted.
    keys: usize,
}

#[derive(Debug)]
struct Thread {
    name: String,
    /// What it waits for, if it does: the thing's key, and what to say of it.
    waits_for: Option<(Key, &'static str)>,
    /// `None` while it runs, and when it has ended.
    coroutine: Option<Coroutine>,
    ended: bool,
    views: Views,
}

/// Something that threads wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(usize);

type Coroutine = Generator<'static, (), ()>;

thread_local! {
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
    /// Coroutines that have ended: their stacks are used again.
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
        // To unwind what was cut off would run destructors that talk to the run.
        mem::forget(thread.coroutine);
    }
    (outcome, mem::take(&mut run.plan))
}

impl Run {
    fn take_current(&mut self) -> (usize, Coroutine) {
        let coroutine = self.threads[self.current].coroutine.take();
        (self.current, coroutine.expect("it is ready to run"))
    }

    /// Behind a turn of the thread `index`: sees to it that `current` can go on. Gives how the run
    /// has ended, if it has.
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
            return Some(Err(self.tell_who_waits()));
        }
        self.pick(0);
        None
    }

    /// Chooses who goes on: of those who can, the one behind the first `passed` if nothing deviates.
    fn pick(&mut self, passed: usize) {
        let of = self.ready().count();
        let chosen = (self.choose(of) + passed) % of;
        let next = self.ready().nth(chosen);
        self.current = next.expect("so many were counted");
    }

    fn is_ready(&self, index: usize) -> bool {
        let thread = &self.threads[index];
        !thread.ended && thread.waits_for.is_none()
    }

    /// Who can go on, the current thread first.
    fn ready(&self) -> impl Iterator<Item = usize> {
        let count = self.threads.len();
        let all = (self.current..count).chain(0..self.current);
        all.filter(|&index| self.is_ready(index))
    }

    fn tell_who_waits(&self) -> String {
        let mut text = "everybody waits:".to_owned();
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

    /// A number below `of`.
    pub(crate) fn choose(&mut self, of: usize) -> usize {
        if of > 1 { self.plan.choose(of) } else { 0 }
    }

    /// The memory, and what the current thread knows of it.
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

/// Starts a thread. It knows all that its starter knows.
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

/// Before everything that others can notice: they may go on first.
pub(crate) fn step() {
    give_way(0);
}

/// In a loop that only others can end: they go on first, unless the run deviates.
pub(crate) fn pass() {
    give_way(1);
}

fn give_way(passed: usize) {
    if std::thread::panicking() {
        return;
    }
    let switched = with_run(|run| {
        run.steps += 1;
        assert!(run.steps < STEPS_MAX, "it does not come to an end");
        let before = run.current;
        run.pick(passed);
        run.current != before
    });
    if switched {
        switch();
    }
}

/// Any number below `of`: what a scenario leaves open.
pub fn any(of: usize) -> usize {
    with_run(|run| run.plan.draw(of))
}

/// Has the thread go on that was chosen.
#[expect(
    deprecated,
    reason = "the other way to do it would have to be handed through the code under test"
)]
fn switch() {
    generator::yield_with(());
}

/// A new thing to wait for.
pub(crate) fn key() -> Key {
    with_run(|run| {
        run.keys += 1;
        Key(run.keys)
    })
}

/// Waits until `ready` gives something. It is asked again whenever `key` was called.
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

/// Has those who wait for `key` look again.
pub(crate) fn call(key: Key) {
    with_run(|run| {
        for thread in &mut run.threads {
            if thread.waits_for.is_some_and(|(other, _)| other == key) {
                thread.waits_for = None;
            }
        }
    });
}

/// Enough for a panic and its message.
const STACK_WORDS: usize = 0x4000;

/// Many times what the longest scenario takes.
const STEPS_MAX: usize = 20_000;
