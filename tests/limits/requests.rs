//! How large a request may be.

use respool::Config;
use respool_testing::config;

use respool_testing::echo;

use crate::{WORD_BYTES, Watched};

#[test]
fn query_buffer_limit_is_exact() {
    const LIMIT: usize = 1 << 20;
    let mut watched = Watched::start(Config {
        client_query_buffer_limit: LIMIT,
        ..config(2)
    });
    let around = echo("12345").0.len() - 5 + "0000000".len() - "5".len();
    let longest = "x".repeat(LIMIT - 2 * WORD_BYTES - around);
    let (request, reply) = echo(&longest);
    assert_eq!(request.len() + 2 * WORD_BYTES, LIMIT);
    let mut peer = watched.connect();
    for _ in 0..3 {
        peer.ask(&request, &reply);
    }
    // In pieces, and several at once: the limit is per request.
    for piece in request.as_bytes().chunks(100_000) {
        peer.send(piece);
    }
    peer.expect(&reply);
    peer.ask(request.repeat(5), reply.repeat(5));

    for cut in [0, 1] {
        let mut request = echo(&format!("{longest}x")).0;
        // An incomplete request is measured by the bytes that have arrived.
        request.truncate(request.len() - cut);
        request.push_str(if cut == 0 { "" } else { "\n" });
        let mut peer = watched.connect();
        peer.send(&request);
        peer.expect("-ERR Protocol error: too big request\r\n");
        peer.end_sending();
        peer.expect_end();
        let (addr, count) = (peer.local_addr(), cut as u64 + 1);
        let why = "a request exceeded `client-query-buffer-limit`";
        watched.closes(addr, "query_buffer_limit", count, why);
        watched.counts("client_query_buffer_limit_disconnections", count);
    }
    peer.ping();
}

#[test]
fn short_arguments_count_with_their_overhead() {
    const LIMIT: usize = 1 << 20;
    let mut watched = Watched::start(Config {
        client_query_buffer_limit: LIMIT,
        ..config(2)
    });
    // `$0\r\n\r\n` is 6 bytes, and 14 with the overhead of an argument.
    let request = |words: usize| {
        let empty = "$0\r\n\r\n".repeat(words - 1);
        format!("*{words}\r\n$4\r\nPING\r\n{empty}")
    };
    // The count has five digits instead of one.
    let held = |words: usize| request(1).len() + 4 + 6 * (words - 1) + words * WORD_BYTES;
    let most = (1..LIMIT).take_while(|&words| held(words) <= LIMIT);
    let most = most.last().expect("there is room for one");
    assert_eq!(request(most).len() + most * WORD_BYTES, held(most));
    let mut peer = watched.connect();
    let arity = "-ERR wrong number of arguments for 'ping' command\r\n";
    peer.ask(request(most), arity);
    peer.ask(
        request(most + 1),
        "-ERR Protocol error: too big request\r\n",
    );
    watched.counts("closed_query_buffer_limit", 1);
}
