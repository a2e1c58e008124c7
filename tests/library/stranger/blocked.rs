//! Thousands of clients that wait for a deferred reply, in the service of another crate.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use respool::{Config, Server};
use respool_testing::process::Process;
use respool_testing::{Peer, eventually, percentile};

use super::{BUILD_PATIENCE, Stranger, repository_file, strangers};

/// Maximum bytes of user memory for each blocked client, including what the service itself keeps.
const BYTES_PER_BLOCKED_CLIENT: usize = 1024;

/// Blocked clients. `RESPOOL_BLOCKED=10000` tries that many, with an optimized program.
const BLOCKED: usize = 2_000;

/// A service in a crate of its own tests itself by `respool::testing`.
#[test]
fn service_passes_its_own_tests() {
    let stranger = stranger().lock();
    let tested = Process::start(&mut stranger.cargo("test")).ended(BUILD_PATIENCE);
    assert!(
        tested.status.success(),
        "{}{}",
        tested.stdout,
        tested.stderr
    );
    tested.assert_prints("2 passed; 0 failed");
}

/// Prints what it measures: `cargo test --test stranger blocked -- --nocapture`.
#[test]
fn blocked_clients_take_memory_only() {
    let service = Service::start();
    let mut other = Peer::connect(service.addr);
    // The workers allocate their buffers.
    drop(service.block(100));
    eventually("none waits", || blocked(&mut other) == 0);
    let before = service.memory_bytes();
    let mut peers = service.block(service.clients);
    let bytes = service.memory_bytes().saturating_sub(before) / peers.len();
    let mut times: Vec<_> = (0..2_000).map(|_| other.ping()).collect();
    let p99 = percentile(&mut times, 99);
    println!(
        "{} blocked clients: {bytes} B each, PING p99 {p99:?}",
        peers.len()
    );
    assert!(bytes < BYTES_PER_BLOCKED_CLIENT, "{bytes} B for each");

    let mut last = peers.pop().expect("there are some");
    other.ask(format!("RPUSH key-{} value\r\n", peers.len()), ":1\r\n");
    let key = format!("key-{}", peers.len());
    last.expect(format!("*2\r\n${}\r\n{key}\r\n$5\r\nvalue\r\n", key.len()));
    let id = last.id();
    last.send("BLPOP key 0\r\n");
    eventually("it waits", || blocked(&mut other) == peers.len() + 1);
    other.ask(format!("CLIENT UNBLOCK {id} ERROR\r\n"), ":1\r\n");
    last.expect("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");

    let half = peers.len() / 2;
    peers.truncate(half);
    eventually("half of them wait", || blocked(&mut other) == half);
    drop(peers);
    eventually("none waits", || blocked(&mut other) == 0);
    // Values are kept for clients to come: no token is left.
    other.ask("RPUSH key-0 value\r\n", ":1\r\n");
    other.ask("BLPOP key-0 0\r\n", "*2\r\n$5\r\nkey-0\r\n$5\r\nvalue\r\n");
    last.ping();
    eventually("two are connected", || {
        other.count("connected_clients") == 2
    });
}

/// Each timeout is measured from before the request was sent.
#[test]
fn many_timeouts_are_over_in_time() {
    let service = Service::start();
    let (mut peers, mut sent) = (Vec::new(), Vec::new());
    for mut peer in service.connect(service.clients) {
        sent.push(Instant::now());
        peer.send("BLPOP key 2\r\n");
        peers.push(peer);
    }
    let timeout = Duration::from_secs(2);
    let wait = |(peer, sent): (&mut Peer, &Instant)| {
        peer.expect("*-1\r\n");
        let took = sent.elapsed();
        let late = took.checked_sub(timeout);
        late.unwrap_or_else(|| panic!("too early: {took:?}"))
    };
    let mut late: Vec<_> = peers.iter_mut().zip(&sent).map(wait).collect();
    println!(
        "{} timeouts: p50 {:?} late, p99 {:?}, the last {:?}",
        late.len(),
        percentile(&mut late, 50),
        percentile(&mut late, 99),
        percentile(&mut late, 100)
    );
    assert_eq!(blocked(&mut peers[0]), 0);
}

#[test]
fn drain_ends_many_waits() {
    let service = Service::start();
    let mut peers = service.block(service.clients);
    let begun = Instant::now();
    Peer::connect(service.addr).send("SHUTDOWN\r\n");
    for peer in &mut peers {
        assert!(peer.line().starts_with("-UNBLOCKED "));
        peer.expect_end();
    }
    println!("{} clients drained in {:?}", peers.len(), begun.elapsed());
}

/// The service as a process.
struct Service {
    process: Process,
    addr: SocketAddr,
    clients: usize,
    /// Others would disturb what is measured.
    _alone: MutexGuard<'static, Stranger>,
}

impl Service {
    fn start() -> Self {
        let clients = std::env::var("RESPOOL_BLOCKED").ok();
        let clients = clients.map(|count| count.parse().expect("RESPOOL_BLOCKED is a number"));
        let alone = stranger().lock();
        let (profile, folder) = match clients {
            Some(_) => ("release", "release"),
            None => ("dev", "debug"),
        };
        let mut command = alone.cargo("build");
        let built = Process::start(command.args(["--profile", profile])).ended(BUILD_PATIENCE);
        assert!(built.status.success(), "{}", built.stderr);
        let program = strangers().join("target").join(folder).join("blpop");
        let mut process = Process::start(&mut Command::new(program));
        let addr = process.expect("\n").parse().expect("an address");
        let clients = clients.unwrap_or(BLOCKED);
        // Raises the limit on open files of this process, too.
        let config = Config {
            maxclients: clients + 100,
            ..respool::testing::config()
        };
        Server::check(&config).expect("so many files may be open");
        Self {
            process,
            addr,
            clients,
            _alone: alone,
        }
    }

    fn connect(&self, count: usize) -> Vec<Peer> {
        let connect = |_| Peer::connect(self.addr);
        (0..count).map(connect).collect()
    }

    /// Returns clients that wait, each for a key of its own.
    fn block(&self, count: usize) -> Vec<Peer> {
        let mut other = Peer::connect(self.addr);
        let mut peers = self.connect(count);
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.send(format!("BLPOP key-{number} 0\r\n"));
        }
        eventually("all wait", || blocked(&mut other) == peers.len());
        peers
    }

    /// Returns the bytes of memory that are the process's own.
    fn memory_bytes(&self) -> usize {
        let file = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(file).expect("the process runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: usize = kib.expect("a size").parse().expect("a number");
        kib * 1024
    }
}

/// Returns the crate of the service.
fn stranger() -> &'static Mutex<Stranger> {
    static STRANGER: OnceLock<Mutex<Stranger>> = OnceLock::new();
    STRANGER.get_or_init(|| {
        let stranger = Stranger::new("blpop");
        let program = repository_file("tests/library/stranger/blpop.rs");
        stranger.write("src/main.rs", &program);
        Mutex::new(stranger)
    })
}

fn blocked(peer: &mut Peer) -> usize {
    peer.count("blocked_clients") as usize
}
