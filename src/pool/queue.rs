//! The queue: one channel of clients that have something to say.

use crossbeam_channel::{Receiver, Sender};

use crate::client::Client;

/// What a worker takes from the queue.
#[derive(Debug)]
pub(crate) enum Work {
    /// Serve this client.
    Serve(Box<Client>),
    /// Look around: parking wants a leader, or the pool has a worker too many.
    Look,
}

/// The clients that wait for a worker. Each of the two channels is first in, first out.
#[derive(Debug)]
pub(super) struct Queue {
    sender: Sender<Work>,
    receiver: Receiver<Work>,
    /// Clients that used up their turn. They wait until no other client does.
    spent_sender: Sender<Box<Client>>,
    spent_receiver: Receiver<Box<Client>>,
}

impl Queue {
    /// `clients_max` is how many clients there can be at once. With room for all of them, and for the
    /// one `Work::Look`, the queue is never full, and sending never waits.
    pub(super) fn new(clients_max: usize) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(clients_max + 1);
        let (spent_sender, spent_receiver) = crossbeam_channel::bounded(clients_max);
        Self {
            sender,
            receiver,
            spent_sender,
            spent_receiver,
        }
    }

    /// Adds `work` at the tail.
    pub(super) fn send(&self, work: Work) {
        debug_assert!(
            !self.sender.is_full(),
            "a client was admitted for which there is no place"
        );
        // Invariant: the queue holds its own receiver, so it is never disconnected.
        self.sender.send(work).expect("the queue has a receiver");
    }

    /// Adds a client that used up its turn.
    pub(super) fn send_spent(&self, client: Box<Client>) {
        // Invariant: the queue holds its own receiver, so it is never disconnected.
        let sent = self.spent_sender.send(client);
        sent.expect("the queue has a receiver");
    }

    /// Takes the work at the head, if there is any.
    pub(super) fn try_take(&self) -> Option<Work> {
        // Mostly it is empty, and to see that costs less than to try.
        if self.is_empty() {
            return None;
        }
        self.receiver.try_recv().ok()
    }

    /// Takes the first client that used up its turn, if there is one.
    pub(super) fn try_take_spent(&self) -> Option<Work> {
        if !self.has_spent() {
            return None;
        }
        self.spent_receiver.try_recv().ok().map(Work::Serve)
    }

    /// Waits for work, but not for clients that used up their turn.
    pub(super) fn take(&self) -> Work {
        // Invariant: the queue holds its own sender, so it is never disconnected.
        self.receiver.recv().expect("the queue has a sender")
    }

    /// How many clients wait, and a `Work::Look`.
    pub(super) fn len(&self) -> usize {
        self.receiver.len() + self.spent_receiver.len()
    }

    /// Whether nothing is there for [`Self::try_take`].
    pub(super) fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Whether a client is there for [`Self::try_take_spent`].
    pub(super) fn has_spent(&self) -> bool {
        !self.spent_receiver.is_empty()
    }
}
