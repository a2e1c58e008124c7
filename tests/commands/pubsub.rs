//! SUBSCRIBE, PUBLISH and PUBSUB, and the bounds of subscribers.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use respool::{Arity, Commands, Config};
use respool_testing::{
    PATIENCE, Peer, TestServer, builtin_and, commands_with_gate, config, eventually, request,
};

/// More pending bytes close a subscriber.
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Subscribes, and reads the confirmations.
#[track_caller]
fn subscribe(peer: &mut Peer, channels: &[&str]) {
    peer.send(format!("SUBSCRIBE {}\r\n", channels.join(" ")));
    for channel in channels {
        assert_eq!(peer.leaves()[..2], ["subscribe", channel]);
    }
}

#[track_caller]
fn speak_resp3(peer: &mut Peer) {
    peer.send("HELLO 3\r\n");
    peer.leaves();
}

/// Returns a subscriber to `a` and another client.
fn subscriber_and_other(server: &TestServer) -> (Peer, Peer) {
    let (mut subscriber, other) = (server.connect(), server.connect());
    subscribe(&mut subscriber, &["a"]);
    (subscriber, other)
}

/// Waits until there are no subscriptions.
#[track_caller]
fn wait_until_no_subscriptions(peer: &mut Peer) {
    eventually("there are no subscriptions", || {
        peer.answers("PUBSUB NUMSUB a") == ["a", "0"]
            && peer.answer("PUBSUB NUMPAT") == "0"
            && peer.answers("PUBSUB CHANNELS").is_empty()
            && peer.info("stats", "pubsub_channels", "") == Some(0)
            && peer.info("stats", "pubsub_patterns", "") == Some(0)
            && peer.info("clients", "pubsub_clients", "") == Some(0)
    });
    assert_eq!(peer.answer("PUBLISH a x"), "0");
}

// Messages.

/// The worker notifies at the end of a turn, and before a handler that may block.
#[test]
fn message_does_not_wait_for_a_later_handler() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(2), commands);
    let (mut subscriber, mut publisher) = subscriber_and_other(&server);
    publisher.send("PUBLISH a x\r\nGATE\r\n");
    gate.wait_for_start();
    let start = Instant::now();
    assert_eq!(subscriber.leaves(), ["message", "a", "x"]);
    // The gate opens by itself after 30 seconds.
    assert!(start.elapsed() < Duration::from_secs(20));
    gate.let_one_through();
}

/// A program's value that is dropped when its client is closed, and waits for the test then.
struct Slow(Arc<Mutex<Receiver<()>>>);

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.0.lock().recv_timeout(PATIENCE);
    }
}

/// The publisher's state was dropped in the same turn, before the worker notified.
#[test]
fn message_does_not_wait_for_the_drop_of_a_state() {
    let (end, ends) = channel();
    let ends = Arc::new(Mutex::new(ends));
    let commands = builtin_and(|commands| {
        commands.register("KEEP", Arity::Exactly(1), move |session, _, reply| {
            session.set_state(Slow(Arc::clone(&ends)));
            reply.simple("OK")
        });
    });
    let server = TestServer::with(config(2), commands);
    let (mut subscriber, mut publisher) = subscriber_and_other(&server);
    publisher.ask("KEEP\r\n", "+OK\r\n");
    // A protocol error closes the client. QUIT would not do: it may block, so the worker notifies.
    publisher.send("PUBLISH a x\r\n*x\r\n");
    let start = Instant::now();
    assert_eq!(subscriber.leaves(), ["message", "a", "x"]);
    // The drop ends by itself after 30 seconds.
    assert!(start.elapsed() < Duration::from_secs(20));
    end.send(()).expect("the drop waits");
}

/// The first turn of a client reads until the socket is empty, so it reads a request that was sent
/// after the message was published.
#[test]
fn message_comes_before_the_reply_to_a_later_request() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(2), commands);
    let (mut subscriber, mut publisher) = (server.connect(), server.connect());
    subscriber.send("HELLO 3\r\nSUBSCRIBE news\r\nGATE\r\n");
    gate.wait_for_start();
    publisher.ask("PUBLISH news message\r\n", ":1\r\n");
    subscriber.send("ECHO reply\r\n");
    gate.let_one_through();
    let mut lines = std::iter::from_fn(|| Some(subscriber.line()));
    let first = lines.find(|line| line == "message" || line == "reply");
    assert_eq!(first.as_deref(), Some("message"));
}

#[test]
fn message_is_an_array_in_resp2_and_a_push_in_resp3() {
    let server = TestServer::start(2);
    let (mut two, mut three, mut publisher) =
        (server.connect(), server.connect(), server.connect());
    speak_resp3(&mut three);
    two.ask(
        "SUBSCRIBE a\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
    );
    three.ask(
        "SUBSCRIBE a\r\n",
        ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
    );
    publisher.ask("PUBLISH a hello\r\n", ":2\r\n");
    two.expect("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n");
    three.expect(">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n");
    two.ask(
        "PSUBSCRIBE b?\r\n",
        "*3\r\n$10\r\npsubscribe\r\n$2\r\nb?\r\n:2\r\n",
    );
    three.ask(
        "PSUBSCRIBE b?\r\n",
        ">3\r\n$10\r\npsubscribe\r\n$2\r\nb?\r\n:2\r\n",
    );
    publisher.ask("PUBLISH bc x\r\n", ":2\r\n");
    two.expect("*4\r\n$8\r\npmessage\r\n$2\r\nb?\r\n$2\r\nbc\r\n$1\r\nx\r\n");
    three.expect(">4\r\n$8\r\npmessage\r\n$2\r\nb?\r\n$2\r\nbc\r\n$1\r\nx\r\n");
}

