//! A PING beside hogs: 200 clients that pipeline one built-in command without end, two workers,
//! 1,000 idle clients. For each command, respool's p99 may be at most 100 ms, or redis-server's in
//! the same run if that is longer. By hand, on a quiet machine with two cores:
//!
//! ```console
//! $ cargo test --release --test hogs               # each command, 3 s on each server
//! $ cargo test --release --test hogs -- 1          # 1 s instead
//! $ cargo test --release --test hogs -- 3 UNPAUSE  # the rows with this word
//! ```
//!
//! Prints a row per command. The exit code is 1 if one misses the mark. `tests/pool/turns.rs`
//! checks the same in CI by counting, and that each command has a row.

mod load;

use std::env;
use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use load::Hogs;
use respool_testing::hogs::{self, Row};
use respool_testing::process::Respool;
use respool_testing::redis_server::{Redis, Setting};
use respool_testing::target::program;
use respool_testing::{Peer, Scratch, percentile};

const HOGS: usize = 200;
const IDLE: usize = 1_000;

/// A PING may take this long, however fast redis-server is.
const MARK: Duration = Duration::from_millis(100);

/// A PING is given up after this time.
const PING_MAX: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    // Flags are for the test harness.
    let words = env::args().skip(1).filter(|word| !word.starts_with('-'));
    let (numbers, words): (Vec<_>, Vec<_>) = words.partition(|word| word.parse::<u64>().is_ok());
    let seconds = numbers
        .first()
        .map_or(3, |word| word.parse().expect("checked"));
    let time = Duration::from_secs(seconds);

    print(&format!(
        "PING beside {HOGS} hogs and {IDLE} idle clients, {seconds} s each, in ms\n\
         {:52} {:>9} {:>9} {:>9} {:>7}   {:>9} {:>9}  mark",
        "hogs send", "p50", "p99", "longest", "PINGs", "redis p50", "redis p99",
    ));
    let (mut count, mut failures) = (0, 0);
    let is_wanted = |requests: &str| words.iter().all(|word| requests.contains(word.as_str()));
    let rows = hogs::ROWS.iter().filter(|row| is_wanted(row.requests));
    for row in rows {
        count += 1;
        let mut own = on_respool(row.requests, time);
        let redis = on_redis(row, time);
        let mark = redis.as_ref().map_or(MARK, |redis| MARK.max(redis.p99));
        let redis = redis.map_or(["-".to_owned(), "-".to_owned()], |redis| {
            [ms(redis.p50), ms(redis.p99)]
        });
        let is_kept = own.p99 <= mark;
        failures += usize::from(!is_kept);
        own.times.sort_unstable();
        print(&format!(
            "{:52} {:>9} {:>9} {:>9} {:>7}   {:>9} {:>9}  {}",
            row.title(),
            ms(own.p50),
            ms(own.p99),
            ms(own.times.last().copied().unwrap_or_default()),
            own.times.len(),
            redis[0],
            redis[1],
            if is_kept { "kept" } else { "MISSED" },
        ));
    }
    print(&format!("{failures} of {count} are beyond the mark"));
    // A word that matches no row is an error.
    ExitCode::from(u8::from(failures > 0 || count == 0))
}

fn print(line: &str) {
    println!("{line}");
}

fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

/// The times of PINGs.
struct Measured {
    times: Vec<Duration>,
    p50: Duration,
    p99: Duration,
}

fn on_respool(requests: &str, time: Duration) -> Measured {
    let file = Scratch::file("");
    let mut command = Command::new(program());
    command.arg(file.path()).args(["--workers", "2"]);
    command.args(["--enable-debug-command", "yes"]);
    let server = Respool::run_beside_others(&mut command);
    measure(server.addr, requests, time)
}

/// Returns `None` if there is no redis-server, or it lacks the command.
fn on_redis(row: &Row, time: Duration) -> Option<Measured> {
    let server = Redis::start(Setting::File)?;
    let known = Peer::connect(server.addr).answers(&format!("COMMAND INFO {}", row.command));
    if known == ["(null)"] {
        return None;
    }
    Some(measure(server.addr, row.requests, time))
}

/// Sends PINGs one after the other for this time.
fn measure(addr: SocketAddr, requests: &str, time: Duration) -> Measured {
    let _idle: Vec<_> = (0..IDLE).map(|_| Peer::connect(addr)).collect();
    let mut peer = Peer::connect(addr);
    peer.ping();
    let patience = Some(PING_MAX);
    peer.socket
        .set_read_timeout(patience)
        .expect("a TCP socket");
    let hogs = Hogs::start(addr, HOGS, requests);
    thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < time {
        times.push(ping(&mut peer));
    }
    hogs.stop();
    Measured {
        p50: percentile(&mut times, 50),
        p99: percentile(&mut times, 99),
        times,
    }
}

/// Returns the time of a PING, or [`PING_MAX`] or more if no reply comes within it.
fn ping(peer: &mut Peer) -> Duration {
    use std::io::Read;
    let start = Instant::now();
    peer.send("PING\r\n");
    let mut reply = [0; 7];
    if peer.socket.read_exact(&mut reply).is_ok() {
        assert_eq!(&reply, b"+PONG\r\n");
    }
    start.elapsed()
}
