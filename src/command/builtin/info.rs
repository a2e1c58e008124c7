//! `INFO`: the state of the server, in sections of lines.
//!
//! The fields are Redis's, in its order, and only those that are true here. There are no replicas,
//! forks or scripts, so their counts are 0. Keys are counted by the program. Fields of respool's
//! own are `respool_version`, `workers`, `workers_following`, `workers_leading`, `queued_clients`,
//! `queue_waits`, `queue_wait_usec` and `closed_*`. After these sections come those of the program.
//!
//! These fields of 7.0.15 are left out, because no value would be true: how Redis was built
//! (`redis_git_*`, `redis_build_id`, `atomicvar_api`, `gcc_version`); parts of the memory
//! (`used_memory_overhead`, `_startup`, `_dataset`, `_vm_*`, `mem_clients_normal`), because only
//! the whole process is measured; jemalloc's figures (`allocator_*`, `rss_overhead_*`);
//! `tracking_total_prefixes`, which each client keeps for itself; `reply_buffer_*`, because no
//! client has a buffer of its own; `used_cpu_*_main_thread`, because there is no main thread; the
//! section Modules.

use std::cell::LazyCell;
use std::fmt::{Display, Write};
use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::{env, process};

use super::common::is;
use crate::client::session::Session;
use crate::command::Commands;
use crate::config::{BindAddress, Config};
use crate::resp::{Replied, Reply, Request};
use crate::state::own_info::Section;
use crate::state::stats::Counts;
use crate::state::{REDIS_VERSION, ServerState};
use crate::time::now_since_1970;
use crate::{memory, system};

/// The program's own data in `INFO`.
impl Commands {
    /// Adds a section to `INFO`, or replaces the one of the same name. It comes after respool's
    /// own, and clients get it by its name and by default. `fields` returns the name and the value
    /// of each line, and is called for each such `INFO`, on the worker of the client that asks. In a
    /// transaction, that is within the guard that the program holds: see
    /// [`Commands::transactions`].
    ///
    /// A line end in a name or value becomes a space.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use respool::Commands;
    ///
    /// let jobs = Arc::new(AtomicU64::new(0));
    /// let mut commands = Commands::builtin();
    /// commands.info_section("Jobs", move || [("jobs_queued", jobs.load(Ordering::Relaxed))]);
    /// ```
    ///
    /// # Panics
    ///
    /// If the name is empty, contains a byte that is not visible ASCII, or is that of one of
    /// respool's own sections or `all`, `everything` or `default`.
    #[track_caller]
    pub fn info_section<F, N, V>(
        &mut self,
        name: &str,
        fields: impl Fn() -> F + Send + Sync + 'static,
    ) -> &mut Self
    where
        F: IntoIterator<Item = (N, V)>,
        N: Display,
        V: Display,
    {
        let own = SECTIONS.iter().map(|(name, ..)| *name);
        let mut reserved = own.chain(["all", "everything", "default"]);
        assert!(
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_graphic())
                && !reserved.any(|other| is(name.as_bytes(), other)),
            "a section's name is visible ASCII characters, none of respool's own, and not {name:?}"
        );
        let line = |(name, value): (N, V)| (one_line(&name), one_line(&value));
        let section = Section {
            name: name.into(),
            fields: Box::new(move || fields().into_iter().map(line).collect()),
        };
        let sections = &mut self.own_info.sections;
        sections.retain(|other| !other.name.eq_ignore_ascii_case(name));
        sections.push(section);
        self
    }

    /// Sets the function that counts the program's keys, for `INFO`, `DBSIZE` and the metric
    /// `redis_db_keys`. It returns three numbers for each database that has keys: the database's
    /// own, that of its keys, and that of those that expire.
    ///
    /// It is called each time that one of these is asked for, also on the thread of the operations
    /// listener. So it should be short, and wait for no lock that is held for long. In a
    /// transaction, it is called within the guard that the program holds: see
    /// [`Commands::transactions`].
    ///
    /// ```
    /// use respool::Commands;
    ///
    /// let mut commands = Commands::builtin();
    /// commands.keyspace(|| [(0, 1_000, 10)]);
    /// ```
    pub fn keyspace<D: IntoIterator<Item = (u8, u64, u64)>>(
        &mut self,
        count: impl Fn() -> D + Send + Sync + 'static,
    ) -> &mut Self {
        self.own_info.keyspace = Some(Box::new(move || count().into_iter().collect()));
        self
    }

    /// Sets whether the server calls itself a node of a cluster: in `INFO`, in the reply to `HELLO`
    /// and as `cluster-enabled`. False by default. The program then replaces the command `CLUSTER`,
    /// and answers `MOVED` for keys of other nodes: respool does neither.
    pub fn set_cluster_enabled(&mut self, is_enabled: bool) -> &mut Self {
        self.own_info.is_cluster = is_enabled;
        self
    }
}

