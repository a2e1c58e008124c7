//! Clients beside the checked sessions: messages, kills, storms, and hostile input.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::World;
use crate::wire::Wire;
use respool_testing::{Peer, request};

/// No message is lost or reordered while its subscriber is connected, whatever its protocol and
/// reply mode.
pub(crate) fn messages(world: &World, rng: &mut Rng) {
    let _shared = world.episodes.read();
    let mut publisher = Wire::connect(world, rng);
    let mut subscriber = Wire::connect(world, rng);
    let channel = format!("m{}", subscriber.number("CLIENT ID"));
    let is_pattern = rng.bool();
    let in_resp3 = rng.bool();
    let is_silent = in_resp3 && rng.bool();
    if in_resp3 {
        subscriber.send("CLIENT REPLY SKIP\r\nHELLO 3\r\n");
    }
    if is_silent {
        subscriber.send("CLIENT REPLY OFF\r\n");
    }
    let head = if in_resp3 { '>' } else { '*' };
    let (command, kind) = if is_pattern {
        ("PSUBSCRIBE", "4\r\n$8\r\npmessage\r\n")
    } else {
        ("SUBSCRIBE", "3\r\n$7\r\nmessage\r\n")
    };
    let name = format!("${}\r\n{channel}\r\n", channel.len());
    let kind_of_push = command.to_lowercase();
    let length = command.len();
    let confirmation = format!("{head}3\r\n${length}\r\n{kind_of_push}\r\n{name}:1\r\n");
    subscriber.ask(&format!("{command} {channel}"), &confirmation);

    // A pattern without wildcards matches its own name only.
    let begin = [kind, &name, if is_pattern { &name } else { "" }].concat();
    let mut expected = String::new();
    for burst in 0..rng.u32(1..20) {
        let count = rng.u32(1..100);
        let numbers = (0..count).map(|number| format!("{burst:0>4}-{number:0>4}"));
        let (mut requests, mut replies) = (Vec::new(), Vec::new());
        for number in numbers {
            requests.extend(request(&[
                b"PUBLISH",
                channel.as_bytes(),
                number.as_bytes(),
            ]));
            replies.extend_from_slice(b":1\r\n");
            let _ = write!(expected, "{head}{begin}$9\r\n{number}\r\n");
        }
        publisher.send_cut(&requests, rng);
        if in_resp3 && rng.bool() {
            // Without a reply, and between messages.
            let silently = if is_silent {
                ""
            } else {
                "CLIENT REPLY SKIP\r\n"
            };
            subscriber.send_cut(format!("{silently}HELLO 3\r\n").as_bytes(), rng);
        }
        publisher.expect(&replies);
    }
    subscriber.expect(&expected);
    if !is_silent {
        subscriber.send("PING end\r\n");
        subscriber.expect(if in_resp3 {
            "$3\r\nend\r\n"
        } else {
            "*2\r\n$4\r\npong\r\n$3\r\nend\r\n"
        });
    }
}

/// Victims receive no wrong reply before the end.
pub(crate) fn kill(world: &World, rng: &mut Rng) {
    if rng.u8(..) < 4 {
        return kill_type(world, rng);
    }
    let _shared = world.episodes.read();
    let mut victim = Wire::connect(world, rng);
    let mut killer = Wire::connect(world, rng);
    let id = victim.number("CLIENT ID");
    let pings = rng.usize(0..2000);
    victim.send_what_fits(&b"PING\r\n".repeat(pings));
    let addr = victim.address();
    match rng.u8(..4) {
        0 => killer.ask(&format!("CLIENT KILL ID {id}"), ":1\r\n"),
        1 => killer.ask(&format!("CLIENT KILL ADDR {addr} SKIPME yes"), ":1\r\n"),
        2 => killer.ask(&format!("CLIENT KILL {addr}"), "+OK\r\n"),
        _ => {
            victim.send(format!("CLIENT KILL ID {id} SKIPME no\r\n"));
            pings_then_one(victim, pings);
            return;
        }
    }
    let replies = victim.rest();
    if !b"+PONG\r\n".repeat(pings).starts_with(&replies) {
        victim.fail("no replies to PING");
    }
    killer.ask(&format!("CLIENT KILL ID {id}"), ":0\r\n");
}

