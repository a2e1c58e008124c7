//! The configuration: what each key means, and how it is read.
//!
//! [`Config`] is plain data. A program that embeds the server starts from [`Config::default`]. The
//! program `respool` gets it from `CommandLine`, where the file wins over the defaults and the
//! command line over the file. `CommandLine` and the file need the feature `cli`.
//!
//! | file | contents |
//! |---|---|
//! | `table.rs` | the table of keys, a macro |
//! | `keys.rs` | what CONFIG knows of each key |
//! | `values/` | the type of each value: its range, its notation, its errors |
//! | `setting.rs` | sets a value by the name of its key, for a program's own sources |
//! | `whole.rs` | checks, compares and shows whole configurations |
//! | `inert.rs` | directives of Redis without an effect here, for CONFIG only |
//! | `unsupported.rs` | directives of Redis that are refused, with the reason |
//! | `directive.rs` | finds a key or another directive by its name, for CONFIG |
//! | `excerpt.rs` | how an error shows a part of a text |
//! | `regular_file.rs` | reads a file that a key names |
//! | `sources/settings.rs` | the values of one source |
//! | `sources/notation.rs` | how a file writes each value |
//! | `sources/differences.rs` | writes values for a file |
//! | `sources/file.rs` | reads a file |
//! | `sources/explain.rs`, `mistake.rs` | errors about a file, with line and column |
//! | `sources/command_line.rs` | flags, help, and which source wins |
//! | `sources/advice.rs` | errors about flags |
//! | `sources/nearest.rs` | finds the key that a wrong name means |
//! | `sources/password.rs` | the sources of the password, and which one wins |

pub(crate) mod directive;
mod excerpt;
pub(crate) mod inert;
mod keys;
#[cfg(any(feature = "cli", feature = "tls"))]
pub(crate) mod regular_file;
mod setting;
#[cfg(feature = "cli")]
mod sources;
mod table;
pub(crate) mod unsupported;
mod values;
mod whole;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::memory;
pub(crate) use directive::{is_public, is_secret};
pub(crate) use keys::{Change, KEYS, Key};
pub use setting::SetError;
#[cfg(feature = "cli")]
pub use sources::{CommandLine, ConfigError, Loaded, exposure};
pub use values::bind::{AddressError, BindAddress};
pub use values::debug_access::{DebugAccess, DebugAccessError};
pub use values::host_names::{HostName, HostNameError};
pub use values::log_format::{LogFormat, LogFormatError};
pub use values::loglevel::{LogLevel, LogLevelError};
pub use values::networks::{Network, NetworkError};
pub use values::output_limits::{OutputLimit, OutputLimits, OutputLimitsError};
pub use values::percentile::{Percentile, PercentileError};
pub use values::tls_auth_clients::{TlsAuthClients, TlsAuthClientsError};
pub use values::tls_protocols::{TlsProtocols, TlsProtocolsError};

