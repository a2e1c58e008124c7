//! Stand-in for the pool's module of this name, without a clock: the times that it measures decide
//! only whether a poll waits or is repeated.

#![expect(missing_docs, reason = "the original documents it")]

use std::collections::VecDeque;
use std::time::Instant;

use crate::client::Client;

#[derive(Debug, Default)]
pub struct QueueWait;

#[derive(Debug, Default)]
pub struct LocalClock;

impl LocalClock {
    pub fn count_turn(&mut self) {}

    pub fn forget(&mut self) {}
}

impl QueueWait {
    pub fn new() -> Self {
        Self
    }

    pub fn at(&self, _: Instant) -> u32 {
        0
    }

    pub fn note(&self, _: Instant) {}

    pub fn note_own(&self, _: &mut LocalClock, _: Instant) -> bool {
        false
    }

    pub fn refresh(&self, _: &mut LocalClock) -> u32 {
        0
    }

    pub fn was_polled_long_ago(&self, _: &LocalClock) -> bool {
        false
    }

    pub fn waited(&self, _: &mut LocalClock) {}

    pub fn polled(&self, _: &mut LocalClock, _: &mut VecDeque<Box<Client>>, _: bool) {}

    pub fn found(&self, _: u32, _: &mut VecDeque<Box<Client>>, _: bool) {}

    pub fn keep(&self, _: u32, _: &mut VecDeque<Box<Client>>) {}

    pub fn may_have_waited(&self, _: &Client) -> bool {
        false
    }

    pub fn end(&self, _: &mut LocalClock, _: &mut Client) -> u32 {
        0
    }
}
