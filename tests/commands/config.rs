//! CONFIG: its values, its changes and its errors.
//!
//! The replies were compared with redis-server 7.0.15, except for keys and ranges of our own.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use parking_lot::Mutex;

use respool::{Arity, Commands, Config, Host, Server};
use respool_testing::{PATIENCE, Peer, TestServer, config, eventually};

const OK: &str = "+OK\r\n";

/// Returns Redis's error for a directive that cannot be set.
fn refused(name: &str, reason: &str) -> String {
    format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}\r\n")
}

fn unknown(name: &str) -> String {
    format!("-ERR Unknown option or number of arguments for CONFIG SET - '{name}'\r\n")
}

/// Expects this value from CONFIG GET.
#[track_caller]
fn assert_value(peer: &mut Peer, name: &str, value: &str) {
    let reply = format!(
        "*2\r\n${}\r\n{name}\r\n${}\r\n{value}\r\n",
        name.len(),
        value.len()
    );
    peer.ask(format!("CONFIG GET {name}\r\n"), reply);
}

/// Expects this reply to `CONFIG SET` with these words.
#[track_caller]
fn assert_set(peer: &mut Peer, words: &str, reply: impl AsRef<[u8]>) {
    peer.ask(format!("CONFIG SET {words}\r\n"), reply);
}

#[test]
fn config_get_shows_a_changed_value() {
    let server = TestServer::start(2);
    let mut peer = server.connect();
    for (name, argument, shown) in [
        ("workers", "3", "3"),
        ("maxclients", "100", "100"),
        ("timeout", "60", "60"),
        ("tcp-keepalive", "0", "0"),
        ("proto-max-bulk-len", "1mb", "1048576"),
        ("drain-timeout-ms", "5", "5"),
        ("drain-delay-ms", "20", "20"),
        ("stuck-worker-ms", "100", "100"),
        ("loglevel", "WARNING", "warning"),
        ("requirepass", "secret", "secret"),
        ("requirepass", "\"\"", ""),
        ("slowlog-log-slower-than", "-1", "-1"),
        ("slowlog-max-len", "0", "0"),
        ("latency-tracking", "No", "no"),
        (
            "latency-tracking-info-percentiles",
            "\"50.0 99.99\"",
            "50 99.99",
        ),
        ("latency-tracking-info-percentiles", "\"\"", ""),
        ("latency-monitor-threshold", "100", "100"),
        ("tls-cert-file", "a.crt", "a.crt"),
        ("tls-auth-clients", "OPTIONAL", "optional"),
        ("tls-protocols", "tlsv1.3", "TLSv1.3"),
        ("tls-protocols", "\"TLSv1.2 TLSv1.3\"", ""),
        ("tls-handshake-timeout", "3600", "3600"),
    ] {
        assert_set(&mut peer, &format!("{name} {argument}"), OK);
        assert_value(&mut peer, name, shown);
    }
}

#[test]
fn every_default_can_be_set_or_is_immutable() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    for (name, default) in [
        ("slowlog-log-slower-than", "10000"),
        ("slowlog-max-len", "128"),
        ("latency-tracking", "yes"),
        ("latency-tracking-info-percentiles", "50 99 99.9"),
        ("latency-monitor-threshold", "0"),
        ("requirepass", ""),
        ("save", ""),
        ("appendonly", "no"),
        ("maxmemory", "0"),
        ("maxmemory-policy", "noeviction"),
        ("replica-read-only", "yes"),
        ("tls-key-file", ""),
        ("tls-ca-cert-file", ""),
        ("tls-ca-cert-dir", ""),
        ("tls-auth-clients", "yes"),
        ("tls-session-caching", "yes"),
        ("tls-auto-reload-interval", "0"),
    ] {
        assert_value(&mut peer, name, default);
        assert_set(&mut peer, &format!("{name} \"{default}\""), OK);
    }
    for (name, value) in [
        ("bind", "127.0.0.1"),
        ("port", "0"),
        ("tls-port", "0"),
        ("tls-bind", ""),
        ("tcp-backlog", "511"),
        ("reuse-port", "no"),
        ("logfile", ""),
        ("log-format", "text"),
        ("http-port", "0"),
        ("http-bind", "127.0.0.1 -::1"),
        ("http-hosts", ""),
        ("requirepass-file", ""),
        ("enable-debug-command", "no"),
        ("databases", "16"),
        ("cluster-enabled", "no"),
    ] {
        assert_value(&mut peer, name, value);
        let reply = refused(name, "can't set immutable config");
        assert_set(&mut peer, &format!("{name} \"{value}\""), reply);
    }
}

