//! CLIENT KILL.

use std::time::{Duration, Instant};

use respool::{Commands, Config};
use respool_testing::{TestServer, commands_with_gate, config, eventually, request};

use crate::{
    OK, SYNTAX, blocks_early, connect_to_busy, expect_closed, field, line, list, number,
    wait_until_gone,
};

#[test]
fn kill_by_address_closes_that_client() {
    let server = TestServer::start(2);
    let (mut killer, mut victim, mut other) =
        (server.connect(), server.connect(), server.connect());
    let addr = victim.local_addr();
    victim.ping();
    other.ping();
    killer.ask(format!("CLIENT KILL {addr}\r\n"), OK);
    victim.expect_end();
    other.ping();
    wait_until_gone(&mut killer, 2);
    let again = "-ERR No such client\r\n";
    killer.ask(format!("CLIENT KILL {addr}\r\n"), again);
    killer.ask("CLIENT KILL nonsense\r\n", again);
}

/// Expects which of three clients a KILL closes: the killer, an idle one and a subscriber. `{1}`
/// stands for the id of the idle one, `{addr}` for its address, `{laddr}` for the address of the
/// server.
#[track_caller]
fn assert_kills(options: &str, expected: [bool; 3]) {
    let server = TestServer::start(1);
    let (mut killer, mut idle, mut subscriber) =
        (server.connect(), server.connect(), server.connect());
    assert_eq!((killer.id(), idle.id()), (1, 2));
    subscriber.answers("SUBSCRIBE a");
    let addr = idle.local_addr();
    let options = options
        .replace("{laddr}", &server.addr.to_string())
        .replace("{addr}", &addr.to_string());
    let count = expected.iter().filter(|&&killed| killed).count();
    killer.ask(
        format!("CLIENT KILL {options}\r\n"),
        format!(":{count}\r\n"),
    );
    for (peer, killed) in [&mut killer, &mut idle, &mut subscriber]
        .into_iter()
        .zip(expected)
    {
        if killed {
            expect_closed(peer);
        } else {
            // With both values of SKIPME.
            peer.send("PING\r\n");
            assert!(
                peer.leaves()
                    .iter()
                    .any(|leaf| leaf.eq_ignore_ascii_case("pong"))
            );
        }
    }
    let left = expected.iter().filter(|&&killed| !killed).count() + 1;
    let mut watcher = server.connect();
    eventually("their slots are free", || {
        list(&mut watcher, "").len() == left
    });
}

#[test]
fn each_kill_filter_closes_only_matching_clients() {
    assert_kills("ID 2", [false, true, false]);
    assert_kills("id 2", [false, true, false]);
    assert_kills("ID 99", [false, false, false]);
    assert_kills("ADDR {addr}", [false, true, false]);
    assert_kills("ADDR 127.0.0.1:1", [false, false, false]);
    assert_kills("LADDR {laddr}", [false, true, true]);
    assert_kills("LADDR {addr}", [false, false, false]);
    assert_kills("TYPE normal", [false, true, false]);
    assert_kills("TYPE pubsub", [false, false, true]);
    assert_kills("TYPE replica", [false, false, false]);
    assert_kills("USER default", [false, true, true]);
    assert_kills("SKIPME yes", [false, true, true]);
    assert_kills("SKIPME no", [true, true, true]);
    assert_kills("ID 1", [false, false, false]);
    assert_kills("ID 1 SKIPME no", [true, false, false]);
    assert_kills("MAXAGE 3600", [false, false, false]);
}

#[test]
fn kill_needs_all_filters_to_match() {
    assert_kills("ID 2 TYPE normal", [false, true, false]);
    assert_kills("ID 2 TYPE pubsub", [false, false, false]);
    assert_kills(
        "ADDR {addr} LADDR {laddr} USER default",
        [false, true, false],
    );
    assert_kills("ADDR {addr} ID 3", [false, false, false]);
    assert_kills("TYPE normal SKIPME no", [true, true, false]);
    // The last option of a kind holds.
    assert_kills("SKIPME no SKIPME yes", [false, true, true]);
}

