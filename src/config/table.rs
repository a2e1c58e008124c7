//! The table of keys, one row each. `keys.rs` makes [`KEYS`](super::KEYS) of it, for CONFIG;
//! `sources/settings.rs` makes `Settings`, for the file and the command line.
//!
//! A row has
//!
//! - the key's line in `--help`: at most 70 characters, with the range and, last, the default;
//! - its name and the field of [`Config`](super::Config) that it sets;
//! - its type, which knows the range, the unit and each notation;
//! - the name of its value in `--help`, and when it can change.
//!
//! `Config` documents the field; `config/respool.toml` is the operator's manual.

/// Passes the rows to the macro `$callback`, whose file imports the types.
macro_rules! each_key {
    ($callback:ident) => {
        $callback! {
            /// Worker threads, 0 to 1024; 0 means one per CPU [default: 0]
            "workers" sets workers: Number<usize, 0, { Config::WORKERS_MAX as i64 }>,
                shown as "N", changes Anytime;

            /// IP addresses, up to 16; -IP may be missing [default: 127.0.0.1 -::1]
            #[expect(clippy::doc_markdown, reason = "a line of the help, where backticks are noise")]
            "bind" sets bind: BindAddresses,
                shown as "IP...", changes AtStart;

            /// TCP port, 0 to 65535; 0 means any free port [default: 6379]
            "port" sets port: Number<u16, 0, 65_535>,
                shown as "N", changes AtStart;

            /// Path of a Unix socket, or @NAME; "" means none [default: ""]
            "unixsocket" sets unixsocket: OptionalPath,
                shown as "PATH", changes AtStart;

            /// Its permissions, as for chmod; 0 means the umask [default: 0]
            "unixsocketperm" sets unixsocketperm: Permissions,
                shown as "OCTAL", changes AtStart;

            /// TCP port for TLS, 0 to 65535; 0 means no TLS [default: 0]
            "tls-port" sets tls_port: Number<u16, 0, 65_535>,
                shown as "N", changes AtStart;

            /// IP addresses for TLS, up to 16; "" means those of bind [default: ""]
            "tls-bind" sets tls_bind: BindAddresses,
                shown as "IP...", changes AtStart;

            /// File with the server's certificate, in PEM [default: ""]
            "tls-cert-file" sets tls_cert_file: OptionalPath,
                shown as "PATH", changes WithCertificates;

            /// File with the certificate's private key, in PEM [default: ""]
            "tls-key-file" sets tls_key_file: OptionalPath,
                shown as "PATH", changes WithCertificates;

            /// File with the CAs of clients' certificates, in PEM [default: ""]
            "tls-ca-cert-file" sets tls_ca_cert_file: OptionalPath,
                shown as "PATH", changes WithCertificates;

            /// Folder with files of such CAs [default: ""]
            "tls-ca-cert-dir" sets tls_ca_cert_dir: OptionalPath,
                shown as "PATH", changes WithCertificates;

            /// Clients need a certificate: yes, no or optional [default: yes]
            "tls-auth-clients" sets tls_auth_clients: TlsAuthClients,
                shown as "WORD", changes WithCertificates;

            /// TLSv1.2, TLSv1.3 or both; "" means both [default: ""]
            "tls-protocols" sets tls_protocols: TlsProtocols,
                shown as "VERSION...", changes WithCertificates;

            /// Let clients resume sessions, by tickets [default: yes]
            "tls-session-caching" sets tls_session_caching: Flag,
                shown as "YES|NO", changes WithCertificates;

            /// Time that a handshake may take, 1 to 3600 [default: 10]
            "tls-handshake-timeout" sets tls_handshake_timeout_s: Number<u32, 1, 3_600, Seconds>,
                shown as "SECONDS", changes Anytime;

            /// Time between checks for changed certificates; 0 = off [default: 0]
            "tls-auto-reload-interval" sets tls_auto_reload_interval_s:
                Number<u32, 0, 2_147_483_647, Seconds>,
                shown as "SECONDS", changes Anytime;

            /// Connected clients, 1 to 1000000 [default: 10000]
            "maxclients" sets maxclients: Number<usize, 1, 1_000_000>,
                shown as "N", changes Anytime;

            /// Clients of one IP, 0 to 1000000; 0 means no limit [default: 0]
            "maxclients-per-address" sets maxclients_per_address: Number<usize, 0, 1_000_000>,
                shown as "N", changes Anytime;

            /// Refuse other machines while no password is set [default: yes]
            "protected-mode" sets protected_mode: Flag,
                shown as "YES|NO", changes Anytime;

            /// Networks that send a PROXY header; "" means none [default: ""]
            "proxy-protocol-from" sets proxy_protocol_from: Networks,
                shown as "NETWORK...", changes Anytime;

            /// Time that this header may take, 1 to 3600 [default: 10]
            "proxy-protocol-timeout" sets proxy_protocol_timeout_s: Number<u32, 1, 3_600, Seconds>,
                shown as "SECONDS", changes Anytime;

            /// Time without a byte from a client [default: 0]
            "timeout" sets timeout_s: Number<u32, 0, 2_147_483_647, Seconds>,
                shown as "SECONDS", changes Anytime;

            /// Time until a new client sends a byte [default: 0]
            "first-byte-timeout" sets first_byte_timeout_s: Number<u32, 0, 2_147_483_647, Seconds>,
                shown as "SECONDS", changes Anytime;

            /// Time without progress on an incomplete request [default: 30]
            "request-timeout" sets request_timeout_s: Number<u32, 0, 2_147_483_647, Seconds>,
                shown as "SECONDS", changes Anytime;

            /// Time without progress while write-blocked [default: 60]
            "write-timeout" sets write_timeout_s: Number<u32, 0, 2_147_483_647, Seconds>,
                shown as "SECONDS", changes Anytime;

            /// Time without progress on other pending output [default: 600]
            "pending-output-timeout" sets pending_output_timeout_s:
                Number<u32, 0, 2_147_483_647, Seconds>,
                shown as "SECONDS", changes Anytime;

            /// Kernel's queue of new connections, 1 to 65535 [default: 511]
            "tcp-backlog" sets tcp_backlog: Number<u32, 1, 65_535>,
                shown as "N", changes AtStart;

            /// Share the ports with other servers of this user [default: no]
            "reuse-port" sets reuse_port: Flag,
                shown as "YES|NO", changes AtStart;

            /// Time to the kernel's keepalive probe, 0 to 32767 [default: 300]
            "tcp-keepalive" sets tcp_keepalive_s: Number<u32, 0, 32_767, Seconds>,
                shown as "SECONDS", changes Anytime;

            /// Longest argument of a request, 1kb to 1gb [default: 512mb]
            "proto-max-bulk-len" sets proto_max_bulk_len: Number<usize, 1_024, { 1 << 30 }, Bytes>,
                shown as "BYTES", changes Anytime;

            /// Memory of one request, 1mb to 1gb [default: 1gb]
            "client-query-buffer-limit" sets client_query_buffer_limit:
                Number<usize, { 1 << 20 }, { 1 << 30 }, Bytes>,
                shown as "BYTES", changes Anytime;

            /// Unsent replies before a client is write-blocked [default: 256mb]
            "pending-output-per-client" sets pending_output_per_client:
                Number<usize, 0, { i64::MAX }, Bytes>,
                shown as "BYTES", changes Anytime;

            /// The same for all; 0 means a quarter of the memory [default: 0]
            "pending-output-total" sets pending_output_total: Number<usize, 0, { i64::MAX }, Bytes>,
                shown as "BYTES", changes Anytime;

            /// Class, hard, soft, seconds [default: normal 0 0 0 pubsub 32mb 8mb 60]
            "client-output-buffer-limit" sets client_output_buffer_limit: OutputLimits,
                shown as "LIMITS", changes Anytime;

            /// Memory of all clients; 0 means no limit [default: 0]
            "maxmemory-clients" sets maxmemory_clients: Number<u64, 0, { i64::MAX }, Bytes>,
                shown as "BYTES", changes Anytime;

            /// Milliseconds that a stop may take, 0 to 3600000 [default: 1000]
            "drain-timeout-ms" sets drain_timeout_ms: Number<u32, 0, 3_600_000, Milliseconds>,
                shown as "MS", changes Anytime;

            /// Milliseconds before a stop begins, 0 to 3600000 [default: 0]
            "drain-delay-ms" sets drain_delay_ms: Number<u32, 0, 3_600_000, Milliseconds>,
                shown as "MS", changes Anytime;

            /// Handlers that take longer are stuck, 100 to 3600000 [default: 10000]
            "stuck-worker-ms" sets stuck_worker_ms: Number<u32, 100, 3_600_000, Milliseconds>,
                shown as "MS", changes Anytime;

            /// TCP port for metrics and health, 0 to 65535; 0 = none [default: 0]
            "http-port" sets http_port: Number<u16, 0, 65_535>,
                shown as "N", changes AtStart;

            /// IP addresses for them, up to 16 [default: 127.0.0.1 -::1]
            #[expect(clippy::doc_markdown, reason = "a line of the help, where backticks are noise")]
            "http-bind" sets http_bind: BindAddresses,
                shown as "IP...", changes AtStart;

            /// Names of this machine in their URLs; "*" means any [default: ""]
            "http-hosts" sets http_hosts: HostNames,
                shown as "NAME...", changes AtStart;

            /// debug, verbose, notice, warning or nothing [default: notice]
            "loglevel" sets loglevel: LogLevel,
                shown as "LEVEL", changes Anytime;

            /// File to append the log to; "" means standard output [default: ""]
            "logfile" sets logfile: OptionalPath,
                shown as "PATH", changes OnReload;

            /// How lines of the log are written: text or json [default: text]
            "log-format" sets log_format: LogFormat,
                shown as "WORD", changes OnReload;

            /// Password for AUTH; `ps` shows it to every user [default: ""]
            "requirepass" sets requirepass: Password,
                shown as "TEXT", changes Anytime;

            /// File that contains the password; "" means none [default: ""]
            "requirepass-file" sets requirepass_file: OptionalPath,
                shown as "PATH", changes OnReload;

            /// Microseconds of a slow command; 0 all, -1 none [default: 10000]
            "slowlog-log-slower-than" sets slowlog_log_slower_than_us:
                Number<i64, -1, { i64::MAX }, Microseconds>,
                shown as "N", changes Anytime;

            /// Slow commands to keep, 0 to 1000000 [default: 128]
            "slowlog-max-len" sets slowlog_max_len: Number<usize, 0, 1_000_000>,
                shown as "N", changes Anytime;

            /// Record the latency of each command [default: yes]
            "latency-tracking" sets latency_tracking: Flag,
                shown as "YES|NO", changes Anytime;

            /// Percentiles in INFO, 0 to 100 [default: 50 99 99.9]
            "latency-tracking-info-percentiles" sets latency_tracking_info_percentiles: Percentiles,
                shown as "P...", changes Anytime;

            /// Milliseconds of an event for LATENCY; 0 means none [default: 0]
            "latency-monitor-threshold" sets latency_monitor_threshold_ms:
                Number<u64, 0, { i64::MAX }, Milliseconds>,
                shown as "MS", changes Anytime;

            /// Clients that may use DEBUG: no, local or yes [default: no]
            "enable-debug-command" sets enable_debug_command: DebugAccess,
                shown as "WHO", changes AtStart;
        }
    };
}

pub(super) use each_key;
