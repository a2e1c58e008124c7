//! CLIENT LIST and CLIENT INFO.

use std::net::SocketAddr;

use respool::config::BindAddress;
use respool::{Commands, Config};
use respool_testing::{Peer, TestServer, commands_with_gate, config, eventually, request};

use crate::{
    OK, SYNTAX, blocks_early, connect_to_busy, field, ids, line, list, number, wait_for,
    wait_until_gone,
};

#[test]
fn clients_are_listed_in_order_of_arrival() {
    let server = TestServer::start(2);
    let mut peers: Vec<_> = (0..12).map(|_| server.connect()).collect();
    for peer in peers.iter_mut().rev() {
        peer.ping();
    }
    let lines = list(&mut peers[5], "");
    assert_eq!(ids(&lines), (1..=12).collect::<Vec<_>>());
}

#[test]
fn silent_client_is_listed() {
    let server = TestServer::start(1);
    let silent = server.connect();
    let mut watcher = server.connect();
    wait_for(&mut watcher, 1, &[("cmd", "NULL"), ("flags", "N")]);
    drop(silent);
}

#[test]
fn client_in_a_blocking_handler_is_listed() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(2), commands);
    let (mut busy, mut watcher) = (server.connect(), server.connect());
    let id = busy.id();
    busy.send("GATE\r\n");
    gate.wait_for_start();
    let seen = line(&mut watcher, id);
    assert_eq!(field(&seen, "cmd"), "gate");
    gate.let_one_through();
    busy.expect("+OPEN\r\n");
}

#[test]
fn queued_client_is_listed() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(1), commands);
    let mut busy = gate.busy_client(server.addr);
    let (mut watcher, mut queued) = (connect_to_busy(&server), connect_to_busy(&server));
    watcher.send("CLIENT LIST ID 4\r\n");
    queued.send("PING\r\n");
    gate.let_one_through();
    busy.expect("+OPEN\r\n");
    let seen = watcher.leaves().remove(0);
    let addr = queued.local_addr();
    assert_eq!(field(&seen, "addr"), addr.to_string());
    assert_eq!(field(&seen, "cmd"), "NULL");
    queued.expect("+PONG\r\n");
}

#[test]
fn write_blocked_client_is_listed_with_its_pending_output() {
    let server = TestServer::with(blocks_early(), Commands::builtin());
    let (mut deaf, mut watcher) = (server.connect(), server.connect());
    let id = deaf.id();
    let echo = request(&[b"ECHO", &[b'x'; 10_000]]);
    deaf.send_until_stuck(&echo, &mut watcher);
    wait_for(&mut watcher, id, &[("events", "w"), ("cmd", "echo")]);
    let seen = line(&mut watcher, id);
    let pending = number(&seen, "omem");
    assert!(
        pending > 64 * 1024 && pending <= 2 * 64 * 1024 + 11_000,
        "{seen}"
    );
    assert_eq!(number(&seen, "obl"), pending);
    assert!(number(&seen, "tot-mem") > pending, "{seen}");
    let most = watcher.info("clients", "client_recent_max_output_buffer", "");
    assert!(most >= Some(pending as u64), "{most:?}");
}

#[test]
fn incomplete_request_is_listed() {
    let server = TestServer::start(1);
    let (mut slow, mut watcher) = (server.connect(), server.connect());
    let id = slow.id();
    slow.send("*2\r\n$4\r\nECHO\r\n$3\r\nab");
    wait_for(&mut watcher, id, &[("qbuf", "20"), ("events", "r")]);
    assert!(watcher.info("clients", "client_recent_max_input_buffer", "") >= Some(20));
    slow.send("c\r\n");
    slow.expect("$3\r\nabc\r\n");
    wait_for(&mut watcher, id, &[("qbuf", "0"), ("omem", "0")]);
}

#[test]
fn monitors_and_subscribers_have_their_flags() {
    let server = TestServer::start(2);
    let mut watcher = server.connect();
    let (mut monitor, mut subscriber) = (server.connect(), server.connect());
    let (monitors_id, subscribers_id) = (monitor.id(), subscriber.id());
    subscriber.ask(
        "SUBSCRIBE a\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
    );
    subscriber.send("SUBSCRIBE b\r\nPSUBSCRIBE c*\r\n");
    assert_eq!(subscriber.leaves(), ["subscribe", "b", "2"]);
    assert_eq!(subscriber.leaves(), ["psubscribe", "c*", "3"]);
    monitor.ask("MONITOR\r\n", OK);
    let seen = line(&mut watcher, monitors_id);
    assert_eq!(field(&seen, "flags"), "O");
    assert_eq!(field(&seen, "cmd"), "monitor");
    let seen = line(&mut watcher, subscribers_id);
    assert_eq!(field(&seen, "flags"), "P");
    assert_eq!((field(&seen, "sub"), field(&seen, "psub")), ("2", "1"));
}

