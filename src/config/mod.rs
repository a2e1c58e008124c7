//! The configuration: what every key means, and how it is read.
//!
//! [`Config`] is plain data. A program that embeds the server starts from [`Config::default`] and
//! changes what it likes; the program `respool` has it from `CommandLine`, which layers three
//! sources: defaults < file < command line. The latter two are there with the feature `cli` only.
//!
//! | file | what it knows |
//! |---|---|
//! | `settings.rs` | the one table of keys, for the file, the command line and CONFIG alike |
//! | `keys.rs` | what follows from a row of it |
//! | `value.rs` | what the type of a value must know |
//! | `inert.rs` | directives of Redis that change nothing here, for CONFIG alone |
//! | `number.rs`, `text.rs`, `flag.rs` … | how one value is read, and what a mistake in it says |
//! | `sources/notation.rs` | how a file says each value |
//! | `sources/file.rs` | a file's text, and the line and column of a mistake in it |
//! | `sources/command_line.rs` | flags, help and the layers |
//! | `sources/advice.rs` | what a mistake in the flags says |
//! | `sources/password.rs` | the sources of the password, and their order |

mod check;
pub(crate) mod directive;
pub(crate) mod inert;
mod keys;
#[cfg(feature = "cli")]
mod sources;
mod table;
pub(crate) mod values;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use crate::memory;
pub(crate) use directive::{is_public, is_secret};
pub(crate) use keys::{Change, Key};
#[cfg(feature = "cli")]
pub use sources::{CommandLine, ConfigError, Loaded, exposure};
pub(crate) use table::KEYS;
pub use values::bind::{AddressError, BindAddress};
pub use values::debug_access::{DebugAccess, DebugAccessError};
pub use values::loglevel::{LogLevel, LogLevelError};
pub use values::output_limits::{OutputLimit, OutputLimits, OutputLimitsError};
pub use values::percentile::{Percentile, PercentileError};