#[test]
fn message_is_delivered_once_per_matching_subscription() {
    let server = TestServer::start(2);
    let (mut subscriber, mut publisher) = (server.connect(), server.connect());
    subscribe(&mut subscriber, &["news", "other", "news"]);
    subscriber.send("PSUBSCRIBE n* *s x*\r\n");
    for count in 3..=5 {
        assert_eq!(subscriber.leaves()[2], count.to_string());
    }
    publisher.ask("PUBLISH news one\r\n", ":3\r\n");
    assert_eq!(subscriber.leaves(), ["message", "news", "one"]);
    assert_eq!(subscriber.leaves(), ["pmessage", "*s", "news", "one"]);
    assert_eq!(subscriber.leaves(), ["pmessage", "n*", "news", "one"]);
    publisher.ask("PUBLISH NEWS two\r\n", ":0\r\n");
    publisher.ask("PUBLISH other three\r\n", ":1\r\n");
    assert_eq!(subscriber.leaves(), ["message", "other", "three"]);
}

#[test]
fn names_and_messages_may_be_any_bytes() {
    let server = TestServer::start(1);
    let (mut subscriber, mut publisher) = (server.connect(), server.connect());
    let (all, pattern): (Vec<u8>, &[u8]) = ((0..=255).collect(), b"\0\r\n*");
    subscriber.ask(
        request(&[b"SUBSCRIBE", &all]),
        confirmation(b"subscribe", &all, 1),
    );
    subscriber.ask(
        request(&[b"PSUBSCRIBE", pattern]),
        confirmation(b"psubscribe", pattern, 2),
    );
    publisher.ask(request(&[b"PUBLISH", &all, &all]), ":1\r\n");
    subscriber.expect(request(&[b"message", &all, &all]));
    publisher.ask(request(&[b"PUBLISH", b"\0\r\n\xff", b""]), ":1\r\n");
    subscriber.expect(request(&[b"pmessage", pattern, b"\0\r\n\xff", b""]));
    publisher.ask(request(&[b"PUBLISH", b"", b""]), ":0\r\n");
}

#[test]
fn subscribers_see_messages_in_the_same_order() {
    const PUBLISHERS: usize = 4;
    const SUBSCRIBERS: usize = 4;
    const MESSAGES: usize = 500;

    let server = TestServer::start(4);
    let subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| subscriber_and_other(&server).0)
        .collect();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let mut peer = server.connect();
            thread::spawn(move || {
                for number in 0..MESSAGES {
                    peer.ask(
                        format!("PUBLISH a {publisher}.{number}\r\n"),
                        format!(":{SUBSCRIBERS}\r\n"),
                    );
                }
            })
        })
        .collect();
    let readers: Vec<_> = subscribers
        .into_iter()
        .map(|mut peer| {
            thread::spawn(move || -> Vec<String> {
                (0..PUBLISHERS * MESSAGES)
                    .map(|_| peer.leaves().remove(2))
                    .collect()
            })
        })
        .collect();
    for publisher in publishers {
        publisher.join().expect("every message was counted");
    }
    let seen: Vec<_> = readers
        .into_iter()
        .map(|reader| reader.join().expect("every message has arrived"))
        .collect();
    for publisher in 0..PUBLISHERS {
        let own = format!("{publisher}.");
        let messages = seen[0].iter().filter(|message| message.starts_with(&own));
        let expected = (0..MESSAGES).map(|number| format!("{own}{number}"));
        assert!(
            messages.cloned().eq(expected),
            "in the order of {publisher}"
        );
    }
    for other in &seen[1..] {
        assert!(*other == seen[0], "all subscribers see the same order");
    }
}

// Messages of one pipeline, which are left for their subscribers together.

fn publication(channel: &str, message: &str) -> Vec<u8> {
    request(&[b"PUBLISH", channel.as_bytes(), message.as_bytes()])
}

#[test]
fn pipelined_messages_arrive_in_order() {
    let lengths = [0, 1, 9, 10, 64, 99, 100, 999, 1000, 1024, 1025, 5000];
    let server = TestServer::start(2);
    let (mut two, mut publisher) = subscriber_and_other(&server);
    let mut three = server.connect();
    speak_resp3(&mut three);
    subscribe(&mut three, &["a", "b"]);
    let (mut requests, mut replies) = (Vec::new(), String::new());
    let (mut to_two, mut to_three) = (Vec::new(), Vec::new());
    for (number, length) in lengths.iter().cycle().take(1200).enumerate() {
        let channel = if number % 100 == 99 { "b" } else { "a" };
        let message = format!("{number}{}", "x".repeat(*length));
        requests.extend(publication(channel, &message));
        let message = request(&[b"message", channel.as_bytes(), message.as_bytes()]);
        to_three.extend([b">", &message[1..]].concat());
        if channel == "a" {
            to_two.extend(message);
        }
        replies += if channel == "a" { ":2\r\n" } else { ":1\r\n" };
        if number % 250 == 0 {
            requests.extend(b"PING\r\n");
            replies += "+PONG\r\n";
        }
    }
    publisher.ask(requests, replies);
    two.expect(to_two);
    three.expect(to_three);
}

