//! The pool: how N workers share one queue and take turns to watch the quiet clients.
//!
//! The protocol between queue, leader, followers and parking (states, steps, races, and why no
//! wake-up is lost) is written down in `README.md` beside this file. The names of the steps below
//! are its.

mod parking;
mod queue;
mod slot;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::time::Duration;

use crate::client::Client;
pub(crate) use parking::Parked;
use parking::Parking;
use queue::{Queue, Work};

/// What the workers share: the queue, parking, and who does what.
#[derive(Debug)]
pub(crate) struct Pool {
    queue: Queue,
    parking: Parking,
    /// Workers that wait on the queue or are about to.
    followers: AtomicUsize,
    /// The leader waits for events or is about to, and nobody has woken it yet.
    leader_waits: AtomicBool,
    /// A `Work::Look` is in the queue; there is never another.
    look_sent: AtomicBool,
    /// Workers that are to end.
    surplus: AtomicUsize,
}

impl Pool {
    /// `clients_max` is how many clients there can be at once, and `looks` how often a worker that
    /// watches looks for events before it sleeps.
    pub(crate) fn new(clients_max: usize, looks: u32) -> io::Result<Self> {
        Ok(Self {
            // One place for each client, and one for a `Look`.
            queue: Queue::new(clients_max + 1),
            parking: Parking::new(clients_max, looks)?,
            followers: AtomicUsize::new(0),
            leader_waits: AtomicBool::new(false),
            look_sent: AtomicBool::new(false),
            surplus: AtomicUsize::new(0),
        })
    }

    /// Gives a place to a client that is about to be; `None` if there is none left.
    pub(crate) fn assign(&self) -> Option<usize> {
        self.parking.assign()
    }

    /// Takes the place of a client that is no more.
    pub(crate) fn free(&self, place: usize) {
        self.parking.free(place);
    }

    /// Puts a client at the tail of the queue, and sees to it that somebody notices.
    pub(crate) fn submit(&self, client: Box<Client>) {
        self.send(Work::Serve(client));
    }

    /// Puts a client that has used up its turn at the tail of the queue, behind those that have
    /// become ready meanwhile.
    pub(crate) fn resubmit(&self, client: Box<Client>) {
        self.glance();
        self.submit(client);
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

    /// The next client to serve: waits for it, as leader or as follower. `None` ends the worker.
    ///
    /// `turns` counts the worker's turns, and only this function changes it.
    pub(crate) fn next(&self, turns: &mut u32) -> Option<Box<Client>> {
        *turns = turns.wrapping_add(1);
        if turns.is_multiple_of(TURNS_BETWEEN_GLANCES) {
            self.glance();
        }
        loop {
            if self.take_surplus() {
                // The queue or the watch may have counted on this worker, and so may the next that
                // is to end.
                self.hand_over();
                self.call_surplus();
                return None;
            }
            let work = self
                .queue
                .try_take()
                .or_else(|| match self.parking.try_lead() {
                    Some(mut watch) => self.lead(&mut watch).map(Work::Serve),
                    None => self.follow(),
                });
            match work {
                Some(Work::Serve(client)) => return Some(client),
                // Acquires what those wanted who left it at this `Look` instead of sending another.
                Some(Work::Look) => _ = self.look_sent.swap(false, Ordering::AcqRel),
                None => {}
            }
        }
    }

    /// To be called before a handler that may take long: sees to it that somebody else watches the
    /// quiet clients and takes from the queue, if anybody is free to.
    pub(crate) fn hand_over(&self) {
        fence(Ordering::SeqCst);
        if self.parking.has_leader() {
            if !self.queue.is_empty() {
                self.rouse();
            }
        } else if self.followers.load(Ordering::Relaxed) > 0
            && !self.look_sent.swap(true, Ordering::AcqRel)
        {
            self.send(Work::Look);
        }
    }

    /// Has the client at `place` served once more, as if its socket had become ready: at once if it
    /// rests, and otherwise when it is about to.
    pub(crate) fn nudge(&self, place: usize) {
        if let Some(client) = self.parking.nudge(place) {
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
        while let Some(work) = self.queue.try_take() {
            match work {
                Work::Serve(client) => taken(client),
                Work::Look => _ = self.look_sent.swap(false, Ordering::AcqRel),
            }
        }
        // If the `Look` was for a worker that is to end, it was not for us.
        self.call_surplus();
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
        self.call_surplus();
    }

    /// Calls a worker that waits, if there are still some to end. It will call the next.
    fn call_surplus(&self) {
        if self.surplus.load(Ordering::Relaxed) > 0 && !self.look_sent.swap(true, Ordering::AcqRel)
        {
            self.send(Work::Look);
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

    /// Waits for events. Keeps the first client that they wake, and queues the others.
    fn lead(&self, watch: &mut parking::Watch) -> Option<Box<Client>> {
        self.leader_waits.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // What was sent before the fence is seen here; who sends behind it sees `leader_waits`.
        let timeout = if self.queue.is_empty() {
            None
        } else {
            Some(Duration::ZERO)
        };
        let mut first = None;
        self.parking.watch(watch, timeout, |client| match &first {
            None => first = Some(client),
            Some(_) => self.queue.send(Work::Serve(client)),
        });
        self.leader_waits.store(false, Ordering::Relaxed);
        first
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

    /// While the queue never runs empty, this is all that looks at the parked clients.
    fn glance(&self) {
        if let Some(mut watch) = self.parking.try_lead() {
            self.parking
                .watch(&mut watch, Some(Duration::ZERO), |client| {
                    self.queue.send(Work::Serve(client));
                });
        }
    }

    /// How many wait in the queue, how many follow, and whether somebody leads.
    pub(crate) fn scene(&self) -> (usize, usize, bool) {
        (
            self.queue.len(),
            self.followers.load(Ordering::Relaxed),
            self.parking.has_leader(),
        )
    }

    fn send(&self, work: Work) {
        self.queue.send(work);
        fence(Ordering::SeqCst);
        self.rouse();
    }

    /// Wakes the leader if it is the only one who could take from the queue.
    fn rouse(&self) {
        if self.followers.load(Ordering::Relaxed) == 0
            && self.leader_waits.swap(false, Ordering::Relaxed)
        {
            self.parking.wake_leader();
        }
    }
}

/// Turns that a worker takes before it looks at the parked clients without waiting. These are short
/// turns (behind one that used up its budget it looks anyway), so a woken client is noticed within
/// a millisecond although the queue never runs empty, and the look costs each turn next to nothing.
const TURNS_BETWEEN_GLANCES: u32 = 64;
