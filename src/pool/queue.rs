//! The queue: one channel of clients that have something to say.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;

use crate::client::Client;

/// What a worker takes from the queue.
#[derive(Debug)]
pub(crate) enum Work {
    /// Serve this client.
    Serve(Box<Client>),
    /// Look around: parking wants a leader, or the pool has a worker too many.
    Recheck,
}

/// The clients that wait for a worker, each kind first in, first out.
#[derive(Debug)]
pub(super) struct Queue {
    sender: Sender<Work>,
    receiver: Receiver<Work>,
    /// Clients that used up their turn. They wait until no other client does.
    spent: Mutex<VecDeque<Box<Client>>>,
    /// How many they are: written under their lock, read without, because each turn looks at it.
    spent_count: AtomicUsize,
}

impl Queue {
    /// `slots` is how much may wait in the channel at once. It must be enough for every client that
    /// has a place in parking and for the one `Work::Recheck`: then it is never full, and sending never
    /// waits.
    pub(super) fn new(slots: usize) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(slots);
        Self {
            sender,
            receiver,
            spent: Mutex::new(VecDeque::new()),
            spent_count: AtomicUsize::new(0),
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
    pub(super) fn add_spent(&self, client: Box<Client>) {
        let mut spent = self.spent.lock();
        spent.push_back(client);
        self.spent_count.store(spent.len(), Ordering::Relaxed);
    }

    /// Takes the work at the head, if there is any.
    #[expect(clippy::inline_always, reason = "on the way of each turn")]
    #[inline(always)]
    pub(super) fn try_take(&self) -> Option<Work> {
        // Mostly it is empty, and to see that costs less than to try.
        if self.is_empty() {
            return None;
        }
        self.receiver.try_recv().ok()
    }

    /// Takes the first client that used up its turn, if there is one.
    #[inline]
    pub(super) fn try_take_spent(&self) -> Option<Box<Client>> {
        if self.has_spent() {
            self.take_spent()
        } else {
            None
        }
    }

    /// As [`Self::try_take_spent`]. Another worker may have been faster.
    #[cold]
    fn take_spent(&self) -> Option<Box<Client>> {
        let mut spent = self.spent.lock();
        let client = spent.pop_front();
        self.spent_count.store(spent.len(), Ordering::Relaxed);
        client
    }

    /// Waits for work, but not for clients that used up their turn.
    pub(super) fn take(&self) -> Work {
        // Invariant: the queue holds its own sender, so it is never disconnected.
        self.receiver.recv().expect("the queue has a sender")
    }

    /// How many clients wait, with a `Work::Recheck`.
    pub(super) fn len(&self) -> usize {
        self.receiver.len() + self.spent_count.load(Ordering::Relaxed)
    }

    /// Whether nothing is there for [`Self::try_take`].
    #[expect(clippy::inline_always, reason = "on the way of each turn")]
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        // The sender knows fewer kinds of channels than the receiver: this takes fewer instructions.
        self.sender.is_empty()
    }

    /// Whether a client is there for [`Self::try_take_spent`].
    #[inline]
    pub(super) fn has_spent(&self) -> bool {
        self.spent_count.load(Ordering::Relaxed) > 0
    }
}
