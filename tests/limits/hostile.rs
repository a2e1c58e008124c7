//! A good client beside hostile ones. The good client is served all the time, and afterwards the
//! server holds no more than before.
//!
//! Each attack lasts a second or two. By hand, for longer, with figures:
//!
//! ```console
//! $ RESPOOL_HOSTILE_S=60 cargo test --release --test limits -- --nocapture hostile
//! ```

use std::env;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use respool_testing::attacks::{self, Attack, Deed};
use respool_testing::process::Respool;
use respool_testing::target::program;
use respool_testing::{PATIENCE, Peer, eventually, percentile};

/// Detects starvation, not slowness: on a slow machine the attacks take all of the time.
const PING_MAX: Duration = Duration::from_secs(5);

/// Memory that the allocator may keep after an attack that needed some tens of MiB.
const KEPT_BYTES_MAX: u64 = 16 << 20;

/// Returns how long an attack lasts, and how long its clients rest before they connect again. By
/// hand they do not rest.
fn vigour() -> (Duration, Duration) {
    match env::var("RESPOOL_HOSTILE_S") {
        Ok(seconds) => {
            let seconds = seconds.parse().expect("RESPOOL_HOSTILE_S is in seconds");
            (Duration::from_secs(seconds), Duration::ZERO)
        }
        Err(_) => (Duration::from_millis(1500), Duration::from_millis(2)),
    }
}

/// Starts a server with two workers and bounds so low that the attacks reach them.
fn guarded() -> Respool {
    let mut command = Command::new(program());
    command.args(["--workers", "2", "--loglevel", "notice"]);
    command.args(["--request-timeout", "1", "--write-timeout", "1"]);
    command.args(["--first-byte-timeout", "1", "--maxclients", "1000"]);
    command.args(["--client-query-buffer-limit", "1mb"]);
    command.args(["--client-output-buffer-limit", "pubsub 2mb 1mb 1"]);
    command.args(["--maxmemory-clients", "64mb"]);
    Respool::run(&mut command, PATIENCE)
}

/// The resources of a server.
#[derive(Debug, Clone, Copy)]
struct Holds {
    descriptors: usize,
    resident_bytes: u64,
}

impl Holds {
    fn of(peer: &mut Peer) -> Self {
        let descriptors = format!("/proc/{}/fd", peer.count("process_id"));
        Self {
            descriptors: fs::read_dir(descriptors).expect("it runs").count(),
            resident_bytes: peer.count("used_memory_rss"),
        }
    }
}

fn report(text: &str) {
    eprintln!("{text}");
}

fn survives(name: &str, deeds: &[Deed]) {
    let server = guarded();
    let mut good = server.connect();
    attacks::ping_for(&mut good, Duration::from_millis(100));
    let before = Holds::of(&mut good);

    let (time, breath) = vigour();
    let attack = Attack::start(server.addr, deeds, breath);
    let mut times = attacks::ping_for(&mut good, time);
    let during = Holds::of(&mut good);
    attack.stop();
    let stopped = Instant::now();
    let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));

    eventually("only the good client is left", || {
        good.count("connected_clients") == 1
    });
    eventually("no descriptor leaks", || {
        Holds::of(&mut good).descriptors == before.descriptors
    });
    let gone = stopped.elapsed();
    let after = Holds::of(&mut good);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    report(&format!(
        "{name}: {} pings, p50 {p50:.1?}, p99 {p99:.1?}, longest {:.1?}; resident MiB {:.1} before, \
         {:.1} during, {:.1} after; descriptors {} before, {} during; all gone after {gone:.1?}",
        times.len(),
        times.last().expect("at least one"),
        mib(before.resident_bytes),
        mib(during.resident_bytes),
        mib(after.resident_bytes),
        before.descriptors,
        during.descriptors,
    ));
    assert!(p99 < PING_MAX, "{p99:?}");
    eventually("memory is given back", || {
        good.ping();
        Holds::of(&mut good).resident_bytes < before.resident_bytes + KEPT_BYTES_MAX
    });
    drop(good);
    server.stop();
}

#[test]
fn slow_and_deaf_clients_harm_no_other_client() {
    survives(
        "slow and deaf",
        &[attacks::slow_clients, attacks::deaf_clients],
    );
}

#[test]
fn endless_requests_harm_no_other_client() {
    survives("slowloris", &[attacks::slowloris]);
}

#[test]
fn endless_pipelines_harm_no_other_client() {
    survives("endless pipelines", &[attacks::endless_pipeline as Deed; 3]);
}

#[test]
fn readers_that_stop_harm_no_other_client() {
    survives("readers that stop", &[attacks::readers_that_stop]);
}

#[test]
fn resets_within_requests_harm_no_other_client() {
    survives("resets", &[attacks::resets as Deed; 2]);
}

#[test]
fn connection_storm_harms_no_other_client() {
    survives("connect storm", &[attacks::connect_storm as Deed; 2]);
}

#[test]
fn silent_connections_harm_no_other_client() {
    survives("silent", &[attacks::silent_clients]);
}

#[test]
fn half_closed_connections_harm_no_other_client() {
    survives("half-closes", &[attacks::half_closes as Deed; 2]);
}

#[test]
fn bytes_that_are_not_resp_harm_no_other_client() {
    survives("garbage", &[attacks::garbage as Deed; 2]);
}

#[test]
fn message_flood_to_subscribers_harms_no_other_client() {
    survives(
        "subscriber flood",
        &[attacks::subscribers, attacks::publisher],
    );
}

#[test]
fn all_attacks_at_once_harm_no_other_client() {
    survives(
        "everything",
        &[
            attacks::slow_clients,
            attacks::deaf_clients,
            attacks::slowloris,
            attacks::endless_pipeline,
            attacks::readers_that_stop,
            attacks::resets,
            attacks::connect_storm,
            attacks::silent_clients,
            attacks::half_closes,
            attacks::garbage,
            attacks::subscribers,
            attacks::publisher,
        ],
    );
}
