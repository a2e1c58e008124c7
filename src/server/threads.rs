//! The workers' threads: hiring them, and letting them go.

use std::io;
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::pool::Pool;
use crate::server::worker::Worker;
use crate::server::{Shared, keep_running};
use crate::state::close_reason::CloseReason;

/// The worker threads that there are. They end by the pool's word only, so a thread that is not
/// joined is one whose handler does not return.
#[derive(Debug, Default)]
pub(crate) struct WorkerThreads {
    members: Mutex<Members>,
    /// A worker has left.
    left: Condvar,
}

#[derive(Debug, Default)]
struct Members {
    /// Threads that run, those included that were told to end.
    alive: usize,
    /// Threads that were not told to end.
    wanted: usize,
    /// Threads ever started: the next one's number.
    started: usize,
    /// Threads may be started: the server serves.
    called: bool,
    /// No thread is to be started any more.
    shut_down: bool,
}

impl WorkerThreads {
    /// Starts workers, or has some of them end once their turn is over, until there are `wanted`.
    ///
    /// Before [`WorkerThreads::call`] there are none, whatever is wanted. If a thread cannot be started, those
    /// before it stay.
    pub(crate) fn resize(shared: &Arc<Shared>, wanted: usize) -> io::Result<()> {
        let mut members = shared.threads.members.lock();
        if members.shut_down || !members.called {
            return Ok(());
        }
        if members.wanted > wanted {
            shared.pool.retire(members.wanted - wanted);
            members.wanted = wanted;
        }
        members.wanted += shared.pool.unretire(wanted - members.wanted);
        while members.wanted < wanted {
            start(shared, members.started)?;
            members.started += 1;
            members.alive += 1;
            members.wanted += 1;
        }
        Ok(())
    }

    /// From now on there are workers.
    pub(crate) fn call(&self) {
        self.members.lock().called = true;
    }

    /// Has every worker end once its turn is over, and lets none be started again.
    pub(crate) fn shutdown(&self, pool: &Pool) {
        let mut members = self.members.lock();
        members.shut_down = true;
        pool.retire(mem::take(&mut members.wanted));
    }

    /// How many threads there are.
    pub(crate) fn size(&self) -> usize {
        self.members.lock().alive
    }

    /// Waits until every thread has ended, or until `deadline`. Gives how many have not.
    pub(crate) fn wait_until_gone(&self, deadline: Instant) -> usize {
        let mut members = self.members.lock();
        self.left
            .wait_while_until(&mut members, |members| members.alive > 0, deadline);
        members.alive
    }
}

fn start(shared: &Arc<Shared>, number: usize) -> io::Result<()> {
    let shared = Arc::clone(shared);
    thread::Builder::new()
        .name(format!("worker-{number}"))
        .spawn(move || {
            let _leaving = Ending(Arc::clone(&shared), number);
            log::trace!("worker-{number} started");
            let mut joined = false;
            let work = || {
                // Replaces one that panicked, which has not left by itself.
                if mem::replace(&mut joined, true) {
                    shared.pool.leave();
                }
                Worker::new(Arc::clone(&shared), number).run();
            };
            keep_running(&format!("worker-{number}"), work, || shared.fail());
        })?;
    Ok(())
}

/// Counts a worker out when its thread ends, however it does.
struct Ending(Arc<Shared>, usize);

impl Drop for Ending {
    fn drop(&mut self) {
        let Self(shared, number) = self;
        log::trace!("worker-{number} ended");
        let shut_down = shared.threads.members.lock().shut_down;
        if shut_down {
            // It may have ended so late that nobody else would close the client it served last.
            shared
                .pool
                .empty(|client| shared.close(client, &CloseReason::Drained));
        }
        // Behind that, so that who waits for this waits for those closes too.
        shared.threads.members.lock().alive -= 1;
        shared.threads.left.notify_all();
    }
}
