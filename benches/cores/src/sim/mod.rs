//! The simulation: workers, cores and clients, event by event. The same parameters have the same
//! outcome.

mod line;
mod load;
pub(crate) mod params;
mod pool;
#[cfg(test)]
mod tests;
mod worker;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use load::LoadThread;
use params::{Load, Outcome, Params, Wake};
use pool::Pool;
use worker::{Doing, Worker};

/// A simulation at a moment.
struct Simulation {
    params: Params,
    now: u64,
    /// What happens next: the time, a number that orders what happens at one time, and what.
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    event_count: u64,
    random: fastrand::Rng,
    cores: Vec<Core>,
    threads: Vec<Thread>,
    /// The first threads are workers. If there is one more, it is the load.
    workers: Vec<Worker>,
    load: LoadThread,
    pools: Vec<Pool>,
    clients: Vec<Client>,
    /// Until when other threads are known to want the cores.
    contended_until: u64,
    /// The times from request to reply, in nanoseconds.
    latencies: Vec<u64>,
    turns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A thread continues.
    Step(usize),
    /// A client's request is sent.
    Ask(usize),
    /// A client's socket is in the ready list of its pool's poll.
    Ready(usize),
}

#[derive(Debug, Default)]
struct Core {
    running: Option<usize>,
    /// When that thread began to run.
    since: u64,
    waiting: VecDeque<usize>,
    /// The load was woken and waits: the running thread's step is its last one.
    is_preempted: bool,
}

#[derive(Debug)]
struct Thread {
    core: usize,
    allowed: Vec<usize>,
    asleep_since: Option<u64>,
    asleep_ns: u64,
}

#[derive(Debug)]
struct Client {
    pool: usize,
    /// The core of its last turn.
    core: Option<usize>,
    asked_at: u64,
    is_parked: bool,
    /// An event came while it was not parked.
    has_event: bool,
    /// From its request until its reply.
    is_waiting: bool,
}

/// The part of the simulated time that is not counted: until then, the load is not steady.
const WARM_UP: f64 = 0.2;
/// How long a thread runs while another one waits for its core.
const SLICE_NS: u64 = 2_800_000;

/// Runs a simulation.
pub(crate) fn simulate(params: &Params) -> Outcome {
    let mut simulation = Simulation::new(params.clone());
    simulation.start();
    let warm_up = (params.ns as f64 * WARM_UP) as u64;
    simulation.run_until(warm_up);
    simulation.forget();
    simulation.run_until(params.ns);
    simulation.outcome(params.ns - warm_up)
}

impl Simulation {
    fn new(params: Params) -> Self {
        let core_count = params.cores.iter().max().map_or(1, |core| core + 1);
        let groups = params.design.groups;
        let mut threads: Vec<_> = (0..params.workers)
            .map(|worker| Thread::new(&params.cores, worker))
            .collect();
        let mut core_count = core_count;
        if let Load::Thread(core) = params.load {
            threads.push(Thread::new(&[core], 0));
            core_count = core_count.max(core + 1);
        }
        let client = |index: usize| Client {
            pool: index % groups,
            core: None,
            asked_at: 0,
            is_parked: true,
            has_event: false,
            is_waiting: false,
        };
        Self {
            now: 0,
            events: BinaryHeap::new(),
            event_count: 0,
            random: fastrand::Rng::with_seed(18),
            cores: (0..core_count).map(|_| Core::default()).collect(),
            threads,
            workers: (0..params.workers)
                .map(|index| Worker::new(index % groups))
                .collect(),
            load: LoadThread::default(),
            pools: (0..groups).map(|_| Pool::default()).collect(),
            clients: (0..params.clients).map(client).collect(),
            contended_until: 0,
            latencies: Vec::new(),
            turns: 0,
            params,
        }
    }

    fn start(&mut self) {
        for thread in 0..self.threads.len() {
            self.threads[thread].asleep_since = Some(0);
            self.wake(thread, None, Wake { call: 0, delay: 0 });
        }
        match self.params.load {
            Load::Far(network) => {
                for client in 0..self.clients.len() {
                    let delay = self.random.u64(0..=network);
                    self.at(delay, Event::Ask(client));
                }
            }
            Load::Thread(_) => self.load.next = (0..self.clients.len()).collect(),
        }
    }

    fn run_until(&mut self, end: u64) {
        while let Some(&Reverse((time, _, event))) = self.events.peek() {
            if time >= end {
                break;
            }
            self.events.pop();
            self.now = time;
            match event {
                Event::Step(thread) => self.step(thread),
                Event::Ask(client) => self.ask_from_far(client),
                Event::Ready(client) => {
                    self.insert(client, None);
                }
            }
        }
        self.now = end;
    }

    fn at(&mut self, time: u64, event: Event) {
        self.event_count += 1;
        self.events.push(Reverse((time, self.event_count, event)));
    }

    /// Continues a thread, unless its slice is over and another thread waits for its core.
    fn step(&mut self, thread: usize) {
        let core = self.threads[thread].core;
        let is_over =
            self.cores[core].is_preempted || self.now - self.cores[core].since >= SLICE_NS;
        if is_over && !self.cores[core].waiting.is_empty() {
            self.cores[core].waiting.push_back(thread);
            self.run_next(core);
        } else if thread < self.workers.len() {
            self.step_worker(thread);
        } else {
            self.step_load(thread);
        }
    }

