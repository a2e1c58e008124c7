//! Close reasons: INFO counts each one, and the log has it.

use std::io::Read;
use std::net::TcpStream;
use std::process::Command;

use respool::{Arity, Commands, Replied};
use respool_testing::process::Respool;
use respool_testing::target::program;
use respool_testing::{PATIENCE, Peer, config, eventually};

use respool_testing::{echo, log};

use crate::Watched;

#[test]
fn each_close_reason_is_counted_and_logged() {
    let mut commands = Commands::builtin();
    commands.register("PANIC", Arity::Exactly(1), |_, _, _| -> Replied {
        panic!("on purpose")
    });
    let mut watched = Watched::with(config(2), commands);
    let closed = |watched: &mut Watched, peer: Peer, field, why| {
        let addr = peer.local_addr();
        drop(peer);
        watched.closes(addr, field, 1, why);
    };

    let mut peer = watched.connect();
    peer.ping();
    closed(
        &mut watched,
        peer,
        "peer_left",
        "the peer closed the connection",
    );

    let mut peer = watched.connect();
    peer.ping();
    let addr = peer.local_addr();
    peer.reset();
    let why = "Connection reset by peer (os error 104)";
    watched.closes(addr, "connection_failed", 1, why);

    let mut peer = watched.connect();
    peer.ask("QUIT\r\n", "+OK\r\n");
    peer.expect_end();
    closed(&mut watched, peer, "quit", "it asked to be closed");

    let mut peer = watched.connect();
    peer.ask(
        "PING \"\r\n",
        "-ERR Protocol error: unbalanced quotes in request\r\n",
    );
    let why = "protocol error: unbalanced quotes in request";
    closed(&mut watched, peer, "protocol_error", why);

    let mut peer = watched.connect();
    peer.send("POST / HTTP/1.1\r\nHost: here\r\n\r\n");
    let _ = peer.socket.read(&mut [0; 100]);
    closed(&mut watched, peer, "http", "it sent an HTTP request");

    let mut peer = watched.connect();
    peer.ask("\x16\x03\x01\x02\0", "\x15\x03\x01\0\x02\x02\x28");
    peer.expect_end();
    closed(&mut watched, peer, "tls", "it sent a TLS handshake");

    let mut peer = watched.connect();
    peer.ask("PANIC\r\n", "-ERR internal error: see the server's log\r\n");
    let why = "a handler panicked";
    closed(&mut watched, peer, "handler_panicked", why);

    let mut peer = watched.connect();
    let id = peer.id();
    let kill = format!("CLIENT KILL ID {id}\r\n");
    watched.control.ask(kill, ":1\r\n");
    peer.expect_end();
    closed(&mut watched, peer, "killed", "CLIENT KILL");

    watched.counts("connected_clients", 1);
    watched.counts("closed_peer_left", 1);
    let Watched {
        server,
        control,
        start,
    } = watched;
    let close = format!("({}) closed after ", control.local_addr());
    assert_eq!(server.drain().aborted, 0);
    let is_wanted = |line: &str| line.contains(&close) && line.ends_with("the server drains");
    assert!(log::find(start, is_wanted).is_some(), "no line {close:?}");
}

/// The timeout of a lingering close is not a reason of its own.
#[test]
fn lingering_client_is_counted_once() {
    let mut watched = Watched::start(config(2));
    let mut stubborn = watched.connect();
    stubborn.ask("QUIT\r\n", "+OK\r\n");
    stubborn.expect_end();
    let why = "it asked to be closed";
    watched.closes(stubborn.local_addr(), "quit", 1, why);
}

fn respool(args: &[&str]) -> Respool {
    let mut command = Command::new(program());
    command.args(["--workers", "2"]).args(args);
    Respool::run(&mut command, PATIENCE)
}

#[test]
fn busy_worker_is_logged_once_with_client_and_command() {
    let server = respool(&["--enable-debug-command", "local"]);
    let mut peer = server.connect();
    let id = peer.id();
    peer.ask("DEBUG SLEEP 0\r\n", "+OK\r\n");
    // Long enough for three checks by the clock.
    peer.ask("DEBUG SLEEP 4\r\n", "+OK\r\n");
    let addr = peer.local_addr();
    let log = server.stop();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("busy with one client"))
        .filter(|line| line.contains(&format!("client {id} ({addr}), command debug")))
        .collect();
    let [line] = lines[..] else {
        panic!("not one line but {}: {log}", lines.len());
    };
    assert!(line.contains(" [warning] worker-"), "{line}");
}

#[test]
fn exit_code_tells_whether_every_reply_was_sent() {
    for (reads, code, words) in [
        (true, 0, "[notice] stopped: every reply was sent"),
        (
            false,
            3,
            "[warning] stopped: drain-timeout-ms ran out; clients aborted: 1",
        ),
    ] {
        let server = respool(&["--drain-timeout-ms", if reads { "30000" } else { "300" }]);
        let mut peer = Peer::connect_with_small_buffer(server.addr);
        let (request, reply) = echo(&"x".repeat(8 << 20));
        peer.send(request);
        let mut control = server.connect();
        eventually("replies are pending", || {
            control.count("client_recent_max_output_buffer") > 0
        });
        drop(control);
        server.signal("TERM");
        if reads {
            peer.expect(reply);
            peer.expect_end();
            drop(peer);
        } else {
            eventually("the server is gone", || {
                TcpStream::connect(server.addr).is_err()
            });
        }
        let ended = server.ended(PATIENCE);
        assert_eq!(ended.status.code(), Some(code), "{}", ended.stdout);
        let last = ended.stdout.lines().last().unwrap_or_default();
        assert!(last.ends_with(words), "{last}");
    }
}
