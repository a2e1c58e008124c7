//! The examples `hello` and `kv`, over the wire. Those of the cookbook have `cookbook.rs`.

#[path = "../../examples/hello.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod hello;
#[path = "../../examples/kv.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod kv;

use std::thread;

use respool_testing::{Peer, TestServer, config, eventually, request};

#[test]
fn hello_greets() {
    let server = TestServer::with(config(1), hello::commands());
    server.connect().ask("hello-world\r\n", "+hello, world\r\n");
}

/// Returns a store on two workers, and a client.
fn store() -> (TestServer, Peer) {
    let server = TestServer::with(config(2), kv::commands());
    let peer = server.connect();
    (server, peer)
}

#[test]
fn key_has_its_last_value() {
    let (server, mut peer) = store();
    peer.ask("GET k\r\n", "$-1\r\n");
    peer.ask("SET k one\r\nGET k\r\n", "+OK\r\n$3\r\none\r\n");
    let (key, value) = (b"\0\r\n".as_slice(), b"\xff\r\n\0".as_slice());
    peer.ask(request(&[b"SET", key, value]), "+OK\r\n");
    let mut other = server.connect();
    other.ask(request(&[b"GET", key]), b"$4\r\n\xff\r\n\0\r\n");
    other.ask("SET k two\r\nGET k\r\n", "+OK\r\n$3\r\ntwo\r\n");
}

#[test]
fn transactions_lose_no_increments_and_are_atomic() {
    const ROUNDS: usize = 200;
    let server = TestServer::with(config(4), kv::commands());
    let increment = |thread: usize| {
        let mut peer = server.connect();
        // In both orders of the keys, so that a bad order of the locks would stop everything.
        let (one, other) = if thread.is_multiple_of(2) {
            ("a", "b")
        } else {
            ("b", "a")
        };
        for _ in 0..ROUNDS {
            peer.send(format!(
                "MULTI\r\nINCR {one}\r\nINCR {other}\r\nINCR {one}\r\nEXEC\r\n"
            ));
            peer.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n");
            let counts: Vec<u64> = peer
                .leaves()
                .iter()
                .map(|count| count.parse().expect("a number"))
                .collect();
            assert_eq!(counts[2], counts[0] + 1, "nothing comes in between");
            peer.send("INCR a\r\nINCR b\r\n");
            assert_eq!((peer.leaves().len(), peer.leaves().len()), (1, 1));
        }
    };
    thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || increment(number));
        }
    });
    // Of the 8 threads, each adds 3 in transactions, half of them 2 to a key and half 1; and 1 more.
    let total = 8 * ROUNDS + 4 * ROUNDS * 3;
    let mut peer = server.connect();
    assert_eq!(peer.answer("GET a"), total.to_string());
    assert_eq!(peer.answer("GET b"), total.to_string());
}

#[test]
fn transaction_of_several_kinds_runs_in_order() {
    let (server, mut peer) = store();
    peer.send(
        "MULTI\r\nSET a 1\r\nINCR a\r\nDBSIZE\r\nEXISTS a b\r\nDEL a b\r\nDBSIZE\r\nEXEC\r\n",
    );
    peer.expect(["+OK\r\n", &*"+QUEUED\r\n".repeat(6)].concat());
    peer.expect("*6\r\n+OK\r\n:2\r\n:1\r\n:1\r\n:1\r\n:0\r\n");
    server.connect().ask("GET a\r\n", "$-1\r\n");
}

#[test]
fn set_obeys_nx_and_xx_and_refuses_other_options() {
    let (_server, mut peer) = store();
    peer.ask("SET k a XX\r\nEXISTS k\r\n", "$-1\r\n:0\r\n");
    peer.ask(
        "SET k a nx\r\nSET k b NX\r\nGET k\r\n",
        "+OK\r\n$-1\r\n$1\r\na\r\n",
    );
    peer.ask("SET k c XX\r\nGET k\r\n", "+OK\r\n$1\r\nc\r\n");
    for words in ["NX XX", "EX", "EX 1 PX 1", "KEEP"] {
        peer.ask(format!("SET k d {words}\r\n"), "-ERR syntax error\r\n");
    }
    let not_an_integer = "-ERR value is not an integer or out of range\r\n";
    peer.ask("SET k d EX soon\r\n", not_an_integer);
    for time in ["0", "-1", "9223372036854775807"] {
        peer.ask(
            format!("SET k d EX {time}\r\n"),
            "-ERR invalid expire time in 'set' command\r\n",
        );
    }
    peer.ask("GET k\r\nTTL k\r\n", "$1\r\nc\r\n:-1\r\n");
}

#[test]
fn del_and_exists_count_existing_keys() {
    let (_server, mut peer) = store();
    peer.ask("SET a 1\r\nSET b 1\r\n", "+OK\r\n+OK\r\n");
    peer.ask("EXISTS a b a c\r\n", ":3\r\n");
    peer.ask("DEL a a c\r\nEXISTS a b\r\n", ":1\r\n:1\r\n");
}

