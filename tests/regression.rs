//! Bugs that there were, each with its story.

use respool::{Commands, Config};
use respool_testing::{Peer, TestServer, config, eventually};

/// Messages are read at the beginning of a turn. Those that came later in it stood behind the
/// confirmation of UNSUBSCRIBE, where a client in RESP2 took them for the reply to its next request.
#[test]
fn no_message_comes_behind_the_end_of_a_subscription() {
    let server = TestServer::start(2);
    let mut peer = server.connect();
    // Without an answer to PUBLISH, the message stays in the mail.
    peer.send("SUBSCRIBE b\r\n");
    peer.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:1\r\n");
    let mut publisher = server.connect();
    let message = "*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$1\r\nx\r\n";
    for _ in 0..200 {
        publisher.send("PUBLISH b x\r\n");
        peer.send("UNSUBSCRIBE b\r\nPING\r\n");
        let confirmation = "*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n";
        let mut seen = String::new();
        while !seen.ends_with("+PONG\r\n") {
            seen.push_str(&peer.line());
            seen.push_str("\r\n");
        }
        let expected = format!("{confirmation}+PONG\r\n");
        assert!(
            seen == expected || seen == format!("{message}{expected}"),
            "{seen:?}"
        );
        publisher.line();
        peer.ask(
            "SUBSCRIBE b\r\n",
            "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:1\r\n",
        );
    }
}