/// Everything an operator decides. The file, the command line and CONFIG SET enforce the ranges
/// given here.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// Worker threads, 0 to 1,024; 0, the default, means one per CPU, as
    /// [`worker_count`](Self::worker_count) counts them.
    pub workers: usize,
    /// The addresses to listen on, 1 to 16, each on [`port`](Self::port); by default `127.0.0.1`
    /// and, if the machine has it, `::1`. Redis's `bind`.
    pub bind: Vec<BindAddress>,
    /// The TCP port of every address; 6379 by default, 0 takes any free port. Redis's `port`.
    pub port: u16,
    /// Clients that may be connected at the same time, 1 to 1,000,000; one more is refused. 10,000
    /// by default. Redis's `maxclients`.
    pub maxclients: usize,
    /// Clients that may be connected from the same address at the same time, up to 1,000,000; one
    /// more is refused. 0, the default, means as many as there may be at all: behind a proxy or a
    /// NAT, all have the same address.
    pub maxclients_per_address: usize,
    /// Whether clients from other machines are refused as long as there is no
    /// [`requirepass`](Self::requirepass); by default they are. Redis's `protected-mode`.
    pub protected_mode: bool,
    /// Seconds a client may stay without sending a byte before it is closed, up to 2,147,483,647;
    /// 0, the default, means for ever. Redis's `timeout`.
    pub timeout_s: u32,
    /// Seconds a client may take for its very first byte, up to 2,147,483,647; 0, the default, means
    /// for ever: many a pool of connections opens more than it needs at once.
    pub first_byte_timeout_s: u32,
    /// Seconds a client may send nothing more of a request that it has begun, up to 2,147,483,647; 30
    /// by default, 0 means for ever. All of the request may take as many seconds and one for each byte
    /// that has come; after 600 of those, it takes 1,024 bytes to earn another.
    pub request_timeout_s: u32,
    /// Seconds a write-blocked client may take none of its pending output before it is closed, up to
    /// 2,147,483,647; 60 by default, 0 means no limit. A client is write-blocked, and its requests are
    /// not read, while more output is pending than
    /// [`pending_output_per_client`](Self::pending_output_per_client) and
    /// [`pending_output_total`](Self::pending_output_total) allow.
    pub write_timeout_s: u32,
    /// Seconds a client that is not write-blocked may take none of its pending output before it is
    /// closed, up to 2,147,483,647; 600 by default, 0 means no limit.
    pub pending_output_timeout_s: u32,
    /// Connections that the kernel holds until they are accepted, 1 to 65,535; 511 by default. The
    /// kernel lowers it to its own bound (Linux: `net.core.somaxconn`). Redis's `tcp-backlog`.
    pub tcp_backlog: u32,
    /// Seconds of silence before the kernel asks whether the peer is still there, up to 32,767, the
    /// kernel's bound on `TCP_KEEPIDLE` (`tcp(7)`); 300 by default, 0 means never. Redis's
    /// `tcp-keepalive`.
    pub tcp_keepalive_s: u32,
    /// Bytes of the longest argument that a request may carry, 1 KiB to 1 GiB, because a whole
    /// request may hold no more; 512 MiB by default. Redis's `proto-max-bulk-len`.
    pub proto_max_bulk_len: usize,
    /// Bytes that one request may make the server hold, its own and those of the table of its
    /// arguments, 1 MiB to 1 GiB; 1 GiB by default. Redis's `client-query-buffer-limit`.
    pub client_query_buffer_limit: usize,
    /// Bytes of output that may be pending for a client before it is write-blocked: the server stops
    /// reading its requests until half of the output is sent. 256 MiB by default. Each client has a
    /// reserve of 64 KiB, and one that has not authenticated has only that.
    pub pending_output_per_client: usize,
    /// Bytes of output that may be pending for all clients together, without their reserves, before
    /// those with more than their reserve are write-blocked. 0, the default, means a quarter of the
    /// memory that the machine has or the process may use.
    pub pending_output_total: usize,
    /// Bytes of output that may be pending for a client; it is closed if more are. Redis's
    /// `client-output-buffer-limit`.
    pub client_output_buffer_limit: OutputLimits,
    /// Bytes of memory that may be held for all clients together beyond what idle ones take, up to
    /// [`i64::MAX`]; beyond that, the clients with the most are closed. 0, the default, means any
    /// number. Redis's `maxmemory-clients`.
    pub maxmemory_clients: u64,
    /// Milliseconds that a drain may take before the clients still there are cut, up to 3,600,000
    /// (an hour); 1,000 by default, 0 cuts them at once.
    pub drain_timeout_ms: u32,
    /// The least important lines that are still logged; [`LogLevel::Notice`] by default. Redis's
    /// `loglevel`.
    pub loglevel: LogLevel,
    /// The file that the log is appended to; `None`, the default, means standard output. Redis's
    /// `logfile`.
    pub logfile: Option<PathBuf>,
    /// The password that a client must give to AUTH or HELLO before it may do anything else, up to
    /// 512 bytes; `None`, the default, means that none is asked for. Redis's `requirepass`.
    pub requirepass: Option<String>,
    /// The file that [`requirepass`](Self::requirepass) was read from; `None`, the default, if it
    /// came from elsewhere. `Config::from_file` and `CommandLine` read it, one newline at its end
    /// left out. The server does not, and refuses a file without a password.
    pub requirepass_file: Option<PathBuf>,
    /// Microseconds that a command may take before SLOWLOG remembers it; 10,000 by default, 0 has
    /// every command remembered, and a negative number, which a file writes as -1, none. Redis's
    /// `slowlog-log-slower-than`.
    pub slowlog_log_slower_than_us: i64,
    /// Commands that SLOWLOG remembers, the latest, up to 1,000,000; 128 by default. Redis knows no
    /// upper bound; as an entry can take 4 KiB, this one keeps a slip of the finger from taking all the
    /// memory. Redis's `slowlog-max-len`.
    pub slowlog_max_len: usize,
    /// Whether the latencies of each command are counted, for INFO and LATENCY HISTOGRAM; by
    /// default they are. Redis's `latency-tracking`.
    pub latency_tracking: bool,
    /// The percentiles of each command's latency that INFO shows, up to 100 of them; 50, 99 and
    /// 99.9 by default. Redis's `latency-tracking-info-percentiles`.
    pub latency_tracking_info_percentiles: Vec<Percentile>,
    /// Milliseconds that an event must take before LATENCY notes it, up to [`i64::MAX`]; 0, the
    /// default, means that none is noted. Redis's `latency-monitor-threshold`.
    pub latency_monitor_threshold_ms: u64,
    /// Who may use DEBUG; [`DebugAccess::No`] by default. Redis's `enable-debug-command`.
    pub enable_debug_command: DebugAccess,
}

