//! A drain without file descriptors. A process of its own, because it uses them up.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::thread;

use respool::{Commands, Config};
use respool_testing::{Peer, TestServer, config};
use socket2::{Domain, Socket, Type};

/// The acceptor waited 10 ms for each peer that it refused, and the drain waited for the acceptor.
/// It timed out before it closed the clients.
#[test]
fn drain_without_descriptors_closes_idle_clients_in_order() {
    const REFUSED: usize = 900;
    let patient = Config {
        drain_timeout_ms: 4_000,
        tcp_backlog: 1_000,
        ..config(2)
    };
    let server = TestServer::with(patient, Commands::builtin());
    let mut idle: Vec<Peer> = (0..20).map(|_| server.connect()).collect();
    for peer in &mut idle {
        peer.ping();
    }
    rlimit::Resource::NOFILE
        .set(1_100, 4_096)
        .expect("a limit can be lowered");
    let sockets: Vec<_> = (0..REFUSED)
        .map(|_| Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor is left"))
        .collect();
    let null = File::open("/dev/null").expect("a descriptor is left");
    let mut hoard = Vec::new();
    while let Ok(file) = null.try_clone() {
        hoard.push(file);
    }
    for socket in &sockets {
        socket.set_nonblocking(true).expect("a TCP socket");
        // In progress.
        let _ = socket.connect(&server.addr.into());
    }

    let draining = thread::spawn(move || server.drain());
    for peer in &mut idle {
        peer.expect_end();
    }
    drop(idle);
    assert_eq!(
        draining.join().expect("the thread does not panic").aborted,
        0
    );
    drop((sockets, hoard));
}
