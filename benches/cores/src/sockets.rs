//! What the kernel's work on sockets costs: poll, receive, send, and the insertion into an epoll set.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use parking_lot::Mutex;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::costs::Cost;
use crate::cpu::{Pair, at_once, in_turns, median, pin};

/// The request of a PING and its reply.
pub(crate) const REQUEST: &[u8] = b"*1\r\n$4\r\nPING\r\n";
pub(crate) const REPLY: &[u8] = b"+PONG\r\n";

/// Connections that each step of a measurement uses: about as many as a poll of a busy server finds.
const CONNECTIONS: usize = 16;
const ROUNDS: usize = 300;

/// Where the two ends of a connection are used.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Placement {
    /// Both on one core.
    Same,
    /// On a core each.
    Split,
    /// On a core each, and they change places after each reply. So the server's end was last used on
    /// another core.
    Moved,
}

/// The costs of a turn's system calls, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SocketCosts {
    /// A poll that returns no event.
    pub(crate) poll_call: f64,
    /// Each event that a poll returns.
    pub(crate) poll_event: f64,
    /// The server's `recv` and `send`, by [`Placement`].
    pub(crate) turn: [f64; 3],
    /// The load's `send`, to a socket in an epoll set that nobody waits for.
    pub(crate) load_send: f64,
    /// The load's `recv`, and its part of a poll.
    pub(crate) load_recv: f64,
}

/// One end of all connections.
struct End {
    poll: Poll,
    events: Events,
    sockets: Vec<TcpStream>,
    buffer: Vec<u8>,
}

/// The two ends, and how long each turn took.
struct Exchange {
    server: End,
    load: End,
    request: Vec<u8>,
    reply: Vec<u8>,
    /// The first connection of the next round.
    first: usize,
    turns: Vec<f64>,
}

/// How long the steps of a steady exchange took, for each client.
#[derive(Default)]
struct Times {
    /// A poll without an event, which is subtracted from the others.
    poll_call: f64,
    poll: Vec<f64>,
    turn: Vec<f64>,
    load_send: Vec<f64>,
    load_recv: Vec<f64>,
}

impl SocketCosts {
    /// `connections` take turns, each with `pipeline` PINGs in flight.
    pub(crate) fn measure(pair: Pair, pipeline: usize, connections: usize) -> io::Result<Self> {
        let run = |placement| run(pair, pipeline, connections, placement);
        let [same, split, moved] = [
            run(Placement::Same)?,
            run(Placement::Split)?,
            run(Placement::Moved)?,
        ]
        .map(median);
        let in_steps = Self {
            poll_call: poll_call()?,
            poll_event: f64::NAN,
            turn: [same, split, moved],
            load_send: f64::NAN,
            load_recv: f64::NAN,
        };
        in_steps.measure_steady(pair, pipeline, connections)
    }

    /// Measures a steady exchange. In steps each turn takes longer than in it, by as much for all
    /// placements, so their ratios are kept.
    pub(crate) fn measure_steady(
        &self,
        pair: Pair,
        pipeline: usize,
        connections: usize,
    ) -> io::Result<Self> {
        let steady = steady(pair, pipeline, connections, self.poll_call)?;
        let factor = median(steady.turn) / self.turn[Placement::Split as usize];
        Ok(Self {
            poll_call: self.poll_call,
            poll_event: median(steady.poll).max(0.0),
            turn: self.turn.map(|turn| turn * factor),
            load_send: median(steady.load_send),
            load_recv: median(steady.load_recv),
        })
    }

    /// Returns what both ends of a steady exchange spend on a turn.
    pub(crate) fn exchange_ns(&self) -> f64 {
        self.turn[Placement::Split as usize] + self.poll_event + self.load_send + self.load_recv
    }

    /// Returns the mean of two measurements.
    pub(crate) fn mean(mut self, mut other: Self) -> Self {
        for (value, other) in self.values().into_iter().zip(other.values()) {
            *value = f64::midpoint(*value, *other);
        }
        self
    }
}

impl SocketCosts {
    pub(crate) fn values(&mut self) -> Vec<&mut f64> {
        let mut values: Vec<_> = self.turn.iter_mut().collect();
        values.extend([
            &mut self.poll_call,
            &mut self.poll_event,
            &mut self.load_send,
            &mut self.load_recv,
        ]);
        values
    }
}

/// Exchanges requests and replies step by step: the load sends on some connections, the server
/// serves all of them, and the load receives. Returns how long each of the server's turns takes.
fn run(
    pair: Pair,
    pipeline: usize,
    connections: usize,
    placement: Placement,
) -> io::Result<Vec<f64>> {
    pin(&pair[..1])?;
    let exchange = Mutex::new(Exchange::new(connections, pipeline)?);
    let steps = Mutex::new((0..3).cycle());
    match placement {
        Placement::Same => (0..ROUNDS).for_each(|_| {
            let mut exchange = exchange.lock();
            exchange.ask();
            exchange.serve();
            exchange.receive();
        }),
        Placement::Split => {
            exchange.lock().ask();
            let load = || {
                let mut exchange = exchange.lock();
                exchange.receive();
                exchange.ask();
            };
            in_turns(pair, ROUNDS, || exchange.lock().serve(), load)?;
        }
        // Three steps for two cores: each round has the other core for the server.
        Placement::Moved => {
            let step = || match steps.lock().next() {
                Some(0) => exchange.lock().ask(),
                Some(1) => exchange.lock().serve(),
                _ => exchange.lock().receive(),
            };
            in_turns(pair, ROUNDS, step, step)?;
        }
    }
    Ok(exchange.into_inner().turns)
}

