//! The pool: N workers share one queue and take turns to watch the parked clients.
//!
//! `README.md` beside this file describes the protocol between the queue, the leader, the followers
//! and parking: its states, its steps, the races, and why no wake-up is lost. Step numbers below
//! are those of its section "Take".

mod cpu_contention;
mod parking;
mod queue;
mod queue_wait;
mod slot;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::time::{Duration, Instant};
use std::{io, mem};

use parking_lot::MutexGuard;

use crate::client::Client;
use cpu_contention::CpuContention;
pub(crate) use parking::Parked;
use parking::{Parking, Watch};
use queue::{Queue, Work};
use queue_wait::{LocalClock, QueueWait};

/// The state that all workers share.
#[derive(Debug)]
pub(crate) struct Pool {
    queue: Queue,
    parking: Parking,
    /// Workers that have joined and not left.
    workers: AtomicUsize,
    /// The number of workers that can run at the same time.
    processors: usize,
    cpu_contention: CpuContention,
    queue_wait: QueueWait,
    /// How often the leader polls before it sleeps, and another worker looks for work before it
    /// follows a leader that sleeps.
    spins: u32,
    /// Workers that wait on the queue or are about to.
    followers: AtomicUsize,
    /// The leader waits for events or is about to, and was not woken yet.
    leader_waits: AtomicBool,
    /// A `Work::Recheck` is in the queue. There is never a second one.
    recheck_sent: AtomicBool,
    /// Workers that should end.
    surplus: AtomicUsize,
}

/// The next step of a worker, numbered as in the README.
enum Step<'a> {
    /// 1. End: the pool has too many workers.
    End,
    /// 2. Take this from the queue.
    Queue(Work),
    /// 3. Lead: watch the parked clients.
    Lead(MutexGuard<'a, Watch>),
    /// 4. Spin: give way to other threads, then look again.
    Spin,
    /// 5. Follow: wait on the queue while another worker leads.
    Follow,
}

impl Pool {
    /// `clients_max` is the maximum number of clients at the same time.
    pub(crate) fn new(clients_max: usize, processors: usize) -> io::Result<Self> {
        // On one processor, no client can send while a worker spins.
        let spins = if processors > 1 { SPINS } else { 0 };
        Ok(Self {
            // One place for each client, and one for a `Recheck`.
            queue: Queue::new(clients_max + 1),
            parking: Parking::new(clients_max, spins)?,
            workers: AtomicUsize::new(0),
            processors,
            cpu_contention: CpuContention::new(),
            queue_wait: QueueWait::new(),
            spins,
            followers: AtomicUsize::new(0),
            leader_waits: AtomicBool::new(false),
            recheck_sent: AtomicBool::new(false),
            surplus: AtomicUsize::new(0),
        })
    }

    /// Reserves a slot for a new client; `None` if all are in use.
    pub(crate) fn assign(&self) -> Option<usize> {
        self.parking.assign()
    }

    /// Frees the slot of a closed client.
    pub(crate) fn free(&self, slot: usize) {
        self.parking.free(slot);
    }

    /// Adds a client at the tail of the queue. Wakes the leader if no worker follows.
    pub(crate) fn submit(&self, client: Box<Client>) {
        self.submit_at(client, Instant::now());
    }

    /// As [`Pool::submit`], at a time that was read a moment ago.
    pub(crate) fn submit_at(&self, mut client: Box<Client>, now: Instant) {
        client.ready_at = self.queue_wait.at(now);
        self.send(Work::Serve(client));
    }

    /// Queues a client whose turn used up its budget. It is served when no other client is ready,
    /// or after [`TURNS_BETWEEN_POLLS`] turns of a worker.
    ///
    /// Wakes no worker: the caller looks at the queue again, or hands over.
    pub(crate) fn resubmit(&self, mut client: Box<Client>, now: Instant) {
        let now = self.queue_wait.at(now);
        self.poll_ready(now);
        client.ready_at = now;
        self.queue.add_spent(client);
    }

    /// Parks a client until its socket is ready. Returns the client if its socket is ready already,
    /// or if `may_rest` returns false.
    ///
    /// After making `may_rest` false, call [`Pool::fetch`].
    pub(crate) fn park(
        &self,
        client: Box<Client>,
        may_rest: impl FnOnce(&Client) -> bool,
    ) -> Parked {
        self.parking.park(client, may_rest)
    }

    /// Registers a worker. Called before its first [`Pool::next`].
    pub(crate) fn join(&self) -> WorkerLocal {
        self.workers.fetch_add(1, Ordering::Relaxed);
        WorkerLocal::default()
    }

