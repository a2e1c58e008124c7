//! The costs of the shared points, in nanoseconds, as measured on two cores of this machine.

use std::io;

use crate::cpu::{Pair, median};
use crate::lines;
use crate::sockets::{self, SocketCosts};
use crate::wakes::{self, WakeCosts};

/// What an access costs, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    /// The core that accesses has its cache lines already.
    pub(crate) alone: f64,
    /// Another core has written the lines since, and they are moved.
    pub(crate) moved: f64,
}

/// Clients of the measurements of sockets.
pub(crate) const FEW: usize = 50;
pub(crate) const MANY: usize = 500;

/// Every cost that the model uses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Costs {
    /// Locks and unlocks a lock: the watch or a slot.
    pub(crate) lock: Cost,
    /// Locks the watch, takes a client from the woken list, and unlocks.
    pub(crate) take_woken: Cost,
    /// Sends a client to the queue's channel, in which nobody waits.
    pub(crate) channel_send: Cost,
    /// Takes a client from the channel.
    pub(crate) channel_take: Cost,
    /// Adds to an atomic counter.
    pub(crate) atomic: Cost,
    /// Reads a cache line.
    pub(crate) read: Cost,
    /// Touches the memory of a client: seven lines.
    pub(crate) client: Cost,
    /// Yields the core while no other thread wants it.
    pub(crate) give_way: f64,
    pub(crate) wakes: WakeCosts,
    /// With 1 and with 16 PINGs in flight.
    pub(crate) few: [SocketCosts; 2],
    /// The same with so many clients that their memory is not in a core's caches.
    pub(crate) many: [SocketCosts; 2],
    /// Adds a socket to the ready list of an epoll set while one core does, and while two do.
    pub(crate) ready_list: Cost,
    /// From a write on one core until another core has read it.
    pub(crate) transfer: f64,
    /// How much longer a turn takes while the other core works as hard: more than 1 if the two share
    /// something, as two hardware threads share a core.
    pub(crate) busy_factor: f64,
}

impl Costs {
    pub(crate) fn measure(pair: Pair) -> io::Result<Self> {
        let [lock, take_woken, atomic] = lines::locks(pair)?;
        let [channel_send, channel_take] = lines::channel(pair)?;
        Ok(Self {
            lock,
            take_woken,
            channel_send,
            channel_take,
            atomic,
            read: lines::read(pair)?,
            client: lines::client(pair)?,
            give_way: wakes::give_way(pair)?,
            wakes: WakeCosts::measure(pair)?,
            few: [
                SocketCosts::measure(pair, 1, FEW)?,
                SocketCosts::measure(pair, 16, FEW)?,
            ],
            many: [
                SocketCosts::measure(pair, 1, MANY)?,
                SocketCosts::measure(pair, 16, MANY)?,
            ],
            ready_list: sockets::ready_list(pair)?,
            transfer: lines::transfer(pair)?,
            busy_factor: sockets::busy_factor(pair)?,
        })
    }
}

impl Costs {
    /// Returns the least that each cost was in any pass: disturbances only add to it. Returns the
    /// median of those that are differences and ratios of others.
    pub(crate) fn least(mut all: Vec<Self>) -> Self {
        let middle = |value: fn(&Self) -> f64| median(all.iter().map(value).collect());
        let ready_list = Cost {
            alone: middle(|costs| costs.ready_list.alone),
            moved: middle(|costs| costs.ready_list.moved),
        };
        let busy_factor = middle(|costs| costs.busy_factor);
        let mut least = all.swap_remove(0);
        for costs in &mut all {
            for (value, other) in least.values().into_iter().zip(costs.values()) {
                *value = value.min(*other);
            }
        }
        Self {
            ready_list,
            busy_factor,
            ..least
        }
    }

    /// Returns the costs of sockets with 1 or more PINGs in flight, and that many clients on a core.
    pub(crate) fn sockets(&self, pipeline: usize, clients: usize) -> &SocketCosts {
        let costs = if clients >= MANY {
            &self.many
        } else {
            &self.few
        };
        &costs[usize::from(pipeline > 1)]
    }

    fn values(&mut self) -> Vec<&mut f64> {
        let pairs = [
            &mut self.lock,
            &mut self.take_woken,
            &mut self.channel_send,
            &mut self.channel_take,
            &mut self.atomic,
            &mut self.read,
            &mut self.client,
            &mut self.ready_list,
        ];
        let pairs = pairs
            .into_iter()
            .flat_map(|cost| [&mut cost.alone, &mut cost.moved]);
        let mut values: Vec<_> = pairs.collect();
        values.extend([
            &mut self.transfer,
            &mut self.give_way,
            &mut self.busy_factor,
        ]);
        values.extend(self.wakes.values());
        let sockets = self.few.iter_mut().chain(&mut self.many);
        values.extend(sockets.flat_map(SocketCosts::values));
        values
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The costs that benches/README.md names, for simulations that do not depend on the machine.
    pub(crate) fn costs() -> Costs {
        let cost = |alone, moved| Cost { alone, moved };
        let sockets = |turn| SocketCosts {
            poll_call: 130.0,
            poll_event: 109.0,
            turn: [turn; 3],
            load_send: 3300.0,
            load_recv: 600.0,
        };
        let sockets = [sockets(4240.0), sockets(4260.0)];
        Costs {
            lock: cost(10.0, 10.0),
            take_woken: cost(12.0, 15.0),
            channel_send: cost(15.0, 27.0),
            channel_take: cost(15.0, 27.0),
            atomic: cost(5.0, 5.0),
            read: cost(5.0, 5.0),
            client: cost(10.0, 10.0),
            give_way: 421.0,
            wakes: WakeCosts {
                leader_call: 6800.0,
                leader_delay: 21_200.0,
                idle_call: 500.0,
                follower_call: 6700.0,
                follower_delay: 17_000.0,
                switch: 2090.0,
            },
            few: sockets,
            many: sockets,
            ready_list: cost(170.0, 180.0),
            transfer: 36.0,
            busy_factor: 1.0,
        }
    }
}