#[test]
fn directive_that_cannot_be_honoured_is_refused_with_why() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    for (name, value, reason) in [
        ("tls-ciphers", "DEFAULT", "the ciphers cannot be chosen: "),
        ("tls-ciphersuites", "x", "the ciphers cannot be chosen: "),
        (
            "tls-prefer-server-ciphers",
            "no",
            "the server always prefers ",
        ),
        ("tls-dh-params-file", "x", "keys are exchanged by elliptic "),
        (
            "tls-key-file-pass",
            "hunter2",
            "encrypted keys are not supported: ",
        ),
        (
            "tls-client-cert-file",
            "x",
            "respool connects to no other server",
        ),
        ("tls-cluster", "yes", "respool connects to no other server"),
        (
            "tls-session-cache-size",
            "20480",
            "the server keeps no cache ",
        ),
        (
            "tls-protocols",
            "TLSv1.1",
            "argument must be TLSv1.2, TLSv1.3 ",
        ),
    ] {
        peer.send(format!("CONFIG SET {name} {value}\r\n"));
        let reply = peer.line();
        let start = refused(name, reason);
        assert!(reply.starts_with(start.trim_end()), "{reply}");
        assert!(!reply.contains("hunter2"), "{reply}");
    }
    assert_set(&mut peer, "tls-key-file-pass \"\" tls-replication no", OK);
    peer.ask("CONFIG GET tls-replication\r\n", "*0\r\n");
}

/// Clients of Spring, Celery and `BullMQ` set these when they start.
#[test]
fn directives_without_effect_are_kept_for_config_get() {
    let server = TestServer::start(2);
    let (mut peer, mut other) = (server.connect(), server.connect());
    for (name, value, shown) in [
        ("notify-keyspace-events", "Egx", "gxE"),
        ("stop-writes-on-bgsave-error", "no", "no"),
        ("maxmemory", "100mb", "104857600"),
        ("maxmemory-policy", "allkeys-lru", "allkeys-lru"),
        ("save", "\"3600 1 300 100\"", "3600 1 300 100"),
        ("appendonly", "yes", "yes"),
        ("hz", "1000", "500"),
        ("lua-time-limit", "7", "7"),
        ("min-slaves-to-write", "1", "1"),
    ] {
        assert_set(&mut peer, &format!("{name} {value}"), OK);
        assert_value(&mut other, name, shown);
    }
    assert_value(&mut other, "busy-reply-threshold", "7");
    assert_value(&mut other, "min-replicas-to-write", "1");
    let memory = other.answer("INFO memory");
    assert!(memory.contains("\r\nmaxmemory:104857600\r\nmaxmemory_human:100.00M\r\n"));
    assert!(memory.contains("\r\nmaxmemory_policy:allkeys-lru\r\n"));
    // If one directive is invalid, none is set, in whatever order.
    for (words, reply) in [
        (
            "maxmemory 1 hz x",
            refused("hz", "argument couldn't be parsed into an integer"),
        ),
        (
            "maxmemory 1 timeout -1",
            refused(
                "timeout",
                "argument must be between 0 and 2147483647 inclusive",
            ),
        ),
    ] {
        assert_set(&mut peer, words, reply);
        assert_value(&mut other, "maxmemory", "104857600");
    }
}

#[test]
fn config_set_changes_all_directives_or_none() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    assert_set(&mut peer, "timeout 5 TCP-KEEPALIVE 6 save \"\"", OK);
    assert_value(&mut peer, "timeout", "5");
    assert_value(&mut peer, "tcp-keepalive", "6");

    let integer = "argument couldn't be parsed into an integer";
    for (words, reply) in [
        (
            "timeout 7 tcp-keepalive x",
            refused("tcp-keepalive", integer),
        ),
        ("timeout 7 appendonly maybe", {
            refused("appendonly", "argument must be 'yes' or 'no'")
        }),
        ("timeout 7 nonsense 1", unknown("nonsense")),
        (
            "timeout 7 port 1",
            refused("port", "can't set immutable config"),
        ),
        (
            "timeout 7 maxclients 10001",
            refused(
                "maxclients",
                "The operating system is not able to handle the specified number of clients, \
                 try with 10000",
            ),
        ),
    ] {
        assert_set(&mut peer, words, reply);
        assert_value(&mut peer, "timeout", "5");
    }
}

