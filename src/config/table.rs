//! The table of keys: one row for each. The file, the command line, CONFIG GET and CONFIG SET all
//! read it; `keys.rs` says how.
//!
//! A row is
//!
//! - the key's line in `--help`, which ends with the default;
//! - its name and the field of [`Config`] that it sets;
//! - its type, which knows the range, the unit and every notation;
//! - how `--help` shows its value, and when it can change.
//!
//! The field's documentation is at [`Config`], the operator's manual is `config/respool.toml`.

use crate::config::keys::{Change, Key, keys};
use crate::config::values::Value;
use crate::config::values::bind::BindAddresses;
use crate::config::values::debug_access::DebugAccess;
use crate::config::values::flag::Flag;
use crate::config::values::number::{Bytes, Microseconds, Milliseconds, Number, Seconds};
use crate::config::values::output_limits::OutputLimits;
use crate::config::values::percentile::Percentiles;
use crate::config::values::text::{OptionalPath, Password};
use crate::config::{Config, LogLevel};

keys! {
    /// Threads, 0 to 1024; 0: one per CPU (0)
    "workers" sets workers: Number<usize, 0, { Config::WORKERS_MAX as i64 }>,
        shown as "N", changes Anytime;

    /// 1 to 16 addresses; -: optional (127.0.0.1 -::1)
    #[expect(clippy::doc_markdown, reason = "a line of the help, where backticks are noise")]
    "bind" sets bind: BindAddresses,
        shown as "IP...", changes AtStart;

    /// TCP port, 0 to 65535; 0: any free one (6379)
    "port" sets port: Number<u16, 0, 65_535>,
        shown as "N", changes AtStart;

    /// Clients at a time, 1 to 1000000 (10000)
    "maxclients" sets maxclients: Number<usize, 1, 1_000_000>,
        shown as "N", changes Anytime;

    /// Of these from one address; 0: as many as like (0)
    "maxclients-per-address" sets maxclients_per_address: Number<usize, 0, 1_000_000>,
        shown as "N", changes Anytime;

    /// Refuse others than this machine unless they need a password (yes)
    "protected-mode" sets protected_mode: Flag,
        shown as "YES|NO", changes Anytime;

    /// Idle seconds, 0 to 2147483647; 0: for ever (0)
    "timeout" sets timeout_s: Number<u32, 0, 2_147_483_647, Seconds>,
        shown as "N", changes Anytime;

    /// Seconds to the first byte; 0: for ever (0)
    "first-byte-timeout" sets first_byte_timeout_s: Number<u32, 0, 2_147_483_647, Seconds>,
        shown as "N", changes Anytime;

    /// Seconds without progress on a request; 0: for ever (30)
    "request-timeout" sets request_timeout_s: Number<u32, 0, 2_147_483_647, Seconds>,
        shown as "N", changes Anytime;

    /// Seconds without progress while write-blocked; 0: no limit (60)
    "write-timeout" sets write_timeout_s: Number<u32, 0, 2_147_483_647, Seconds>,
        shown as "N", changes Anytime;

    /// Seconds without progress on pending output; 0: no limit (600)
    "pending-output-timeout" sets pending_output_timeout_s:
        Number<u32, 0, 2_147_483_647, Seconds>,
        shown as "N", changes Anytime;

    /// Kernel's accept queue, 1 to 65535 (511)
    "tcp-backlog" sets tcp_backlog: Number<u32, 1, 65_535>,
        shown as "N", changes AtStart;

    /// Seconds to keepalive, 0 to 32767; 0: off (300)
    "tcp-keepalive" sets tcp_keepalive_s: Number<u32, 0, 32_767, Seconds>,
        shown as "N", changes Anytime;

    /// Bytes of an argument, 1kb to 1gb (512mb)
    "proto-max-bulk-len" sets proto_max_bulk_len: Number<usize, 1_024, { 1 << 30 }, Bytes>,
        shown as "N", changes Anytime;

    /// Bytes of a request, 1mb to 1gb (1gb)
    "client-query-buffer-limit" sets client_query_buffer_limit:
        Number<usize, { 1 << 20 }, { 1 << 30 }, Bytes>,
        shown as "N", changes Anytime;

    /// Bytes of unsent replies before a client is not read (256mb)
    "pending-output-per-client" sets pending_output_per_client:
        Number<usize, 0, { i64::MAX }, Bytes>,
        shown as "N", changes Anytime;

    /// The same of all clients; 0: a quarter of the memory (0)
    "pending-output-total" sets pending_output_total: Number<usize, 0, { i64::MAX }, Bytes>,
        shown as "N", changes Anytime;

    /// CLASS HARD SOFT SECONDS... (normal 0 0 0 pubsub 32mb 8mb 60)
    "client-output-buffer-limit" sets client_output_buffer_limit: OutputLimits,
        shown as "LIMITS", changes Anytime;

    /// Bytes that all clients together may hold; 0: any (0)
    "maxmemory-clients" sets maxmemory_clients: Number<u64, 0, { i64::MAX }, Bytes>,
        shown as "N", changes Anytime;

    /// Milliseconds to drain, 0 to 3600000 (1000)
    "drain-timeout-ms" sets drain_timeout_ms: Number<u32, 0, 3_600_000, Milliseconds>,
        shown as "N", changes Anytime;

    /// debug verbose notice warning nothing (notice)
    "loglevel" sets loglevel: LogLevel,
        shown as "LEVEL", changes Anytime;

    /// Log file to append to; "": standard output ("")
    "logfile" sets logfile: OptionalPath,
        shown as "PATH", changes OnReload;

    /// What AUTH must say; as a flag, `ps` shows it to all ("")
    "requirepass" sets requirepass: Password,
        shown as "TEXT", changes Anytime;

    /// File that holds it instead; "": none ("")
    "requirepass-file" sets requirepass_file: OptionalPath,
        shown as "PATH", changes OnReload;

    /// Microseconds that are too slow; 0: any, -1: none (10000)
    "slowlog-log-slower-than" sets slowlog_log_slower_than_us:
        Number<i64, -1, { i64::MAX }, Microseconds>,
        shown as "N", changes Anytime;

    /// Slow requests to remember, 0 to 1000000 (128)
    "slowlog-max-len" sets slowlog_max_len: Number<usize, 0, 1_000_000>,
        shown as "N", changes Anytime;

    /// Whether each command's latencies are counted, yes or no (yes)
    "latency-tracking" sets latency_tracking: Flag,
        shown as "YES|NO", changes Anytime;

    /// Percentiles that INFO shows, each 0 to 100 (50 99 99.9)
    "latency-tracking-info-percentiles" sets latency_tracking_info_percentiles: Percentiles,
        shown as "P...", changes Anytime;

    /// Milliseconds that LATENCY notes; 0: off (0)
    "latency-monitor-threshold" sets latency_monitor_threshold_ms:
        Number<u64, 0, { i64::MAX }, Milliseconds>,
        shown as "N", changes Anytime;

    /// Who may use DEBUG: no (nobody), local, yes (all) (no)
    "enable-debug-command" sets enable_debug_command: DebugAccess,
        shown as "WHO", changes AtStart;
}
