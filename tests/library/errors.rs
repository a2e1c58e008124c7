//! Handlers that return an error.

use std::fs;

use respool::{Arity, Commands, ErrorReply};
use respool_testing::{Peer, TestServer, builtin_and, config};

const LOCKED: ErrorReply = ErrorReply::constant("LOCKED", "the job is running");

/// Returns commands that write more or less before they fail.
fn failing() -> Commands {
    builtin_and(|commands| {
        commands
            .register("NUMBER", Arity::AtLeast(1), |_, request, reply| {
                Ok(reply.integer(request.integer(0)?))
            })
            .never_blocks()
            .register("LATE", Arity::Exactly(1), |_, _, reply| {
                let reply = reply.push(1, |items| items.bulk("pushed"));
                let _ = reply.array(2, |items| {
                    items.integer(1);
                    items.value("x".repeat(1000));
                });
                Err(LOCKED)
            })
            .register("SAYS", Arity::Exactly(2), |_, request, _| {
                Err(ErrorReply::err(request.text(0)?.to_owned()))
            })
            .register("READS", Arity::Exactly(2), |_, request, reply| {
                let file = request.text(0)?;
                let text = fs::read(file).map_err(|_| ErrorReply::err("no such file"))?;
                Ok(reply.bulk(text))
            })
            .register("SHOWS", Arity::Exactly(2), |_, request, reply| {
                let number: u8 = request.text(0)?.parse().map_err(ErrorReply::showing)?;
                Ok(reply.integer(number.into()))
            });
    })
}

fn serve() -> (TestServer, Peer) {
    let server = TestServer::with(config(1), failing());
    let peer = server.connect();
    (server, peer)
}

const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";
const LATE: &str = "-LOCKED the job is running\r\n";

#[test]
fn error_replaces_what_the_handler_wrote() {
    let (_server, mut peer) = serve();
    let requests = "NUMBER 1\r\nLATE\r\nNUMBER x\r\nLATE\r\nNUMBER\r\nNUMBER 2\r\n";
    let syntax = "-ERR syntax error\r\n";
    let replies = [":1\r\n", LATE, NOT_AN_INTEGER, LATE, syntax, ":2\r\n"].concat();
    peer.ask(requests, &replies);
    peer.speak_resp3();
    peer.ask(requests, &replies);
}

#[test]
fn error_texts_are_those_of_the_handler() {
    let (_server, mut peer) = serve();
    peer.ask("SAYS \"a\\r\\n-b\"\r\n", "-ERR a  -b\r\n");
    peer.ask("READS /none/such\r\n", "-ERR no such file\r\n");
    peer.ask("SHOWS x\r\n", "-ERR invalid digit found in string\r\n");
    peer.ask("SHOWS 7\r\n", ":7\r\n");
}

#[test]
fn error_obeys_client_reply() {
    let (_server, mut peer) = serve();
    peer.ask(
        "CLIENT REPLY SKIP\r\nLATE\r\nLATE\r\nCLIENT REPLY OFF\r\nLATE\r\nNUMBER x\r\n\
         CLIENT REPLY ON\r\nNUMBER 1\r\n",
        [LATE, "+OK\r\n:1\r\n"].concat(),
    );
}

#[test]
fn error_is_counted_like_any_other() {
    let (_server, mut peer) = serve();
    peer.ask(
        "LATE\r\nLATE\r\nNUMBER x\r\nNUMBER 1\r\n",
        [LATE, LATE, NOT_AN_INTEGER, ":1\r\n"].concat(),
    );
    let locked = peer.info("errorstats", "errorstat_LOCKED", "count=");
    assert_eq!(locked, Some(2));
    assert_eq!(peer.info("errorstats", "errorstat_ERR", "count="), Some(1));
    let failed = |peer: &mut Peer, command| peer.info("commandstats", command, "failed_calls=");
    assert_eq!(failed(&mut peer, "cmdstat_late"), Some(2));
    assert_eq!(failed(&mut peer, "cmdstat_number"), Some(1));
}