/// All settings of a server. The file, the command line, CONFIG SET and
/// [`Server::bind`](crate::Server::bind) enforce the ranges given here. "Redis's `x`" names the
/// directive of redis.conf with the same meaning.
///
/// [`Config::set`] sets a value by the name of its key, for a file, an environment or flags of the
/// program's own. Four fields mean nothing to the library, only to the program `respool` and to a
/// [`Host`](crate::Host): [`loglevel`](Self::loglevel), [`logfile`](Self::logfile),
/// [`log_format`](Self::log_format) and [`requirepass_file`](Self::requirepass_file).
#[derive(Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
pub struct Config {
    /// Worker threads, 0 to 1,024. 0, the default, means one per CPU; see
    /// [`worker_count`](Self::worker_count).
    pub workers: usize,
    /// IP addresses to listen on, up to 16, each on [`port`](Self::port). None means no plain TCP.
    /// Default: `127.0.0.1` and, if the machine has it, `::1`. Redis's `bind`.
    pub bind: Vec<BindAddress>,
    /// TCP port, the same on every address. 6379 by default; 0 means any free port, and is refused
    /// beside a [`unixsocket`](Self::unixsocket): in redis.conf it means no TCP, for which
    /// [`bind`](Self::bind) is empty here. Redis's `port`.
    pub port: u16,
    /// Unix socket to listen on: a path, or `@` and a name in Linux's abstract namespace. `None`,
    /// the default, means no Unix socket. Its clients count as local, and have no IP address. A
    /// file of a server that was killed is removed at the start, and the server's own file when it
    /// stops. Redis's `unixsocket`.
    pub unixsocket: Option<PathBuf>,
    /// Permissions of the file of [`unixsocket`](Self::unixsocket), such as `0o700`, up to `0o777`.
    /// 0, the default, means those that the umask leaves. Redis's `unixsocketperm`.
    pub unixsocketperm: u32,
    /// TCP port for TLS; 0, the default, means no TLS. Needs the feature `tls`, and
    /// [`tls_cert_file`](Self::tls_cert_file) and [`tls_key_file`](Self::tls_key_file). Redis's
    /// `tls-port`.
    pub tls_port: u16,
    /// IP addresses to listen on for TLS, up to 16. None, the default, means those of
    /// [`bind`](Self::bind) or, if that is empty too, `127.0.0.1` and, if the machine has it,
    /// `::1`.
    pub tls_bind: Vec<BindAddress>,
    /// File in PEM with the server's certificate, followed by those of intermediate CAs. `None` by
    /// default. Redis's `tls-cert-file`.
    pub tls_cert_file: Option<PathBuf>,
    /// File in PEM with the private key of the certificate: ECDSA on P-256 or P-384, RSA of at
    /// least 2,048 bits, or Ed25519; not encrypted. `None` by default. Redis's `tls-key-file`.
    pub tls_key_file: Option<PathBuf>,
    /// File in PEM with the certificates of the CAs that sign clients' certificates. `None` by
    /// default. Redis's `tls-ca-cert-file`.
    pub tls_ca_cert_file: Option<PathBuf>,
    /// Folder with files of such certificates: `*.pem`, `*.crt`, and OpenSSL's hashed names such as
    /// `5ed36f99.0`. `None` by default. Redis's `tls-ca-cert-dir`.
    pub tls_ca_cert_dir: Option<PathBuf>,
    /// Whether TLS clients must present a certificate of one of these CAs; [`TlsAuthClients::Yes`]
    /// by default. Redis's `tls-auth-clients`.
    pub tls_auth_clients: TlsAuthClients,
    /// Versions of TLS that clients may use; [`TlsProtocols::Both`] by default. Redis's
    /// `tls-protocols`.
    pub tls_protocols: TlsProtocols,
    /// Whether clients may resume a session, by a ticket, without a whole handshake. True by
    /// default. Redis's `tls-session-caching`.
    pub tls_session_caching: bool,
    /// Seconds that a TLS handshake may take, 1 to 3,600; 10 by default.
    pub tls_handshake_timeout_s: u32,
    /// Seconds between two checks whether a file with certificates or the key has changed, up to
    /// 2,147,483,647. A changed file is loaded. 0, the default, means no checks. Valkey's
    /// `tls-auto-reload-interval`.
    pub tls_auto_reload_interval_s: u32,
    /// Clients that may be connected at once, 1 to 1,000,000; further clients are refused. 10,000
    /// by default. Redis's `maxclients`.
    pub maxclients: usize,
    /// Clients from one IP address that may be connected at once, up to 1,000,000; further clients
    /// are refused. 0, the default, means no limit except [`maxclients`](Self::maxclients). All
    /// clients of one NAT have the same address, and all of one proxy unless
    /// [`proxy_protocol_from`](Self::proxy_protocol_from) has it.
    pub maxclients_per_address: usize,
    /// Whether clients from other machines are refused while [`requirepass`](Self::requirepass) is
    /// not set, and logins are not checked by [`Commands::on_auth`](crate::Commands::on_auth). True
    /// by default. Redis's `protected-mode`.
    pub protected_mode: bool,
    /// Addresses and networks of proxies, at most 256 of them. A connection from there must begin
    /// with a PROXY header, of version 1 or 2, and has the address in it: for limits, logs and
    /// hooks as well. From elsewhere, no header is expected or accepted. None by default.
    ///
    /// A proxy can claim any address, such as 127.0.0.1, which counts as local. A connection of the
    /// proxy itself (LOCAL or UNKNOWN, as its health checks send it) keeps the proxy's address.
    pub proxy_protocol_from: Vec<Network>,
    /// Seconds after which a connection is closed if its PROXY header is not whole, 1 to 3,600. 10
    /// by default.
    pub proxy_protocol_timeout_s: u32,
    /// A client that sends no byte for this many seconds is closed, unless it is subscribed or
    /// paused. Up to 2,147,483,647; 0, the default, means no limit. Redis's `timeout`.
    pub timeout_s: u32,
    /// Seconds after which a new client is closed if it has sent nothing, up to 2,147,483,647. 0,
    /// the default, means no limit, because connection pools often open connections in advance.
    pub first_byte_timeout_s: u32,
    /// A client is closed if an incomplete request gets no byte for this many seconds, up to
    /// 2,147,483,647. 30 by default; 0 means no limit. The whole request may take this long plus
    /// the time that its bytes earn: one second for each of the first 600 bytes, then one for each
    /// 1,024 bytes.
    pub request_timeout_s: u32,
    /// Seconds without progress on its pending output after which a write-blocked client is closed,
    /// up to 2,147,483,647. 60 by default; 0 means no limit. A client is write-blocked, and its
    /// requests are not read, while more output is pending than
    /// [`pending_output_per_client`](Self::pending_output_per_client) or
    /// [`pending_output_total`](Self::pending_output_total) allows.
    pub write_timeout_s: u32,
    /// Seconds without progress on its pending output after which a client that is not
    /// write-blocked is closed, up to 2,147,483,647. 600 by default; 0 means no limit.
    pub pending_output_timeout_s: u32,
    /// Length of the kernel's queue of connections that are not accepted yet, 1 to 65,535; 511 by
    /// default. The kernel may use a lower value (Linux: `net.core.somaxconn`). Redis's
    /// `tcp-backlog`.
    pub tcp_backlog: u32,
    /// Whether other servers of the same user may listen on the same ports, if they set this too:
    /// on [`port`](Self::port) and [`tls_port`](Self::tls_port), not on
    /// [`http_port`](Self::http_port). The kernel spreads new connections over the servers. False
    /// by default. Needs Linux (`SO_REUSEPORT`); elsewhere, true is an error. Sockets that are
    /// given to [`Server::from_listeners`](crate::Server::from_listeners) stay as they are.
    pub reuse_port: bool,
    /// Seconds without traffic after which the kernel checks that the peer still exists, up to
    /// 32,767, the kernel's limit for `TCP_KEEPIDLE` (`tcp(7)`). 300 by default; 0 means never.
    /// Redis's `tcp-keepalive`.
    pub tcp_keepalive_s: u32,
    /// Bytes of the longest argument that a request may have, 1 KiB to 1 GiB; 512 MiB by default. A
    /// longer one is a protocol error. Redis's `proto-max-bulk-len`.
    pub proto_max_bulk_len: usize,
    /// Bytes of memory that one request may occupy, including the table of its arguments, 1 MiB to
    /// 1 GiB; 1 GiB by default. More is a protocol error. Redis's `client-query-buffer-limit`.
    pub client_query_buffer_limit: usize,
    /// Bytes of pending output above which a client is write-blocked: its requests are not read
    /// until half of the output is sent. 256 MiB by default. Each client has a reserve of 64 KiB; a
    /// client that has not authenticated has only that.
    pub pending_output_per_client: usize,
    /// Bytes of pending output of all clients, without their reserves, above which clients with
    /// more than their reserve are write-blocked. 0, the default, means a quarter of the memory
    /// that the machine has or the process may use.
    pub pending_output_total: usize,
    /// Bytes of pending output above which a client is closed, for each class of clients. Redis's
    /// `client-output-buffer-limit`.
    pub client_output_buffer_limit: OutputLimits,
    /// Bytes of memory that all clients together may hold, without what each takes even when idle,
    /// up to [`i64::MAX`]. Above that, the largest clients are closed first. 0, the default, means
    /// no limit. Redis's `maxmemory-clients`.
    pub maxmemory_clients: u64,
    /// Milliseconds that a drain (an orderly stop) may take before the remaining clients are
    /// closed, up to 3,600,000 (an hour). 1,000 by default; 0 closes all clients at once.
    pub drain_timeout_ms: u32,
    /// Milliseconds for which the server goes on accepting and serving after a drain was requested,
    /// up to 3,600,000 (an hour). Meanwhile it is not ready, so that load balancers send new
    /// clients elsewhere. 0, the default, means no delay.
    pub drain_delay_ms: u32,
    /// Milliseconds after which a handler that has not returned counts as stuck, 100 to 3,600,000;
    /// 10,000 by default. If the handlers of all workers are stuck, the server is not
    /// ready.
    pub stuck_worker_ms: u32,
    /// TCP port of the operations listener, which answers HTTP: metrics, health and a live page. 0,
    /// the default, means none. Needs the feature `http`.
    pub http_port: u16,
    /// IP addresses of the operations listener, up to 16. Default: `127.0.0.1` and, if the machine
    /// has it, `::1`. It asks for no password.
    pub http_bind: Vec<BindAddress>,
    /// Names of this machine that a URL of the operations listener may have, up to 64, besides IP
    /// addresses and `localhost`. Requests for other names are refused, because a page from
    /// elsewhere may have made a browser send them (DNS rebinding). None by default.
    pub http_hosts: Vec<HostName>,
    /// Least important level of the lines that are logged; [`LogLevel::Notice`] by default. Redis's
    /// `loglevel`. The library does not read it: the logger that the program sets decides.
    pub loglevel: LogLevel,
    /// File to append the log to. `None`, the default, means standard output. Redis's `logfile`.
    /// The library does not read it.
    pub logfile: Option<PathBuf>,
    /// How lines of the log are written; [`LogFormat::Text`] by default. The library does not read
    /// it.
    pub log_format: LogFormat,
    /// Password that a client must send with AUTH or HELLO before it may do anything else, 1 to
    /// 512 bytes. `None`, the default, means no password. Not used if
    /// [`Commands::on_auth`](crate::Commands::on_auth) is set. Redis's `requirepass`.
    pub requirepass: Option<String>,
    /// File that [`requirepass`](Self::requirepass) was read from, or `None` if it has another
    /// source. `Config::from_file` and `CommandLine` read the file, without one newline at its end.
    /// The server does not read the file; it refuses a configuration that has this, but no
    /// `requirepass`.
    pub requirepass_file: Option<PathBuf>,
    /// Microseconds that a command must take for SLOWLOG to record it. 10,000 by default; 0 records
    /// every command, and a negative number (in a file: -1) records none. PUBLISH requests that run
    /// as one burst have the mean of their times. Redis's `slowlog-log-slower-than`.
    pub slowlog_log_slower_than_us: i64,
    /// Commands that SLOWLOG keeps, the latest ones, up to 1,000,000; 128 by default. Redis has no
    /// upper limit; here, one prevents a typing error from using all memory, because an entry may
    /// take 4 KiB. Redis's `slowlog-max-len`.
    pub slowlog_max_len: usize,
    /// Whether the latency of each command is recorded, for INFO and LATENCY HISTOGRAM. True by
    /// default. Redis's `latency-tracking`.
    pub latency_tracking: bool,
    /// Percentiles of each command's latency that INFO shows, at most 100 of them; 50, 99 and 99.9
    /// by default. Redis's `latency-tracking-info-percentiles`.
    pub latency_tracking_info_percentiles: Vec<Percentile>,
    /// Milliseconds that an event must take for LATENCY to record it, up to [`i64::MAX`]. 0, the
    /// default, records none. Redis's `latency-monitor-threshold`.
    pub latency_monitor_threshold_ms: u64,
    /// Clients that may use DEBUG; [`DebugAccess::No`] by default. Redis's `enable-debug-command`.
    pub enable_debug_command: DebugAccess,
}

