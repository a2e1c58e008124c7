//! What the server tells of its work: MONITOR, SLOWLOG, LATENCY and the statistics of INFO.

use std::io::Read;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use respool::{Arity, Commands, Config};
use respool_testing::{Gate, Peer, TestServer, commands_with_gate, config, eventually, request};

const OK: &str = "+OK\r\n";

/// What a line of MONITOR says behind the time: the database, the address, and the words.
#[track_caller]
fn monitored(monitor: &mut Peer) -> String {
    let line = monitor.line();
    let (time, rest) = line.split_once(' ').expect(&line);
    let seconds: f64 = time[1..].parse().expect(&line);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("it is later than 1970").as_secs_f64();
    assert!(
        time.starts_with('+') && (now - 60.0..=now).contains(&seconds),
        "{line}"
    );
    rest.to_owned()
}

/// A client that monitors, and another one and its address.
fn monitor_and_other(server: &TestServer) -> (Peer, Peer, String) {
    let (mut monitor, mut other) = (server.connect(), server.connect());
    other.ping();
    monitor.ask("MONITOR\r\n", OK);
    let addr = other.socket.local_addr().expect("it is connected");
    (monitor, other, addr.to_string())
}

// MONITOR.

#[test]
fn a_monitor_sees_what_others_send_quoted_and_in_order() {
    let server = TestServer::start(2);
    let (mut monitor, mut other, addr) = monitor_and_other(&server);
    other.send(request(&[b"ping"]));
    other.send(request(&[b"ECHO", b"a \"b\"\\\r\n\t\0\xff"]));
    other.send("SELECT 5\r\nCLIENT ID\r\nPING\r\nPING\r\nPUBLISH a ''\r\n");
    for (database, words) in [
        ("0", r#""ping""#),
        ("0", r#""ECHO" "a \"b\"\\\r\n\t\x00\xff""#),
        ("5", r#""SELECT" "5""#),
        ("5", r#""CLIENT" "ID""#),
        ("5", r#""PING""#),
        ("5", r#""PING""#),
        ("5", r#""PUBLISH" "a" """#),
    ] {
        assert_eq!(
            monitored(&mut monitor),
            format!("[{database} {addr}] {words}")
        );
    }
}

#[test]
fn a_monitor_sees_its_own_requests_and_those_of_another_monitor() {
    let server = TestServer::start(1);
    let (mut monitor, mut other, addr) = monitor_and_other(&server);
    other.ask("MONITOR\r\n", OK);
    other.send("PING\r\n");
    other.expect("+PONG\r\n");
    let line = format!("[0 {addr}] \"PING\"");
    assert_eq!(monitored(&mut monitor), line);
    assert_eq!(monitored(&mut other), line);
}

#[test]
fn who_says_monitor_twice_sees_each_request_once() {
    let server = TestServer::start(1);
    let (mut monitor, mut other, addr) = monitor_and_other(&server);
    monitor.ask("MONITOR\r\n", OK);
    for word in ["one", "two"] {
        other.answer(&format!("ECHO {word}"));
        let line = format!("[0 {addr}] \"ECHO\" \"{word}\"");
        assert_eq!(monitored(&mut monitor), line);
    }
}

#[test]
fn a_monitor_sees_no_password() {
    let server = TestServer::start(1);
    let (mut monitor, mut other, addr) = monitor_and_other(&server);
    for (request, shown) in [
        ("AUTH hush", r#""AUTH" "(redacted)""#),
        ("AUTH default hush", r#""AUTH" "(redacted)" "(redacted)""#),
        (
            "auth hush hush hush",
            r#""auth" "(redacted)" "(redacted)" "(redacted)""#,
        ),
        (
            "HELLO 2 AUTH default hush SETNAME me",
            r#""HELLO" "2" "AUTH" "(redacted)" "(redacted)" "SETNAME" "me""#,
        ),
        (
            "HELLO 2 SETNAME me auth default hush",
            r#""HELLO" "2" "SETNAME" "me" "auth" "(redacted)" "(redacted)""#,
        ),
        // A word too many, too few or misspelled: rather too little is shown than a password.
        (
            "HELLO 3 AUHT default hush",
            r#""HELLO" "3" "(redacted)" "(redacted)" "(redacted)""#,
        ),
        (
            "HELLO AUTH default hush",
            r#""HELLO" "AUTH" "(redacted)" "(redacted)""#,
        ),
        ("HELLO hush", r#""HELLO" "(redacted)""#),
        ("HELLO 3 AUTH hush", r#""HELLO" "3" "AUTH" "(redacted)""#),
        (
            "HELLO 3 SETNAME AUTH default hush",
            r#""HELLO" "3" "SETNAME" "AUTH" "(redacted)" "(redacted)""#,
        ),
        (
            "HELLO 3 AUTH a b hush SETNAME me",
            r#""HELLO" "3" "AUTH" "(redacted)" "(redacted)" "(redacted)" "(redacted)" "(redacted)""#,
        ),
    ] {
        other.answers(request);
        let line = monitored(&mut monitor);
        if request.starts_with("HELLO") || !shown.contains("AUTH") {
            assert_eq!(line, format!("[0 {addr}] {shown}"));
        } else {
            assert!(!line.contains("hush"), "{line}");
        }
    }
}

#[test]
fn a_monitor_sees_nothing_of_the_administration() {
    let server = TestServer::start(1);
    let (mut monitor, mut other, addr) = monitor_and_other(&server);
    for request in [
        "CONFIG SET requirepass hush",
        "CONFIG GET port",
        "CLIENT LIST",
        "CLIENT PAUSE 0",
        "SLOWLOG GET",
        "LATENCY LATEST",
        "ACL LIST",
        "MONITOR",
    ] {
        other.answers(request);
    }
    other.answers("RESET");
    other.answers("AUTH hush");
    other.ask("ECHO end\r\n", "$3\r\nend\r\n");
    // What was refused before it was run is not shown either.
    other.send("NONSENSE\r\nECHO\r\nECHO end\r\n");
    for _ in 0..2 {
        let mut line = String::new();
        while !line.contains("end") {
            line = monitored(&mut monitor);
            let harmless = ["\"RESET\"", "\"AUTH\" \"(redacted)\"", "\"ECHO\" \"end\""];
            assert!(
                harmless
                    .iter()
                    .any(|words| line == format!("[0 {addr}] {words}")),
                "{line}"
            );
        }
    }
}

/// Whether every PING is looked at closely, and not only the first of each 67 of a worker: then it
/// has a duration. The server has one worker, which has answered a PING before and answers no more
/// than 66 in all.
#[track_caller]
fn is_attentive(peer: &mut Peer) -> bool {
    assert_eq!(peer.answer("CONFIG RESETSTAT"), "OK");
    peer.ping();
    !peer.answers("LATENCY HISTOGRAM ping").is_empty()
}

#[test]
fn requests_are_looked_at_closely_while_somebody_monitors_and_no_longer() {
    let server = TestServer::start(1);
    let mut other = server.connect();
    other.ping();
    assert!(!is_attentive(&mut other));
    for farewell in ["RESET\r\n", "QUIT\r\n", ""] {
        let (mut monitor, mut second) = (server.connect(), server.connect());
        monitor.ask("MONITOR\r\n", OK);
        second.ask("MONITOR\r\nMONITOR\r\n", [OK, OK].concat());
        assert!(is_attentive(&mut other));
        drop(second);
        eventually("the second is gone", || {
            other.answer("CLIENT LIST").lines().count() == 2
        });
        assert!(is_attentive(&mut other));
        if farewell.is_empty() {
            drop(monitor);
            eventually("it is gone", || !is_attentive(&mut other));
        } else {
            monitor.send(farewell);
            while !["+RESET", "+OK"].contains(&&*monitor.line()) {}
            assert!(!is_attentive(&mut other), "{farewell}");
        }
    }
}

#[test]
fn behind_reset_a_monitor_is_told_nothing() {
    let server = TestServer::start(1);
    let (mut monitor, mut other, _) = monitor_and_other(&server);
    monitor.ask("RESET\r\n", "+RESET\r\n");
    other.ping();
    monitor.ping();
    monitor.ask("ECHO x\r\n", "$1\r\nx\r\n");
}

#[test]
fn what_a_monitor_was_told_before_it_says_reset_stands_before_the_reply() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(2), commands);
    let (mut monitor, mut other, addr) = monitor_and_other(&server);
    monitor.send("GATE\r\nRESET\r\nPING\r\n");
    gate.wait_for_start();
    other.ping();
    gate.let_one_through();
    monitor.expect("+OPEN\r\n");
    assert_eq!(monitored(&mut monitor), format!("[0 {addr}] \"PING\""));
    assert!(monitored(&mut monitor).ends_with("\"GATE\""));
    monitor.expect("+RESET\r\n+PONG\r\n");
}

#[test]
fn a_slow_log_of_everything_looks_at_every_request_closely() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.ping();
    for (slower_than, closely) in [("0", true), ("999", true), ("1000", false), ("-1", false)] {
        let set = format!("CONFIG SET slowlog-log-slower-than {slower_than}");
        assert_eq!(peer.answer(&set), "OK");
        assert_eq!(is_attentive(&mut peer), closely, "{slower_than}");
    }
}

#[test]
fn a_monitor_that_does_not_read_is_closed_by_the_limit() {
    // A monitor is shown the front of a long word, but all of so many.
    let mut commands = Commands::builtin();
    commands.register("SINK", Arity::AtLeast(1), |_, _, reply| reply.simple("OK"));
    let server = TestServer::with(config(1), commands);
    let (mut deaf, mut other, _) = monitor_and_other(&server);
    let word = vec![b'x'; 4096];
    let words = [&[&b"SINK"[..]], &[word.as_slice(); 256][..]].concat();
    let sink = request(&words);
    let mut rounds = 0;
    while other.answer("CLIENT LIST").lines().count() > 1 {
        other.ask(&sink, OK);
        rounds += 1;
        assert!(rounds < 256, "what waits is bounded");
    }
    assert!(rounds > 32, "{rounds} requests of 1 MiB");
    let closed = other.info("stats", "client_output_buffer_limit_disconnections", "");
    assert_eq!(closed, Some(1));
    let _ = deaf.socket.read_to_end(&mut Vec::new());
    other.ping();
}

#[test]
fn a_monitor_in_a_handler_that_blocks_sees_everything_behind_it() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(2), commands);
    let (mut monitor, mut other, _) = monitor_and_other(&server);
    monitor.send("GATE\r\n");
    gate.wait_for_start();
    other.ping();
    other.ask("ECHO x\r\n", "$1\r\nx\r\n");
    gate.let_one_through();
    monitor.expect("+OPEN\r\n");
    assert!(monitored(&mut monitor).ends_with("] \"PING\""));
    assert!(monitored(&mut monitor).ends_with("] \"ECHO\" \"x\""));
    // A request is shown when it has been run.
    assert!(monitored(&mut monitor).ends_with("] \"GATE\""));
}

// SLOWLOG.

/// The entries of the slow log: each the address, the name and the words.
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
            let words = peer.leaves();
            let mut entry = vec![peer.leaves().remove(0), peer.leaves().remove(0)];
            entry.extend(words);
            entry
        })
        .collect()
}

/// Runs GATE with these words in `peer`, and keeps it there for longer than `least`.
#[track_caller]
fn pass_slowly(peer: &mut Peer, gate: &Gate, words: &str, least: Duration) {
    let start = Instant::now();
    peer.send(format!("{words}\r\n"));
    gate.wait_for_start();
    eventually("the handler has taken long", || {
        start.elapsed() > least + Duration::from_millis(5)
    });
    gate.let_one_through();
    peer.expect("+OPEN\r\n");
}

const SLOW: Duration = Duration::from_millis(12);

#[test]
fn a_handler_that_takes_10_ms_is_in_the_slow_log_by_default_with_who_and_what_and_when() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    assert_eq!(peer.answer("CLIENT SETNAME me"), "OK");
    pass_slowly(&mut peer, &gate, "GATE one \"two words\"", SLOW);
    assert_eq!(peer.answer("SLOWLOG LEN"), "1");
    let entry = peer.answers("SLOWLOG GET");
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("it is later than 1970").as_secs();
    let number = |index: usize| -> u64 { entry[index].parse().expect("a number") };
    assert_eq!(number(0), 0);
    assert!((now - 60..=now).contains(&number(1)), "{entry:?}");
    assert!((12_000..60_000_000).contains(&number(2)), "{entry:?}");
    let addr = peer
        .socket
        .local_addr()
        .expect("it is connected")
        .to_string();
    assert_eq!(entry[3..], ["GATE", "one", "two words", &*addr, "me"]);
    pass_slowly(&mut peer, &gate, "GATE again", SLOW);
    assert_eq!(peer.answers("SLOWLOG GET 1")[0], "1");
    peer.ask("SLOWLOG GET 0\r\n", "*0\r\n");
    assert_eq!(peer.answer("SLOWLOG RESET"), "OK");
    peer.ask("SLOWLOG LEN\r\nSLOWLOG GET\r\n", ":0\r\n*0\r\n");
    pass_slowly(&mut peer, &gate, "GATE", SLOW);
    // The numbers go on.
    assert_eq!(peer.answers("SLOWLOG GET")[0], "2");
}

#[test]
fn with_0_every_request_is_in_the_slow_log_at_once_and_with_minus_1_none() {
    let server = TestServer::start(2);
    let (mut peer, mut other) = (server.connect(), server.connect());
    other.ask("PING\r\n".repeat(200), "+PONG\r\n".repeat(200));
    assert_eq!(peer.answer("SLOWLOG LEN"), "0");
    assert_eq!(
        peer.answer("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 1000"),
        "OK"
    );
    // The change itself took place before it was over.
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
fn with_minus_1_a_slow_handler_is_not_in_the_slow_log() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    assert_eq!(peer.answer("CONFIG SET slowlog-log-slower-than -1"), "OK");
    pass_slowly(&mut peer, &gate, "GATE", SLOW);
    assert_eq!(peer.answer("SLOWLOG LEN"), "0");
    assert_eq!(
        peer.answer("CONFIG SET slowlog-log-slower-than 3600000000"),
        "OK"
    );
    pass_slowly(&mut peer, &gate, "GATE", SLOW);
    assert_eq!(peer.answer("SLOWLOG LEN"), "0");
}

#[test]
fn the_slow_log_keeps_the_latest_and_so_many() {
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
fn the_slow_log_shows_no_password() {
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
    // And all else.
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
fn slowlog_says_what_is_wrong_with_its_words() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let count = "-ERR count should be greater than or equal to -1\r\n";
    peer.ask("SLOWLOG GET -2\r\n", count);
    peer.ask("SLOWLOG GET x\r\n", count);
    let wrong =
        "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.\r\n";
    peer.ask("SLOWLOG GET 1 2\r\n", wrong);
}

// LATENCY.

#[test]
fn latency_tells_of_slow_handlers_once_they_are_watched() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    pass_slowly(&mut peer, &gate, "GATE", SLOW);
    peer.ask("LATENCY LATEST\r\n", "*0\r\n");
    assert_eq!(peer.answer("CONFIG SET latency-monitor-threshold 10"), "OK");
    pass_slowly(&mut peer, &gate, "GATE", Duration::from_millis(40));
    pass_slowly(&mut peer, &gate, "GATE", SLOW);
    let latest = peer.answers("LATENCY LATEST");
    assert_eq!((latest.len(), &*latest[0]), (4, "command"));
    let number = |word: &String| -> u64 { word.parse().expect(word) };
    // In the same second, the longer one stands for both.
    assert!((12..30_000).contains(&number(&latest[2])), "{latest:?}");
    assert!((40..30_000).contains(&number(&latest[3])), "{latest:?}");
    let history: Vec<_> = peer
        .answers("LATENCY HISTORY command")
        .iter()
        .map(number)
        .collect();
    assert_eq!(history.len() % 2, 0);
    assert_eq!(
        history[history.len() - 2..],
        [number(&latest[1]), number(&latest[2])]
    );
    let longest = history.chunks(2).map(|spike| spike[1]).max();
    assert_eq!(longest, Some(number(&latest[3])));
    peer.ask("LATENCY HISTORY fast-command\r\n", "*0\r\n");
    peer.ask("LATENCY RESET fast-command nonsense\r\n", ":0\r\n");
    peer.ask("LATENCY RESET Command\r\n", ":1\r\n");
    peer.ask("LATENCY LATEST\r\nLATENCY RESET\r\n", "*0\r\n:0\r\n");
    assert_eq!(
        peer.answer("CONFIG SET latency-monitor-threshold 1000000"),
        "OK"
    );
    pass_slowly(&mut peer, &gate, "GATE", SLOW);
    peer.ask("LATENCY LATEST\r\n", "*0\r\n");
}

#[test]
fn the_histogram_counts_each_call_of_a_handler_and_where_its_duration_lies() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    for _ in 0..3 {
        pass_slowly(&mut peer, &gate, "GATE", SLOW);
    }
    let leaves = peer.answers("LATENCY HISTOGRAM gate");
    assert_eq!(leaves[..4], ["gate", "calls", "3", "histogram_usec"]);
    let points: Vec<u64> = leaves[4..]
        .iter()
        .map(|leaf| leaf.parse().expect(leaf))
        .collect();
    // The first that counts any stands for 12 ms or more, and the last counts all.
    assert!(points[0] >= 12_000, "{points:?}");
    assert_eq!(points.last(), Some(&3));
    assert!(points.chunks(2).is_sorted(), "{points:?}");
    peer.answers("CLIENT GETNAME");
    peer.answers("CLIENT ID");
    let names = peer.answers("LATENCY HISTOGRAM client");
    assert!(names.contains(&"client|id".into()) && names.contains(&"client|getname".into()));
    assert!(!names.contains(&"gate".into()));
    assert!(peer.answers("LATENCY HISTOGRAM nonsense").is_empty());
    let all = peer.answers("LATENCY HISTOGRAM");
    assert!(all.contains(&"gate".into()) && all.contains(&"client|id".into()));
    // A quick command, of which one call in 67 is timed, counts all of them.
    peer.ask("PING\r\n".repeat(100), "+PONG\r\n".repeat(100));
    assert_eq!(peer.answers("LATENCY HISTOGRAM ping")[2], "100");
    assert_eq!(
        peer.answers("LATENCY HISTOGRAM ping")
            .last()
            .map(String::as_str),
        Some("100")
    );
}

#[test]
fn without_latency_tracking_no_duration_is_kept() {
    let untracked = Config {
        latency_tracking: false,
        ..config(1)
    };
    let server = TestServer::with(untracked, Commands::builtin());
    let mut peer = server.connect();
    peer.ping();
    peer.answers("CLIENT ID");
    assert!(peer.answers("LATENCY HISTOGRAM").is_empty());
    peer.ask("INFO latencystats\r\n", "$16\r\n# Latencystats\r\n\r\n");
    // The calls are counted all the same.
    assert_eq!(
        peer.info("commandstats", "cmdstat_client|id", "calls="),
        Some(1)
    );
    assert_eq!(peer.answer("CONFIG SET latency-tracking yes"), "OK");
    peer.answers("CLIENT ID");
    assert!(
        peer.answers("LATENCY HISTOGRAM")
            .contains(&"client|id".into())
    );
    assert!(
        peer.answer("INFO latencystats")
            .contains("latency_percentiles_usec_client|id:p50=")
    );
}

// Statistics.

#[test]
fn calls_are_counted_exactly_over_several_workers_by_what_became_of_them() {
    const CLIENTS: u64 = 8;
    const ROUNDS: u64 = 50;

    let server = TestServer::start(4);
    let mut peers: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for _ in 0..ROUNDS {
        for peer in &mut peers {
            peer.send("PING\r\nPING\r\nPING x y\r\nECHO\r\nECHO x\r\nSELECT 77\r\nNONSENSE\r\n");
            peer.send("HELLO 9\r\nCLIENT NONSENSE\r\nCLIENT ID x\r\n");
        }
        for peer in &mut peers {
            for _ in 0..2 {
                peer.expect("+PONG\r\n");
            }
            for _ in 0..8 {
                peer.leaves();
            }
        }
    }
    let peer = &mut peers[0];
    let all = CLIENTS * ROUNDS;
    for (name, calls, rejected, failed) in [
        ("ping", 3 * all, 0, all),
        ("echo", all, all, 0),
        ("select", all, 0, all),
        ("hello", all, 0, all),
        ("client|id", 0, all, 0),
    ] {
        let field = format!("cmdstat_{name}");
        for (part, expected) in [
            ("calls=", calls),
            ("rejected_calls=", rejected),
            ("failed_calls=", failed),
        ] {
            let counted = peer.info("commandstats", &field, part);
            assert_eq!(counted, Some(expected), "{name} {part}");
        }
    }
    assert_eq!(
        peer.info("errorstats", "errorstat_ERR", "count="),
        Some(6 * all)
    );
    assert_eq!(
        peer.info("errorstats", "errorstat_NOPROTO", "count="),
        Some(all)
    );
    assert_eq!(peer.info("stats", "total_error_replies", ""), Some(7 * all));
    assert_eq!(peer.info("commandstats", "cmdstat_client", "calls="), None);
}

#[test]
fn an_error_is_counted_although_it_is_not_sent() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.ask("CLIENT REPLY SKIP\r\nSELECT 77\r\nPING\r\n", "+PONG\r\n");
    peer.ask("CLIENT REPLY SKIP\r\nNONSENSE\r\nPING\r\n", "+PONG\r\n");
    assert_eq!(
        peer.info("commandstats", "cmdstat_select", "failed_calls="),
        Some(1)
    );
    assert_eq!(peer.info("errorstats", "errorstat_ERR", "count="), Some(2));
}