/// As in Redis, which leaves one message after the other.
#[test]
fn pipelined_messages_by_name_and_pattern_alternate() {
    let server = TestServer::start(1);
    let (mut subscriber, mut publisher) = subscriber_and_other(&server);
    subscriber.answers("PSUBSCRIBE ?");
    publisher.ask(publication("a", "x").repeat(10), ":2\r\n".repeat(10));
    for _ in 0..10 {
        assert_eq!(subscriber.leaves(), ["message", "a", "x"]);
        assert_eq!(subscriber.leaves(), ["pmessage", "?", "a", "x"]);
    }
    publisher.ask(publication("b", "x").repeat(10), ":1\r\n".repeat(10));
    for _ in 0..10 {
        assert_eq!(subscriber.leaves(), ["pmessage", "?", "b", "x"]);
    }
}

#[test]
fn own_pipelined_messages_precede_their_replies() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    speak_resp3(&mut peer);
    subscribe(&mut peer, &["a"]);
    let both = ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n:1\r\n";
    peer.ask(publication("a", "x").repeat(10), both.repeat(10));
}

#[test]
fn each_pipelined_message_may_lack_its_reply() {
    let server = TestServer::start(1);
    let (mut subscriber, mut publisher) = subscriber_and_other(&server);
    let three = ["1", "2", "3"]
        .map(|message| publication("a", message))
        .concat();
    publisher.ask([b"CLIENT REPLY SKIP\r\n", &*three].concat(), ":1\r\n:1\r\n");
    let off_and_on = [b"CLIENT REPLY OFF\r\n", &*three, b"CLIENT REPLY ON\r\n"].concat();
    publisher.ask(off_and_on, "+OK\r\n");
    for message in ["1", "2", "3", "1", "2", "3"] {
        assert_eq!(subscriber.leaves(), ["message", "a", message]);
    }
}

#[test]
fn each_pipelined_message_is_counted() {
    let server = TestServer::start(1);
    let (_subscriber, mut publisher) = subscriber_and_other(&server);
    let before = publisher.count("total_commands_processed");
    publisher.ask(publication("a", "x").repeat(100), ":1\r\n".repeat(100));
    let count = |peer: &mut Peer, part| peer.info("commandstats", "cmdstat_publish", part);
    assert_eq!(count(&mut publisher, "calls="), Some(100));
    assert_eq!(count(&mut publisher, "failed_calls="), Some(0));
    // With the request for the count.
    assert_eq!(publisher.count("total_commands_processed"), before + 103);
    let latency = publisher.answers("LATENCY HISTOGRAM publish");
    assert_eq!(latency[..3], ["publish", "calls", "100"]);
    let too_long = publication(&"a".repeat(1025), "x");
    publisher.send(too_long.repeat(3));
    for _ in 0..3 {
        assert!(publisher.line().starts_with("-ERR a channel's name"));
    }
    assert_eq!(count(&mut publisher, "calls="), Some(103));
    assert_eq!(count(&mut publisher, "failed_calls="), Some(3));
}

#[test]
fn each_pipelined_message_is_monitored() {
    let server = TestServer::start(1);
    let (mut subscriber, mut publisher) = subscriber_and_other(&server);
    let mut monitor = server.connect();
    monitor.ask("MONITOR\r\n", "+OK\r\n");
    let three = ["1", "2", "3"]
        .map(|message| publication("a", message))
        .concat();
    publisher.ask(three, ":1\r\n".repeat(3));
    for message in ["1", "2", "3"] {
        let line = monitor.line();
        let shown = format!(r#""PUBLISH" "a" "{message}""#);
        assert!(line.ends_with(&shown), "{line}");
        assert_eq!(subscriber.leaves(), ["message", "a", message]);
    }
}

#[test]
fn subscriber_is_closed_for_what_a_pipeline_leaves() {
    let mut small = config(1);
    small.client_output_buffer_limit.pubsub.hard_bytes = 1024;
    let server = TestServer::with(small, Commands::builtin());
    let (mut subscriber, mut publisher) = subscriber_and_other(&server);
    publisher.send(publication("a", &"x".repeat(100)).repeat(100));
    for _ in 0..100 {
        publisher.line();
    }
    eventually("it is closed", || {
        publisher.count("client_output_buffer_limit_disconnections") == 1
    });
    subscriber.rest();
    publisher.ask(publication("a", "x"), ":0\r\n");
}

/// Each reply says how many clients get the message, whenever other clients subscribe.
#[test]
fn changing_subscribers_get_as_many_messages_as_replies_say() {
    const STEADY: usize = 12;
    const PIPELINES: usize = 60;
    const MESSAGES: usize = 40;

    let server = TestServer::start(2);
    let steady: Vec<_> = (0..STEADY)
        .map(|_| subscriber_and_other(&server).0)
        .collect();
    let (mut changing, mut publisher) = (server.connect(), server.connect());
    let numbers = PIPELINES * MESSAGES;
    let expects_all = |mut peer: Peer| {
        for number in 0..numbers {
            assert_eq!(peer.leaves()[2].parse(), Ok(number));
        }
    };
    let text = |number| format!("{number:01000}");
    thread::scope(|scope| {
        for peer in steady {
            scope.spawn(move || expects_all(peer));
        }
        let publishing = scope.spawn(move || {
            let mut receivers = 0;
            for pipeline in 0..PIPELINES {
                let numbers = pipeline * MESSAGES..(pipeline + 1) * MESSAGES;
                publisher.send(
                    numbers
                        .flat_map(|number| publication("a", &text(number)))
                        .collect::<Vec<_>>(),
                );
                for _ in 0..MESSAGES {
                    let line = publisher.line();
                    receivers += line[1..].parse::<usize>().expect("a number");
                }
            }
            receivers
        });
        let mut received = 0;
        while !publishing.is_finished() {
            changing.send("SUBSCRIBE a\r\nUNSUBSCRIBE a\r\n");
            assert_eq!(changing.leaves()[0], "subscribe");
            let mut last = None;
            loop {
                let words = changing.leaves();
                if words[0] == "unsubscribe" {
                    break;
                }
                let number: usize = words[2].parse().expect("a number");
                assert!(last.is_none_or(|last| last + 1 == number), "a gap");
                last = Some(number);
                received += 1;
            }
        }
        let receivers = publishing.join().expect("it has published all");
        assert_eq!(receivers, STEADY * numbers + received);
    });
}

#[test]
fn own_message_precedes_the_reply_to_publish() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    speak_resp3(&mut peer);
    subscribe(&mut peer, &["a"]);
    for _ in 0..100 {
        peer.send("PUBLISH a x\r\nPING\r\n");
        peer.expect(">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n:1\r\n+PONG\r\n");
    }
}

