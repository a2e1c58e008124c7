//! The rules of the pool, over sockets. Each test fails when its rule is broken.
//!
//! The first rule, that a queue which is never empty must not hide the parked clients, is tested
//! step by step in `src/pool/tests.rs`; the seventh, on memory, in `tests/isolated/memory.rs`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use respool::{Arity, Commands, Config, Replied};
use respool_testing::{PATIENCE, TestServer, commands_with_gate, config, eventually, percentile};

/// A peer that sends PINGs and reads every PONG until it is dropped.
struct Hog {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Hog {
    fn start(server: &TestServer) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writer = server.connect().socket;
        let reader = writer.try_clone().expect("a descriptor is left");
        let stopped = Arc::clone(&stop);
        let threads = vec![
            thread::spawn(move || write_pings(writer, &stopped)),
            thread::spawn(move || read_all(reader)),
        ];
        Self { stop, threads }
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn write_pings(mut socket: TcpStream, stop: &AtomicBool) {
    let pings = b"*1\r\n$4\r\nPING\r\n".repeat(4096);
    while !stop.load(Ordering::Relaxed) {
        if socket.write_all(&pings).is_err() {
            break;
        }
    }
    let _ = socket.shutdown(std::net::Shutdown::Write);
}

fn read_all(mut socket: TcpStream) {
    let mut bytes = vec![0; 64 * 1024];
    while socket.read(&mut bytes).is_ok_and(|count| count > 0) {}
}

#[test]
fn rule_2_blocking_handler_delays_no_other_client() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(2), commands);
    let (mut blocked, mut other) = (server.connect(), server.connect());
    for _ in 0..100 {
        other.ping();
        blocked.send("GATE\r\n");
        gate.starts
            .recv_timeout(PATIENCE)
            .expect("the handler starts");
        // The worker that ran the handler was the leader: another one must have been woken to
        // watch.
        other.ping();
        server.connect().ping();
        gate.open.send(()).expect("the handler waits");
        blocked.expect("+OPEN\r\n");
    }
}

#[test]
fn rule_2_queue_behind_a_blocking_handler_is_taken() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(2), commands);
    let mut blocked = server.connect();
    for _ in 0..100 {
        // Both at once: the worker that takes one of them may have been expected to take both.
        let mut other = server.connect();
        blocked.send("PING\r\nGATE\r\n");
        other.ping();
        gate.starts
            .recv_timeout(PATIENCE)
            .expect("the handler starts");
        gate.open.send(()).expect("the handler waits");
        blocked.expect("+PONG\r\n+OPEN\r\n");
    }
}

#[test]
fn rule_3_one_worker_is_enough() {
    let server = TestServer::start(1);
    let mut idle: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for _ in 0..3000 {
        // The worker is waiting for events or about to, and the acceptor must wake it.
        server.connect().ping();
    }
    for peer in &mut idle {
        peer.ping();
    }
}

#[test]
fn rule_4_first_request_is_not_lost_while_parking() {
    let server = TestServer::start(2);
    for round in 0..2000 {
        let mut peer = server.connect();
        // Varies the moment: the request may arrive just as the worker parks the client.
        for _ in 0..round % 200 {
            std::hint::spin_loop();
        }
        peer.ping();
    }
}

#[test]
fn rule_5_pipelining_client_leaves_turns_to_others() {
    let (mut commands, gate) = commands_with_gate();
    let (mark, marks) = channel();
    let mark = Mutex::new(mark);
    let write_down = commands.register("MARK", Arity::Exactly(2), move |_, request, reply| {
        let _ = mark.lock().send(request.argument(0) == Some(b"hog"));
        reply.simple("OK")
    });
    write_down.never_blocks();
    let server = TestServer::with(config(1), commands);

    // While the only worker is busy, a hog sends more than one read takes; then another client
    // sends one request.
    let (mut hog, mut other) = (server.connect(), server.connect());
    hog.ping();
    other.ping();
    let mut busy = server.connect();
    busy.send("GATE\r\n");
    gate.starts
        .recv_timeout(PATIENCE)
        .expect("the handler starts");
    hog.send("MARK hog\r\n".repeat(10_000));
    other.send("MARK other\r\n");
    gate.open.send(()).expect("the handler waits");
    other.expect("+OK\r\n");

    let before = marks.iter().take_while(|&is_hog| is_hog).count();
    assert!(
        before < 5_000,
        "{before} requests of the hog had to be served first"
    );
    hog.expect("+OK\r\n".repeat(10_000));
}

