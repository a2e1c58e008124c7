//! What INFO shows of a program's own: its sections, keys and cluster.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use respool::Commands;
use respool_testing::{Peer, TestServer, builtin_and, config};

/// Returns the text of INFO.
fn info(peer: &mut Peer, sections: &str) -> String {
    peer.send(format!("INFO {sections}\r\n"));
    let header = peer.line();
    let length: usize = header[1..].parse().expect("a bulk");
    let text = peer.bytes(length + 2);
    String::from_utf8(text[..length].to_vec()).expect("text")
}

#[test]
fn own_sections_follow_those_of_respool() {
    let jobs = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&jobs);
    let commands = builtin_and(|commands| {
        commands
            .info_section("Cache", || [("replaced", "")])
            .info_section("Jobs", move || {
                [
                    ("queued", counted.load(Ordering::Relaxed).to_string()),
                    // A value from a client must not begin a line of its own.
                    ("last\r\nname", "a\r\nrole:slave\n".to_owned()),
                ]
            })
            .info_section("cache", || [("hits", 7)]);
    });
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    jobs.store(3, Ordering::Relaxed);
    let own = "# Jobs\r\nqueued:3\r\nlast  name:a  role:slave \r\n";
    assert_eq!(info(&mut peer, "jobs"), own);
    assert_eq!(
        info(&mut peer, "CACHE Jobs cluster"),
        format!("# Cluster\r\ncluster_enabled:0\r\n\r\n{own}\r\n# cache\r\nhits:7\r\n")
    );
    for sections in ["", "default", "all", "everything"] {
        let text = info(&mut peer, sections);
        let end = format!("# Keyspace\r\n\r\n{own}\r\n# cache\r\nhits:7\r\n");
        assert!(text.ends_with(&end), "{sections}: {text}");
    }
    assert!(!info(&mut peer, "server").contains("# Jobs"));
}

#[test]
fn names_of_sections_are_checked() {
    for name in [
        "", "My jobs", "A\r\nB", "keyspace", "Server", "ALL", "default",
    ] {
        let add = AssertUnwindSafe(|| {
            Commands::empty().info_section(name, || [("a", "b")]);
        });
        assert!(catch_unwind(add).is_err(), "{name:?}");
    }
}

#[test]
fn keyspace_is_in_info_and_dbsize() {
    let commands = builtin_and(|commands| {
        commands.keyspace(|| [(0, 1000, 10), (1, 0, 0), (3, 5, 0)]);
    });
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    assert_eq!(
        info(&mut peer, "keyspace"),
        "# Keyspace\r\ndb0:keys=1000,expires=10,avg_ttl=0\r\ndb3:keys=5,expires=0,avg_ttl=0\r\n"
    );
    peer.ask("DBSIZE\r\nSELECT 3\r\nDBSIZE\r\n", ":1000\r\n+OK\r\n:5\r\n");
    peer.ask("SELECT 1\r\nDBSIZE\r\n", "+OK\r\n:0\r\n");
}

#[test]
fn cluster_can_be_enabled() {
    let commands = builtin_and(|commands| {
        commands.set_cluster_enabled(true);
    });
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    assert_eq!(
        info(&mut peer, "cluster"),
        "# Cluster\r\ncluster_enabled:1\r\n"
    );
    assert!(info(&mut peer, "server").contains("\r\nredis_mode:cluster\r\n"));
    let hello = peer.answers("HELLO");
    assert_eq!(hello[8..10], ["mode", "cluster"]);
    let setting = peer.answers("CONFIG GET cluster-enabled");
    assert_eq!(setting, ["cluster-enabled", "yes"]);
}
