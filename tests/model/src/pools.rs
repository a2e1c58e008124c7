//! The pool, and a copy with each bug. `build.rs` takes them from `src/pool`.

#![expect(missing_docs, reason = "`src/pool` documents the methods")]

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use crate::client::Client;

/// The methods of a pool.
pub trait Pool: Debug + Send + Sync {
    fn assign(&self) -> Option<usize>;
    fn free(&self, slot: usize);
    fn submit(&self, client: Box<Client>);
    fn resubmit(&self, client: Box<Client>);
    /// Returns the client if it was not parked.
    fn park(&self, client: Box<Client>, may_rest: &dyn Fn(&Client) -> bool) -> Option<Box<Client>>;
    /// Joins a worker and returns its `next`, before which its last turn ends as a timed one.
    fn join<'a>(&'a self) -> Box<dyn FnMut() -> Option<Box<Client>> + 'a>;
    fn hand_over(&self);
    fn notify(&self, slot: usize);
    fn fetch(&self, wanted: &dyn Fn(&Client) -> bool, fetched: &mut dyn FnMut(Box<Client>));
    fn empty(&self, taken: &mut dyn FnMut(Box<Client>));
    fn begin_drain(&self);
    fn retire(&self, count: usize);
    fn unretire(&self, count: usize) -> usize;
}

/// Makes a pool with this many slots.
pub type Make = fn(usize) -> Arc<dyn Pool>;

macro_rules! pool {
    ($copy:ident) => {
        impl Pool for $copy::Pool {
            fn assign(&self) -> Option<usize> {
                self.assign()
            }
            fn free(&self, slot: usize) {
                self.free(slot);
            }
            fn submit(&self, client: Box<Client>) {
                self.submit(client);
            }
            fn resubmit(&self, client: Box<Client>) {
                self.resubmit(client, Instant::now());
            }
            fn park(
                &self,
                client: Box<Client>,
                may_rest: &dyn Fn(&Client) -> bool,
            ) -> Option<Box<Client>> {
                match self.park(client, may_rest) {
                    $copy::Parked::Resting => None,
                    $copy::Parked::Ready(client) => Some(client),
                    $copy::Parked::Failed(_, error) => panic!("{error}"),
                }
            }
            fn join<'a>(&'a self) -> Box<dyn FnMut() -> Option<Box<Client>> + 'a> {
                let mut local = self.join();
                Box::new(move || {
                    self.end_timed_turn(&mut local, Instant::now(), false);
                    self.next(&mut local)
                })
            }
            fn hand_over(&self) {
                self.hand_over();
            }
            fn notify(&self, slot: usize) {
                self.notify(slot);
            }
            fn fetch(
                &self,
                wanted: &dyn Fn(&Client) -> bool,
                fetched: &mut dyn FnMut(Box<Client>),
            ) {
                self.fetch(wanted, fetched);
            }
            fn empty(&self, taken: &mut dyn FnMut(Box<Client>)) {
                self.empty(taken);
            }
            fn begin_drain(&self) {
                self.begin_drain();
            }
            fn retire(&self, count: usize) {
                self.retire(count);
            }
            fn unretire(&self, count: usize) -> usize {
                self.unretire(count)
            }
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/pools.rs"));
