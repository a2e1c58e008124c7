//! The queue of clients that wait for a worker: a channel, and beside it a list of spent clients and
//! the call for a helper.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, select_biased};
use parking_lot::Mutex;

use crate::client::Client;

/// An item of the queue.
#[derive(Debug)]
pub(crate) enum Work {
    /// Serve this client.
    Serve(Box<Client>),
    /// Look at everything again: a leader is wanted, or a worker should end.
    Recheck,
}

/// Waiting clients. Each of the two lists is first in, first out.
#[derive(Debug)]
pub(super) struct Queue {
    sender: Sender<Work>,
    receiver: Receiver<Work>,
    /// Clients whose last turn used up its budget. They wait until no other client does.
    spent: Mutex<VecDeque<Box<Client>>>,
    /// The length of `spent`: written under its lock, read without it in each turn.
    spent_count: AtomicUsize,
    /// Has one place, for the call for a helper. Only followers take from it: in the channel of
    /// clients, the caller would take its own call in its next turn, before a follower is awake.
    help_sender: Sender<()>,
    help_receiver: Receiver<()>,
}

impl Queue {
    /// `capacity` is that of the channel: one for each slot in parking, and one for the only
    /// `Work::Recheck`. So the channel is never full, and sending never waits.
    pub(super) fn new(capacity: usize) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        let (help_sender, help_receiver) = crossbeam_channel::bounded(1);
        Self {
            sender,
            receiver,
            spent: Mutex::new(VecDeque::new()),
            spent_count: AtomicUsize::new(0),
            help_sender,
            help_receiver,
        }
    }

    /// Adds `work` at the tail.
    pub(super) fn send(&self, work: Work) {
        debug_assert!(
            !self.sender.is_full(),
            "more clients were admitted than there are slots"
        );
        // Invariant: the queue holds its own receiver, so it is never disconnected.
        self.sender.send(work).expect("the queue has a receiver");
    }

    /// Adds a spent client.
    pub(super) fn add_spent(&self, client: Box<Client>) {
        let mut spent = self.spent.lock();
        spent.push_back(client);
        self.spent_count.store(spent.len(), Ordering::Relaxed);
    }

    /// Takes the work at the head, if there is any.
    #[expect(clippy::inline_always, reason = "on the way of each turn")]
    #[inline(always)]
    pub(super) fn try_take(&self) -> Option<Work> {
        // The channel is mostly empty, and looking costs less than trying.
        if self.is_empty() {
            return None;
        }
        self.receiver.try_recv().ok()
    }

    /// Takes the work at the head, or else the first spent client.
    #[expect(clippy::inline_always, reason = "on the way of each turn")]
    #[inline(always)]
    pub(super) fn try_take_any(&self) -> Option<Work> {
        self.try_take()
            .or_else(|| self.try_take_spent().map(Work::Serve))
    }

    /// Takes the first spent client, if there is one.
    #[inline]
    pub(super) fn try_take_spent(&self) -> Option<Box<Client>> {
        if self.has_spent() {
            self.take_spent()
        } else {
            None
        }
    }

    /// Returns `None` if another worker took the last spent client in the meantime.
    #[cold]
    fn take_spent(&self) -> Option<Box<Client>> {
        let mut spent = self.spent.lock();
        let client = spent.pop_front();
        self.spent_count.store(spent.len(), Ordering::Relaxed);
        client
    }

    /// Calls a follower as a helper, unless one is called already.
    pub(super) fn call_helper(&self) {
        // If the channel is full, the follower that takes the other call helps.
        let _ = self.help_sender.try_send(());
    }

    #[cfg(test)]
    pub(super) fn is_helper_called(&self) -> bool {
        !self.help_receiver.is_empty()
    }

    /// Waits for work in the channel, not for spent clients. Returns `None` if a helper is called.
    pub(super) fn take(&self) -> Option<Work> {
        // The call comes first. Otherwise the follower that it has woken could take a client and
        // leave the call, which would then keep others from calling.
        select_biased! {
            recv(self.help_receiver) -> _ => None,
            // Invariant: the queue holds its own sender, so it is never disconnected.
            recv(self.receiver) -> work => Some(work.expect("the queue has a sender")),
        }
    }

    /// Returns how many clients wait. A `Work::Recheck` counts as one.
    pub(super) fn len(&self) -> usize {
        self.receiver.len() + self.spent_count.load(Ordering::Relaxed)
    }

    /// Whether the channel is empty.
    #[expect(clippy::inline_always, reason = "on the way of each turn")]
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        // The sender knows fewer kinds of channels than the receiver: this takes fewer
        // instructions.
        self.sender.is_empty()
    }

    /// Whether a spent client waits.
    #[inline]
    pub(super) fn has_spent(&self) -> bool {
        self.spent_count.load(Ordering::Relaxed) > 0
    }
}
