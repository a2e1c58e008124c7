//! Out of file descriptors. A test of its own, because it uses up those of the whole process.

mod common;

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use common::TestServer;
use socket2::{Domain, Socket, Type};

/// Seconds of processor time that this process has used, all its threads together.
fn processor_time_s(stat: &File) -> f64 {
    let mut text = [0; 1024];
    let count = stat.read_at(&mut text, 0).expect("an open file");
    let text = String::from_utf8_lossy(&text[..count]);
    let (_, fields) = text
        .rsplit_once(')')
        .expect("the program's name in brackets");
    let fields: Vec<_> = fields.split_whitespace().collect();
    // utime and stime of proc_pid_stat(5), counted from behind the name, in ticks of 10 ms.
    let ticks = fields[11..=12]
        .iter()
        .map(|ticks| ticks.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / 100.0
}

#[test]
#[cfg(target_os = "linux")]
fn a_server_without_descriptors_neither_ends_nor_spins_and_serves_again_when_it_has_some() {
    let server = TestServer::start(2);
    let mut old = server.connect();
    old.ping();
    let stat = File::open("/proc/self/stat").expect("a descriptor is left");
    // So that they are soon used up.
    rlimit::Resource::NOFILE
        .set(200, 4096)
        .expect("a limit can be lowered");
    let waiting = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor is left");
    let mut hoard = Vec::new();
    while let Ok(file) = stat.try_clone() {
        hoard.push(file);
    }

    // The kernel completes the connection; the acceptor cannot.
    waiting
        .connect(&server.addr.into())
        .expect("there is room in the backlog");
    let before = processor_time_s(&stat);
    let mut waiting = common::Peer {
        socket: waiting.into(),
    };
    waiting.send("PING\r\n");
    waiting
        .socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("a TCP socket");
    let error = waiting
        .socket
        .peek(&mut [0])
        .expect_err("nobody can have accepted it");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let used = processor_time_s(&stat) - before;
    assert!(used < 0.2, "in one second of waiting, {used} s of work");
    old.ping();

    hoard.clear();
    waiting
        .socket
        .set_read_timeout(Some(common::PATIENCE))
        .expect("a TCP socket");
    waiting.expect("+PONG\r\n");
    server.connect().ping();
}
