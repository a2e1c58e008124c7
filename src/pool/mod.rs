//! The pool: how N workers share one queue and take turns to watch the quiet clients.
//!
//! The protocol between queue, leader, followers and parking (states, steps, races, and why no
//! wake-up is lost) is written down in `README.md` beside this file. The names of the steps below
//! are its.

mod cpu_contention;
mod parking;
mod queue;
mod slot;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::time::Duration;

use crate::client::Client;
use cpu_contention::CpuContention;
pub(crate) use parking::Parked;
use parking::{Parking, Watch};
use queue::{Queue, Work};

/// What the workers share: the queue, parking, and who does what.
#[derive(Debug)]
pub(crate) struct Pool {
    queue: Queue,
    parking: Parking,
    /// Workers that have joined and not ended.
    workers: AtomicUsize,
    /// How many may be awake and find enough to do.
    processors: usize,
    cpu_contention: CpuContention,
    /// How often a worker looks for something to do before it sleeps.
    spins: u32,
    /// Workers that wait on the queue or are about to.
    followers: AtomicUsize,
    /// The leader waits for events or is about to, and nobody has woken it yet.
    leader_waits: AtomicBool,
    /// A `Work::Recheck` is in the queue; there is never another.
    recheck_sent: AtomicBool,
    /// Workers that are to end.
    surplus: AtomicUsize,
}

impl Pool {
    /// `clients_max` is how many clients there can be at once.
    pub(crate) fn new(clients_max: usize, processors: usize) -> io::Result<Self> {
        // Where there is one processor, no client can send while a worker looks.
        let spins = if processors > 1 { SPINS } else { 0 };
        Ok(Self {
            // One place for each client, and one for a `Recheck`.
            queue: Queue::new(clients_max + 1),
            parking: Parking::new(clients_max, spins)?,
            workers: AtomicUsize::new(0),
            processors,
            cpu_contention: CpuContention::new(),
            spins,
            followers: AtomicUsize::new(0),
            leader_waits: AtomicBool::new(false),
            recheck_sent: AtomicBool::new(false),
            surplus: AtomicUsize::new(0),
        })
    }

    /// Gives a place to a client that is about to be; `None` if there is none left.
    pub(crate) fn assign(&self) -> Option<usize> {
        self.parking.assign()
    }

    /// Takes the place of a client that is no more.
    pub(crate) fn free(&self, slot: usize) {
        self.parking.free(slot);
    }

    /// Puts a client at the tail of the queue, and sees to it that somebody notices.
    pub(crate) fn submit(&self, client: Box<Client>) {
        self.send(Work::Serve(client));
    }

    /// Queues a client that has used up its turn. It waits until no client is ready that has not, but
    /// for one in [`TURNS_BETWEEN_POLLS`] turns.
    ///
    /// Wakes nobody: the caller looks at the queue again, or hands over.
    pub(crate) fn resubmit(&self, client: Box<Client>) {
        self.poll_ready();
        self.queue.add_spent(client);
    }

    /// Lets a client rest until its socket is ready, unless it is already, or `may_rest` says no.
    ///
    /// Whoever takes the reason to rest away that `may_rest` sees calls [`Pool::fetch`] behind that.
    pub(crate) fn park(
        &self,
        client: Box<Client>,
        may_rest: impl FnOnce(&Client) -> bool,
    ) -> Parked {
        self.parking.park(client, may_rest)
    }

    /// To be called by each worker before its first [`Pool::next`].
    pub(crate) fn join(&self) -> WorkerLocal {
        self.workers.fetch_add(1, Ordering::Relaxed);
        WorkerLocal::default()
    }

    /// Takes a worker back that has joined: called by [`Pool::next`] when it ends the worker, and for
    /// one that panicked.
    pub(crate) fn leave(&self) {
        self.workers.fetch_sub(1, Ordering::Relaxed);
    }

