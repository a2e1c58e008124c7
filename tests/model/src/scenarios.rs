//! What is played: small, so that much of what can happen does happen.
//!
//! In each, everybody must be served and closed, and every worker must end when it is told to.

use std::sync::Arc;

use crate::explore::any;
use crate::mio::Socket;
use crate::pools::Make;
use crate::world::{Request, World};

use Request::{Block, Flood, Open, Ping};

/// Something that happens to a pool.
#[derive(Debug)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// Plays it once, with a new pool.
    pub play: fn(Make),
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        /// All of them.
        pub const SCENARIOS: &[Scenario] = &[
            $(Scenario { name: stringify!($name), play: $name }),*
        ];
    };
}

scenarios![
    talks,
    talks_with_one_worker,
    ends_come_with_the_last_bytes,
    handlers_block,
    handlers_of_new_clients_block,
    nobody_starves_beside_a_flood,
    spent_client_does_not_wait_for_a_handler,
    spent_client_is_for_a_follower,
    crew_leaves_no_spent_client,
    places_are_used_again,
    mail_comes,
    mail_comes_with_the_end,
    a_pause_ends,
    a_drain_empties,
    a_quiet_crew_shrinks,
    a_busy_crew_shrinks_and_grows,
    a_crew_leaves_nobody_behind,
    much_happens,
];

/// Sends each of these, and waits for the answer to it; then ends.
fn talk(requests: &'static [Request]) -> impl FnOnce(&Arc<Socket>) {
    move |socket| {
        for (index, &request) in requests.iter().enumerate() {
            socket.send(&[request]);
            socket.wait_for_replies(index + 1);
        }
        socket.end();
        socket.wait_until_closed();
    }
}

/// Sends all of these, and ends.
fn shout(requests: &'static [Request]) -> impl FnOnce(&Arc<Socket>) {
    move |socket| {
        socket.send(requests);
        socket.end();
        socket.wait_for_replies(requests.len());
        socket.wait_until_closed();
    }
}

fn talks(make: Make) {
    let world = World::new(make, 2, 2);
    world.connect(talk(&[Ping, Ping]));
    world.connect(talk(&[Ping, Ping]));
    world.wait_until_closed(2);
    world.dismiss();
}

/// Rule 3: everything works with one worker.
fn talks_with_one_worker(make: Make) {
    let world = World::new(make, 2, 1);
    world.connect(talk(&[Ping, Ping]));
    world.connect(talk(&[Ping, Ping]));
    world.wait_until_closed(2);
    world.dismiss();
}

fn ends_come_with_the_last_bytes(make: Make) {
    let world = World::new(make, 2, 2);
    world.connect(end_beside_a_handler(&world));
    world.connect(shout(&[]));
    world.wait_until_closed(2);
    world.dismiss();
}