/// As above, on one connection: the message to oneself that is not answered stays in the mail, and
/// stood behind the confirmation, or behind the end of a monitor.
#[test]
fn what_was_left_for_a_client_stands_in_front_of_the_end_of_its_listening() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.send("HELLO 3\r\nECHO begin\r\n");
    while peer.line() != "begin" {}
    peer.send(
        "CLIENT REPLY OFF\r\nSUBSCRIBE b\r\nPUBLISH b x\r\nUNSUBSCRIBE b\r\nCLIENT REPLY ON\r\n",
    );
    peer.expect(">3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:1\r\n");
    peer.expect(">3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$1\r\nx\r\n");
    peer.expect(">3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n+OK\r\n");

    let mut monitor = server.connect();
    monitor.send("MONITOR\r\nECHO shown\r\nRESET\r\nECHO hidden\r\n");
    monitor.expect("+OK\r\n$5\r\nshown\r\n");
    let line = monitor.line();
    assert!(line.ends_with(r#""ECHO" "shown""#), "{line}");
    monitor.expect("+RESET\r\n$6\r\nhidden\r\n");
}

/// A client on its way out went on to be counted as a listener, until it was closed.
#[test]
fn who_has_quit_listens_no_more() {
    let server = TestServer::start(2);
    let mut gone = server.connect();
    gone.send("SUBSCRIBE b\r\nQUIT\r\n");
    gone.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:1\r\n+OK\r\n");
    // It has not ended its side.
    server.connect().ask("PUBLISH b x\r\n", ":0\r\n");
}

/// RESET left the counts of subscriptions where they were.
#[test]
fn reset_takes_the_subscriptions_out_of_the_list() {
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

/// When the password was taken away, HELLO still wanted it, and a large request was still refused.
#[test]
fn who_came_while_there_was_a_password_needs_none_when_it_is_taken_away() {
    let server = TestServer::with(
        Config {
            requirepass: Some("secret".into()),
            ..config(2)
        },
        Commands::builtin(),
    );
    let mut known = server.connect();
    known.ask("AUTH secret\r\n", "+OK\r\n");
    let (mut first, mut second) = (server.connect(), server.connect());
    first.ask("PING\r\n", "-NOAUTH Authentication required.\r\n");
    second.ask("PING\r\n", "-NOAUTH Authentication required.\r\n");
    known.ask("CONFIG SET requirepass \"\"\r\n", "+OK\r\n");
    first.send("HELLO 3\r\n");
    assert_eq!(first.line(), "%7");
    let long = "x".repeat(20_000);
    second.ask(
        format!("*2\r\n$4\r\nECHO\r\n$20000\r\n{long}\r\n"),
        format!("$20000\r\n{long}\r\n"),
    );
}

/// AUTH was held up by the pause that the client had come to end.
#[test]
fn who_comes_to_end_a_pause_can_say_the_password() {
    let server = TestServer::with(
        Config {
            requirepass: Some("secret".into()),
            ..config(1)
        },
        Commands::builtin(),
    );
    let mut pauser = server.connect();
    pauser.ask("AUTH secret\r\n", "+OK\r\n");
    pauser.ask("CLIENT PAUSE 3600000\r\n", "+OK\r\n");
    let mut other = server.connect();
    other.ask("HELLO 2 AUTH default wrong\r\n", WRONGPASS);
    other.ask("AUTH secret\r\n", "+OK\r\n");
    other.ask("CLIENT SETINFO LIB-NAME any\r\n", "+OK\r\n");
    other.send("PING\r\n");
    let mut third = server.connect();
    third.ask("AUTH secret\r\n", "+OK\r\n");
    third.ask("CLIENT UNPAUSE\r\n", "+OK\r\n");
    other.expect("+PONG\r\n");
}

const WRONGPASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";

/// Clients that had left in the middle of a pause kept their places until its end.
#[test]
fn a_pause_does_not_keep_the_places_of_those_who_have_left() {
    let server = TestServer::with(
        Config {
            maxclients: 3,
            ..config(2)
        },
        Commands::builtin(),
    );
    let mut pauser = server.connect();
    pauser.ask("CLIENT PAUSE 3600000\r\n", "+OK\r\n");
    for _ in 0..10 {
        let mut left = server.connect();
        left.send("PING\r\n");
        drop(left);
        eventually("it is gone", || {
            pauser.send("CLIENT LIST\r\n");
            let length: usize = pauser.line()[1..].parse().expect("a length");
            let list = String::from_utf8(pauser.bytes(length + 2)).expect("text");
            list.lines().filter(|line| line.contains("id=")).count() == 1
        });
    }
}

/// The lists that one short request asked for had no end.
#[test]
fn a_client_is_listed_once_however_often_it_is_named() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.send(format!("CLIENT LIST ID{}\r\n", " 1".repeat(1000)));
    let length: usize = peer.line()[1..].parse().expect("a length");
    let list = String::from_utf8(peer.bytes(length + 2)).expect("text");
    assert_eq!(list.matches("id=1 ").count(), 1);
}

/// A name, a prefix or a pattern had no bound but that of a request, and was kept, and compared.
#[test]
fn what_is_kept_of_a_client_is_bounded() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let fits = "x".repeat(1024);
    peer.ask(format!("CLIENT SETNAME {fits}\r\n"), "+OK\r\n");
    let too_long = "-ERR Client names cannot be longer than 1024 bytes.\r\n";
    peer.ask(format!("CLIENT SETNAME {fits}x\r\n"), too_long);
    peer.ask(format!("HELLO 2 SETNAME {fits}x\r\n"), too_long);
    let too_long = "-ERR LIB-VER cannot be longer than 1024 bytes.\r\n";
    peer.ask(format!("CLIENT SETINFO LIB-VER {fits}x\r\n"), too_long);

    let prefixes: Vec<_> = (100..357)
        .map(|number| format!("PREFIX {number}"))
        .collect();
    let prefixes = prefixes.join(" ");
    peer.ask(
        format!("CLIENT TRACKING ON BCAST {prefixes}\r\n"),
        "-ERR too many prefixes\r\n",
    );

    let too_long = "-ERR a channel's name has at most 1024 bytes, and a pattern 256\r\n";
    peer.ask(format!("PUBLISH {fits} x\r\n"), ":0\r\n");
    peer.ask(format!("PUBLISH {fits}x x\r\n"), too_long);
    peer.ask(format!("PSUBSCRIBE {}x\r\n", "*".repeat(256)), too_long);
    peer.ask(format!("SUBSCRIBE {fits}x\r\n"), too_long);
}

/// A monitor that had nothing to read was closed by `timeout`.
#[test]
fn a_monitor_is_not_idle() {
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

/// A huge request had every monitor closed for being slow.
#[test]
fn a_monitor_is_shown_the_front_of_what_is_long() {
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

/// node-redis 3 takes the line for a reply, and throws, unless it ends with a quote.
#[test]
fn monitor_line_is_a_list_of_quoted_strings() {
    let server = TestServer::start(2);
    let mut monitor = server.connect();
    monitor.ask("MONITOR\r\n", "+OK\r\n");
    let mut peer = server.connect();
    for count in [1023, 1024, 5000] {
        // PING counts its words itself: it is run, and answers with an error.
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
