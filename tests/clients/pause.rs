//! CLIENT PAUSE and UNPAUSE.

use std::time::{Duration, Instant};

use respool::{Commands, Config};
use respool_testing::{Peer, TestServer, config, eventually};

use crate::{AN_HOUR, OK, expect_closed, field, line, number, wait_for, wait_until_gone};

/// Returns a server with one worker, a client that has paused the others for an hour, and client 2,
/// which is paused.
fn paused(mode: &str) -> (TestServer, Peer, Peer) {
    let server = TestServer::start(1);
    let (mut pauser, mut other) = (server.connect(), server.connect());
    pauser.ping();
    other.ping();
    pauser.ask(format!("CLIENT PAUSE {AN_HOUR} {mode}\r\n"), OK);
    (server, pauser, other)
}

/// Waits until the client is parked because of a pause.
#[track_caller]
fn wait_until_paused(watcher: &mut Peer, id: u64) {
    wait_for(watcher, id, &[("flags", "b")]);
}

#[test]
fn ping_of_another_client_waits_until_the_pause_ends() {
    let server = TestServer::start(2);
    let (mut pauser, mut other) = (server.connect(), server.connect());
    other.ping();
    let start = Instant::now();
    pauser.ask("CLIENT PAUSE 300\r\n", OK);
    other.ping();
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(300), "{waited:?}");
    // The pause is over for every client.
    wait_for(&mut pauser, 2, &[("flags", "N")]);
    other.ping();
}

#[test]
fn pause_ends_promptly() {
    const ROUNDS: u32 = 10;
    let server = TestServer::start(1);
    let (mut pauser, mut other) = (server.connect(), server.connect());
    let start = Instant::now();
    for _ in 0..ROUNDS {
        pauser.ask("CLIENT PAUSE 10\r\n", OK);
        other.ping();
    }
    // The clock would end a pause once a second.
    let took = start.elapsed();
    assert!(took < Duration::from_secs(1) * ROUNDS / 2, "{took:?}");
}

#[test]
fn any_client_can_unpause() {
    for paused_itself in [false, true] {
        let (server, mut pauser, mut other) = paused("");
        other.send("PING\r\n");
        wait_until_paused(&mut pauser, 2);
        assert_eq!(pauser.info("clients", "blocked_clients", ""), Some(1));
        let mut third = server.connect();
        let word = if paused_itself {
            &mut pauser
        } else {
            &mut third
        };
        word.ask("CLIENT UNPAUSE\r\n", OK);
        other.expect("+PONG\r\n");
        wait_for(&mut pauser, 2, &[("flags", "N")]);
        third.ping();
    }
}

#[test]
fn pausing_client_is_not_paused() {
    let (server, mut pauser, mut other) = paused("");
    pauser.ping();
    pauser.ask("PUBLISH a b\r\nECHO x\r\n", ":0\r\n$1\r\nx\r\n");
    other.send("PING\r\n");
    wait_until_paused(&mut pauser, 2);
    drop(server);
}

#[test]
fn paused_requests_are_answered_in_order() {
    let (_server, mut pauser, mut other) = paused("");
    other.send("ECHO 1\r\nECHO 2\r\n");
    wait_until_paused(&mut pauser, 2);
    // A request in two pieces; the first arrives while the client is parked.
    other.send("ECHO 3\r\nEC");
    other.send("HO 4\r\nPING\r\n");
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    other.expect("$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n+PONG\r\n");
}

// It was counted each time that it was held.
#[test]
fn held_request_counts_once_when_it_is_served() {
    let (_server, mut pauser, mut other) = paused("ALL");
    let count = |pauser: &mut Peer| number(&line(pauser, 2), "tot-cmds");
    other.send("ECHO 1\r\n");
    wait_until_paused(&mut pauser, 2);
    assert_eq!(count(&mut pauser), 1, "the PING before");
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    other.expect("$1\r\n1\r\n");
    // The count is updated at the end of the turn, which may come after the reply.
    eventually("the ECHO is counted", || count(&mut pauser) == 2);
}

#[test]
fn write_pause_holds_only_publish() {
    let (server, mut pauser, mut other) = paused("WRITE");
    let mut subscriber = server.connect();
    subscriber.answers("SUBSCRIBE a");
    other.ping();
    other.send("PING\r\nPUBLISH a b\r\nPING\r\n");
    other.expect("+PONG\r\n");
    wait_until_paused(&mut pauser, 2);
    // Only requests after the PUBLISH wait with it.
    server.connect().ping();
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    other.expect(":1\r\n+PONG\r\n");
    assert_eq!(subscriber.leaves(), ["message", "a", "b"]);
}

