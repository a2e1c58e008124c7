//! The directives that are read while serving and can change meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::client::timeouts::Timeouts;
use crate::config::{Config, OutputLimit};
use crate::resp::Limits;
use crate::resp::limits::REQUEST_BYTES_MAX;

/// A lock-free copy of some directives. They are read one by one: a reader may see some of them
/// changed and others not yet.
#[derive(Debug, Default)]
pub(crate) struct LiveSettings {
    maxclients: AtomicUsize,
    maxclients_per_address: AtomicUsize,
    refuses_remote_clients: AtomicBool,
    idle_s: AtomicU32,
    first_byte_s: AtomicU32,
    request_s: AtomicU32,
    write_s: AtomicU32,
    pending_output_s: AtomicU32,
    drain_ms: AtomicU32,
    tcp_keepalive_s: AtomicU32,
    bulk_bytes_max: AtomicUsize,
    request_bytes_max: AtomicUsize,
    pending_output_bytes_max: AtomicUsize,
    total_pending_output_bytes_max: AtomicUsize,
    output_hard_bytes: AtomicUsize,
    output_soft_bytes: AtomicUsize,
    output_soft_s: AtomicU32,
    memory_bytes_max: AtomicU64,
}

impl LiveSettings {
    pub(crate) fn new(config: &Config) -> Self {
        let settings = Self::default();
        settings.apply(config);
        settings
    }

    pub(crate) fn apply(&self, config: &Config) {
        let set_size = |field: &AtomicUsize, value| field.store(value, Relaxed);
        let set = |field: &AtomicU32, value| field.store(value, Relaxed);
        set_size(&self.maxclients, config.maxclients);
        set_size(&self.maxclients_per_address, config.maxclients_per_address);
        let refuses_remote_clients = config.protected_mode && config.requirepass.is_none();
        self.refuses_remote_clients
            .store(refuses_remote_clients, Relaxed);
        set(&self.idle_s, config.timeout_s);
        set(&self.first_byte_s, config.first_byte_timeout_s);
        set(&self.request_s, config.request_timeout_s);
        set(&self.write_s, config.write_timeout_s);
        set(&self.pending_output_s, config.pending_output_timeout_s);
        set(&self.drain_ms, config.drain_timeout_ms);
        set(&self.tcp_keepalive_s, config.tcp_keepalive_s);
        set_size(&self.bulk_bytes_max, config.proto_max_bulk_len);
        set_size(&self.request_bytes_max, config.client_query_buffer_limit);
        set_size(
            &self.pending_output_bytes_max,
            config.pending_output_per_client,
        );
        set_size(
            &self.total_pending_output_bytes_max,
            config.pending_output_total_bytes(),
        );
        let output = config.client_output_buffer_limit.normal;
        set_size(&self.output_hard_bytes, output.hard_bytes);
        set_size(&self.output_soft_bytes, output.soft_bytes);
        set(&self.output_soft_s, output.soft_s);
        self.memory_bytes_max
            .store(config.maxmemory_clients, Relaxed);
    }

    pub(crate) fn maxclients(&self) -> usize {
        self.maxclients.load(Relaxed)
    }

    /// Maximum clients from one address; 0 means `maxclients`.
    pub(crate) fn maxclients_per_address(&self) -> usize {
        self.maxclients_per_address.load(Relaxed)
    }

    /// Returns whether clients from other machines are refused.
    pub(crate) fn refuses_remote_clients(&self) -> bool {
        self.refuses_remote_clients.load(Relaxed)
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts {
            idle_s: self.idle_s.load(Relaxed),
            first_byte_s: self.first_byte_s.load(Relaxed),
            request_s: self.request_s.load(Relaxed),
            write_s: self.write_s.load(Relaxed),
            pending_output_s: self.pending_output_s.load(Relaxed),
        }
    }

    /// Maximum duration of a drain.
    pub(crate) fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_ms.load(Relaxed).into())
    }

    pub(crate) fn tcp_keepalive_s(&self) -> u32 {
        self.tcp_keepalive_s.load(Relaxed)
    }

    /// Returns the limits on requests.
    #[inline]
    pub(crate) fn limits(&self, unauthenticated: bool) -> Limits {
        Limits {
            unauthenticated,
            bulk_bytes_max: self.bulk_bytes_max.load(Relaxed),
            request_bytes_max: self.request_bytes_max.load(Relaxed).min(REQUEST_BYTES_MAX),
        }
    }

    /// Pending bytes at which a client becomes write-blocked.
    pub(crate) fn pending_output_bytes_max(&self) -> usize {
        self.pending_output_bytes_max.load(Relaxed)
    }

    /// Pending bytes of all clients, without their reserves, at which clients become write-blocked.
    pub(crate) fn total_pending_output_bytes_max(&self) -> usize {
        self.total_pending_output_bytes_max.load(Relaxed)
    }

    /// Pending bytes at which a client without subscriptions is closed.
    pub(crate) fn output_limit(&self) -> OutputLimit {
        OutputLimit {
            hard_bytes: self.output_hard_bytes.load(Relaxed),
            soft_bytes: self.output_soft_bytes.load(Relaxed),
            soft_s: self.output_soft_s.load(Relaxed),
        }
    }

    /// Maximum memory of all clients; `None` if it is not limited.
    pub(crate) fn memory_bytes_max(&self) -> Option<u64> {
        Some(self.memory_bytes_max.load(Relaxed)).filter(|&bytes| bytes > 0)
    }
}
