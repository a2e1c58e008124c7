//! The configuration by a program: keys by name, and changes of a running server.

use std::thread;

use respool::{Commands, Config, ReconfigureError};
use respool_testing::{TestServer, config};

/// Returns the error of a value.
#[track_caller]
fn refusal(key: &str, value: &str) -> String {
    let mut config = Config::default();
    let error = config.set(key, value).expect_err("it is refused");
    assert_eq!(config, Config::default(), "nothing changes");
    error.to_string()
}

#[test]
fn values_are_set_by_the_names_of_their_keys() {
    let mut config = Config::default();
    for (key, value) in [
        ("MaxClients", "500"),
        ("proto-max-bulk-len", "64mb"),
        ("protected-mode", "false"),
        ("latency-tracking", "No"),
        ("bind", "127.0.0.1 -::1"),
        ("latency-tracking-info-percentiles", "50 99.9"),
        ("client-output-buffer-limit", "pubsub 2mb 1mb 1"),
        ("unixsocket", "/run/cache.sock"),
        ("unixsocketperm", "700"),
        ("requirepass", "secret"),
    ] {
        assert_eq!(config.set(key, value), Ok(()), "{key}");
    }
    assert_eq!((config.maxclients, config.unixsocketperm), (500, 0o700));
    assert_eq!(config.proto_max_bulk_len, 64 << 20);
    assert!(!config.protected_mode && !config.latency_tracking);
    assert_eq!(
        (
            config.bind.len(),
            config.latency_tracking_info_percentiles.len()
        ),
        (2, 2)
    );
    assert_eq!(config.client_output_buffer_limit.pubsub.soft_s, 1);
    assert_eq!(config.unixsocket, Some("/run/cache.sock".into()));
    assert_eq!(config.requirepass.as_deref(), Some("secret"));
}

#[test]
fn every_key_takes_the_default_that_debug_shows() {
    let shown = format!("{:?}", Config::default());
    for key in Config::keys() {
        let (_, rest) = shown.split_once(&format!(" {key}: \"")).expect(key);
        let (default, _) = rest.split_once('"').expect(key);
        let mut config = Config::default();
        assert_eq!(config.set(key, default), Ok(()), "{key}");
        assert_eq!(config, Config::default(), "{key}");
    }
    assert!(Config::keys().count() > 40);
    let is_offered = |name| Config::keys().any(|key| key == name);
    assert!(!is_offered("loglevel") && !is_offered("requirepass-file"));
}

#[test]
fn errors_say_what_would_be_right() {
    for (key, value, error) in [
        (
            "port",
            "70000",
            "`port` cannot be `70000`: expected a whole number from 0 to 65535",
        ),
        (
            "timeout",
            "",
            "`timeout` cannot be ``: expected a whole number of seconds from 0 to \
          2147483647",
        ),
        (
            "protected-mode",
            "on",
            "`protected-mode` cannot be `on`: expected yes or no",
        ),
        (
            "drain_timeout_ms",
            "5",
            "unknown key `drain_timeout_ms`, did you mean \
          `drain-timeout-ms`?",
        ),
        (
            "TIMEOUT_S",
            "5",
            "unknown key `TIMEOUT_S`, did you mean `timeout`?",
        ),
        (
            "spam\r\n",
            "5",
            "unknown key `spam`, expected one of `Config::keys()`",
        ),
        (
            "LogLevel",
            "debug",
            "`loglevel` has no effect: the library logs through the `log` \
          crate; set up its logger instead",
        ),
        (
            "tls-ciphers",
            "x",
            "`tls-ciphers` has no effect: the ciphers cannot be chosen: all of \
          them are authenticated and have forward secrecy; `tls-protocols` chooses the versions \
          of TLS",
        ),
    ] {
        assert_eq!(refusal(key, value), error);
    }
    let long = refusal(&"x".repeat(1000), "1");
    assert!(long.len() < 200, "{long}");
}

#[test]
fn errors_are_short_lines_whatever_the_value_is() {
    let long = "x".repeat(10_000);
    for key in Config::keys() {
        for value in ["\0", "a\nb", "1\n\u{1b}[31m2", &long] {
            let Err(error) = Config::default().set(key, value) else {
                continue;
            };
            let error = error.to_string();
            assert!(!error.contains(char::is_control), "{error:?}");
            assert!(error.len() < 1000, "{key}: {} bytes", error.len());
        }
    }
}

#[test]
fn password_is_in_no_error() {
    let secret = "qQ7".repeat(300);
    let error = refusal("requirepass", &secret);
    assert_eq!(
        error,
        "`requirepass` cannot be `(redacted)`: 900 bytes, expected at most 512"
    );
    let mut config = Config::default();
    let shown = format!("{:?}", config.set("requirepass", &secret));
    assert!(!shown.contains("qQ7"), "{shown}");
}

#[test]
fn update_keeps_what_a_client_has_set() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.ask("CONFIG SET timeout 5\r\n", "+OK\r\n");
    let maxclients = server.handle.update(|config| {
        config.workers = 2;
        config.maxclients
    });
    assert_eq!(
        maxclients.expect("it changes"),
        Config::default().maxclients
    );
    let config = server.handle.config();
    assert_eq!((config.timeout_s, config.workers), (5, 2));
    assert_eq!(server.handle.workers(), 2);
}

#[test]
fn update_with_a_wrong_value_changes_nothing() {
    let server = TestServer::start(1);
    let before = server.handle.config();
    let update = |key, value| server.handle.update(|config| config.set(key, value));
    assert!(update("timeout", "many").expect("it is applied").is_err());
    let error = update("port", "1").expect_err("it needs a restart");
    assert!(matches!(error, ReconfigureError::NeedsRestart("port")));
    let error = server.handle.update(|config| config.workers = 5_000);
    assert!(matches!(
        error,
        Err(ReconfigureError::Config { key: "workers", .. })
    ));
    assert_eq!(server.handle.config(), before);
}

#[test]
fn updates_at_the_same_time_lose_none() {
    let server = TestServer::with(config(1), Commands::builtin());
    let count = || {
        for _ in 0..50 {
            let added = server.handle.update(|config| config.timeout_s += 1);
            added.expect("it changes");
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(count);
        }
    });
    assert_eq!(server.handle.config().timeout_s, 200);
}