    /// The next client to serve: waits for it, as leader or as follower. `None` ends the worker.
    ///
    /// `local` is what [`Pool::join`] gave to this worker.
    pub(crate) fn next(&self, local: &mut WorkerLocal) -> Option<Box<Client>> {
        local.turns += 1;
        local.turns_of_queue += 1;
        if local.turns_of_queue == TURNS_BETWEEN_POLLS {
            local.turns_of_queue = 0;
            self.poll_ready();
            // However many others are ready.
            if self.surplus.load(Ordering::Relaxed) == 0
                && let Some(client) = self.queue.try_take_spent()
            {
                return Some(client);
            }
        }
        if local.turns == TURNS_BEFORE_HELPER {
            local.turns = 0;
            self.wake_helper();
        }
        loop {
            if self.take_surplus() {
                self.leave();
                // The queue or the watch may have counted on this worker, and so may the next that
                // is to end.
                self.hand_over();
                self.wake_surplus();
                return None;
            }
            let work = self
                .queue
                .try_take()
                .or_else(|| self.queue.try_take_spent().map(Work::Serve))
                .or_else(|| match self.parking.try_lead() {
                    Some(mut watch) => {
                        local.turns_of_queue = 0;
                        self.lead(&mut watch, local).map(Work::Serve)
                    }
                    None if self.spin(local) => None,
                    None => self.follow(),
                });
            match work {
                Some(Work::Serve(client)) => {
                    local.spins = self.spins;
                    return Some(client);
                }
                // Acquires what those wanted who left it at this `Recheck` instead of sending another.
                Some(Work::Recheck) => _ = self.recheck_sent.swap(false, Ordering::AcqRel),
                None => {}
            }
        }
    }

    /// To be called before a handler that may take long: sees to it that somebody else watches the
    /// quiet clients and takes from the queue, if anybody is free to.
    pub(crate) fn hand_over(&self) {
        fence(Ordering::SeqCst);
        // A follower takes what is sent to the queue, but does not wait for clients that are spent.
        if !self.parking.has_leader() || self.queue.has_spent() {
            self.wake_follower();
        }
        if self.queue.has_spent() || !self.queue.is_empty() {
            self.wake_leader();
        }
    }

    /// Calls a follower if there may be a processor for it. More than that would only take turns with
    /// those who are awake.
    fn wake_helper(&self) {
        let followers = self.followers.load(Ordering::Relaxed);
        let awake = self
            .workers
            .load(Ordering::Relaxed)
            .saturating_sub(followers);
        if awake < self.processors && !self.cpu_contention.lasts() {
            self.wake_follower();
        }
    }

    /// Calls a worker that follows, if there is one: it will lead, unless another does.
    fn wake_follower(&self) {
        if self.followers.load(Ordering::Relaxed) > 0
            && !self.recheck_sent.swap(true, Ordering::AcqRel)
        {
            self.send(Work::Recheck);
        }
    }

    /// Has the client at `slot` served once more, as if its socket had become ready: at once if it
    /// rests, and otherwise when it is about to.
    pub(crate) fn notify(&self, slot: usize) {
        if let Some(client) = self.parking.notify(slot) {
            self.submit(client);
        }
    }

    /// Takes out every resting client that is `wanted`.
    pub(crate) fn fetch(&self, wanted: impl Fn(&Client) -> bool, fetched: impl FnMut(Box<Client>)) {
        self.parking.fetch(wanted, fetched);
    }

    /// Takes out every client that rests or waits in the queue.
    pub(crate) fn empty(&self, mut taken: impl FnMut(Box<Client>)) {
        self.parking.fetch(|_| true, &mut taken);
        // Who holds the watch is a worker that does the same when it ends.
        if let Some(mut watch) = self.parking.try_lead() {
            watch.woken.drain(..).for_each(&mut taken);
        }
        while let Some(work) = self
            .queue
            .try_take()
            .or_else(|| self.queue.try_take_spent().map(Work::Serve))
        {
            match work {
                Work::Serve(client) => taken(client),
                Work::Recheck => _ = self.recheck_sent.swap(false, Ordering::AcqRel),
            }
        }
        // If the `Recheck` was for a worker that is to end, it was not for us.
        self.wake_surplus();
    }

    /// From now on no client rests for want of something to read, and those who do are served once
    /// more.
    pub(crate) fn begin_drain(&self) {
        self.parking.begin_drain();
        self.fetch(|_| true, |client| self.submit(client));
    }

    /// Has `count` workers end, each at the end of its turn.
    pub(crate) fn retire(&self, count: usize) {
        self.surplus.fetch_add(count, Ordering::Relaxed);
        self.wake_surplus();
    }