    /// Removes a worker that joined. [`Pool::next`] calls this before it returns `None`; the caller
    /// does so for a worker that panicked.
    pub(crate) fn leave(&self) {
        self.workers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the next client to serve. Waits for one as leader or as follower. `None` ends the
    /// worker.
    ///
    /// `local` is the value that [`Pool::join`] returned to this worker.
    pub(crate) fn next(&self, local: &mut WorkerLocal) -> Option<Box<Client>> {
        if let Some(mut client) = self.count_turn(local) {
            self.end_wait(local, &mut client);
            return Some(client);
        }
        loop {
            let work = match self.find_work(local) {
                Step::End => {
                    self.leave();
                    // The queue or the watch may have relied on this worker, and so does the next
                    // worker that should end.
                    self.hand_over();
                    self.wake_surplus();
                    return None;
                }
                Step::Queue(work) => Some(work),
                Step::Lead(mut watch) => self.lead(&mut watch, local).map(Work::Serve),
                Step::Spin => {
                    self.spin(local);
                    None
                }
                Step::Follow => {
                    local.clock.forget();
                    self.follow()
                }
            };
            match work {
                Some(Work::Serve(mut client)) => {
                    local.spins = self.spins;
                    self.end_wait(local, &mut client);
                    return Some(client);
                }
                Some(Work::Recheck) => self.take_recheck(),
                None => {}
            }
        }
    }

    /// Step 4.
    #[inline(never)]
    fn spin(&self, local: &mut WorkerLocal) {
        let now = self.cpu_contention.give_way();
        self.queue_wait.note_own(&mut local.clock, now);
    }

    /// Measures the wait of a client whose turn begins.
    #[expect(clippy::inline_always, reason = "on the way of each turn")]
    #[inline(always)]
    fn end_wait(&self, local: &mut WorkerLocal, client: &mut Client) {
        if self.queue_wait.may_have_waited(client) {
            self.measure_wait(local, client);
        }
    }

    // Out of line, as the other parts of the queue wait: they need registers.
    #[inline(never)]
    fn measure_wait(&self, local: &mut WorkerLocal, client: &mut Client) {
        local.wait_us = self.queue_wait.end(&mut local.clock, client);
    }

    /// Counts a turn. Every so many turns, wakes a helper, polls, or returns a spent client
    /// although other clients are ready.
    fn count_turn(&self, local: &mut WorkerLocal) -> Option<Box<Client>> {
        local.turns += 1;
        local.turns_since_poll += 1;
        local.clock.count_turn();
        if local.turns == TURNS_BEFORE_HELPER {
            local.turns = 0;
            self.note_time_in(local);
            self.wake_helper();
        }
        if local.turns_since_poll < TURNS_BETWEEN_POLLS {
            return None;
        }
        self.poll_between_turns(local)
    }

    #[inline(never)]
    fn poll_between_turns(&self, local: &mut WorkerLocal) -> Option<Box<Client>> {
        local.turns_since_poll = 0;
        self.poll_ready(self.queue_wait.refresh(&mut local.clock));
        if self.surplus.load(Ordering::Relaxed) > 0 {
            return None;
        }
        self.queue.try_take_spent()
    }

    /// Decides on the next step of a worker. Takes the surplus, work or watch that the step needs.
    fn find_work(&self, local: &mut WorkerLocal) -> Step<'_> {
        if self.take_surplus() {
            return Step::End;
        }
        if let Some(work) = self.queue.try_take_any() {
            return Step::Queue(work);
        }
        if let Some(watch) = self.parking.try_lead() {
            return Step::Lead(watch);
        }
        if self.spins > 0 && self.take_spin(local) && !self.cpu_contention.lasts() {
            return Step::Spin;
        }
        Step::Follow
    }

    /// Takes one of the worker's spins. Returns false if none is left. While the leader polls, they
    /// are not counted: a poll may take longer than falling asleep and being woken.
    fn take_spin(&self, local: &mut WorkerLocal) -> bool {
        if self.parking.is_polled() {
            return true;
        }
        let has_spins = local.spins > 0;
        local.spins = local.spins.saturating_sub(1);
        has_spins
    }

