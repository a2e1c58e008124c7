//! Parking: the slots of idle clients, and the one poll that watches their sockets.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::slot::Slot;
use crate::client::Client;
use crate::logging;
use crate::net::connection::Readiness;
use crate::net::edge_poll::{Events, Poll, Registry, Token, Waker};

/// The slots of all clients, and the poll.
#[derive(Debug)]
pub(super) struct Parking {
    slots: Box<[Mutex<Slot<Box<Client>>>]>,
    /// Locked when a client is admitted or closed, and by [`Parking::fetch`]; never for a request.
    free_slots: Mutex<FreeSlots>,
    registry: Registry,
    /// The worker that holds this lock is the leader. Under it, only slots are locked, one at a
    /// time.
    watch: Mutex<Watch>,
    /// The leader sleeps in the poll or is about to.
    leader_sleeps: AtomicBool,
    waker: Waker,
    /// Set when the server drains: then no idle client is parked.
    draining: AtomicBool,
}

/// The slots in use, and those that are free.
#[derive(Debug)]
struct FreeSlots {
    free: Vec<usize>,
    /// For each slot, whether it is not in `free`.
    in_use: Vec<bool>,
}

impl FreeSlots {
    fn new(count: usize) -> Self {
        Self {
            // Taken from the end: the first client gets slot 0.
            free: (0..count).rev().collect(),
            in_use: vec![false; count],
        }
    }

    fn take(&mut self) -> Option<usize> {
        let slot = self.free.pop()?;
        self.in_use[slot] = true;
        Some(slot)
    }

    fn give_back(&mut self, slot: usize) {
        self.in_use[slot] = false;
        self.free.push(slot);
    }
}

/// The poll and its results, owned by the leader.
#[derive(Debug)]
pub(super) struct Watch {
    poll: Poll,
    events: Events,
    /// Clients that the last events woke, and that no worker has taken yet.
    pub(super) woken: VecDeque<Box<Client>>,
    /// How often the leader polls before it sleeps.
    spins: u32,
}

impl Watch {
    /// Waits for events, up to `timeout`. Spins before sleeping; returns true if the first poll was
    /// empty. `sleeps` is true while it sleeps.
    ///
    /// Without spinning, a client as fast as the server would have to wake the leader with every
    /// request.
    fn wait(&mut self, timeout: Option<Duration>, sleeps: &AtomicBool) -> io::Result<bool> {
        let spins = if timeout.is_none() { self.spins } else { 0 };
        for spin in 0..spins {
            self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
            if !self.events.is_empty() {
                return Ok(spin > 0);
            }
        }
        sleeps.store(timeout.is_none(), Ordering::Relaxed);
        let polled = self.poll.poll(&mut self.events, timeout);
        sleeps.store(false, Ordering::Relaxed);
        polled.map(|()| timeout.is_none())
    }

    /// Whether the last poll may have left events for the next one.
    pub(super) fn is_full(&self) -> bool {
        self.events.iter().count() >= EVENTS_MAX
    }
}

/// The result of parking a client.
#[derive(Debug)]
pub(crate) enum Parked {
    /// The client is parked. An event, [`Parking::notify`] or [`Parking::fetch`] takes it out.
    Resting,
    /// The socket has become ready again, or the client must not rest: serve it.
    Ready(Box<Client>),
    /// The poll cannot watch the socket.
    Failed(Box<Client>, io::Error),
}