#[test]
fn incr_counts_from_zero_to_the_largest_integer() {
    let (_server, mut peer) = store();
    peer.ask("INCR n\r\nINCR n\r\nGET n\r\n", ":1\r\n:2\r\n$1\r\n2\r\n");
    peer.ask(
        format!("SET n {}\r\nINCR n\r\n", i64::MAX),
        "+OK\r\n-ERR increment or decrement would overflow\r\n",
    );
    peer.ask(
        "SET n many\r\nINCR n\r\nGET n\r\n",
        "+OK\r\n-ERR value is not an integer or out of range\r\n$4\r\nmany\r\n",
    );
    for other in ["+1", "01", "-0", "-01", "1 ", "-", "1.0"] {
        peer.ask(
            format!("SET n \"{other}\"\r\nINCR n\r\n"),
            "+OK\r\n-ERR value is not an integer or out of range\r\n",
        );
    }
    peer.ask("SET n -1\r\nINCR n\r\nINCR n\r\n", "+OK\r\n:0\r\n:1\r\n");
    peer.ask(
        "SET n 1 EX 100\r\nINCR n\r\nTTL n\r\n",
        "+OK\r\n:2\r\n:100\r\n",
    );
}

#[test]
fn incr_loses_no_update_between_clients() {
    let (server, mut peer) = store();
    let mut others: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for other in &mut others {
        other.send("INCR n\r\n".repeat(1000));
    }
    for other in &mut others {
        (0..1000).for_each(|_| _ = other.line());
    }
    peer.ask("GET n\r\n", "$4\r\n8000\r\n");
}

#[test]
fn last_expiry_of_a_key_holds() {
    let (_server, mut peer) = store();
    peer.ask("TTL k\r\nEXPIRE k 100\r\n", ":-2\r\n:0\r\n");
    peer.ask("SET k v EX 100\r\nTTL k\r\n", "+OK\r\n:100\r\n");
    peer.ask("EXPIRE k 200\r\nTTL k\r\n", ":1\r\n:200\r\n");
    peer.ask("SET k v\r\nTTL k\r\n", "+OK\r\n:-1\r\n");
    peer.ask(
        "EXPIRE k 9223372036854775807\r\nEXPIRE k 1.5\r\n",
        "-ERR invalid expire time in 'expire' command\r\n\
         -ERR value is not an integer or out of range\r\n",
    );
    peer.ask("EXPIRE k -1\r\nEXISTS k\r\n", ":1\r\n:0\r\n");
}

#[test]
fn expired_key_is_gone() {
    let (_server, mut peer) = store();
    peer.ask("SET k v PX 1\r\n", "+OK\r\n");
    eventually("the client is gone", || peer.answer("EXISTS k") == "0");
    peer.ask("GET k\r\nTTL k\r\nDEL k\r\n", "$-1\r\n:-2\r\n:0\r\n");
    peer.ask("SET k 7 PX 1\r\n", "+OK\r\n");
    eventually("the client is gone", || peer.answer("EXISTS k") == "0");
    peer.ask("INCR k\r\nTTL k\r\n", ":1\r\n:-1\r\n");
}

#[test]
fn expired_key_is_freed_without_access() {
    let (_server, mut peer) = store();
    peer.ask("SET a 1 PX 1\r\nSET b 1\r\n", "+OK\r\n+OK\r\n");
    eventually("it is freed", || peer.answer("DBSIZE") == "1");
    peer.ask("EXISTS b\r\n", ":1\r\n");
}

#[test]
fn keys_are_declared_and_counted() {
    let (_server, mut peer) = store();
    peer.ask(
        "MULTI\r\nSET a 1\r\nSET b 1 EX 100\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n",
    );
    peer.ask("EXEC\r\n", "*2\r\n+OK\r\n+OK\r\n");
    let keyspace = peer.answer("INFO keyspace");
    assert!(keyspace.contains("db0:keys=2,expires=1,"), "{keyspace}");
    for (call, keys) in [
        ("GET a", &["a"][..]),
        ("SET a b EX 10", &["a"]),
        ("DEL a b", &["a", "b"]),
    ] {
        assert_eq!(peer.answers(&format!("COMMAND GETKEYS {call}")), keys);
    }
    let reading = peer.answers("COMMAND LIST FILTERBY ACLCAT read");
    for name in ["exists", "get", "ttl"] {
        assert!(reading.contains(&name.to_owned()), "{reading:?}");
    }
}

#[test]
fn transactions_that_count_all_keys_end() {
    let (server, _) = store();
    let count = |number: usize| {
        let mut peer = server.connect();
        for _ in 0..200 {
            peer.send(format!(
                "MULTI\r\nINCR key{number}\r\nINFO keyspace\r\nEXEC\r\n"
            ));
            peer.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n");
            assert_eq!(peer.leaves().len(), 2);
        }
    };
    thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || count(number));
        }
    });
}