#[test]
fn names_are_checked_before_values_and_first_error_wins() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let integer = "argument couldn't be parsed into an integer";
    let immutable = "can't set immutable config";
    let duplicate = "duplicate parameter";
    for (words, reply) in [
        ("timeout x nonsense 1", unknown("nonsense")),
        ("nonsense 1 port 2", unknown("nonsense")),
        ("port 2 nonsense 1", refused("port", immutable)),
        ("timeout x Port 2", refused("Port", immutable)),
        ("timeout x timeout 1 port 2", refused("timeout", duplicate)),
        ("timeout 1 TIMEOUT 1", refused("TIMEOUT", duplicate)),
        ("TIMEOUT x maxclients y", refused("timeout", integer)),
        ("maxclients y timeout x", refused("maxclients", integer)),
        ("save \"\" save \"\"", refused("save", duplicate)),
    ] {
        assert_set(&mut peer, words, reply);
    }
    for words in ["timeout 1 port", "nonsense 1 port"] {
        assert_set(&mut peer, words, "-ERR syntax error\r\n");
    }
    for words in ["", "timeout"] {
        let reply = "-ERR wrong number of arguments for 'config|set' command\r\n";
        assert_set(&mut peer, words, reply);
    }
}

#[test]
fn each_kind_of_invalid_value_has_its_error() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let percentiles = "latency-tracking-info-percentiles";
    for (name, value, reason) in [
        (
            "timeout",
            "-1",
            "argument must be between 0 and 2147483647 inclusive",
        ),
        (
            "slowlog-log-slower-than",
            "-2",
            "argument must be between -1 and 9223372036854775807 inclusive",
        ),
        (
            "proto-max-bulk-len",
            "lots",
            "argument must be a memory value",
        ),
        (
            "proto-max-bulk-len",
            "1",
            "argument must be between 1024 and 1073741824 inclusive",
        ),
        (
            "loglevel",
            "loud",
            "argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
        ),
        ("latency-tracking", "true", "argument must be 'yes' or 'no'"),
        (
            percentiles,
            "\"50 x\"",
            "Invalid latency-tracking-info-percentiles parameters",
        ),
        (
            percentiles,
            "\"50  99\"",
            "Invalid latency-tracking-info-percentiles parameters",
        ),
        (
            percentiles,
            "100.1",
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        ),
        ("requirepass", "\"\\xff\"", "argument must be UTF-8"),
        ("save", "\"900 1 60\"", "Invalid save parameters"),
    ] {
        assert_set(&mut peer, &format!("{name} {value}"), refused(name, reason));
    }
    let longest = "x".repeat(512);
    assert_set(&mut peer, &format!("requirepass {longest}"), OK);
    let reason = "argument must have at most 512 bytes";
    let reply = refused("requirepass", reason);
    assert_set(&mut peer, &format!("requirepass {longest}x"), reply);
}

#[test]
fn unknown_name_is_quoted_up_to_a_nul() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let long = "x".repeat(129);
    assert_set(&mut peer, &format!("{long} 1"), unknown(&long));
    assert_set(&mut peer, "\"a\\x00b\" 1", unknown("a"));
    assert_set(&mut peer, "\"a\\r\\nb\" 1", unknown("a  b"));
}

#[test]
fn config_set_takes_effect() {
    let server = TestServer::start(1);
    let mut peer = server.connect();

    assert_set(&mut peer, "workers 3", OK);
    eventually("three workers", || server.handle.workers() == 3);
    assert_set(&mut peer, "workers 1", OK);
    eventually("one worker", || server.handle.workers() == 1);

    assert_set(&mut peer, "maxclients 1", OK);
    server
        .connect()
        .expect("-ERR max number of clients reached\r\n");

    assert_set(&mut peer, "proto-max-bulk-len 1kb", OK);
    peer.send("*2\r\n$4\r\nECHO\r\n$1025\r\n");
    peer.expect("-ERR Protocol error: invalid bulk length\r\n");
}

