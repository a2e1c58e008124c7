//! The counts of INFO: calls and errors, and CONFIG RESETSTAT.

use respool_testing::{TestServer, eventually};

/// A worker that is woken to lead is no client that waits.
#[test]
fn idle_server_has_no_queued_clients() {
    let server = TestServer::start(2);
    let mut peer = server.connect();
    for _ in 0..200 {
        assert_eq!(peer.info("clients", "queued_clients", ""), Some(0));
    }
}

#[test]
fn calls_are_counted_exactly_by_outcome() {
    const CLIENTS: u64 = 8;
    const ROUNDS: u64 = 50;

    let server = TestServer::start(4);
    let mut peers: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for _ in 0..ROUNDS {
        for peer in &mut peers {
            peer.send("PING\r\nPING\r\nPING x y\r\nECHO\r\nECHO x\r\nSELECT 77\r\nNONSENSE\r\n");
            peer.send("HELLO 9\r\nCLIENT NONSENSE\r\nCLIENT ID x\r\n");
        }
        for peer in &mut peers {
            for _ in 0..2 {
                peer.expect("+PONG\r\n");
            }
            for _ in 0..8 {
                peer.leaves();
            }
        }
    }
    let peer = &mut peers[0];
    let all = CLIENTS * ROUNDS;
    for (name, calls, rejected, failed) in [
        ("ping", 3 * all, 0, all),
        ("echo", all, all, 0),
        ("select", all, 0, all),
        ("hello", all, 0, all),
        ("client|id", 0, all, 0),
    ] {
        let field = format!("cmdstat_{name}");
        for (part, expected) in [
            ("calls=", calls),
            ("rejected_calls=", rejected),
            ("failed_calls=", failed),
        ] {
            let counted = peer.info("commandstats", &field, part);
            assert_eq!(counted, Some(expected), "{name} {part}");
        }
    }
    assert_eq!(
        peer.info("errorstats", "errorstat_ERR", "count="),
        Some(6 * all)
    );
    assert_eq!(
        peer.info("errorstats", "errorstat_NOPROTO", "count="),
        Some(all)
    );
    assert_eq!(peer.info("stats", "total_error_replies", ""), Some(7 * all));
    assert_eq!(peer.info("commandstats", "cmdstat_client", "calls="), None);
}

#[test]
fn unsent_error_is_counted() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.ask("CLIENT REPLY SKIP\r\nSELECT 77\r\nPING\r\n", "+PONG\r\n");
    peer.ask("CLIENT REPLY SKIP\r\nNONSENSE\r\nPING\r\n", "+PONG\r\n");
    assert_eq!(
        peer.info("commandstats", "cmdstat_select", "failed_calls="),
        Some(1)
    );
    assert_eq!(peer.info("errorstats", "errorstat_ERR", "count="), Some(2));
}

#[test]
fn counts_outlive_their_workers() {
    let server = TestServer::start(4);
    let mut peers: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for workers in [1, 4, 2, 3, 1] {
        for peer in &mut peers {
            peer.ask("ECHO x\r\n", "$1\r\nx\r\n");
        }
        let changed = format!("CONFIG SET workers {workers}");
        assert_eq!(peers[0].answer(&changed), "OK");
        eventually("there are so many", || server.handle.workers() == workers);
    }
    let counted = peers[0].info("commandstats", "cmdstat_echo", "calls=");
    assert_eq!(counted, Some(40));
}

#[test]
fn resetstat_zeroes_calls_errors_and_durations() {
    let server = TestServer::start(2);
    let mut peer = server.connect();
    peer.ping();
    peer.answers("SELECT 77");
    peer.answers("NONSENSE");
    assert_eq!(peer.answer("CONFIG RESETSTAT"), "OK");
    assert_eq!(peer.info("commandstats", "cmdstat_ping", "calls="), None);
    assert_eq!(peer.info("commandstats", "cmdstat_select", "calls="), None);
    peer.ask("INFO errorstats\r\n", "$14\r\n# Errorstats\r\n\r\n");
    assert!(peer.answers("LATENCY HISTOGRAM ping").is_empty());
    for count in 1..=3 {
        peer.answers("SELECT 77");
        let counted = peer.info("commandstats", "cmdstat_select", "failed_calls=");
        assert_eq!(counted, Some(count));
    }
    assert_eq!(peer.info("errorstats", "errorstat_ERR", "count="), Some(3));
}
