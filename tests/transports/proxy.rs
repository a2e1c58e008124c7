//! The PROXY protocol: `proxy-protocol-from` and `proxy-protocol-timeout`.
//!
//! 127.0.0.2 is the proxy. This needs Linux, where all of 127.0.0.0/8 is the loopback.

#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use respool::{Commands, Config, Server};
use respool_testing::process::Respool;
use respool_testing::{Peer, TestServer, config, eventually};

use crate::start;

const PROXY: [u8; 4] = [127, 0, 0, 2];

/// A header of version 1 that tells 192.0.2.1, which counts as remote.
const REMOTE: &str = "PROXY TCP4 192.0.2.1 192.0.2.2 1000 6379\r\n";

/// Starts a server that takes headers from [`PROXY`], and clients from everywhere.
fn start_behind_proxy(args: &[&str]) -> Respool {
    let always = [
        "--proxy-protocol-from",
        "127.0.0.2",
        "--protected-mode",
        "no",
    ];
    start(&[&always, args].concat())
}

fn from_proxy(server: &Respool) -> Peer {
    Peer::connect_from(PROXY, server.addr)
}

/// Returns a header of version 2 with the TCP addresses of [`REMOTE`], and `tlvs` after them.
fn v2(command: u8, family: u8, tlvs: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 1, 192, 0, 2, 2, 3, 232, 24, 235];
    let length = (addresses.len() + tlvs.len()) as u16;
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let fixed = [command, family];
    [
        signature,
        &fixed[..],
        &length.to_be_bytes(),
        &addresses,
        tlvs,
    ]
    .concat()
}

#[track_caller]
fn assert_listed_as(peer: &mut Peer, addr: &str) {
    let line = peer.answer("CLIENT INFO");
    assert!(line.contains(&format!(" addr={addr} ")), "{line}");
}

#[test]
fn told_address_is_that_of_the_client() {
    let server = start_behind_proxy(&["--slowlog-log-slower-than", "0"]);
    let mut monitor = server.connect();
    monitor.ask("MONITOR\r\n", "+OK\r\n");
    let v6 = "PROXY TCP6 2001:db8::1 2001:db8::2 1000 6379\r\n";
    let whole = vec![0; 4096 - 28];
    let v4 = "192.0.2.1:1000";
    for (header, addr) in [
        (REMOTE.as_bytes(), v4),
        (v6.as_bytes(), "[2001:db8::1]:1000"),
        (&v2(0x21, 0x11, b""), v4),
        (&v2(0x21, 0x11, &whole), v4),
    ] {
        let mut peer = from_proxy(&server);
        peer.send(header);
        assert_listed_as(&mut peer, addr);
        let shown = monitor.line();
        assert!(shown.contains(&format!(" [0 {addr}] ")), "{shown}");
        let slow = peer.answers("SLOWLOG GET 1");
        assert!(slow.iter().any(|part| part.contains(addr)), "{slow:?}");
        let kill = format!("CLIENT KILL {addr}\r\n");
        server.connect().ask(kill, "+OK\r\n");
        peer.expect_end();
    }
    server.stop();
}

#[test]
fn header_may_arrive_with_a_request_or_byte_by_byte() {
    let server = start_behind_proxy(&[]);
    for header in [REMOTE.as_bytes(), &v2(0x21, 0x11, b"\x04\0\x01x")] {
        let mut peer = from_proxy(&server);
        peer.ask([header, b"PING\r\n"].concat(), "+PONG\r\n");
        assert_listed_as(&mut peer, "192.0.2.1:1000");
        let mut peer = from_proxy(&server);
        for byte in header {
            peer.send([*byte]);
            // So that the server reads it alone.
            server.connect().ping();
        }
        peer.ping();
        assert_listed_as(&mut peer, "192.0.2.1:1000");
    }
    let mut peer = from_proxy(&server);
    for byte in v2(0x21, 0x11, &[0; 4096 - 28]) {
        peer.send([byte]);
    }
    peer.ping();
    server.stop();
}