/// Returns the text of `value`, with a space for each byte of a line end.
fn one_line(value: &impl Display) -> String {
    value.to_string().replace(['\r', '\n'], " ")
}

/// `INFO [section …]`: these sections, or by default the short ones. An unknown section is empty.
pub(super) fn info(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let is_wanted = |name: &str, is_short: bool| {
        let is_named = |word: &[u8]| {
            is(word, name)
                || is(word, "all")
                || is(word, "everything")
                || (is(word, "default") && is_short)
        };
        match request.word_count() {
            1 => is_short,
            _ => request.arguments().any(is_named),
        }
    };
    let state = session.server_state();
    let mut lines = Lines {
        text: String::new(),
        totals: &LazyCell::new(|| state.stats.totals()),
    };
    for (name, is_short, write) in SECTIONS {
        if !is_wanted(name, is_short) {
            continue;
        }
        lines.begin(name);
        write(state, &mut lines);
    }
    for section in &state.catalog.own_info.sections {
        if is_wanted(&section.name, true) {
            lines.begin(&section.name);
            for (field, value) in (section.fields)() {
                lines.add(&field, value);
            }
        }
    }
    reply.verbatim(lines.text)
}

/// Writes the lines of a section.
type WriteSection = fn(&ServerState, &mut Lines<'_>);

/// The sections in Redis's order, and whether `INFO` without arguments has them.
const SECTIONS: [(&str, bool, WriteSection); 12] = [
    ("Server", true, server),
    ("Clients", true, clients),
    ("Memory", true, memory),
    ("Persistence", true, persistence),
    ("Stats", true, stats),
    ("Replication", true, replication),
    ("CPU", true, cpu),
    ("Commandstats", false, commandstats),
    ("Errorstats", true, errorstats),
    ("Latencystats", false, latencystats),
    ("Cluster", true, cluster),
    ("Keyspace", true, keyspace),
];

/// Returns `bytes` in a readable unit, as Redis writes it.
fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "K", "M", "G", "T"] {
        if value < 1024.0 {
            return if unit == "B" {
                format!("{bytes}B")
            } else {
                format!("{value:.2}{unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.2}P")
}

/// Lines of the sections, as `field:value`.
struct Lines<'a> {
    text: String,
    /// The sums over all workers, added up for the first section that needs them.
    totals: &'a dyn Deref<Target = Counts>,
}

impl Lines<'_> {
    /// Begins a section.
    fn begin(&mut self, name: &str) {
        let blank = if self.text.is_empty() { "" } else { "\r\n" };
        let _ = write!(self.text, "{blank}# {name}\r\n");
    }

    fn add(&mut self, field: &str, value: impl Display) {
        // Writing to a string does not fail.
        let _ = write!(self.text, "{field}:{value}\r\n");
    }

    /// Adds fields whose values never change here, separated by spaces: `field:value`, or `field`
    /// for 0.
    fn constants(&mut self, fields: &str) {
        for field in fields.split_whitespace() {
            let (field, value) = field.split_once(':').unwrap_or((field, "0"));
            self.add(field, value);
        }
    }

    /// Adds a number of bytes, in bytes and in a readable unit.
    fn memory(&mut self, field: &str, bytes: u64) {
        self.add(field, bytes);
        self.add(&format!("{field}_human"), human(bytes));
    }
}

