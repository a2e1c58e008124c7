//! Restarts by socket activation, under redis-benchmark with a connection for each request, and under
//! pipelining clients: no connect is refused or reset, and no reply is missing.
//!
//! `cargo test --test restarts` runs it; plain `cargo test` does not, because it needs redis-benchmark
//! and takes some seconds. The service manager is a stand-in that keeps the listening socket, and once
//! systemd-socket-activate; without this program, its test passes and says so.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use respool_testing::process::{Process, Respool};
use respool_testing::target::program;
use respool_testing::{PATIENCE, Peer, activation, eventually, free_port};

/// A service manager: it keeps the socket, and starts the program with it.
struct Manager {
    socket: TcpListener,
    addr: SocketAddr,
}

impl Manager {
    fn new() -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = socket.local_addr().expect("it is bound");
        Self { socket, addr }
    }

    /// Starts the program, and waits until it has served some of the load.
    fn start(&self) -> Respool {
        let socket = self.socket.try_clone().expect("there are descriptors");
        let server = activation::serve(&["--workers", "2"], "plain", vec![socket.into()]);
        let id = u64::from(server.id());
        eventually("the new process has served", || {
            let mut peer = Peer::connect(self.addr);
            peer.count("process_id") == id && peer.count("total_connections_received") > 50
        });
        server
    }
}

fn end(server: Respool) {
    server.signal("TERM");
    let log = server.ended(PATIENCE).without_complaint();
    assert!(log.contains("stopped: every reply was sent"), "{log}");
}

/// Runs `restarts` under load, and stops the last server afterwards.
fn under_load(manager: &Manager, restarts: impl FnOnce() -> Respool) {
    let is_over = &AtomicBool::new(false);
    let addr = manager.addr;
    let last = thread::scope(|scope| {
        let benchmarks = scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                benchmark(addr.port());
            }
        });
        let clients = [1, 16, 64].map(|triples| {
            scope.spawn(move || {
                let mut connects = 0;
                while !is_over.load(Ordering::Relaxed) {
                    pipeline_until_the_end(addr, triples, is_over);
                    connects += 1;
                }
                connects
            })
        });
        let last = restarts();
        is_over.store(true, Ordering::Relaxed);
        benchmarks.join().expect("redis-benchmark sees no error");
        for client in clients {
            let connects = client.join().expect("no client sees an error");
            assert!(connects > RESTARTS, "{connects} connects");
        }
        last
    });
    end(last);
}

/// Runs redis-benchmark, which ends with an exit code at the first error.
fn benchmark(port: u16) {
    let mut command = Command::new("redis-benchmark");
    let args = format!("-p {port} -k 0 -c 20 -n 2000 -t ping_mbulk -q");
    command.args(args.split(' '));
    let ended = Process::start(&mut command).ended(PATIENCE);
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    let has_error = |text: &str| text.contains("Error") || text.contains("closed");
    assert!(
        !has_error(&ended.stdout) && !has_error(&ended.stderr),
        "{}",
        ended.stderr
    );
}

/// Sends a batch of requests and reads the replies, again and again, until the server ends. What the
/// server has read is answered: the replies to the first batch arrive always, and those to another one
/// wholly or not at all.
fn pipeline_until_the_end(addr: SocketAddr, triples: usize, is_over: &AtomicBool) {
    let mut socket = TcpStream::connect(addr).expect("no connect is refused");
    socket
        .set_read_timeout(Some(PATIENCE))
        .expect("it is not 0");
    let sent = "PING a\r\nPING\r\nPING c\r\n".repeat(triples);
    let replies = "$1\r\na\r\n+PONG\r\n$1\r\nc\r\n".repeat(triples);
    let mut batches = 0;
    while !is_over.load(Ordering::Relaxed) {
        if let Err(error) = socket.write_all(sent.as_bytes()) {
            // The server has closed the connection after the last replies.
            assert!(batches > 0, "after no reply: {error}");
            return;
        }
        let mut received = vec![0; replies.len()];
        match read(&mut socket, &mut received) {
            0 => {
                assert!(
                    batches > 0,
                    "the server closed a connection without a reply"
                );
                return;
            }
            count => assert_eq!(
                String::from_utf8_lossy(&received[..count]),
                replies,
                "after {batches} batches"
            ),
        }
        batches += 1;
    }
}

/// Reads until `buffer` is full or the server has ended the connection. Returns the number of bytes.
fn read(socket: &mut TcpStream, buffer: &mut [u8]) -> usize {
    let mut count = 0;
    while count < buffer.len() {
        match socket.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("after {count} bytes: {error}"),
        }
    }
    count
}

#[test]
fn restarts_one_after_the_other_lose_nothing() {
    let manager = Manager::new();
    under_load(&manager, || {
        for _ in 0..RESTARTS {
            end(manager.start());
        }
        manager.start()
    });
}

#[test]
fn restarts_with_both_processes_at_once_lose_nothing() {
    let manager = Manager::new();
    under_load(&manager, || {
        let mut current = manager.start();
        for _ in 0..RESTARTS {
            let next = manager.start();
            end(current);
            current = next;
        }
        current
    });
}

#[test]
fn systemd_socket_activate_hands_over_a_socket() {
    let activate = "systemd-socket-activate";
    if Command::new(activate).arg("--version").output().is_err() {
        eprintln!("{activate} is missing: install the package systemd");
        return;
    }
    let port = free_port();
    let mut command = Command::new(activate);
    command.args(["--listen", &format!("127.0.0.1:{port}"), "--fdname=plain"]);
    command.arg(program()).args(["--workers", "2"]);
    let process = Process::start(&mut command);
    // It starts the program at the first connect.
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    eventually("it listens", || TcpStream::connect(addr).is_ok());
    Peer::connect(addr).ping();
    benchmark(port);
    process.signal("TERM");
    let ended = process.ended(PATIENCE);
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    ended.assert_prints("the sockets are those of the service manager");
    ended.assert_prints("stopped: every reply was sent");
}

const RESTARTS: usize = 20;
