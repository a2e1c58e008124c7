//! What clients see of each other and do to each other: CLIENT LIST, KILL and PAUSE.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Once;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use respool::config::BindAddress;
use respool::{Commands, Config};
use respool_testing::{Peer, TestServer, commands_with_gate, config, eventually, request};

const OK: &str = "+OK\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";
const INTEGER: &str = "-ERR value is not an integer or out of range\r\n";

/// Longer than any test runs, in milliseconds.
const AN_HOUR: &str = "3600000";

/// The lines of CLIENT LIST.
#[track_caller]
fn list(peer: &mut Peer, options: &str) -> Vec<String> {
    let text = peer.answer(&format!("CLIENT LIST {options}"));
    text.lines().map(str::to_owned).collect()
}

/// The line of the client with this number; empty if there is none.
#[track_caller]
fn line(peer: &mut Peer, id: u64) -> String {
    list(peer, &format!("ID {id}")).pop().unwrap_or_default()
}

#[track_caller]
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let mut fields = line.split(' ').filter_map(|field| field.split_once('='));
    fields
        .find_map(|(field, value)| (field == name).then_some(value))
        .unwrap_or_else(|| panic!("no {name} in {line:?}"))
}

/// A field that is a number.
#[track_caller]
fn number(line: &str, name: &str) -> usize {
    field(line, name).parse().expect(line)
}

/// Waits until the client's line has these values.
#[track_caller]
fn wait_for(watcher: &mut Peer, id: u64, values: &[(&str, &str)]) {
    eventually(&format!("client {id} has {values:?}"), || {
        let line = line(watcher, id);
        !line.is_empty()
            && values
                .iter()
                .all(|(name, value)| field(&line, name) == *value)
    });
}

/// Waits until the client is in the list no more.
#[track_caller]
fn wait_until_gone(watcher: &mut Peer, id: u64) {
    eventually(&format!("client {id} is gone"), || {
        line(watcher, id).is_empty()
    });
}

fn ids(lines: &[String]) -> Vec<u64> {
    let ids = lines.iter().map(|line| field(line, "id").parse());
    ids.map(|id| id.expect("a number")).collect()
}

/// The server closes, be it in order or by a reset because it has not read everything.
#[track_caller]
fn expect_closed(peer: &mut Peer) {
    use std::io::{ErrorKind, Read};
    let mut bytes = Vec::new();
    if let Err(error) = peer.socket.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(bytes.escape_ascii().to_string(), "");
}

/// When clients came, by their addresses, as the log tells it. A client is in the server's hands
/// once the next one has come: there is one acceptor.
struct Arrivals(Mutex<HashMap<String, Instant>>);

static ARRIVALS: std::sync::LazyLock<Arrivals> =
    std::sync::LazyLock::new(|| Arrivals(Mutex::default()));

impl log::Log for &'static Arrivals {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        if let Some((_, addr)) = line.split_once(" connected from ") {
            self.0.lock().insert(addr.to_owned(), Instant::now());
        }
    }

    fn flush(&self) {}
}

/// A client that waits in the queue: connected while the only worker is busy. Gives it as soon as
/// the server has it.
#[track_caller]
fn connect_to_busy(server: &TestServer) -> Peer {
    static START: Once = Once::new();
    START.call_once(|| {
        log::set_boxed_logger(Box::new(&*ARRIVALS)).expect("there is no other logger");
        log::set_max_level(log::LevelFilter::Debug);
    });
    // Somebody else's client may have had the same address before.
    let start = Instant::now();
    let (queued, next) = (server.connect(), server.connect());
    let addr = next.socket.local_addr().expect("it is connected");
    eventually("the next client has come", || {
        let arrivals = ARRIVALS.0.lock();
        arrivals
            .get(&addr.to_string())
            .is_some_and(|&at| at > start)
    });
    queued
}

// Who is listed.

#[test]
fn clients_are_listed_in_the_order_in_which_they_came() {
    let server = TestServer::start(2);
    let mut peers: Vec<_> = (0..12).map(|_| server.connect()).collect();
    for peer in peers.iter_mut().rev() {
        peer.ping();
    }
    let lines = list(&mut peers[5], "");
    assert_eq!(ids(&lines), (1..=12).collect::<Vec<_>>());
}