/// Sends a last request together with its end while a handler blocks for an earlier one.
fn end_beside_a_handler(world: &Arc<World>) -> impl FnOnce(&Arc<Socket>) + use<> {
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

/// Rule 2: who is in a handler delays nobody.
fn handlers_block(make: Make) {
    let world = World::new(make, 2, 2);
    world.connect(talk(&[Ping, Block]));
    world.connect(talk(&[Ping, Open]));
    world.wait_until_closed(2);
    world.dismiss();
}

/// Rule 2, for clients that come through the queue and not by an event.
fn handlers_of_new_clients_block(make: Make) {
    let world = World::new(make, 3, 2);
    world.connect(shout(&[Block]));
    world.connect(shout(&[Open]));
    world.wait_until_closed(2);
    world.dismiss();
}

/// Rule 1: what never runs empty hides nobody.
fn nobody_starves_beside_a_flood(make: Make) {
    let world = World::new(make, 2, 1);
    world.connect(shout(&[Flood]));
    world.connect(talk(&[Ping, Open]));
    world.wait_until_closed(2);
    world.dismiss();
}

/// Its turn ends before the request that opens the gate.
const SPENDS_A_TURN: &[Request] = &[Ping, Ping, Open];

fn spent_client_does_not_wait_for_a_handler(make: Make) {
    let world = World::new(make, 2, 2);
    world.connect(shout(SPENDS_A_TURN));
    world.connect(shout(&[Block]));
    world.wait_until_closed(2);
    world.dismiss();
}

fn spent_client_is_for_a_follower(make: Make) {
    let world = World::new(make, 2, 3);
    world.connect(shout(SPENDS_A_TURN));
    world.connect(shout(&[Block]));
    world.wait_until_closed(2);
    world.dismiss();
}

fn crew_leaves_no_spent_client(make: Make) {
    let world = World::new(make, 1, 1);
    world.connect(|socket| {
        socket.send(&[Ping; 4]);
        socket.wait_until_closed();
    });
    world.dismiss();
    world.wait_until_closed(1);
}

fn places_are_used_again(make: Make) {
    let world = World::new(make, 2, 2);
    for _ in 0..3 {
        world.connect(shout(&[]));
    }
    world.connect(talk(&[Ping]));
    world.wait_until_closed(4);
    world.dismiss();
}

fn mail_comes(make: Make) {
    let world = World::new(make, 2, 2);
    let guest = world.connect(|socket| {
        socket.send(&[Ping]);
        socket.wait_for_replies(3);
        socket.end();
        socket.wait_until_closed();
    });
    world.post(&guest);
    world.post(&guest);
    world.wait_until_closed(1);
    world.dismiss();
}

fn mail_comes_with_the_end(make: Make) {
    let world = World::new(make, 2, 2);
    let guest = world.connect(end_beside_a_handler(&world));
    world.wait_until_blocked();
    world.post(&guest);
    world.wait_until_closed(1);
    world.dismiss();
}

fn a_pause_ends(make: Make) {
    let world = World::new(make, 2, 2);
    world.pause();
    world.connect(talk(&[Ping, Ping]));
    world.connect(talk(&[Ping]));
    world.end_pause();
    world.wait_until_closed(2);
    world.dismiss();
}

fn a_drain_empties(make: Make) {
    let world = World::new(make, 2, 2);
    world.connect(|socket| socket.wait_until_closed());
    world.connect(|socket| {
        socket.send(&[Ping]);
        socket.wait_until_closed();
    });
    world.drain();
    world.wait_until_closed(2);
    world.dismiss();
}

/// Nothing comes but the word that two are to end, while one of them may be in a handler.
fn a_quiet_crew_shrinks(make: Make) {
    let world = World::new(make, 2, 3);
    let guest = world.connect(talk(&[Ping, Block]));
    guest.socket.wait_for_replies(1);
    world.resize(1);
    world.wait_until_alive(1);
    world.open();
    world.wait_until_closed(1);
    world.dismiss();
}

fn a_busy_crew_shrinks_and_grows(make: Make) {
    let world = World::new(make, 2, 3);
    world.connect(talk(&[Ping]));
    world.resize(1);
    world.wait_until_alive(1);
    world.connect(talk(&[Ping]));
    world.resize(3);
    world.resize(2);
    world.wait_until_closed(2);
    world.wait_until_alive(2);
    world.dismiss();
}

fn a_crew_leaves_nobody_behind(make: Make) {
    let world = World::new(make, 2, 2);
    world.connect(|socket| {
        socket.send(&[Ping]);
        socket.wait_until_closed();
    });
    world.connect(|socket| socket.wait_until_closed());
    world.dismiss();
    world.wait_until_closed(2);
}

/// Whatever the other scenarios are made of, drawn by lot.
fn much_happens(make: Make) {
    let handlers_block = any(3) == 0;
    let workers = usize::from(handlers_block) + 1 + any(2);
    let world = World::new(make, 3, workers);
    if any(3) == 0 {
        world.pause();
    }
    let mut guests = Vec::new();
    if handlers_block {
        guests.push(world.connect(chat(&[Ping, Block])));
        guests.push(world.connect(chat(&[Open])));
    }
    for _ in guests.len()..=any(3) {
        let script: &[Request] = [&[][..], &[Ping], &[Ping, Ping], &[Ping; 4]][any(4)];
        guests.push(world.connect(chat(script)));
    }
    for _ in 0..any(4) {
        match any(3) {
            0 => world.post(&guests[any(guests.len())]),
            // Who waits in a handler must not be the only one.
            1 if !handlers_block => world.resize(1 + any(3)),
            _ => world.end_pause(),
        }
    }
    world.end_pause();
    match any(3) {
        0 => world.wait_until_closed(guests.len()),
        1 => {
            world.drain();
            // Who would have opened it may have been closed before.
            world.open();
            world.wait_until_closed(guests.len());
        }
        _ => world.open(),
    }
    world.dismiss();
}

/// Sends these at once or one by one, and ends at once or later; or the server ends first.
fn chat(requests: &'static [Request]) -> impl FnOnce(&Arc<Socket>) {
    let waits = any(2) == 0;
    move |socket| {
        for (index, &request) in requests.iter().enumerate() {
            socket.send(&[request]);
            if waits {
                socket.wait_for_replies_or_the_end(index + 1);
            }
        }
        socket.end();
        socket.wait_until_closed();
    }
}
