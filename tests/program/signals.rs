//! SIGTERM, SIGINT and SHUTDOWN.

use respool_testing::process::Respool;
use respool_testing::{PATIENCE, Peer};

use crate::start;

#[test]
fn sigterm_and_sigint_drain_and_exit_0() {
    for (signal, name) in [("TERM", "SIGTERM"), ("INT", "SIGINT")] {
        let server = start(&[]);
        server.signal(signal);
        let ended = server.ended(PATIENCE);
        assert_eq!(ended.status.code(), Some(0));
        let log = ended.stdout;
        let drain = log.find(&format!("{name}: draining\n")).expect(&log);
        let stop = log.find("stopped: every reply was sent\n").expect(&log);
        assert!(drain < stop, "{log}");
    }
}

#[test]
fn second_sigterm_ends_the_drain_delay() {
    let server = start(&["--drain-delay-ms", "3600000"]);
    let mut peer = server.connect();
    server.signal("TERM");
    server.wait_for_log("clients are accepted and served for another 3600000 ms");
    peer.ping();
    server.connect().ping();
    server.signal("TERM");
    peer.expect_end();
    let log = server.ended(PATIENCE).without_complaint();
    assert_eq!(log.matches("SIGTERM: draining\n").count(), 1, "{log}");
    assert!(
        log.contains("drain: no more clients are accepted\n"),
        "{log}"
    );
}

#[test]
fn shutdown_log_names_the_client() {
    let server = start(&[]);
    let mut peer = server.connect();
    let addr = peer.local_addr();
    peer.send("SHUTDOWN\r\n");
    let ended = server.ended(PATIENCE);
    assert_eq!(ended.status.code(), Some(0));
    ended.assert_prints(&format!("SHUTDOWN by client 1 ({addr}): draining\n"));
}

#[test]
fn client_that_does_not_read_is_aborted_by_drain_timeout() {
    let server = start(&[
        "--workers",
        "1",
        "--drain-timeout-ms",
        "1000",
        "--pending-output-per-client",
        "0",
    ]);
    let _client = client_that_does_not_read(&server);
    server.signal("TERM");
    let ended = server.ended(PATIENCE);
    assert_eq!(ended.status.code(), Some(3));
    ended.assert_prints("stopped: drain-timeout-ms ran out; clients aborted: 1\n");
}

#[test]
fn sigint_while_draining_ends_at_once() {
    let server = start(&[
        "--workers",
        "1",
        "--drain-timeout-ms",
        "3600000",
        "--pending-output-per-client",
        "0",
    ]);
    let _client = client_that_does_not_read(&server);
    server.signal("TERM");
    server.wait_for_log("SIGTERM: draining\n");
    server.signal("TERM");
    server.signal("INT");
    let ended = server.ended(PATIENCE);
    assert_eq!(ended.status.code(), Some(1));
    ended.assert_prints("SIGINT while draining: stopping at once\n");
    assert_eq!(
        ended.stdout.matches("SIGTERM").count(),
        1,
        "{}",
        ended.stdout
    );
}

/// A client with replies pending that the server cannot send: every buffer between them is full.
fn client_that_does_not_read(server: &Respool) -> Peer {
    let (mut client, mut other) = (server.connect(), server.connect());
    client.send_until_stuck("PING\r\n".repeat(10_000).as_bytes(), &mut other);
    client
}