#[test]
fn handle_and_config_set_change_the_same_config() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    assert_set(&mut peer, "timeout 5 maxclients 50", OK);
    let other = Config {
        maxclients: 9_000,
        slowlog_max_len: 3,
        ..config(1)
    };
    server.handle.reconfigure(&other).expect("nothing is fixed");
    assert_value(&mut peer, "timeout", "0");
    assert_value(&mut peer, "maxclients", "9000");
    assert_value(&mut peer, "slowlog-max-len", "3");
    assert_set(&mut peer, "maxclients 10000", OK);
}

#[test]
fn handle_can_change_logfile_but_not_enable_debug_command() {
    let server = TestServer::start(1);
    let logfile = Config {
        logfile: Some("other.log".into()),
        ..config(1)
    };
    server.handle.reconfigure(&logfile).expect("not fixed");
    let debug = Config {
        enable_debug_command: respool::config::DebugAccess::Yes,
        ..config(1)
    };
    let error = server.handle.reconfigure(&debug).expect_err("fixed");
    let text = "`enable-debug-command` cannot change while the server runs; restart it";
    assert_eq!(error.to_string(), text);
}

#[test]
fn unusable_configuration_is_refused_at_start() {
    let unread = Config {
        requirepass_file: Some("secret".into()),
        ..config(1)
    };
    let covered = Config {
        bind: vec!["0.0.0.0".parse().unwrap(), "127.0.0.1".parse().unwrap()],
        ..config(1)
    };
    for (config, text) in [
        (
            unread,
            "`requirepass-file`: the password in it is missing: the program has not read the file",
        ),
        (
            covered,
            "`bind`: 0.0.0.0 includes 127.0.0.1, expected only one of the two",
        ),
    ] {
        let error = Server::check(&config).expect_err("it is checked");
        assert_eq!(error.to_string(), text);
        let error = Server::bind(config, Commands::builtin()).expect_err("it does not start");
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn handle_returns_the_configuration_in_force() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    assert_set(&mut peer, "timeout 5 requirepass secret", OK);
    let config = server.handle.config();
    assert_eq!(config.timeout_s, 5);
    assert_eq!(config.requirepass.as_deref(), Some("secret"));
}

#[test]
fn draining_server_refuses_config_set() {
    let mut commands = Commands::builtin();
    commands.register("DRAIN", Arity::Exactly(1), |session, _, reply| {
        session.server().drain();
        reply.simple("OK")
    });
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    // In one piece, so that all of it is received before the drain starts.
    peer.send("DRAIN\r\nCONFIG SET timeout 5\r\nCONFIG GET timeout\r\n");
    peer.expect("+OK\r\n-ERR CONFIG SET failed - the server drains\r\n");
    peer.expect("*2\r\n$7\r\ntimeout\r\n$1\r\n0\r\n");
    drop(peer);
    server.wait();
}

/// Returns the number of a field of INFO.
fn stat(peer: &mut Peer, name: &str) -> u64 {
    peer.send("INFO stats\r\n");
    let header = peer.line();
    let length: usize = header[1..].parse().expect(&header);
    let text = String::from_utf8(peer.bytes(length + 2)).expect("text");
    let mut lines = text.lines();
    let number = lines.find_map(|line| line.strip_prefix(&format!("{name}:")));
    number.expect(name).parse().expect(name)
}

#[test]
fn resetstat_zeroes_the_counts() {
    let server = TestServer::with(
        Config {
            maxclients: 1,
            ..config(1)
        },
        Commands::builtin(),
    );
    let mut peer = server.connect();
    peer.ask("PING\r\n".repeat(10_000), "+PONG\r\n".repeat(10_000));
    let refusal = "-ERR max number of clients reached\r\n";
    server.connect().expect(refusal);
    let counts = [
        ("total_connections_received", 2),
        ("rejected_connections", 1),
        ("total_commands_processed", 10_000),
        ("total_net_input_bytes", 60_000),
        ("total_net_output_bytes", 70_000),
    ];
    for (name, least) in counts {
        eventually(name, || stat(&mut peer, name) >= least);
    }
    peer.ask("CONFIG RESETSTAT\r\n", OK);
    for (name, least) in counts {
        let count = stat(&mut peer, name);
        assert!(count < least, "{name}: {count}");
    }
    server.connect().expect(refusal);
    eventually("one more was refused", || {
        stat(&mut peer, "rejected_connections") == 1
    });
    assert_eq!(stat(&mut peer, "total_connections_received"), 1);
}

/// The rate is the difference between two readings. The first may be from before the reset.
#[test]
fn resetstat_keeps_the_rate_correct() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let mut rate = || {
        let mut rate = 0;
        eventually("the rate is above zero", || {
            peer.ask("PING\r\n".repeat(100), "+PONG\r\n".repeat(100));
            rate = stat(&mut peer, "instantaneous_ops_per_sec");
            rate > 0
        });
        rate
    };
    rate();
    server.connect().ask("CONFIG RESETSTAT\r\n", OK);
    let rate = rate();
    assert!(rate < 1_000_000_000, "{rate}");
}

