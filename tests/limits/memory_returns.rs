//! Memory returns to the system when clients need it no more, although another client stays.

use std::fmt::Write as _;
use std::process::Command;

use respool_testing::process::Respool;
use respool_testing::target::program;
use respool_testing::{Peer, eventually};

const MIB: u64 = 1024 * 1024;

fn respool() -> Respool {
    let mut command = Command::new(program());
    command.args(["--workers", "2"]);
    Respool::run_beside_others(&mut command)
}

fn resident_bytes(control: &mut Peer) -> u64 {
    control.count("used_memory_rss")
}

/// Returns a request with these arguments.
fn request(name: &str, words: impl ExactSizeIterator<Item = String>) -> String {
    let mut request = format!("*{}\r\n${}\r\n{name}\r\n", words.len() + 1, name.len());
    for word in words {
        write!(request, "${}\r\n{word}\r\n", word.len()).expect("a string takes all");
    }
    request
}

/// Reads until `last` has arrived.
fn read_past(peer: &mut Peer, last: &str) {
    use std::io::Read;
    let mut end = Vec::new();
    let mut piece = vec![0; 1 << 20];
    while !end.ends_with(last.as_bytes()) {
        let count = peer.socket.read(&mut piece).expect("the server answers");
        assert!(count > 0, "the server closed");
        end.extend_from_slice(&piece[..count]);
        end.drain(..end.len().saturating_sub(last.len()));
    }
}

#[test]
fn memory_returns_after_clients_with_subscriptions_leave() {
    const CLIENTS: usize = 10;
    const CHANNELS: usize = 20_000;
    let server = respool();
    let mut control = server.connect();
    let before = resident_bytes(&mut control);
    let mut peers: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for (number, peer) in peers.iter_mut().enumerate() {
        let names = (0..CHANNELS).map(|channel| format!("channel-{number}-{channel}"));
        peer.send(request("SUBSCRIBE", names));
        read_past(peer, &format!(":{CHANNELS}\r\n"));
    }
    let mut stays = server.connect();
    stays.send("SUBSCRIBE stays\r\n");
    read_past(&mut stays, ":1\r\n");
    let most = resident_bytes(&mut control);
    assert!(most > before + 20 * MIB, "{most} after {before} bytes");
    drop(peers);
    eventually("most memory is returned", || {
        resident_bytes(&mut control) < before + 8 * MIB
    });
}

#[test]
fn memory_returns_after_requests_with_many_arguments() {
    const WORDS: usize = 1_000_000;
    let server = respool();
    let mut control = server.connect();
    let before = resident_bytes(&mut control);
    for _ in 0..4 {
        let mut peer = server.connect();
        peer.send(request("UNSUBSCRIBE", (0..WORDS).map(|_| String::new())));
        peer.send("ECHO end\r\n");
        read_past(&mut peer, "$3\r\nend\r\n");
    }
    eventually("most memory is returned", || {
        resident_bytes(&mut control) < before + 8 * MIB
    });
}
