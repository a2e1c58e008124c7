//! What `/metrics` shows.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use respool::Commands;
use respool_testing::http::get;
use respool_testing::{commands_with_gate, config, eventually};

use crate::Operated;

/// The names in the queries of `redis_exporter`'s dashboards, and those of its alerts that are not
/// about clusters.
const OF_DASHBOARDS: &[&str] = &[
    "redis_blocked_clients",
    "redis_commands_duration_seconds_total",
    "redis_commands_processed_total",
    "redis_commands_total",
    "redis_connected_clients",
    "redis_connected_slaves",
    "redis_db_keys",
    "redis_db_keys_expiring",
    "redis_evicted_keys_total",
    "redis_expired_keys_total",
    "redis_keyspace_hits_total",
    "redis_keyspace_misses_total",
    "redis_memory_max_bytes",
    "redis_memory_used_bytes",
    "redis_memory_used_rss_bytes",
    "redis_net_input_bytes_total",
    "redis_net_output_bytes_total",
    "redis_total_system_memory_bytes",
    "redis_up",
    "redis_uptime_in_seconds",
];

#[test]
fn names_of_dashboards_are_there() {
    let operated = Operated::start(1);
    operated.server.connect().ping();
    let answer = get(operated.http, "/metrics");
    let names: BTreeSet<_> = answer
        .body
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    for name in OF_DASHBOARDS {
        assert!(names.contains(name), "{name} is missing");
    }
}

#[test]
fn every_sample_follows_its_help_and_type() {
    let operated = Operated::start(1);
    let mut client = operated.server.connect();
    client.ping();
    client.answers("PING a b");
    let text = get(operated.http, "/metrics").body;
    let (mut family, mut kind) = ("", "");
    let mut families = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => {
                assert!(families.insert(name), "{name} is there twice");
                assert!(!help.is_empty(), "{line}");
                family = name;
            }
            ["#", "TYPE", name, of] => {
                assert_eq!(name, family);
                kind = of;
            }
            _ => {
                let name = line.split(['{', ' ']).next().expect("a name");
                let ends: &[&str] = match kind {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                let is_own = |end: &&str| name.strip_suffix(*end) == Some(family);
                assert!(ends.iter().any(is_own), "{line} in {family}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                let value = line.rsplit(' ').next().expect("a value");
                assert!(
                    value.parse::<f64>().is_ok_and(|value| value >= 0.0),
                    "{line}"
                );
            }
        }
    }
    assert!(families.len() > 40, "{}", families.len());
}

#[test]
fn counts_are_those_of_info() {
    let operated = Operated::start(1);
    let mut client = operated.server.connect();
    for _ in 0..3 {
        client.ping();
    }
    client.answers("PING a b");
    client.answers("ECHO");
    client.answers("NOTHING");
    let mut other = operated.server.connect();
    other.ping();
    other.end_sending();
    other.expect_end();
    eventually("the close is counted", || {
        client.count("closed_peer_left") == 1
    });
    let answer = get(operated.http, "/metrics");
    for (sample, value) in [
        ("redis_up", 1),
        ("redis_connected_clients", 1),
        ("redis_commands_total{cmd=\"ping\"}", 5),
        ("redis_commands_failed_calls_total{cmd=\"ping\"}", 1),
        ("redis_commands_rejected_calls_total{cmd=\"echo\"}", 1),
        ("redis_errors_total{err=\"ERR\"}", 3),
        ("redis_connections_received_total", 2),
        ("respool_closes_total{reason=\"peer_left\"}", 1),
        ("respool_closes_total{reason=\"drained\"}", 0),
        ("respool_queue_length", 0),
        ("redis_db_keys{db=\"db0\"}", 0),
        ("respool_live", 1),
        ("respool_ready", 1),
    ] {
        assert_eq!(answer.sample::<u64>(sample), value, "{sample}");
    }
    let addr = operated.server.addr;
    let queue = format!("respool_accept_queue_length{{listener=\"{addr}\"}}");
    assert_eq!(answer.sample::<u64>(&queue), 0);
    let limit = format!("respool_accept_queue_limit{{listener=\"{addr}\"}}");
    assert!(answer.sample::<u64>(&limit) > 0);
    let port = addr.port();
    assert!(answer.body.contains(&format!("tcp_port=\"{port}\"")));
    let workers = ["busy", "following", "leading"]
        .map(|state| answer.sample::<u64>(&format!("respool_workers{{state=\"{state}\"}}")));
    assert_eq!(workers.iter().sum::<u64>(), 1);
}

