//! The steps of a worker: `src/pool/README.md`, section "Steps".

use std::collections::VecDeque;

use super::Simulation;

#[derive(Debug, Default)]
pub(super) struct Worker {
    pub(super) pool: usize,
    doing: Doing,
    /// Turns since it last waited for an event, or woke a helper.
    turns: u32,
    /// How often it still looks for work before it follows.
    spins: u32,
    /// Clients that it took beyond the first.
    batch: VecDeque<usize>,
}

/// What a worker does at its next step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Doing {
    /// Looks for work: steps 2 to 5.
    Look,
    /// Looks again after giving way, which began then.
    GaveWay(u64),
    /// Polls as leader, for the nth time.
    Poll(u32),
    /// Begins to poll once more, after having slept in the poll.
    Awoken,
    /// Has moved the woken clients, and frees the watch.
    Polled { is_first: bool },
    /// Begins a turn of this client.
    Serve(usize),
    /// Has computed the replies, and sends them.
    Reply(usize),
    /// Parks this client.
    Park(usize),
    /// Was woken while it followed.
    Recheck,
}

/// Turns without a wait after which a worker wakes a helper.
const TURNS_BEFORE_HELPER: u32 = 64;
/// A yield that takes as long shows contention, which is assumed to last for some time.
const CONTENTION_YIELD_NS: u64 = 500_000;
const CONTENTION_NS: u64 = 100_000_000;

impl Worker {
    pub(super) fn new(pool: usize) -> Self {
        Self {
            pool,
            ..Self::default()
        }
    }
}

impl Simulation {
    pub(super) fn step_worker(&mut self, worker: usize) {
        match self.workers[worker].doing {
            Doing::Look => self.look(worker),
            Doing::GaveWay(since) => {
                if self.now - since >= CONTENTION_YIELD_NS {
                    self.contended_until = self.now + CONTENTION_NS;
                }
                self.look(worker);
            }
            Doing::Poll(spin) => self.poll(worker, spin),
            Doing::Awoken => {
                self.pool(worker).is_leader_asleep = false;
                self.poll(worker, 1);
            }
            Doing::Polled { is_first } => self.end_poll(worker, is_first),
            Doing::Serve(client) => self.serve(worker, client),
            Doing::Reply(client) => self.send_reply(worker, client),
            Doing::Park(client) => self.park(worker, client),
            Doing::Recheck => {
                self.pool(worker).recheck = false;
                self.workers[worker].spins = 0;
                let (core, now) = (self.core_of(worker), self.now);
                let cost = self.params.model.channel;
                let ns = self.pool(worker).channel.write(core, now, cost);
                self.go(worker, Doing::Look, ns);
            }
        }
    }

    fn go(&mut self, worker: usize, doing: Doing, ns: u64) {
        self.workers[worker].doing = doing;
        self.spend(worker, ns);
    }

    fn pool(&mut self, worker: usize) -> &mut super::Pool {
        &mut self.pools[self.workers[worker].pool]
    }

    fn core_of(&self, worker: usize) -> usize {
        self.threads[worker].core
    }

    /// Steps 3 to 5. Nothing is in the queue: what is sent there wakes a follower, which takes it.
    fn look(&mut self, worker: usize) {
        if let Some(client) = self.workers[worker].batch.pop_front() {
            return self.go(worker, Doing::Serve(client), 0);
        }
        let (core, now) = (self.core_of(worker), self.now);
        let model = self.params.model.clone();
        let pool = self.pool(worker);
        if pool.is_watched(now) {
            let ns = pool.watch.read(core, now, model.read);
            return self.spin_or_follow(worker, ns + model.give_way);
        }
        let mut ns = pool.watch.write(core, now, model.watch);
        if pool.woken.is_empty() {
            pool.leader = Some(worker);
            ns += pool.counters.write(core, now, model.counter);
            pool.held_ns += ns;
            return self.go(worker, Doing::Poll(0), ns);
        }
        pool.taken_until = now + ns;
        pool.held_ns += ns;
        self.take(worker, ns);
    }

    /// Takes woken clients under the watch, which takes this long.
    fn take(&mut self, worker: usize, ns: u64) {
        let batch = self.params.design.batch;
        let spins = self.spins();
        let pool = &mut self.pools[self.workers[worker].pool];
        let count = batch.min(pool.woken.len());
        let taken = pool.woken.drain(..count);
        let worker_state = &mut self.workers[worker];
        worker_state.batch.extend(taken);
        worker_state.spins = spins;
        let client = worker_state.batch.pop_front().expect("some were woken");
        self.go(worker, Doing::Serve(client), ns);
    }

    fn spins(&self) -> u32 {
        if self.params.cores.len() > 1 {
            self.params.design.spins
        } else {
            0
        }
    }

    fn is_contended(&self) -> bool {
        self.now < self.contended_until
    }

    /// Steps 4 and 5.
    fn spin_or_follow(&mut self, worker: usize, ns: u64) {
        let pool = &self.pools[self.workers[worker].pool];
        let spins_on = self.params.design.spins_on && pool.is_polled(self.now);
        let spins = self.workers[worker].spins;
        if self.spins() > 0 && (spins_on || spins > 0) && !self.is_contended() {
            self.workers[worker].spins = if spins_on { spins } else { spins - 1 };
            self.workers[worker].doing = Doing::GaveWay(self.now);
            if !self.give_way(worker) {
                self.spend(worker, ns);
            }
            return;
        }
        let (core, now) = (self.core_of(worker), self.now);
        let cost = self.params.model.counter;
        let pool = self.pool(worker);
        pool.counters.write(core, now, cost);
        if !pool.is_watched(now) {
            return self.go(worker, Doing::Look, ns);
        }
        pool.followers.push_back(worker);
        self.workers[worker].doing = Doing::Recheck;
        self.sleep(worker);
    }

