//! What a PING costs the program in instructions, under callgrind: a count, and no time, so it is
//! the same on a busy machine, and a few more are seen that no bench can tell from chance.
//!
//! ```console
//! $ cargo test --test instructions
//! ```
//!
//! It makes a release build, and needs valgrind; without it, it says so and passes, as it does
//! where the ceilings mean nothing. The kernel's part is not counted. The exit code is 1 if a PING
//! costs more than a ceiling says.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use respool_testing::PATIENCE;
use respool_testing::process::Respool;

/// A load of one client, and what a PING of it may cost.
struct Load {
    /// Requests that the client has in flight.
    depth: usize,
    /// How often it sends so many in the shorter run, and in the longer.
    rounds: [usize; 2],
    /// Instructions per PING.
    ceiling: f64,
}

/// A twentieth above what was counted with rustc 1.95.0, valgrind 3.19 and glibc 2.36 on x86-64:
/// 1030.1, 84.3 and 16.9, which varied by less than a hundredth even beside two busy loops.
/// Another compiler, C library or processor may move them with nothing changed here; then count
/// before and behind that, and write down the new ones.
const LOADS: [Load; 3] = [
    Load {
        depth: 1,
        rounds: [500, 2500],
        ceiling: 1082.0,
    },
    Load {
        depth: 16,
        rounds: [500, 2500],
        ceiling: 88.6,
    },
    Load {
        depth: 100,
        rounds: [100, 600],
        ceiling: 17.8,
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
    /// Counts, and says what came of it. Gives whether it is no more than may be.
    fn is_within(&self, program: &Path) -> bool {
        let Self { depth, ceiling, .. } = *self;
        let [shorter, longer] = self.rounds.map(|rounds| self.count(program, rounds));
        // The worker's: no other thread has more to do the more PINGs there are.
        let more = longer
            .iter()
            .zip(&shorter)
            .map(|(longer, shorter)| longer - shorter);
        let most = more.zip(1..).max_by(|a, b| a.0.total_cmp(&b.0));
        let (most, thread) = most.expect("a thread");
        let pings = (self.rounds[1] - self.rounds[0]) * depth;
        let each = most / pings as f64;
        let is_within = each <= ceiling;
        if is_within {
            println!("{depth:3} in flight: {each:6.1} instructions per PING, at most {ceiling}");
        } else {
            let profile = of_thread(&profile(depth, self.rounds[1]), thread);
            println!(
                "{depth:3} in flight: a PING takes {each:.1} instructions in user mode, and may \
                 take {ceiling}. To see which function has grown, compare `callgrind_annotate {}` \
                 with the same of a commit that passes",
                profile.display()
            );
        }
        is_within
    }

    /// The instructions of each thread in a whole run, from start to stop, in which a client has so
    /// many rounds answered.
    ///
    /// Threads apart, because one looks at the clock once a second: on a busy machine a run takes
    /// more of them, and not the same number as another.
    fn count(&self, program: &Path, rounds: usize) -> Vec<f64> {
        let profile = profile(self.depth, rounds);
        for earlier in threads(&profile) {
            fs::remove_file(earlier).expect("it is of this test's own");
        }
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args(["--quiet", "--tool=callgrind", "--separate-threads=yes"])
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg(program)
            .args(["--workers", "1"])
            // When it stops, any thread may look at all places of clients, the worker too.
            .args(["--maxclients", "32"]);
        let server = Respool::run(&mut valgrind, PATIENCE);
        let requests = "*1\r\n$4\r\nPING\r\n".repeat(self.depth);
        let replies = "+PONG\r\n".repeat(self.depth);
        let mut peer = server.connect();
        for _ in 0..rounds {
            peer.ask(&requests, &replies);
        }
        drop(peer);
        server.stop();
        threads(&profile).map(|file| total(&file)).collect()
    }
}

/// Where a run's instructions are written to; it stays, for who looks for a cause.
fn profile(depth: usize, rounds: usize) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{depth}.{rounds}"))
}

/// The part of a profile that is about one thread. They have numbers from 1 on, as they begin.
fn of_thread(profile: &Path, thread: usize) -> PathBuf {
    PathBuf::from(format!("{}-{thread:02}", profile.display()))
}

/// The parts of a profile that are there.
fn threads(profile: &Path) -> impl Iterator<Item = PathBuf> {
    let files = (1..).map(|thread| of_thread(profile, thread));
    files.take_while(|file| file.is_file())
}

fn total(file: &Path) -> f64 {
    let text = fs::read_to_string(file).expect("callgrind writes text");
    let mut totals = text.lines().filter_map(|line| line.strip_prefix("totals:"));
    let total = totals.next().expect("a profile has its total");
    total.trim().parse().expect("a number")
}

/// Builds the program as its users run it; what is tested otherwise is not optimised. Gives where it
/// is.
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

/// Has this process, and the server that it starts, run on one CPU only.
///
/// Where it has more, a worker looks for events a few times before it sleeps until one comes; how
/// often is a matter of time, and so would the count be.
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
