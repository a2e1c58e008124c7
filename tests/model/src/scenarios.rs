//! The scenarios: small, so that a run covers much of what can happen.
//!
//! In each of them, every client must be served and closed, and every retired worker must end.

use std::sync::Arc;

use crate::explore::any;
use crate::mio::Socket;
use crate::pools::Make;
use crate::world::{Request, World};

use Request::{Block, Flood, Open, Ping};

/// A use of a pool.
#[derive(Debug)]
pub struct Scenario {
    /// Its name, also in test filters.
    pub name: &'static str,
    /// Runs it once, with a new pool.
    pub run: fn(Make),
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        /// All scenarios.
        pub const SCENARIOS: &[Scenario] = &[
            $(Scenario { name: stringify!($name), run: $name }),*
        ];
    };
}

scenarios![
    two_clients_ping,
    two_clients_ping_with_one_worker,
    fin_comes_with_the_last_bytes,
    handler_blocks,
    handler_of_a_new_client_blocks,
    client_does_not_starve_beside_a_flood,
    spent_client_does_not_wait_for_a_handler,
    follower_takes_a_spent_client,
    shutdown_closes_spent_clients,
    slots_are_reused,
    message_comes,
    message_comes_with_the_fin,
    pause_ends,
    drain_closes_all_clients,
    idle_workers_are_retired,
    busy_workers_are_resized,
    shutdown_closes_all_clients,
    random_mix,
];

/// Sends the requests one by one, each after the reply to the last; then FIN.
fn send_one_by_one(requests: &'static [Request]) -> impl FnOnce(&Arc<Socket>) {
    move |socket| {
        for (index, &request) in requests.iter().enumerate() {
            socket.send(&[request]);
            socket.wait_for_replies(index + 1);
        }
        socket.end();
        socket.wait_until_closed();
    }
}

/// Sends all requests and FIN at once.
fn send_at_once(requests: &'static [Request]) -> impl FnOnce(&Arc<Socket>) {
    move |socket| {
        socket.send(requests);
        socket.end();
        socket.wait_for_replies(requests.len());
        socket.wait_until_closed();
    }
}

fn two_clients_ping(make: Make) {
    let world = World::new(make, 2, 2);
    world.connect(send_one_by_one(&[Ping, Ping]));
    world.connect(send_one_by_one(&[Ping, Ping]));
    world.wait_until_closed(2);
    world.shutdown();
}

/// Rule 3: everything works with one worker.
fn two_clients_ping_with_one_worker(make: Make) {
    let world = World::new(make, 2, 1);
    world.connect(send_one_by_one(&[Ping, Ping]));
    world.connect(send_one_by_one(&[Ping, Ping]));
    world.wait_until_closed(2);
    world.shutdown();
}

fn fin_comes_with_the_last_bytes(make: Make) {
    let world = World::new(make, 2, 2);
    world.connect(fin_during_a_handler(&world));
    world.connect(send_at_once(&[]));
    world.wait_until_closed(2);
    world.shutdown();
}

/// Sends a last request and FIN while the handler of an earlier request blocks.
fn fin_during_a_handler(world: &Arc<World>) -> impl FnOnce(&Arc<Socket>) + use<> {
    let world = Arc::clone(world);
    move |socket| {
        socket.send(&[Ping]);
        socket.wait_for_replies(1);
        socket.send(&[Block]);
        world.wait_until_blocked();
        socket.send(&[Ping]);
        socket.end();
        world.open();
        socket.wait_for_replies(3);
        socket.wait_until_closed();
    }
}

/// Rule 2: a blocked handler does not delay other clients.
fn handler_blocks(make: Make) {
    let world = World::new(make, 2, 2);
    world.connect(send_one_by_one(&[Ping, Block]));
    world.connect(send_one_by_one(&[Ping, Open]));
    world.wait_until_closed(2);
    world.shutdown();
}

/// Rule 2, for clients that come through the queue instead of an event.
fn handler_of_a_new_client_blocks(make: Make) {
    let world = World::new(make, 3, 2);
    world.connect(send_at_once(&[Block]));
    world.connect(send_at_once(&[Open]));
    world.wait_until_closed(2);
    world.shutdown();
}

/// Rule 1: a queue that is never empty does not hide parked clients.
fn client_does_not_starve_beside_a_flood(make: Make) {
    let world = World::new(make, 2, 1);
    world.connect(send_at_once(&[Flood]));
    world.connect(send_one_by_one(&[Ping, Open]));
    world.wait_until_closed(2);
    world.shutdown();
}

/// The turn ends before the request that opens the gate.
const SPENDS_A_TURN: &[Request] = &[Ping, Ping, Open];

fn spent_client_does_not_wait_for_a_handler(make: Make) {
    let world = World::new(make, 2, 2);
    world.connect(send_at_once(SPENDS_A_TURN));
    world.connect(send_at_once(&[Block]));
    world.wait_until_closed(2);
    world.shutdown();
}

