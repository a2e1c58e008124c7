//! The directives that commands read while serving. Those of the server's threads are in
//! `server/live_settings.rs`.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use constant_time_eq::constant_time_eq_32;
use hmac_sha256::Hash;
use parking_lot::Mutex;

use crate::config::{Config, OutputLimit};

/// A copy of some directives, so that no command waits for a change of the configuration.
#[derive(Debug, Default)]
pub(crate) struct CommandSettings {
    requires_password: AtomicBool,
    /// The program checks logins, and `requirepass` is not asked.
    has_on_auth: AtomicBool,
    /// The SHA-256 of `requirepass`, if it is set.
    password: Mutex<Option<[u8; 32]>>,
    slowlog_from_us: AtomicI64,
    slowlog_length_max: AtomicUsize,
    latency_from_ms: AtomicU64,
    latency_tracking: AtomicBool,
    messages_limit: Mutex<OutputLimit>,
}

impl CommandSettings {
    /// Takes the values of `config`.
    pub(super) fn apply(&self, config: &Config) {
        let password = config.requirepass.as_ref();
        *self.password.lock() = password.map(|password| digest(password.as_bytes()));
        self.requires_password.store(password.is_some(), Relaxed);
        self.slowlog_from_us
            .store(config.slowlog_log_slower_than_us, Relaxed);
        self.slowlog_length_max
            .store(config.slowlog_max_len, Relaxed);
        self.latency_from_ms
            .store(config.latency_monitor_threshold_ms, Relaxed);
        self.latency_tracking
            .store(config.latency_tracking, Relaxed);
        *self.messages_limit.lock() = config.client_output_buffer_limit.pubsub;
    }

    /// Whether new clients have to authenticate.
    pub(crate) fn requires_password(&self) -> bool {
        self.requires_password.load(Relaxed) || self.has_on_auth()
    }

    /// Whether the program checks logins.
    pub(crate) fn has_on_auth(&self) -> bool {
        self.has_on_auth.load(Relaxed)
    }

    /// Requires logins, which the program checks.
    pub(crate) fn require_logins(&self) {
        self.has_on_auth.store(true, Relaxed);
    }

    /// Whether `password` is right, or none is required. The time that this takes does not depend
    /// on how much of it is right.
    pub(crate) fn is_password(&self, password: &[u8]) -> bool {
        let required = *self.password.lock();
        required.is_none_or(|required| constant_time_eq_32(&digest(password), &required))
    }

    /// Whether durations go into the histograms: `latency-tracking`.
    pub(crate) fn latency_tracking(&self) -> bool {
        self.latency_tracking.load(Relaxed)
    }

    /// Returns how many messages may wait for a client that listens.
    pub(crate) fn messages_limit(&self) -> OutputLimit {
        *self.messages_limit.lock()
    }

    /// Returns the maximum length of the slow log if a request of this duration belongs into it.
    pub(super) fn slowlog_length_for(&self, took: Duration) -> Option<usize> {
        let from_us = u64::try_from(self.slowlog_from_us.load(Relaxed)).ok()?;
        let is_slow = took.as_micros() >= u128::from(from_us);
        is_slow.then(|| self.slowlog_length_max.load(Relaxed))
    }

    /// Whether a command of this duration is a latency spike.
    pub(super) fn is_spike(&self, took: Duration) -> bool {
        let from_ms = self.latency_from_ms.load(Relaxed);
        from_ms > 0 && took.as_millis() >= u128::from(from_ms)
    }
}

fn digest(password: &[u8]) -> [u8; 32] {
    Hash::hash(password)
}
