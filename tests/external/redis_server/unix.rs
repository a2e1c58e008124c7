//! Clients of a Unix socket.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use respool_testing::process::Process;
use respool_testing::redis_server::redis_command;
use respool_testing::target::program;
use respool_testing::{Peer, Scratch, eventually};

#[test]
fn unix_clients_are_shown_as_by_redis() {
    let Some(mut redis) = redis_command() else {
        return;
    };
    redis.args(["--port", "0", "--save", ""]);
    let mut respool = Command::new(program());
    respool.args(["--bind", "", "--workers", "1"]);
    assert_eq!(shown_by(respool), shown_by(redis));
}

/// Starts a server, and returns what it replies to clients of its Unix socket.
fn shown_by(mut command: Command) -> Vec<Vec<String>> {
    let folder = Scratch::for_sockets();
    // A relative path, which both servers show as it is.
    command.current_dir(folder.path());
    command.args(["--unixsocket", "a socket", "--unixsocketperm", "0750"]);
    command.args(["--slowlog-log-slower-than", "0"]);
    command.args(["--enable-debug-command", "local"]);
    let server = Process::start(&mut command);
    let path = folder.path().join("a socket");
    eventually("it listens", || UnixStream::connect(&path).is_ok());
    let mut shown = replies(&path);
    // With an open client, so that each has something to close.
    let _client = Peer::connect_to_file(&path);
    server.signal("TERM");
    eventually("it stops", || UnixStream::connect(&path).is_err());
    eventually("the file goes", || !path.exists());
    shown.push(vec!["the file is removed".into()]);
    shown
}

fn replies(path: &Path) -> Vec<Vec<String>> {
    let (mut peer, mut monitor) = (Peer::connect_to_file(path), Peer::connect_to_file(path));
    let mut shown = Vec::new();
    for request in REQUESTS {
        let mut leaves = peer.answers(request);
        if request.starts_with("CLIENT INFO") {
            let fields = leaves[0].split([' ', '\n']);
            let is_compared = |field: &&str| {
                let name = field.split('=').next().unwrap_or_default();
                ["addr", "laddr", "flags"].contains(&name)
            };
            leaves = fields.filter(is_compared).map(str::to_owned).collect();
        }
        if request.starts_with("SLOWLOG GET") {
            // The number, the time and the duration differ.
            leaves.drain(..3);
            leaves.retain(|leaf| !leaf.starts_with("... (waited "));
        }
        // CONFIG GET of several has no order.
        leaves.sort();
        shown.push(leaves);
    }
    monitor.ask("MONITOR\r\n", "+OK\r\n");
    peer.ping();
    let line = monitor.line();
    let (_time, line) = line.split_once(' ').expect("a time");
    shown.push(vec![line.to_owned()]);
    shown.push(peer.answers(r#"CLIENT KILL ADDR "a socket:1""#));
    shown.push(peer.answers(r#"CLIENT KILL LADDR "a socket:0""#));
    monitor.expect_end();
    shown
}

const REQUESTS: &[&str] = &[
    "CLIENT INFO",
    "CLIENT NO-EVICT on",
    "SUBSCRIBE a",
    "UNSUBSCRIBE",
    "CLIENT INFO",
    "CLIENT TRACKING on",
    "CLIENT INFO",
    "SLOWLOG GET 1",
    "CONFIG GET unixsocket",
    "CONFIG GET unixsocketp*",
    "CONFIG SET unixsocket other",
    "CONFIG SET unixsocketperm 700",
    "CONFIG SET unixsocketperm x",
    "DEBUG SLEEP 0",
];
