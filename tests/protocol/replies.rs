//! Replies of a program's own commands, byte by byte, and how they read their arguments.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

use respool::{Arity, Commands, ErrorReply, Items, Protocol, Replied, Reply, Request};
use respool_testing::{Peer, TestServer, builtin_and, config, request};

const INTERNAL: &str = "-ERR internal error: see the server's log\r\n";

/// Returns a server with these commands on one worker, and a client.
fn serve(commands: Commands) -> (TestServer, Peer) {
    let server = TestServer::with(config(1), commands);
    let peer = server.connect();
    (server, peer)
}

fn null(reply: Reply<'_>) -> Replied {
    reply.null()
}

fn null_array(reply: Reply<'_>) -> Replied {
    reply.null_array()
}

/// Compares a handler's complete reply in RESP2 and in RESP3.
#[track_caller]
fn assert_sent(
    handler: impl Fn(Reply<'_>) -> Replied + Send + Sync + 'static,
    resp2: &str,
    resp3: &str,
) {
    let (_server, mut peer) = serve(builtin_and(|commands| {
        commands.register("REPLY", Arity::Exactly(1), move |_, _, reply| {
            handler(reply)
        });
    }));
    // Twice in one batch: earlier output does not affect a reply.
    peer.ask(
        "REPLY\r\nREPLY\r\nECHO 2\r\n",
        [resp2, resp2, "$1\r\n2\r\n"].concat(),
    );
    peer.speak_resp3();
    peer.ask(
        "REPLY\r\nREPLY\r\nECHO 3\r\n",
        [resp3, resp3, "$1\r\n3\r\n"].concat(),
    );
}

// Replies.

#[test]
fn types_of_both_versions_are_sent_as_they_are() {
    assert_sent(|reply| reply.simple("fine"), "+fine\r\n", "+fine\r\n");
    assert_sent(|reply| reply.simple("a\r\nb"), "+a  b\r\n", "+a  b\r\n");
    assert_sent(|reply| reply.error("NO a\nb"), "-NO a b\r\n", "-NO a b\r\n");
    assert_sent(
        |reply| reply.integer(i64::MIN),
        ":-9223372036854775808\r\n",
        ":-9223372036854775808\r\n",
    );
    assert_sent(
        |reply| reply.bulk("a\r\n\0"),
        "$4\r\na\r\n\0\r\n",
        "$4\r\na\r\n\0\r\n",
    );
    assert_sent(|reply| reply.bulk(""), "$0\r\n\r\n", "$0\r\n\r\n");
    assert_sent(|reply| reply.array(0, |_| ()), "*0\r\n", "*0\r\n");
}

#[test]
fn resp3_types_are_downgraded_as_in_redis() {
    assert_sent(null, "$-1\r\n", "_\r\n");
    assert_sent(null_array, "*-1\r\n", "_\r\n");
    assert_sent(|reply| reply.boolean(true), ":1\r\n", "#t\r\n");
    assert_sent(|reply| reply.boolean(false), ":0\r\n", "#f\r\n");
    assert_sent(|reply| reply.double(-0.25), "$5\r\n-0.25\r\n", ",-0.25\r\n");
    assert_sent(|reply| reply.double(3.0), "$1\r\n3\r\n", ",3\r\n");
    assert_sent(
        |reply| reply.double(f64::INFINITY),
        "$3\r\ninf\r\n",
        ",inf\r\n",
    );
    assert_sent(
        |reply| reply.double(f64::NEG_INFINITY),
        "$4\r\n-inf\r\n",
        ",-inf\r\n",
    );
    assert_sent(|reply| reply.double(f64::NAN), "$3\r\nnan\r\n", ",nan\r\n");
    assert_sent(
        |reply| reply.big_number("-18446744073709551616"),
        "$21\r\n-18446744073709551616\r\n",
        "(-18446744073709551616\r\n",
    );
    assert_sent(
        |reply| reply.bulk_error("NO a\r\nb"),
        "-NO a  b\r\n",
        "!7\r\nNO a\r\nb\r\n",
    );
    assert_sent(
        |reply| reply.verbatim("a\nb"),
        "$3\r\na\nb\r\n",
        "=7\r\ntxt:a\nb\r\n",
    );
    assert_sent(
        |reply| reply.markdown("# a"),
        "$3\r\n# a\r\n",
        "=7\r\nmkd:# a\r\n",
    );
}

#[test]
fn aggregates_nest() {
    fn two(items: &mut Items<'_>) {
        items.add(|item| item.boolean(true));
        items.add(null);
    }
    assert_sent(
        |reply| {
            reply.array(4, |items| {
                items.add(|map| {
                    map.map(2, |pairs| {
                        pairs.pair("one", |value| value.array(2, two));
                        pairs.add(|key| key.integer(2));
                        pairs.add(|value| value.set(2, two));
                    })
                });
                items.add(|error| error.error("NO"));
                items.add(|empty| empty.map(0, |_| ()));
                items.add(|last| last.set(0, |_| ()));
            })
        },
        "*4\r\n*4\r\n$3\r\none\r\n*2\r\n:1\r\n$-1\r\n:2\r\n*2\r\n:1\r\n$-1\r\n-NO\r\n*0\r\n*0\r\n",
        "*4\r\n%2\r\n$3\r\none\r\n*2\r\n#t\r\n_\r\n:2\r\n~2\r\n#t\r\n_\r\n-NO\r\n%0\r\n~0\r\n",
    );
}

#[test]
fn attributes_are_sent_in_resp3_only() {
    assert_sent(
        |reply| {
            let reply = reply.attribute(1, |pairs| pairs.pair("ttl", |value| value.integer(9)));
            reply.bulk("x")
        },
        "$1\r\nx\r\n",
        "|1\r\n$3\r\nttl\r\n:9\r\n$1\r\nx\r\n",
    );
    assert_sent(
        |reply| {
            let reply = reply.push(2, |items| items.pair("news", |item| item.double(0.5)));
            reply.simple("OK")
        },
        "+OK\r\n",
        ">2\r\n$4\r\nnews\r\n,0.5\r\n+OK\r\n",
    );
    // Also in an array.
    assert_sent(
        |reply| {
            reply.array(1, |items| {
                items.add(|item| {
                    let about = |pairs: &mut Items<'_>| pairs.pair("k", null);
                    item.attribute(1, about).integer(1)
                });
            })
        },
        "*1\r\n:1\r\n",
        "*1\r\n|1\r\n$1\r\nk\r\n_\r\n:1\r\n",
    );
}

#[test]
fn bulk_writer_takes_exactly_its_length() {
    assert_sent(
        |reply| {
            reply.bulk_with(7, |bulk| {
                bulk.write_all(b"on\r\n").expect("there is room");
                assert_eq!(bulk.remaining(), 3);
                let error = bulk.write_all(b"more").expect_err("it is full");
                assert_eq!(error.kind(), ErrorKind::WriteZero);
            })
        },
        "$7\r\non\r\nmor\r\n",
        "$7\r\non\r\nmor\r\n",
    );
    assert_sent(
        |reply| reply.bulk_with(0, |_| ()),
        "$0\r\n\r\n",
        "$0\r\n\r\n",
    );
}

#[test]
fn broken_reply_becomes_an_error() {
    let (server, mut other) = serve(builtin_and(|commands| {
        commands.register(
            "WRONG",
            Arity::Exactly(2),
            |_, request, reply| match request.text(0) {
                Ok("short") => reply.bulk_with(2, |bulk| {
                    let _ = bulk.write(b"x");
                }),
                // A program that ran out of memory would abort, with all its clients.
                Ok("huge") => reply.bulk_with(1 << 62, |_| ()),
                Ok("endless") => reply.bulk_with(usize::MAX, |_| ()),
                Ok("few") => reply.array(2, |items| items.add(null)),
                Ok("many") => reply.map(1, |pairs| {
                    pairs.pair("k", null);
                    pairs.add(null);
                }),
                Ok("front") => reply.attribute(1, |_| ()).null(),
                _ => reply.big_number("1e3"),
            },
        );
    }));
    for wrong in ["short", "huge", "endless", "few", "many", "front", "number"] {
        let mut peer = server.connect();
        peer.speak_resp3();
        peer.send(format!("PING\r\nWRONG {wrong}\r\nPING\r\n"));
        peer.expect(["+PONG\r\n", INTERNAL].concat());
        peer.expect_end();
        other.ping();
    }
}

#[test]
fn handler_sees_the_protocol_version() {
    let (_server, mut peer) = serve(builtin_and(|commands| {
        commands.register("VERSION", Arity::Exactly(1), |session, _, reply| {
            reply.boolean(session.protocol() == Protocol::Resp3)
        });
    }));
    peer.ask("VERSION\r\n", ":0\r\n");
    peer.speak_resp3();
    peer.ask("VERSION\r\nRESET\r\nVERSION\r\n", "#t\r\n+RESET\r\n:0\r\n");
}

// Arguments.

/// Returns a handler that reads its first argument and replies with the value or the displayed
/// error.
fn reads<T: ToString>(
    read: impl Fn(&Request<'_>) -> Result<T, ErrorReply> + Send + Sync + 'static,
) -> Commands {
    builtin_and(|commands| {
        commands.register("READ", Arity::AtLeast(1), move |_, request, reply| {
            Ok(reply.value(read(request)?.to_string()))
        });
    })
}

/// Compares the replies of such a command to each of these arguments, and to none.
#[track_caller]
fn assert_reads(commands: Commands, replies: &[(&[u8], &str)]) {
    let (_server, mut peer) = serve(commands);
    for (argument, reply) in replies {
        peer.send(request(&[b"READ", argument]));
        assert_eq!(peer.leaves(), [*reply], "{}", argument.escape_ascii());
    }
    peer.ask("READ\r\n", "-ERR syntax error\r\n");
}

#[test]
fn integer_argument_is_as_strict_as_in_redis() {
    let no = "-ERR value is not an integer or out of range";
    assert_reads(
        reads(|request| request.integer(0)),
        &[
            (b"0", "0"),
            (b"-7", "-7"),
            (b"9223372036854775807", "9223372036854775807"),
            (b"-9223372036854775808", "-9223372036854775808"),
            (b"9223372036854775808", no),
            (b"-9223372036854775809", no),
            (b"", no),
            (b"-", no),
            (b"-0", no),
            (b"+1", no),
            (b"01", no),
            (b" 1", no),
            (b"1 ", no),
            (b"1.0", no),
            (b"\xff", no),
        ],
    );
}

#[test]
fn integer_range_includes_both_ends() {
    let beyond = "-ERR value is out of range, value must between -1 and 10";
    assert_reads(
        reads(|request| request.integer_in(0, -1..=10)),
        &[
            (b"-1", "-1"),
            (b"10", "10"),
            (b"-2", beyond),
            (b"11", beyond),
            (b"x", "-ERR value is not an integer or out of range"),
        ],
    );
}

#[test]
fn float_argument_is_finite_or_infinity() {
    let no = "-ERR value is not a valid float";
    assert_reads(
        reads(|request| request.float(0)),
        &[
            (b"1.5", "1.5"),
            (b"-1e2", "-100"),
            (b"INF", "inf"),
            (b"-infinity", "-inf"),
            (b"0e999", "0"),
            (b"nan", no),
            (b"1e999", no),
            (b"1e-999", no),
            (b" 1", no),
            (b"1x", no),
            (b"", no),
            (b"\xff", no),
        ],
    );
}

#[test]
fn text_argument_is_utf_8() {
    assert_reads(
        reads(|request| request.text(0).map(str::to_owned)),
        &[
            (b"", ""),
            ("é\r\n".as_bytes(), "é\r\n"),
            (b"a\xff", "-ERR value is not valid UTF-8"),
        ],
    );
}

// Large replies.

const LARGE: usize = 32 * 1024 * 1024;

/// Returns bytes that do not repeat at any distance that a buffer could have.
fn pattern() -> Vec<u8> {
    const PERIOD: usize = 65_521;
    let period: Vec<u8> = (0..PERIOD)
        .map(|index| (index ^ (index >> 8)) as u8)
        .collect();
    let mut bytes = period.repeat(LARGE / PERIOD + 1);
    bytes.truncate(LARGE);
    bytes
}

/// Returns `LARGE`, a large bulk string from memory, and `WRITTEN`, the same written in place.
fn with_large_replies() -> Commands {
    builtin_and(|commands| {
        let bytes: Arc<[u8]> = pattern().into();
        let same = Arc::clone(&bytes);
        commands.register("LARGE", Arity::Exactly(1), move |_, _, reply| {
            reply.bulk(&bytes)
        });
        commands.register("WRITTEN", Arity::Exactly(1), move |_, _, reply| {
            reply.bulk_with(LARGE, |bulk| {
                for piece in same.chunks(10_000) {
                    bulk.write_all(piece).expect("there is room");
                }
            })
        });
    })
}

/// Reads a large bulk string in pieces, and has `other` served in between.
#[track_caller]
fn expect_large(peer: &mut Peer, pattern: &[u8], other: &mut Peer) {
    peer.expect(format!("${LARGE}\r\n"));
    let mut piece = vec![0; 1024 * 1024];
    for (index, expected) in pattern.chunks(piece.len()).enumerate() {
        let piece = &mut piece[..expected.len()];
        peer.socket.read_exact(piece).expect("it is sent whole");
        assert!(piece == expected, "the {index}th MiB is not as it was sent");
        other.ping();
    }
    peer.expect("\r\n");
}

#[test]
fn large_reply_arrives_whole_in_small_pieces() {
    let (server, mut other) = serve(with_large_replies());
    let pattern = pattern();
    for request in ["LARGE\r\n", "WRITTEN\r\n"] {
        let mut peer = Peer::connect_with_small_buffer(server.addr);
        peer.send(request);
        // The reply has started and cannot be sent at once.
        peer.socket.peek(&mut [0]).expect("the reply has started");
        other.ping();
        expect_large(&mut peer, &pattern, &mut other);
        peer.ping();
    }
}

#[test]
fn large_replies_of_a_batch_arrive_in_order() {
    let (server, mut other) = serve(with_large_replies());
    let pattern = pattern();
    let mut peer = server.connect();
    peer.send("ECHO 1\r\nWRITTEN\r\nECHO 2\r\nLARGE\r\nLARGE\r\nECHO 3\r\nWRITTEN\r\nECHO 4\r\n");
    peer.expect("$1\r\n1\r\n");
    expect_large(&mut peer, &pattern, &mut other);
    peer.expect("$1\r\n2\r\n");
    expect_large(&mut peer, &pattern, &mut other);
    expect_large(&mut peer, &pattern, &mut other);
    peer.expect("$1\r\n3\r\n");
    expect_large(&mut peer, &pattern, &mut other);
    peer.expect("$1\r\n4\r\n");
    peer.ping();
}