impl Config {
    /// The most worker threads that there can be: far more than any number of CPUs makes use of.
    pub const WORKERS_MAX: usize = 1_024;

    /// The number of worker threads to run, at least 1: [`workers`](Self::workers), or one per CPU
    /// where that is 0.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => num_cpus::get().max(1),
            chosen => chosen,
        }
    }

    /// The bound on the pending output of all clients: [`pending_output_total`], or a quarter of the
    /// memory where that is 0.
    ///
    /// [`pending_output_total`]: Self::pending_output_total
    pub(crate) fn pending_output_total_bytes(&self) -> usize {
        match self.pending_output_total {
            0 => memory::allowed_bytes().map_or(UNKNOWN_MEMORY_BYTES, |bytes| bytes / 4),
            chosen => chosen,
        }
    }
}

/// The bound on pending output where the system does not tell how much memory there is.
const UNKNOWN_MEMORY_BYTES: usize = 512 << 20;

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 0,
            bind: vec![
                BindAddress {
                    address: Ipv4Addr::LOCALHOST.into(),
                    optional: false,
                },
                BindAddress {
                    address: Ipv6Addr::LOCALHOST.into(),
                    optional: true,
                },
            ],
            port: 6379,
            maxclients: 10_000,
            maxclients_per_address: 0,
            protected_mode: true,
            timeout_s: 0,
            first_byte_timeout_s: 0,
            request_timeout_s: 30,
            write_timeout_s: 60,
            pending_output_timeout_s: 600,
            tcp_backlog: 511,
            tcp_keepalive_s: 300,
            proto_max_bulk_len: 512 << 20,
            client_query_buffer_limit: 1 << 30,
            pending_output_per_client: 256 << 20,
            pending_output_total: 0,
            client_output_buffer_limit: OutputLimits::default(),
            maxmemory_clients: 0,
            drain_timeout_ms: 1_000,
            loglevel: LogLevel::Notice,
            logfile: None,
            requirepass: None,
            requirepass_file: None,
            slowlog_log_slower_than_us: 10_000,
            slowlog_max_len: 128,
            latency_tracking: true,
            latency_tracking_info_percentiles: [50.0, 99.0, 99.9]
                .into_iter()
                .filter_map(|percent| percent.try_into().ok())
                .collect(),
            latency_monitor_threshold_ms: 0,
            enable_debug_command: DebugAccess::No,
        }
    }
}

/// By the names and in the notation of CONFIG GET, and without the password: the server has this in
/// it, and whoever logs that should not log a secret.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Config");
        for key in KEYS {
            let text = key.text(self);
            let hidden = key.secret && !text.is_empty();
            fields.field(key.name, if hidden { &"(redacted)" } else { &text });
        }
        fields.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_has_every_key_and_no_password() {
        let config = Config {
            requirepass: Some("secret".into()),
            ..Config::default()
        };
        let text = format!("{config:?}");
        let beginning = r#"Config { workers: "0", bind: "127.0.0.1 -::1", port: "6379", "#;
        assert!(text.starts_with(beginning), "{text}");
        assert!(text.contains(r#"requirepass: "(redacted)""#), "{text}");
        assert!(!text.contains("secret"), "{text}");
        assert!(format!("{:?}", Config::default()).contains(r#"requirepass: "","#));
    }

    #[test]
    fn zero_workers_means_one_per_cpu_and_any_other_number_means_itself() {
        let count = |workers| {
            Config {
                workers,
                ..Config::default()
            }
            .worker_count()
        };
        assert_eq!(count(0), num_cpus::get());
        assert_eq!(count(1), 1);
        assert_eq!(count(7), 7);
    }
}
