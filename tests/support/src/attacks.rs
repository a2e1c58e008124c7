//! Hostile peers, and peers that only look hostile.
//!
//! An attack ignores what the server does to it. The tests watch how other clients are served.

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

/// A running attack.
pub struct Attack {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// A thread of an attack. It returns soon after the stop is requested.
pub type Deed = fn(&Target, &Stop);

/// The server under attack.
#[derive(Debug, Clone, Copy)]
pub struct Target(pub SocketAddr);

/// Tells a thread when to stop and how long to rest.
pub struct Stop {
    wanted: Arc<AtomicBool>,
    breath: Duration,
}

impl Stop {
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Rests, then returns true unless the thread should stop. Without the rest, a client that
    /// reconnects without waiting for the server could take all of the machine's time.
    fn goes_on(&self) -> bool {
        rest(self.breath);
        !self.is_wanted()
    }
}

impl Attack {
    /// Starts a thread per deed. Threads that reconnect rest for `breath` before they do.
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

    /// Waits until every thread has ended. All their sockets are closed then.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("an attacker does not panic");
        }
    }
}

impl Target {
    /// Connects from a random source address: one address runs out of ports for connections that it
    /// closes first. Short timeouts.
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

    /// As [`Self::connect`], non-blocking.
    fn connect_hasty(self) -> io::Result<TcpStream> {
        let socket = self.connect()?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

/// The longest wait for the server, so that attacks stop soon.
const A_WHILE: Duration = Duration::from_millis(200);

/// Returns a number below `end`.
fn random(end: u64) -> u64 {
    RandomState::new().build_hasher().finish() % end
}

fn rest(time: Duration) {
    let deadline = Instant::now() + time;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

/// Returns true if the connection is still usable after a call that may time out.
fn goes_on(outcome: &io::Result<usize>) -> bool {
    match outcome {
        Ok(count) => *count > 0,
        Err(error) => matches!(
            error.kind(),
            ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::TimedOut
        ),
    }
}

/// Reads pending input, up to a bound. Returns true if the connection is still usable.
fn read_away(mut socket: &TcpStream) -> bool {
    let mut bytes = [0; 16 * 1024];
    let mut reads = (0..16).map(|_| socket.read(&mut bytes));
    reads
        .find(|outcome| !matches!(outcome, Ok(1..)))
        .is_none_or(|outcome| goes_on(&outcome))
}

/// Keeps `count` connections; closed ones are replaced. Calls `act` for each about every `period`,
/// with the number of earlier calls. `act` returns true if the connection is still usable.
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

/// 200 clients that send a byte each 100 ms: complete requests, slowly.
pub fn slow_clients(target: &Target, stop: &Stop) {
    let request = b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n";
    let period = Duration::from_millis(100);
    crowd(target, stop, 200, period, |mut socket, round| {
        let byte = request[round % request.len()];
        goes_on(&socket.write(&[byte])) && read_away(socket)
    });
}

/// 50 clients that send requests and never read.
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

/// 200 clients with one endless request each.
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

/// 500 connections that send nothing.
pub fn silent_clients(target: &Target, stop: &Stop) {
    crowd(target, stop, 500, Duration::from_millis(50), |socket, _| {
        read_away(socket)
    });
}

/// An endless pipeline whose replies are read.
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

/// Clients that read for a while and then stop, with much pending output.
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

/// Connections that are reset: at once, within a request, or with replies pending.
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

/// Connections in quick succession, closed at once.
pub fn connect_storm(target: &Target, stop: &Stop) {
    while stop.goes_on() {
        let _ = target.connect_hasty();
    }
}

/// Clients that send FIN and then read, or do not.
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

/// Bytes that are not RESP, or almost.
pub fn garbage(target: &Target, stop: &Stop) {
    let noise: Vec<u8> = (0..100_000).map(|_| random(256) as u8).collect();
    let long_line = b"x".repeat(200_000);
    let deeds: [&[u8]; 14] = [
        &noise,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nCONFIG SET requirepass x\r\n",
        // The start of a ClientHello of TLS 1.2.
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

/// 100 subscribers, half of which do not read.
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

/// Publishes as fast as the server allows.
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

/// Sends PINGs one after the other for this time, and returns the time of each.
pub fn ping_for(peer: &mut Peer, time: Duration) -> Vec<Duration> {
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < time {
        times.push(peer.ping());
    }
    times
}
