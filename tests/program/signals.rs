//! SIGTERM, SIGINT and SHUTDOWN.

use std::net::Ipv4Addr;

use respool_testing::Peer;

use crate::Server;

#[test]
fn sigterm_and_sigint_drain_and_end_with_success() {
    for (signal, name) in [("TERM", "SIGTERM"), ("INT", "SIGINT")] {
        let mut server = Server::start(&[]);
        server.signal(signal);
        assert_eq!(server.exit().code(), Some(0));
        let log = server.log();
        let drain = log.find(&format!("{name}: draining\n")).expect(&log);
        let stop = log.find("stopped: every reply was sent\n").expect(&log);
        assert!(drain < stop, "{log}");
    }
}

#[test]
fn shutdown_says_which_client_asked_for_it() {
    let mut server = Server::start(&[]);
    let mut peer = Peer::connect((Ipv4Addr::LOCALHOST, server.port()).into());
    let addr = peer.socket.local_addr().unwrap();
    peer.send("SHUTDOWN\r\n");
    assert_eq!(server.exit().code(), Some(0));
    server.wait_for(&format!("SHUTDOWN by client 1 ({addr}): draining\n"));
}

#[test]
fn a_client_that_does_not_read_is_cut_when_the_drain_runs_out_of_time() {
    let mut server = Server::start(&[
        "--workers",
        "1",
        "--drain-timeout-ms",
        "100",
        "--pending-output-per-client",
        "0",
    ]);
    let _client = client_that_does_not_read(server.port());
    server.signal("TERM");
    assert_eq!(server.exit().code(), Some(3));
    server.wait_for("stopped: drain-timeout-ms ran out; clients aborted: 1\n");
}

#[test]
fn while_draining_a_second_sigterm_changes_nothing_and_sigint_ends_at_once() {
    let mut server = Server::start(&[
        "--workers",
        "1",
        "--drain-timeout-ms",
        "3600000",
        "--pending-output-per-client",
        "0",
    ]);
    let _client = client_that_does_not_read(server.port());
    server.signal("TERM");
    server.wait_for("SIGTERM: draining\n");
    server.signal("TERM");
    server.signal("INT");
    assert_eq!(server.exit().code(), Some(1));
    server.wait_for("SIGINT while draining: stopping at once\n");
    assert_eq!(
        server.log().matches("SIGTERM").count(),
        1,
        "{}",
        server.log()
    );
}

/// A client whose requests and replies have filled every buffer between it and the server, so that
/// the server has replies for it that it cannot send.
fn client_that_does_not_read(port: u16) -> Peer {
    let addr = (Ipv4Addr::LOCALHOST, port).into();
    let (mut client, mut other) = (Peer::connect(addr), Peer::connect(addr));
    client.send_until_stuck("PING\r\n".repeat(10_000).as_bytes(), &mut other);
    client
}