#[test]
fn a_client_is_listed_before_it_has_said_anything() {
    let server = TestServer::start(1);
    let silent = server.connect();
    let mut watcher = server.connect();
    wait_for(&mut watcher, 1, &[("cmd", "NULL"), ("flags", "N")]);
    drop(silent);
}

#[test]
fn a_client_is_listed_while_its_handler_blocks() {
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
fn a_client_is_listed_while_it_waits_for_a_worker() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(1), commands);
    let mut busy = server.connect();
    busy.send("GATE\r\n");
    gate.wait_for_start();
    let (mut watcher, mut queued) = (connect_to_busy(&server), connect_to_busy(&server));
    watcher.send("CLIENT LIST ID 4\r\n");
    queued.send("PING\r\n");
    gate.let_one_through();
    busy.expect("+OPEN\r\n");
    let seen = watcher.leaves().remove(0);
    let addr = queued.socket.local_addr().expect("it is connected");
    assert_eq!(field(&seen, "addr"), addr.to_string());
    assert_eq!(field(&seen, "cmd"), "NULL");
    queued.expect("+PONG\r\n");
}

/// A client is write-blocked as soon as its reserve is full.
fn blocks_early() -> Config {
    Config {
        pending_output_per_client: 0,
        ..config(1)
    }
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
    let owed = number(&seen, "omem");
    assert!(owed > 64 * 1024 && owed <= 2 * 64 * 1024 + 11_000, "{seen}");
    assert_eq!(number(&seen, "obl"), owed);
    assert!(number(&seen, "tot-mem") > owed, "{seen}");
    let most = watcher.info("clients", "client_recent_max_output_buffer", "");
    assert!(most >= Some(owed as u64), "{most:?}");
}

