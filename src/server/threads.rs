//! Starts and ends the worker threads.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::shared::Shared;
use super::supervision::{keep_running, start_thread};
use super::worker::Worker;
use crate::logging;
use crate::state::close_reason::CloseReason;

/// The worker threads. The pool ends them.
pub(crate) struct WorkerThreads(Arc<Roster>);

/// The counts of threads, shared with each thread.
struct Roster {
    shared: Arc<Shared>,
    counts: Mutex<Counts>,
    /// Notified when a thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct Counts {
    /// Running threads, including those that the pool retires.
    alive: usize,
    /// Running threads that the pool does not retire.
    staying: usize,
    /// Threads ever started: the number of the next one.
    started: usize,
    /// Whether threads may be started: from the start of the server to its shutdown.
    serving: bool,
}

impl WorkerThreads {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(Arc::new(Roster {
            shared,
            counts: Mutex::default(),
            ended: Condvar::new(),
        }))
    }

    /// Starts threads, or retires some after their turn, until there are `wanted`.
    ///
    /// Does nothing before [`Self::begin_serving`] and after [`Self::shutdown`]. If a thread cannot
    /// be started, the ones started before it stay.
    pub(crate) fn resize(&self, wanted: usize) -> io::Result<()> {
        let mut counts = self.0.counts.lock();
        if !counts.serving {
            return Ok(());
        }
        let pool = &self.0.shared.pool;
        if counts.staying > wanted {
            pool.retire(counts.staying - wanted);
            counts.staying = wanted;
        }
        counts.staying += pool.unretire(wanted - counts.staying);
        while counts.staying < wanted {
            start_one(&self.0, counts.started)?;
            counts.started += 1;
            counts.alive += 1;
            counts.staying += 1;
        }
        Ok(())
    }

    /// Allows [`Self::resize`] to start threads.
    pub(crate) fn begin_serving(&self) {
        self.0.counts.lock().serving = true;
    }

    /// Retires every thread after its turn, and starts no more.
    pub(crate) fn shutdown(&self) {
        let mut counts = self.0.counts.lock();
        counts.serving = false;
        self.0.shared.pool.retire(mem::take(&mut counts.staying));
    }

    /// Returns the number of running threads.
    pub(crate) fn size(&self) -> usize {
        self.0.counts.lock().alive
    }

    /// Waits until every thread has ended, or until `deadline`.
    pub(crate) fn wait_until_gone(&self, deadline: Instant) {
        let mut counts = self.0.counts.lock();
        let some_are_alive = |counts: &mut Counts| counts.alive > 0;
        self.0
            .ended
            .wait_while_until(&mut counts, some_are_alive, deadline);
    }
}

fn start_one(roster: &Arc<Roster>, number: usize) -> io::Result<()> {
    let name = format!("worker-{number}");
    let state = &roster.shared.state;
    let roster = Arc::clone(roster);
    start_thread(state, &name.clone(), move || {
        let member = Member { roster, number };
        let shared = &member.roster.shared;
        logging::trace!("{name} started");
        let mut joined = false;
        let work = || {
            // Runs again after a panic. The worker that panicked never left the pool.
            if mem::replace(&mut joined, true) {
                shared.pool.leave();
            }
            Worker::new(Arc::clone(shared), number).run();
        };
        keep_running(&name, work, || shared.fail());
    })?;
    Ok(())
}

/// A guard that a thread holds while it runs. Dropping it counts the thread out, even after a
/// panic.
struct Member {
    roster: Arc<Roster>,
    number: usize,
}

impl Drop for Member {
    fn drop(&mut self) {
        let roster = &self.roster;
        let shared = &roster.shared;
        logging::trace!("worker-{} ended", self.number);
        if !roster.counts.lock().serving {
            // This worker may have parked or queued a client in its last turn, and perhaps no
            // worker is left to serve it.
            shared
                .pool
                .empty(|client| shared.close(client, &CloseReason::Drained));
        }
        // Last, so that `wait_until_gone` waits for the closes above.
        roster.counts.lock().alive -= 1;
        roster.ended.notify_all();
    }
}
