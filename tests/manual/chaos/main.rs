//! Everything at once, for minutes, by hand: checked sessions, messages, kills, pauses, 1 to 64
//! workers, SIGHUP, connection storms, clients that never read. Every reply is compared with a
//! model of the session (`session.rs`), which follows redis-server.
//!
//! ```console
//! $ cargo test --release --test chaos                # 600 s, a new seed
//! $ cargo test --release --test chaos -- 30          # 30 s
//! $ cargo test --release --test chaos -- 30 12345    # the same requests as another run
//! $ cargo test --release --test chaos -- 30 kill     # only threads with this word in their names
//! ```
//!
//! A failure prints the seed, the client, and the last bytes that it sent and received. The
//! requests of each client follow from the seed; the order of the clients does not.

mod deeds;
mod operator;
mod session;
mod wire;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use fastrand::Rng;
use parking_lot::RwLock;
use respool_testing::process::Respool;
use respool_testing::target::program;
use respool_testing::{PATIENCE, Peer, Scratch, eventually};

/// Shared by all threads of a run.
pub(crate) struct World {
    pub(crate) server: Respool,
    pub(crate) file: Scratch,
    deadline: Instant,
    has_failed: AtomicBool,
    /// Held by each episode; exclusively by one that concerns all clients.
    pub(crate) episodes: RwLock<()>,
    /// Odd while the clients are paused.
    pub(crate) pauses: AtomicU64,
}

impl World {
    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.deadline && !self.has_failed.load(Ordering::Relaxed)
    }
}

/// Stops the other threads if its own panics.
struct StopOnPanic<'a>(&'a World);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.has_failed.store(true, Ordering::Relaxed);
        }
    }
}

/// An action of a thread, repeated until the end.
pub(crate) type Episode = fn(&World, &mut Rng);

/// One thread for each.
const EPISODES: [(&str, Episode); 14] = [
    ("session-1", session::episode),
    ("session-2", session::episode),
    ("session-3", session::episode),
    ("session-4", session::episode),
    ("messages-1", deeds::messages),
    ("messages-2", deeds::messages),
    ("kill", deeds::kill),
    ("storm", deeds::storm),
    ("half-closed", deeds::half_closed),
    ("never-read", deeds::never_read),
    ("huge", deeds::huge),
    ("garbage", deeds::garbage),
    ("monitor", deeds::monitor),
    ("operator", operator::episode),
];

fn main() {
    // Flags are for the test harness.
    let words = env::args().skip(1).filter(|word| !word.starts_with('-'));
    let (numbers, names): (Vec<_>, Vec<_>) = words.partition(|word| word.parse::<u64>().is_ok());
    let numbers: Vec<u64> = numbers
        .iter()
        .map(|word| word.parse().expect("checked"))
        .collect();
    let seconds = numbers.first().copied().unwrap_or(600);
    let seed = numbers
        .get(1)
        .copied()
        .unwrap_or_else(|| Rng::new().u64(..));
    report(&format!("chaos: {seconds} s, seed {seed}"));

    let file = Scratch::file("workers = 4\n");
    let mut command = Command::new(program());
    command
        .arg(file.path())
        .args(["--maxclients", "1500", "--drain-timeout-ms", "5000"]);
    let world = World {
        server: Respool::run_beside_others(&mut command),
        file,
        deadline: Instant::now() + Duration::from_secs(seconds),
        has_failed: AtomicBool::new(false),
        episodes: RwLock::new(()),
        pauses: AtomicU64::new(0),
    };
    let mut before = Holds::default();
    eventually("all workers have started", || {
        before = Holds::of(&mut world.server.connect());
        before.workers == 4
    });
    let counts = run(&world, seed, &names);
    let counts: Vec<_> = counts
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    report(&format!("chaos: episodes: {}", counts.join(", ")));
    let mut control = world.server.connect();
    everything_is_as_before(&mut control, before);
    ends_in_order(world, control, seed);
    report("chaos: nothing found");
}

fn report(text: &str) {
    println!("{text}");
}