    /// Lets a thread compute. It continues after that.
    fn spend(&mut self, thread: usize, ns: u64) {
        let ns = self.slowed(thread, ns).max(1);
        self.at(self.now + ns, Event::Step(thread));
    }

    /// Returns how long a computation takes, as the other core of the pair is busy or not.
    fn slowed(&self, thread: usize, ns: u64) -> u64 {
        let factor = self.params.model.busy_factor;
        let other = self.cores.get(self.threads[thread].core ^ 1);
        let is_shared = other.is_some_and(|other| other.running.is_some());
        if factor > 1.0 && is_shared {
            (ns as f64 * factor) as u64
        } else {
            ns
        }
    }

    fn sleep(&mut self, thread: usize) {
        self.threads[thread].asleep_since = Some(self.now);
        self.run_next(self.threads[thread].core);
    }

    /// Runs the next thread that waits for a core, or one that waits for another core.
    fn run_next(&mut self, core: usize) {
        let next = self.cores[core]
            .waiting
            .pop_front()
            .or_else(|| self.pull(core));
        self.cores[core].running = next;
        self.cores[core].is_preempted = false;
        if let Some(next) = next {
            self.cores[core].since = self.now;
            self.at(self.now + self.params.model.switch, Event::Step(next));
        }
    }

    /// Takes a thread that waits for another core and may use this one.
    fn pull(&mut self, core: usize) -> Option<usize> {
        for other in &mut self.cores {
            let may = |thread: &usize| self.threads[*thread].allowed.contains(&core);
            if let Some(index) = other.waiting.iter().position(may) {
                let thread = other.waiting.remove(index)?;
                self.threads[thread].core = core;
                return Some(thread);
            }
        }
        None
    }

    /// Hands the core to the next thread. Returns false if none waits for it.
    fn give_way(&mut self, thread: usize) -> bool {
        let core = self.threads[thread].core;
        if self.cores[core].waiting.is_empty() {
            return false;
        }
        self.cores[core].waiting.push_back(thread);
        self.run_next(core);
        true
    }

    /// Wakes a thread that sleeps: on the core where it slept or on another that is free. If none
    /// is, it waits, and the load preempts. Returns how long the call takes on `from`.
    fn wake(&mut self, thread: usize, from: Option<usize>, wake: Wake) -> u64 {
        let sleeper = &mut self.threads[thread];
        let Some(since) = sleeper.asleep_since.take() else {
            return 0;
        };
        sleeper.asleep_ns += self.now - since;
        let is_free = |core: &usize| self.cores[*core].running.is_none();
        let own = Some(sleeper.core).filter(is_free);
        let free = own.or_else(|| sleeper.allowed.iter().copied().find(is_free));
        let Some(core) = free else {
            let core = &mut self.cores[sleeper.core];
            // A worker gives way before it sleeps, which the scheduler counts as if it had run.
            if thread == self.workers.len() {
                core.waiting.push_front(thread);
                core.is_preempted = true;
            } else {
                core.waiting.push_back(thread);
            }
            // The switch on one core includes the call.
            let is_here = from == Some(sleeper.core);
            return if is_here { 0 } else { wake.call };
        };
        sleeper.core = core;
        self.cores[core].running = Some(thread);
        self.cores[core].since = self.now + wake.delay;
        self.at(self.now + wake.delay, Event::Step(thread));
        wake.call
    }

    /// Varies a time by up to a fifth, so that threads do not run in step.
    fn vary(&mut self, ns: u64) -> u64 {
        let part = self.random.u64(0..=ns * 2 / 5 + 1);
        ns - ns / 5 + part
    }

    fn forget(&mut self) {
        self.latencies.clear();
        self.turns = 0;
        for thread in &mut self.threads {
            thread.asleep_ns = 0;
            thread.asleep_since = thread.asleep_since.map(|_| self.now);
        }
        for pool in &mut self.pools {
            pool.held_ns = 0;
        }
    }

    fn outcome(mut self, ns: u64) -> Outcome {
        let workers = self.workers.len();
        let asleep_ns = |thread: &Thread| {
            thread.asleep_ns + thread.asleep_since.map_or(0, |since| self.now - since)
        };
        let asleep: u64 = self.threads[..workers].iter().map(asleep_ns).sum();
        let held: u64 = self.pools.iter().map(|pool| pool.held_ns).sum();
        self.latencies.sort_unstable();
        let percentile = |percent: usize| {
            let index = self.latencies.len() * percent / 100;
            self.latencies
                .get(index)
                .map_or(f64::NAN, |&ns| ns as f64 / 1000.0)
        };
        Outcome {
            turns_per_s: self.turns as f64 * 1e9 / ns as f64,
            p50_us: percentile(50),
            p99_us: percentile(99),
            watch_held: held as f64 / (ns * self.pools.len() as u64) as f64,
            asleep: asleep as f64 / (ns * workers as u64) as f64,
            in_flight: self
                .clients
                .iter()
                .filter(|client| client.is_waiting)
                .count(),
        }
    }
}

impl Thread {
    /// The thread `index` of those that may use these cores.
    fn new(allowed: &[usize], index: usize) -> Self {
        Self {
            core: allowed[index % allowed.len()],
            allowed: allowed.to_vec(),
            asleep_since: None,
            asleep_ns: 0,
        }
    }
}

/// A worker begins by looking for work.
impl Default for Doing {
    fn default() -> Self {
        Self::Look
    }
}
