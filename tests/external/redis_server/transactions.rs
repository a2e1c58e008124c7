//! MULTI, EXEC and DISCARD of the example `kv`, in the process of the test, beside redis-server.

#[path = "../../../examples/kv.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod kv;

use std::net::SocketAddr;

use respool_testing::redis_server::{Redis, Setting};
use respool_testing::{Peer, TestServer, config};

/// Conversations, their requests divided by `|`. QUIT follows.
const CONVERSATIONS: &[&str] = &[
    "MULTI|EXEC",
    "multi|ping|ECHO a|exec|PING",
    "EXEC|DISCARD|EXEC 1|PING",
    "MULTI|MULTI|PING|EXEC",
    "MULTI|PING|DISCARD|EXEC",
    "MULTI 1|DISCARD 1|MULTI|MULTI 1|DISCARD 1|PING|EXEC|EXEC",
    "MULTI|PING|EXEC 1|EXEC",
    "MULTI|NOSUCH|GET|PING|EXEC|EXEC",
    "MULTI|CLIENT NOSUCH|EXEC",
    "MULTI|SHUTDOWN|PING|EXEC",
    "MULTI|PING|RESET|EXEC",
    "MULTI|PING|QUIT|EXEC",
    "MULTI|SELECT 1|SELECT 99|CLIENT GETNAME|EXEC",
    "MULTI|SET t a|INCR t|GET t|DEL t|EXISTS t|EXEC|GET t",
    "SET t 1|MULTI|INCR t|SET t x NX|SET t 5 XX|TTL t|EXPIRE t x|EXEC|DEL t",
    "MULTI|AUTH nobody secret|EXEC",
    "MULTI|MONITOR|PING|EXEC",
    "MULTI|SUBSCRIBE a b|PSUBSCRIBE c|PING|EXEC|PING",
    "MULTI|SUBSCRIBE a|UNSUBSCRIBE|PING|EXEC|PING",
    "SUBSCRIBE a|MULTI|EXEC|EXEC 1",
    "MULTI|CLIENT REPLY OFF|PING|EXEC|PING",
    "MULTI|PING|CLIENT REPLY OFF|ECHO a|EXEC|PING",
    "MULTI|PING|CLIENT REPLY SKIP|ECHO a|ECHO b|EXEC|ECHO c|ECHO d",
    "CLIENT REPLY SKIP|MULTI|PING|EXEC",
    "MULTI|CLIENT REPLY SKIP|EXEC|PING|ECHO a",
    "MULTI|PING|EXEC|CLIENT REPLY SKIP|PING|ECHO a",
    "CLIENT REPLY OFF|MULTI|PING|CLIENT REPLY ON|PING|EXEC|PING",
    "CLIENT REPLY OFF|MULTI|CLIENT REPLY ON|CLIENT REPLY SKIP|ECHO a|EXEC|ECHO b|ECHO c",
    "MULTI|CLIENT PAUSE 10000|PING|CLIENT UNPAUSE|EXEC|PING",
    "COMMAND INFO MULTI|COMMAND INFO EXEC|COMMAND INFO DISCARD",
    "COMMAND DOCS MULTI|COMMAND DOCS EXEC|COMMAND DOCS DISCARD",
];

#[test]
fn transactions_equal_those_of_redis() {
    let Some(redis) = Redis::start(Setting::Plain) else {
        return;
    };
    let server = TestServer::with(config(2), kv::commands());
    for conversation in CONVERSATIONS {
        for version in [2, 3] {
            let [redis, respool] =
                [redis.addr, server.addr].map(|addr| replies(addr, version, conversation));
            assert_eq!(respool, redis, "in RESP{version}: {conversation}");
        }
    }
}

/// Returns the replies to a conversation.
fn replies(addr: SocketAddr, version: u8, conversation: &str) -> String {
    let mut peer = Peer::connect(addr);
    peer.send(format!("HELLO {version}\r\n"));
    // The server's version and the client's number differ.
    let _ = peer.leaves();
    peer.send(conversation.replace('|', "\r\n") + "\r\nQUIT\r\n");
    peer.rest().escape_ascii().to_string()
}