/// Returns how many episodes each thread has played.
fn run(world: &World, seed: u64, names: &[String]) -> Vec<(&'static str, u64)> {
    let (mut counts, mut has_failed) = (Vec::new(), false);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        let is_wanted =
            |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part.as_str()));
        for (number, (name, episode)) in (0..).zip(EPISODES) {
            if !is_wanted(name) {
                continue;
            }
            let mut rng = Rng::with_seed(seed.wrapping_add(number));
            let act = move || {
                let _stop = StopOnPanic(world);
                let mut count = 0;
                while world.goes_on() {
                    episode(world, &mut rng);
                    count += 1;
                }
                count
            };
            let thread = thread::Builder::new().name(name.to_owned());
            threads.push((
                name,
                thread.spawn_scoped(scope, act).expect("there is memory"),
            ));
        }
        for (name, thread) in threads {
            if let Ok(count) = thread.join() {
                counts.push((name, count));
            } else {
                has_failed = true;
                report(&format!("chaos: {name} failed with seed {seed}"));
            }
        }
    });
    assert!(!has_failed, "the server's log: {}", world.server.log());
    counts
}

/// The resources of the server's process.
#[derive(Debug, Default, Clone, Copy)]
struct Holds {
    descriptors: usize,
    workers: usize,
    resident_mib: u64,
}

impl Holds {
    fn of(control: &mut Peer) -> Self {
        let folder = format!("/proc/{}", control.count("process_id"));
        let descriptors = fs::read_dir(format!("{folder}/fd")).expect("it runs");
        let threads = fs::read_dir(format!("{folder}/task")).expect("it runs");
        let is_worker = |path: &Path| {
            // A thread may have ended since the folder was read.
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            name.starts_with("worker-")
        };
        let threads = threads.filter(|entry| entry.as_ref().is_ok_and(|e| is_worker(&e.path())));
        Self {
            descriptors: descriptors.count(),
            workers: threads.count(),
            resident_mib: control.count("used_memory_rss") >> 20,
        }
    }
}

/// Memory that the allocator may keep: buffers of 64 workers, and fragments.
const KEPT_MIB: u64 = 128;

fn everything_is_as_before(control: &mut Peer, before: Holds) {
    control.ask("CLIENT UNPAUSE\r\n", "+OK\r\n");
    control.ask("CONFIG SET workers 4\r\n", "+OK\r\n");
    let start = Instant::now();
    let (mut now, mut clients) = (Holds::of(control), 0);
    let is_as_before = |now: Holds, clients| {
        (clients, now.descriptors, now.workers) == (1, before.descriptors, before.workers)
    };
    while !is_as_before(now, clients) && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
        (now, clients) = (Holds::of(control), control.count("connected_clients"));
    }
    report(&format!(
        "chaos: before {before:?}, after {now:?}, {clients} clients"
    ));
    let list = control.answer("CLIENT LIST");
    assert!(is_as_before(now, clients), "something is left: {list}");
    assert!(
        now.resident_mib <= before.resident_mib + KEPT_MIB,
        "memory is kept"
    );
}

/// Half of all runs end with a client that does not read, which the drain aborts.
fn ends_in_order(world: World, mut control: Peer, seed: u64) {
    let mut idle = world.server.connect();
    idle.ping();
    let deaf = (seed % 2 == 1).then(|| {
        let mut deaf = Peer::connect_with_small_buffer(world.server.addr);
        deaf.send("COMMAND DOCS\r\n".repeat(1000));
        eventually("replies wait for the deaf client", || {
            control.count("client_recent_max_output_buffer") > 0
        });
        deaf
    });
    let World { server, .. } = world;
    server.signal("TERM");
    idle.expect_end();
    control.expect_end();
    let ended = server.ended(PATIENCE);
    drop(deaf);
    let code = if seed % 2 == 1 { 3 } else { 0 };
    assert_eq!(ended.status.code(), Some(code), "{}", ended.stdout);
    // The aborted client is counted.
    let is_trouble = |line: &&str| {
        let is_bad = line.contains("[warning]") || line.contains("[error]");
        is_bad && !(code == 3 && line.contains("clients aborted: 1"))
    };
    let trouble: Vec<_> = ended.stdout.lines().filter(is_trouble).collect();
    assert!(
        trouble.is_empty() && ended.stderr.is_empty(),
        "{trouble:?} {}",
        ended.stderr
    );
}
