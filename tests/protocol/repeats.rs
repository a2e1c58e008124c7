//! Requests in one pipeline that are the same, or differ in the last argument only: the replies are
//! copied, or the requests are not parsed, and each still counts.

use std::iter;
use std::sync::Arc;

use parking_lot::Mutex;
use respool::{Arity, ErrorReply};
use respool_testing::{Peer, TestServer, builtin_and, config, echo, request};

fn server() -> (TestServer, Peer) {
    let server = TestServer::start(1);
    let peer = server.connect();
    (server, peer)
}

#[test]
fn each_repeat_is_answered() {
    let (_server, mut peer) = server();
    for count in [1, 2, 3, 63, 64, 65, 2047, 2048, 2049, 10_000] {
        for (request, reply) in [
            ("PING\r\n", "+PONG\r\n".to_owned()),
            ("*1\r\n$4\r\nPING\r\n", "+PONG\r\n".to_owned()),
            ("PING abc\r\n", "$3\r\nabc\r\n".to_owned()),
            // Longer than the part that is compared by words; and too long to be compared.
            (
                "ECHO 0123456789abcdef\r\n",
                "$16\r\n0123456789abcdef\r\n".to_owned(),
            ),
            (
                &format!("ECHO {}\r\n", "x".repeat(60)),
                format!("$60\r\n{}\r\n", "x".repeat(60)),
            ),
        ] {
            peer.ask(request.repeat(count), reply.repeat(count));
        }
    }
}

#[test]
fn different_request_among_repeats_is_answered() {
    let (_server, mut peer) = server();
    let twenty = "PING\r\n".repeat(20);
    let pongs = "+PONG\r\n".repeat(20);
    for (other, reply) in [
        ("PINg\r\n", "+PONG\r\n"),
        (
            "PINGS\r\n",
            "-ERR unknown command 'PINGS', with args beginning with: \r\n",
        ),
        ("PING 1\r\nPING 2\r\n", "$1\r\n1\r\n$1\r\n2\r\n"),
        ("\r\n", ""),
        ("ECHO PING\r\n", "$4\r\nPING\r\n"),
    ] {
        peer.ask(
            format!("{twenty}{other}{twenty}"),
            format!("{pongs}{reply}{pongs}"),
        );
    }
    // These differ in one byte of one of the two words that are compared.
    for other in ["baaaaaaa", "aaaabaaa", "aaaaaaab"] {
        peer.ask(
            format!("{}PING {other}\r\n", "PING aaaaaaaa\r\n".repeat(3)),
            format!("{}$8\r\n{other}\r\n", "$8\r\naaaaaaaa\r\n".repeat(3)),
        );
    }
}

#[test]
fn each_repeat_and_error_is_counted() {
    let (_server, mut peer) = server();
    let error = "-ERR wrong number of arguments for 'ping' command\r\n";
    peer.ask("PING\r\n".repeat(1000), "+PONG\r\n".repeat(1000));
    peer.ask("PING 1 2\r\n".repeat(100), error.repeat(100));
    let count = |peer: &mut Peer, part| peer.info("commandstats", "cmdstat_ping", part);
    assert_eq!(count(&mut peer, "calls="), Some(1100));
    assert_eq!(count(&mut peer, "failed_calls="), Some(100));
    assert_eq!(
        peer.info("errorstats", "errorstat_ERR", "count="),
        Some(100)
    );
    assert_eq!(peer.count("total_commands_processed"), 1103);
}

#[test]
fn repeats_with_replies_off_are_not_answered() {
    let (_server, mut peer) = server();
    let fifty = "PING\r\n".repeat(50);
    peer.ask(
        format!("CLIENT REPLY OFF\r\n{fifty}CLIENT REPLY ON\r\n"),
        "+OK\r\n",
    );
    peer.ask(
        format!("CLIENT REPLY SKIP\r\n{fifty}"),
        "+PONG\r\n".repeat(49),
    );
}

#[test]
fn monitor_shows_each_repeat() {
    let (server, mut peer) = server();
    let mut monitor = server.connect();
    monitor.ask("MONITOR\r\n", "+OK\r\n");
    peer.ask("PING\r\n".repeat(100), "+PONG\r\n".repeat(100));
    for _ in 0..100 {
        let line = monitor.line();
        assert!(line.ends_with("\"PING\""), "{line}");
    }
}

#[test]
fn resp2_subscriber_gets_each_repeat_as_a_message() {
    let (_server, mut peer) = server();
    peer.ask(
        "SUBSCRIBE c\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
    );
    let pong = "*2\r\n$4\r\npong\r\n$0\r\n\r\n";
    peer.ask("PING\r\n".repeat(100), pong.repeat(100));
}

#[test]
fn reply_does_not_depend_on_the_request_before() {
    let (server, mut peer) = server();
    let alone = |request: &Vec<u8>| {
        let mut peer = server.connect();
        peer.send(request);
        peer.end_sending();
        peer.rest()
    };
    let requests = similar_requests();
    let replies: Vec<_> = requests.iter().map(alone).collect();
    let pairs = || iter::zip(&requests, &replies);
    for (first, first_reply) in pairs() {
        let (mut pipeline, mut expected) = (Vec::new(), Vec::new());
        for (second, second_reply) in pairs() {
            pipeline.extend([&**first, second, second].concat());
            expected.extend([&**first_reply, second_reply, second_reply].concat());
        }
        peer.ask(pipeline, expected);
    }
}

