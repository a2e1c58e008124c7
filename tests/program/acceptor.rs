//! The acceptor, as Linux shows it: its thread's scheduling policy, what it uses of the processor
//! while a socket is broken, and the room for the descriptors that it accepts.

use std::fs;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use respool_testing::process::Respool;
use respool_testing::target::program;
use respool_testing::{PATIENCE, Peer, activation, eventually};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use socket2::SockRef;

/// Returns field 3 and the later ones of `/proc/PID/task/TID/stat` for the thread with this name.
fn stat(server: &Respool, thread: &str) -> Vec<i64> {
    let folder = format!("/proc/{}/task", server.id());
    let threads = fs::read_dir(folder).expect("the process runs");
    let texts =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok());
    let name = format!(" ({thread}) ");
    let text = texts.into_iter().find(|text| text.contains(&name));
    let text = text.unwrap_or_else(|| panic!("no thread is named {thread}"));
    let (_, fields) = text.rsplit_once(") ").expect("it has the name");
    // The state is a letter.
    fields
        .split(' ')
        .map(|field| field.trim_end().parse().unwrap_or(-1))
        .collect()
}

/// Returns the number of a thread's policy in `sched(7)`: 0 is `SCHED_OTHER`, 3 is `SCHED_BATCH`.
fn policy(server: &Respool, thread: &str) -> i64 {
    stat(server, thread)[41 - 3]
}

/// Returns the processor time of the acceptor in milliseconds.
fn processor_time_ms(server: &Respool) -> i64 {
    let stat = stat(server, "acceptor");
    // In user and in kernel mode, in hundredths of a second.
    (stat[14 - 3] + stat[15 - 3]) * 10
}

/// If the table grew while clients connect, a burst of them would wait, and the backlog overflow.
#[test]
fn descriptor_table_is_large_enough_from_the_start() {
    let server = Respool::run(
        Command::new(program()).args(["--maxclients", "3000"]),
        PATIENCE,
    );
    let status = fs::read_to_string(format!("/proc/{}/status", server.id()));
    let status = status.expect("the process runs");
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
    let size: usize = size
        .expect("Linux has it")
        .trim()
        .parse()
        .expect("a number");
    assert!(size > 3000, "{size}");
    server.stop();
}

#[test]
fn acceptor_alone_has_the_policy_for_batches() {
    let mut command = Command::new("chrt");
    command
        .args(["-o", "0"])
        .arg(program())
        .args(["--workers", "1"]);
    let server = Respool::run_beside_others(&mut command);
    // Then the acceptor and the worker run.
    server.connect().ping();
    assert_eq!(policy(&server, "acceptor"), 3);
    assert_eq!(policy(&server, "worker-0"), 0);
    server.stop();
}

/// Expects that the acceptor rests for most of a second, in which this client is served.
#[track_caller]
fn assert_rests(server: &Respool, client: &mut Peer) {
    let (before, start) = (processor_time_ms(server), Instant::now());
    eventually("a second has passed", || {
        client.ping();
        start.elapsed() > Duration::from_secs(1)
    });
    let used_ms = processor_time_ms(server) - before;
    assert!(used_ms < 250, "{used_ms} ms of a second");
}

/// Returns how long a client waits that connects when the acceptor has nothing left to accept.
fn wait_after_a_rest(addr: SocketAddr) -> Duration {
    thread::sleep(Duration::from_millis(20));
    let start = Instant::now();
    Peer::connect(addr).ping();
    start.elapsed()
}

/// A later socket waited as long as an earlier one failed, and then 100 ms for each connection.
/// Later, only if no other socket was ready when it failed.
#[test]
fn broken_socket_keeps_no_other_waiting() {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let (broken, other) = (bind(), bind());
    let addr = other.local_addr().expect("it is bound");
    let own = broken.try_clone().expect("there are descriptors");
    let server = activation::serve(&[], "plain:plain", vec![broken.into(), other.into()]);
    server.connect().ping();
    // As another process that shares the socket may do.
    SockRef::from(&own)
        .shutdown(Shutdown::Both)
        .expect("it listens");
    server.wait_for_log("cannot accept connections");
    let start = Instant::now();
    let mut peers: Vec<_> = (0..100).map(|_| Peer::connect(addr)).collect();
    for peer in &mut peers {
        peer.ping();
    }
    assert!(start.elapsed() < Duration::from_secs(8));
    let mut waits: Vec<_> = (0..9).map(|_| wait_after_a_rest(addr)).collect();
    waits.sort();
    assert!(waits[4] < Duration::from_millis(50), "{waits:?}");
    assert_rests(&server, &mut peers[0]);
    server.signal("TERM");
    server.ended(PATIENCE).without_complaint();
}

/// `poll(2)` fails for more sockets than the limit of descriptors. It was called again at once.
#[test]
fn acceptor_rests_while_it_cannot_wait() {
    let server = Respool::start_beside_others(1);
    let mut client = server.connect();
    client.ping();
    let id = Pid::from_raw(server.id() as i32).expect("not 0");
    let set = |limit| prlimit(Some(id), Resource::Nofile, limit).expect("it is our child");
    let maximum = getrlimit(Resource::Nofile).maximum;
    let low = Rlimit {
        current: Some(1),
        maximum,
    };
    let limit = set(low);
    // Ends the wait that has begun.
    let mut waiting = server.connect();
    assert_rests(&server, &mut client);
    set(limit);
    waiting.ping();
    server.stop();
}