#[test]
fn pause_of_all_is_not_weakened_by_a_write_pause() {
    let (_server, mut pauser, mut other) = paused("ALL");
    pauser.ask("CLIENT PAUSE 1 WRITE\r\n", OK);
    other.send("PING\r\n");
    wait_until_paused(&mut pauser, 2);
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    other.expect("+PONG\r\n");
}

#[test]
fn write_pause_becomes_a_pause_of_all() {
    let (_server, mut pauser, mut other) = paused("WRITE");
    other.ping();
    pauser.ask("CLIENT PAUSE 1\r\n", OK);
    other.send("PING\r\n");
    wait_until_paused(&mut pauser, 2);
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    other.expect("+PONG\r\n");
}

#[test]
fn longer_of_two_pauses_holds() {
    for first_is_longer in [true, false] {
        let server = TestServer::start(1);
        let (mut pauser, mut other) = (server.connect(), server.connect());
        other.ping();
        let mut lengths = [400, 1];
        if !first_is_longer {
            lengths.reverse();
        }
        let start = Instant::now();
        for length in lengths {
            pauser.ask(format!("CLIENT PAUSE {length}\r\n"), OK);
        }
        other.ping();
        let waited = start.elapsed();
        assert!(waited >= Duration::from_millis(400), "{waited:?}");
    }
}

#[test]
fn dispatch_errors_are_answered_during_a_pause() {
    let (_server, mut pauser, mut other) = paused("");
    other.ask(
        "NONSENSE\r\n",
        "-ERR unknown command 'NONSENSE', with args beginning with: \r\n",
    );
    other.ask(
        "ECHO\r\n",
        "-ERR wrong number of arguments for 'echo' command\r\n",
    );
    other.send("PING\r\nNONSENSE\r\n");
    wait_until_paused(&mut pauser, 2);
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    other.expect("+PONG\r\n-ERR unknown command 'NONSENSE', with args beginning with: \r\n");
}

#[test]
fn input_of_a_paused_client_stays_in_its_socket() {
    let (_server, mut pauser, mut other) = paused("");
    let ping = b"*1\r\n$4\r\nPING\r\n";
    let sent = other.send_until_stuck(&ping.repeat(1000), &mut pauser);
    let seen = line(&mut pauser, 2);
    // One read.
    let held = number(&seen, "qbuf");
    assert!(0 < held && held <= 128 * 1024, "{seen}");
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    other.expect("+PONG\r\n".repeat(sent / ping.len()));
    other.ask(&ping[sent % ping.len()..], "+PONG\r\n");
    other.ping();
}

#[test]
fn messages_reach_subscribers_during_a_pause() {
    let server = TestServer::start(1);
    let (mut pauser, mut subscriber) = (server.connect(), server.connect());
    subscriber.answers("SUBSCRIBE a");
    pauser.ask(format!("CLIENT PAUSE {AN_HOUR}\r\n"), OK);
    pauser.ask("PUBLISH a one\r\n", ":1\r\n");
    assert_eq!(subscriber.leaves(), ["message", "a", "one"]);
    subscriber.send("PING\r\n");
    eventually("its PING waits", || {
        field(&line(&mut pauser, 2), "flags") == "Pb"
    });
    pauser.ask("PUBLISH a two\r\n", ":1\r\n");
    assert_eq!(subscriber.leaves(), ["message", "a", "two"]);
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    assert_eq!(subscriber.leaves(), ["pong", ""]);
}

#[test]
fn drain_answers_paused_requests_in_time() {
    let (server, mut pauser, mut other) = paused("");
    let mut quiet = server.connect();
    other.send("PING\r\nPING\r\n");
    wait_until_paused(&mut pauser, 2);
    let start = Instant::now();
    assert_eq!(server.drain().aborted, 0);
    // The default of `drain-timeout-ms` is 1 s; the rest allows for a busy machine.
    assert!(start.elapsed() < Duration::from_secs(10));
    other.expect("+PONG\r\n+PONG\r\n");
    other.expect_end();
    quiet.expect_end();
    pauser.expect_end();
}

