//! The metrics with `redis_exporter`'s names.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::atomic::Ordering;

use super::scrape::Scrape;
use super::text::{Kind, Text};
use crate::state::stats::{CommandCounts, Counts};
use crate::state::{REDIS_VERSION, ServerState};
use crate::{memory, system};

pub(super) fn write(scrape: &Scrape<'_>, text: &mut Text) {
    text.gauge("redis_up", "Always 1: the server itself answers.", 1);
    instance(scrape, text);
    clients(scrape, text);
    memory(scrape.state, text);
    processor_time(text);
    traffic(scrape, text);
    keys(scrape.state, text);
    commands(scrape, text);
    errors(scrape.totals, text);
}

fn instance(scrape: &Scrape<'_>, text: &mut Text) {
    let state = scrape.state;
    text.gauge(
        "redis_uptime_in_seconds",
        "Seconds since the server was started.",
        state.started.elapsed().as_secs(),
    );
    text.gauge(
        "redis_start_time_seconds",
        "Time of the start, in seconds since 1970.",
        scrape.started_s,
    );
    let name = "redis_instance_info";
    text.family(name, Kind::Gauge, "What this server is, in labels.");
    let labels = [
        ("role", "master"),
        ("redis_version", REDIS_VERSION),
        ("redis_mode", state.catalog.own_info.mode()),
        ("respool_version", env!("CARGO_PKG_VERSION")),
        ("os", &system::name()),
        ("maxmemory_policy", &state.inert.named("maxmemory-policy")),
        ("tcp_port", &state.port.to_string()),
        ("run_id", &state.run_id),
        ("process_id", &process::id().to_string()),
        ("master_replid", &state.replication_id),
    ];
    text.sample(name, &labels, 1);
}

fn clients(scrape: &Scrape<'_>, text: &mut Text) {
    let state = scrape.state;
    let summary = state.clients.summary();
    let connected = state.client_count.load(Ordering::Relaxed);
    let (channels, patterns) = state.channels.counts();
    for (name, help, value) in [
        (
            "connected_clients",
            "Clients that are connected.",
            connected,
        ),
        (
            "max_clients",
            "Clients that may be connected: `maxclients`.",
            scrape.settings.maxclients,
        ),
        (
            "blocked_clients",
            "Clients that wait for a deferred reply, or that CLIENT PAUSE holds up.",
            summary.paused + state.deferrals.waiting(),
        ),
        (
            "tracking_clients",
            "Clients that have CLIENT TRACKING on.",
            summary.tracking,
        ),
        (
            "pubsub_clients",
            "Clients that are subscribed to a channel or pattern.",
            summary.subscribed,
        ),
        (
            "client_recent_max_input_buffer_bytes",
            "The most bytes that a client has of an incomplete request.",
            summary.input_bytes_max,
        ),
        (
            "client_recent_max_output_buffer_bytes",
            "The most bytes that wait to be sent to a client.",
            summary.output_bytes_max,
        ),
        (
            "pubsub_channels",
            "Channels that have a subscriber.",
            channels,
        ),
        (
            "pubsub_patterns",
            "Patterns that have a subscriber.",
            patterns,
        ),
        ("connected_slaves", "Replicas: none.", 0),
        (
            "slowlog_length",
            "Records in the slow log.",
            state.slowlog.len(),
        ),
    ] {
        text.gauge(&format!("redis_{name}"), help, value);
    }
}

fn memory(state: &ServerState, text: &mut Text) {
    if let Some((resident, peak)) = memory::usage() {
        text.gauge(
            "redis_memory_used_bytes",
            "Memory of the process: its resident memory.",
            resident,
        );
        text.gauge(
            "redis_memory_used_rss_bytes",
            "Resident memory of the process.",
            resident,
        );
        text.gauge(
            "redis_memory_used_peak_bytes",
            "The most resident memory that the process has had.",
            peak,
        );
        text.gauge(
            "redis_mem_fragmentation_ratio",
            "Always 1: the memory in use is the resident memory.",
            1,
        );
    }
    if let Some(bytes) = memory::machine_bytes() {
        text.gauge(
            "redis_total_system_memory_bytes",
            "Memory of the machine.",
            bytes,
        );
    }
    let maxmemory: u64 = state.inert.named("maxmemory").parse().unwrap_or_default();
    text.gauge(
        "redis_memory_max_bytes",
        "The directive `maxmemory`, which has no effect; 0 if it is not set.",
        maxmemory,
    );
}

