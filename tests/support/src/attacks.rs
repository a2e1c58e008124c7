//! What hostile peers do, and peers that only seem so.
//!
//! Nothing that the server does to them is an error here: what matters is how the others fare.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::Peer;

/// An attack under way.
pub struct Attack {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What each thread of an attack does until it is to stop. It ends soon after that.
pub type Deed = fn(&Target, &Stop);

/// Whom the attack is for.
#[derive(Debug, Clone, Copy)]
pub struct Target(pub SocketAddr);

/// Whether to stop, and how hard to strike until then.
pub struct Stop {
    wanted: Arc<AtomicBool>,
    breath: Duration,
}

impl Stop {
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Whether to go on. Takes a breath first: who comes again and again without waiting for the
    /// server could have all of a machine's time.
    fn goes_on(&self) -> bool {
        rest(self.breath);
        !self.is_wanted()
    }
}

impl Attack {
    /// One thread for each deed. Those that come again and again rest for a `breath` between two
    /// times.
    pub fn start(addr: SocketAddr, deeds: &[Deed], breath: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = |&deed: &Deed| {
            let stop = Stop {
                wanted: Arc::clone(&stop),
                breath,
            };
            thread::spawn(move || deed(&Target(addr), &stop))
        };
        let threads = deeds.iter().map(thread).collect();
        Self { stop, threads }
    }

    /// Waits for the end of every thread; then none of its sockets is open.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("an attacker does not panic");
        }
    }
}

impl Target {
    /// From an address of its own, or one machine would soon be out of ports for connections that
    /// it closes first. It waits for nothing for long.
    fn connect(self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        let [second, third, fourth] = [random(254), random(254), random(254)];
        let source = [127, 1 + second as u8, 1 + third as u8, 1 + fourth as u8];
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect_timeout(&self.0.into(), Duration::from_secs(5))?;
        socket.set_read_timeout(Some(A_WHILE))?;
        socket.set_write_timeout(Some(A_WHILE))?;
        Ok(socket.into())
    }

