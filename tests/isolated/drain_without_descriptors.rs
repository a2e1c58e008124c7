//! A drain without descriptors. A test of its own, because it uses up those of the whole process.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::thread;

use respool::{Commands, Config};
use respool_testing::{Peer, TestServer, config};
use socket2::{Domain, Socket, Type};

/// The acceptor used to wait 10 ms for each peer that it refused, and the drain for the acceptor: its
/// time was over before it came to the clients.
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
        // It is under way.
        let _ = socket.connect(&server.addr.into());
    }

    let draining = thread::spawn(move || server.drain());
    for peer in &mut idle {
        peer.expect_end();
    }
    drop(idle);
    assert_eq!(draining.join().expect("it does not panic").aborted, 0);
    drop((sockets, hoard));
}
