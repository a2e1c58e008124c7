//! What is around the pool: workers whose turns are like those of the real one, the crew, clients
//! and their peers.

use std::mem;
use std::sync::Arc;
use std::sync::atomic;

use crate::client::Client;
use crate::explore::{Key, call, key, pass, spawn, step, wait_for};
use crate::memory::{AtomicBool, AtomicUsize, Ordering};
use crate::mio::Socket;
use crate::parking_lot::Mutex;
use crate::pools::{Make, Pool};

/// What a peer may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Answered at once.
    Ping,
    /// Its handler blocks until the gate is open.
    Block,
    /// Opens the gate.
    Open,
    /// As good as a pipeline that does not end before the gate is open: every turn uses up its
    /// budget.
    Flood,
}

/// What others leave for a client: as the crate's `Entry`.
#[derive(Debug)]
pub struct Mailbox {
    has_mail: AtomicBool,
    messages: Mutex<usize>,
}

impl Mailbox {
    fn new() -> Self {
        Self {
            has_mail: AtomicBool::new(false),
            messages: Mutex::new(0),
        }
    }

    /// Leaves a message. Gives whether the client has to be notified.
    fn post(&self) -> bool {
        let mut messages = self.messages.lock();
        *messages += 1;
        !self.has_mail.swap(true, Ordering::Relaxed)
    }

    fn has_mail(&self) -> bool {
        self.has_mail.load(Ordering::Relaxed)
    }

    fn take(&self) -> usize {
        let mut messages = self.messages.lock();
        self.has_mail.store(false, Ordering::Relaxed);
        mem::take(&mut *messages)
    }
}

/// A pool and everybody around it.
#[derive(Debug)]
pub struct World {
    /// The pool that is checked.
    pub pool: Arc<dyn Pool>,
    phase: AtomicUsize,
    paused: AtomicBool,
    members: Mutex<Members>,
    /// What the scenario knows, and no thread of the pool does.
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

/// A number that everybody sees as it is.
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
struct Members {
    alive: usize,
    wanted: usize,
    hired: usize,
    dismissed: bool,
}

const SERVING: usize = 0;
const DRAINING: usize = 1;

/// A client that was let in: the peer's end of it, and what others need to leave mail for it.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The peer's end.
    pub socket: Arc<Socket>,
    slot: usize,
    mailbox: Arc<Mailbox>,
}

impl World {
    /// A pool of `workers` with `slots` for clients.
    pub fn new(make: Make, slots: usize, workers: usize) -> Arc<Self> {
        let world = Arc::new(Self {
            pool: make(slots),
            phase: AtomicUsize::new(SERVING),
            paused: AtomicBool::new(false),
            members: Mutex::new(Members::default()),
            seen: Seen::default(),
            changed: key(),
        });
        world.resize(workers);
        world
    }

    /// Lets a client in, whose peer does what `peer` says.
    pub fn connect(self: &Arc<Self>, peer: impl FnOnce(&Arc<Socket>) + Send + 'static) -> Guest {
        let slot = loop {
            let closed = self.seen.closed.get();
            if let Some(slot) = self.pool.assign() {
                break slot;
            }
            self.wait_until("a free slot", |seen| seen.closed.get() > closed);
        };
        self.seen.connected.add();
        let guest = Guest {
            socket: Arc::new(Socket::default()),
            slot,
            mailbox: Arc::new(Mailbox::new()),
        };
        let socket = Arc::clone(&guest.socket);
        spawn(format!("peer-{slot}"), move || peer(&socket));
        let client = Client::new(slot, Arc::clone(&guest.socket), guest.mailbox.clone());
        self.pool.submit(Box::new(client));
        guest
    }

    /// Leaves a message for a client, which counts as a reply.
    pub fn post(&self, guest: &Guest) {
        if guest.mailbox.post() {
            self.pool.notify(guest.slot);
        }
    }

    /// From now on every request waits.
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

    /// As the crate's `drain`, up to the word that everybody is to leave.
    pub fn drain(&self) {
        self.phase.store(DRAINING, Ordering::Release);
        self.pool.begin_drain();
    }

    /// Waits until `count` clients were closed.
    pub fn wait_until_closed(&self, count: usize) {
        self.wait_until("the clients' ends", |seen| seen.closed.get() == count);
    }

    /// Waits until there are `count` workers.
    pub fn wait_until_alive(&self, count: usize) {
        self.wait_until("the workers' ends", |seen| seen.alive.get() == count);
    }

    /// Waits until a handler waits for the gate.
    pub fn wait_until_blocked(&self) {
        self.wait_until("a handler", |seen| seen.blocked.get() > 0);
    }