/// A client that kills itself gets all its replies first.
fn pings_then_one(mut victim: Wire, pings: usize) {
    victim.expect([&b"+PONG\r\n".repeat(pings)[..], b":1\r\n"].concat());
    victim.expect_end();
}

/// Kills all clients of a type while no other thread depends on one.
fn kill_type(world: &World, rng: &mut Rng) {
    let _alone = world.episodes.write();
    let mut killer = Wire::connect(world, rng);
    let mut victims: Vec<_> = (0..3).map(|_| Wire::connect(world, rng)).collect();
    let is_pubsub = rng.bool();
    for victim in &mut victims {
        victim.ask("PING", "+PONG\r\n");
        if is_pubsub {
            victim.ask("SUBSCRIBE a", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
        }
    }
    let kind = if is_pubsub { "pubsub" } else { "normal" };
    // Clients that have left may still be counted.
    if killer.number(&format!("CLIENT KILL TYPE {kind}")) < 3 {
        killer.fail("too few are killed");
    }
    victims.iter_mut().for_each(Wire::expect_end);
    killer.ask("PING", "+PONG\r\n");
}

/// Clients that disconnect at once by FIN or RST. A client that stays is served beside them.
pub(crate) fn storm(world: &World, rng: &mut Rng) {
    let _shared = world.episodes.read();
    for _ in 0..rng.usize(10..500) {
        let mut wire = Wire::connect(world, rng);
        let begin: [&[u8]; 4] = [b"", b"", b"PING\r\nPING", b"*2\r\n$4\r\nECHO\r\n$100\r\nx"];
        wire.send_what_fits(rng.choice(begin).unwrap_or_default());
        if rng.bool() {
            wire.reset();
        }
    }
    Wire::connect(world, rng).ask("PING", "+PONG\r\n");
}

/// A client that sends FIN gets the replies to all complete requests, unless it was paused: it may
/// be closed before. An urgent byte between two requests hides none of them.
pub(crate) fn half_closed(world: &World, rng: &mut Rng) {
    let _shared = world.episodes.read();
    let pauses = world.pauses.load(Ordering::SeqCst);
    let mut wire = Wire::connect(world, rng);
    let count = rng.usize(1..1000);
    wire.send_cut(&b"PING\r\n".repeat(count), rng);
    if rng.bool() {
        wire.send_urgent();
        wire.send("PING\r\n");
        wire.expect(b"+PONG\r\n".repeat(count + 1));
        return;
    }
    wire.send_cut(&b"*2\r\n$4\r\nECHO\r\n"[..rng.usize(0..14)], rng);
    wire.end_sending();
    let (replies, expected) = (wire.rest(), b"+PONG\r\n".repeat(count));
    let was_paused = pauses % 2 == 1 || pauses != world.pauses.load(Ordering::SeqCst);
    if replies != expected && !(was_paused && expected.starts_with(&replies)) {
        wire.fail(&format!(
            "{} bytes of replies to {count} PINGs",
            replies.len()
        ));
    }
}

/// Clients that send as much as they can and never read.
pub(crate) fn never_read(world: &World, rng: &mut Rng) {
    let _shared = world.episodes.read();
    let echo = request(&[b"ECHO", &[b'x'; 10_000]]);
    let requests = [
        &echo[..],
        b"INFO\r\n",
        b"COMMAND DOCS\r\n",
        b"SUBSCRIBE a\r\n",
        b"PING\r\n",
    ];
    let mut wires = Vec::new();
    for _ in 0..rng.usize(1..10) {
        let mut wire = if rng.bool() {
            Wire::connect(world, rng)
        } else {
            Wire::over(Peer::connect_with_small_buffer(world.server.addr))
        };
        let some = rng
            .choice(requests)
            .unwrap_or_default()
            .repeat(rng.usize(1..200));
        let mut rounds = rng.usize(1..50);
        while rounds > 0 && wire.send_what_fits(&some) == some.len() {
            rounds -= 1;
        }
        wires.push(wire);
    }
    thread::sleep(Duration::from_millis(rng.u64(..300)));
    for wire in wires {
        if rng.bool() {
            wire.reset();
        }
    }
}

/// Arguments up to the limits and beyond.
pub(crate) fn huge(world: &World, rng: &mut Rng) {
    let _shared = world.episodes.read();
    let mut wire = Wire::connect(world, rng);
    let error = match rng.u8(..5) {
        0 => {
            wire.send("*2\r\n$4\r\nECHO\r\n$600000000\r\n");
            "invalid bulk length"
        }
        1 => {
            wire.send("*2147483648\r\n");
            "invalid multibulk length"
        }
        2 => {
            wire.send(b"x".repeat(70_000));
            "too big inline request"
        }
        3 => {
            wire.send("*1\r\nPING\r\n");
            "expected '$', got 'P'"
        }
        _ => {
            let length = rng.usize(1_000_000..20_000_000);
            let message = [rng.u8(..)].repeat(length);
            wire.send_cut(&request(&[b"ECHO", &message]), rng);
            wire.expect(format!("${length}\r\n"));
            wire.expect(message);
            wire.expect("\r\n");
            return;
        }
    };
    wire.expect(format!("-ERR Protocol error: {error}\r\n"));
    wire.expect_end();
}

/// Bytes that resemble RESP.
pub(crate) fn garbage(world: &World, rng: &mut Rng) {
    let _shared = world.episodes.read();
    let mut wire = Wire::connect(world, rng);
    let parts: [&[u8]; 12] = [
        b"*", b"$", b"\r\n", b"-1", b"3", b"PING", b"ECHO", b"\"", b"\0", b" ", b"QUIT", b"99999",
    ];
    let mut bytes = Vec::new();
    for _ in 0..rng.usize(1..200) {
        bytes.extend_from_slice(rng.choice(parts).unwrap_or_default());
    }
    wire.send_what_fits(&bytes);
    wire.is_ready_within(Duration::from_millis(50));
}

/// A line of MONITOR is a time, a client, and quoted words.
pub(crate) fn monitor(world: &World, rng: &mut Rng) {
    let _shared = world.episodes.read();
    let mut wire = Wire::connect(world, rng);
    wire.ask("MONITOR", "+OK\r\n");
    let end = Instant::now() + Duration::from_millis(rng.u64(..300));
    let mut bytes = Vec::new();
    while Instant::now() < end && wire.is_ready_within(Duration::from_millis(50)) {
        let more = wire.read(usize::MAX);
        if more.is_empty() {
            // A slow monitor is closed.
            return;
        }
        bytes.extend(more);
        let Some(last) = bytes.windows(2).rposition(|pair| pair == b"\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes[..last]).into_owned();
        bytes.drain(..last + 2);
        if let Some(line) = text.split("\r\n").find(|line| !is_monitor_line(line)) {
            let end: String = line.chars().rev().take(100).collect();
            let (begin, end) = (line.chars().take(100), end.chars().rev());
            wire.fail(&format!(
                "{:?} … {:?}",
                begin.collect::<String>(),
                end.collect::<String>()
            ));
        }
    }
}

fn is_monitor_line(line: &str) -> bool {
    let Some((time, rest)) = line
        .strip_prefix('+')
        .and_then(|line| line.split_once(" ["))
    else {
        return false;
    };
    let Some((_client, words)) = rest.split_once("] ") else {
        return false;
    };
    let (mut in_quotes, mut is_escaped, mut before) = (false, false, ' ');
    for char in words.chars() {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' if in_quotes => is_escaped = true,
            '"' if in_quotes => in_quotes = false,
            '"' if before == ' ' => in_quotes = true,
            ' ' if before == '"' => {}
            _ if in_quotes => {}
            _ => return false,
        }
        before = char;
    }
    time.parse::<f64>().is_ok() && !in_quotes && words.ends_with('"')
}
