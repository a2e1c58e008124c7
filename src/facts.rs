//! What commands may know of the server: its commands, its configuration, its counts and its age.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use crate::command::Commands;
use crate::config::Config;
use crate::control::Control;

/// Shared by the server's threads and every session.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) commands: Commands,
    /// The server itself, while there is one.
    control: Weak<dyn Control>,
    /// The configuration in force. Also held while it is put into force.
    pub(crate) config: Mutex<Config>,
    pub(crate) started: Instant,
    /// 40 random hexadecimal digits, by which a restart is told from a server that went on.
    pub(crate) run_id: String,
    /// The port that is listened on, also where the system chose it.
    pub(crate) port: u16,
    /// Clients that were admitted and are not yet done with. Written by acceptor and workers.
    pub(crate) clients: AtomicUsize,
    /// The latest connection's number. Written by the acceptor.
    pub(crate) last_id: AtomicU64,
    /// Connections accepted, refused ones included, since the start or the last reset. Written by
    /// the acceptor.
    pub(crate) connections_ever: AtomicU64,
    /// Connections refused since the start or the last reset. Written by the acceptor.
    pub(crate) refused_ever: AtomicU64,
    /// Requests answered in the last second that is over. Written by the clock's thread.
    pub(crate) requests_per_s: AtomicU64,
    tallies: Mutex<Tallies>,
}

/// What all workers have done.
#[derive(Debug, Default)]
struct Tallies {
    /// One for each worker thread ever started.
    all: Vec<Arc<Tally>>,
    /// What they came to at the last reset: only its worker may write a tally.
    at_reset: Totals,
}

/// What one worker has done. Only that worker writes it, so counting costs no more than adding.
#[derive(Debug, Default)]
#[repr(align(64))] // A cache line of its own.
pub(crate) struct Tally {
    pub(crate) requests: Count,
    pub(crate) bytes_read: Count,
    pub(crate) bytes_sent: Count,
}

/// A number that one thread writes and any may read.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// To be called by the one thread that writes.
    pub(crate) fn add(&self, more: u64) {
        // No read-modify-write, which would lock the line: nobody else writes.
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(more);
        self.0.store(sum, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The tallies of all workers, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_sent: u64,
}

impl Facts {
    pub(crate) fn new(
        commands: Commands,
        control: Weak<dyn Control>,
        config: Config,
        port: u16,
    ) -> Self {
        Self {
            commands,
            control,
            config: Mutex::new(config),
            started: Instant::now(),
            run_id: random_id(),
            port,
            clients: AtomicUsize::new(0),
            last_id: AtomicU64::new(0),
            connections_ever: AtomicU64::new(0),
            refused_ever: AtomicU64::new(0),
            requests_per_s: AtomicU64::new(0),
            tallies: Mutex::default(),
        }
    }

    /// Facts of a server that has no command and can do nothing.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        let control: Weak<tests::Nobody> = Weak::new();
        Self::new(Commands::empty(), control, Config::default(), 0)
    }

    /// The server; `None` when it is no more.
    pub(crate) fn control(&self) -> Option<Arc<dyn Control>> {
        self.control.upgrade()
    }

    /// A tally for a worker that begins.
    pub(crate) fn new_tally(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        self.tallies.lock().all.push(Arc::clone(&tally));
        tally
    }

    /// What all workers have done since the start or the last reset.
    pub(crate) fn totals(&self) -> Totals {
        let tallies = self.tallies.lock();
        let (ever, at_reset) = (tallies.ever(), tallies.at_reset);
        Totals {
            requests: ever.requests - at_reset.requests,
            bytes_read: ever.bytes_read - at_reset.bytes_read,
            bytes_sent: ever.bytes_sent - at_reset.bytes_sent,
        }
    }

    /// What all workers have done since the start.
    pub(crate) fn totals_ever(&self) -> Totals {
        self.tallies.lock().ever()
    }

    /// Has every count begin again at 0, but for those by which something goes on: clients, and the
    /// numbers of connections.
    pub(crate) fn reset(&self) {
        self.connections_ever.store(0, Ordering::Relaxed);
        self.refused_ever.store(0, Ordering::Relaxed);
        self.requests_per_s.store(0, Ordering::Relaxed);
        let mut tallies = self.tallies.lock();
        tallies.at_reset = tallies.ever();
    }
}

impl Tallies {
    fn ever(&self) -> Totals {
        self.all
            .iter()
            .fold(Totals::default(), |sum, tally| Totals {
                requests: sum.requests + tally.requests.get(),
                bytes_read: sum.bytes_read + tally.bytes_read.get(),
                bytes_sent: sum.bytes_sent + tally.bytes_sent.get(),
            })
    }
}

fn random_id() -> String {
    let number = || u128::from(RandomState::new().build_hasher().finish());
    let (high, low) = (number() << 64 | number(), number() & 0xffff_ffff);
    format!("{high:032x}{low:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{NotRewritten, Unchanged};

    /// Stands for the server where there is none.
    #[derive(Debug)]
    pub(super) struct Nobody;

    impl Control for Nobody {
        fn drain(self: Arc<Self>) {}

        fn change_config(
            self: Arc<Self>,
            _: &mut dyn FnMut(&mut Config) -> Result<(), Unchanged>,
        ) -> Result<(), Unchanged> {
            Ok(())
        }

        fn rewrite_config(self: Arc<Self>) -> Result<(), NotRewritten> {
            Err(NotRewritten::NoFile)
        }
    }

    #[test]
    fn the_tallies_of_all_workers_are_added_up() {
        let facts = Facts::for_test();
        let (one, other) = (facts.new_tally(), facts.new_tally());
        one.requests.add(2);
        one.requests.add(3);
        other.requests.add(10);
        other.bytes_sent.add(7);
        let expected = Totals {
            requests: 15,
            bytes_read: 0,
            bytes_sent: 7,
        };
        assert_eq!(facts.totals(), expected);
        drop(one);
        assert_eq!(
            facts.totals(),
            expected,
            "what a worker did counts when it has ended"
        );
    }

    #[test]
    fn a_reset_has_the_counts_begin_again_and_what_goes_on_go_on() {
        let facts = Facts::for_test();
        let tally = facts.new_tally();
        tally.requests.add(5);
        facts.last_id.store(7, Ordering::Relaxed);
        facts.connections_ever.store(7, Ordering::Relaxed);
        facts.refused_ever.store(1, Ordering::Relaxed);
        facts.clients.store(2, Ordering::Relaxed);
        facts.reset();
        assert_eq!(facts.totals(), Totals::default());
        assert_eq!(facts.connections_ever.load(Ordering::Relaxed), 0);
        assert_eq!(facts.refused_ever.load(Ordering::Relaxed), 0);
        assert_eq!(facts.last_id.load(Ordering::Relaxed), 7);
        assert_eq!(facts.clients.load(Ordering::Relaxed), 2);

        tally.requests.add(3);
        assert_eq!(facts.totals().requests, 3);
        assert_eq!(
            facts.totals_ever().requests,
            8,
            "by which the clock tells the rate"
        );
    }

    #[test]
    fn an_id_has_40_hexadecimal_digits_and_is_another_every_time() {
        let id = random_id();
        assert!(id.len() == 40 && id.bytes().all(|digit| digit.is_ascii_hexdigit()));
        assert_ne!(id, random_id());
    }
}
