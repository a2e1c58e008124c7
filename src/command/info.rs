//! `INFO`: what there is to know of the server, in sections of lines.
//!
//! The fields are Redis's, and only those that are true here; monitors look for them by name.

use std::cell::OnceCell;
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::{env, fs, process};

use super::connection::REDIS_VERSION;
use super::is;
use crate::facts::register::flag;
use crate::facts::stats::{CommandTotals, Totals};
use crate::facts::{Facts, now_since_1970};
use crate::resp::{Replied, Reply, Request};
use crate::session::Session;

/// `INFO [section …]`: the sections that are named, or those that are short. An unknown one is
/// empty.
pub(super) fn info(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let wanted = |section: &Section| {
        let is_meant = |word: &[u8]| {
            is(word, section.name)
                || is(word, "all")
                || is(word, "everything")
                || (is(word, "default") && section.is_short)
        };
        match request.word_count() {
            1 => section.is_short,
            _ => request.arguments().any(is_meant),
        }
    };
    let mut text = String::new();
    let totals = OnceCell::new();
    for section in SECTIONS.iter().filter(|section| wanted(section)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let _ = write!(text, "# {}\r\n", section.name);
        let mut lines = Lines {
            text: &mut text,
            totals: &totals,
        };
        (section.write)(session.facts(), &mut lines);
    }
    reply.verbatim(text)
}

/// A part of the text.
struct Section {
    name: &'static str,
    /// Whether it is told unless others are named.
    is_short: bool,
    write: fn(&Facts, &mut Lines<'_>),
}

/// In Redis's order.
const SECTIONS: [Section; 12] = [
    short("Server", server),
    short("Clients", clients),
    short("Memory", memory),
    short("Persistence", persistence),
    short("Stats", stats),
    short("Replication", replication),
    short("CPU", cpu),
    long("Commandstats", commandstats),
    short("Errorstats", errorstats),
    long("Latencystats", latencystats),
    short("Cluster", cluster),
    short("Keyspace", |_, _| ()),
];

const fn short(name: &'static str, write: fn(&Facts, &mut Lines<'_>)) -> Section {
    Section {
        name,
        is_short: true,
        write,
    }
}

const fn long(name: &'static str, write: fn(&Facts, &mut Lines<'_>)) -> Section {
    Section {
        name,
        is_short: false,
        write,
    }
}

/// Lines of a section, as `field:value`.
struct Lines<'a> {
    text: &'a mut String,
    /// What all workers have done, once a section has asked for it.
    totals: &'a OnceCell<Totals>,
}

impl<'a> Lines<'a> {
    fn totals(&self, facts: &Facts) -> &'a Totals {
        self.totals.get_or_init(|| facts.stats.totals())
    }

    fn add(&mut self, field: &str, value: impl std::fmt::Display) {
        // Writing to a string does not fail.
        let _ = write!(self.text, "{field}:{value}\r\n");
    }
}

fn server(facts: &Facts, lines: &mut Lines<'_>) {
    let uptime_s = facts.started.elapsed().as_secs();
    lines.add("redis_version", REDIS_VERSION);
    lines.add("respool_version", env!("CARGO_PKG_VERSION"));
    lines.add("redis_mode", "standalone");
    lines.add("os", operating_system());
    lines.add("arch_bits", usize::BITS);
    lines.add("process_id", process::id());
    lines.add("process_supervised", "no");
    lines.add("run_id", &facts.run_id);
    lines.add("tcp_port", facts.port);
    lines.add("server_time_usec", now_since_1970().as_micros());
    lines.add("uptime_in_seconds", uptime_s);
    lines.add("uptime_in_days", uptime_s / (24 * 60 * 60));
    if let Ok(path) = env::current_exe() {
        lines.add("executable", path.display());
    }
    let config_file = facts.control().and_then(|control| control.config_file());
    lines.add("config_file", config_file.unwrap_or_default().display());
    let (workers, bind) = {
        let config = facts.config.lock();
        (config.worker_count(), config.bind.clone())
    };
    lines.add("workers", workers);
    let bind: Vec<_> = bind.iter().map(|addr| format!("bind={addr}")).collect();
    let (bind, port) = (bind.join(","), facts.port);
    lines.add("listener0", format_args!("name=tcp,{bind},port={port}"));
}

fn clients(facts: &Facts, lines: &mut Lines<'_>) {
    let (mut input_bytes, mut output_bytes) = (0, 0);
    let (mut paused, mut tracking, mut subscribed) = (0, 0, 0);
    for entry in facts.register.all() {
        input_bytes = input_bytes.max(entry.held_bytes());
        output_bytes = output_bytes.max(entry.owed_bytes() + entry.mail_bytes());
        paused += u32::from(entry.has(flag::PAUSED));
        tracking += u32::from(entry.has(flag::TRACKING));
        subscribed += u32::from(entry.has(flag::SUBSCRIBER));
    }
    lines.add("connected_clients", facts.clients.load(Ordering::Relaxed));
    lines.add("cluster_connections", 0);
    lines.add("maxclients", facts.config.lock().maxclients);
    lines.add("client_recent_max_input_buffer", input_bytes);
    lines.add("client_recent_max_output_buffer", output_bytes);
    lines.add("blocked_clients", paused);
    lines.add("tracking_clients", tracking);
    lines.add("pubsub_clients", subscribed);
    lines.add("clients_in_timeout_table", 0);
}

/// All of the process: what a client or a request takes of it is not counted apart.
fn memory(_: &Facts, lines: &mut Lines<'_>) {
    if let Some(bytes) = bytes_of_process("VmRSS:") {
        lines.add("used_memory", bytes);
        lines.add("used_memory_rss", bytes);
    }
    if let Some(bytes) = bytes_of_process("VmHWM:") {
        lines.add("used_memory_peak", bytes);
    }
    lines.add("maxmemory", 0);
    lines.add("maxmemory_policy", "noeviction");
}