#[test]
fn invalid_kill_filter_closes_no_client() {
    let server = TestServer::start(1);
    let (mut killer, mut other) = (server.connect(), server.connect());
    for (options, reply) in [
        ("ID 2 TYPE", SYNTAX),
        ("ID 0", "-ERR client-id should be greater than 0\r\n"),
        ("ID x", "-ERR client-id should be greater than 0\r\n"),
        ("MAXAGE 0", "-ERR maxage should be greater than 0\r\n"),
        ("TYPE x", "-ERR Unknown client type 'x'\r\n"),
        ("USER x", "-ERR No such user 'x'\r\n"),
        ("SKIPME maybe", SYNTAX),
        ("NONSENSE 1", SYNTAX),
        ("ID 2 NONSENSE 1", SYNTAX),
    ] {
        killer.ask(format!("CLIENT KILL {options}\r\n"), reply);
    }
    killer.ask(
        "CLIENT KILL\r\n",
        "-ERR wrong number of arguments for 'client|kill' command\r\n",
    );
    other.ping();
}

#[test]
fn self_kill_is_answered_and_ends_the_batch() {
    let server = TestServer::start(1);
    let mut other = server.connect();
    for (request, reply) in [
        ("CLIENT KILL {addr}", OK),
        ("CLIENT KILL ADDR {addr} SKIPME no", ":1\r\n"),
    ] {
        let mut peer = server.connect();
        let addr = peer.local_addr();
        let request = request.replace("{addr}", &addr.to_string());
        peer.send(format!("{request}\r\nPING\r\n"));
        peer.expect(reply);
        peer.expect_end();
        assert_eq!(list(&mut other, "").len(), 1);
    }
}

#[test]
fn write_blocked_client_is_killed() {
    let server = TestServer::with(blocks_early(), Commands::builtin());
    let (mut deaf, mut killer) = (server.connect(), server.connect());
    deaf.ping();
    deaf.send_until_stuck(&request(&[b"ECHO", &[b'x'; 10_000]]), &mut killer);
    killer.ask("CLIENT KILL ID 1\r\n", ":1\r\n");
    wait_until_gone(&mut killer, 1);
}

#[test]
fn killed_queued_client_has_no_request_run() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(1), commands);
    let mut busy = gate.busy_client(server.addr);
    let (mut killer, mut queued) = (connect_to_busy(&server), connect_to_busy(&server));
    killer.send("CLIENT KILL ID 4\r\n");
    queued.send("PING\r\n");
    gate.let_one_through();
    busy.expect("+OPEN\r\n");
    killer.expect(":1\r\n");
    expect_closed(&mut queued);
}

#[test]
fn client_in_a_handler_is_killed_when_the_handler_returns() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(2), commands);
    let (mut busy, mut killer) = (server.connect(), server.connect());
    busy.ping();
    busy.send("GATE\r\n");
    gate.wait_for_start();
    killer.ask("CLIENT KILL ID 1\r\n", ":1\r\n");
    // The client is still listed: its worker is in the handler.
    assert_eq!(field(&line(&mut killer, 1), "cmd"), "gate");
    gate.let_one_through();
    wait_until_gone(&mut killer, 1);
    busy.expect("+OPEN\r\n");
    busy.expect_end();
}

#[test]
fn killed_client_frees_its_slot() {
    let limited = Config {
        maxclients: 2,
        ..config(1)
    };
    let server = TestServer::with(limited, Commands::builtin());
    let mut killer = server.connect();
    for round in 2..20 {
        let mut victim = server.connect();
        victim.ping();
        killer.ask(format!("CLIENT KILL ID {round}\r\n"), ":1\r\n");
        victim.expect_end();
        // The slot is freed before the socket is closed.
        assert_eq!(killer.info("clients", "connected_clients", ""), Some(1));
    }
}

#[test]
fn kill_maxage_spares_younger_clients() {
    let server = TestServer::start(1);
    let (mut old, mut killer) = (server.connect(), server.connect());
    old.ping();
    eventually("it is two seconds old", || {
        number(&line(&mut killer, 1), "age") >= 2
    });
    let start = Instant::now();
    let mut new = server.connect();
    new.ping();
    let age = number(&line(&mut killer, 1), "age");
    assert!(number(&line(&mut killer, 3), "age") < age);
    let count = killer.answer(&format!("CLIENT KILL MAXAGE {age}"));
    old.expect_end();
    // Within a second, the coarse clock advances by one at most.
    if start.elapsed() < Duration::from_secs(1) {
        assert_eq!(count, "1");
        new.ping();
    }
}