#[test]
fn rule_6_write_blocked_client_waits_alone() {
    let config = Config {
        pending_output_per_client: 0,
        ..config(1)
    };
    let server = TestServer::with(config, Commands::builtin());
    let mut other = server.connect();
    let mut deaf = server.connect();
    let request = [
        b"*2\r\n$4\r\nECHO\r\n$1000\r\n".as_slice(),
        &[b'x'; 1000],
        b"\r\n",
    ]
    .concat();
    let reply = [b"$1000\r\n".as_slice(), &[b'x'; 1000], b"\r\n"].concat();

    // Once its replies are stuck, its input stays unread.
    let sent = deaf.send_until_stuck(&request, &mut other);
    for _ in 0..sent / request.len() {
        deaf.expect(&reply);
    }
    deaf.ask(&request[sent % request.len()..], &reply);
    deaf.ping();
}

#[test]
fn hogs_do_not_starve_a_good_client() {
    let server = TestServer::start(2);
    let _hog = Hog::start(&server);
    let mut deaf = server.connect();
    deaf.send(b"*1\r\n$4\r\nPING\r\n".repeat(10_000));
    let mut good = server.connect();
    let mut times: Vec<Duration> = (0..500).map(|_| good.ping()).collect();
    // Distinguishes service from starvation. The mark of 5 ms is measured elsewhere.
    let p99 = percentile(&mut times, 99);
    assert!(p99 < Duration::from_secs(1), "p99 is {p99:?}");
}

#[test]
fn any_number_of_workers_serves_all_clients() {
    for workers in [1, 2, 3, 8, 64] {
        let server = TestServer::start(workers);
        let mut peers: Vec<_> = (0..200).map(|_| server.connect()).collect();
        for _ in 0..5 {
            for peer in &mut peers {
                peer.send("PING\r\n");
            }
            for peer in &mut peers {
                peer.expect("+PONG\r\n");
            }
        }
    }
}

#[test]
fn number_of_workers_changes_under_load() {
    let server = TestServer::start(4);
    let running = Arc::new(AtomicBool::new(true));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (running, mut peer) = (Arc::clone(&running), server.connect());
            thread::spawn(move || {
                while running.load(Ordering::Relaxed) {
                    peer.ping();
                }
            })
        })
        .collect();
    let mut port = config(0);
    for workers in [1, 8, 2, 1, 64, 3, 1] {
        port.workers = workers;
        server
            .handle
            .reconfigure(&port)
            .expect("only the number of workers changes");
        eventually("there are as many workers as configured", || {
            worker_threads(&server) == workers
        });
        server.connect().ping();
    }
    running.store(false, Ordering::Relaxed);
    for client in clients {
        client.join().expect("every PING was answered");
    }
}

fn worker_threads(server: &TestServer) -> usize {
    server.handle.workers()
}

#[test]
fn panicking_handler_closes_only_its_client() {
    let mut commands = Commands::builtin();
    commands.register("PANIC", Arity::Exactly(1), |_, _, _| -> Replied {
        panic!("as the test wants it")
    });
    let server = TestServer::with(config(1), commands);
    let mut other = server.connect();
    for _ in 0..10 {
        let mut peer = server.connect();
        peer.send("PING\r\nPANIC\r\nPING\r\n");
        peer.expect("+PONG\r\n-ERR internal error: see the server's log\r\n");
        peer.expect_end();
        other.ping();
    }
}