#[test]
fn messages_arrive_with_client_reply_off() {
    let server = TestServer::start(1);
    let (mut subscriber, mut publisher) = (server.connect(), server.connect());
    subscriber.send("CLIENT REPLY OFF\r\nECHO x\r\nSUBSCRIBE a\r\nPING\r\n");
    assert_eq!(subscriber.leaves(), ["subscribe", "a", "1"]);
    publisher.ask("PUBLISH a one\r\n", ":1\r\n");
    assert_eq!(subscriber.leaves(), ["message", "a", "one"]);
    subscriber.send("UNSUBSCRIBE\r\nECHO x\r\nCLIENT REPLY ON\r\n");
    assert_eq!(subscriber.leaves(), ["unsubscribe", "a", "0"]);
    subscriber.expect("+OK\r\n");
}

#[test]
fn own_message_arrives_with_replies_off() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    speak_resp3(&mut peer);
    subscribe(&mut peer, &["a"]);
    peer.send("CLIENT REPLY OFF\r\nPUBLISH a x\r\n");
    assert_eq!(peer.leaves(), ["message", "a", "x"]);
    peer.ask("CLIENT REPLY ON\r\n", "+OK\r\n");
}

/// Once, with replies off and HELLO repeated, only 1,955 of 2,000 messages arrived.
#[test]
fn messages_before_an_unsent_reply_are_sent() {
    let cases = [
        (
            "CLIENT REPLY OFF\r\n",
            "HELLO 3",
            "CLIENT REPLY ON\r\n",
            "+OK\r\n",
        ),
        (
            "CLIENT REPLY OFF\r\n",
            "HELLO 3 SETNAME me",
            "CLIENT REPLY ON\r\n",
            "+OK\r\n",
        ),
        (
            "CLIENT REPLY OFF\r\n",
            "PUBLISH b x",
            "CLIENT REPLY ON\r\n",
            "+OK\r\n",
        ),
        ("", "CLIENT REPLY SKIP\r\nHELLO 3", "PING\r\n", "+PONG\r\n"),
        ("", "CLIENT REPLY SKIP\r\nRESET", "PING\r\n", "+PONG\r\n"),
        (
            "",
            "CLIENT REPLY SKIP\r\nPUBLISH b x",
            "PING\r\n",
            "+PONG\r\n",
        ),
    ];
    for (before, request, after, reply) in cases {
        let (commands, gate) = commands_with_gate();
        let server = TestServer::with(config(2), commands);
        let (mut subscriber, mut publisher) = (server.connect(), server.connect());
        speak_resp3(&mut subscriber);
        subscribe(&mut subscriber, &["a"]);
        // Messages published while the handler blocks are queued when `request` runs.
        subscriber.send(format!("{before}GATE\r\n{request}\r\n{after}"));
        gate.wait_for_start();
        for _ in 0..20 {
            publisher.ask("PUBLISH a x\r\n", ":1\r\n");
        }
        gate.let_one_through();
        if before.is_empty() {
            subscriber.expect("+OPEN\r\n");
        }
        let message = ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n";
        subscriber.expect([&message.repeat(20), reply].concat());
    }
}

#[test]
fn own_messages_keep_their_order_with_replies_off() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    speak_resp3(&mut peer);
    subscribe(&mut peer, &["a"]);
    let message = ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n";
    for _ in 0..20 {
        peer.ask(
            "CLIENT REPLY OFF\r\nPUBLISH a x\r\nPING\r\nCLIENT REPLY ON\r\n",
            [message, "+OK\r\n"].concat(),
        );
        peer.ask(
            "CLIENT REPLY SKIP\r\nPUBLISH a x\r\nPING\r\n",
            [message, "+PONG\r\n"].concat(),
        );
    }
    peer.send("CLIENT REPLY OFF\r\nPUBLISH a x\r\nQUIT\r\n");
    assert_eq!(peer.rest(), message.as_bytes());
}

#[test]
fn message_waits_for_a_subscriber_in_a_handler() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(2), commands);
    let (mut subscriber, mut publisher) = (server.connect(), server.connect());
    speak_resp3(&mut subscriber);
    subscribe(&mut subscriber, &["a"]);
    for _ in 0..20 {
        subscriber.send("GATE\r\n");
        gate.wait_for_start();
        publisher.ask("PUBLISH a x\r\n", ":1\r\n");
        gate.let_one_through();
        subscriber.expect("+OPEN\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n");
    }
}

#[test]
fn half_closed_subscriber_gets_its_messages_then_the_end() {
    let server = TestServer::start(1);
    let (mut subscriber, mut publisher) = subscriber_and_other(&server);
    publisher.ask("PUBLISH a x\r\n", ":1\r\n");
    subscriber.end_sending();
    assert_eq!(subscriber.leaves(), ["message", "a", "x"]);
    subscriber.expect_end();
    wait_until_no_subscriptions(&mut publisher);
}

