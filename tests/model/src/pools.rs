//! The pool, and its copies with a bug each. `build.rs` takes them from `src/pool`.

use std::fmt::Debug;
use std::sync::Arc;

use crate::client::Client;

/// What is called of a pool.
pub trait Pool: Debug + Send + Sync {
    /// As its namesake.
    fn assign(&self) -> Option<usize>;
    /// As its namesake.
    fn free(&self, slot: usize);
    /// As its namesake.
    fn submit(&self, client: Box<Client>);
    /// As its namesake.
    fn resubmit(&self, client: Box<Client>);
    /// As its namesake. Gives the client if it does not rest.
    fn park(&self, client: Box<Client>, may_rest: &dyn Fn(&Client) -> bool) -> Option<Box<Client>>;
    /// Gives a function that is as `next`, for one who has joined.
    fn join<'a>(&'a self) -> Box<dyn FnMut() -> Option<Box<Client>> + 'a>;
    /// As its namesake.
    fn hand_over(&self);
    /// As its namesake.
    fn notify(&self, slot: usize);
    /// As its namesake.
    fn fetch(&self, wanted: &dyn Fn(&Client) -> bool, fetched: &mut dyn FnMut(Box<Client>));
    /// As its namesake.
    fn empty(&self, taken: &mut dyn FnMut(Box<Client>));
    /// As its namesake.
    fn begin_drain(&self);
    /// As its namesake.
    fn retire(&self, count: usize);
    /// As its namesake.
    fn unretire(&self, count: usize) -> usize;
}

/// Makes a pool with so many slots.
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
                self.resubmit(client);
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
                Box::new(move || self.next(&mut local))
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
