//! Answering a PING does not allocate.
//!
//! A process of its own: it counts the allocations of the server's threads and of a client that
//! allocates nothing meanwhile.

use std::alloc::System;
use std::io::{Read, Write};

use respool_testing::{Peer, TestServer};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// PINGs per count: so few that a count takes less than a second on a slow machine, too, because the
/// clock's thread may allocate once a second.
const PINGS: usize = 2_000;

/// Number of counts, one of which must be zero.
///
/// Allocations caused by PINGs appear in every count, even one in a thousand PINGs. A thread's one-time
/// allocations, such as those of its first wait as a follower, appear in one count, which may be late.
const COUNTS: usize = 16;

#[test]
fn ping_allocates_nothing() {
    let one_array = b"*1\r\n$4\r\nPING\r\n".as_slice();
    let with_three_bytes = b"*2\r\n$4\r\nPING\r\n$3\r\nabc\r\n".as_slice();
    let loads = [
        ("one at a time", one_array, b"+PONG\r\n".as_slice(), 1, 1),
        ("in pipelines of 100", one_array, b"+PONG\r\n", 100, 1),
        ("with 3 bytes", with_three_bytes, b"$3\r\nabc\r\n", 1, 1),
        ("inline", b"PING\r\n", b"+PONG\r\n", 1, 1),
        ("of 8 connections in turn", one_array, b"+PONG\r\n", 1, 8),
    ];
    for workers in [1, 2] {
        let server = TestServer::start(workers);
        for protocol in [2, 3] {
            for (name, request, reply, depth, connections) in loads {
                let load = Load {
                    requests: request.repeat(depth),
                    replies: reply.repeat(depth),
                    rounds: PINGS / depth,
                };
                let mut peers: Vec<_> = (0..connections).map(|_| server.connect()).collect();
                if protocol == 3 {
                    peers.iter_mut().for_each(Peer::speak_resp3);
                }
                let counts = load.count(&mut peers);
                assert!(
                    counts.last() == Some(&(0, 0)),
                    "{PINGS} PINGs {name}, to {workers} workers in RESP{protocol}: allocations and \
                     reallocations {counts:?}"
                );
            }
        }
    }
}

/// Requests and their expected replies.
struct Load {
    requests: Vec<u8>,
    replies: Vec<u8>,
    rounds: usize,
}

impl Load {
    /// Counts allocations and reallocations of the process under this load until there are none, at
    /// most [`COUNTS`] times.
    fn count(&self, peers: &mut [Peer]) -> Vec<(usize, usize)> {
        let mut received = vec![0; self.replies.len()];
        let mut counts = Vec::new();
        // Buffers are allocated before the first count.
        self.run(peers, &mut received);
        while counts.len() < COUNTS && counts.last() != Some(&(0, 0)) {
            let region = Region::new(ALLOCATOR);
            self.run(peers, &mut received);
            let change = region.change();
            counts.push((change.allocations, change.reallocations));
        }
        counts
    }

    /// Sends the requests by one peer after the other. Allocates nothing.
    fn run(&self, peers: &mut [Peer], received: &mut [u8]) {
        let turns = (0..peers.len()).cycle();
        for turn in turns.take(self.rounds) {
            let socket = &mut peers[turn].socket;
            socket
                .write_all(&self.requests)
                .expect("the server takes it");
            socket.read_exact(received).expect("the server answers");
            assert!(received == self.replies, "another reply");
        }
    }
}