// The end of a subscription.

#[test]
fn unsubscribe_ends_named_or_all_subscriptions() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    subscribe(&mut peer, &["a", "b", "c"]);
    peer.answers("PSUBSCRIBE x*");
    peer.answers("PSUBSCRIBE y*");
    assert_eq!(peer.answers("UNSUBSCRIBE b"), ["unsubscribe", "b", "4"]);
    assert_eq!(peer.answers("UNSUBSCRIBE b"), ["unsubscribe", "b", "4"]);
    assert_eq!(peer.answers("UNSUBSCRIBE"), ["unsubscribe", "a", "3"]);
    assert_eq!(peer.leaves(), ["unsubscribe", "c", "2"]);
    assert_eq!(peer.answers("UNSUBSCRIBE"), ["unsubscribe", "(null)", "2"]);
    assert_eq!(peer.answers("PUNSUBSCRIBE y*"), ["punsubscribe", "y*", "1"]);
    assert_eq!(peer.answers("PUNSUBSCRIBE"), ["punsubscribe", "x*", "0"]);
    assert_eq!(
        peer.answers("PUNSUBSCRIBE"),
        ["punsubscribe", "(null)", "0"]
    );
    wait_until_no_subscriptions(&mut peer);
    peer.ping();
}

#[test]
fn pubsub_counts_channels_and_subscribers() {
    let server = TestServer::start(1);
    let (mut one, mut other, mut peer) = (server.connect(), server.connect(), server.connect());
    subscribe(&mut one, &["ab", "ac"]);
    subscribe(&mut other, &["ab", "b"]);
    one.answers("PSUBSCRIBE x*");
    other.answers("PSUBSCRIBE x*");
    other.answers("PSUBSCRIBE y*");
    assert_eq!(peer.answers("PUBSUB CHANNELS"), ["ab", "ac", "b"]);
    assert_eq!(peer.answers("PUBSUB CHANNELS a?"), ["ab", "ac"]);
    assert!(peer.answers("PUBSUB CHANNELS A?").is_empty());
    let counts = ["b", "1", "ab", "2", "x*", "0"];
    assert_eq!(peer.answers("PUBSUB NUMSUB b ab x*"), counts);
    assert!(peer.answers("PUBSUB NUMSUB").is_empty());
    // Counts patterns, not subscriptions to them.
    assert_eq!(peer.answer("PUBSUB NUMPAT"), "2");
    assert_eq!(peer.info("stats", "pubsub_channels", ""), Some(3));
    assert_eq!(peer.info("stats", "pubsub_patterns", ""), Some(2));
    assert_eq!(peer.info("clients", "pubsub_clients", ""), Some(2));
}

#[test]
fn subscription_ends_by_reset_quit_disconnect_or_kill() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    for word in ["RESET", "QUIT", "leave", "kill"] {
        let (mut subscriber, _) = subscriber_and_other(&server);
        subscriber.answers("PSUBSCRIBE a*");
        assert_eq!(peer.answer("PUBLISH a x"), "2");
        subscriber.leaves();
        subscriber.leaves();
        match word {
            "leave" => subscriber.end_sending(),
            "kill" => assert_eq!(peer.answer("CLIENT KILL TYPE pubsub"), "1"),
            _ => _ = subscriber.answer(word),
        }
        wait_until_no_subscriptions(&mut peer);
        if word == "RESET" {
            subscriber.ping();
        } else {
            subscriber.expect_end();
        }
    }
}

#[test]
fn lingering_client_is_not_counted_as_subscriber() {
    let server = TestServer::start(1);
    let (mut subscriber, mut other) = subscriber_and_other(&server);
    subscriber.ask("QUIT\r\n", "+OK\r\n");
    subscriber.expect_end();
    // The client does not close its side, so it lingers for seconds. It gets no message.
    other.ask("PUBLISH a x\r\n", ":0\r\n");
}

/// Publishes a message for a subscriber that is being served: after the requests before GATE, whose
/// handler blocks, and before `request`.
///
/// In RESP2 a subscriber cannot run a handler, so it switches from RESP3 afterwards. The same can
/// happen between any two requests of a pipeline, though rarely.
#[track_caller]
fn message_comes_before(request: &str) -> Peer {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(2), commands);
    let (mut subscriber, mut publisher) = (server.connect(), server.connect());
    speak_resp3(&mut subscriber);
    subscribe(&mut subscriber, &["a"]);
    subscriber.send(format!("GATE\r\n{request}\r\nPING\r\n"));
    gate.wait_for_start();
    publisher.ask("PUBLISH a x\r\n", ":1\r\n");
    gate.let_one_through();
    subscriber.expect("+OPEN\r\n");
    // Otherwise the drain would close it.
    subscriber.expect(">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n");
    subscriber
}

#[test]
fn no_message_follows_unsubscribe() {
    let mut peer = message_comes_before("UNSUBSCRIBE a");
    assert_eq!(peer.leaves(), ["unsubscribe", "a", "0"]);
    peer.expect("+PONG\r\n");
    let mut peer = message_comes_before("UNSUBSCRIBE");
    assert_eq!(peer.leaves(), ["unsubscribe", "a", "0"]);
    peer.expect("+PONG\r\n");
}

#[test]
fn no_message_follows_reset() {
    message_comes_before("RESET").expect("+RESET\r\n+PONG\r\n");
}

// The mode of RESP2.

