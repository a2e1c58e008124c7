//! Instructions per PING, under callgrind. A count is the same on a busy machine, and shows
//! differences that no benchmark can.
//!
//! ```console
//! $ cargo test --test instructions
//! ```
//!
//! Makes a release build and needs valgrind. Without valgrind, or on another platform, prints `not
//! run` and passes. Counts user mode only, while /metrics are scraped ten times a second. The exit
//! code is 1 if a count exceeds its ceiling.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use respool_testing::process::Respool;
use respool_testing::{PATIENCE, free_port};

/// A load of one client and its ceiling.
struct Load {
    /// Requests in flight.
    depth: usize,
    /// Rounds of the shorter run and of the longer one.
    rounds: [usize; 2],
    /// Instructions per PING.
    ceiling: f64,
}

/// Five percent above the counts when they were set, with rustc 1.95.0, valgrind 3.19 and glibc 2.36
/// on x86-64: 940.0, 80.7 and 16.1. Counts vary by less than one percent even beside two busy
/// loops. Another compiler, C library or processor may change them; then count before and after,
/// and adjust them.
const LOADS: [Load; 3] = [
    Load {
        depth: 1,
        rounds: [500, 2500],
        ceiling: 987.0,
    },
    Load {
        depth: 16,
        rounds: [500, 2500],
        ceiling: 84.7,
    },
    Load {
        depth: 100,
        rounds: [100, 600],
        ceiling: 16.9,
    },
];

fn main() -> ExitCode {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        println!("not run: the ceilings are for Linux on x86-64");
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("not run: valgrind is missing");
        return ExitCode::SUCCESS;
    }
    let program = release_build();
    stay_on_one_cpu();
    let is_within = LOADS.map(|load| load.is_within(&program));
    if is_within.contains(&false) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

impl Load {
    /// Counts and prints the result. Returns false if it exceeds the ceiling.
    fn is_within(&self, program: &Path) -> bool {
        let Self { depth, ceiling, .. } = *self;
        let [shorter, longer] = self.rounds.map(|rounds| self.count(program, rounds));
        let pings = (self.rounds[1] - self.rounds[0]) * depth;
        let each = (longer - shorter) / pings as f64;
        let is_within = each <= ceiling;
        if is_within {
            println!("{depth:3} in flight: {each:6.1} instructions per PING, at most {ceiling}");
        } else {
            println!(
                "{depth:3} in flight: a PING takes {each:.1} instructions in user mode, and may \
                 take {ceiling}. To see which function has grown, compare `callgrind_annotate {}` \
                 with the same of a commit that passes",
                of_worker(&profile(depth, self.rounds[1])).display()
            );
        }
        is_within
    }

    /// Returns the instructions of the worker in a run from start to stop, with this many rounds.
    ///
    /// Other threads do not count: they run as often as time passes.
    fn count(&self, program: &Path, rounds: usize) -> f64 {
        let profile = profile(self.depth, rounds);
        for earlier in threads(&profile) {
            fs::remove_file(earlier).expect("it is of this test's own");
        }
        let http_port = free_port();
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args(["--quiet", "--tool=callgrind", "--separate-threads=yes"])
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg(program)
            .args(["--workers", "1", "--http-port", &http_port.to_string()])
            // At the stop any thread may visit all slots, the worker included.
            .args(["--maxclients", "32"]);
        let server = Respool::run(&mut valgrind, PATIENCE);
        let requests = "*1\r\n$4\r\nPING\r\n".repeat(self.depth);
        let replies = "+PONG\r\n".repeat(self.depth);
        let mut peer = server.connect();
        while_scraped(http_port, || {
            for _ in 0..rounds {
                peer.ask(&requests, &replies);
            }
        });
        drop(peer);
        server.stop();
        total(&of_worker(&profile))
    }
}

/// Scrapes /metrics ten times a second while `run` runs: that must cost a PING nothing.
fn while_scraped(http_port: u16, run: impl FnOnce()) {
    let (stop, stopped) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                scrape(http_port);
                let end = stopped.recv_timeout(Duration::from_millis(100));
                if end == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        });
        run();
        drop(stop);
    });
}

fn scrape(http_port: u16) {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, http_port)).expect("it listens");
    socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a time of more than 0");
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(request).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    assert!(answer.contains("\nredis_up 1\n"), "{answer}");
}

/// The profile of a run. Kept for analysis.
fn profile(depth: usize, rounds: usize) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{depth}.{rounds}"))
}

/// Returns the part of a profile for the worker: the one thread that serves requests.
fn of_worker(profile: &Path) -> PathBuf {
    let serves = |file: &PathBuf| text(file).contains("respool::dispatch::batch::");
    threads(profile).find(serves).expect("a worker has served")
}

/// Returns the existing parts of a profile, one for each thread in the order of their start.
fn threads(profile: &Path) -> impl Iterator<Item = PathBuf> {
    let files = (1..).map(|thread| PathBuf::from(format!("{}-{thread:02}", profile.display())));
    files.take_while(|file| file.is_file())
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).expect("callgrind writes text")
}

fn total(file: &Path) -> f64 {
    let text = text(file);
    let mut totals = text.lines().filter_map(|line| line.strip_prefix("totals:"));
    let total = totals.next().expect("a profile has its total");
    total.trim().parse().expect("a number")
}

/// Builds the program in release mode, and returns its path.
fn release_build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("..");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status();
    assert!(status.expect("there is cargo").success(), "it builds");
    target.join("release/respool")
}

/// Pins this process, and the server that it starts, to one CPU.
///
/// With more CPUs, a worker spins before it sleeps. The number of spins depends on time, and so
/// would the count.
#[cfg(target_os = "linux")]
fn stay_on_one_cpu() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    let allowed = sched_getaffinity(None).expect("a thread may ask for its own CPUs");
    let first = (0..CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu));
    let mut one = CpuSet::new();
    one.set(first.expect("it runs on one"));
    sched_setaffinity(None, &one).expect("it is one of its own");
}

#[cfg(not(target_os = "linux"))]
fn stay_on_one_cpu() {}