    /// Calls a worker that waits, if there are still some to end. It will call the next.
    fn wake_surplus(&self) {
        if self.surplus.load(Ordering::Relaxed) > 0
            && !self.recheck_sent.swap(true, Ordering::AcqRel)
        {
            self.send(Work::Recheck);
        }
    }

    /// Takes back up to `count` calls to end. Gives how many.
    pub(crate) fn unretire(&self, count: usize) -> usize {
        (0..count).take_while(|_| self.take_surplus()).count()
    }

    fn take_surplus(&self) -> bool {
        self.surplus.load(Ordering::Relaxed) > 0
            && self
                .surplus
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                    count.checked_sub(1)
                })
                .is_ok()
    }

    /// Gives the next of the clients that the last events woke. If there is none, waits for events.
    fn lead(&self, watch: &mut Watch, local: &mut WorkerLocal) -> Option<Box<Client>> {
        if let Some(client) = watch.woken.pop_front() {
            return Some(client);
        }
        self.leader_waits.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // What was sent before the fence is seen here; who sends behind it sees `leader_waits`.
        let timeout = if self.queue.is_empty() && !self.queue.has_spent() {
            None
        } else {
            Some(Duration::ZERO)
        };
        if self.parking.watch(watch, timeout) {
            local.turns = 0;
        }
        self.leader_waits.store(false, Ordering::Relaxed);
        watch.woken.pop_front()
    }

    /// Whether a worker that has just served somebody should look for work again before it follows:
    /// the leader may be about to find enough for both.
    fn spin(&self, local: &mut WorkerLocal) -> bool {
        if local.spins == 0 || self.cpu_contention.lasts() {
            return false;
        }
        local.spins -= 1;
        self.cpu_contention.give_way();
        true
    }

    /// Waits for work while another worker leads.
    fn follow(&self) -> Option<Work> {
        self.followers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // A leader that left before it could count us has not called us either.
        let work = self.parking.has_leader().then(|| self.queue.take());
        self.followers.fetch_sub(1, Ordering::Relaxed);
        work
    }

    /// Queues those whom events have woken. While the queue never runs empty, this is all that looks
    /// at the parked clients.
    fn poll_ready(&self) {
        if let Some(mut watch) = self.parking.try_lead() {
            self.parking.watch(&mut watch, Some(Duration::ZERO));
            for client in watch.woken.drain(..) {
                self.queue.send(Work::Serve(client));
            }
        }
    }

    /// How many wait in the queue, how many follow, and whether somebody leads.
    pub(crate) fn snapshot(&self) -> (usize, usize, bool) {
        (
            self.queue.len(),
            self.followers.load(Ordering::Relaxed),
            self.parking.has_leader(),
        )
    }

    fn send(&self, work: Work) {
        self.queue.send(work);
        fence(Ordering::SeqCst);
        self.wake_leader();
    }

    /// Wakes the leader if it is the only one who could take from the queue.
    fn wake_leader(&self) {
        if self.followers.load(Ordering::Relaxed) == 0
            && self.leader_waits.swap(false, Ordering::Relaxed)
        {
            self.parking.wake_leader();
        }
    }
}

/// How often a worker looks for events before it sleeps: some microseconds, about what it takes to
/// fall asleep and be woken.
const SPINS: u32 = 20;

/// A worker's time in the pool, and how long it has gone on without a pause.
#[derive(Debug, Default)]
pub(crate) struct WorkerLocal {
    /// Turns since it last waited for something to do, or called for help.
    turns: u32,
    /// Turns since it last found the queue empty, or glanced.
    turns_of_queue: u32,
    /// How often it is still to look for work before it follows.
    spins: u32,
}

/// Turns without a pause before a worker calls another to help. To wake one takes about as long as a
/// turn, so it is not done for what this one would soon have done itself.
const TURNS_BEFORE_HELPER: u32 = 64;

/// Turns that a worker takes before it looks at the parked clients without waiting. These are short
/// turns (behind one that used up its budget it looks anyway), so a woken client is noticed within
/// a millisecond although the queue never runs empty, and the look costs each turn next to nothing.
const TURNS_BETWEEN_POLLS: u32 = 64;
