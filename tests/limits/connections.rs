//! Which clients are admitted: `maxclients`, `maxclients-per-address` and protected mode.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use respool::{Commands, Config};
use respool_testing::{Peer, TestServer, commands_with_gate, config, echo, eventually};

use crate::Watched;

#[track_caller]
fn ping_all(peers: &mut [Peer]) {
    for peer in peers {
        peer.ping();
    }
}

const TOO_MANY: &str = "-ERR max number of clients reached\r\n";
const TOO_MANY_FROM_ADDRESS: &str = "-ERR max number of clients from this address reached\r\n";

#[test]
fn maxclients_is_not_exceeded() {
    let mut watched = Watched::start(Config {
        maxclients: 3,
        ..config(2)
    });
    let (mut second, mut third) = (watched.connect(), watched.connect());
    second.ping();
    third.ping();
    let mut fourth = watched.connect();
    fourth.expect(TOO_MANY);
    fourth.expect_end();
    let addr = fourth.local_addr();
    drop(fourth);
    watched.closes(addr, "refused_maxclients", 1, "`maxclients` was reached");
    watched.counts("rejected_connections", 1);
    watched.counts("connected_clients", 3);
    second.ping();
    third.ping();
}

#[test]
fn maxclients_per_address_applies_to_each_address() {
    let mut watched = Watched::start(Config {
        maxclients_per_address: 2,
        ..config(2)
    });
    let mut let_in: Vec<Peer> = [2, 2, 3, 3, 4, 1]
        .iter()
        .map(|&address| watched.connect_from(address))
        .collect();
    ping_all(&mut let_in);
    for (count, address) in (1..).zip([2, 3, 1]) {
        let mut refused = watched.connect_from(address);
        refused.expect(TOO_MANY_FROM_ADDRESS);
        refused.expect_end();
        let addr = refused.local_addr();
        let why = "`maxclients-per-address` was reached";
        drop(refused);
        watched.closes(addr, "refused_maxclients_per_address", count, why);
        watched.counts("rejected_connections", count);
    }
    watched.connect_from(4).ping();
    ping_all(&mut let_in);

    // A client that leaves makes room for another from its address only.
    drop(let_in.remove(0));
    eventually("there is room again", || {
        let mut peer = watched.connect_from(2);
        peer.send("PING\r\n");
        peer.end_sending();
        peer.rest() == b"+PONG\r\n"
    });
    watched.connect_from(3).expect(TOO_MANY_FROM_ADDRESS);
}

/// Connections that fit into the pool wait for a worker; the others are refused at once.
#[test]
fn refusal_reaches_its_peer_while_every_worker_is_busy() {
    let (commands, gate) = commands_with_gate();
    let few = Config {
        maxclients: 1,
        ..config(1)
    };
    let server = TestServer::with(few, commands);
    let _busy = gate.busy_client(server.addr);
    let mut peers: Vec<Peer> = (0..100)
        .map(|_| {
            let mut peer = server.connect();
            peer.send("PING\r\n");
            peer
        })
        .collect();
    let (first, rest) = peers.split_at_mut(16);
    for peer in rest {
        peer.expect(TOO_MANY);
        peer.expect_end();
    }
    gate.let_one_through();
    for peer in first {
        peer.expect(TOO_MANY);
        peer.expect_end();
    }
}

/// Connects and disconnects repeatedly until `stop` is set.
fn leave_at_once(addr: SocketAddr, kind: usize, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let mut peer = Peer::connect_from([127, 0, 0, 2], addr);
        match kind {
            0 => drop(peer),
            1 => peer.reset(),
            2 => peer.send("PING\r\n"),
            _ => peer.end_sending(),
        }
    }
}

/// Returns how many of 300 clients are served, one after the other, while others connect and
/// disconnect.
fn served_in_a_storm(config: Config) -> usize {
    let server = TestServer::with(config, Commands::builtin());
    let stop = AtomicBool::new(false);
    let mut count = 0;
    thread::scope(|scope| {
        for kind in 0..4 {
            let stop = &stop;
            scope.spawn(move || leave_at_once(server.addr, kind, stop));
        }
        for _ in 0..300 {
            let mut peer = Peer::connect_from([127, 0, 0, 2], server.addr);
            // A refusal may arrive as RST.
            let _ = peer.socket.write_all(b"PING\r\n");
            let mut reply = [0; 7];
            let _ = peer.socket.read(&mut reply);
            count += usize::from(reply == *b"+PONG\r\n");
        }
        stop.store(true, Ordering::Relaxed);
    });
    count
}

/// Connections that were already closed by their peers counted until a worker came to them, and
/// clients that stayed were refused: under `maxclients`, all but 50 to 80. On a busy machine some
/// may be.
#[test]
fn short_connections_do_not_fill_the_limits() {
    let few = Config {
        maxclients: 5,
        ..config(2)
    };
    let few_per_address = Config {
        maxclients_per_address: 5,
        ..config(2)
    };
    for config in [few, few_per_address] {
        let served = served_in_a_storm(config);
        assert!(served >= 250, "{served} of 300");
    }
}

