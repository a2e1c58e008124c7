//! `INFO`: what there is to know of the server, in sections of lines.
//!
//! The fields are Redis's, and only those that are true here; monitors look for them by name.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use super::connection::REDIS_VERSION;
use crate::facts::Facts;
use crate::resp::{Replied, Reply, Request};
use crate::session::Session;

/// `INFO [section …]`: all sections, or those that are named. An unknown one is empty.
pub(super) fn info(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let wanted = |name: &str| {
        let is_meant = |word: &[u8]| {
            word.eq_ignore_ascii_case(name.as_bytes())
                || EVERYTHING.iter().any(|all| word.eq_ignore_ascii_case(all))
        };
        request.word_count() == 1 || request.arguments().any(is_meant)
    };
    let mut text = String::new();
    for (name, write) in SECTIONS {
        if wanted(name) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            let _ = write!(text, "# {name}\r\n");
            write(session.facts(), &mut Lines(&mut text));
        }
    }
    reply.verbatim(text)
}

/// Words that mean every section.
const EVERYTHING: [&[u8]; 3] = [b"default", b"all", b"everything"];

type Section = (&'static str, fn(&Facts, &mut Lines<'_>));

const SECTIONS: [Section; 8] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("Cluster", cluster),
    ("Keyspace", |_, _| ()),
];

/// Lines of a section, as `field:value`.
struct Lines<'a>(&'a mut String);

impl Lines<'_> {
    fn add(&mut self, field: &str, value: impl std::fmt::Display) {
        // Writing to a string does not fail.
        let _ = write!(self.0, "{field}:{value}\r\n");
    }
}

fn server(facts: &Facts, lines: &mut Lines<'_>) {
    let uptime_s = facts.started.elapsed().as_secs();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    lines.add("redis_version", REDIS_VERSION);
    lines.add("respool_version", env!("CARGO_PKG_VERSION"));
    lines.add("redis_mode", "standalone");
    lines.add("os", std::env::consts::OS);
    lines.add("arch_bits", usize::BITS);
    lines.add("process_id", std::process::id());
    lines.add("run_id", &facts.run_id);
    lines.add("tcp_port", facts.port);
    lines.add("server_time_usec", now.as_micros());
    lines.add("uptime_in_seconds", uptime_s);
    lines.add("uptime_in_days", uptime_s / (24 * 60 * 60));
    lines.add("workers", facts.config.lock().worker_count());
}

fn clients(facts: &Facts, lines: &mut Lines<'_>) {
    lines.add("connected_clients", facts.clients.load(Ordering::Relaxed));
    lines.add("maxclients", facts.config.lock().maxclients);
    lines.add("blocked_clients", 0);
}

/// All of the process: what a client or a request takes of it is not counted apart.
fn memory(_: &Facts, lines: &mut Lines<'_>) {
    if let Some(bytes) = resident_bytes() {
        lines.add("used_memory", bytes);
        lines.add("used_memory_rss", bytes);
    }
}

fn persistence(_: &Facts, lines: &mut Lines<'_>) {
    lines.add("loading", 0);
    lines.add("rdb_bgsave_in_progress", 0);
    lines.add("aof_enabled", 0);
    lines.add("aof_rewrite_in_progress", 0);
}

fn stats(facts: &Facts, lines: &mut Lines<'_>) {
    let totals = facts.totals();
    lines.add(
        "total_connections_received",
        facts.connections_ever.load(Ordering::Relaxed),
    );
    lines.add("total_commands_processed", totals.requests);
    lines.add(
        "instantaneous_ops_per_sec",
        facts.requests_per_s.load(Ordering::Relaxed),
    );
    lines.add("total_net_input_bytes", totals.bytes_read);
    lines.add("total_net_output_bytes", totals.bytes_sent);
    lines.add(
        "rejected_connections",
        facts.refused_ever.load(Ordering::Relaxed),
    );
}

fn replication(_: &Facts, lines: &mut Lines<'_>) {
    lines.add("role", "master");
    lines.add("connected_slaves", 0);
}

fn cluster(_: &Facts, lines: &mut Lines<'_>) {
    lines.add("cluster_enabled", 0);
}

/// Bytes of memory that the process has in RAM, where the system tells it in a file: `VmRSS` of
/// `proc_pid_status(5)`.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