#[test]
fn resp2_subscriber_may_only_use_pubsub_commands() {
    let server = TestServer::start(1);
    let (mut peer, _other) = subscriber_and_other(&server);
    for (request, name) in [
        ("ECHO x", "echo"),
        ("CLIENT ID", "client|id"),
        ("PUBLISH a b", "publish"),
        ("HELLO 3", "hello"),
        ("AUTH x", "auth"),
    ] {
        peer.ask(
            format!("{request}\r\n"),
            format!(
                "-ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT \
                 / RESET are allowed in this context\r\n"
            ),
        );
    }
    peer.ask(
        "NONSENSE\r\n",
        "-ERR unknown command 'NONSENSE', with args beginning with: \r\n",
    );
    peer.ask(
        "ECHO\r\n",
        "-ERR wrong number of arguments for 'echo' command\r\n",
    );
    peer.ask("PING\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    peer.ask("PING hi\r\n", "*2\r\n$4\r\npong\r\n$2\r\nhi\r\n");
    peer.answers("PSUBSCRIBE b");
    peer.answers("UNSUBSCRIBE");
    // It is still subscribed to a pattern.
    peer.ask("PING\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    peer.answers("PUNSUBSCRIBE");
    peer.ping();
    peer.ask("ECHO x\r\n", "$1\r\nx\r\n");
    subscribe(&mut peer, &["a"]);
    peer.ask("RESET\r\n", "+RESET\r\n");
    peer.ping();
    subscribe(&mut peer, &["a"]);
    peer.ask("QUIT\r\n", "+OK\r\n");
    peer.expect_end();
}

#[test]
fn resp3_subscriber_may_use_every_command() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    speak_resp3(&mut peer);
    subscribe(&mut peer, &["a"]);
    peer.ping();
    peer.ask("PING x\r\nECHO y\r\n", "$1\r\nx\r\n$1\r\ny\r\n");
    // The restriction applies again as soon as the client returns to RESP2.
    peer.send("HELLO 2\r\n");
    peer.leaves();
    peer.ask("PING\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
}

// Bounds.

#[test]
fn subscriber_that_does_not_read_is_closed_at_32_mib() {
    let server = TestServer::start(1);
    let (mut deaf, mut publisher) = subscriber_and_other(&server);
    let mut good = server.connect();
    subscribe(&mut good, &["a"]);
    let reading = thread::spawn(move || {
        let mut messages = 0;
        while good.leaves()[2].len() > 3 {
            messages += 1;
        }
        messages
    });
    let message = request(&[b"PUBLISH", b"a", &vec![b'x'; 1024 * 1024]]);
    let (mut count, mut longest) = (0, 0);
    loop {
        publisher.send(&message);
        let reached = publisher.line();
        count += 1;
        if reached == ":1" {
            break;
        }
        assert_eq!(reached, ":2");
        let line = publisher.answer("CLIENT LIST ID 1");
        if let Some(waiting) = line
            .split(' ')
            .find_map(|field| field.strip_prefix("omem="))
        {
            longest = longest.max(waiting.parse::<usize>().expect(&line));
        }
        assert!(count < 256, "what waits is bounded");
    }
    assert!(count > 32, "{count} messages of 1 MiB");
    assert!(longest > WAITING_BYTES_MAX / 2, "{longest}");
    assert!(longest <= WAITING_BYTES_MAX, "{longest}");
    let closed = "client_output_buffer_limit_disconnections";
    assert_eq!(publisher.info("stats", closed, ""), Some(1));
    assert_eq!(publisher.answer("PUBLISH a end"), "1");
    assert_eq!(reading.join().expect("it reads on"), count);
    // Reads what the kernel had taken, then FIN or RST.
    let mut bytes = Vec::new();
    let _ = deaf.socket.read_to_end(&mut bytes);
    assert!(bytes.len() < count * 1024 * 1024);
    assert_eq!(publisher.answer("CONFIG RESETSTAT"), "OK");
    assert_eq!(publisher.info("stats", closed, ""), Some(0));
}

#[test]
fn subscriber_being_served_is_closed_for_its_backlog() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(2), commands);
    let (mut busy, mut publisher) = (server.connect(), server.connect());
    speak_resp3(&mut busy);
    subscribe(&mut busy, &["a"]);
    busy.send("GATE\r\n");
    gate.wait_for_start();
    let message = request(&[b"PUBLISH", b"a", &vec![b'x'; 1024 * 1024]]);
    let mut longest = 0;
    for _ in 0..40 {
        publisher.ask(&message, ":1\r\n");
        let line = publisher.answer("CLIENT LIST ID 1");
        let waiting = line
            .split(' ')
            .find_map(|field| field.strip_prefix("omem="));
        longest = longest.max(waiting.expect(&line).parse().expect(&line));
    }
    assert!(longest > WAITING_BYTES_MAX - 3 * 1024 * 1024, "{longest}");
    assert!(longest <= WAITING_BYTES_MAX, "{longest}");
    // Messages that will never be sent are freed before the handler returns.
    let line = publisher.answer("CLIENT LIST ID 1");
    assert!(line.contains(" omem=0 "), "{line}");
    gate.let_one_through();
    busy.expect("+OPEN\r\n");
    busy.expect_end();
    wait_until_no_subscriptions(&mut publisher);
}

