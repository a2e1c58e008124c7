//! The seventh rule of the pool: memory is held only for clients with something in flight.
//!
//! A process of its own, because it counts all allocations.

use std::alloc::System;

use respool_testing::{Peer, TestServer, eventually};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A mark to keep, in bytes of user memory. Redis holds about 2,450.
const BYTES_PER_IDLE_CONNECTION: usize = 400;

const CONNECTIONS: usize = 100;

/// More than the buffers of both sockets hold.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Returns the bytes allocated since `region` was created.
fn held(region: &Region<'_, System>) -> usize {
    let change = region.change();
    change
        .bytes_allocated
        .saturating_sub(change.bytes_deallocated)
}

#[test]
fn rule_7_quiet_client_keeps_no_buffers() {
    // One worker allocates its own buffers once.
    let server = TestServer::start(1);
    let message = vec![b'x'; MESSAGE_BYTES];
    let header = format!("${MESSAGE_BYTES}\r\n");
    let reply = [header.as_bytes(), &message, b"\r\n"].concat();
    let request = [b"*2\r\n$4\r\nECHO\r\n", reply.as_slice()].concat();
    let use_all_buffers = |peer: &mut Peer| {
        // A request in pieces, a pending reply, then idle.
        peer.ask(&request, &reply);
        peer.ping();
    };
    // The buffers of the workers are allocated before the first count.
    for _ in 0..4 {
        use_all_buffers(&mut server.connect());
    }

    let region = Region::new(ALLOCATOR);
    let mut peers = Vec::with_capacity(CONNECTIONS);
    let before = held(&region);
    for _ in 0..CONNECTIONS {
        let mut peer = server.connect();
        use_all_buffers(&mut peer);
        peers.push(peer);
    }
    let mut per_connection = usize::MAX;
    eventually("the last clients are parked", || {
        per_connection = held(&region).saturating_sub(before) / CONNECTIONS;
        per_connection <= BYTES_PER_IDLE_CONNECTION
    });

    drop(peers);
    // Except a block of the queue, which may be a new one.
    let left = CONNECTIONS * 10;
    eventually("everything is given back", || held(&region) < before + left);
}
