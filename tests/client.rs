//! A real client: the `redis` crate, which pipelines its own handshake in front of the first
//! request.

mod common;

use std::thread;

use common::TestServer;
use redis::{Client, Connection, Value, cmd, pipe};

fn connect(server: &TestServer) -> Connection {
    connect_with(server, "")
}

/// Connects with what `options` say behind the address.
fn connect_with(server: &TestServer, options: &str) -> Connection {
    let address = format!("redis://{}/{options}", server.addr);
    let client = Client::open(address).expect("an address");
    client.get_connection().expect("the handshake is survived")
}

#[test]
fn it_pings_echoes_and_pipelines_in_resp2_and_in_resp3() {
    let server = TestServer::start(2);
    pings_echoes_and_pipelines(connect(&server));
    pings_echoes_and_pipelines(connect_with(&server, "?protocol=resp3"));
}

/// HELLO answers by a map in RESP3 alone.
#[test]
fn it_speaks_the_protocol_that_it_asks_for() {
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

#[test]
fn an_unknown_command_is_an_error_and_the_connection_lives() {
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
fn more_clients_than_workers_ping_at_the_same_time() {
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