#[test]
fn resetstat_keeps_client_ids() {
    let server = TestServer::start(1);
    for id in 1..4 {
        let mut peer = server.connect();
        peer.ask("CLIENT ID\r\n", format!(":{id}\r\n"));
        peer.ask("CONFIG RESETSTAT\r\n", OK);
    }
}

/// A host that records its calls.
#[derive(Debug, Clone, Default)]
struct Program {
    file: Option<PathBuf>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Host for Program {
    fn config_changed(&self, config: &Config) {
        let text = format!("timeout {}", config.timeout_s);
        self.calls.lock().push(text);
    }

    fn config_file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    fn rewrite_config(&self, config: &Config) -> Result<(), Box<dyn Error + Send + Sync>> {
        let text = format!("rewrite {}", config.timeout_s);
        self.calls.lock().push(text);
        if config.timeout_s == 1 {
            return Err("no\nway".into());
        }
        Ok(())
    }
}

/// Returns a server with `program` as its host.
fn server_of(program: &Program) -> TestServer {
    let server = Server::bind(config(1), Commands::builtin()).expect("the server starts");
    TestServer::serve(server.with_host(program.clone()))
}

#[test]
fn host_sees_every_change_and_rewrites_the_current_config() {
    let program = Program {
        file: Some("a.toml".into()),
        ..Program::default()
    };
    let server = server_of(&program);
    let mut peer = server.connect();
    assert_set(&mut peer, "timeout 1", OK);
    let failed = "-ERR Rewriting config file: no way\r\n";
    peer.ask("CONFIG REWRITE\r\n", failed);
    let other = Config {
        timeout_s: 2,
        ..config(1)
    };
    server.handle.reconfigure(&other).expect("nothing is fixed");
    peer.ask("CONFIG REWRITE\r\n", OK);
    let nonsense = refused("timeout", "argument couldn't be parsed into an integer");
    assert_set(&mut peer, "timeout x", nonsense);
    let calls = ["timeout 1", "rewrite 1", "timeout 2", "rewrite 2"];
    assert_eq!(*program.calls.lock(), calls);
}

/// A host whose disk is slow.
#[derive(Debug)]
struct SlowProgram {
    begins: mpsc::Sender<()>,
    disk: Mutex<mpsc::Receiver<()>>,
}

impl Host for SlowProgram {
    fn config_changed(&self, _: &Config) {}

    fn config_file(&self) -> Option<&Path> {
        Some(Path::new("a.toml"))
    }

    fn rewrite_config(&self, _: &Config) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.begins.send(())?;
        Ok(self.disk.lock().recv_timeout(PATIENCE)?)
    }
}

#[test]
fn slow_rewrite_does_not_block_other_clients() {
    let (ready, disk) = mpsc::channel();
    let (begins, begun) = mpsc::channel();
    let program = SlowProgram {
        begins,
        disk: Mutex::new(disk),
    };
    let server = Server::bind(config(2), Commands::builtin()).expect("the server starts");
    let server = TestServer::serve(server.with_host(program));
    let (mut peer, mut other) = (server.connect(), server.connect());
    peer.send("CONFIG REWRITE\r\n");
    begun.recv_timeout(PATIENCE).expect("it begins");
    for _ in 0..100 {
        assert_set(&mut other, "timeout 5", OK);
        assert_value(&mut other, "timeout", "5");
    }
    ready.send(()).expect("it waits");
    peer.expect(OK);
}