fn server(state: &ServerState, lines: &mut Lines<'_>) {
    let uptime_s = state.started.elapsed().as_secs();
    let now = now_since_1970();
    lines.add("redis_version", REDIS_VERSION);
    lines.add("respool_version", env!("CARGO_PKG_VERSION"));
    lines.add("redis_mode", state.catalog.own_info.mode());
    lines.add("os", system::name());
    lines.add("arch_bits", usize::BITS);
    lines.add("monotonic_clock", "POSIX clock_gettime");
    let is_linux = cfg!(target_os = "linux");
    let multiplexing = if is_linux { "epoll" } else { "kqueue" };
    lines.add("multiplexing_api", multiplexing);
    lines.add("process_id", process::id());
    let supervisor = state.control().and_then(|control| control.supervisor());
    lines.add("process_supervised", supervisor.unwrap_or("no"));
    lines.add("run_id", &state.run_id);
    lines.add("tcp_port", state.port);
    lines.add("server_time_usec", now.as_micros());
    lines.add("uptime_in_seconds", uptime_s);
    lines.add("uptime_in_days", uptime_s / (24 * 60 * 60));
    let hz = state.inert.named("hz");
    lines.add("hz", &hz);
    lines.add("configured_hz", &hz);
    lines.add("lru_clock", now.as_secs() % LRU_CLOCK_TICKS);
    if let Ok(path) = env::current_exe() {
        lines.add("executable", path.display());
    }
    let config_file = state.control().and_then(|control| control.config_file());
    lines.add("config_file", config_file.unwrap_or_default().display());
    lines.constants("io_threads_active");
    let drain_ends = state.control().and_then(|control| control.drain_ends_in());
    if let Some(left) = drain_ends {
        lines.add("shutdown_in_milliseconds", left.as_millis());
    }
    pool(state, lines);
}

/// Adds the fields of Server about workers and listeners.
fn pool(state: &ServerState, lines: &mut Lines<'_>) {
    let (workers, listeners) = {
        let config = state.config.lock();
        (config.worker_count(), listeners(&config, state.port))
    };
    let pool = state.pool_snapshot();
    lines.add("workers", workers);
    lines.add("workers_following", pool.followers);
    lines.add("workers_leading", u8::from(pool.has_leader));
    let given = state.given_listeners.get().cloned();
    let listeners = given.unwrap_or(listeners);
    for (index, listener) in listeners.into_iter().enumerate() {
        lines.add(&format!("listener{index}"), listener);
    }
}

/// Returns the values of the fields `listenerN`, in Redis's order.
fn listeners(config: &Config, port: u16) -> Vec<String> {
    let on = |name: &str, addresses: &[BindAddress], port: u16| {
        let bind = addresses.iter().map(|addr| format!("bind={addr},"));
        let bind: String = bind.collect();
        (!bind.is_empty()).then(|| format!("name={name},{bind}port={port}"))
    };
    let tcp = on("tcp", &config.bind, port);
    let unix = config.unixsocket.as_ref();
    let unix = unix.map(|path| format!("name=unix,bind={}", path.display()));
    let tls = on("tls", &config.tls_addresses(), config.tls_port);
    [tcp, unix, tls].into_iter().flatten().collect()
}

/// Seconds after which Redis's clock for the ages of keys starts again.
const LRU_CLOCK_TICKS: u64 = 1 << 24;

fn clients(state: &ServerState, lines: &mut Lines<'_>) {
    let summary = state.clients.summary();
    let connected = state.client_count.load(Ordering::Relaxed);
    lines.add("connected_clients", connected);
    lines.constants("cluster_connections");
    lines.add("maxclients", state.config.lock().maxclients);
    lines.add("client_recent_max_input_buffer", summary.input_bytes_max);
    lines.add("client_recent_max_output_buffer", summary.output_bytes_max);
    lines.add(
        "blocked_clients",
        summary.paused + state.deferrals.waiting(),
    );
    lines.add("tracking_clients", summary.tracking);
    lines.add("pubsub_clients", summary.subscribed);
    lines.add("clients_in_timeout_table", state.deferrals.timeouts());
    lines.add("queued_clients", state.pool_snapshot().queued);
    queue_wait(lines);
}

/// Adds the fields of Clients about the waits from ready to served.
fn queue_wait(lines: &mut Lines<'_>) {
    let queue_wait = &lines.totals.queue_wait;
    let count = queue_wait.count();
    let mean_us = queue_wait.sum_ns() as f64 / 1000.0 / count.max(1) as f64;
    let longest_us = f64::from(queue_wait.longest_us());
    let percentile = |percent| queue_wait.waits().percentile(percent).min(longest_us);
    let [p50, p99, p99_9] = [50.0, 99.0, 99.9].map(percentile);
    lines.add("queue_waits", count);
    lines.add(
        "queue_wait_usec",
        format_args!(
            "mean={mean_us:.0},p50={p50:.0},p99={p99:.0},p99.9={p99_9:.0},max={longest_us}"
        ),
    );
}