#[test]
fn requests_that_differ_in_the_last_argument_are_counted() {
    let (_server, mut peer) = server();
    let messages = || (100..1100).map(|number| echo(&number.to_string()));
    let (requests, replies): (String, String) = messages().unzip();
    peer.ask(requests, replies);
    let calls = peer.info("commandstats", "cmdstat_echo", "calls=");
    assert_eq!(calls, Some(1000));
}

#[test]
fn alike_requests_that_wait_are_run_once() {
    let (runs, other_peer) = (Arc::default(), Arc::new(Mutex::new(None::<Peer>)));
    let (of_handler, counted) = (Arc::clone(&other_peer), Arc::<Mutex<Vec<_>>>::clone(&runs));
    let commands = builtin_and(|commands| {
        commands.register("RUN", Arity::Exactly(2), move |session, request, reply| {
            let text = request.text(0)?.to_owned();
            counted.lock().push(text.clone());
            if text == "pause" {
                let mut other = of_handler.lock();
                let other = other.as_mut().expect("the test has connected it");
                other.ask("CLIENT PAUSE 100000\r\n", "+OK\r\n");
            }
            Ok::<_, ErrorReply>(match text.as_str() {
                "defer" => session.defer(reply).start(|token| {
                    token.reply(|reply| reply.simple("defer"));
                }),
                text => reply.simple(text),
            })
        });
    });
    let server = TestServer::with(config(2), commands);
    *other_peer.lock() = Some(server.connect());
    let mut peer = server.connect();
    let texts = ["first", "defer", "third", "other", "pause", "after"];
    let pipeline = texts
        .map(|text| request(&[b"RUN", text.as_bytes()]))
        .concat();
    peer.ask(
        pipeline,
        "+first\r\n+defer\r\n+third\r\n+other\r\n+pause\r\n",
    );
    assert_eq!(*runs.lock(), texts[..5]);
    let mut other = other_peer.lock().take().expect("the handler leaves it");
    other.ask("CLIENT UNPAUSE\r\n", "+OK\r\n");
    peer.expect("+after\r\n");
    assert_eq!(*runs.lock(), texts);
}

#[test]
fn repeats_among_different_requests_are_answered() {
    let (_server, mut peer) = server();
    // More than a turn's requests, and more replies than one write takes.
    let runs = || (0..3000).flat_map(|number| iter::repeat_n(number, number % 4));
    for width in [1, 7, 8, 9, 10, 16, 17, 40] {
        let exchanges = runs().map(|number: usize| echo(&format!("{:0width$}", number % 10)));
        let (requests, replies): (String, String) = exchanges.unzip();
        peer.ask(requests, replies);
    }
    let calls = peer.info("commandstats", "cmdstat_echo", "calls=");
    assert_eq!(calls, Some(8 * runs().count() as u64));
}

/// Returns requests of which many begin or end like others, or have the same length.
fn similar_requests() -> Vec<Vec<u8>> {
    let (long, longer) = ([b'x'; 40], [b'x'; 100]);
    let words: [&[&[u8]]; 31] = [
        &[b"PING"],
        &[b"PIN?"],
        &[b"ping"],
        &[b"ECHO"],
        &[b"PING", b""],
        &[b"PING", b"a"],
        &[b"PING", b"b"],
        &[b"ping", b"b"],
        &[b"pONG", b"b"],
        &[b"PINGS", b"b"],
        &[b"ECHO", b"b"],
        &[b"ECHO", b"\0"],
        &[b"ECHO", b"\r\n\xff\0"],
        &[b"ECHO", b"$3\r\n"],
        &[b"ECHO", b"12345678"],
        &[b"ECHO", b"1234567\0"],
        &[b"ECHO", &long],
        &[b"PING", &long],
        &[b"ECHO", &longer],
        &[b"PING", b"a", b"b"],
        &[b"ECHO", b"a", b"b"],
        &[b"SELECT", b"1"],
        &[b"SELECT", b"a"],
        &[b"CLIENT", b"SETNAME"],
        &[b"CLIENT", b"SETNAME", b"a"],
        &[b"CLIENT", b"SETNAME", b" "],
        &[b"CLIENT", b"UNKNOWN"],
        &[b"CLIENT", b"UNKNOWN", b"a"],
        &[b"CLIENT", b"NO-TOUCH", b"on"],
        &[b"COMMAND", b"COUNT"],
        &[b"COMMAND", b"OTHER"],
    ];
    let lines = [
        "PING\r\n",
        "ECHO\r\n",
        "PING 12345678\r\n",
        "PING 1234567a\r\n",
        "PING '234567'\r\n",
        "ECHO 12345678\r\n",
    ];
    let arrays = words.into_iter().map(request);
    arrays.chain(lines.map(Into::into)).collect()
}