/// Each CONFIG REWRITE waited for the one before it. One client per worker could stop the server
/// while a disk hung.
#[test]
fn rewrites_waiting_for_a_disk_leave_workers_free() {
    let (ready, disk) = mpsc::channel();
    let (begins, begun) = mpsc::channel();
    let program = SlowProgram {
        begins,
        disk: Mutex::new(disk),
    };
    let server = Server::bind(config(2), Commands::builtin()).expect("the server starts");
    let server = TestServer::serve(server.with_host(program));
    let (mut first, mut second) = (server.connect(), server.connect());
    first.send("CONFIG REWRITE\r\n");
    begun.recv_timeout(PATIENCE).expect("it begins");
    second.ask(
        "CONFIG REWRITE\r\n",
        "-ERR Rewriting config file: another CONFIG REWRITE has not ended yet\r\n",
    );
    second.ping();
    ready.send(()).expect("it waits");
    first.expect(OK);
}

#[test]
fn rewrite_without_a_host_file_is_an_error() {
    let none = "-ERR The server is running without a config file\r\n";
    let without_host = TestServer::start(1);
    without_host.connect().ask("CONFIG REWRITE\r\n", none);
    let program = Program::default();
    let server = server_of(&program);
    server.connect().ask("CONFIG REWRITE\r\n", none);
    assert_eq!(*program.calls.lock(), [""; 0]);
    server.connect().ask(
        "CONFIG REWRITE x\r\n",
        "-ERR wrong number of arguments for 'config|rewrite' command\r\n",
    );
}

#[test]
fn config_help_is_a_list_of_lines() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let help = "+CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n\
                +GET <parameter> [<parameter> ...]\r\n\
                +    Get the values of configuration parameters.\r\n\
                +HELP\r\n\
                +    Show helpful text about the different subcommands.\r\n\
                +RESETSTAT\r\n\
                +    Reset the stats returned by INFO.\r\n\
                +REWRITE\r\n\
                +    Rewrite the configuration file with the in memory configuration.\r\n\
                +SET <parameter> <value> [<parameter> <value> ...]\r\n\
                +    Set configuration parameters to the given values.\r\n";
    peer.ask("config help\r\n", format!("*11\r\n{help}"));
    peer.ask(
        "CONFIG HELP x\r\n",
        "-ERR wrong number of arguments for 'config|help' command\r\n",
    );
}

// Such a pattern of 8 MiB kept the lock of the configuration for 20 seconds.
#[test]
fn config_get_bounds_its_patterns() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    // No name ends with this character.
    let pattern = |length: usize| format!("*[{}", "#".repeat(length - 2));
    peer.ask(format!("CONFIG GET {}\r\n", pattern(1024)), "*0\r\n");
    let too_long = "-ERR a pattern has at most 1024 bytes\r\n";
    peer.ask(format!("CONFIG GET {}\r\n", pattern(1025)), too_long);
    let words = |count: usize| {
        let mut words = vec![&b"CONFIG"[..], b"GET"];
        words.extend(vec![&b"p[o]rt"[..]; count]);
        respool_testing::request(&words)
    };
    peer.send(words(1024));
    assert_eq!(peer.leaves().len(), 2);
    peer.ask(
        words(1025),
        "-ERR too many patterns, at most 1024 at once\r\n",
    );
}

/// As in Redis. Otherwise, a new limit for subscribers would take that of the others away.
#[test]
fn config_set_keeps_output_limits_that_are_not_named() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    for (limits, all) in [
        ("pubsub 7 8 9", "normal 0 0 0 pubsub 7 8 9"),
        ("normal 1mb 2 3", "normal 1048576 2 3 pubsub 7 8 9"),
        ("slave 4 5 6", "normal 1048576 2 3 pubsub 7 8 9"),
        ("", "normal 1048576 2 3 pubsub 7 8 9"),
    ] {
        let key = "client-output-buffer-limit";
        peer.ask(format!("CONFIG SET {key} \"{limits}\"\r\n"), OK);
        assert_eq!(peer.answers(&format!("CONFIG GET {key}")), [key, all]);
    }
}

#[test]
fn config_set_refuses_long_values_unread() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let limits = "normal 0 0 0 ".repeat(10_000);
    let request = respool_testing::request(&[
        b"CONFIG",
        b"SET",
        b"client-output-buffer-limit",
        limits.as_bytes(),
    ]);
    peer.ask(
        request,
        "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - \
         argument must have at most 65536 bytes\r\n",
    );
}