#[test]
fn reset_client_is_listed_like_a_new_one() {
    let server = TestServer::start(1);
    let (mut peer, mut watcher) = (server.connect(), server.connect());
    let id = peer.id();
    peer.send("HELLO 3 SETNAME me\r\n");
    peer.leaves();
    for request in [
        "SELECT 3",
        "CLIENT NO-EVICT on",
        "CLIENT NO-TOUCH on",
        "CLIENT TRACKING on",
    ] {
        assert_eq!(peer.answer(request), "OK", "{request}");
    }
    peer.answers("SUBSCRIBE a");
    peer.answers("PSUBSCRIBE b");
    peer.ask("MONITOR\r\n", OK);
    let seen = line(&mut watcher, id);
    assert_eq!(field(&seen, "flags"), "OPteT");
    // CLIENT LIST is an admin command, so the monitor does not get it.
    peer.ask("RESET\r\n", "+RESET\r\n");
    let seen = line(&mut watcher, id);
    for (name, value) in [
        ("flags", "N"),
        ("name", ""),
        ("db", "0"),
        ("resp", "2"),
        ("sub", "0"),
        ("psub", "0"),
        ("redir", "-1"),
    ] {
        assert_eq!(field(&seen, name), value, "{name} in {seen}");
    }
}

#[test]
fn client_identity_is_listed() {
    let server = TestServer::start(2);
    let (mut peer, mut watcher) = (server.connect(), server.connect());
    let id = peer.id();
    peer.send("HELLO 3 SETNAME me\r\n");
    peer.leaves();
    for request in [
        "CLIENT SETINFO lib-name respool-rs",
        "CLIENT SETINFO lib-ver 1.2.3",
        "SELECT 7",
    ] {
        assert_eq!(peer.answer(request), "OK", "{request}");
    }
    let seen = line(&mut watcher, id);
    for (name, value) in [
        ("id", &*id.to_string()),
        ("name", "me"),
        ("lib-name", "respool-rs"),
        ("lib-ver", "1.2.3"),
        ("db", "7"),
        ("resp", "3"),
        ("flags", "N"),
        ("cmd", "select"),
        ("user", "default"),
        ("multi", "-1"),
    ] {
        assert_eq!(field(&seen, name), value, "{name} in {seen}");
    }
    assert_eq!(field(&line(&mut watcher, 2), "cmd"), "client|list");
}

#[test]
fn client_info_is_the_clients_line_of_client_list() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    assert_eq!(peer.answer("CLIENT SETNAME me"), "OK");
    // The totals grow with each request.
    let mut line = |request| {
        let line = peer.answer(request);
        let (line, totals) = line.split_once(" tot-net-in=").expect("the totals");
        assert!(totals.ends_with('\n'), "{totals:?}");
        line.to_owned()
    };
    let own = line("CLIENT INFO");
    let listed = line("CLIENT LIST");
    assert_eq!(own.replace("cmd=client|info", "cmd=client|list"), listed);
}

#[test]
fn age_and_idle_grow_and_a_request_resets_idle() {
    let server = TestServer::start(1);
    let (mut peer, mut watcher) = (server.connect(), server.connect());
    let id = peer.id();
    eventually("it has been idle for a second", || {
        let seen = line(&mut watcher, id);
        number(&seen, "idle") >= 1 && number(&seen, "age") >= number(&seen, "idle")
    });
    let age = number(&line(&mut watcher, id), "age");
    peer.ping();
    // The clock advances once a second.
    eventually("it is no longer idle", || {
        let seen = line(&mut watcher, id);
        peer.ping();
        number(&seen, "idle") == 0 && number(&seen, "age") >= age
    });
}

fn on_all_addresses() -> TestServer {
    let config = Config {
        bind: vec![BindAddress {
            address: [0, 0, 0, 0].into(),
            optional: false,
        }],
        ..config(1)
    };
    TestServer::with(config, Commands::builtin())
}

#[test]
fn listed_addresses_are_the_sockets_even_on_a_wildcard() {
    let everywhere = on_all_addresses();
    let server = TestServer::start(1);
    let port = everywhere.addr.port();
    let ends: [(&TestServer, SocketAddr); 3] = [
        (&server, server.addr),
        (&everywhere, ([127, 0, 0, 1], port).into()),
        (&everywhere, ([127, 0, 0, 2], port).into()),
    ];
    for (server, addr) in ends {
        let mut peer = Peer::connect(addr);
        let id = peer.id();
        let seen = line(&mut peer, id);
        let own = peer.local_addr();
        assert_eq!(field(&seen, "addr"), own.to_string());
        assert_eq!(field(&seen, "laddr"), addr.to_string());
        drop(server.connect());
    }
}

