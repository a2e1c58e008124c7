//! The load: clients on other machines, or one thread on a core.

use std::collections::VecDeque;

use super::{Event, Load, Simulation};

/// A thread that sends the requests of all clients and receives their replies, as the benchmark's.
#[derive(Debug, Default)]
pub(super) struct LoadThread {
    /// Clients that ask next.
    pub(super) next: VecDeque<usize>,
    /// Clients whose reply has come.
    pub(super) answered: VecDeque<usize>,
    /// Clients whose replies are being received.
    receiving: VecDeque<usize>,
    is_asleep: bool,
}

impl Simulation {
    /// A request of a client on another machine comes. The core that receives it puts the socket
    /// into the ready list.
    pub(super) fn ask_from_far(&mut self, client: usize) {
        self.clients[client].asked_at = self.now;
        self.clients[client].is_waiting = true;
        let pool = &mut self.pools[self.clients[client].pool];
        let ns = pool
            .ready_list
            .write_outside(self.now, self.params.model.ready_list);
        self.at(self.now + ns, Event::Ready(client));
    }

    /// Puts a client's socket into the ready list. Returns how long it takes to wake the leader
    /// from the core `from`, or from outside.
    pub(super) fn insert(&mut self, client: usize, from: Option<usize>) -> u64 {
        let pool = &mut self.pools[self.clients[client].pool];
        pool.ready.push_back(client);
        if !std::mem::take(&mut pool.is_leader_asleep) {
            return 0;
        }
        let leader = pool.leader.expect("it sleeps");
        self.wake(leader, from, self.params.model.leader_wake)
    }

    /// The reply of a client is sent. Returns how long it takes to wake the load.
    pub(super) fn reply(&mut self, client: usize, core: usize) -> u64 {
        match self.params.load {
            Load::Far(network) => {
                self.end_request(client);
                let delay = self.vary(network);
                self.at(self.now + delay, Event::Ask(client));
                0
            }
            Load::Thread(_) => {
                self.load.answered.push_back(client);
                if !std::mem::take(&mut self.load.is_asleep) {
                    return 0;
                }
                self.wake(
                    self.workers.len(),
                    Some(core),
                    self.params.model.leader_wake,
                )
            }
        }
    }

    fn end_request(&mut self, client: usize) {
        self.latencies
            .push(self.now - self.clients[client].asked_at);
        self.clients[client].is_waiting = false;
        self.turns += 1;
    }

    /// Sends a request, or receives a reply, or polls, or sleeps.
    pub(super) fn step_load(&mut self, thread: usize) {
        let model = &self.params.model;
        let (send, recv, poll) = (model.load_send, model.load_recv, model.poll_call);
        if let Some(client) = self.load.receiving.pop_front() {
            self.end_request(client);
            self.load.next.push_back(client);
            return self.spend(thread, recv);
        }
        if let Some(client) = self.load.next.pop_front() {
            self.clients[client].asked_at = self.now;
            self.clients[client].is_waiting = true;
            // What wakes the leader, the load pays for.
            let core = self.threads[thread].core;
            let call = self.insert(client, Some(core));
            return self.spend(thread, send + call);
        }
        if self.load.answered.is_empty() {
            self.load.is_asleep = true;
            return self.sleep(thread);
        }
        self.load.receiving = std::mem::take(&mut self.load.answered);
        self.spend(thread, poll);
    }
}