    /// Opens the gate.
    pub fn open(&self) {
        step();
        self.seen.open.set(1);
        call(self.changed);
    }

    /// Sees the workers off, and closes whoever is still a client then.
    pub fn dismiss(&self) {
        let mut members = self.members.lock();
        members.dismissed = true;
        self.pool.retire(mem::take(&mut members.wanted));
        drop(members);
        self.wait_until_alive(0);
        assert_eq!(self.members.lock().alive, 0);
        self.pool.empty(&mut |client| self.close(client));
        let Seen {
            connected, closed, ..
        } = &self.seen;
        assert_eq!(closed.get(), connected.get(), "everybody is closed once");
    }

    fn wait_until(&self, what: &'static str, is_so: impl Fn(&Seen) -> bool) {
        wait_for(self.changed, what, || is_so(&self.seen).then_some(()));
    }
}

/// The crew: as the crate's `Crew`.
impl World {
    /// Starts workers, or has some of them end.
    pub fn resize(self: &Arc<Self>, wanted: usize) {
        let mut members = self.members.lock();
        if members.wanted > wanted {
            self.pool.retire(members.wanted - wanted);
            members.wanted = wanted;
        }
        members.wanted += self.pool.unretire(wanted - members.wanted);
        while members.wanted < wanted {
            let world = Arc::clone(self);
            spawn(format!("worker-{}", members.hired), move || world.work());
            members.hired += 1;
            members.alive += 1;
            members.wanted += 1;
        }
        self.seen.alive.set(members.alive);
        call(self.changed);
    }

    fn leave(&self) {
        let dismissed = self.members.lock().dismissed;
        if dismissed {
            self.pool.empty(&mut |client| self.close(client));
        }
        let mut members = self.members.lock();
        members.alive -= 1;
        self.seen.alive.set(members.alive);
        call(self.changed);
    }
}

/// The worker: as the crate's `Worker`.
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
                Pause::Spent => return self.pool.resubmit(client),
                Pause::Ended => return self.close(client),
                pause @ (Pause::Quiet | Pause::Paused) => match self.rest(client, pause) {
                    Some(ready) => client = ready,
                    None => return,
                },
            }
        }
    }

    fn rest(&self, mut client: Box<Client>, pause: Pause) -> Option<Box<Client>> {
        let paused = pause == Pause::Paused;
        client.paused = paused;
        let may_rest = |_: &Client| !paused || self.paused.load(Ordering::Relaxed);
        self.pool.park(client, &may_rest)
    }

    fn turn(&self, client: &mut Client, budget: &mut usize) -> Pause {
        let phase = self.phase.load(Ordering::Acquire);
        if client.mailbox.has_mail() {
            for _ in 0..client.mailbox.take() {
                client.connection.socket.reply();
            }
        }
        if !client.held.is_empty()
            && let Some(pause) = self.serve_held(client, budget)
        {
            return pause;
        }
        while !client.connection.ended() {
            if *budget == 0 {
                return Pause::Spent;
            }
            let Some(requests) = client.connection.read() else {
                return quiet(phase);
            };
            client.held.extend(requests);
            if let Some(pause) = self.serve_held(client, budget) {
                return pause;
            }
            if !client.connection.ended() && client.connection.is_drained() {
                return quiet(phase);
            }
        }
        Pause::Ended
    }

    fn serve_held(&self, client: &mut Client, budget: &mut usize) -> Option<Pause> {
        let paused =
            self.paused.load(Ordering::Relaxed) && self.phase.load(Ordering::Acquire) == SERVING;
        while let Some(&request) = client.held.first() {
            if *budget == 0 {
                return Some(Pause::Spent);
            }
            if paused {
                return Some(Pause::Paused);
            }
            *budget -= 1;
            match request {
                Request::Ping => {}
                Request::Block => {
                    self.pool.hand_over();
                    self.seen.blocked.add();
                    call(self.changed);
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
            client.held.remove(0);
            client.connection.socket.reply();
        }
        None
    }

    /// As the crate's `Shared::close`.
    fn close(&self, client: Box<Client>) {
        let slot = client.slot();
        drop(client);
        self.pool.free(slot);
        self.seen.closed.add();
        call(self.changed);
    }
}

/// Why a turn is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    Quiet,
    Spent,
    Paused,
    Ended,
}

fn quiet(phase: usize) -> Pause {
    if phase == SERVING {
        Pause::Quiet
    } else {
        Pause::Ended
    }
}

/// Few, so that scenarios with more are short.
const TURN_REQUESTS: usize = 2;