#[test]
fn client_list_filters_by_type_or_id() {
    let server = TestServer::start(1);
    let (mut peer, mut subscriber) = (server.connect(), server.connect());
    let (id, other) = (peer.id(), subscriber.id());
    subscriber.answers("SUBSCRIBE a");
    assert_eq!(ids(&list(&mut peer, "TYPE normal")), [id]);
    assert_eq!(ids(&list(&mut peer, "type PUBSUB")), [other]);
    for none in ["master", "replica", "slave"] {
        peer.ask(format!("CLIENT LIST TYPE {none}\r\n"), "$0\r\n\r\n");
    }
    let both = format!("ID {other} 77 {id} -1");
    assert_eq!(ids(&list(&mut peer, &both)), [other, id]);
    peer.ask("CLIENT LIST ID x\r\n", "-ERR Invalid client ID\r\n");
    peer.ask("CLIENT LIST TYPE x\r\n", "-ERR Unknown client type 'x'\r\n");
    for wrong in ["TYPE", "ID", "TYPE normal x", "x y"] {
        peer.ask(format!("CLIENT LIST {wrong}\r\n"), SYNTAX);
    }
    subscriber.answers("UNSUBSCRIBE");
    assert_eq!(ids(&list(&mut peer, "TYPE normal")), [id, other]);
}

#[test]
fn last_command_may_be_one_that_was_refused() {
    let server = TestServer::start(1);
    let (mut watcher, mut peer) = (server.connect(), server.connect());
    let id = peer.id();
    for (request, command) in [
        ("PING", "ping"),
        ("FOO", "NULL"),
        ("CLIENT GETNAME x", "client|getname"),
    ] {
        peer.answer(request);
        assert_eq!(field(&line(&mut watcher, id), "cmd"), command);
    }
}

#[test]
fn client_list_is_a_verbatim_string_in_resp3() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.send("HELLO 3\r\n");
    peer.leaves();
    peer.send("CLIENT LIST\r\n");
    let header = peer.line();
    assert!(header.starts_with('='), "{header}");
    peer.expect("txt:id=1 addr=127.0.0.1:");
}

#[test]
fn closed_client_is_not_listed() {
    let server = TestServer::start(2);
    let mut watcher = server.connect();
    for farewell in ["", "QUIT\r\n", "\r\n*x\r\n"] {
        let mut peer = server.connect();
        let id = peer.id();
        peer.send(farewell);
        if farewell.is_empty() {
            drop(peer);
            wait_until_gone(&mut watcher, id);
        } else {
            // A lingering client is not listed.
            peer.line();
            peer.expect_end();
            assert_eq!(line(&mut watcher, id), "", "{farewell}");
        }
    }
}

#[test]
fn refused_client_is_not_listed() {
    let limited = Config {
        maxclients: 1,
        ..config(1)
    };
    let server = TestServer::with(limited, Commands::builtin());
    let mut peer = server.connect();
    peer.ping();
    let mut refused = server.connect();
    refused.expect("-ERR max number of clients reached\r\n");
    assert_eq!(ids(&list(&mut peer, "")), [1]);
    refused.expect_end();
}

#[test]
fn client_list_counts_bytes_in_both_directions() {
    let server = TestServer::start(2);
    let (mut peer, mut other) = (server.connect(), server.connect());
    let id = peer.id();
    let totals = |other: &mut Peer| {
        let line = other.answer(&format!("CLIENT LIST ID {id}"));
        let (_, totals) = line.trim_end().split_once(" watch=0 ").expect(&line);
        totals.to_owned()
    };
    let sent = "CLIENT ID\r\n".len() + 101 * "PING\r\n".len();
    let received = format!(":{id}\r\n").len() + 101 * "+PONG\r\n".len();
    peer.ask("PING\r\n".repeat(100), "+PONG\r\n".repeat(100));
    peer.ping();
    let expected = format!("tot-net-in={sent} tot-net-out={received} tot-cmds=102");
    // The totals are updated at the end of the turn, which may come after the reply.
    eventually("the last turn is counted", || {
        totals(&mut other) == expected
    });
}

#[test]
fn client_list_counts_requests_of_a_turn_that_ends_early() {
    let server = TestServer::start(2);
    let (mut peer, mut other) = (server.connect(), server.connect());
    let id = peer.id();
    // The reply takes longer than a turn may.
    assert!(!peer.answers("COMMAND DOCS").is_empty());
    peer.ping();
    eventually("the last turn is counted", || {
        let line = other.answer(&format!("CLIENT LIST ID {id}"));
        line.trim_end().ends_with(" tot-cmds=3")
    });
}

/// RESET did not clear the counts of subscriptions.
#[test]
fn reset_clears_the_listed_subscriptions() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.ask(
        "SUBSCRIBE b\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:1\r\n",
    );
    peer.ask("RESET\r\n", "+RESET\r\n");
    peer.send("CLIENT INFO\r\n");
    peer.line();
    let line = peer.line();
    assert!(line.contains(" sub=0 psub=0 "), "{line}");
}

/// A short request could ask for an endless list.
#[test]
fn repeated_id_lists_a_client_once() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.send(format!("CLIENT LIST ID{}\r\n", " 1".repeat(1000)));
    let length: usize = peer.line()[1..].parse().expect("a length");
    let list = String::from_utf8(peer.bytes(length + 2)).expect("text");
    assert_eq!(list.matches("id=1 ").count(), 1);
}