    /// As [`Self::connect`], and nothing is waited for at all.
    fn connect_hasty(self) -> io::Result<TcpStream> {
        let socket = self.connect()?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

/// What is waited for the server at most, so that an attack ends when it is to.
const A_WHILE: Duration = Duration::from_millis(200);

/// A number below `end`.
fn random(end: u64) -> u64 {
    RandomState::new().build_hasher().finish() % end
}

fn rest(time: Duration) {
    let deadline = Instant::now() + time;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

/// Whether the connection is still good for a call that may have to wait.
fn goes_on(outcome: &io::Result<usize>) -> bool {
    match outcome {
        Ok(count) => *count > 0,
        Err(error) => matches!(
            error.kind(),
            ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::TimedOut
        ),
    }
}

/// Reads what has come, up to a bound: there may be no end of it. Gives whether the connection is
/// still good.
fn read_away(mut socket: &TcpStream) -> bool {
    let mut bytes = [0; 16 * 1024];
    let mut reads = (0..16).map(|_| socket.read(&mut bytes));
    reads
        .find(|outcome| !matches!(outcome, Ok(1..)))
        .is_none_or(|outcome| goes_on(&outcome))
}

/// As many connections as `count`; who is closed comes again. `act` is called for each of them
/// about every `period`, with how often it was before, and says whether the connection is still
/// good.
fn crowd(
    target: &Target,
    stop: &Stop,
    count: usize,
    period: Duration,
    act: impl Fn(&TcpStream, usize) -> bool,
) {
    let mut crowd: Vec<(TcpStream, usize)> = Vec::new();
    while !stop.is_wanted() {
        let due = Instant::now() + period;
        while crowd.len() < count && !stop.is_wanted() {
            let Ok(socket) = target.connect_hasty() else {
                break;
            };
            crowd.push((socket, 0));
        }
        crowd.retain_mut(|(socket, round)| {
            *round += 1;
            act(socket, *round - 1)
        });
        rest(due.saturating_duration_since(Instant::now()));
    }
}

/// 200 clients that send a byte each 100 ms: whole requests, if one waits long enough.
pub fn slow_clients(target: &Target, stop: &Stop) {
    let request = b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n";
    let period = Duration::from_millis(100);
    crowd(target, stop, 200, period, |mut socket, round| {
        let byte = request[round % request.len()];
        goes_on(&socket.write(&[byte])) && read_away(socket)
    });
}

/// 50 clients that send requests for as long as somebody takes them, and read nothing.
pub fn deaf_clients(target: &Target, stop: &Stop) {
    let requests = format!("*2\r\n$4\r\nECHO\r\n$10000\r\n{}\r\n", "x".repeat(10_000)).repeat(10);
    let sent = std::cell::RefCell::new(std::collections::HashMap::new());
    crowd(
        target,
        stop,
        50,
        Duration::from_millis(10),
        |mut socket, round| {
            let key = socket.local_addr().ok();
            let mut sent = sent.borrow_mut();
            let at: &mut usize = sent.entry(key).or_default();
            *at = if round == 0 { 0 } else { *at };
            let outcome = socket.write(&requests.as_bytes()[*at % requests.len()..]);
            *at += outcome.as_ref().copied().unwrap_or(0);
            goes_on(&outcome)
        },
    );
}

/// 200 clients, each with one request that never ends.
pub fn slowloris(target: &Target, stop: &Stop) {
    let period = Duration::from_millis(50);
    crowd(target, stop, 200, period, |mut socket, round| {
        let bytes: &[u8] = match round {
            0 => b"*3\r\n$4\r\nECHO\r\n$100000\r\n",
            _ => b"x",
        };
        goes_on(&socket.write(bytes)) && read_away(socket)
    });
}

/// 500 connections without a byte.
pub fn silent_clients(target: &Target, stop: &Stop) {
    crowd(target, stop, 500, Duration::from_millis(50), |socket, _| {
        read_away(socket)
    });
}

/// A pipeline without an end, all of whose replies are read.
pub fn endless_pipeline(target: &Target, stop: &Stop) {
    while !stop.is_wanted() {
        let Ok(socket) = target.connect() else {
            continue;
        };
        let Ok(mut writer) = socket.try_clone() else {
            continue;
        };
        let writing = thread::spawn(move || {
            let requests = b"PING\r\n".repeat(10_000);
            let mut at = 0;
            loop {
                let outcome = writer.write(&requests[at..]);
                at = (at + outcome.as_ref().copied().unwrap_or(0)) % requests.len();
                if !goes_on(&outcome) {
                    break;
                }
            }
        });
        let mut bytes = vec![0; 64 * 1024];
        while !stop.is_wanted() && goes_on(&(&socket).read(&mut bytes)) {}
        let _ = socket.shutdown(Shutdown::Both);
        writing.join().expect("a writer does not panic");
    }
}

/// Clients that read for a while and then do not, with much on its way to them.
pub fn readers_that_stop(target: &Target, stop: &Stop) {
    let requests = format!("*2\r\n$4\r\nECHO\r\n$50000\r\n{}\r\n", "x".repeat(50_000));
    crowd(
        target,
        stop,
        20,
        Duration::from_millis(20),
        |mut socket, round| {
            let outcome = socket.write(requests.as_bytes());
            if round < 10 {
                return goes_on(&outcome) && read_away(socket);
            }
            goes_on(&outcome) && round < 40
        },
    );
}

/// Connections that are reset: at once, in the middle of a request, with replies on their way.
pub fn resets(target: &Target, stop: &Stop) {
    let deeds: [&[u8]; 5] = [
        b"",
        b"PING\r\n",
        b"*2\r\n$4\r\nECHO\r\n$1000\r\nxx",
        &b"PING\r\n".repeat(5000),
        b"SUBSCRIBE a b c\r\nPING\r\n",
    ];
    for deed in deeds.into_iter().cycle() {
        if !stop.goes_on() {
            return;
        }
        let Ok(mut socket) = target.connect_hasty() else {
            continue;
        };
        let _ = socket.write(deed);
        let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    }
}

/// Connections as fast as they come, each closed in order at once.
pub fn connect_storm(target: &Target, stop: &Stop) {
    while stop.goes_on() {
        let _ = target.connect_hasty();
    }
}

/// Clients that end their side and go on to read, or do not.
pub fn half_closes(target: &Target, stop: &Stop) {
    let mut kept = Vec::new();
    for round in 0.. {
        if !stop.goes_on() {
            return;
        }
        let Ok(mut socket) = target.connect() else {
            continue;
        };
        let _ = socket.write(&b"PING\r\n".repeat(1 + round % 1000));
        let _ = socket.write(if round % 2 == 0 { b"PI" } else { b"" });
        let _ = socket.shutdown(Shutdown::Write);
        if round % 3 == 0 {
            kept.push(socket);
            kept.drain(..kept.len().saturating_sub(200));
        } else {
            let _ = socket.read_to_end(&mut Vec::new());
        }
    }
}

/// What is not RESP, or only just.
pub fn garbage(target: &Target, stop: &Stop) {
    let noise: Vec<u8> = (0..100_000).map(|_| random(256) as u8).collect();
    let long_line = b"x".repeat(200_000);
    let deeds: [&[u8]; 14] = [
        &noise,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nCONFIG SET requirepass x\r\n",
        // A ClientHello of TLS 1.2, as far as it goes.
        b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03\x00\x0a\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        &long_line,
        b"*1000000\r\n$1000000000\r\n",
        b"*2147483647\r\n$1\r\n",
        b"*-1\r\n*0\r\n*1\r\n$-1\r\n",
        b"$5\r\nhello\r\n",
        b"\r\n\r\n\r\n\0\0\0\r\n",
        b"PING \"\\x",
        b"*1\r\n$4\r\nPINGxx",
        b"*3\r\n$7\r\nPUBLISH\r\n$536870912\r\n",
    ];
    for (round, deed) in deeds.into_iter().cycle().enumerate() {
        if !stop.goes_on() {
            return;
        }
        let Ok(mut socket) = target.connect() else {
            continue;
        };
        let start = if round % 2 == 0 {
            0
        } else {
            random(deed.len() as u64) as usize
        };
        let _ = socket.write_all(&deed[start..]);
        let _ = socket.shutdown(Shutdown::Write);
        let _ = socket.read_to_end(&mut Vec::new());
    }
}

/// 100 subscribers, of whom each second one does not read.
pub fn subscribers(target: &Target, stop: &Stop) {
    let reads = |socket: &TcpStream| socket.local_addr().is_ok_and(|addr| addr.port() % 2 == 0);
    crowd(
        target,
        stop,
        100,
        Duration::from_millis(5),
        |mut socket, round| {
            if round == 0 {
                return goes_on(&socket.write(b"SUBSCRIBE flood\r\nPSUBSCRIBE fl*\r\n"));
            }
            !reads(socket) || read_away(socket)
        },
    );
}

/// Messages as fast as the server takes them.
pub fn publisher(target: &Target, stop: &Stop) {
    let publication = format!("PUBLISH flood {}\r\n", "x".repeat(4_000));
    while !stop.is_wanted() {
        let Ok(mut socket) = target.connect() else {
            continue;
        };
        let mut reply = [0; 64];
        while stop.goes_on()
            && socket.write_all(publication.as_bytes()).is_ok()
            && goes_on(&socket.read(&mut reply))
        {}
    }
}

/// Pings one after the other for so long, and gives how long each took.
pub fn ping_for(peer: &mut Peer, time: Duration) -> Vec<Duration> {
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < time {
        times.push(peer.ping());
    }
    times
}
