//! SLOWLOG.

use std::time::{SystemTime, UNIX_EPOCH};

use respool_testing::{Peer, TestServer, commands_with_gate, config};

use crate::{SLOW, every_call_is_observed, run_slowly};

#[test]
fn slowlog_threshold_below_1_ms_observes_every_call() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.ping();
    for (slower_than, closely) in [("0", true), ("999", true), ("1000", false), ("-1", false)] {
        let set = format!("CONFIG SET slowlog-log-slower-than {slower_than}");
        assert_eq!(peer.answer(&set), "OK");
        assert_eq!(every_call_is_observed(&mut peer), closely, "{slower_than}");
    }
}

/// Returns the entries of the slow log: address, name and arguments of each.
#[track_caller]
fn slowlog(peer: &mut Peer) -> Vec<Vec<String>> {
    let count: usize = peer.answer("SLOWLOG LEN").parse().expect("a number");
    peer.send("SLOWLOG GET -1\r\n");
    let header = peer.line();
    let entries: usize = header[1..].parse().expect(&header);
    assert!(entries >= count.min(1));
    (0..entries)
        .map(|_| {
            peer.expect("*6\r\n");
            for _ in 0..3 {
                peer.leaves();
            }
            let mut words = peer.leaves();
            // On a busy machine, a client may wait.
            words.retain(|word| !word.starts_with("... (waited "));
            let mut entry = vec![peer.leaves().remove(0), peer.leaves().remove(0)];
            entry.extend(words);
            entry
        })
        .collect()
}

#[test]
fn handler_of_10_ms_is_logged_by_default() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    assert_eq!(peer.answer("CLIENT SETNAME me"), "OK");
    run_slowly(&mut peer, &gate, "GATE one \"two words\"", SLOW);
    assert_eq!(peer.answer("SLOWLOG LEN"), "1");
    let entry = peer.answers("SLOWLOG GET");
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("it is later than 1970").as_secs();
    let number = |index: usize| -> u64 { entry[index].parse().expect("a number") };
    assert_eq!(number(0), 0);
    assert!((now - 60..=now).contains(&number(1)), "{entry:?}");
    assert!((12_000..60_000_000).contains(&number(2)), "{entry:?}");
    let addr = peer.local_addr().to_string();
    assert_eq!(entry[3..], ["GATE", "one", "two words", &*addr, "me"]);
    run_slowly(&mut peer, &gate, "GATE again", SLOW);
    assert_eq!(peer.answers("SLOWLOG GET 1")[0], "1");
    peer.ask("SLOWLOG GET 0\r\n", "*0\r\n");
    assert_eq!(peer.answer("SLOWLOG RESET"), "OK");
    peer.ask("SLOWLOG LEN\r\nSLOWLOG GET\r\n", ":0\r\n*0\r\n");
    run_slowly(&mut peer, &gate, "GATE", SLOW);
    // Ids are not reused.
    assert_eq!(peer.answers("SLOWLOG GET")[0], "2");
}

#[test]
fn threshold_0_logs_every_request_and_minus_1_none() {
    let server = TestServer::start(2);
    let (mut peer, mut other) = (server.connect(), server.connect());
    other.ask("PING\r\n".repeat(200), "+PONG\r\n".repeat(200));
    assert_eq!(peer.answer("SLOWLOG LEN"), "0");
    assert_eq!(
        peer.answer("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 1000"),
        "OK"
    );
    // The threshold applied before CONFIG SET had finished, so it is logged.
    let first = slowlog(&mut peer).len();
    other.ask("PING\r\n".repeat(100), "+PONG\r\n".repeat(100));
    let entries = slowlog(&mut peer);
    let pings = entries.iter().filter(|entry| entry[2..] == ["PING"]);
    assert_eq!(pings.count(), 100);
    assert!(
        entries.len() > first + 100,
        "also what asks for it is there"
    );
    assert_eq!(peer.answer("CONFIG SET slowlog-log-slower-than -1"), "OK");
    let before = peer.answer("SLOWLOG LEN");
    other.ask("PING\r\n".repeat(200), "+PONG\r\n".repeat(200));
    assert_eq!(peer.answer("SLOWLOG LEN"), before);
}

#[test]
fn threshold_minus_1_logs_no_slow_handler() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    assert_eq!(peer.answer("CONFIG SET slowlog-log-slower-than -1"), "OK");
    run_slowly(&mut peer, &gate, "GATE", SLOW);
    assert_eq!(peer.answer("SLOWLOG LEN"), "0");
    assert_eq!(
        peer.answer("CONFIG SET slowlog-log-slower-than 3600000000"),
        "OK"
    );
    run_slowly(&mut peer, &gate, "GATE", SLOW);
    assert_eq!(peer.answer("SLOWLOG LEN"), "0");
}

#[test]
fn slowlog_keeps_the_latest_entries() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    assert_eq!(
        peer.answer("CONFIG SET slowlog-max-len 3 slowlog-log-slower-than 0"),
        "OK"
    );
    for number in 0..10 {
        peer.answer(&format!("ECHO {number}"));
    }
    assert_eq!(peer.answer("CONFIG SET slowlog-log-slower-than -1"), "OK");
    let entries = slowlog(&mut peer);
    let words: Vec<_> = entries.iter().map(|entry| entry[2..].join(" ")).collect();
    assert_eq!(words, ["ECHO 9", "ECHO 8", "ECHO 7"]);
}

#[test]
fn slowlog_shows_no_password() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    assert_eq!(peer.answer("CONFIG SET slowlog-log-slower-than 0"), "OK");
    for request in [
        "AUTH hush",
        "AUTH default hush",
        "HELLO 2 AUTH default hush",
        "CONFIG SET requirepass hush",
        "config set maxclients 9 RequirePass hush timeout 0",
        "CONFIG SET requirepas hush",
        "CONFIG SET timeout requirepass hush 1",
        "CONFIG SET requirepass my hush",
        "CONFIG SET hush requirepass",
        "HELLO 2 AUHT default hush",
        "CONFIG SET requirepass \"\"",
    ] {
        peer.answers(request);
    }
    let words: Vec<_> = slowlog(&mut peer).into_iter().flatten().collect();
    assert!(words.iter().all(|word| word != "hush"), "{words:?}");
    // All other arguments are shown.
    for word in [
        "HELLO",
        "requirepass",
        "RequirePass",
        "maxclients",
        "timeout",
        "(redacted)",
    ] {
        assert!(
            words.iter().any(|shown| shown == word),
            "{word} in {words:?}"
        );
    }
}

#[test]
fn invalid_slowlog_arguments_are_errors() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let count = "-ERR count should be greater than or equal to -1\r\n";
    peer.ask("SLOWLOG GET -2\r\n", count);
    peer.ask("SLOWLOG GET x\r\n", count);
    let wrong =
        "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.\r\n";
    peer.ask("SLOWLOG GET 1 2\r\n", wrong);
}