impl Parking {
    /// `slots` is the maximum number of clients at the same time, and `spins` how often the leader
    /// polls before it sleeps.
    pub(super) fn new(slots: usize, spins: u32) -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = Waker::new(&registry, WAKER)?;
        let watch = Watch {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            woken: VecDeque::with_capacity(EVENTS_MAX),
            spins,
        };
        Ok(Self {
            slots: (0..slots).map(|_| Mutex::new(Slot::Free)).collect(),
            free_slots: Mutex::new(FreeSlots::new(slots)),
            registry,
            watch: Mutex::new(watch),
            leader_sleeps: AtomicBool::new(false),
            waker,
            draining: AtomicBool::new(false),
        })
    }

    /// Reserves a slot for a new client; `None` if all are in use.
    pub(super) fn assign(&self) -> Option<usize> {
        let slot = self.free_slots.lock().take()?;
        *self.slots[slot].lock() = Slot::Away;
        Some(slot)
    }

    /// Frees the slot of a closed client.
    pub(super) fn free(&self, slot: usize) {
        *self.slots[slot].lock() = Slot::Free;
        self.free_slots.lock().give_back(slot);
    }

    /// Parks a client until its socket is ready. Returns it if its socket is ready already, or if
    /// `may_rest` returns false.
    pub(super) fn park(
        &self,
        mut client: Box<Client>,
        may_rest: impl FnOnce(&Client) -> bool,
    ) -> Parked {
        let index = client.slot();
        let mut slot = self.slots[index].lock();
        if let Some(readiness) = slot.take_event() {
            client.connection.note(readiness);
            return Parked::Ready(client);
        }
        // Both are read under the slot's lock, and `fetch` locks the slot after they change: either
        // this sees the change, or `fetch` finds the client parked.
        if (self.draining.load(Ordering::Relaxed) && client.is_idle()) || !may_rest(&client) {
            return Parked::Ready(client);
        }
        // Under the slot's lock too: an event that comes at once waits for it.
        if let Err(error) = client.connection.watch(&self.registry, Token(index)) {
            return Parked::Failed(client, error);
        }
        debug_assert!(matches!(*slot, Slot::Away), "a client has one owner");
        *slot = Slot::Parked(client);
        Parked::Resting
    }

    /// Makes the caller the leader, unless another worker is.
    pub(super) fn try_lead(&self) -> Option<MutexGuard<'_, Watch>> {
        self.watch.try_lock()
    }

    pub(super) fn has_leader(&self) -> bool {
        self.watch.is_locked()
    }

    /// Whether events have woken clients that no worker has taken yet. False if another worker
    /// leads.
    pub(super) fn has_woken(&self) -> bool {
        self.try_lead().is_some_and(|watch| !watch.woken.is_empty())
    }

    /// Whether a worker polls, or takes a client that a poll has woken: so there may be work soon.
    pub(super) fn is_polled(&self) -> bool {
        self.has_leader() && !self.leader_sleeps.load(Ordering::Relaxed)
    }

    /// Waits for events, up to `timeout`, and moves the clients that they wake to `woken`. Returns
    /// whether it had to wait.
    pub(super) fn wait(&self, watch: &mut Watch, timeout: Option<Duration>) -> bool {
        let waited = match watch.wait(timeout, &self.leader_sleeps) {
            Ok(waited) => waited,
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    logging::error!("cannot wait for events: {error}");
                }
                return true;
            }
        };
        for event in watch.events.iter().filter(|event| event.token() != WAKER) {
            let readiness = Readiness::of(event);
            let client = self.slots[event.token().0].lock().event(readiness);
            if let Some(mut client) = client {
                client.connection.note(readiness);
                watch.woken.push_back(client);
            }
        }
        waited
    }

    /// Handles a notification like an event. Returns the client if it is parked.
    pub(super) fn notify(&self, slot: usize) -> Option<Box<Client>> {
        self.slots[slot].lock().event(Readiness::default())
    }

    /// Makes the leader return from its wait, or the next leader not begin one.
    pub(super) fn wake_leader(&self) {
        if let Err(error) = self.waker.wake() {
            logging::error!("cannot wake the leader: {error}");
        }
    }

    /// Takes out every parked client that is `wanted`. Looks only at slots in use.
    ///
    /// A client that is not found because it got its slot later has locked `free_slots` after this.
    /// So it sees what the caller did before.
    pub(super) fn fetch(
        &self,
        wanted: impl Fn(&Client) -> bool,
        mut fetched: impl FnMut(Box<Client>),
    ) {
        let in_use = self.free_slots.lock().in_use.clone();
        for (slot, _) in self.slots.iter().zip(in_use).filter(|&(_, used)| used) {
            let client = slot.lock().fetch(|client| wanted(client));
            client.map(&mut fetched);
        }
    }

    /// From now on, no idle client is parked.
    pub(super) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

/// The waker's token, which is no slot.
const WAKER: Token = Token(usize::MAX);

/// Maximum events of one wait: enough that a busy leader seldom polls twice, few enough that the
/// last of them is still fresh when it is handled.
const EVENTS_MAX: usize = 256;