/// After a turn that spent its budget, another one follows, and sees the kill. No other turn did.
#[test]
fn publishing_too_much_to_itself_closes_the_client() {
    let mut small = config(1);
    small.client_output_buffer_limit.pubsub.hard_bytes = 1024;
    let server = TestServer::with(small, Commands::builtin());
    let (mut peer, mut other) = (server.connect(), server.connect());
    speak_resp3(&mut peer);
    subscribe(&mut peer, &["a"]);
    peer.ask(request(&[b"PUBLISH", b"a", &[b'x'; 1025]]), ":1\r\n");
    eventually("it is closed", || {
        other.answer("CLIENT LIST ID 1").is_empty()
    });
    wait_until_no_subscriptions(&mut other);
}

/// Returns the confirmation of a subscription.
fn confirmation(word: &[u8], name: &[u8], count: usize) -> Vec<u8> {
    let words = request(&[word, name]);
    [b"*3\r\n", &words[4..], format!(":{count}\r\n").as_bytes()].concat()
}

#[test]
fn number_of_subscriptions_is_bounded() {
    // Number of names of 1024 bytes that fit into 32 MiB; each counts 160 bytes more.
    const FIT: usize = 32 * 1024 * 1024 / (1024 + 160);
    const AT_ONCE: usize = 500;

    let server = TestServer::start(1);
    let (mut peer, mut other) = (server.connect(), server.connect());
    let names: Vec<_> = (0..=FIT).map(|number| format!("{number:01024}")).collect();
    let names: Vec<_> = names.iter().map(String::as_bytes).collect();
    for (round, names) in names[..FIT].chunks(AT_ONCE).enumerate() {
        let words = [&[&b"SUBSCRIBE"[..]], names].concat();
        let confirmations = names.iter().enumerate().flat_map(|(index, name)| {
            confirmation(b"subscribe", name, round * AT_ONCE + index + 1)
        });
        peer.ask(request(&words), confirmations.collect::<Vec<_>>());
    }
    let too_many = "-ERR too many subscriptions\r\n";
    peer.ask(request(&[b"SUBSCRIBE", names[FIT]]), too_many);
    // Repeating a subscription adds nothing, and ending one frees its bytes.
    let again = confirmation(b"subscribe", names[0], FIT);
    peer.ask(request(&[b"SUBSCRIBE", names[0]]), again);
    let fewer = confirmation(b"unsubscribe", names[0], FIT - 1);
    peer.ask(request(&[b"UNSUBSCRIBE", names[0]]), fewer);
    let more = confirmation(b"subscribe", names[FIT], FIT);
    peer.ask(request(&[b"SUBSCRIBE", names[FIT]]), more);
    peer.ask(request(&[b"SUBSCRIBE", names[0]]), too_many);
    let counted = other.info("stats", "pubsub_channels", "");
    assert_eq!(counted, Some(FIT as u64));
    drop(peer);
    wait_until_no_subscriptions(&mut other);
}

#[test]
fn number_of_patterns_is_bounded_to_1024() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let names: Vec<_> = (0..1024).map(|number| format!("{number}*")).collect();
    for (index, name) in names.iter().enumerate() {
        let name = name.as_bytes();
        peer.ask(
            request(&[b"PSUBSCRIBE", name]),
            confirmation(b"psubscribe", name, index + 1),
        );
    }
    peer.ask("PSUBSCRIBE x\r\n", "-ERR too many subscriptions\r\n");
    assert_eq!(peer.answers("SUBSCRIBE x"), ["subscribe", "x", "1025"]);
    assert_eq!(peer.answers("PUNSUBSCRIBE 7*")[2], "1024");
    assert_eq!(peer.answers("PSUBSCRIBE x")[2], "1025");
}

// Hostile subscriptions and patterns.

/// Subscribes many clients to patterns that are slow to compare with [`hostile_channel`].
fn subscribe_to_hostile_patterns(server: &TestServer) -> Vec<Peer> {
    let mut subscribers: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for (client, subscriber) in subscribers.iter_mut().enumerate() {
        let patterns: Vec<_> = (0..1024)
            .map(|number| format!("*{}{client}.{number}", "a".repeat(240)))
            .collect();
        let words = patterns.iter().map(String::as_bytes);
        let words: Vec<_> = [&b"PSUBSCRIBE"[..]].into_iter().chain(words).collect();
        subscriber.send(request(&words));
    }
    for subscriber in &mut subscribers {
        for _ in 0..1024 {
            subscriber.leaves();
        }
    }
    subscribers
}

fn hostile_channel() -> String {
    "a".repeat(1024)
}

// Each message took 14 seconds in a release build, during which no client could subscribe or
// publish.
#[test]
fn hostile_patterns_are_compared_in_bounded_time() {
    let server = TestServer::start(2);
    let subscribers = subscribe_to_hostile_patterns(&server);
    let (mut publisher, mut other) = (server.connect(), server.connect());
    publisher.send(format!("PUBLISH {} x\r\n", hostile_channel()));
    subscribe(&mut other, &["a"]);
    publisher.expect(":0\r\n");
    publisher.ask("PUBLISH a x\r\n", ":1\r\n");
    assert_eq!(other.leaves(), ["message", "a", "x"]);
    drop(subscribers);
}