/// Measures a poll of a set in which nothing is ready.
fn poll_call() -> io::Result<f64> {
    let mut exchange = Exchange::new(CONNECTIONS, 1)?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        exchange.server.poll_once();
        times.push(start.elapsed().as_nanos() as f64);
    }
    Ok(median(times))
}

impl Exchange {
    fn new(connections: usize, pipeline: usize) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (mut server, mut load) = (End::new()?, End::new()?);
        for _ in 0..connections {
            let socket = TcpStream::connect(listener.local_addr()?)?;
            calm(&socket)?;
            load.add(socket)?;
            server.add(listener.accept()?.0)?;
        }
        // A new socket is ready for writing.
        while server.poll_once() + load.poll_once() > 0 {}
        Ok(Self {
            server,
            load,
            request: REQUEST.repeat(pipeline),
            reply: REPLY.repeat(pipeline),
            first: 0,
            turns: Vec::new(),
        })
    }

    /// Sends a request on each connection of the next round.
    fn ask(&mut self) {
        self.first = (self.first + CONNECTIONS) % (self.load.sockets.len() - CONNECTIONS + 1);
        for socket in &self.load.sockets[self.first..][..CONNECTIONS] {
            put(socket, &self.request);
        }
    }

    /// Polls, then receives each request and sends its reply.
    fn serve(&mut self) {
        self.server.poll_all();
        let End {
            sockets, buffer, ..
        } = &mut self.server;
        self.turns.push(per_connection(|| {
            for socket in &sockets[self.first..][..CONNECTIONS] {
                take(socket, buffer);
                put(socket, &self.reply);
            }
        }));
    }

    /// Polls, then receives each reply.
    fn receive(&mut self) {
        self.load.poll_all();
        for socket in &self.load.sockets[self.first..][..CONNECTIONS] {
            take(socket, &mut self.load.buffer);
        }
    }
}

/// Exchanges requests and replies as a server and its load do, on a core each, except that nobody
/// sleeps. Returns how long each step took, for each client.
fn steady(pair: Pair, pipeline: usize, connections: usize, poll_call: f64) -> io::Result<Times> {
    pin(&pair[..1])?;
    let exchange = Exchange::new(connections, pipeline)?;
    let (request, reply) = (exchange.request, exchange.reply);
    let ends = [exchange.server, exchange.load].map(Mutex::new);
    let (served, by_load) = (
        Mutex::new(Times::new(poll_call)),
        Mutex::new(Times::new(poll_call)),
    );
    let is_over = AtomicBool::new(false);
    at_once(pair, 1, |index, _| {
        if index == 0 {
            serve_until(&is_over, &mut ends[0].lock(), &reply, &mut served.lock());
        } else {
            load_for(STEADY, &mut ends[1].lock(), &request, &mut by_load.lock());
            is_over.store(true, Ordering::Relaxed);
        }
    })?;
    let mut times = served.into_inner();
    let of_load = by_load.into_inner();
    (times.load_send, times.load_recv) = (of_load.load_send, of_load.load_recv);
    Ok(times)
}

/// The time of a steady exchange.
const STEADY: Duration = Duration::from_millis(40);

fn serve_until(is_over: &AtomicBool, server: &mut End, reply: &[u8], times: &mut Times) {
    while !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        let count = server.poll_once() as f64;
        if count == 0.0 {
            continue;
        }
        let polled = Instant::now();
        for event in &server.events {
            let socket = &server.sockets[event.token().0];
            take(socket, &mut server.buffer);
            put(socket, reply);
        }
        times
            .poll
            .push(((polled - start).as_nanos() as f64 - times.poll_call) / count);
        times.turn.push(polled.elapsed().as_nanos() as f64 / count);
    }
}

fn load_for(time: Duration, load: &mut End, request: &[u8], times: &mut Times) {
    let begin = Instant::now();
    let mut next: Vec<_> = (0..load.sockets.len()).collect();
    let mut waiting = 0;
    while waiting > 0 || begin.elapsed() < time {
        let start = Instant::now();
        for &index in &next {
            put(&load.sockets[index], request);
        }
        if !next.is_empty() {
            times
                .load_send
                .push(start.elapsed().as_nanos() as f64 / next.len() as f64);
        }
        waiting += next.len();
        next.clear();
        let start = Instant::now();
        let count = load.poll_once();
        for event in &load.events {
            let index = event.token().0;
            take(&load.sockets[index], &mut load.buffer);
            if begin.elapsed() < time {
                next.push(index);
            }
        }
        if count > 0 {
            times
                .load_recv
                .push(start.elapsed().as_nanos() as f64 / count as f64);
        }
        waiting -= count;
    }
}

