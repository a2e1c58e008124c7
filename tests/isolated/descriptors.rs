//! Out of file descriptors. A process of its own, because it uses them up.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use respool_testing::{PATIENCE, Peer, TestServer};
use socket2::{Domain, Socket, Type};

/// Returns the CPU time of this process in seconds.
fn processor_time_s(stat: &File) -> f64 {
    let mut text = [0; 1024];
    let count = stat.read_at(&mut text, 0).expect("an open file");
    let text = String::from_utf8_lossy(&text[..count]);
    let (_, fields) = text
        .rsplit_once(')')
        .expect("the program's name in brackets");
    let fields: Vec<_> = fields.split_whitespace().collect();
    // utime and stime of proc_pid_stat(5), counted from the field after the name, in ticks of 10
    // ms.
    let ticks = fields[11..=12]
        .iter()
        .map(|ticks| ticks.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / 100.0
}

#[test]
fn server_without_descriptors_refuses_then_recovers() {
    let server = TestServer::start(2);
    let mut old = server.connect();
    old.ping();
    let stat = File::open("/proc/self/stat").expect("a descriptor is left");
    // A low limit is reached soon.
    rlimit::Resource::NOFILE
        .set(400, 4096)
        .expect("a limit can be lowered");
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor is left");
    let sockets: Vec<_> = (0..200).map(|_| socket()).collect();
    let mut hoard = Vec::new();
    while let Ok(file) = stat.try_clone() {
        hoard.push(file);
    }

    let before = processor_time_s(&stat);
    let began = Instant::now();
    // Kept open: the server could use their descriptors.
    let mut peers = Vec::new();
    for socket in sockets {
        socket
            .connect(&server.addr.into())
            .expect("there is room in the backlog");
        let mut peer: Peer = Peer {
            socket: socket.into(),
        };
        peer.socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a TCP socket");
        peer.send("PING\r\n");
        peer.expect("-ERR max number of clients reached: no descriptor is left\r\n");
        peer.end_sending();
        peer.expect_end();
        peers.push(peer);
    }
    // The server is idle meanwhile.
    while began.elapsed() < Duration::from_secs(1) {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let used = processor_time_s(&stat) - before;
    assert!(
        used < 0.5,
        "for 200 refusals and a second's rest, {used} s of work"
    );
    old.ping();

    hoard.clear();
    server.connect().ping();
    old.send("INFO stats\r\n");
    let length: usize = old.line()[1..].parse().expect("a length");
    let info = String::from_utf8(old.bytes(length + 2)).expect("text");
    let field = format!("closed_refused_no_descriptor:{}\r\n", peers.len());
    assert!(info.contains(&field), "{info}");
}