    /// Step 3. Returns the next of the clients that the last events woke. If there is none, waits
    /// for events.
    fn lead(&self, watch: &mut Watch, local: &mut WorkerLocal) -> Option<Box<Client>> {
        local.turns_since_poll = 0;
        if let Some(client) = watch.woken.pop_front() {
            return Some(client);
        }
        self.leader_waits.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // Work sent before this fence is seen here; a sender after it sees `leader_waits`.
        let has_work = !self.queue.is_empty();
        // A poll that may wait does not tell whether its clients were ready before it.
        let must_return = has_work || self.queue_wait.was_polled_long_ago(&local.clock);
        let timeout = must_return.then_some(Duration::ZERO);
        if self.parking.wait(watch, timeout) {
            local.turns = 0;
            self.queue_wait.waited(&mut local.clock);
        } else {
            self.note_poll(watch, local);
        }
        self.leader_waits.store(false, Ordering::Relaxed);
        watch.woken.pop_front()
    }

    /// Notes since when the clients of a poll that did not have to wait have been ready.
    #[inline(never)]
    fn note_poll(&self, watch: &mut Watch, local: &mut WorkerLocal) {
        let is_full = watch.is_full();
        self.queue_wait
            .polled(&mut local.clock, &mut watch.woken, is_full);
    }

    /// Step 5. Waits for work while another worker leads. Returns `None` if the worker should look
    /// at everything again.
    fn follow(&self) -> Option<Work> {
        self.followers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // A leader that left before it could see this follower has not woken it either.
        let work = self.parking.has_leader().then(|| self.queue.take());
        self.followers.fetch_sub(1, Ordering::Relaxed);
        work.flatten()
    }

    /// Moves clients with events to the queue, without waiting. While the queue is never empty,
    /// nothing else polls the parked clients. `now` is the time of the pool's clock.
    fn poll_ready(&self, now: u32) {
        if let Some(mut watch) = self.parking.try_lead() {
            self.queue_wait.keep(now, &mut watch.woken);
            self.parking.wait(&mut watch, Some(Duration::ZERO));
            let is_full = watch.is_full();
            self.queue_wait.found(now, &mut watch.woken, is_full);
            for client in watch.woken.drain(..) {
                self.queue.send(Work::Serve(client));
            }
        }
    }

    /// Makes another worker watch the parked clients and take from the queue, if one is free.
    ///
    /// Called before a handler that may block, and before a worker ends.
    pub(crate) fn hand_over(&self) {
        fence(Ordering::SeqCst);
        if self.queue.has_spent() {
            // Followers wait for a `Recheck`, but not for spent clients.
            self.send_recheck();
        } else if !self.parking.has_leader() {
            self.wake_follower();
        }
        if !self.queue.is_empty() {
            self.wake_leader();
        }
    }

    /// Notes the time during a turn, before anything that may take long.
    #[inline]
    pub(crate) fn note_time(&self, now: Instant) {
        self.queue_wait.note(now);
    }

    /// Reads the clock if the worker has not for some time.
    #[inline(never)]
    fn note_time_in(&self, local: &mut WorkerLocal) {
        self.queue_wait.refresh(&mut local.clock);
    }

    /// Notes the time that a worker read last in the turn that has ended. If the last poll was long
    /// ago, polls, unless the worker leads next; then wakes a helper if clients of that poll wait.
    ///
    /// If the caller `submits` clients next, it does not lead. They are subscribers, and clients of
    /// the poll may publish the next messages. So those are queued first, and a subscriber gets
    /// several messages at once.
    ///
    /// Wakes no worker for the clients that it queues: the caller looks at the queue again.
    #[cold]
    pub(crate) fn end_timed_turn(&self, local: &mut WorkerLocal, now: Instant, submits: bool) {
        let is_long_ago = self.queue_wait.note_own(&mut local.clock, now);
        let leads_next = self.queue.is_empty() && !self.queue.has_spent() && !submits;
        if is_long_ago && !leads_next {
            self.poll_ready(self.queue_wait.at(now));
        } else if is_long_ago && self.parking.has_woken() {
            self.wake_helper();
        }
    }

    /// Wakes a follower if a processor may be free for it.
    fn wake_helper(&self) {
        let followers = self.followers.load(Ordering::Relaxed);
        let awake = self
            .workers
            .load(Ordering::Relaxed)
            .saturating_sub(followers);
        if followers > 0 && awake < self.processors && !self.cpu_contention.lasts() {
            self.queue.call_helper();
        }
    }

    /// Wakes a follower, if there is one: it looks for work, and leads if no worker does.
    fn wake_follower(&self) {
        if self.followers.load(Ordering::Relaxed) > 0 {
            self.send_recheck();
        }
    }

    /// Wakes a waiting worker if more workers should end. That worker wakes the next.
    fn wake_surplus(&self) {
        if self.surplus.load(Ordering::Relaxed) > 0 {
            self.send_recheck();
        }
    }