/// Returns the number of a client that connects after one from an address that has too many, whose
/// refusal waits.
fn number_beside_a_delayed_refusal() -> u64 {
    let (commands, gate) = commands_with_gate();
    let one_per_address = Config {
        maxclients_per_address: 1,
        ..config(1)
    };
    let server = TestServer::with(one_per_address, commands);
    let _busy = gate.busy_client(server.addr);
    // No worker has looked at it, so the refusal of the next one waits for 100 ms.
    let _second = Peer::connect_from([127, 0, 0, 2], server.addr);
    let clients = || server.handle.stats().clients;
    eventually("the second client is admitted", || clients() == 2);
    let mut refused = Peer::connect_from([127, 0, 0, 2], server.addr);
    let mut third = Peer::connect_from([127, 0, 0, 3], server.addr);
    eventually("the third client is admitted", || clients() == 3);
    gate.let_one_through();
    refused.expect(TOO_MANY_FROM_ADDRESS);
    third.id()
}

/// While a refusal waited, no connection was accepted from anywhere.
#[test]
fn delayed_refusal_delays_no_other_address() {
    // If the test is stopped for 100 ms, the refusal comes first.
    let is_at_once = (0..10).any(|_| number_beside_a_delayed_refusal() == 3);
    assert!(is_at_once, "the client has waited for the refusal");
}

#[test]
fn maxclients_per_address_changes_while_the_server_runs() {
    let mut watched = Watched::start(config(2));
    let mut let_in: Vec<Peer> = (0..3).map(|_| watched.connect_from(2)).collect();
    ping_all(&mut let_in);
    // Clients beyond the new limit stay.
    watched.set("maxclients-per-address", "2");
    watched.connect_from(2).expect(TOO_MANY_FROM_ADDRESS);
    ping_all(&mut let_in);
    watched.set("maxclients-per-address", "4");
    let mut fourth = watched.connect_from(2);
    fourth.ping();
    watched.connect_from(2).expect(TOO_MANY_FROM_ADDRESS);
    watched.set("maxclients-per-address", "0");
    watched.connect_from(2).ping();
}

/// IPv6 sockets accept IPv6 only, so an IPv4 address never arrives as a mapped one. The two
/// loopbacks are two addresses.
#[test]
fn ipv4_and_ipv6_addresses_are_counted_separately() {
    let mut config = Config {
        maxclients_per_address: 2,
        ..config(1)
    };
    config.bind = Config::default().bind;
    let mut watched = Watched::start(config);
    let v6 = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), watched.server.addr.port());
    if TcpStream::connect(v6).is_err() {
        return skip("this machine has no IPv6");
    }
    watched.counts("closed_peer_left", 1);
    let (mut first, mut second) = (Peer::connect(v6), Peer::connect(v6));
    first.ping();
    second.ping();
    Peer::connect(v6).expect(TOO_MANY_FROM_ADDRESS);
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    let mapped = SocketAddr::new(mapped.into(), watched.server.addr.port());
    let mut fourth = Peer::connect(mapped);
    fourth.ping();
    Peer::connect(mapped).expect(TOO_MANY_FROM_ADDRESS);
}

/// Returns an address of this machine other than the loopback. Sends no packet.
fn address_of_an_interface() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address for documentation.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

#[test]
fn protected_mode_refuses_remote_clients_without_password() {
    let Some(address) = address_of_an_interface() else {
        return skip("this machine has no address but the loopback's");
    };
    let mut everywhere = config(2);
    everywhere.bind[0].address = Ipv4Addr::UNSPECIFIED.into();
    let server = TestServer::with(everywhere, Commands::builtin());
    let loopback = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), server.addr.port());
    let outside = SocketAddr::new(address, server.addr.port());
    let mut watched = Watched::over(server, Peer::connect(loopback));

    let mut remote = Peer::connect(outside);
    remote.send("PING\r\n".repeat(100));
    let line = remote.line();
    assert!(
        line.starts_with("-DENIED Redis is running in protected mode"),
        "{line}"
    );
    remote.end_sending();
    remote.expect_end();
    let (addr, why) = (
        remote.local_addr(),
        "it is on another machine, and `protected-mode` is on",
    );
    watched.closes(addr, "refused_protected_mode", 1, why);
    watched.counts("rejected_connections", 1);

    watched.set("protected-mode", "no");
    let mut remote = Peer::connect(outside);
    remote.ping();
    watched.set("protected-mode", "yes");
    // Admitted clients stay, as in Redis.
    remote.ping();
    assert!(Peer::connect(outside).line().starts_with("-DENIED "));
    watched.set("requirepass", "secret");
    let mut remote = Peer::connect(outside);
    remote.ask("PING\r\n", "-NOAUTH Authentication required.\r\n");
    remote.ask("AUTH secret\r\n", "+OK\r\n");
    remote.ping();
}

