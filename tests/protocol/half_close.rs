//! Clients that send FIN, RST or garbage, and clients that read in bursts.

use std::io::Write;
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use respool_testing::TestServer;

#[test]
fn half_closed_peer_gets_its_reply() {
    let server = TestServer::start(1);
    for _ in 0..100 {
        let mut peer = server.connect();
        peer.send("PING\r\n");
        peer.end_sending();
        peer.expect("+PONG\r\n");
        peer.expect_end();
    }
}

#[test]
fn half_closed_peer_gets_all_pending_output() {
    let server = TestServer::start(1);
    let message = vec![b'x'; 100_000];
    let request = [
        b"*2\r\n$4\r\nECHO\r\n$100000\r\n",
        message.as_slice(),
        b"\r\n",
    ]
    .concat();
    let reply = [b"$100000\r\n", message.as_slice(), b"\r\n"].concat();
    let mut peer = server.connect();
    let mut writer = peer.socket.try_clone().expect("a descriptor is left");
    let writing = thread::spawn(move || {
        for _ in 0..300 {
            writer
                .write_all(&request)
                .expect("the server takes the requests");
        }
        writer
            .shutdown(Shutdown::Write)
            .expect("a connected socket");
    });
    // Nothing is read before the server can send no more.
    server.connect().ping();
    for _ in 0..300 {
        peer.expect(&reply);
    }
    peer.expect_end();
    writing.join().expect("everything was sent");
}

#[test]
fn incomplete_request_before_fin_is_ignored() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.send("PING\r\n*1\r\n$4\r\nPI");
    peer.end_sending();
    peer.expect("+PONG\r\n");
    peer.expect_end();
}

#[test]
fn protocol_error_arrives_before_unread_megabytes() {
    let server = TestServer::start(2);
    for _ in 0..10 {
        let mut peer = server.connect();
        let mut writer = peer.socket.try_clone().expect("a descriptor is left");
        let writing = thread::spawn(move || {
            let _ = writer.write_all(b"*1\r\n!4\r\n");
            for _ in 0..4 {
                let _ = writer.write_all(&vec![b'x'; 1 << 20]);
            }
            let _ = writer.shutdown(Shutdown::Write);
        });
        peer.expect("-ERR Protocol error: expected '$', got '!'\r\n");
        peer.expect_end();
        writing.join().expect("the thread does not panic");
    }
}

#[test]
fn resets_and_silent_connections_change_nothing() {
    let server = TestServer::start(2);
    for round in 0..300 {
        let mut peer = server.connect();
        match round % 6 {
            0 => {}
            1 => peer.send("PING\r\n"),
            2 => peer.send("*1\r\n$4\r\nPI"),
            3 => _ = peer.ping(),
            4 => peer.send("PING\r\n".repeat(5000)),
            _ => peer.send("QUIT\r\n"),
        }
        if round % 2 == 0 {
            peer.reset();
        } else {
            drop(peer);
        }
    }
    server.connect().ping();
    // The server has closed each of them, in order.
    let drained = server.drain();
    assert_eq!(drained.aborted, 0);
}

#[test]
fn bursty_reader_gets_every_reply() {
    let server = TestServer::start(1);
    let replies = b"-ERR unknown command 'x', with args beginning with: \r\n".repeat(1000);
    let mut peer = server.connect();
    let mut writer = peer.socket.try_clone().expect("a descriptor is left");
    let writing = thread::spawn(move || {
        for _ in 0..200 {
            writer
                .write_all(&b"x\n".repeat(1000))
                .expect("the server takes the requests");
        }
    });
    for round in 0..200 {
        if round % 8 == 0 {
            // Meanwhile the server is blocked. A burst makes room.
            thread::park_timeout(Duration::from_millis(2));
        }
        peer.expect(&replies);
    }
    writing.join().expect("everything was sent");
    peer.ping();
}
