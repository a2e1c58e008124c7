//! What stands in for the crate of this name: a bounded channel. It promises no more than the real
//! one's documents do: what was known to who sends is known to who receives, and nothing else.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use crate::explore::{Key, call, key, wait_for};
use crate::memory::{Cell, Ordering, View, join, view};

#[derive(Debug)]
struct Channel<T> {
    places: usize,
    waiting: Mutex<VecDeque<(T, View)>>,
    /// How many wait, for those who only look: that may be an old value.
    length: Cell,
    received: Key,
}

/// As its namesake.
#[derive(Debug)]
pub struct Sender<T>(Arc<Channel<T>>);

/// As its namesake.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Channel<T>>);

/// There is nobody at the other end, or nothing in the channel.
#[derive(Debug)]
pub struct Nothing;

/// As its namesake.
pub fn bounded<T>(places: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel {
        places,
        waiting: Mutex::default(),
        length: Cell::new(0),
        received: key(),
    });
    (Sender(Arc::clone(&channel)), Receiver(channel))
}

impl<T: Debug> Sender<T> {
    /// As its namesake, but instead of waiting for room it panics: the queue has room for everybody
    /// there can be. So it does if a second `Recheck` is sent.
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
        assert!(waiting.len() < channel.places, "the queue is never full");
        waiting.push_back((value, view()));
        drop(waiting);
        call(channel.received);
        Ok(())
    }

    /// As its namesake.
    pub fn is_full(&self) -> bool {
        self.0.waiting().len() == self.0.places
    }
}

impl<T> Receiver<T> {
    /// As its namesake. What was sent may not be seen yet.
    #[track_caller]
    pub fn try_recv(&self) -> Result<T, Nothing> {
        if self.is_empty() {
            return Err(Nothing);
        }
        self.0.take().ok_or(Nothing)
    }

    /// As its namesake.
    #[track_caller]
    pub fn recv(&self) -> Result<T, Nothing> {
        Ok(wait_for(self.0.received, "the queue", || self.0.take()))
    }

    /// As its namesake.
    #[track_caller]
    pub fn len(&self) -> usize {
        self.0.length.load(Ordering::Relaxed)
    }

    /// As its namesake.
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Channel<T> {
    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<(T, View)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
