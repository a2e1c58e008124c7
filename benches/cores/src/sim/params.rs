//! What a simulation is made of.

use crate::costs::{Cost, Costs};
use crate::sockets::{Placement, SocketCosts};

/// A [`Cost`] in whole nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) alone: u64,
    pub(crate) moved: u64,
}

/// Waking a thread that sleeps, on another core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wake {
    /// How long it takes the thread that wakes.
    pub(crate) call: u64,
    /// From then until the other thread runs, if its core sleeps too.
    pub(crate) delay: u64,
}

/// A worker's instructions in user space for a turn of 1 and of 16 PINGs, as
/// tests/isolated/instructions.rs counts them.
const INSTRUCTIONS: [f64; 2] = [940.0, 16.0 * 80.7];
/// The time of an instruction, as assumed.
const INSTRUCTION_NS: f64 = 0.25;

/// The costs of the simulation, in nanoseconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Model {
    pub(crate) watch: Access,
    pub(crate) slot: Access,
    pub(crate) channel: Access,
    pub(crate) counter: Access,
    pub(crate) read: Access,
    pub(crate) client: Access,
    pub(crate) ready_list: Access,
    pub(crate) give_way: u64,
    pub(crate) poll_call: u64,
    pub(crate) poll_event: u64,
    /// The kernel's `recv` and `send` of a turn, if the socket was last served on this core, and on
    /// another one.
    pub(crate) sockets: Access,
    /// The rest of a turn: what the worker does in user space besides the pool.
    pub(crate) own_work: u64,
    /// A handler that may block, and takes this long; 0 for a PING.
    pub(crate) handler: u64,
    pub(crate) leader_wake: Wake,
    pub(crate) follower_wake: Wake,
    pub(crate) switch: u64,
    pub(crate) load_send: u64,
    pub(crate) load_recv: u64,
    /// How much longer everything takes while the other core of the pair is busy, too. 1 if no two
    /// cores share anything.
    pub(crate) busy_factor: f64,
}

impl Model {
    /// `sockets` are the costs of a turn with `pipeline` PINGs.
    pub(crate) fn new(sockets: &SocketCosts, costs: &Costs, pipeline: usize) -> Self {
        let own_work = INSTRUCTION_NS * INSTRUCTIONS[usize::from(pipeline > 1)];
        // A steady exchange keeps both cores busy.
        let alone = |ns: f64| ns / costs.busy_factor;
        let turn = |placement: Placement| alone(sockets.turn[placement as usize]);
        let wakes = &costs.wakes;
        let ns = |ns: f64| ns.round().max(0.0) as u64;
        // Measured as parts of the user space time, too.
        let pool_work = costs.take_woken.alone + 2.0 * costs.lock.alone + costs.client.alone;
        Self {
            watch: costs.take_woken.into(),
            slot: costs.lock.into(),
            channel: costs.channel_send.into(),
            counter: costs.atomic.into(),
            read: costs.read.into(),
            client: costs.client.into(),
            ready_list: costs.ready_list.into(),
            give_way: ns(costs.give_way),
            poll_call: ns(sockets.poll_call),
            poll_event: ns(alone(sockets.poll_event)),
            sockets: Cost {
                alone: turn(Placement::Split),
                moved: turn(Placement::Moved).max(turn(Placement::Split)),
            }
            .into(),
            own_work: ns(own_work - pool_work),
            handler: 0,
            leader_wake: Wake {
                call: ns(wakes.leader_call - wakes.idle_call),
                delay: ns(wakes.leader_delay),
            },
            follower_wake: Wake {
                call: ns(wakes.follower_call),
                delay: ns(wakes.follower_delay),
            },
            switch: ns(wakes.switch),
            load_send: ns(alone(sockets.load_send)),
            load_recv: ns(alone(sockets.load_recv)),
            busy_factor: costs.busy_factor,
        }
    }

    /// Returns the model of cores that share no caches below the last one. A line takes
    /// `transfer` nanoseconds from core to core; the number of lines of each point is assumed.
    pub(crate) fn with_transfer(self, transfer: u64) -> Self {
        let lines = |access: Access, count: u64| Access {
            moved: access.moved.max(access.alone + count * transfer),
            ..access
        };
        Self {
            // The lock with the list's ends, and the place in the list.
            watch: lines(self.watch, 2),
            slot: lines(self.slot, 1),
            // Its head, its tail, and the place between them.
            channel: lines(self.channel, 3),
            counter: lines(self.counter, 1),
            read: lines(self.read, 1),
            // They move at the same time, about two by two.
            client: lines(self.client, 3),
            // The lock of the set, and the last entry.
            ready_list: lines(self.ready_list, 2),
            // The socket's and the entry's state, written by the core that received the bytes.
            poll_event: self.poll_event + 2 * transfer,
            // What the server alone uses of a socket.
            sockets: lines(self.sockets, 5),
            busy_factor: 1.0,
            ..self
        }
    }
}

impl From<Cost> for Access {
    fn from(cost: Cost) -> Self {
        let [alone, moved] = [cost.alone, cost.moved].map(|ns| ns.round() as u64);
        Self { alone, moved }
    }
}

/// How the pool is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Design {
    /// Groups of workers that have a pool each, or processes.
    pub(crate) groups: usize,
    /// Woken clients that a worker takes at once.
    pub(crate) batch: usize,
    /// Maximum events of a poll.
    pub(crate) events: usize,
    /// How often a worker polls, or looks for work, before it sleeps.
    pub(crate) spins: u32,
    /// Whether workers spin as long as the leader polls without sleeping.
    pub(crate) spins_on: bool,
}

impl Design {
    /// The pool as it is.
    pub(crate) const POOL: Self = Self {
        groups: 1,
        batch: 1,
        events: 256,
        spins: 20,
        spins_on: true,
    };
}

/// Where the requests come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Other machines: a request comes this many nanoseconds after the last reply, on average.
    Far(u64),
    /// One thread on this core.
    Thread(usize),
}

/// A simulation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Params {
    pub(crate) model: Model,
    pub(crate) design: Design,
    pub(crate) workers: usize,
    pub(crate) clients: usize,
    pub(crate) load: Load,
    /// The cores that the workers may use.
    pub(crate) cores: Vec<usize>,
    /// The simulated time.
    pub(crate) ns: u64,
}

/// What a simulation shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    /// Turns in a second. Each answers all requests that a client has in flight.
    pub(crate) turns_per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// The share of the time in which a worker held the watch, on average over the groups.
    pub(crate) watch_held: f64,
    /// The share of the time in which workers slept.
    pub(crate) asleep: f64,
    /// Turns that were begun, and clients with a request on its way or waiting, at the end.
    pub(crate) in_flight: usize,
}