#[test]
fn what_workers_have_counted_outlives_them() {
    let server = TestServer::start(4);
    let mut peers: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for workers in [1, 4, 2, 3, 1] {
        for peer in &mut peers {
            peer.ask("ECHO x\r\n", "$1\r\nx\r\n");
        }
        let changed = format!("CONFIG SET workers {workers}");
        assert_eq!(peers[0].answer(&changed), "OK");
        eventually("there are so many", || server.handle.workers() == workers);
    }
    let counted = peers[0].info("commandstats", "cmdstat_echo", "calls=");
    assert_eq!(counted, Some(40));
}

#[test]
fn percentiles_are_those_that_are_wanted() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.ping();
    let line = |peer: &mut Peer| {
        let text = peer.answer("INFO latencystats");
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix("latency_percentiles_usec_ping:"));
        let names = line
            .expect(&text)
            .split(',')
            .map(|pair| pair.split('=').next());
        names.flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line(&mut peer), ["p50", "p99", "p99.9"]);
    assert_eq!(
        peer.answer("CONFIG SET latency-tracking-info-percentiles \"1 100\""),
        "OK"
    );
    assert_eq!(line(&mut peer), ["p1", "p100"]);
}

#[test]
fn resetstat_forgets_calls_errors_and_durations_and_counts_on() {
    let server = TestServer::start(2);
    let mut peer = server.connect();
    peer.ping();
    peer.answers("SELECT 77");
    peer.answers("NONSENSE");
    assert_eq!(peer.answer("CONFIG RESETSTAT"), "OK");
    assert_eq!(peer.info("commandstats", "cmdstat_ping", "calls="), None);
    assert_eq!(peer.info("commandstats", "cmdstat_select", "calls="), None);
    peer.ask("INFO errorstats\r\n", "$14\r\n# Errorstats\r\n\r\n");
    assert!(peer.answers("LATENCY HISTOGRAM ping").is_empty());
    for count in 1..=3 {
        peer.answers("SELECT 77");
        let counted = peer.info("commandstats", "cmdstat_select", "failed_calls=");
        assert_eq!(counted, Some(count));
    }
    assert_eq!(peer.info("errorstats", "errorstat_ERR", "count="), Some(3));
}

#[test]
fn histograms_of_many_names_at_once_are_refused() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let words = |count: usize| {
        let mut words = vec![&b"LATENCY"[..], b"HISTOGRAM"];
        words.extend(vec![&b"no"[..]; count]);
        request(&words)
    };
    peer.ask(words(1024), "*0\r\n");
    peer.ask(
        words(1025),
        "-ERR too many command names, at most 1024 at once\r\n",
    );
}
