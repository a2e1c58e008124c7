//! Promises under load and in need, at full size. By hand, on a quiet machine with two cores.
//!
//! ```console
//! $ cargo test --release --test trust                  # all but the soak: some two minutes
//! $ cargo test --release --test trust -- crowd         # 19,000 connections at once
//! $ cargo test --release --test trust -- slow          # a good client beside 250 bad ones
//! $ cargo test --release --test trust -- waiting       # PING beside handlers that wait
//! $ cargo test --release --test trust -- sigterm 500   # no reply cut short by a stop
//! $ cargo test --release --test trust -- descriptors   # `ulimit -n 64`
//! $ cargo test --release --test trust -- soak 1200     # seconds of everything
//! ```
//!
//! Each prints its measurements and panics if a promise is broken. The crowd needs `ulimit -n` to
//! be 19,600.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, mem};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use respool::{Arity, Commands};
use respool_testing::attacks::{self, Attack, Deed};
use respool_testing::load::{self, Load};
use respool_testing::process::Respool;
use respool_testing::target::program;
use respool_testing::{PATIENCE, Peer, TestServer, config, eventually, percentile};

fn main() {
    // Flags are for the test harness.
    let words: Vec<String> = env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let number = words.get(1).map(|word| word.parse().expect("a number"));
    match words.first().map(String::as_str) {
        None => {
            crowd();
            slow();
            waiting();
            load::end_by_sigterm(SIGTERMS);
            descriptors();
        }
        Some("crowd") => crowd(),
        Some("slow") => slow(),
        Some("waiting") => waiting(),
        Some("sigterm") => load::end_by_sigterm(number.unwrap_or(SIGTERMS)),
        Some("descriptors") => descriptors(),
        Some("soak") => soak(Duration::from_secs(
            number.map_or(SOAK_S, |number| number as u64),
        )),
        Some(other) => {
            panic!("there is no {other:?}: crowd, slow, waiting, sigterm, descriptors or soak")
        }
    }
}

/// Servers to stop by default.
const SIGTERMS: usize = 500;

/// Seconds of the soak by default.
const SOAK_S: u64 = 20 * 60;

fn report(text: &str) {
    println!("{text}");
}

fn respool(args: &[&str]) -> Respool {
    let mut command = Command::new(program());
    command.args(["--workers", "2"]).args(args);
    Respool::run(&mut command, PATIENCE)
}

/// The resources of a server.
#[derive(Debug, Clone, Copy)]
struct Holds {
    descriptors: usize,
    resident_bytes: u64,
    processor_s: f64,
}