fn persistence(_: &Facts, lines: &mut Lines<'_>) {
    lines.add("loading", 0);
    lines.add("async_loading", 0);
    lines.add("rdb_changes_since_last_save", 0);
    lines.add("rdb_bgsave_in_progress", 0);
    lines.add("aof_enabled", 0);
    lines.add("aof_rewrite_in_progress", 0);
}

fn stats(facts: &Facts, lines: &mut Lines<'_>) {
    let totals = lines.totals(facts);
    let rates = facts.rates();
    let (channels, patterns) = facts.channels.counts();
    lines.add("total_connections_received", facts.connections.get());
    lines.add("total_commands_processed", totals.calls());
    lines.add("instantaneous_ops_per_sec", rates.requests);
    lines.add("total_net_input_bytes", totals.bytes_read);
    lines.add("total_net_output_bytes", totals.bytes_sent);
    let kib = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    lines.add("instantaneous_input_kbps", kib(rates.bytes_read));
    lines.add("instantaneous_output_kbps", kib(rates.bytes_sent));
    lines.add("rejected_connections", facts.refused.get());
    let closes: Vec<_> = facts.closes().collect();
    let sum_of = |meant: &[&str]| -> u64 {
        let meant = closes.iter().filter(|(reason, _)| meant.contains(reason));
        meant.map(|(_, count)| count).sum()
    };
    // Where there are no keys, there can be none of some: monitors miss a field that lacks.
    lines.add("expired_keys", 0);
    lines.add("evicted_keys", 0);
    lines.add("evicted_clients", sum_of(&["evicted"]));
    lines.add("keyspace_hits", 0);
    lines.add("keyspace_misses", 0);
    lines.add("pubsub_channels", channels);
    lines.add("pubsub_patterns", patterns);
    lines.add("latest_fork_usec", 0);
    lines.add("total_forks", 0);
    lines.add("total_error_replies", totals.errors());
    lines.add("total_reads_processed", totals.reads);
    lines.add("total_writes_processed", totals.writes);
    lines.add(
        "client_query_buffer_limit_disconnections",
        sum_of(&["query_buffer_limit"]),
    );
    lines.add(
        "client_output_buffer_limit_disconnections",
        sum_of(&["slow_subscriber", "output_limit"]),
    );
    for (reason, count) in &closes {
        lines.add(&format!("closed_{reason}"), count);
    }
}

fn replication(_: &Facts, lines: &mut Lines<'_>) {
    lines.add("role", "master");
    lines.add("connected_slaves", 0);
    lines.add("master_repl_offset", 0);
}

/// Seconds of processor time that the process has used, where the system tells it in a file: fields
/// 14 and 15 of `proc_pid_stat(5)`.
fn cpu(_: &Facts, lines: &mut Lines<'_>) {
    let Ok(stat) = fs::read_to_string("/proc/self/stat") else {
        return;
    };
    // The second field is the program's name, which may hold anything, in parentheses.
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let mut ticks = behind_name.split_whitespace().skip(11);
    let mut seconds = || Some(ticks.next()?.parse::<f64>().ok()? / TICKS_PER_S);
    if let (Some(user), Some(system)) = (seconds(), seconds()) {
        lines.add("used_cpu_sys", format!("{system:.6}"));
        lines.add("used_cpu_user", format!("{user:.6}"));
    }
}

/// What Linux counts processor time in towards programs, on nearly every machine (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;

/// How often each command was called, and how long that took; where only some of the calls were
/// timed, the rest is taken to be like them.
fn commandstats(facts: &Facts, lines: &mut Lines<'_>) {
    for (name, totals) in used_commands(facts, lines.totals(facts)) {
        let micros = totals.micros_per_call();
        lines.add(
            &format!("cmdstat_{name}"),
            format_args!(
                "calls={},usec={:.0},usec_per_call={micros:.2},rejected_calls={},failed_calls={}",
                totals.calls,
                micros * totals.calls as f64,
                totals.rejected,
                totals.failed
            ),
        );
    }
}

fn errorstats(facts: &Facts, lines: &mut Lines<'_>) {
    for (code, count) in &lines.totals(facts).errors {
        lines.add(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

/// `latency-tracking-info-percentiles` of each command.
fn latencystats(facts: &Facts, lines: &mut Lines<'_>) {
    let percentiles = facts
        .config
        .lock()
        .latency_tracking_info_percentiles
        .clone();
    for (name, totals) in used_commands(facts, lines.totals(facts)) {
        let values: Vec<_> = percentiles
            .iter()
            .filter_map(|percentile| {
                let micros = totals.percentile(percentile.percent())?;
                Some(format!("p{percentile}={micros:.3}"))
            })
            .collect();
        if !values.is_empty() {
            let field = format!("latency_percentiles_usec_{name}");
            lines.add(&field, values.join(","));
        }
    }
}

/// The commands of which there is something to tell, by their full names.
pub(super) fn used_commands<'a>(
    facts: &'a Facts,
    totals: &'a Totals,
) -> impl Iterator<Item = (&'a str, &'a CommandTotals)> {
    facts.commands.all().filter_map(|command| {
        let totals = totals.commands.get(command.index())?;
        totals.is_used().then(|| (command.full_name(), totals))
    })
}

fn cluster(_: &Facts, lines: &mut Lines<'_>) {
    lines.add("cluster_enabled", 0);
}

/// The system's name, its release where it tells that in a file, and the kind of processor.
fn operating_system() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let words = [env::consts::OS, release.trim(), env::consts::ARCH];
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// A number of bytes that the system tells of the process in a file: `proc_pid_status(5)`.
fn bytes_of_process(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