/// Measures the whole process: memory is not counted by purpose.
fn memory(state: &ServerState, lines: &mut Lines<'_>) {
    let usage = memory::usage();
    if let Some((bytes, peak)) = usage {
        lines.memory("used_memory", bytes);
        lines.memory("used_memory_rss", bytes);
        lines.memory("used_memory_peak", peak);
        let percent = 100.0 * bytes as f64 / peak as f64;
        lines.add("used_memory_peak_perc", format_args!("{percent:.2}%"));
    }
    if let Some(bytes) = memory::machine_bytes() {
        lines.memory("total_system_memory", bytes as u64);
    }
    lines.memory("used_memory_lua", 0);
    lines.constants(
        "used_memory_scripts_eval number_of_cached_scripts number_of_functions \
         number_of_libraries used_memory_functions",
    );
    lines.memory("used_memory_scripts", 0);
    let maxmemory = state.inert.named("maxmemory");
    lines.memory("maxmemory", maxmemory.parse().unwrap_or_default());
    lines.add("maxmemory_policy", state.inert.named("maxmemory-policy"));
    if usage.is_some() {
        // The memory in use is the resident memory.
        lines.constants("mem_fragmentation_ratio:1.00 mem_fragmentation_bytes");
    }
    lines.constants(
        "mem_not_counted_for_evict mem_replication_backlog mem_total_replication_buffers \
         mem_clients_slaves mem_cluster_links mem_aof_buffer mem_allocator:libc \
         active_defrag_running lazyfree_pending_objects lazyfreed_objects",
    );
}

/// Nothing is saved: as in Redis without saves, the last one is the start, and none has failed.
fn persistence(state: &ServerState, lines: &mut Lines<'_>) {
    lines.constants(
        "loading async_loading current_cow_peak current_cow_size current_cow_size_age \
         current_fork_perc:0.00 current_save_keys_processed current_save_keys_total \
         rdb_changes_since_last_save rdb_bgsave_in_progress",
    );
    let started = now_since_1970().saturating_sub(state.started.elapsed());
    lines.add("rdb_last_save_time", started.as_secs());
    lines.constants(
        "rdb_last_bgsave_status:ok rdb_last_bgsave_time_sec:-1 rdb_current_bgsave_time_sec:-1 \
         rdb_saves rdb_last_cow_size rdb_last_load_keys_expired rdb_last_load_keys_loaded \
         aof_enabled aof_rewrite_in_progress aof_rewrite_scheduled aof_last_rewrite_time_sec:-1 \
         aof_current_rewrite_time_sec:-1 aof_last_bgrewrite_status:ok aof_rewrites \
         aof_rewrites_consecutive_failures aof_last_write_status:ok aof_last_cow_size \
         module_fork_in_progress module_fork_last_cow_size",
    );
}

fn stats(state: &ServerState, lines: &mut Lines<'_>) {
    let closes = &state.closes;
    traffic(state, lines);
    lines.constants(
        "sync_full sync_partial_ok sync_partial_err expired_keys expired_stale_perc:0.00 \
         expired_time_cap_reached_count expire_cycle_cpu_milliseconds evicted_keys",
    );
    lines.add("evicted_clients", closes.sum_of(&["evicted"]));
    lines.constants(
        "total_eviction_exceeded_time current_eviction_exceeded_time keyspace_hits \
         keyspace_misses",
    );
    let (channels, patterns) = state.channels.counts();
    lines.add("pubsub_channels", channels);
    lines.add("pubsub_patterns", patterns);
    lines.constants(
        "pubsubshard_channels latest_fork_usec total_forks migrate_cached_sockets \
         slave_expires_tracked_keys active_defrag_hits active_defrag_misses \
         active_defrag_key_hits active_defrag_key_misses total_active_defrag_time \
         current_active_defrag_time tracking_total_keys tracking_total_items \
         unexpected_error_replies",
    );
    let totals = lines.totals;
    lines.add("total_error_replies", totals.error_replies());
    lines.constants("dump_payload_sanitizations");
    lines.add("total_reads_processed", totals.reads.get());
    lines.add("total_writes_processed", totals.writes.get());
    lines.constants("io_threaded_reads_processed io_threaded_writes_processed");
    let long_queries = closes.sum_of(&["query_buffer_limit"]);
    lines.add("client_query_buffer_limit_disconnections", long_queries);
    let long_outputs = closes.sum_of(&["slow_subscriber", "output_limit"]);
    lines.add("client_output_buffer_limit_disconnections", long_outputs);
    for (reason, count) in closes.all() {
        lines.add(&format!("closed_{reason}"), count);
    }
}