impl Holds {
    fn of(process_id: u64) -> Self {
        let file =
            |name: &str| fs::read_to_string(format!("/proc/{process_id}/{name}")).expect("it runs");
        let status = file("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        // Fields 14 and 15 of proc_pid_stat(5), counted from the field after the name, in ticks of
        // 10 ms.
        let stat = file("stat");
        let (_, fields) = stat.rsplit_once(')').expect("the name is in brackets");
        let fields: Vec<_> = fields.split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
        let descriptors = fs::read_dir(format!("/proc/{process_id}/fd")).expect("it runs");
        Self {
            descriptors: descriptors.count(),
            resident_bytes: 1024 * kib.expect("there is").trim().parse::<u64>().expect("KiB"),
            processor_s: (ticks(11) + ticks(12)) / 100.0,
        }
    }

    fn resident_mib(self) -> f64 {
        self.resident_bytes as f64 / f64::from(1 << 20)
    }
}

/// (a) 19,000 connections are served equally often, and cost little while idle.
fn crowd() {
    const CONNECTIONS: usize = 19_000;
    const BYTES_PER_IDLE_CONNECTION: usize = 400;
    let limit = rlimit::increase_nofile_limit(19_600).expect("a limit is known");
    assert!(
        limit >= 19_600,
        "`ulimit -n` is {limit}, and 19600 is needed"
    );
    let server = respool(&["--maxclients", "19500"]);
    let mut control = server.connect();
    control.ping();
    let id = control.count("process_id");
    let before = Holds::of(id);

    let start = Instant::now();
    let mut crowd = Crowd::connect(server.addr, CONNECTIONS);
    let connected = start.elapsed();
    eventually("all are admitted", || {
        control.count("connected_clients") == CONNECTIONS as u64 + 1
    });
    crowd.talk(Duration::from_secs(10));
    let replies = || crowd.members.iter().map(|member| member.replies);
    let (least, most) = (replies().min().unwrap_or(0), replies().max().unwrap_or(0));
    let sum: usize = replies().sum();
    report(&format!(
        "crowd: {CONNECTIONS} connections in {connected:.1?}; in 10 s {sum} replies, all of them \
         right; each connection had {least} to {most} of them",
    ));

    // A step of the clock later, nothing is in progress.
    thread::sleep(Duration::from_secs(2));
    let idle = Holds::of(id);
    let grown = idle.resident_bytes.saturating_sub(before.resident_bytes) as usize;
    report(&format!(
        "crowd: quiet, they take {} bytes each of the server's resident memory ({:.1} MiB before, \
         {:.1} MiB now: all that it has grown by, the workers' buffers included)",
        grown / CONNECTIONS,
        before.resident_mib(),
        idle.resident_mib(),
    ));
    drop(crowd);
    eventually("all are gone", || control.count("connected_clients") == 1);
    eventually("no descriptor leaks", || {
        Holds::of(id).descriptors == before.descriptors
    });
    report(&format!(
        "crowd: all left, {:.1} MiB resident, {} descriptors as before",
        Holds::of(id).resident_mib(),
        before.descriptors
    ));
    drop(control);
    server.stop();
    assert!(least > 0 && most <= 2 * least, "{least} to {most} replies");
    assert!(grown / CONNECTIONS <= BYTES_PER_IDLE_CONNECTION);
}

/// Clients that ping independently, each after its last reply.
struct Crowd {
    members: Vec<Member>,
    poll: Poll,
}

struct Member {
    socket: TcpStream,
    /// Bytes received of the next reply.
    received: usize,
    replies: usize,
}

const PONG: &[u8] = b"+PONG\r\n";

impl Crowd {
    /// Connects from eight addresses, because each has its own ports.
    fn connect(addr: SocketAddr, count: usize) -> Self {
        let poll = Poll::new().expect("a descriptor is left");
        let member = |index: usize| {
            let socket = Peer::connect_from([127, 0, 0, 2 + (index % 8) as u8], addr).socket;
            socket.set_nonblocking(true).expect("a socket");
            let mut socket = TcpStream::from_std(socket);
            let registry = poll.registry();
            registry
                .register(&mut socket, Token(index), Interest::READABLE)
                .expect("there is memory");
            Member {
                socket,
                received: 0,
                replies: 0,
            }
        };
        let members = (0..count).map(member).collect();
        Self { members, poll }
    }

    fn talk(&mut self, time: Duration) {
        let start = Instant::now();
        self.members.iter_mut().for_each(Member::ask);
        let mut events = Events::with_capacity(1024);
        let mut under_way = self.members.len();
        while under_way > 0 {
            self.poll
                .poll(&mut events, Some(PATIENCE))
                .expect("nothing interrupts");
            assert!(!events.is_empty(), "{under_way} replies do not come");
            for event in &events {
                let member = &mut self.members[event.token().0];
                if !member.hear() {
                    continue;
                }
                if start.elapsed() < time {
                    member.ask();
                } else {
                    under_way -= 1;
                }
            }
        }
    }
}

impl Member {
    fn ask(&mut self) {
        let count = self.socket.write(b"PING\r\n").expect("there is room");
        assert_eq!(count, 6);
    }

