//! The `redis` crate as a real client. It pipelines its handshake before the first request.

use std::thread;
use std::time::Duration;

use redis::{Client, Connection, Value, cmd, pipe};
use respool_testing::TestServer;

fn connect(server: &TestServer) -> Connection {
    connect_with(server, "")
}

/// Connects with these options after the address.
fn connect_with(server: &TestServer, options: &str) -> Connection {
    let address = format!("redis://{}/{options}", server.addr);
    let client = Client::open(address).expect("an address");
    client.get_connection().expect("the handshake is survived")
}

#[test]
fn redis_crate_pings_echoes_and_pipelines() {
    let server = TestServer::start(2);
    pings_echoes_and_pipelines(connect(&server));
    pings_echoes_and_pipelines(connect_with(&server, "?protocol=resp3"));
}

/// HELLO returns a map in RESP3 only.
#[test]
fn redis_crate_gets_its_protocol() {
    let server = TestServer::start(2);
    for (options, is_map) in [("", false), ("?protocol=resp3", true)] {
        let hello: Value = cmd("HELLO")
            .query(&mut connect_with(&server, options))
            .expect("an introduction");
        assert_eq!(matches!(hello, Value::Map(_)), is_map, "{hello:?}");
    }
}

fn pings_echoes_and_pipelines(mut connection: Connection) {
    assert_eq!(cmd("PING").query(&mut connection), Ok("PONG".to_owned()));
    assert_eq!(
        cmd("PING").arg("hello").query(&mut connection),
        Ok("hello".to_owned())
    );
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(cmd("ECHO").arg(&bytes).query(&mut connection), Ok(bytes));
    let replies = pipe()
        .cmd("PING")
        .cmd("ECHO")
        .arg("x")
        .cmd("PING")
        .query(&mut connection);
    assert_eq!(
        replies,
        Ok(("PONG".to_owned(), "x".to_owned(), "PONG".to_owned()))
    );
}

/// The crate writes a whole pipeline before it reads a reply.
#[test]
fn pipelines_larger_than_buffers_are_answered() {
    let server = TestServer::start(2);
    for (count, length) in [
        (5_000, 10_000),
        (100_000, 100),
        (10_000, 1_000),
        (800, 10_000),
    ] {
        let mut connection = connect(&server);
        let timeout = Some(Duration::from_secs(20));
        connection.set_write_timeout(timeout).expect("a TCP socket");
        connection.set_read_timeout(timeout).expect("a TCP socket");
        let message = |number| format!("{number:0>8}{}", "x".repeat(length - 8));
        let mut pipeline = pipe();
        for number in 0..count {
            pipeline.cmd("ECHO").arg(message(number));
        }
        let replies: Vec<String> = pipeline.query(&mut connection).expect("all replies come");
        assert_eq!(replies.len(), count);
        let is_right = |(number, reply): (usize, &String)| *reply == message(number);
        assert!(
            replies.iter().enumerate().all(is_right),
            "{count} × {length} bytes"
        );
    }
}

#[test]
fn unknown_command_keeps_the_connection() {
    let server = TestServer::start(1);
    let mut connection = connect(&server);
    let error = cmd("GET")
        .arg("key")
        .query::<String>(&mut connection)
        .expect_err("no such command");
    assert_eq!(
        error.detail(),
        Some("unknown command 'GET', with args beginning with: 'key' ")
    );
    assert_eq!(cmd("PING").query(&mut connection), Ok("PONG".to_owned()));
}

#[test]
fn more_clients_than_workers_ping_at_once() {
    let server = TestServer::start(2);
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut connection = connect(&server);
                for _ in 0..50 {
                    assert_eq!(cmd("PING").query(&mut connection), Ok("PONG".to_owned()));
                }
            });
        }
    });
}