#[test]
fn bytes_that_are_no_request_yet_are_listed() {
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
fn behind_reset_a_client_is_listed_as_it_came() {
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
    // What the watcher asks is not shown to the monitor: it is about the administration.
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
fn what_a_client_has_said_of_itself_is_listed() {
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
fn client_info_is_the_own_line_of_the_list() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    assert_eq!(peer.answer("CLIENT SETNAME me"), "OK");
    // The totals go on with each request.
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
fn age_grows_and_idle_grows_until_a_client_is_served() {
    let server = TestServer::start(1);
    let (mut peer, mut watcher) = (server.connect(), server.connect());
    let id = peer.id();
    eventually("it has been idle for a second", || {
        let seen = line(&mut watcher, id);
        number(&seen, "idle") >= 1 && number(&seen, "age") >= number(&seen, "idle")
    });
    let age = number(&line(&mut watcher, id), "age");
    peer.ping();
    // Up to a second may have passed since.
    eventually("it is idle no more", || {
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
fn both_addresses_are_those_of_the_socket_also_where_all_are_listened_on() {
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
        let own = peer.socket.local_addr().expect("it is connected");
        assert_eq!(field(&seen, "addr"), own.to_string());
        assert_eq!(field(&seen, "laddr"), addr.to_string());
        drop(server.connect());
    }
}

#[test]
fn list_takes_a_type_or_numbers() {
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
fn in_resp3_the_list_is_a_verbatim_string() {
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
fn who_has_left_is_listed_no_more() {
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
            // It may linger behind its farewell, but is none of the clients any more.
            peer.line();
            peer.expect_end();
            assert_eq!(line(&mut watcher, id), "", "{farewell}");
        }
    }
}

#[test]
fn who_is_refused_is_never_listed() {
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

// CLIENT KILL.

#[test]
fn kill_by_address_closes_that_client() {
    let server = TestServer::start(2);
    let (mut killer, mut victim, mut other) =
        (server.connect(), server.connect(), server.connect());
    let addr = victim.socket.local_addr().expect("it is connected");
    victim.ping();
    other.ping();
    killer.ask(format!("CLIENT KILL {addr}\r\n"), OK);
    victim.expect_end();
    other.ping();
    wait_until_gone(&mut killer, 2);
    let again = "-ERR No such client\r\n";
    killer.ask(format!("CLIENT KILL {addr}\r\n"), again);
    killer.ask("CLIENT KILL nonsense\r\n", again);
}

/// Which of three clients a KILL closes: a killer, an idle one and a subscriber. `{1}` stands for
/// the number of the idle one, `{addr}` for its address, `{laddr}` for that of the server.
#[track_caller]
fn assert_kills(options: &str, expected: [bool; 3]) {
    let server = TestServer::start(1);
    let (mut killer, mut idle, mut subscriber) =
        (server.connect(), server.connect(), server.connect());
    assert_eq!((killer.id(), idle.id()), (1, 2));
    subscriber.answers("SUBSCRIBE a");
    let addr = idle.socket.local_addr().expect("it is connected");
    let options = options
        .replace("{laddr}", &server.addr.to_string())
        .replace("{addr}", &addr.to_string());
    let count = expected.iter().filter(|&&killed| killed).count();
    killer.ask(
        format!("CLIENT KILL {options}\r\n"),
        format!(":{count}\r\n"),
    );
    for (peer, killed) in [&mut killer, &mut idle, &mut subscriber]
        .into_iter()
        .zip(expected)
    {
        if killed {
            expect_closed(peer);
        } else {
            // In either mode.
            peer.send("PING\r\n");
            assert!(
                peer.leaves()
                    .iter()
                    .any(|leaf| leaf.eq_ignore_ascii_case("pong"))
            );
        }
    }
    let left = expected.iter().filter(|&&killed| !killed).count() + 1;
    let mut watcher = server.connect();
    eventually("their places are free", || {
        list(&mut watcher, "").len() == left
    });
}

#[test]
fn each_filter_of_kill_closes_whom_it_means() {
    assert_kills("ID 2", [false, true, false]);
    assert_kills("id 2", [false, true, false]);
    assert_kills("ID 99", [false, false, false]);
    assert_kills("ADDR {addr}", [false, true, false]);
    assert_kills("ADDR 127.0.0.1:1", [false, false, false]);
    assert_kills("LADDR {laddr}", [false, true, true]);
    assert_kills("LADDR {addr}", [false, false, false]);
    assert_kills("TYPE normal", [false, true, false]);
    assert_kills("TYPE pubsub", [false, false, true]);
    assert_kills("TYPE replica", [false, false, false]);
    assert_kills("USER default", [false, true, true]);
    assert_kills("SKIPME yes", [false, true, true]);
    assert_kills("SKIPME no", [true, true, true]);
    assert_kills("ID 1", [false, false, false]);
    assert_kills("ID 1 SKIPME no", [true, false, false]);
    assert_kills("MAXAGE 3600", [false, false, false]);
}

#[test]
fn who_is_killed_has_to_pass_all_filters() {
    assert_kills("ID 2 TYPE normal", [false, true, false]);
    assert_kills("ID 2 TYPE pubsub", [false, false, false]);
    assert_kills(
        "ADDR {addr} LADDR {laddr} USER default",
        [false, true, false],
    );
    assert_kills("ADDR {addr} ID 3", [false, false, false]);
    assert_kills("TYPE normal SKIPME no", [true, true, false]);
    // The last one of a kind holds.
    assert_kills("SKIPME no SKIPME yes", [false, true, true]);
}

#[test]
fn kill_with_what_is_no_filter_closes_nobody() {
    let server = TestServer::start(1);
    let (mut killer, mut other) = (server.connect(), server.connect());
    for (options, reply) in [
        ("ID 2 TYPE", SYNTAX),
        ("ID 0", "-ERR client-id should be greater than 0\r\n"),
        ("ID x", "-ERR client-id should be greater than 0\r\n"),
        ("MAXAGE 0", "-ERR maxage should be greater than 0\r\n"),
        ("TYPE x", "-ERR Unknown client type 'x'\r\n"),
        ("USER x", "-ERR No such user 'x'\r\n"),
        ("SKIPME maybe", SYNTAX),
        ("NONSENSE 1", SYNTAX),
        ("ID 2 NONSENSE 1", SYNTAX),
    ] {
        killer.ask(format!("CLIENT KILL {options}\r\n"), reply);
    }
    killer.ask(
        "CLIENT KILL\r\n",
        "-ERR wrong number of arguments for 'client|kill' command\r\n",
    );
    other.ping();
}

#[test]
fn who_kills_itself_is_answered_first_and_nothing_behind_that_is_run() {
    let server = TestServer::start(1);
    let mut other = server.connect();
    for (request, reply) in [
        ("CLIENT KILL {addr}", OK),
        ("CLIENT KILL ADDR {addr} SKIPME no", ":1\r\n"),
    ] {
        let mut peer = server.connect();
        let addr = peer.socket.local_addr().expect("it is connected");
        let request = request.replace("{addr}", &addr.to_string());
        peer.send(format!("{request}\r\nPING\r\n"));
        peer.expect(reply);
        peer.expect_end();
        assert_eq!(list(&mut other, "").len(), 1);
    }
}

#[test]
fn a_client_that_does_not_take_its_replies_is_killed() {
    let server = TestServer::with(blocks_early(), Commands::builtin());
    let (mut deaf, mut killer) = (server.connect(), server.connect());
    deaf.ping();
    deaf.send_until_stuck(&request(&[b"ECHO", &[b'x'; 10_000]]), &mut killer);
    killer.ask("CLIENT KILL ID 1\r\n", ":1\r\n");
    wait_until_gone(&mut killer, 1);
}

#[test]
fn a_client_that_waits_for_a_worker_is_killed_and_its_request_is_not_run() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(1), commands);
    let mut busy = server.connect();
    busy.send("GATE\r\n");
    gate.wait_for_start();
    let (mut killer, mut queued) = (connect_to_busy(&server), connect_to_busy(&server));
    killer.send("CLIENT KILL ID 4\r\n");
    queued.send("PING\r\n");
    gate.let_one_through();
    busy.expect("+OPEN\r\n");
    killer.expect(":1\r\n");
    expect_closed(&mut queued);
}

#[test]
fn a_client_whose_handler_blocks_is_killed_when_that_ends() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(2), commands);
    let (mut busy, mut killer) = (server.connect(), server.connect());
    busy.ping();
    busy.send("GATE\r\n");
    gate.wait_for_start();
    killer.ask("CLIENT KILL ID 1\r\n", ":1\r\n");
    // It is still there: its worker is in the handler.
    assert_eq!(field(&line(&mut killer, 1), "cmd"), "gate");
    gate.let_one_through();
    wait_until_gone(&mut killer, 1);
    busy.expect("+OPEN\r\n");
    busy.expect_end();
}

#[test]
fn who_is_killed_makes_room_for_another() {
    let limited = Config {
        maxclients: 2,
        ..config(1)
    };
    let server = TestServer::with(limited, Commands::builtin());
    let mut killer = server.connect();
    for round in 2..20 {
        let mut victim = server.connect();
        victim.ping();
        killer.ask(format!("CLIENT KILL ID {round}\r\n"), ":1\r\n");
        victim.expect_end();
        // What it kept is given back before its socket is closed.
        assert_eq!(killer.info("clients", "connected_clients", ""), Some(1));
    }
}

#[test]
fn kill_maxage_spares_who_came_lately() {
    let server = TestServer::start(1);
    let (mut old, mut killer) = (server.connect(), server.connect());
    old.ping();
    eventually("it is two seconds old", || {
        number(&line(&mut killer, 1), "age") >= 2
    });
    let start = Instant::now();
    let mut new = server.connect();
    new.ping();
    let age = number(&line(&mut killer, 1), "age");
    assert!(number(&line(&mut killer, 3), "age") < age);
    let count = killer.answer(&format!("CLIENT KILL MAXAGE {age}"));
    old.expect_end();
    // Within a second, the coarse clock moves on by one at most.
    if start.elapsed() < Duration::from_secs(1) {
        assert_eq!(count, "1");
        new.ping();
    }
}

// CLIENT PAUSE.

/// A server with one worker, a client that has paused the others for an hour, and one of those,
/// number 2.
fn paused(mode: &str) -> (TestServer, Peer, Peer) {
    let server = TestServer::start(1);
    let (mut pauser, mut other) = (server.connect(), server.connect());
    pauser.ping();
    other.ping();
    pauser.ask(format!("CLIENT PAUSE {AN_HOUR} {mode}\r\n"), OK);
    (server, pauser, other)
}

/// Waits until the client rests because of a pause.
#[track_caller]
fn wait_until_paused(watcher: &mut Peer, id: u64) {
    wait_for(watcher, id, &[("flags", "b")]);
}

#[test]
fn a_ping_of_another_waits_until_the_time_is_over() {
    let server = TestServer::start(2);
    let (mut pauser, mut other) = (server.connect(), server.connect());
    other.ping();
    let start = Instant::now();
    pauser.ask("CLIENT PAUSE 300\r\n", OK);
    other.ping();
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(300), "{waited:?}");
    // And behind it, nobody waits.
    wait_for(&mut pauser, 2, &[("flags", "N")]);
    other.ping();
}

#[test]
fn a_pause_ends_promptly_and_not_when_the_clock_is_looked_at_anyway() {
    const ROUNDS: u32 = 10;
    let server = TestServer::start(1);
    let (mut pauser, mut other) = (server.connect(), server.connect());
    let start = Instant::now();
    for _ in 0..ROUNDS {
        pauser.ask("CLIENT PAUSE 10\r\n", OK);
        other.ping();
    }
    // That is once in a second.
    let took = start.elapsed();
    assert!(took < Duration::from_secs(1) * ROUNDS / 2, "{took:?}");
}

#[test]
fn unpause_ends_the_pause_whoever_says_it() {
    for paused_itself in [false, true] {
        let (server, mut pauser, mut other) = paused("");
        other.send("PING\r\n");
        wait_until_paused(&mut pauser, 2);
        assert_eq!(pauser.info("clients", "blocked_clients", ""), Some(1));
        let mut third = server.connect();
        let word = if paused_itself {
            &mut pauser
        } else {
            &mut third
        };
        word.ask("CLIENT UNPAUSE\r\n", OK);
        other.expect("+PONG\r\n");
        wait_for(&mut pauser, 2, &[("flags", "N")]);
        third.ping();
    }
}

#[test]
fn requests_of_who_has_paused_the_others_do_not_wait() {
    let (server, mut pauser, mut other) = paused("");
    pauser.ping();
    pauser.ask("PUBLISH a b\r\nECHO x\r\n", ":0\r\n$1\r\nx\r\n");
    other.send("PING\r\n");
    wait_until_paused(&mut pauser, 2);
    drop(server);
}

#[test]
fn everything_that_a_client_had_sent_is_answered_in_order_behind_the_pause() {
    let (_server, mut pauser, mut other) = paused("");
    other.send("ECHO 1\r\nECHO 2\r\n");
    wait_until_paused(&mut pauser, 2);
    // A request in two pieces, the first of them while it rests.
    other.send("ECHO 3\r\nEC");
    other.send("HO 4\r\nPING\r\n");
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    other.expect("$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n+PONG\r\n");
}

#[test]
fn a_pause_of_writes_holds_publish_up_and_nothing_else() {
    let (server, mut pauser, mut other) = paused("WRITE");
    let mut subscriber = server.connect();
    subscriber.answers("SUBSCRIBE a");
    other.ping();
    other.send("PING\r\nPUBLISH a b\r\nPING\r\n");
    other.expect("+PONG\r\n");
    wait_until_paused(&mut pauser, 2);
    // Only what stands behind the PUBLISH waits with it.
    server.connect().ping();
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    other.expect(":1\r\n+PONG\r\n");
    assert_eq!(subscriber.leaves(), ["message", "a", "b"]);
}

#[test]
fn a_pause_of_all_is_not_weakened_by_one_of_writes() {
    let (_server, mut pauser, mut other) = paused("ALL");
    pauser.ask("CLIENT PAUSE 1 WRITE\r\n", OK);
    other.send("PING\r\n");
    wait_until_paused(&mut pauser, 2);
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    other.expect("+PONG\r\n");
}

#[test]
fn a_pause_of_writes_becomes_one_of_all() {
    let (_server, mut pauser, mut other) = paused("WRITE");
    other.ping();
    pauser.ask("CLIENT PAUSE 1\r\n", OK);
    other.send("PING\r\n");
    wait_until_paused(&mut pauser, 2);
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    other.expect("+PONG\r\n");
}

#[test]
fn of_two_pauses_the_longer_holds_whichever_came_first() {
    for first_is_longer in [true, false] {
        let server = TestServer::start(1);
        let (mut pauser, mut other) = (server.connect(), server.connect());
        other.ping();
        let mut lengths = [400, 1];
        if !first_is_longer {
            lengths.reverse();
        }
        let start = Instant::now();
        for length in lengths {
            pauser.ask(format!("CLIENT PAUSE {length}\r\n"), OK);
        }
        other.ping();
        let waited = start.elapsed();
        assert!(waited >= Duration::from_millis(400), "{waited:?}");
    }
}

#[test]
fn errors_that_need_no_command_are_answered_during_a_pause() {
    let (_server, mut pauser, mut other) = paused("");
    other.ask(
        "NONSENSE\r\n",
        "-ERR unknown command 'NONSENSE', with args beginning with: \r\n",
    );
    other.ask(
        "ECHO\r\n",
        "-ERR wrong number of arguments for 'echo' command\r\n",
    );
    other.send("PING\r\nNONSENSE\r\n");
    wait_until_paused(&mut pauser, 2);
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    other.expect("+PONG\r\n-ERR unknown command 'NONSENSE', with args beginning with: \r\n");
}

#[test]
fn the_input_of_a_paused_client_stays_in_its_socket() {
    let (_server, mut pauser, mut other) = paused("");
    let ping = b"*1\r\n$4\r\nPING\r\n";
    let sent = other.send_until_stuck(&ping.repeat(1000), &mut pauser);
    let seen = line(&mut pauser, 2);
    // What one read brought.
    let held = number(&seen, "qbuf");
    assert!(0 < held && held <= 128 * 1024, "{seen}");
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    other.expect("+PONG\r\n".repeat(sent / ping.len()));
    other.ask(&ping[sent % ping.len()..], "+PONG\r\n");
    other.ping();
}

#[test]
fn messages_reach_subscribers_during_a_pause() {
    let server = TestServer::start(1);
    let (mut pauser, mut subscriber) = (server.connect(), server.connect());
    subscriber.answers("SUBSCRIBE a");
    pauser.ask(format!("CLIENT PAUSE {AN_HOUR}\r\n"), OK);
    pauser.ask("PUBLISH a one\r\n", ":1\r\n");
    assert_eq!(subscriber.leaves(), ["message", "a", "one"]);
    subscriber.send("PING\r\n");
    eventually("its PING waits", || {
        field(&line(&mut pauser, 2), "flags") == "Pb"
    });
    pauser.ask("PUBLISH a two\r\n", ":1\r\n");
    assert_eq!(subscriber.leaves(), ["message", "a", "two"]);
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    assert_eq!(subscriber.leaves(), ["pong", ""]);
}

#[test]
fn a_drain_answers_what_a_pause_held_up_and_ends_in_time() {
    let (server, mut pauser, mut other) = paused("");
    let mut quiet = server.connect();
    other.send("PING\r\nPING\r\n");
    wait_until_paused(&mut pauser, 2);
    let start = Instant::now();
    assert_eq!(server.drain().aborted, 0);
    // The default of `drain-timeout-ms` is 1 s; the rest is for a busy machine.
    assert!(start.elapsed() < Duration::from_secs(10));
    other.expect("+PONG\r\n+PONG\r\n");
    other.expect_end();
    quiet.expect_end();
    pauser.expect_end();
}

#[test]
fn a_paused_client_is_killed() {
    let (_server, mut pauser, mut other) = paused("");
    other.send("PING\r\n");
    wait_until_paused(&mut pauser, 2);
    pauser.ask("CLIENT KILL ID 2\r\n", ":1\r\n");
    other.expect_end();
    wait_until_gone(&mut pauser, 2);
    assert_eq!(pauser.info("clients", "blocked_clients", ""), Some(0));
}

#[test]
fn who_leaves_during_a_pause_is_gone_at_once_with_a_request_or_without() {
    for request in ["", "PING\r\n"] {
        let (_server, mut pauser, mut other) = paused("");
        other.send(request);
        if !request.is_empty() {
            wait_until_paused(&mut pauser, 2);
        }
        drop(other);
        wait_until_gone(&mut pauser, 2);
        assert_eq!(pauser.info("clients", "blocked_clients", ""), Some(0));
    }
}

#[test]
fn who_half_closes_during_a_pause_is_gone_at_once_as_if_it_had_left() {
    let (_server, mut pauser, mut other) = paused("");
    other.send("PING\r\n");
    other.end_sending();
    expect_closed(&mut other);
    wait_until_gone(&mut pauser, 2);
}

#[test]
fn timeout_does_not_close_who_waits_because_of_a_pause() {
    let limited = Config {
        timeout_s: 1,
        ..config(1)
    };
    let server = TestServer::with(limited, Commands::builtin());
    let (mut waiting, mut pauser) = (server.connect(), server.connect());
    waiting.ping();
    pauser.ask(format!("CLIENT PAUSE {AN_HOUR}\r\n"), OK);
    waiting.send("PING\r\n");
    wait_until_paused(&mut pauser, 1);
    // It rests for longer than the one that is closed meanwhile, and comes first where the clock
    // looks.
    let mut idle = server.connect();
    idle.socket.set_nonblocking(true).expect("a TCP socket");
    eventually("another one is closed", || {
        pauser.ping();
        std::io::Read::read(&mut idle.socket, &mut [0]).is_ok_and(|count| count == 0)
    });
    assert_eq!(field(&line(&mut pauser, 1), "flags"), "b");
    pauser.ask("CLIENT UNPAUSE\r\n", OK);
    waiting.expect("+PONG\r\n");
}

#[test]
fn pause_says_what_is_wrong_with_its_words() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    for (words, reply) in [
        ("x", "-ERR timeout is not an integer or out of range\r\n"),
        ("-1", "-ERR timeout is negative\r\n"),
        ("1 READ", "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n"),
        (
            "1 ALL x",
            "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.\r\n",
        ),
    ] {
        peer.ask(format!("CLIENT PAUSE {words}\r\n"), reply);
    }
    peer.ask("CLIENT UNPAUSE\r\n", OK);
    server.connect().ping();
}

#[test]
fn nobody_waits_in_a_command_that_could_be_unblocked() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    for (words, reply) in [
        ("1", ":0\r\n"),
        ("1 TIMEOUT", ":0\r\n"),
        ("99 error", ":0\r\n"),
        ("x", INTEGER),
        (
            "1 x",
            "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n",
        ),
    ] {
        peer.ask(format!("CLIENT UNBLOCK {words}\r\n"), reply);
    }
}

#[test]
fn client_list_counts_what_a_client_sent_and_was_sent() {
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
    // The last turn may not be over when its reply comes.
    eventually("the last turn is counted", || {
        totals(&mut other) == expected
    });
}

#[test]
fn client_list_counts_requests_of_a_turn_that_ends_early() {
    let server = TestServer::start(2);
    let (mut peer, mut other) = (server.connect(), server.connect());
    let id = peer.id();
    // Takes longer than a turn may.
    assert!(!peer.answers("COMMAND DOCS").is_empty());
    peer.ping();
    eventually("the last turn is counted", || {
        let line = other.answer(&format!("CLIENT LIST ID {id}"));
        line.trim_end().ends_with(" tot-cmds=3")
    });
}