    /// Returns true when the reply is complete.
    fn hear(&mut self) -> bool {
        let mut bytes = [0; 64];
        loop {
            match self.socket.read(&mut bytes) {
                Ok(0) => panic!("closed"),
                Ok(count) => {
                    let expected = &PONG[self.received..];
                    assert!(count <= expected.len() && bytes[..count] == expected[..count]);
                    self.received += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        let whole = self.received == PONG.len();
        if whole {
            self.received = 0;
            self.replies += 1;
        }
        whole
    }
}

/// (b) A good client is not slowed down by 200 clients that send a byte each 100 ms, and 50 that
/// never read.
fn slow() {
    const P99_MAX: Duration = Duration::from_millis(5);
    let server = respool(&[]);
    let mut good = server.connect();
    good.ping();
    let mut alone = attacks::ping_for(&mut good, Duration::from_secs(2));
    let deeds = [attacks::slow_clients as Deed, attacks::deaf_clients];
    let attack = Attack::start(server.addr, &deeds, Duration::ZERO);
    eventually("all are there", || good.count("connected_clients") == 251);
    let mut beside = attacks::ping_for(&mut good, Duration::from_secs(10));
    attack.stop();
    let p99 = percentile(&mut beside, 99);
    report(&format!(
        "slow: alone p50 {:.1?}, p99 {:.1?}; beside 200 slow clients and 50 deaf ones p50 {:.1?}, \
         p99 {p99:.1?}, longest {:.1?} of {}",
        percentile(&mut alone, 50),
        percentile(&mut alone, 99),
        percentile(&mut beside, 50),
        percentile(&mut beside, 100),
        beside.len(),
    ));
    assert!(p99 < P99_MAX, "{p99:?}");
    drop(good);
    server.stop();
}

/// (c) A good client is not slowed down while every worker but one is in a handler that sleeps for
/// a second.
fn waiting() {
    const P99_MAX: Duration = Duration::from_millis(5);
    const NAP: Duration = Duration::from_secs(1);
    const NAPS: usize = 5;
    for workers in [2, 4, 16] {
        let mut commands = Commands::builtin();
        commands.register("NAP", Arity::Exactly(1), |_, _, reply| {
            thread::sleep(NAP);
            reply.simple("OK")
        });
        let server = TestServer::with(config(workers), commands);
        let mut good = server.connect();
        good.ping();
        let mut naps: Vec<_> = (1..workers).map(|_| server.connect()).collect();
        for nap in &mut naps {
            nap.send("NAP\r\n".repeat(NAPS));
        }
        // Until just before the first of them returns.
        let mut times = attacks::ping_for(&mut good, NAP.mul_f64(NAPS as f64 - 0.1));
        for nap in &mut naps {
            nap.expect("+OK\r\n".repeat(NAPS));
        }
        let p99 = percentile(&mut times, 99);
        report(&format!(
            "waiting: beside {} of {workers} workers in handlers that sleep p50 {:.1?}, p99 {p99:.1?}, \
             longest {:.1?} of {}",
            workers - 1,
            percentile(&mut times, 50),
            percentile(&mut times, 100),
            times.len(),
        ));
        assert!(p99 < P99_MAX, "{p99:?}");
    }
}

/// (d) With 64 descriptors, excess clients get an error, the server does not spin, and it serves
/// again when there is room.
fn descriptors() {
    const PROCESSOR_SHARE_MAX: f64 = 0.05;
    let limited = r#"ulimit -n 64; exec "$0" "$@""#;
    // Root can raise its limit unless it drops that capability.
    let mut command = Command::new("setpriv");
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    });
    if is_root {
        command.args(["--bounding-set=-sys_resource", "sh", "-c", limited]);
    } else {
        command = Command::new("sh");
        command.args(["-c", limited]);
    }
    command.arg(program()).args(["--workers", "2"]);
    let server = Respool::run(&mut command, PATIENCE);
    let mut control = server.connect();
    let id = control.count("process_id");
    let maxclients = control.count("maxclients");

    let (start, before) = (Instant::now(), Holds::of(id));
    let (mut let_in, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let mut peer = server.connect();
        peer.send("PING\r\n");
        match peer.line().as_str() {
            "+PONG" => let_in.push(peer),
            line if line.starts_with("-ERR max number of clients reached") => refused.push(peer),
            line => panic!("neither admitted nor refused: {line}"),
        }
    }
    let attempts = start.elapsed();
    // While it is full, a client connects every 50 ms.
    let mut refused_later = refused.len();
    while start.elapsed() < Duration::from_secs(6) {
        let mut peer = server.connect();
        assert!(
            peer.line()
                .starts_with("-ERR max number of clients reached")
        );
        refused_later += 1;
        thread::sleep(Duration::from_millis(50));
    }
    let used_s = Holds::of(id).processor_s - before.processor_s;
    let share = used_s / start.elapsed().as_secs_f64();
    report(&format!(
        "descriptors: maxclients {maxclients} of `ulimit -n 64`; 200 attempts took {attempts:.1?}: {} \
         admitted, {} refused; in 6 s {refused_later} more refused, {:.1} % of a processor, {} \
         descriptors",
        let_in.len(),
        refused.len(),
        share * 100.0,
        Holds::of(id).descriptors,
    ));
    control.ping();
    drop((mem::take(&mut let_in), refused));
    eventually("there is room again", || {
        let mut peer = server.connect();
        peer.send("PING\r\n");
        peer.line() == "+PONG"
    });
    report("descriptors: served again when they had left");
    drop(control);
    server.stop();
    assert!(share < PROCESSOR_SHARE_MAX, "{share}");
}

/// (e) Everything at once for a long time: nothing grows.
fn soak(time: Duration) {
    let server = respool(&[
        "--maxclients",
        "3000",
        "--request-timeout",
        "5",
        "--write-timeout",
        "5",
        "--first-byte-timeout",
        "10",
        "--client-query-buffer-limit",
        "4mb",
        "--client-output-buffer-limit",
        "pubsub 4mb 2mb 5",
        "--maxmemory-clients",
        "256mb",
        "--drain-timeout-ms",
        "30000",
    ]);
    let mut good = server.connect();
    let id = good.count("process_id");
    let before = Holds::of(id);
    let load = Load::start(server.addr);
    let deeds: [Deed; 12] = [
        attacks::slow_clients,
        attacks::deaf_clients,
        attacks::slowloris,
        attacks::silent_clients,
        attacks::endless_pipeline,
        attacks::readers_that_stop,
        attacks::resets,
        attacks::connect_storm,
        attacks::half_closes,
        attacks::garbage,
        attacks::subscribers,
        attacks::publisher,
    ];
    let attack = Attack::start(server.addr, &deeds, Duration::from_millis(5));
    let samples_count = 30;
    let mut samples: Vec<Holds> = Vec::new();
    for number in 1..=samples_count {
        let mut times = attacks::ping_for(&mut good, time / samples_count);
        let holds = Holds::of(id);
        report(&format!(
            "soak: {number:2}/{samples_count}: {:.1} MiB resident, {} descriptors, {} clients, {} \
             connections ever, ping p50 {:.1?}, p99 {:.1?}",
            holds.resident_mib(),
            holds.descriptors,
            good.count("connected_clients"),
            good.count("total_connections_received"),
            percentile(&mut times, 50),
            percentile(&mut times, 99),
        ));
        samples.push(holds);
    }
    attack.stop();
    eventually("the attackers are gone", || {
        good.count("connected_clients") == 6
    });
    eventually("no descriptor leaks", || {
        Holds::of(id).descriptors == before.descriptors + 5
    });
    let info = good.answer("INFO");
    let closed: Vec<_> = info
        .lines()
        .filter(|line| line.starts_with("closed_") && !line.ends_with(":0"))
        .collect();
    report(&format!("soak: {}", closed.join(", ")));
    let after = Holds::of(id);
    drop(good);
    server.signal("TERM");
    let received = load.ended();
    assert!(received.iter().all(|one| !one.cut_short), "{received:?}");
    server.ended(PATIENCE).without_complaint();

    let third = samples.len() / 3;
    let median = |samples: &[Holds]| {
        let mut bytes: Vec<_> = samples.iter().map(|holds| holds.resident_bytes).collect();
        bytes.sort_unstable();
        bytes[bytes.len() / 2]
    };
    let (early, late) = (
        median(&samples[..third]),
        median(&samples[samples.len() - third..]),
    );
    report(&format!(
        "soak: resident MiB {:.1} at first, {:.1} early, {:.1} late, {:.1} when the attackers had left",
        before.resident_mib(),
        early as f64 / f64::from(1 << 20),
        late as f64 / f64::from(1 << 20),
        after.resident_mib(),
    ));
    assert!(late < early + early / 4 + (4 << 20), "memory grows");
}
