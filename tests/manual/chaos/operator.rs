//! An operator's actions while clients are served: workers, pauses, the file, the password.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::World;
use crate::wire::Wire;
use respool_testing::eventually;

pub(crate) fn episode(world: &World, rng: &mut Rng) {
    match rng.u8(..16) {
        0 => return password(world, rng),
        1..4 => file(world, rng),
        4..8 => pause(world, rng),
        8 => look(world, rng),
        _ => workers(world, rng),
    }
    thread::sleep(Duration::from_millis(rng.u64(..50)));
}

fn workers(world: &World, rng: &mut Rng) {
    let _shared = world.episodes.read();
    let mut wire = Wire::connect(world, rng);
    for _ in 0..rng.u8(1..10) {
        let count = rng.u8(1..=64).to_string();
        wire.ask(&format!("CONFIG SET workers {count}"), "+OK\r\n");
        wire.ask("CONFIG GET workers", &workers_reply(&count));
    }
}

fn workers_reply(count: &str) -> String {
    format!("*2\r\n$7\r\nworkers\r\n${}\r\n{count}\r\n", count.len())
}

/// CONFIG REWRITE writes the values of CONFIG SET; SIGHUP applies the file.
fn file(world: &World, rng: &mut Rng) {
    let _shared = world.episodes.read();
    let mut wire = Wire::connect(world, rng);
    let count = rng.u8(1..=64).to_string();
    wire.ask(&format!("CONFIG SET workers {count}"), "+OK\r\n");
    wire.ask("CONFIG REWRITE", "+OK\r\n");
    let text = world.file.read();
    if !text
        .lines()
        .any(|line| line == format!("workers = {count}"))
    {
        wire.fail(&format!("the file does not have {count} workers: {text:?}"));
    }
    let next = rng.u8(1..=64).to_string();
    let changed = text.replace(&format!("workers = {count}"), &format!("workers = {next}"));
    world.file.write(&changed);
    world.server.signal("HUP");
    eventually("SIGHUP has applied the file", || {
        wire.send("CONFIG GET workers\r\n");
        let lines: Vec<_> = (0..5).map(|_| wire.line()).collect();
        lines[4] == next
    });
}

fn pause(world: &World, rng: &mut Rng) {
    let _shared = world.episodes.read();
    let mut wire = Wire::connect(world, rng);
    wire.ask("PING", "+PONG\r\n");
    let (time_ms, wait_ms) = (rng.u64(1..300), rng.u64(1..400));
    let mode = if rng.bool() { "ALL" } else { "WRITE" };
    world.pauses.fetch_add(1, Ordering::SeqCst);
    wire.ask(&format!("CLIENT PAUSE {time_ms} {mode}"), "+OK\r\n");
    thread::sleep(Duration::from_millis(wait_ms));
    wire.ask("CLIENT UNPAUSE", "+OK\r\n");
    world.pauses.fetch_add(1, Ordering::SeqCst);
}

/// Every client is listed in one line, and INFO counts them.
fn look(world: &World, rng: &mut Rng) {
    let _shared = world.episodes.read();
    let mut wire = Wire::connect(world, rng);
    let id = wire.number("CLIENT ID");
    wire.send(format!("CLIENT LIST ID {id}\r\n"));
    let length = wire.line();
    let bytes: usize = length.trim_start_matches('$').parse().unwrap_or_default();
    let mut line = String::new();
    while line.len() < bytes + 2 {
        line += &String::from_utf8_lossy(&wire.read(bytes + 2 - line.len()));
    }
    let is_right = line.starts_with(&format!("id={id} addr={} ", wire.address()));
    if !is_right || !line.ends_with("\n\r\n") || line.matches('\n').count() != 2 {
        wire.fail(&format!("{length} {line:?}"));
    }
}

/// While there is a password, an unauthenticated client can do nothing.
fn password(world: &World, rng: &mut Rng) {
    let _alone = world.episodes.write();
    let mut wire = Wire::connect(world, rng);
    wire.ask("CONFIG SET requirepass secret", "+OK\r\n");
    let mut other = Wire::connect(world, rng);
    other.ask("PING", "-NOAUTH Authentication required.\r\n");
    let error = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    other.ask("AUTH wrong", error);
    other.ask("AUTH secret", "+OK\r\n");
    other.ask("CONFIG SET requirepass \"\"", "+OK\r\n");
    Wire::connect(world, rng).ask("PING", "+PONG\r\n");
}
