//! The table of keys. The file and the command line share it: one field per key, one parser per
//! value. The line above a field is its line in `--help`.

use std::path::PathBuf;

use clap::{Args, Command};
use serde::Deserialize;

use super::bind::BindAddresses;
use super::number::{Bytes, Milliseconds, Number, Seconds};
use super::{Config, LogLevel};

/// What one source, the file or the command line, says about each key; `None` where it is silent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Args)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[command(next_help_heading = "Keys of FILE, each with its (default)")]
pub(super) struct Settings {
    /// Threads, 0 to 1024; 0: one per CPU (0)
    #[arg(long, value_name = "N")]
    workers: Option<Number<usize, 0, { Config::WORKERS_MAX as i64 }>>,

    /// 1 to 16 addresses; -: optional (127.0.0.1 -::1)
    #[expect(
        clippy::doc_markdown,
        reason = "a line of the help, where backticks are noise"
    )]
    #[arg(long, value_name = "IP...")]
    bind: Option<BindAddresses>,

    /// TCP port, 0 to 65535; 0: any free one (6379)
    #[arg(long, value_name = "N")]
    port: Option<Number<u16, 0, 65_535>>,

    /// Clients at a time, 1 to 1000000 (10000)
    #[arg(long, value_name = "N")]
    maxclients: Option<Number<usize, 1, 1_000_000>>,

    /// Idle seconds, 0 to 2147483647; 0: for ever (0)
    #[arg(long, value_name = "N")]
    timeout: Option<Number<u32, 0, 2_147_483_647, Seconds>>,

    /// Kernel's accept queue, 1 to 65535 (511)
    #[arg(long, value_name = "N")]
    tcp_backlog: Option<Number<u32, 1, 65_535>>,

    /// Seconds to keepalive, 0 to 32767; 0: off (300)
    #[arg(long, value_name = "N")]
    tcp_keepalive: Option<Number<u32, 0, 32_767, Seconds>>,

    /// Bytes of an argument, 1kb to 1gb (512mb)
    #[arg(long, value_name = "N")]
    proto_max_bulk_len: Option<Number<usize, 1_024, { 1 << 30 }, Bytes>>,

    /// Milliseconds to drain, 0 to 3600000 (1000)
    #[arg(long, value_name = "N")]
    drain_timeout_ms: Option<Number<u32, 0, 3_600_000, Milliseconds>>,

    /// debug verbose notice warning nothing (notice)
    #[arg(long, value_name = "LEVEL")]
    loglevel: Option<LogLevel>,

    /// Log file to append to; "": standard output ("")
    #[arg(long, value_name = "PATH")]
    logfile: Option<String>,
}

impl Settings {
    /// Every key, in the order of the fields.
    pub(super) fn keys() -> Vec<String> {
        Self::augment_args(Command::new("keys"))
            .get_arguments()
            .filter_map(|key| key.get_long().map(str::to_owned))
            .collect()
    }

    /// Lays these settings over `config`: what they say wins, the rest stays.
    pub(super) fn apply_to(self, config: &mut Config) {
        // Every field by name, so that a key that nobody applies does not compile.
        let Self {
            workers,
            bind,
            port,
            maxclients,
            timeout,
            tcp_backlog,
            tcp_keepalive,
            proto_max_bulk_len,
            drain_timeout_ms,
            loglevel,
            logfile,
        } = self;
        set_number(&mut config.workers, workers);
        set(&mut config.bind, bind.map(|list| list.0));
        set_number(&mut config.port, port);
        set_number(&mut config.maxclients, maxclients);
        set_number(&mut config.timeout_s, timeout);
        set_number(&mut config.tcp_backlog, tcp_backlog);
        set_number(&mut config.tcp_keepalive_s, tcp_keepalive);
        set_number(&mut config.proto_max_bulk_len, proto_max_bulk_len);
        set_number(&mut config.drain_timeout_ms, drain_timeout_ms);
        set(&mut config.loglevel, loglevel);
        set(&mut config.logfile, logfile.map(path_unless_empty));
    }
}

fn set<T>(field: &mut T, said: Option<T>) {
    if let Some(value) = said {
        *field = value;
    }
}

fn set_number<T, const MIN: i64, const MAX: i64, U>(
    field: &mut T,
    said: Option<Number<T, MIN, MAX, U>>,
) {
    set(field, said.map(|number| number.value));
}

/// An empty `logfile` means standard output, as in redis.conf.
fn path_unless_empty(text: String) -> Option<PathBuf> {
    (!text.is_empty()).then(|| text.into())
}