#[test]
fn histograms_have_the_same_limits_and_all_calls() {
    let operated = Operated::start(1);
    let mut client = operated.server.connect();
    let name = "respool_command_duration_seconds";
    let limits = || {
        let answer = get(operated.http, "/metrics");
        let start = format!("{name}_bucket{{cmd=\"ping\",le=\"");
        let lines = answer
            .body
            .lines()
            .filter_map(|line| line.strip_prefix(&start));
        let buckets = lines.map(|line| {
            let (limit, count) = line.split_once("\"} ").expect(line);
            (limit.to_owned(), count.parse::<u64>().expect(line))
        });
        let (limits, counts): (Vec<_>, Vec<_>) = buckets.unzip();
        assert!(counts.is_sorted(), "{counts:?}");
        let calls: u64 = answer.sample("redis_commands_total{cmd=\"ping\"}");
        assert_eq!(counts.last(), Some(&calls));
        assert_eq!(
            answer.sample::<u64>(&format!("{name}_count{{cmd=\"ping\"}}")),
            calls
        );
        limits
    };
    let ping = |client: &mut respool_testing::Peer, count: usize| {
        client.send("PING\r\n".repeat(count));
        client.expect("+PONG\r\n".repeat(count));
    };
    ping(&mut client, 500);
    let before = limits();
    assert_eq!(before.last().map(String::as_str), Some("+Inf"));
    ping(&mut client, 1000);
    assert_eq!(limits(), before);
}

#[test]
fn queue_wait_of_a_delayed_client_is_shown() {
    let (commands, gate) = commands_with_gate();
    let operated = Operated::with(config(1), commands);
    let longer_than_half_a_second = || {
        let answer = get(operated.http, "/metrics");
        let up_to = |limit: &str| -> u64 {
            let sample = format!("respool_queue_wait_seconds_bucket{{le=\"{limit}\"}}");
            answer.sample(&sample)
        };
        let count: u64 = answer.sample("respool_queue_wait_seconds_count");
        assert_eq!(up_to("+Inf"), count);
        let seconds: f64 = answer.sample("respool_queue_wait_seconds_sum");
        (count - up_to("0.536870912"), seconds)
    };
    let mut busy = operated.server.connect();
    let mut delayed = operated.server.connect();
    busy.ping();
    delayed.ping();
    assert_eq!(longer_than_half_a_second().0, 0);
    busy.send("GATE\r\n");
    gate.wait_for_start();
    let since = Instant::now();
    delayed.send("PING\r\n");
    eventually("the client has waited for long enough", || {
        since.elapsed() > Duration::from_millis(600)
    });
    gate.let_one_through();
    delayed.expect("+PONG\r\n");
    busy.expect("+OPEN\r\n");
    let (count, seconds) = longer_than_half_a_second();
    assert!(count >= 1 && seconds > 0.5, "{count} waits, {seconds} s");
}

#[test]
fn no_client_is_named() {
    let operated = Operated::start(1);
    let mut client = operated.server.connect();
    client.ask("CLIENT SETNAME secret-name\r\n", "+OK\r\n");
    let answer = get(operated.http, "/metrics");
    assert!(!answer.body.contains("secret-name"));
    let port = client.local_addr().port();
    assert!(!answer.body.contains(&format!(":{port}\"")));
}

#[test]
fn keys_of_the_program_are_counted() {
    let mut commands = Commands::builtin();
    commands.keyspace(|| [(0, 1000, 10), (3, 5, 0)]);
    let operated = Operated::with(config(1), commands);
    let answer = get(operated.http, "/metrics");
    for (sample, expected) in [
        ("redis_db_keys{db=\"db0\"}", 1000),
        ("redis_db_keys{db=\"db3\"}", 5),
        ("redis_db_keys_expiring{db=\"db0\"}", 10),
        ("redis_db_keys_expiring{db=\"db3\"}", 0),
    ] {
        assert_eq!(answer.sample::<u64>(sample), expected, "{sample}");
    }
    // A panic of the program's is not the end of the listener.
    let mut commands = Commands::builtin();
    commands.keyspace(|| -> Vec<(u8, u64, u64)> { panic!("on purpose") });
    let operated = Operated::with(config(1), commands);
    for _ in 0..20 {
        let answer = get(operated.http, "/metrics");
        assert_eq!(answer.sample::<u64>("redis_db_keys{db=\"db0\"}"), 0);
    }
}
