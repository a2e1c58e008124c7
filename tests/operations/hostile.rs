//! Clients of the operations listener that mean no good.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use respool::Commands;
use respool_testing::http::{Answer, get};
use respool_testing::{Peer, config, eventually};

use crate::Operated;

/// As long as a connection may last.
const TIME_MAX: Duration = Duration::from_secs(5);

const REQUEST: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn silent_and_half_requests_delay_no_scrape() {
    let operated = Operated::start(1);
    let connect = |bytes: &str| {
        let mut peer = Peer::connect(operated.http);
        peer.send(bytes);
        peer
    };
    let peers: Vec<_> = (0..100)
        .map(|number| connect(if number % 2 == 0 { "" } else { &REQUEST[..30] }))
        .collect();
    for _ in 0..10 {
        let began = Instant::now();
        assert_eq!(get(operated.http, "/metrics").status, 200);
        // Far below the time after which the silent ones are closed.
        assert!(began.elapsed() < TIME_MAX / 2, "{:?}", began.elapsed());
    }
    // They are no clients.
    let mut client = operated.server.connect();
    assert_eq!(client.count("connected_clients"), 1);
    assert_eq!(client.count("total_connections_received"), 1);
    drop(peers);
}

#[test]
fn late_requests_are_closed() {
    let operated = Operated::start(1);
    let began = Instant::now();
    let mut silent = Peer::connect(operated.http);
    let mut slow = Peer::connect(operated.http);
    slow.send(&REQUEST[..20]);
    silent.expect_end();
    slow.expect_end();
    assert!(began.elapsed() >= TIME_MAX);
}

#[test]
fn oldest_without_an_answer_makes_room() {
    let operated = Operated::start(1);
    let mut oldest = Peer::connect(operated.http);
    oldest.send("GET");
    let mut others: Vec<_> = (0..63).map(|_| Peer::connect(operated.http)).collect();
    let began = Instant::now();
    // There is room for 64, and this is one more.
    others.push(Peer::connect(operated.http));
    assert_eq!(oldest.rest_or(1), "");
    assert!(began.elapsed() < TIME_MAX / 2, "{:?}", began.elapsed());
    for mut other in others {
        other.send(REQUEST);
        assert_eq!(Answer::parse(other.rest()).status, 200);
    }
}

#[test]
fn one_address_keeps_no_other_out() {
    let operated = Operated::start(1);
    // Its request takes long to arrive.
    let mut far = Peer::connect(operated.http);
    far.send(&REQUEST[..20]);
    let flood: Vec<_> = (0..200)
        .map(|_| Peer::connect_from([127, 0, 0, 2], operated.http))
        .collect();
    far.send(&REQUEST[20..]);
    assert_eq!(Answer::parse(far.rest()).status, 200);
    drop(flood);
}

#[test]
fn peers_that_do_not_read_delay_no_scrape() {
    // So many commands that an answer does not fit into the buffers of its socket.
    let commands = respool_testing::builtin_and(|commands| {
        for number in 0..300 {
            let name = format!("COMMAND-{number}");
            commands.register(&name, respool::Arity::AtLeast(1), |_, _, reply| {
                reply.simple("OK")
            });
        }
    });
    let operated = Operated::with(config(1), commands);
    let mut client = operated.server.connect();
    for number in 0..300 {
        client.ask(format!("COMMAND-{number}\r\n"), "+OK\r\n");
    }
    let deaf: Vec<_> = (0..20)
        .map(|_| {
            let mut peer = Peer::connect_with_small_buffer(operated.http);
            peer.send(REQUEST);
            peer
        })
        .collect();
    let began = Instant::now();
    let answer = get(operated.http, "/metrics");
    assert!(began.elapsed() < TIME_MAX, "{:?}", began.elapsed());
    let calls: u64 = answer.sample("redis_commands_total{cmd=\"command-299\"}");
    assert_eq!(calls, 1);
    drop(deaf);
}

#[test]
fn endless_senders_are_closed() {
    let operated = Operated::start(1);
    let mut peer = Peer::connect(operated.http);
    peer.send(REQUEST);
    let began = Instant::now();
    eventually("the peer is closed", || {
        peer.socket.write_all(&[b'x'; 4096]).is_err()
    });
    assert!(began.elapsed() < TIME_MAX * 2);
    assert_eq!(get(operated.http, "/livez").status, 200);
}

/// After its answer the listener discards a limited amount of input. Then the peer's writes block,
/// so it reads.
#[test]
fn answer_arrives_whatever_the_peer_goes_on_sending() {
    let operated = Operated::start(1);
    let mut peer = Peer::connect_with_small_buffer(operated.http);
    peer.send(REQUEST);
    let socket = &peer.socket;
    let until_stuck = Some(Duration::from_millis(200));
    socket.set_write_timeout(until_stuck).expect("a TCP socket");
    let is_stuck = loop {
        if let Err(error) = (&peer.socket).write(&[b'x'; 4096]) {
            break error.kind() == ErrorKind::WouldBlock;
        }
    };
    assert!(is_stuck, "the connection was reset");
    let answer = Answer::parse(peer.rest());
    let length = answer
        .header("content-length")
        .and_then(|length| length.parse().ok());
    assert_eq!((answer.status, Some(answer.body.len())), (200, length));
}

#[test]
fn requests_log_nothing() {
    respool_testing::log::collect();
    let operated = Operated::with(config(1), Commands::builtin());
    let began = Instant::now();
    let mut peer = Peer::connect(operated.http);
    let addr = peer.local_addr().to_string();
    peer.send("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(Answer::parse(peer.rest()).status, 404);
    let line = respool_testing::log::find(began, |line| line.contains(&addr));
    assert_eq!(line, None);
}