/// Adds the fields of Stats about connections, requests and bytes.
fn traffic(state: &ServerState, lines: &mut Lines<'_>) {
    let totals = lines.totals;
    let rates = *state.rates.lock();
    lines.add("total_connections_received", state.connections.get());
    lines.add("total_commands_processed", totals.calls());
    lines.add("instantaneous_ops_per_sec", rates.requests);
    lines.add("total_net_input_bytes", totals.bytes_read.get());
    lines.add("total_net_output_bytes", totals.bytes_sent.get());
    lines.constants("total_net_repl_input_bytes total_net_repl_output_bytes");
    let kib = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    lines.add("instantaneous_input_kbps", kib(rates.bytes_read));
    lines.add("instantaneous_output_kbps", kib(rates.bytes_sent));
    lines.constants("instantaneous_input_repl_kbps:0.00 instantaneous_output_repl_kbps:0.00");
    lines.add("rejected_connections", state.refused.get());
    #[cfg(feature = "tls")]
    {
        let handshakes = &state.handshakes;
        lines.add("tls_handshakes", handshakes.done.get());
        lines.add("tls_handshake_failures", handshakes.failed.get());
        lines.add("tls_handshakes_waiting", handshakes.waiting());
    }
}

fn replication(state: &ServerState, lines: &mut Lines<'_>) {
    lines.constants("role:master connected_slaves master_failover_state:no-failover");
    lines.add("master_replid", &state.replication_id);
    lines.add("master_replid2", "0".repeat(state.replication_id.len()));
    lines.constants("master_repl_offset second_repl_offset:-1 repl_backlog_active");
    lines.add("repl_backlog_size", state.inert.named("repl-backlog-size"));
    lines.constants("repl_backlog_first_byte_offset repl_backlog_histlen");
}

fn cpu(_: &ServerState, lines: &mut Lines<'_>) {
    let Some(times) = system::processor_times() else {
        return;
    };
    for (field, seconds) in [
        ("used_cpu_sys", times.system),
        ("used_cpu_user", times.user),
        ("used_cpu_sys_children", times.children_system),
        ("used_cpu_user_children", times.children_user),
    ] {
        lines.add(field, format_args!("{seconds:.6}"));
    }
}

/// The calls of each command and their duration, scaled up if only some of them were timed.
fn commandstats(state: &ServerState, lines: &mut Lines<'_>) {
    for (name, totals) in state.used_commands(lines.totals) {
        let micros = totals.micros_per_call();
        let (calls, rejected, failed) = (
            totals.calls.get(),
            totals.rejected.get(),
            totals.failed.get(),
        );
        let all_micros = totals.micros();
        let value = format!(
            "calls={calls},usec={all_micros:.0},usec_per_call={micros:.2},\
             rejected_calls={rejected},failed_calls={failed}"
        );
        lines.add(&format!("cmdstat_{name}"), value);
    }
}

fn errorstats(_: &ServerState, lines: &mut Lines<'_>) {
    for (code, count) in &*lines.totals.errors.lock() {
        lines.add(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

/// `latency-tracking-info-percentiles` of each command.
fn latencystats(state: &ServerState, lines: &mut Lines<'_>) {
    let percentiles = state
        .config
        .lock()
        .latency_tracking_info_percentiles
        .clone();
    for (name, totals) in state.used_commands(lines.totals) {
        let values: Vec<_> = percentiles
            .iter()
            .filter_map(|percentile| {
                let micros = totals.durations()?.percentile(percentile.percent());
                Some(format!("p{percentile}={micros:.3}"))
            })
            .collect();
        if !values.is_empty() {
            let field = format!("latency_percentiles_usec_{name}");
            lines.add(&field, values.join(","));
        }
    }
}

fn cluster(state: &ServerState, lines: &mut Lines<'_>) {
    let is_cluster = state.catalog.own_info.is_cluster;
    lines.add("cluster_enabled", u8::from(is_cluster));
}

/// The databases with keys, as the program counts them.
fn keyspace(state: &ServerState, lines: &mut Lines<'_>) {
    for (database, keys, expires) in state.catalog.own_info.databases() {
        let value = format_args!("keys={keys},expires={expires},avg_ttl=0");
        lines.add(&format!("db{database}"), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_bytes_are_written_as_in_redis() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (916_280, "894.80K"),
            (12_173_312, "11.61M"),
            (25_276_502_016, "23.54G"),
            (1 << 40, "1.00T"),
            (1 << 50, "1.00P"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
