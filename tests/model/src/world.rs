//! Everything around the pool, made small: worker threads with short turns, clients and peers.

use std::mem;
use std::sync::Arc;
use std::sync::atomic;

use crate::client::Client;
use crate::explore::{Key, key, pass, spawn, step, wait_for, wake};
use crate::memory::{AtomicBool, AtomicUsize, Ordering};
use crate::mio::Socket;
use crate::parking_lot::Mutex;
use crate::pools::{Make, Pool};

/// The requests of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Answered at once.
    Ping,
    /// Its handler blocks until the gate is open.
    Block,
    /// Opens the gate.
    Open,
    /// Stands for a pipeline that ends when the gate is open: until then, each turn uses up its
    /// budget.
    Flood,
}

/// Messages for a client, like the crate's `Inbox`.
#[derive(Debug)]
pub struct Inbox {
    has_unread: AtomicBool,
    messages: Mutex<usize>,
}

impl Inbox {
    fn new() -> Self {
        Self {
            has_unread: AtomicBool::new(false),
            messages: Mutex::new(0),
        }
    }

    /// Adds a message. Returns whether the client must be notified.
    fn push(&self) -> bool {
        let mut messages = self.messages.lock();
        *messages += 1;
        !self.has_unread.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn has_unread(&self) -> bool {
        self.has_unread.load(Ordering::Relaxed)
    }

    fn take(&self) -> usize {
        let mut messages = self.messages.lock();
        self.has_unread.store(false, Ordering::Relaxed);
        mem::take(&mut *messages)
    }
}

/// A pool and everything around it.
#[derive(Debug)]
pub struct World {
    /// The pool that is checked.
    pub pool: Arc<dyn Pool>,
    phase: AtomicUsize,
    paused: AtomicBool,
    counts: Mutex<Counts>,
    /// Known to the scenario, not to the threads of the pool.
    seen: Seen,
    changed: Key,
}

#[derive(Debug, Default)]
struct Seen {
    open: Count,
    blocked: Count,
    connected: Count,
    closed: Count,
    alive: Count,
}

/// A number of which all threads see the newest value.
#[derive(Debug, Default)]
struct Count(atomic::AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn set(&self, value: usize) {
        self.0.store(value, Ordering::SeqCst);
    }

    fn add(&self) {
        self.set(self.get() + 1);
    }
}

#[derive(Debug, Default)]
struct Counts {
    alive: usize,
    wanted: usize,
    started: usize,
    shut_down: bool,
}

const SERVING: usize = 0;
const DRAINING: usize = 1;

/// The peer of an admitted client.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its socket.
    pub socket: Arc<Socket>,
    slot: usize,
    inbox: Arc<Inbox>,
}

impl World {
    /// Makes a pool with `workers` and `slots`.
    pub fn new(make: Make, slots: usize, workers: usize) -> Arc<Self> {
        let world = Arc::new(Self {
            pool: make(slots),
            phase: AtomicUsize::new(SERVING),
            paused: AtomicBool::new(false),
            counts: Mutex::new(Counts::default()),
            seen: Seen::default(),
            changed: key(),
        });
        world.resize(workers);
        world
    }

    /// Admits a client whose peer runs `peer`.
    pub fn connect(self: &Arc<Self>, peer: impl FnOnce(&Arc<Socket>) + Send + 'static) -> Peer {
        let slot = loop {
            let closed = self.seen.closed.get();
            if let Some(slot) = self.pool.assign() {
                break slot;
            }
            self.wait_until("a free slot", |seen| seen.closed.get() > closed);
        };
        self.seen.connected.add();
        let admitted = Peer {
            socket: Arc::new(Socket::default()),
            slot,
            inbox: Arc::new(Inbox::new()),
        };
        let socket = Arc::clone(&admitted.socket);
        spawn(format!("peer-{slot}"), move || peer(&socket));
        let client = Client::new(slot, Arc::clone(&admitted.socket), admitted.inbox.clone());
        self.pool.submit(Box::new(client));
        admitted
    }

    /// Sends a message to a client. Its peer counts it as a reply.
    pub fn push(&self, admitted: &Peer) {
        if admitted.inbox.push() {
            self.pool.notify(admitted.slot);
        }
    }

    /// Pauses all clients.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::Relaxed);
    }

    /// Ends the pause.
    pub fn end_pause(&self) {
        self.paused.store(false, Ordering::Relaxed);
        self.pool.fetch(&|client| client.paused, &mut |client| {
            self.pool.submit(client);
        });
    }

    /// Begins a drain, as the crate does.
    pub fn drain(&self) {
        self.phase.store(DRAINING, Ordering::Release);
        self.pool.begin_drain();
    }

    /// Waits until `count` clients are closed.
    pub fn wait_until_closed(&self, count: usize) {
        self.wait_until("closed clients", |seen| seen.closed.get() == count);
    }

    /// Waits until there are `count` workers.
    pub fn wait_until_alive(&self, count: usize) {
        self.wait_until("a number of workers", |seen| seen.alive.get() == count);
    }

    /// Waits until a handler blocks.
    pub fn wait_until_blocked(&self) {
        self.wait_until("a blocked handler", |seen| seen.blocked.get() > 0);
    }

    /// Opens the gate.
    pub fn open(&self) {
        step();
        self.seen.open.set(1);
        wake(self.changed);
    }

    /// Ends all workers, then closes the remaining clients.
    pub fn shutdown(&self) {
        let mut counts = self.counts.lock();
        counts.shut_down = true;
        self.pool.retire(mem::take(&mut counts.wanted));
        drop(counts);
        self.wait_until_alive(0);
        assert_eq!(self.counts.lock().alive, 0);
        self.pool.empty(&mut |client| self.close(client));
        let Seen {
            connected, closed, ..
        } = &self.seen;
        assert_eq!(closed.get(), connected.get(), "each client is closed once");
    }

    fn wait_until(&self, what: &'static str, is_so: impl Fn(&Seen) -> bool) {
        wait_for(self.changed, what, || is_so(&self.seen).then_some(()));
    }
}