#[test]
fn fin_after_the_header_ends_the_client_in_order() {
    let server = start_behind_proxy(&[]);
    for (request, reply) in [("", ""), ("PING\r\n", "+PONG\r\n")] {
        let mut peer = from_proxy(&server);
        peer.send([REMOTE, request].concat());
        peer.end_sending();
        assert_eq!(peer.rest(), reply.as_bytes());
    }
    let mut control = server.connect();
    eventually("both have left", || control.count("closed_peer_left") == 2);
    server.stop();
}

#[test]
fn second_header_is_a_request() {
    let server = start_behind_proxy(&[]);
    let unknown = "-ERR unknown command 'PROXY', with args beginning with: 'TCP4' '192.0.2.1' \
                   '192.0.2.2' '1000' '6379' \r\n";
    let mut peer = from_proxy(&server);
    peer.ask([REMOTE, REMOTE].concat(), unknown);
    peer.ping();
    server.stop();
}

#[test]
fn header_from_elsewhere_is_a_request() {
    let server = start_behind_proxy(&[]);
    let mut peer = server.connect();
    peer.send(REMOTE);
    let error = peer.line();
    assert!(error.starts_with("-ERR unknown command 'PROXY'"), "{error}");
    let addr = peer.local_addr().to_string();
    assert_listed_as(&mut peer, &addr);
    server.stop();
}

#[test]
fn connection_of_the_proxy_itself_keeps_its_address() {
    let server = start_behind_proxy(&[]);
    for header in [
        b"PROXY UNKNOWN\r\n",
        &b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1000 6379\r\n"[..],
        &v2(0x20, 0x11, b""),
        &v2(0x20, 0, b""),
        // UDP, and a Unix socket.
        &v2(0x21, 0x12, b""),
        &v2(0x21, 0x31, &[b'x'; 204]),
    ] {
        let mut peer = from_proxy(&server);
        peer.send(header);
        let addr = peer.local_addr().to_string();
        assert_listed_as(&mut peer, &addr);
    }
    server.stop();
}

#[test]
fn connection_without_a_valid_header_is_refused() {
    let server = start_behind_proxy(&[]);
    let mut control = server.connect();
    let cases = [
        &b"PING\r\n"[..],
        b"*1\r\n$4\r\nPING\r\n",
        b"\x16\x03\x01\x02\0",
        b"PROXY TCP4 192.0.2.300 192.0.2.2 1000 6379\r\nPING\r\n",
        &v2(0x21, 0x11, &[0; 5000]),
    ];
    for (bytes, refused) in cases.into_iter().zip(1..) {
        let mut peer = from_proxy(&server);
        peer.send(bytes);
        peer.expect("-ERR a PROXY header is required from this address\r\n");
        peer.expect_end();
        drop(peer);
        let field = "closed_proxy_header";
        eventually("it is counted", || control.count(field) == refused);
    }
    eventually("none is connected", || {
        control.count("connected_clients") == 1
    });
    let log = server.stop();
    let is_warning = |line: &&str| line.contains("have the proxy there send the header");
    let warnings: Vec<_> = log.lines().filter(is_warning).collect();
    let [warning] = warnings[..] else {
        panic!("one warning a minute: {warnings:?}");
    };
    let parts = ["connection from 127.0.0.2:", "`proxy-protocol-from`"];
    assert!(parts.iter().all(|part| warning.contains(part)), "{warning}");
}

#[test]
fn fin_within_the_header_is_refused_and_before_it_is_not() {
    let server = start_behind_proxy(&[]);
    let mut control = server.connect();
    let mut peer = from_proxy(&server);
    peer.send("PROXY TCP4 ");
    peer.end_sending();
    peer.expect("-ERR a PROXY header is required from this address\r\n");
    peer.expect_end();
    // A health check that only connects.
    drop(from_proxy(&server));
    eventually("both are counted", || {
        control.count("closed_proxy_header") == 1 && control.count("closed_peer_left") == 1
    });
    server.stop();
}