    /// Step 3.3: polls, and sleeps if that was in vain as often as is allowed.
    fn poll(&mut self, worker: usize, spin: u32) {
        let (core, now, spins) = (self.core_of(worker), self.now, self.spins());
        let (model, events) = (self.params.model.clone(), self.params.design.events);
        let pool = self.pool(worker);
        let count = pool.ready.len().min(events);
        let mut ns = model.poll_call;
        if count > 0 {
            ns += pool.ready_list.write(core, now, model.ready_list);
            let ready: Vec<_> = pool.ready.drain(..count).collect();
            for client in ready {
                ns += model.poll_event + self.wake_client(core, client);
            }
            self.pool(worker).held_ns += ns;
            return self.go(
                worker,
                Doing::Polled {
                    is_first: spin == 0,
                },
                ns,
            );
        }
        if spin < spins {
            pool.held_ns += ns;
            return self.go(worker, Doing::Poll(spin + 1), ns);
        }
        pool.is_leader_asleep = true;
        self.workers[worker].doing = Doing::Awoken;
        self.sleep(worker);
    }

    /// Step 3.4: returns how long it takes to move a client out of its slot.
    fn wake_client(&mut self, core: usize, client: usize) -> u64 {
        let model = &self.params.model;
        let client_state = &mut self.clients[client];
        let is_here = client_state.core == Some(core);
        if client_state.is_parked {
            client_state.is_parked = false;
            let index = client_state.pool;
            self.pools[index].found.push_back(client);
        } else {
            client_state.has_event = true;
        }
        // The slot, and the readiness in the client.
        if is_here {
            model.slot.alone
        } else {
            model.slot.moved + model.read.moved
        }
    }

    /// Step 3.5: frees the watch, with the first client.
    fn end_poll(&mut self, worker: usize, is_first: bool) {
        let pool = self.pool(worker);
        pool.leader = None;
        pool.woken.append(&mut pool.found);
        let has_woken = !pool.woken.is_empty();
        if !is_first {
            self.workers[worker].turns = 0;
        }
        if has_woken {
            self.take(worker, 0);
        } else {
            self.go(worker, Doing::Look, 0);
        }
    }

    /// Receives, and computes the replies. Hands over before a handler that may block.
    fn serve(&mut self, worker: usize, client: usize) {
        let core = self.core_of(worker);
        let is_here = self.clients[client].core.is_none_or(|last| last == core);
        self.clients[client].core = Some(core);
        let model = &self.params.model;
        let pick =
            |access: super::params::Access| if is_here { access.alone } else { access.moved };
        let turn = pick(model.client) + pick(model.sockets) + model.own_work;
        let handler = model.handler;
        let mut ns = self.vary(turn);
        if handler > 0 {
            ns += self.hand_over(worker);
        }
        // A handler takes its time by the clock.
        let ns = self.slowed(worker, ns).max(1) + handler;
        self.workers[worker].doing = Doing::Reply(client);
        self.at(self.now + ns, super::Event::Step(worker));
    }

    fn send_reply(&mut self, worker: usize, client: usize) {
        let ns = self.reply(client, self.core_of(worker));
        self.go(worker, Doing::Park(client), ns);
    }

    /// Parks a client, or serves it again if it is ready.
    fn park(&mut self, worker: usize, client: usize) {
        if std::mem::take(&mut self.clients[client].has_event) {
            return self.serve(worker, client);
        }
        self.clients[client].is_parked = true;
        let ns = self.params.model.slot.alone + self.count_turn(worker);
        self.go(worker, Doing::Look, ns);
    }

    /// Wakes a helper every so many turns. Returns how long that takes.
    fn count_turn(&mut self, worker: usize) -> u64 {
        self.workers[worker].turns += 1;
        if self.workers[worker].turns < TURNS_BEFORE_HELPER {
            return 0;
        }
        self.workers[worker].turns = 0;
        let processors = self.params.cores.len();
        let workers = self.params.workers / self.params.design.groups;
        let awake = workers - self.pool(worker).followers.len();
        if awake < processors && !self.is_contended() {
            self.wake_follower(worker)
        } else {
            0
        }
    }

    /// Before a handler that may block. Returns how long it takes.
    fn hand_over(&mut self, worker: usize) -> u64 {
        let now = self.now;
        if self.pool(worker).is_watched(now) {
            0
        } else {
            self.wake_follower(worker)
        }
    }

    /// Sends a `Recheck`, if there is a follower to take it. Returns how long it takes.
    fn wake_follower(&mut self, worker: usize) -> u64 {
        let (core, now) = (self.core_of(worker), self.now);
        let model = self.params.model.clone();
        let pool = self.pool(worker);
        let counters = pool.counters.write(core, now, model.counter);
        if pool.recheck {
            return counters;
        }
        let Some(follower) = pool.followers.pop_front() else {
            return counters;
        };
        pool.recheck = true;
        let send = pool.channel.write(core, now, model.channel);
        counters + send + self.wake(follower, Some(core), model.follower_wake)
    }
}