impl Times {
    fn new(poll_call: f64) -> Self {
        Self {
            poll_call,
            ..Self::default()
        }
    }
}

impl End {
    fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(256),
            sockets: Vec::new(),
            buffer: vec![0; 128 * 1024],
        })
    }

    fn add(&mut self, socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        let token = Token(self.sockets.len());
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&socket.as_raw_fd()), token, both)?;
        self.sockets.push(socket);
        Ok(())
    }

    fn poll_once(&mut self) -> usize {
        let none = Some(Duration::ZERO);
        self.poll.poll(&mut self.events, none).expect("it polls");
        self.events.iter().count()
    }

    /// Polls until every socket of the round had an event.
    fn poll_all(&mut self) {
        let mut count = 0;
        while count < CONNECTIONS {
            count += self.poll_once();
        }
    }
}

/// Reno costs the load least, as in the duel.
pub(crate) fn calm(socket: &TcpStream) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_tcp_congestion(socket, "reno")?)
}

pub(crate) fn put(socket: &TcpStream, bytes: &[u8]) {
    let sent = send(socket, bytes, SendFlags::NOSIGNAL).expect("there is room");
    assert_eq!(sent, bytes.len());
}

fn take(socket: &TcpStream, buffer: &mut [u8]) {
    recv(socket, buffer, RecvFlags::empty()).expect("there are bytes");
}

fn per_connection(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / CONNECTIONS as f64
}

/// Returns how long it takes to add a socket to the ready list of an epoll set, as a part of a
/// `send`: while one core adds to it, and while two cores do.
pub(crate) fn ready_list(pair: Pair) -> io::Result<Cost> {
    let unwatched = insert(pair, [None, None])?;
    let own = insert(pair, [Some(0), Some(1)])?;
    let shared = insert(pair, [Some(0), Some(0)])?;
    let alone = (own - unwatched).max(0.0);
    Ok(Cost {
        alone,
        moved: alone + (shared - own).max(0.0),
    })
}

/// Measures a `send` while both cores send. `sets` is the epoll set of the peers of each core's
/// sockets.
fn insert(pair: Pair, sets: [Option<usize>; 2]) -> io::Result<f64> {
    let mut all = [End::new()?, End::new()?];
    let mut senders = Vec::new();
    for set in sets {
        senders.push(Mutex::new(Senders::new(set.map(|set| &mut all[set]))?));
    }
    let sets = Mutex::new(all);
    at_once(pair, 2 * ROUNDS, |index, round| {
        let mut senders = senders[index].lock();
        if round % 2 == 0 {
            senders.send();
        } else {
            senders.take();
            // The next insertion is one only after the socket has left the list.
            sets.lock()
                .iter_mut()
                .for_each(|set| while set.poll_once() > 0 {});
        }
    })?;
    let times = senders
        .into_iter()
        .map(|senders| senders.into_inner().times);
    Ok(median(times.flatten().collect()))
}

/// Sockets that one core sends to, and their peers.
struct Senders {
    sockets: Vec<TcpStream>,
    peers: Vec<TcpStream>,
    buffer: Vec<u8>,
    times: Vec<f64>,
}

impl Senders {
    /// The peers are added to `set`, if there is one.
    fn new(mut set: Option<&mut End>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (mut sockets, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..CONNECTIONS {
            let socket = TcpStream::connect(listener.local_addr()?)?;
            calm(&socket)?;
            socket.set_nodelay(true)?;
            let (peer, _) = listener.accept()?;
            if let Some(set) = &mut set {
                set.add(peer.try_clone()?)?;
            }
            sockets.push(socket);
            peers.push(peer);
        }
        Ok(Self {
            sockets,
            peers,
            buffer: vec![0; 4096],
            times: Vec::new(),
        })
    }

    fn send(&mut self) {
        let Self { sockets, times, .. } = self;
        times.push(per_connection(|| {
            for socket in sockets.iter() {
                put(socket, REQUEST);
            }
        }));
    }

    fn take(&mut self) {
        for peer in &self.peers {
            take(peer, &mut self.buffer);
        }
    }
}

/// Returns how much longer an exchange takes while the other core has one too.
pub(crate) fn busy_factor(pair: Pair) -> io::Result<f64> {
    let one = || Exchange::new(CONNECTIONS, 1).map(Mutex::new);
    let exchanges = [one()?, one()?];
    let exchange = |index: usize| {
        let mut exchange = exchanges[index].lock();
        exchange.ask();
        exchange.serve();
        exchange.receive();
    };
    pin(&pair[..1])?;
    (0..ROUNDS).for_each(|_| exchange(0));
    let alone = median(std::mem::take(&mut exchanges[0].lock().turns));
    at_once(pair, ROUNDS, |index, _| exchange(index))?;
    let [first, _] = exchanges;
    Ok(median(first.into_inner().turns) / alone)
}