#[test]
fn header_has_a_deadline() {
    let server = start_behind_proxy(&["--proxy-protocol-timeout", "1"]);
    let mut control = server.connect();
    let start = Instant::now();
    let mut peers: Vec<_> = (0..3).map(|_| from_proxy(&server)).collect();
    peers[1].send("PROXY");
    peers[2].send(&v2(0x21, 0x11, b"")[..20]);
    for mut peer in peers {
        peer.expect("-ERR no PROXY header came in time\r\n");
        peer.expect_end();
    }
    assert!(start.elapsed() > Duration::from_secs(1));
    let field = "closed_proxy_header_timeout";
    eventually("all are counted", || control.count(field) == 3);
    let mut peer = from_proxy(&server);
    peer.ask([REMOTE, "PING\r\n"].concat(), "+PONG\r\n");
    server.stop();
}

#[test]
fn clients_of_a_told_address_are_limited() {
    let server = start_behind_proxy(&["--maxclients-per-address", "2"]);
    let mut control = server.connect();
    let told = |ip: &str| {
        let mut peer = from_proxy(&server);
        peer.send(format!("PROXY TCP4 {ip} 192.0.2.2 1000 6379\r\nPING\r\n"));
        peer
    };
    let mut one = told("192.0.2.1");
    let mut other = told("192.0.2.1");
    one.expect("+PONG\r\n");
    other.expect("+PONG\r\n");
    let mut third = told("192.0.2.1");
    third.expect("-ERR max number of clients from this address reached\r\n");
    third.expect_end();
    told("192.0.2.9").expect("+PONG\r\n");
    assert_eq!(control.count("rejected_connections"), 1);
    drop(one);
    eventually("there is room again", || {
        told("192.0.2.1").line() == "+PONG"
    });
    drop(other);
    eventually("none is left", || control.count("connected_clients") == 1);
    server.stop();
}

#[test]
fn short_connections_of_one_told_address_are_admitted() {
    let server = start_behind_proxy(&["--maxclients-per-address", "1"]);
    let mut count = 0;
    for _ in 0..300 {
        let mut peer = from_proxy(&server);
        peer.send([REMOTE, "PING\r\n"].concat());
        count += usize::from(peer.line() == "+PONG");
    }
    // On a busy machine a few may be refused.
    assert!(count >= 290, "{count} of 300");
    server.stop();
}

#[test]
fn told_address_decides_whether_a_client_is_local() {
    let server = start(&[
        "--proxy-protocol-from",
        "127.0.0.2",
        "--enable-debug-command",
        "local",
    ]);
    let mut remote = from_proxy(&server);
    remote.send(REMOTE);
    assert!(
        remote
            .line()
            .starts_with("-DENIED Redis is running in protected mode")
    );
    remote.expect_end();
    let mut local = from_proxy(&server);
    local.send("PROXY TCP4 127.0.0.1 192.0.2.2 1000 6379\r\n");
    local.ask("DEBUG SLEEP 0\r\n", "+OK\r\n");
    let mut control = server.connect();
    control.ask("CONFIG SET protected-mode no\r\n", "+OK\r\n");
    let mut remote = from_proxy(&server);
    remote.send([REMOTE, "DEBUG SLEEP 0\r\n"].concat());
    assert!(remote.line().starts_with("-ERR DEBUG command not allowed"));
    let count = || control.count("connected_clients") == 3;
    eventually("the refused client does not count", count);
    server.stop();
}

#[test]
fn opening_clients_count_and_are_not_listed() {
    let server = start_behind_proxy(&["--maxclients", "4"]);
    let mut control = server.connect();
    let mut opening: Vec<_> = (0..3).map(|_| from_proxy(&server)).collect();
    eventually("all are accepted", || {
        control.count("connected_clients") == 4
    });
    assert_eq!(control.answer("CLIENT LIST").lines().count(), 1);
    let mut beyond = server.connect();
    beyond.expect("-ERR max number of clients reached\r\n");
    beyond.expect_end();
    opening[0].ask([REMOTE, "PING\r\n"].concat(), "+PONG\r\n");
    assert_eq!(control.answer("CLIENT LIST").lines().count(), 2);
    drop(opening);
    eventually("all have left", || control.count("connected_clients") == 1);
    server.stop();
}

