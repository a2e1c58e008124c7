//! Parking: where quiet clients rest, and the one poll that watches their sockets.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::{Events, Poll, Registry, Token, Waker};
use parking_lot::{Mutex, MutexGuard};

use super::slot::Slot;
use crate::client::Client;
use crate::net::connection::Readiness;

/// The places of all clients, and the poll.
#[derive(Debug)]
pub(super) struct Parking {
    slots: Box<[Mutex<Slot<Box<Client>>>]>,
    /// Locked when a client comes or goes, and by [`Parking::fetch`]; never for a request.
    free_slots: Mutex<FreeSlots>,
    registry: Registry,
    /// Who holds this lock is the leader. No other lock is taken under it but, one at a time, a
    /// slot's.
    watch: Mutex<Watch>,
    waker: Waker,
    /// Set when the server drains: then no client may rest here for want of something to read.
    draining: AtomicBool,
}

/// Which slots have a client.
#[derive(Debug)]
struct FreeSlots {
    free: Vec<usize>,
    /// A bit for each slot, by its index: whether it is not in `free`.
    in_use: Vec<u64>,
}

impl FreeSlots {
    fn new(count: usize) -> Self {
        Self {
            // Handed out from the end: the first client gets place 0.
            free: (0..count).rev().collect(),
            in_use: vec![0; count.div_ceil(64)],
        }
    }

    fn take(&mut self) -> Option<usize> {
        let slot = self.free.pop()?;
        self.in_use[slot / 64] |= 1 << (slot % 64);
        Some(slot)
    }

    fn give_back(&mut self, slot: usize) {
        self.in_use[slot / 64] &= !(1 << (slot % 64));
        self.free.push(slot);
    }
}

/// The places whose bits are set.
fn slots_in(bits: Vec<u64>) -> impl Iterator<Item = usize> {
    bits.into_iter().enumerate().flat_map(|(index, mut word)| {
        std::iter::from_fn(move || {
            let bit = word.checked_ilog2()? as usize;
            word &= !(1 << bit);
            Some(index * 64 + bit)
        })
    })
}

/// The poll, for the one who holds it.
#[derive(Debug)]
pub(super) struct Watch {
    poll: Poll,
    events: Events,
    /// Those whom the last events woke, and whom nobody has taken yet.
    pub(super) woken: VecDeque<Box<Client>>,
    /// How often it is looked for events before the leader sleeps until one comes.
    spins: u32,
}

impl Watch {
    /// Waits for events, for as long as `timeout` says.
    ///
    /// Who sleeps has to be woken, and that costs most for those who do it: clients about as fast as
    /// the server pay with every request. So it looks first whether the next event is as good as
    /// there.
    ///
    /// Gives whether it was in vain to look once.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let spins = if timeout.is_none() { self.spins } else { 0 };
        for look in 0..spins {
            self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
            if !self.events.is_empty() {
                return Ok(look > 0);
            }
        }
        self.poll.poll(&mut self.events, timeout)?;
        Ok(timeout.is_none())
    }
}

/// What became of a client that was to be parked.
#[derive(Debug)]
pub(crate) enum Parked {
    /// It rests. An event, or the clock, brings it back.
    Resting,
    /// Its socket has become ready again, or there is no reason to rest any more: serve it.
    Ready(Box<Client>),
    /// The poll cannot watch its socket.
    Failed(Box<Client>, io::Error),
}

impl Parking {
    /// `slots` is how many clients there can be at once, and `spins` how often it is looked for
    /// events before sleeping.
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
            waker,
            draining: AtomicBool::new(false),
        })
    }

    /// Gives a place to a client that is about to be; `None` if there is none left.
    pub(super) fn assign(&self) -> Option<usize> {
        let slot = self.free_slots.lock().take()?;
        *self.slots[slot].lock() = Slot::Away;
        Some(slot)
    }

    /// Takes the place of a client that is no more.
    pub(super) fn free(&self, slot: usize) {
        *self.slots[slot].lock() = Slot::Free;
        self.free_slots.lock().give_back(slot);
    }

    /// Lets the client rest until its socket is ready, unless it is already, or `may_rest` says no.
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
        // Both under the slot's lock: `fetch` comes by after the reason to rest was taken away, so
        // either it finds the client here or we see that.
        if (self.draining.load(Ordering::Relaxed) && client.is_idle()) || !may_rest(&client) {
            return Parked::Ready(client);
        }
        // Under the slot's lock too: the event may come at once, and waits for the lock.
        if let Err(error) = client.connection.watch(&self.registry, Token(index)) {
            return Parked::Failed(client, error);
        }
        debug_assert!(matches!(*slot, Slot::Away), "a client has one owner");
        *slot = Slot::Parked(client);
        Parked::Resting
    }

    /// Makes the caller the leader, if there is none.
    pub(super) fn try_lead(&self) -> Option<MutexGuard<'_, Watch>> {
        self.watch.try_lock()
    }

    pub(super) fn has_leader(&self) -> bool {
        self.watch.is_locked()
    }

    /// Waits for events, for as long as `timeout` says, and adds the clients that they wake to those
    /// who are `woken`. Gives whether it had to wait.
    pub(super) fn watch(&self, watch: &mut Watch, timeout: Option<Duration>) -> bool {
        let waited = match watch.wait(timeout) {
            Ok(waited) => waited,
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    log::error!("cannot wait for events: {error}");
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

    /// As an event, but from within. Gives the client if it rests.
    pub(super) fn notify(&self, slot: usize) -> Option<Box<Client>> {
        self.slots[slot].lock().event(Readiness::default())
    }

    /// Has the leader return from its wait, or the next one not begin to.
    pub(super) fn wake_leader(&self) {
        if let Err(error) = self.waker.wake() {
            log::error!("cannot wake the leader: {error}");
        }
    }

    /// Takes out every resting client that is `wanted`. Looks only at slots that have a client.
    ///
    /// A client that gets its slot after this has looked which are in use has locked `slots` after
    /// this did. So it sees what the caller did before, and needs not be found.
    pub(super) fn fetch(
        &self,
        wanted: impl Fn(&Client) -> bool,
        mut fetched: impl FnMut(Box<Client>),
    ) {
        let in_use = self.free_slots.lock().in_use.clone();
        for slot in slots_in(in_use) {
            let client = self.slots[slot].lock().fetch(|client| wanted(client));
            client.map(&mut fetched);
        }
    }

    /// From now on no client rests for want of something to read.
    pub(super) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

/// The waker's token: no client's place.
const WAKER: Token = Token(usize::MAX);

/// Events that one wait brings at most: enough that a busy leader seldom waits twice, few enough
/// that the last of them is not stale.
const EVENTS_MAX: usize = 256;
