//! Stand-in for the crate of this name: a bounded channel. It promises only what the original
//! documents: a receiver sees what the sender of its value had seen.

#![expect(missing_docs, reason = "the original documents it")]

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use crate::explore::{CHANNELS, step, wait_for, wake};
use crate::memory::{Cell, Ordering, View, join, view};

#[derive(Debug)]
struct Channel<T> {
    capacity: usize,
    waiting: Mutex<VecDeque<(T, View)>>,
    /// The length for readers without the lock: they may see an old value.
    length: Cell,
}

#[derive(Debug)]
pub struct Sender<T>(Arc<Channel<T>>);

#[derive(Debug)]
pub struct Receiver<T>(Arc<Channel<T>>);

/// The channel is empty.
#[derive(Debug)]
pub struct Nothing;

/// What came of waiting for two channels.
#[derive(Debug)]
pub enum Either<T, U> {
    First(T),
    Second(U),
}

/// Of two channels, takes from the first that has a value. Waits until one has.
macro_rules! select_biased {
    (
        recv($first:expr) -> $value:pat => $then:expr,
        recv($second:expr) -> $other:ident => $otherwise:expr,
    ) => {
        match $first.recv_or(&$second) {
            $crate::crossbeam_channel::Either::First($value) => $then,
            $crate::crossbeam_channel::Either::Second(value) => {
                let $other = Ok::<_, $crate::crossbeam_channel::Nothing>(value);
                $otherwise
            }
        }
    };
}
pub(crate) use select_biased;

pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel {
        capacity,
        waiting: Mutex::default(),
        length: Cell::new(0),
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
        wake(CHANNELS);
        Ok(())
    }

    pub fn try_send(&self, value: T) -> Result<(), Nothing> {
        step();
        let Self(channel) = self;
        let mut waiting = channel.waiting();
        if waiting.len() == channel.capacity {
            return Err(Nothing);
        }
        channel
            .length
            .update_now(Ordering::Relaxed, |length| Some(length + 1));
        waiting.push_back((value, view()));
        drop(waiting);
        wake(CHANNELS);
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

    /// Waits for a value of the first channel that has one.
    #[track_caller]
    pub fn recv_or<U>(&self, other: &Receiver<U>) -> Either<T, U> {
        wait_for(CHANNELS, "the queue", || {
            let first = self.0.take().map(Either::First);
            first.or_else(|| other.0.take().map(Either::Second))
        })
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
