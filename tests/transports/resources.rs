//! The memory of TLS clients, and that nothing of them stays after they have left.
//!
//! By hand, with all of the 5,000 clients, and with figures:
//!
//! ```console
//! $ RESPOOL_TLS_CLIENTS=5000 cargo test --release --test transports -- --nocapture resources
//! ```

use std::env;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::thread;

use respool_testing::tls::TlsClients;
use respool_testing::{Peer, eventually};

use crate::secure::Secure;

/// User memory that an idle TLS client may cost, in bytes.
const IDLE_BYTES_MAX: u64 = 12 << 10;

const IDLE_CLIENTS: usize = 1000;

/// How a client leaves.
const WAYS: [fn(&TlsClients, SocketAddr); 6] = [
    leaves_in_order,
    leaves_without_close_notify,
    leaves_by_reset,
    leaves_within_the_handshake,
    leaves_before_the_handshake,
    leaves_within_a_request,
];

/// Returns how many clients come and leave.
fn clients_that_leave() -> usize {
    match env::var("RESPOOL_TLS_CLIENTS") {
        Ok(count) => count.parse().expect("RESPOOL_TLS_CLIENTS is a number"),
        Err(_) => 1000,
    }
}

/// Memory that the allocator may keep, in bytes: less than one of 5,000 clients needs.
const KEPT_BYTES_MAX: u64 = 512 << 10;

const MAXCLIENTS: usize = 64;

#[test]
fn tls_clients_that_leave_leave_nothing_behind() {
    let maxclients = MAXCLIENTS.to_string();
    let secure = Secure::start(&["--workers", "2", "--maxclients", &maxclients]);
    let clients = secure.clients();
    let mut control = secure.server.connect();
    // The first clients warm up the allocator.
    come_and_leave(&clients, secure.tls, 200);
    wait_until_alone(&mut control);
    let (descriptors, bytes) = (descriptors(&mut control), resident_bytes(&mut control));

    come_and_leave(&clients, secure.tls, clients_that_leave());
    wait_until_alone(&mut control);
    eventually("no descriptor is lost", || {
        self::descriptors(&mut control) == descriptors
    });
    let mut grown = 0;
    eventually("memory is given back", || {
        grown = resident_bytes(&mut control).saturating_sub(bytes);
        grown < KEPT_BYTES_MAX
    });
    report(&format!("{grown} bytes more than before"));

    let connect = |_| clients.connect(secure.tls);
    let mut all: Vec<_> = (1..MAXCLIENTS).map(connect).collect();
    for one in &mut all {
        one.ping();
    }
    drop(all);
    wait_until_alone(&mut control);
    secure.server.stop();
}

fn report(text: &str) {
    eprintln!("{text}");
}

/// Lets `count` clients come and leave, some at the same time.
fn come_and_leave(clients: &TlsClients, addr: SocketAddr, count: usize) {
    thread::scope(|scope| {
        for lane in 0..LANES {
            scope.spawn(move || {
                for number in (lane..count).step_by(LANES) {
                    WAYS[number / LANES % WAYS.len()](clients, addr);
                }
            });
        }
    });
}

const LANES: usize = 4;

fn leaves_in_order(clients: &TlsClients, addr: SocketAddr) {
    let mut peer = clients.connect(addr);
    peer.ask("QUIT\r\n", "+OK\r\n");
    peer.expect_end();
}

fn leaves_without_close_notify(clients: &TlsClients, addr: SocketAddr) {
    clients.connect(addr).ping();
}

fn leaves_by_reset(clients: &TlsClients, addr: SocketAddr) {
    let mut peer = clients.connect(addr);
    peer.ping();
    Peer {
        socket: peer.socket.sock,
    }
    .reset();
}

fn leaves_within_the_handshake(clients: &TlsClients, addr: SocketAddr) {
    let mut hello = Vec::new();
    let mut socket = clients.over(Peer::connect(addr).socket);
    socket.conn.write_tls(&mut hello).expect("a vector");
    let half = &hello[..hello.len() / 2];
    socket.sock.write_all(half).expect("the server accepts");
}

fn leaves_before_the_handshake(_: &TlsClients, addr: SocketAddr) {
    Peer::connect(addr);
}

fn leaves_within_a_request(clients: &TlsClients, addr: SocketAddr) {
    let mut peer = clients.connect(addr);
    let part = "x".repeat(50_000);
    peer.send(format!("*2\r\n$4\r\nECHO\r\n$100000\r\n{part}"));
}

#[test]
fn idle_tls_client_costs_at_most_12_kib() {
    // Each connection is a descriptor of this process, too.
    rlimit::increase_nofile_limit(4096).expect("the limit on open files can be raised");
    let secure = Secure::start(&["--workers", "2"]);
    let clients = secure.clients();
    let mut control = secure.server.connect();
    come_and_leave(&clients, secure.tls, 60);
    wait_until_alone(&mut control);
    let before = resident_bytes(&mut control);
    let mut idle: Vec<_> = (0..IDLE_CLIENTS)
        .map(|_| {
            let mut peer = clients.connect(secure.tls);
            peer.ping();
            peer
        })
        .collect();
    let grown = resident_bytes(&mut control).saturating_sub(before);
    let each = grown / IDLE_CLIENTS as u64;
    report(&format!("{each} bytes per idle client"));
    assert!(each <= IDLE_BYTES_MAX, "{each} bytes per idle client");
    for peer in &mut idle {
        peer.ping();
    }
    drop(idle);
    wait_until_alone(&mut control);
    secure.server.stop();
}

fn wait_until_alone(control: &mut Peer) {
    eventually("only the control client is left", || {
        control.count("connected_clients") == 1
    });
}

fn resident_bytes(control: &mut Peer) -> u64 {
    control.count("used_memory_rss")
}

fn descriptors(control: &mut Peer) -> usize {
    let folder = format!("/proc/{}/fd", control.count("process_id"));
    fs::read_dir(folder).expect("it runs").count()
}
