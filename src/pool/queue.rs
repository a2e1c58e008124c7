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

/// A first-in, first-out queue between whoever wakes a client and the workers.
#[derive(Debug)]
pub(super) struct Queue {
    sender: Sender<Work>,
    receiver: Receiver<Work>,
}

impl Queue {
    /// `places` is how much may wait at once. It must be enough for every client that has a place
    /// in parking and for the one `Work::Look`: then the queue is never full, and sending never
    /// waits.
    pub(super) fn new(places: usize) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(places);
        Self { sender, receiver }
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

    /// Takes the work at the head, if there is any.
    pub(super) fn try_take(&self) -> Option<Work> {
        // Mostly it is empty, and to see that costs less than to try.
        if self.is_empty() {
            return None;
        }
        self.receiver.try_recv().ok()
    }

    /// Waits for work.
    pub(super) fn take(&self) -> Work {
        // Invariant: the queue holds its own sender, so it is never disconnected.
        self.receiver.recv().expect("the queue has a sender")
    }

    pub(super) fn len(&self) -> usize {
        self.receiver.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }
}
