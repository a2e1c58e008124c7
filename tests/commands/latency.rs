//! LATENCY, and the percentiles of INFO.

use std::time::Duration;

use respool::{Commands, Config};
use respool_testing::{Peer, TestServer, commands_with_gate, config, request};

use crate::{SLOW, run_slowly};

#[test]
fn latency_records_slow_handlers_above_the_threshold() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    run_slowly(&mut peer, &gate, "GATE", SLOW);
    peer.ask("LATENCY LATEST\r\n", "*0\r\n");
    assert_eq!(peer.answer("CONFIG SET latency-monitor-threshold 10"), "OK");
    run_slowly(&mut peer, &gate, "GATE", Duration::from_millis(40));
    run_slowly(&mut peer, &gate, "GATE", SLOW);
    let latest = peer.answers("LATENCY LATEST");
    assert_eq!((latest.len(), &*latest[0]), (4, "command"));
    let number = |word: &String| -> u64 { word.parse().expect(word) };
    // Of two samples in a second, the longer is kept.
    assert!((12..30_000).contains(&number(&latest[2])), "{latest:?}");
    assert!((40..30_000).contains(&number(&latest[3])), "{latest:?}");
    let history: Vec<_> = peer
        .answers("LATENCY HISTORY command")
        .iter()
        .map(number)
        .collect();
    assert_eq!(history.len() % 2, 0);
    assert_eq!(
        history[history.len() - 2..],
        [number(&latest[1]), number(&latest[2])]
    );
    let longest = history.chunks(2).map(|spike| spike[1]).max();
    assert_eq!(longest, Some(number(&latest[3])));
    peer.ask("LATENCY HISTORY fast-command\r\n", "*0\r\n");
    peer.ask("LATENCY RESET fast-command nonsense\r\n", ":0\r\n");
    peer.ask("LATENCY RESET Command\r\n", ":1\r\n");
    peer.ask("LATENCY LATEST\r\nLATENCY RESET\r\n", "*0\r\n:0\r\n");
    assert_eq!(
        peer.answer("CONFIG SET latency-monitor-threshold 1000000"),
        "OK"
    );
    run_slowly(&mut peer, &gate, "GATE", SLOW);
    peer.ask("LATENCY LATEST\r\n", "*0\r\n");
}

#[test]
fn histogram_counts_each_call_by_duration() {
    let (commands, gate) = commands_with_gate();
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    for _ in 0..3 {
        run_slowly(&mut peer, &gate, "GATE", SLOW);
    }
    let leaves = peer.answers("LATENCY HISTOGRAM gate");
    assert_eq!(leaves[..4], ["gate", "calls", "3", "histogram_usec"]);
    let points: Vec<u64> = leaves[4..]
        .iter()
        .map(|leaf| leaf.parse().expect(leaf))
        .collect();
    // The first bucket is at 12 ms or more; the last has all calls.
    assert!(points[0] >= 12_000, "{points:?}");
    assert_eq!(points.last(), Some(&3));
    assert!(points.chunks(2).is_sorted(), "{points:?}");
    peer.answers("CLIENT GETNAME");
    peer.answers("CLIENT ID");
    let names = peer.answers("LATENCY HISTOGRAM client");
    assert!(names.contains(&"client|id".into()) && names.contains(&"client|getname".into()));
    assert!(!names.contains(&"gate".into()));
    assert!(peer.answers("LATENCY HISTOGRAM nonsense").is_empty());
    let all = peer.answers("LATENCY HISTOGRAM");
    assert!(all.contains(&"gate".into()) && all.contains(&"client|id".into()));
    // One call in 67 of a fast command is timed; all are counted.
    peer.ask("PING\r\n".repeat(100), "+PONG\r\n".repeat(100));
    assert_eq!(peer.answers("LATENCY HISTOGRAM ping")[2], "100");
    assert_eq!(
        peer.answers("LATENCY HISTOGRAM ping")
            .last()
            .map(String::as_str),
        Some("100")
    );
}

#[test]
fn latency_tracking_off_keeps_no_durations() {
    let untracked = Config {
        latency_tracking: false,
        ..config(1)
    };
    let server = TestServer::with(untracked, Commands::builtin());
    let mut peer = server.connect();
    peer.ping();
    peer.answers("CLIENT ID");
    assert!(peer.answers("LATENCY HISTOGRAM").is_empty());
    peer.ask("INFO latencystats\r\n", "$16\r\n# Latencystats\r\n\r\n");
    // Calls are still counted.
    assert_eq!(
        peer.info("commandstats", "cmdstat_client|id", "calls="),
        Some(1)
    );
    assert_eq!(peer.answer("CONFIG SET latency-tracking yes"), "OK");
    peer.answers("CLIENT ID");
    assert!(
        peer.answers("LATENCY HISTOGRAM")
            .contains(&"client|id".into())
    );
    assert!(
        peer.answer("INFO latencystats")
            .contains("latency_percentiles_usec_client|id:p50=")
    );
}

#[test]
fn info_shows_the_configured_percentiles() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.ping();
    let line = |peer: &mut Peer| {
        let text = peer.answer("INFO latencystats");
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix("latency_percentiles_usec_ping:"));
        let names = line
            .expect(&text)
            .split(',')
            .map(|pair| pair.split('=').next());
        names.flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line(&mut peer), ["p50", "p99", "p99.9"]);
    assert_eq!(
        peer.answer("CONFIG SET latency-tracking-info-percentiles \"1 100\""),
        "OK"
    );
    assert_eq!(line(&mut peer), ["p1", "p100"]);
}

#[test]
fn histogram_bounds_its_names() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let words = |count: usize| {
        let mut words = vec![&b"LATENCY"[..], b"HISTOGRAM"];
        words.extend(vec![&b"no"[..]; count]);
        request(&words)
    };
    peer.ask(words(1024), "*0\r\n");
    peer.ask(
        words(1025),
        "-ERR too many command names, at most 1024 at once\r\n",
    );
}