impl Config {
    /// Maximum number of worker threads, far above what any machine can use.
    pub const WORKERS_MAX: usize = 1_024;

    /// Returns the number of worker threads to run, at least 1: [`workers`](Self::workers), or one
    /// per CPU if that is 0.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => num_cpus::get().max(1),
            chosen => chosen,
        }
    }

    /// Returns whether a socket with this local address speaks TLS.
    pub(crate) fn speaks_tls(&self, local_addr: &SocketAddr) -> bool {
        self.tls_port != 0 && local_addr.port() == self.tls_port
    }

    /// Returns the addresses to listen on for TLS; none if `tls-port` is 0.
    pub(crate) fn tls_addresses(&self) -> Vec<BindAddress> {
        if self.tls_port == 0 {
            Vec::new()
        } else if !self.tls_bind.is_empty() {
            self.tls_bind.clone()
        } else if !self.bind.is_empty() {
            self.bind.clone()
        } else {
            loopback()
        }
    }

    /// Returns the addresses of the operations listener; none if `http-port` is 0.
    pub(crate) fn http_addresses(&self) -> &[BindAddress] {
        match self.http_port {
            0 => &[],
            _ => &self.http_bind,
        }
    }

    /// Returns the limit of all clients' pending output: [`pending_output_total`], or a quarter of
    /// the memory if that is 0.
    ///
    /// [`pending_output_total`]: Self::pending_output_total
    pub(crate) fn pending_output_total_bytes(&self) -> usize {
        match self.pending_output_total {
            0 => memory::allowed_bytes().map_or(PENDING_OUTPUT_FALLBACK, |bytes| bytes / 4),
            chosen => chosen,
        }
    }
}

