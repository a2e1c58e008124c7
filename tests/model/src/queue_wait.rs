//! Stand-in for the pool's module of this name, without a clock: whether the last poll was long ago
//! is a choice of the run.

#![expect(missing_docs, reason = "the original documents it")]

use std::collections::VecDeque;
use std::time::Instant;

use crate::client::Client;
use crate::explore::with_run;

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

    pub fn note_own(&self, clock: &mut LocalClock, _: Instant) -> bool {
        self.was_polled_long_ago(clock)
    }

    pub fn refresh(&self, _: &mut LocalClock) -> u32 {
        0
    }

    pub fn was_polled_long_ago(&self, _: &LocalClock) -> bool {
        with_run(|run| run.choose(2) == 1)
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
