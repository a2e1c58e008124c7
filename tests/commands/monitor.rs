//! MONITOR.

use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

use respool::{Arity, Commands, Config};
use respool_testing::{Peer, TestServer, commands_with_gate, config, eventually, request};

use crate::{OK, every_call_is_observed};

/// Returns a line of MONITOR after its time: database, address and arguments.
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

/// Returns a monitor, another client, and the address of that client.
fn monitor_and_other(server: &TestServer) -> (Peer, Peer, String) {
    let (mut monitor, mut other) = (server.connect(), server.connect());
    other.ping();
    monitor.ask("MONITOR\r\n", OK);
    let addr = other.local_addr();
    (monitor, other, addr.to_string())
}

#[test]
fn monitor_shows_requests_quoted_and_in_order() {
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
fn monitor_shows_requests_of_monitors_too() {
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
fn second_monitor_request_shows_nothing_twice() {
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
fn monitor_shows_no_password() {
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
        // If an argument is missing, superfluous or misspelled, everything that might be a password
        // is redacted.
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
fn monitor_shows_no_admin_commands() {
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
    // Requests that are refused before they run are not shown.
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

#[test]
fn every_call_is_observed_only_while_a_monitor_exists() {
    let server = TestServer::start(1);
    let mut other = server.connect();
    other.ping();
    assert!(!every_call_is_observed(&mut other));
    for farewell in ["RESET\r\n", "QUIT\r\n", ""] {
        let (mut monitor, mut second) = (server.connect(), server.connect());
        monitor.ask("MONITOR\r\n", OK);
        second.ask("MONITOR\r\nMONITOR\r\n", [OK, OK].concat());
        assert!(every_call_is_observed(&mut other));
        drop(second);
        eventually("the second is gone", || {
            other.answer("CLIENT LIST").lines().count() == 2
        });
        assert!(every_call_is_observed(&mut other));
        if farewell.is_empty() {
            drop(monitor);
            eventually("the client is gone", || !every_call_is_observed(&mut other));
        } else {
            monitor.send(farewell);
            while !["+RESET", "+OK"].contains(&&*monitor.line()) {}
            assert!(!every_call_is_observed(&mut other), "{farewell}");
        }
    }
}

#[test]
fn reset_ends_monitoring() {
    let server = TestServer::start(1);
    let (mut monitor, mut other, _) = monitor_and_other(&server);
    monitor.ask("RESET\r\n", "+RESET\r\n");
    other.ping();
    monitor.ping();
    monitor.ask("ECHO x\r\n", "$1\r\nx\r\n");
}

#[test]
fn monitored_requests_precede_the_reply_to_reset() {
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
fn monitor_that_does_not_read_is_closed_by_the_limit() {
    // An argument is truncated, but the number of arguments is not.
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
fn monitor_in_a_handler_gets_the_requests_afterwards() {
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
    // A request is shown after it has run.
    assert!(monitored(&mut monitor).ends_with("] \"GATE\""));
}

/// A monitor that received nothing was closed by `timeout`.
#[test]
fn monitor_is_not_closed_by_timeout() {
    let server = TestServer::with(
        Config {
            timeout_s: 1,
            ..config(1)
        },
        Commands::builtin(),
    );
    let mut monitor = server.connect();
    monitor.ask("MONITOR\r\n", "+OK\r\n");
    server.connect().expect_end();
    server.connect().ask("ECHO shown\r\n", "$5\r\nshown\r\n");
    let line = monitor.line();
    assert!(line.ends_with(r#""ECHO" "shown""#), "{line}");
}

/// A huge request closed every monitor as too slow.
#[test]
fn monitor_truncates_long_arguments() {
    let server = TestServer::start(2);
    let mut monitor = server.connect();
    monitor.ask("MONITOR\r\n", "+OK\r\n");
    let length = 20 * 1024 * 1024;
    let mut peer: Peer = server.connect();
    let bulk = vec![0; length];
    peer.send(format!("*2\r\n$4\r\nECHO\r\n${length}\r\n"));
    peer.send(&bulk);
    peer.ask("\r\n", format!("${length}\r\n"));
    peer.bytes(length + 2);
    let line = monitor.line();
    let more = length - 4096;
    assert!(
        line.ends_with(&format!("\\x00... ({more} more bytes)\"")),
        "{}",
        &line[line.len() - 80..]
    );
    assert!(line.len() < 20_000);
}

/// node-redis 3 takes a line that does not end with a quote for a reply, and throws.
#[test]
fn monitor_line_is_a_list_of_quoted_strings() {
    let server = TestServer::start(2);
    let mut monitor = server.connect();
    monitor.ask("MONITOR\r\n", "+OK\r\n");
    let mut peer = server.connect();
    for count in [1023, 1024, 5000] {
        // PING checks its own arity: it runs and fails.
        peer.answer(&format!("PING{}", " a".repeat(count)));
        let line = monitor.line();
        let (_, words) = line.split_once("] ").expect("the words");
        let words = words
            .strip_prefix('"')
            .and_then(|words| words.strip_suffix('"'));
        let words: Vec<_> = words.expect(&line).split("\" \"").collect();
        assert_eq!(words.len(), (count + 1).min(1025), "{line}");
        if count > 1023 {
            let more = format!("... ({} more arguments)", count + 1 - 1024);
            assert_eq!(words.last(), Some(&&*more));
        }
    }
}