#[test]
fn paused_client_is_killed() {
    let (_server, mut pauser, mut other) = paused("");
    other.send("PING\r\n");
    wait_until_paused(&mut pauser, 2);
    pauser.ask("CLIENT KILL ID 2\r\n", ":1\r\n");
    other.expect_end();
    wait_until_gone(&mut pauser, 2);
    assert_eq!(pauser.info("clients", "blocked_clients", ""), Some(0));
}

#[test]
fn disconnected_client_is_removed_during_a_pause() {
    for request in ["", "PING\r\n"] {
        let (_server, mut pauser, mut other) = paused("");
        other.send(request);
        if !request.is_empty() {
            wait_until_paused(&mut pauser, 2);
        }
        drop(other);
        wait_until_gone(&mut pauser, 2);
        assert_eq!(pauser.info("clients", "blocked_clients", ""), Some(0));
    }
}

#[test]
fn half_closed_client_is_closed_during_a_pause() {
    let (_server, mut pauser, mut other) = paused("");
    other.send("PING\r\n");
    other.end_sending();
    expect_closed(&mut other);
    wait_until_gone(&mut pauser, 2);
}

#[test]
fn timeout_does_not_close_a_paused_client() {
    let limited = Config {
        timeout_s: 1,
        ..config(1)
    };
    let server = TestServer::with(limited, Commands::builtin());
    let (mut waiting, mut pauser) = (server.connect(), server.connect());
    waiting.ping();
    pauser.ask(format!("CLIENT PAUSE {AN_HOUR}\r\n"), OK);
    waiting.send("PING\r\n");
    wait_until_paused(&mut pauser, 1);
    // The paused client has been parked for longer and is checked first.
    let mut idle = server.connect();
    idle.socket.set_nonblocking(true).expect("a TCP socket");
    eventually("another client is closed", || {
        pauser.ping();
        std::io::Read::read(&mut idle.socket, &mut [0]).is_ok_and(|count| count == 0)
    });
    assert_eq!(field(&line(&mut pauser, 1), "flags"), "b");
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    waiting.expect("+PONG\r\n");
}

#[test]
fn invalid_pause_arguments_are_errors() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    for (words, reply) in [
        ("x", "-ERR timeout is not an integer or out of range\r\n"),
        ("-1", "-ERR timeout is negative\r\n"),
        ("1 READ", "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n"),
        (
            "1 ALL x",
            "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.\r\n",
        ),
    ] {
        peer.ask(format!("CLIENT PAUSE {words}\r\n"), reply);
    }
    peer.ask("CLIENT UNPAUSE\r\n", OK);
    server.connect().ping();
}

/// AUTH was paused, although the client had come to end the pause.
#[test]
fn auth_is_not_paused() {
    let server = TestServer::with(
        Config {
            requirepass: Some("secret".into()),
            ..config(1)
        },
        Commands::builtin(),
    );
    let mut pauser = server.connect();
    pauser.ask("AUTH secret\r\n", "+OK\r\n");
    pauser.ask("CLIENT PAUSE 3600000\r\n", "+OK\r\n");
    let mut other = server.connect();
    other.ask("HELLO 2 AUTH default wrong\r\n", WRONGPASS);
    other.ask("AUTH secret\r\n", "+OK\r\n");
    other.ask("CLIENT SETINFO LIB-NAME any\r\n", "+OK\r\n");
    other.send("PING\r\n");
    let mut third = server.connect();
    third.ask("AUTH secret\r\n", "+OK\r\n");
    third.ask("CLIENT UNPAUSE\r\n", "+OK\r\n");
    other.expect("+PONG\r\n");
}

const WRONGPASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";

/// Clients that left during a pause kept their slots until it ended.
#[test]
fn pause_keeps_no_slots_of_closed_clients() {
    let server = TestServer::with(
        Config {
            maxclients: 3,
            ..config(2)
        },
        Commands::builtin(),
    );
    let mut pauser = server.connect();
    pauser.ask("CLIENT PAUSE 3600000\r\n", "+OK\r\n");
    for _ in 0..10 {
        let mut left = server.connect();
        left.send("PING\r\n");
        drop(left);
        eventually("the client is gone", || {
            pauser.send("CLIENT LIST\r\n");
            let length: usize = pauser.line()[1..].parse().expect("a length");
            let list = String::from_utf8(pauser.bytes(length + 2)).expect("text");
            list.lines().filter(|line| line.contains("id=")).count() == 1
        });
    }
}
