//! Stand-in for the crate of this name. A lock is one cell, so `is_locked` may see an old value.

#![expect(missing_docs, reason = "the original documents it")]

use std::ops::{Deref, DerefMut};
use std::sync;

use crate::explore::{Key, key, step, wait_for, wake};
use crate::memory::{Cell, Ordering};

#[derive(Debug)]
pub struct Mutex<T> {
    locked: Cell,
    unlocked: Key,
    /// Free whenever `locked` is 0.
    value: sync::Mutex<T>,
}

#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    locked: &'a Cell,
    unlocked: Key,
    /// `None` after it was unlocked.
    value: Option<sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self {
            locked: Cell::new(0),
            unlocked: key(),
            value: sync::Mutex::new(value),
        }
    }

    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        wait_for(self.unlocked, "a lock", || self.take())
    }

    /// May fail although the lock is free, because it sees an old value.
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        if self.is_locked() {
            return None;
        }
        step();
        self.take()
    }

    /// May see an old value.
    #[track_caller]
    pub fn is_locked(&self) -> bool {
        self.locked.load(Ordering::Relaxed) != 0
    }

    #[track_caller]
    fn take(&self) -> Option<MutexGuard<'_, T>> {
        let before = self
            .locked
            .update_now(Ordering::Acquire, |locked| (locked == 0).then_some(1));
        (before == 0).then(|| MutexGuard {
            locked: &self.locked,
            unlocked: self.unlocked,
            value: self.value.try_lock().ok(),
        })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is locked")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("it is locked")
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.value = None;
        self.locked.store(0, Ordering::Release);
        wake(self.unlocked);
    }
}