/// Like the crate's `WorkerThreads`.
impl World {
    /// Starts or ends workers until there are `wanted`.
    pub fn resize(self: &Arc<Self>, wanted: usize) {
        let mut counts = self.counts.lock();
        if counts.wanted > wanted {
            self.pool.retire(counts.wanted - wanted);
            counts.wanted = wanted;
        }
        counts.wanted += self.pool.unretire(wanted - counts.wanted);
        while counts.wanted < wanted {
            let world = Arc::clone(self);
            spawn(format!("worker-{}", counts.started), move || world.work());
            counts.started += 1;
            counts.alive += 1;
            counts.wanted += 1;
        }
        self.seen.alive.set(counts.alive);
        wake(self.changed);
    }

    fn leave(&self) {
        let shut_down = self.counts.lock().shut_down;
        if shut_down {
            self.pool.empty(&mut |client| self.close(client));
        }
        let mut counts = self.counts.lock();
        counts.alive -= 1;
        self.seen.alive.set(counts.alive);
        wake(self.changed);
    }
}

/// Like the crate's `Worker`.
impl World {
    fn work(&self) {
        let mut next = self.pool.join();
        while let Some(client) = next() {
            self.serve(client);
        }
        self.leave();
    }

    fn serve(&self, mut client: Box<Client>) {
        let mut budget = TURN_REQUESTS;
        loop {
            match self.turn(&mut client, &mut budget) {
                TurnEnd::BudgetSpent => return self.pool.resubmit(client),
                TurnEnd::PeerClosed => return self.close(client),
                end @ (TurnEnd::Idle | TurnEnd::ClientPaused) => match self.park(client, end) {
                    Some(ready) => client = ready,
                    None => return,
                },
            }
        }
    }

    fn park(&self, mut client: Box<Client>, end: TurnEnd) -> Option<Box<Client>> {
        let paused = end == TurnEnd::ClientPaused;
        client.paused = paused;
        let may_rest = |_: &Client| !paused || self.paused.load(Ordering::Relaxed);
        self.pool.park(client, &may_rest)
    }

    fn turn(&self, client: &mut Client, budget: &mut usize) -> TurnEnd {
        let phase = self.phase.load(Ordering::Acquire);
        if client.inbox.has_unread() {
            for _ in 0..client.inbox.take() {
                client.connection.socket.reply();
            }
            // Its socket had nothing to read when it was parked, and no event since.
            let was_notified = mem::take(&mut client.is_notified);
            if was_notified && client.pending.is_empty() && phase == SERVING {
                return idle(phase);
            }
        }
        if !client.pending.is_empty()
            && let Some(end) = self.serve_pending(client, budget)
        {
            return end;
        }
        while !client.connection.ended() {
            if *budget == 0 {
                return TurnEnd::BudgetSpent;
            }
            let Some(requests) = client.connection.read() else {
                return idle(phase);
            };
            client.pending.extend(requests);
            if let Some(end) = self.serve_pending(client, budget) {
                return end;
            }
            if !client.connection.ended() && client.connection.is_drained() {
                return idle(phase);
            }
        }
        TurnEnd::PeerClosed
    }

    fn serve_pending(&self, client: &mut Client, budget: &mut usize) -> Option<TurnEnd> {
        let paused =
            self.paused.load(Ordering::Relaxed) && self.phase.load(Ordering::Acquire) == SERVING;
        while let Some(&request) = client.pending.first() {
            if *budget == 0 {
                return Some(TurnEnd::BudgetSpent);
            }
            if paused {
                return Some(TurnEnd::ClientPaused);
            }
            *budget -= 1;
            match request {
                Request::Ping => {}
                Request::Block => {
                    self.pool.hand_over();
                    self.seen.blocked.add();
                    wake(self.changed);
                    self.wait_until("the gate", |seen| seen.open.get() > 0);
                }
                Request::Open => self.open(),
                Request::Flood => {
                    pass();
                    if self.seen.open.get() == 0 {
                        *budget = 0;
                        continue;
                    }
                }
            }
            client.pending.remove(0);
            client.connection.socket.reply();
        }
        None
    }

    /// Like the crate's `Shared::close`.
    fn close(&self, client: Box<Client>) {
        let slot = client.slot();
        drop(client);
        self.pool.free(slot);
        self.seen.closed.add();
        wake(self.changed);
    }
}

/// Why a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TurnEnd {
    Idle,
    BudgetSpent,
    ClientPaused,
    PeerClosed,
}

fn idle(phase: usize) -> TurnEnd {
    if phase == SERVING {
        TurnEnd::Idle
    } else {
        TurnEnd::PeerClosed
    }
}

/// Few, so that a scenario with more is short.
const TURN_REQUESTS: usize = 2;