fn processor_time(text: &mut Text) {
    let Some(times) = system::processor_times() else {
        return;
    };
    for (name, help, seconds) in [
        ("sys", "in the kernel", times.system),
        ("user", "outside the kernel", times.user),
        (
            "sys_children",
            "in the kernel, of ended child processes",
            times.children_system,
        ),
        (
            "user_children",
            "outside the kernel, of ended child processes",
            times.children_user,
        ),
    ] {
        text.counter(
            &format!("redis_cpu_{name}_seconds_total"),
            &format!("Processor time {help}."),
            seconds,
        );
    }
}

fn traffic(scrape: &Scrape<'_>, text: &mut Text) {
    let Scrape { state, totals, .. } = scrape;
    for (name, help, value) in [
        (
            "connections_received",
            "Connections accepted, including the refused ones.",
            state.connections.get(),
        ),
        (
            "rejected_connections",
            "Connections refused.",
            state.refused.get(),
        ),
        (
            "commands_processed",
            "Requests that a handler answered.",
            totals.calls(),
        ),
        (
            "net_input_bytes",
            "Bytes received from clients.",
            totals.bytes_read.get(),
        ),
        (
            "net_output_bytes",
            "Bytes sent to clients.",
            totals.bytes_sent.get(),
        ),
        (
            "evicted_clients",
            "Clients closed because of `maxmemory-clients`.",
            state.closes.sum_of(&["evicted"]),
        ),
    ] {
        text.counter(&format!("redis_{name}_total"), help, value);
    }
}

/// The keys as the program counts them.
fn keys(state: &ServerState, text: &mut Text) {
    for (name, help) in [
        ("keyspace_hits", "Keys that were found: none."),
        ("keyspace_misses", "Keys that were not found: none."),
        ("expired_keys", "Keys that expired: none."),
        ("evicted_keys", "Keys that were evicted: none."),
    ] {
        text.counter(&format!("redis_{name}_total"), help, 0);
    }
    // A panic of the program's would end the listener's thread if it came again and again.
    let count = AssertUnwindSafe(|| state.catalog.own_info.databases());
    let mut databases = catch_unwind(count).unwrap_or_default();
    if databases.is_empty() {
        databases.push((0, 0, 0));
    }
    let keys = databases.iter().map(|&(index, keys, _)| (index, keys));
    per_database(text, "redis_db_keys", "Keys of each database.", keys);
    let expiring = databases.iter().map(|&(index, _, count)| (index, count));
    let (name, help) = ("redis_db_keys_expiring", "Keys that expire.");
    per_database(text, name, help, expiring);
}

fn per_database(text: &mut Text, name: &str, help: &str, counts: impl Iterator<Item = (u8, u64)>) {
    text.family(name, Kind::Gauge, help);
    for (index, count) in counts {
        text.sample(name, &[("db", &format!("db{index}"))], count);
    }
}

/// Reads a count of a command.
type Count = fn(&CommandCounts) -> u64;

/// Writes the counts of each command that was used.
fn commands(scrape: &Scrape<'_>, text: &mut Text) {
    let used: Vec<_> = scrape.state.used_commands(scrape.totals).collect();
    let families: [(&str, &str, Count); 3] = [
        (
            "redis_commands_total",
            "Requests that the handler of the command answered.",
            |counts| counts.calls.get(),
        ),
        (
            "redis_commands_rejected_calls_total",
            "Requests refused before the handler, such as those with a wrong number of arguments.",
            |counts| counts.rejected.get(),
        ),
        (
            "redis_commands_failed_calls_total",
            "Requests that the handler answered with an error.",
            |counts| counts.failed.get(),
        ),
    ];
    for (name, help, count) in families {
        text.family(name, Kind::Counter, help);
        for (command, counts) in &used {
            text.sample(name, &[("cmd", command)], count(counts));
        }
    }
    let name = "redis_commands_duration_seconds_total";
    let help = "Time that the handlers took, scaled up if only some calls were timed.";
    text.family(name, Kind::Counter, help);
    for (command, _) in &used {
        let seconds = scrape
            .durations
            .of(command)
            .map_or(0.0, |shown| shown.seconds);
        text.sample(name, &[("cmd", command)], seconds);
    }
}

fn errors(totals: &Counts, text: &mut Text) {
    let name = "redis_errors_total";
    text.family(name, Kind::Counter, "Error replies by their first word.");
    for (code, count) in &*totals.errors.lock() {
        text.sample(name, &[("err", code)], count);
    }
}