#[test]
fn channels_are_listed_by_pattern_over_many_slices() {
    const CHANNELS: usize = 1000;
    let server = TestServer::start(1);
    let (mut subscriber, mut other) = (server.connect(), server.connect());
    let names: Vec<_> = (0..CHANNELS).map(|number| format!("{number:04}")).collect();
    let words = names.iter().map(String::as_bytes);
    let words: Vec<_> = [&b"SUBSCRIBE"[..]].into_iter().chain(words).collect();
    subscriber.send(request(&words));
    for _ in 0..CHANNELS {
        subscriber.leaves();
    }
    assert_eq!(other.answers("PUBSUB CHANNELS"), names);
    assert_eq!(
        other.answers("PUBSUB CHANNELS *99"),
        [
            "0099", "0199", "0299", "0399", "0499", "0599", "0699", "0799", "0899", "0999"
        ]
    );
    let too_long = format!("PUBSUB CHANNELS *[{}\r\n", "a".repeat(1023));
    other.ask(too_long, "-ERR a pattern has at most 1024 bytes\r\n");
    subscriber.send("UNSUBSCRIBE\r\n");
    for (left, name) in (0..CHANNELS).rev().zip(&names) {
        let left = left.to_string();
        assert_eq!(subscriber.leaves(), ["unsubscribe", name, &left]);
    }
    other.ask("PUBSUB CHANNELS\r\n", "*0\r\n");
}

// The last subscriber of a channel removes it while other clients subscribe to it.
#[test]
fn messages_reach_subscribers_while_others_leave() {
    let server = TestServer::start(4);
    let rounds = 500;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let mut peer = server.connect();
            thread::spawn(move || {
                speak_resp3(&mut peer);
                for _ in 0..rounds {
                    peer.send("SUBSCRIBE a\r\nPSUBSCRIBE a*\r\nPUBLISH a x\r\n");
                    // Each message to itself arrives twice; those of others may arrive at any
                    // point.
                    let mut own = 0;
                    loop {
                        let leaves = peer.leaves();
                        match leaves[0].as_str() {
                            "message" | "pmessage" => own += 1,
                            "subscribe" | "psubscribe" => {}
                            count => {
                                assert!(count.parse::<u32>().expect("a number") >= 2);
                                break;
                            }
                        }
                    }
                    assert!(own >= 2, "{own}");
                    peer.send("UNSUBSCRIBE a\r\nPUNSUBSCRIBE a*\r\nPING\r\n");
                    while peer.leaves()[0] != "PONG" {}
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("every message has arrived");
    }
    let mut other = server.connect();
    wait_until_no_subscriptions(&mut other);
    other.ask("PUBSUB NUMPAT\r\nPUBSUB CHANNELS\r\n", ":0\r\n*0\r\n");
}

#[test]
fn message_reaches_more_subscribers_than_one_slice() {
    const SUBSCRIBERS: usize = 600;
    let server = TestServer::start(2);
    let mut subscribers: Vec<_> = (0..SUBSCRIBERS).map(|_| server.connect()).collect();
    for subscriber in &mut subscribers {
        subscribe(subscriber, &["a"]);
    }
    let mut publisher = server.connect();
    for message in ["one", "two"] {
        let count = format!(":{SUBSCRIBERS}\r\n");
        publisher.ask(format!("PUBLISH a {message}\r\n"), count);
    }
    for subscriber in &mut subscribers {
        for message in ["one", "two"] {
            assert_eq!(subscriber.leaves(), ["message", "a", message]);
        }
    }
}

// Time.

#[test]
fn timeout_does_not_close_a_subscriber() {
    let limited = Config {
        timeout_s: 1,
        ..config(1)
    };
    let server = TestServer::with(limited, Commands::builtin());
    let mut publisher = server.connect();
    let (mut subscriber, mut monitor) = (server.connect(), server.connect());
    subscribe(&mut subscriber, &["a"]);
    monitor.ask("MONITOR\r\n", "+OK\r\n");
    // It is parked later, so the clock checks it after them.
    let mut idle = server.connect();
    let _ = idle
        .socket
        .set_read_timeout(Some(Duration::from_millis(50)));
    eventually("another client is closed", || {
        // An admin command, so the monitor does not get it.
        publisher.answer("CLIENT LIST");
        idle.socket.read(&mut [0]).is_ok_and(|count| count == 0)
    });
    publisher.ask("PUBLISH a x\r\n", ":1\r\n");
    assert_eq!(subscriber.leaves(), ["message", "a", "x"]);
    assert!(monitor.line().ends_with("\"PUBLISH\" \"a\" \"x\""));
}

#[test]
fn drain_delivers_messages_and_closes_subscribers() {
    let server = TestServer::start(2);
    let mut subscribers: Vec<_> = (0..10).map(|_| subscriber_and_other(&server).0).collect();
    let mut publisher = server.connect();
    for _ in 0..50 {
        publisher.ask("PUBLISH a x\r\n", ":10\r\n");
    }
    assert_eq!(server.drain().aborted, 0);
    for subscriber in &mut subscribers {
        subscriber.expect(request(&[b"message", b"a", b"x"]).repeat(50));
        subscriber.expect_end();
    }
}

/// Messages are read at the start of a turn. Later ones followed the confirmation of UNSUBSCRIBE,
/// and a client in RESP2 took them for the reply to its next request.
#[test]
fn no_message_follows_unsubscribe_in_one_batch() {
    let server = TestServer::start(2);
    let mut peer = server.connect();
    // As PUBLISH is not answered, the message stays in the inbox.
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

/// As above, on one connection: with replies off, a message to itself stayed in the inbox and
/// followed the confirmation, or the end of monitoring.
#[test]
fn queued_messages_precede_unsubscribe_and_reset() {
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

/// A client that was being closed still counted as subscriber.
#[test]
fn quit_in_a_batch_ends_the_subscription() {
    let server = TestServer::start(2);
    let mut gone = server.connect();
    gone.send("SUBSCRIBE b\r\nQUIT\r\n");
    gone.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:1\r\n+OK\r\n");
    // The client has not closed its side.
    server.connect().ask("PUBLISH b x\r\n", ":0\r\n");
}