fn follower_takes_a_spent_client(make: Make) {
    let world = World::new(make, 2, 3);
    world.connect(send_at_once(SPENDS_A_TURN));
    world.connect(send_at_once(&[Block]));
    world.wait_until_closed(2);
    world.shutdown();
}

fn shutdown_closes_spent_clients(make: Make) {
    let world = World::new(make, 1, 1);
    world.connect(|socket| {
        socket.send(&[Ping; 4]);
        socket.wait_until_closed();
    });
    world.shutdown();
    world.wait_until_closed(1);
}

fn slots_are_reused(make: Make) {
    let world = World::new(make, 2, 2);
    for _ in 0..3 {
        world.connect(send_at_once(&[]));
    }
    world.connect(send_one_by_one(&[Ping]));
    world.wait_until_closed(4);
    world.shutdown();
}

fn message_comes(make: Make) {
    let world = World::new(make, 2, 2);
    let peer = world.connect(|socket| {
        socket.send(&[Ping]);
        socket.wait_for_replies(3);
        socket.end();
        socket.wait_until_closed();
    });
    world.push(&peer);
    world.push(&peer);
    world.wait_until_closed(1);
    world.shutdown();
}

fn message_comes_with_the_fin(make: Make) {
    let world = World::new(make, 2, 2);
    let peer = world.connect(fin_during_a_handler(&world));
    world.wait_until_blocked();
    world.push(&peer);
    world.wait_until_closed(1);
    world.shutdown();
}

fn pause_ends(make: Make) {
    let world = World::new(make, 2, 2);
    world.pause();
    world.connect(send_one_by_one(&[Ping, Ping]));
    world.connect(send_one_by_one(&[Ping]));
    world.end_pause();
    world.wait_until_closed(2);
    world.shutdown();
}

fn drain_closes_all_clients(make: Make) {
    let world = World::new(make, 2, 2);
    world.connect(|socket| socket.wait_until_closed());
    world.connect(|socket| {
        socket.send(&[Ping]);
        socket.wait_until_closed();
    });
    world.drain();
    world.wait_until_closed(2);
    world.shutdown();
}

/// Two of three workers are retired, while one of the three may be in a handler.
fn idle_workers_are_retired(make: Make) {
    let world = World::new(make, 2, 3);
    let peer = world.connect(send_one_by_one(&[Ping, Block]));
    peer.socket.wait_for_replies(1);
    world.resize(1);
    world.wait_until_alive(1);
    world.open();
    world.wait_until_closed(1);
    world.shutdown();
}

fn busy_workers_are_resized(make: Make) {
    let world = World::new(make, 2, 3);
    world.connect(send_one_by_one(&[Ping]));
    world.resize(1);
    world.wait_until_alive(1);
    world.connect(send_one_by_one(&[Ping]));
    world.resize(3);
    world.resize(2);
    world.wait_until_closed(2);
    world.wait_until_alive(2);
    world.shutdown();
}

fn shutdown_closes_all_clients(make: Make) {
    let world = World::new(make, 2, 2);
    world.connect(|socket| {
        socket.send(&[Ping]);
        socket.wait_until_closed();
    });
    world.connect(|socket| socket.wait_until_closed());
    world.shutdown();
    world.wait_until_closed(2);
}

/// A random mix of the steps of the other scenarios.
fn random_mix(make: Make) {
    let handlers_block = any(3) == 0;
    let workers = usize::from(handlers_block) + 1 + any(2);
    let world = World::new(make, 3, workers);
    if any(3) == 0 {
        world.pause();
    }
    let mut peers = Vec::new();
    if handlers_block {
        peers.push(world.connect(send_any_way(&[Ping, Block])));
        peers.push(world.connect(send_any_way(&[Open])));
    }
    for _ in peers.len()..=any(3) {
        let script: &[Request] = [&[][..], &[Ping], &[Ping, Ping], &[Ping; 4]][any(4)];
        peers.push(world.connect(send_any_way(script)));
    }
    for _ in 0..any(4) {
        match any(3) {
            0 => world.push(&peers[any(peers.len())]),
            // The worker in a blocked handler must not be the only one.
            1 if !handlers_block => world.resize(1 + any(3)),
            _ => world.end_pause(),
        }
    }
    world.end_pause();
    match any(3) {
        0 => world.wait_until_closed(peers.len()),
        1 => {
            world.drain();
            // The client with the `Open` may have been closed before it was served.
            world.open();
            world.wait_until_closed(peers.len());
        }
        _ => world.open(),
    }
    world.shutdown();
}

/// Sends the requests at once or one by one, then FIN, unless the server closes first.
fn send_any_way(requests: &'static [Request]) -> impl FnOnce(&Arc<Socket>) {
    let waits = any(2) == 0;
    move |socket| {
        for (index, &request) in requests.iter().enumerate() {
            socket.send(&[request]);
            if waits {
                socket.wait_for_replies_or_close(index + 1);
            }
        }
        socket.end();
        socket.wait_until_closed();
    }
}