/// Limit of all pending output if the system does not report its memory.
const PENDING_OUTPUT_FALLBACK: usize = 512 << 20;

/// Returns 127.0.0.1 and, if the machine has it, `::1`.
fn loopback() -> Vec<BindAddress> {
    let address = |address, optional| BindAddress { address, optional };
    vec![
        address(Ipv4Addr::LOCALHOST.into(), false),
        address(Ipv6Addr::LOCALHOST.into(), true),
    ]
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 0,
            bind: loopback(),
            port: 6379,
            unixsocket: None,
            unixsocketperm: 0,
            tls_port: 0,
            tls_bind: Vec::new(),
            tls_cert_file: None,
            tls_key_file: None,
            tls_ca_cert_file: None,
            tls_ca_cert_dir: None,
            tls_auth_clients: TlsAuthClients::Yes,
            tls_protocols: TlsProtocols::Both,
            tls_session_caching: true,
            tls_handshake_timeout_s: 10,
            tls_auto_reload_interval_s: 0,
            maxclients: 10_000,
            maxclients_per_address: 0,
            protected_mode: true,
            proxy_protocol_from: Vec::new(),
            proxy_protocol_timeout_s: 10,
            timeout_s: 0,
            first_byte_timeout_s: 0,
            request_timeout_s: 30,
            write_timeout_s: 60,
            pending_output_timeout_s: 600,
            tcp_backlog: 511,
            reuse_port: false,
            tcp_keepalive_s: 300,
            proto_max_bulk_len: 512 << 20,
            client_query_buffer_limit: 1 << 30,
            pending_output_per_client: 256 << 20,
            pending_output_total: 0,
            client_output_buffer_limit: OutputLimits::default(),
            maxmemory_clients: 0,
            drain_timeout_ms: 1_000,
            drain_delay_ms: 0,
            stuck_worker_ms: 10_000,
            http_port: 0,
            http_bind: loopback(),
            http_hosts: Vec::new(),
            loglevel: LogLevel::Notice,
            logfile: None,
            log_format: LogFormat::Text,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_workers_means_one_per_cpu() {
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