#[test]
fn flood_without_headers_ends_at_the_deadline() {
    let args = ["--maxclients", "20", "--proxy-protocol-timeout", "1"];
    let server = start_behind_proxy(&args);
    let flood: Vec<_> = (0..20).map(|_| from_proxy(&server)).collect();
    eventually("a client is admitted", || {
        let mut peer = server.connect();
        peer.send("PING\r\n");
        peer.line() == "+PONG"
    });
    drop(flood);
    server.stop();
}

#[test]
fn drain_closes_opening_clients_at_once() {
    let server = start_behind_proxy(&["--drain-timeout-ms", "60000"]);
    let mut control = server.connect();
    let mut silent = from_proxy(&server);
    let mut partial = from_proxy(&server);
    partial.send("PROXY TCP4");
    eventually("both are accepted", || {
        control.count("connected_clients") == 3
    });
    drop(control);
    let start = Instant::now();
    server.stop();
    assert!(start.elapsed() < Duration::from_secs(30));
    silent.expect_end();
    // It had unread bytes, so its end may be RST.
    let _ = partial.rest_or(0);
}

#[test]
fn proxies_can_change_at_any_time() {
    let server = start(&["--protected-mode", "no"]);
    let mut control = server.connect();
    let mut before = from_proxy(&server);
    before.ping();
    let set = "CONFIG SET proxy-protocol-from \"10.0.0.0/8 127.0.0.2/31\"\r\n";
    control.ask(set, "+OK\r\n");
    before.ping();
    let mut after = from_proxy(&server);
    after.send(REMOTE);
    assert_listed_as(&mut after, "192.0.2.1:1000");
    let get = "CONFIG GET proxy-protocol-from";
    assert_eq!(control.answers(get)[1], "10.0.0.0/8 127.0.0.2/31");
    let wrong = "CONFIG SET proxy-protocol-from 127.0.0.2/8\r\n";
    control.send(wrong);
    let error = control.line();
    assert!(
        error.contains("expected the address or the network 127.0.0.0/8"),
        "{error}"
    );
    control.ask("CONFIG SET proxy-protocol-from \"\"\r\n", "+OK\r\n");
    from_proxy(&server).ping();
    server.stop();
}

#[test]
fn connections_that_leave_at_any_byte_cost_nothing() {
    let server = start_behind_proxy(&[]);
    let mut control = server.connect();
    let header = v2(0x21, 0x11, b"");
    let streams = [[REMOTE.as_bytes(), b"PING\r\n"].concat(), header];
    for _ in 0..3 {
        for stream in &streams {
            for cut in 0..=stream.len() {
                let mut peer = from_proxy(&server);
                peer.send(&stream[..cut]);
                if cut % 2 == 0 {
                    peer.reset();
                }
            }
        }
    }
    eventually("none is left", || control.count("connected_clients") == 1);
    assert_eq!(control.answer("CLIENT LIST").lines().count(), 1);
    server.stop();
}

#[test]
fn hooks_run_after_the_header() {
    let config = Config {
        proxy_protocol_from: vec!["127.0.0.2".parse().expect("a network")],
        protected_mode: false,
        ..config(1)
    };
    let server = Server::bind(config, Commands::builtin()).expect("a free port");
    let server = server.on_connect(|session| Err(format!("ERR you are {}", session.peer())));
    let server = TestServer::serve(server);
    let mut peer = Peer::connect_from(PROXY, server.addr);
    let (first, rest) = REMOTE.split_at(20);
    peer.send(first);
    peer.send(rest);
    peer.expect("-ERR you are 192.0.2.1:1000\r\n");
    peer.expect_end();
}