    /// Wakes the leader if no follower can take from the queue.
    fn wake_leader(&self) {
        if self.followers.load(Ordering::Relaxed) == 0
            && self.leader_waits.swap(false, Ordering::Relaxed)
        {
            self.parking.wake_leader();
        }
    }

    fn send(&self, work: Work) {
        self.queue.send(work);
        fence(Ordering::SeqCst);
        self.wake_leader();
    }

    fn send_recheck(&self) {
        if !self.recheck_sent.swap(true, Ordering::AcqRel) {
            self.send(Work::Recheck);
        }
    }

    /// Notes that the `Recheck` was taken. The swap pairs with the one of each sender that relied
    /// on this queued `Recheck` instead of sending its own.
    fn take_recheck(&self) {
        self.recheck_sent.swap(false, Ordering::AcqRel);
    }

    /// Makes the client at `slot` have a turn, as an event of its socket would: at once if it is
    /// parked, otherwise when it is about to be.
    pub(crate) fn notify(&self, slot: usize) {
        if let Some(client) = self.take_notified(slot) {
            self.submit(client);
        }
    }

    /// As [`Pool::notify`], but returns the client if it is parked: the caller serves it.
    pub(crate) fn take_notified(&self, slot: usize) -> Option<Box<Client>> {
        let mut client = self.parking.notify(slot)?;
        // If the slot has another client by now, its turn does not ask for this.
        client.is_notified = client.has_unread();
        Some(client)
    }

    /// Takes out every parked client that is `wanted`.
    pub(crate) fn fetch(&self, wanted: impl Fn(&Client) -> bool, fetched: impl FnMut(Box<Client>)) {
        self.parking.fetch(wanted, fetched);
    }

    /// Takes out every client that is parked or queued.
    pub(crate) fn empty(&self, mut taken: impl FnMut(Box<Client>)) {
        self.parking.fetch(|_| true, &mut taken);
        // If another worker holds the watch, it calls this when it ends.
        if let Some(mut watch) = self.parking.try_lead() {
            watch.woken.drain(..).for_each(&mut taken);
        }
        while let Some(work) = self.queue.try_take_any() {
            match work {
                Work::Serve(client) => taken(client),
                Work::Recheck => self.take_recheck(),
            }
        }
        // The `Recheck` may have been for another worker that should end.
        self.wake_surplus();
    }

    /// From now on, no idle client is parked. Parked clients are served once more.
    pub(crate) fn begin_drain(&self) {
        self.parking.begin_drain();
        self.fetch(|_| true, |client| self.submit(client));
    }

    /// Makes `count` workers end, each at the end of its turn.
    pub(crate) fn retire(&self, count: usize) {
        self.surplus.fetch_add(count, Ordering::Relaxed);
        self.wake_surplus();
    }

    /// Cancels the end of up to `count` workers. Returns how many.
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

    /// Returns the number of queued clients, the number of followers, and whether there is a
    /// leader.
    pub(crate) fn snapshot(&self) -> (usize, usize, bool) {
        let rechecks = usize::from(self.recheck_sent.load(Ordering::Relaxed));
        (
            self.queue.len().saturating_sub(rechecks),
            self.followers.load(Ordering::Relaxed),
            self.parking.has_leader(),
        )
    }
}

/// Polls before the leader sleeps, and looks for work before another worker follows it: a few
/// microseconds, about the time of falling asleep and being woken.
const SPINS: u32 = 20;

/// The counters that a worker keeps between its turns.
#[derive(Debug, Default)]
pub(crate) struct WorkerLocal {
    /// Turns since it last waited for an event, or woke a helper.
    turns: u32,
    /// Turns since it last polled, or took a client that events woke.
    turns_since_poll: u32,
    /// How often it still looks for work before it follows a leader that sleeps.
    spins: u32,
    clock: LocalClock,
    /// How long the client of the turn waited for it: README, section "Queue wait".
    wait_us: u32,
}

impl WorkerLocal {
    /// Returns how long the client of the turn waited for it, in microseconds; the first time.
    #[inline]
    pub(crate) fn take_wait_us(&mut self) -> Option<u32> {
        match self.wait_us {
            0 => None,
            _ => Some(mem::take(&mut self.wait_us)),
        }
    }
}

/// Turns without a wait after which a worker wakes a helper. Waking one takes about as long as a
/// turn, so it does not pay for work that this worker could do soon.
const TURNS_BEFORE_HELPER: u32 = 64;

/// Turns after which a worker polls without waiting. Such turns are short, because after one that
/// used up its budget it polls anyway. So a parked client with an event waits at most a millisecond
/// while the queue is never empty, and the poll adds almost nothing to a turn.
const TURNS_BETWEEN_POLLS: u32 = 64;
