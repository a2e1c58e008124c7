//! Stand-in for the crate of this name: a bounded channel. It promises only what the original
//! documents: a receiver sees what the sender of its value had seen.

#![expect(missing_docs, reason = "the original documents it")]

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use crate::explore::{Key, key, wait_for, wake};
use crate::memory::{Cell, Ordering, View, join, view};

#[derive(Debug)]
struct Channel<T> {
    capacity: usize,
    waiting: Mutex<VecDeque<(T, View)>>,
    /// The length for readers without the lock: they may see an old value.
    length: Cell,
    received: Key,
}

#[derive(Debug)]
pub struct Sender<T>(Arc<Channel<T>>);

#[derive(Debug)]
pub struct Receiver<T>(Arc<Channel<T>>);

/// The channel is empty.
#[derive(Debug)]
pub struct Nothing;

pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel {
        capacity,
        waiting: Mutex::default(),
        length: Cell::new(0),
        received: key(),
    });
    (Sender(Arc::clone(&channel)), Receiver(channel))
}

impl<T: Debug> Sender<T> {
    /// Panics if the channel is full, or has a `Recheck` and gets a second one.
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), Nothing> {
        let Self(channel) = self;
        channel
            .length
            .update(Ordering::Relaxed, |length| Some(length + 1));
        let mut waiting = channel.waiting();
        let is_recheck = |value: &T| format!("{value:?}") == "Recheck";
        assert!(
            !is_recheck(&value) || waiting.iter().all(|(other, _)| !is_recheck(other)),
            "there is never more than one `Recheck` in the queue"
        );
        assert!(waiting.len() < channel.capacity, "the queue is never full");
        waiting.push_back((value, view()));
        drop(waiting);
        wake(channel.received);
        Ok(())
    }

    pub fn is_full(&self) -> bool {
        self.0.waiting().len() == self.0.capacity
    }

    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Receiver<T> {
    /// May miss a value that was just sent.
    #[track_caller]
    pub fn try_recv(&self) -> Result<T, Nothing> {
        if self.0.is_empty() {
            return Err(Nothing);
        }
        self.0.take().ok_or(Nothing)
    }

    #[track_caller]
    pub fn recv(&self) -> Result<T, Nothing> {
        Ok(wait_for(self.0.received, "the queue", || self.0.take()))
    }

    #[track_caller]
    pub fn len(&self) -> usize {
        self.0.length.load(Ordering::Relaxed)
    }

    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Channel<T> {
    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<(T, View)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// May miss a value that was just sent.
    #[track_caller]
    fn is_empty(&self) -> bool {
        self.length.load(Ordering::Relaxed) == 0
    }

    #[track_caller]
    fn take(&self) -> Option<T> {
        let (value, sent) = self.waiting().pop_front()?;
        join(&sent);
        self.length
            .update_now(Ordering::Relaxed, |length| Some(length - 1));
        Some(value)
    }
}