#[test]
fn client_beyond_maxclients_is_refused_and_closed() {
    let server = TestServer::with_maxclients(2);
    let (mut first, mut second) = (server.connect(), server.connect());
    first.ping();
    second.ping();
    for _ in 0..100 {
        let mut third = server.connect();
        third.expect(TOO_MANY);
        third.expect_end();
    }
    first.ping();
    drop(second);
    eventually("there is room again", || {
        let mut peer = server.connect();
        peer.send("PING\r\n");
        peer.end_sending();
        peer.rest() == b"+PONG\r\n"
    });
}

#[test]
fn refusal_arrives_after_requests_were_sent() {
    let server = TestServer::with_maxclients(1);
    let mut first = server.connect();
    first.ping();
    for _ in 0..100 {
        let mut refused = server.connect();
        refused.send("PING\r\n".repeat(1000));
        refused.expect(TOO_MANY);
        refused.end_sending();
        refused.expect_end();
    }
}

#[test]
fn lingering_client_is_closed_after_a_while() {
    let server = TestServer::with_maxclients(1);
    let mut stubborn = server.connect();
    stubborn.send("QUIT\r\n");
    stubborn.expect("+OK\r\n");
    stubborn.expect_end();
    // The client keeps its side open. The server reads for a while, then closes, and further bytes
    // are answered with RST.
    eventually("the connection is reset", || {
        stubborn.socket.write_all(b"PING\r\n").is_err()
    });
}

/// After its last reply the server discards a limited amount of input. Then the peer's writes
/// block, so it reads. Needs room for two clients.
#[track_caller]
fn flood_after_quit(server: &TestServer) {
    let mut other = server.connect();
    let mut flooding = Peer::connect_with_small_buffer(server.addr);
    // More than the peer's receive buffer holds.
    let (request, reply) = echo(&"x".repeat(48 * 1024));
    flooding.send(request + "QUIT\r\n");
    let sent = flooding.send_much_until_stuck(&vec![b'x'; 1 << 20], 2 << 30, &mut other);
    assert!(sent > 512 << 20, "the server discarded only {sent} bytes");
    flooding.expect(reply + "+OK\r\n");
    flooding.expect_end();
}

#[test]
fn last_reply_arrives_whatever_the_peer_goes_on_sending() {
    flood_after_quit(&TestServer::start(1));
}

/// A connection that finds no slot makes the server close a half-closed client. If a slot was free
/// again without that, no later client may be closed for it.
#[test]
fn last_reply_arrives_after_slots_were_short() {
    let (commands, gate) = commands_with_gate();
    let few = Config {
        maxclients: 4,
        ..config(1)
    };
    let server = TestServer::with(few, commands);
    let busy = gate.busy_client(server.addr);
    let mut peers: Vec<Peer> = (0..40).map(|_| server.connect()).collect();
    // More than there are slots, so the acceptor refuses it.
    peers[39].expect(TOO_MANY);
    gate.let_one_through();
    drop((busy, peers));
    eventually("only this client is left", || {
        let mut peer = server.connect();
        let is_answered = peer.socket.write_all(b"PING\r\n").is_ok();
        is_answered && peer.rest_or(7) == "+PONG\r\n" && peer.count("connected_clients") == 1
    });
    flood_after_quit(&server);
}

#[test]
fn lingering_clients_take_no_slots() {
    let server = TestServer::with_maxclients(1);
    let lingering: Vec<_> = (0..100)
        .map(|_| {
            let mut peer = server.connect();
            peer.ask("QUIT\r\n", "+OK\r\n");
            peer.expect_end();
            peer
        })
        .collect();
    server.connect().ping();
    drop(lingering);
}

// Regression: clients that had sent QUIT and went on sending were always queued, so they kept their
// slots, and new clients were refused although none was connected.
#[test]
fn flooding_half_closed_clients_keep_nobody_out() {
    let server = TestServer::with(
        Config {
            maxclients: 20,
            ..config(1)
        },
        Commands::builtin(),
    );
    let (has_begun, ends) = (Barrier::new(5), AtomicBool::new(false));
    let begin = || {
        let mut peer = server.connect();
        // It may be refused.
        let _ = peer.socket.write_all(b"QUIT\r\n");
        peer.socket.set_nonblocking(true).expect("a TCP socket");
        peer
    };
    let flood = || {
        let bytes = vec![b'x'; 1 << 18];
        let mut flooding: Vec<_> = (0..12).map(|_| begin()).collect();
        has_begun.wait();
        while !ends.load(Ordering::Relaxed) {
            for peer in &mut flooding {
                match peer.socket.write(&bytes) {
                    Err(error) if error.kind() != ErrorKind::WouldBlock => *peer = begin(),
                    _ => {}
                }
            }
        }
    };
    let is_answered = || {
        let mut peer = server.connect();
        peer.socket.write_all(b"PING\r\n").is_ok() && peer.rest_or(7) == "+PONG\r\n"
    };
    let count = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(flood);
        }
        has_begun.wait();
        let count = (0..50).filter(|_| is_answered()).count();
        ends.store(true, Ordering::Relaxed);
        count
    });
    assert!(count >= 25, "{count} of 50 clients were answered");
}
