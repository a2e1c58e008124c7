//! The directives that the server's threads read while serving, and that can change meanwhile.
//! Directives that commands read are in `state/command_settings.rs`.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use crate::client::timeouts::Timeouts;
use crate::config::{Config, Network, OutputLimit};
use crate::net::peer::Peer;
use crate::resp::Limits;
use crate::resp::limits::REQUEST_BYTES_MAX;

/// Defines [`LiveSettings`] by a line for each setting: its name, types, and value in `$config`.
macro_rules! live_settings {
    ($config:ident: $($(#[$doc:meta])* $name:ident: $atomic:ty => $type:ty = $value:expr;)*) => {
        /// A lock-free copy of some directives. They are read one by one: a reader may see some of
        /// them changed and others not yet.
        #[derive(Debug, Default)]
        pub(crate) struct LiveSettings {
            $($name: $atomic,)*
            /// Copied, because the configuration's lock may be taken for long.
            proxies: Mutex<Vec<Network>>,
        }

        impl LiveSettings {
            pub(crate) fn apply(&self, $config: &Config) {
                $(self.$name.store($value, Relaxed);)*
                self.proxies.lock().clone_from(&$config.proxy_protocol_from);
            }

            $($(#[$doc])*
            #[inline]
            pub(crate) fn $name(&self) -> $type {
                self.$name.load(Relaxed)
            })*
        }
    };
}

live_settings! { config:
    maxclients: AtomicUsize => usize = config.maxclients;
    /// Maximum clients from one address; 0 means `maxclients`.
    maxclients_per_address: AtomicUsize => usize = config.maxclients_per_address;
    /// Returns whether clients from other machines are refused.
    refuses_remote_clients: AtomicBool => bool =
        config.protected_mode && config.requirepass.is_none();
    proxy_header_s: AtomicU32 => u32 = config.proxy_protocol_timeout_s;
    idle_s: AtomicU32 => u32 = config.timeout_s;
    first_byte_s: AtomicU32 => u32 = config.first_byte_timeout_s;
    request_s: AtomicU32 => u32 = config.request_timeout_s;
    write_s: AtomicU32 => u32 = config.write_timeout_s;
    pending_output_s: AtomicU32 => u32 = config.pending_output_timeout_s;
    drain_timeout_ms: AtomicU32 => u32 = config.drain_timeout_ms;
    drain_delay_ms: AtomicU32 => u32 = config.drain_delay_ms;
    stuck_worker_ms: AtomicU32 => u32 = config.stuck_worker_ms;
    tcp_keepalive_s: AtomicU32 => u32 = config.tcp_keepalive_s;
    bulk_bytes_max: AtomicUsize => usize = config.proto_max_bulk_len;
    request_bytes_max: AtomicUsize => usize =
        config.client_query_buffer_limit.min(REQUEST_BYTES_MAX);
    /// Pending bytes at which a client becomes write-blocked.
    pending_output_bytes_max: AtomicUsize => usize = config.pending_output_per_client;
    /// Pending bytes of all clients, without their reserves, at which clients become write-blocked.
    total_pending_output_bytes_max: AtomicUsize => usize = config.pending_output_total_bytes();
    output_hard_bytes: AtomicUsize => usize = config.client_output_buffer_limit.normal.hard_bytes;
    output_soft_bytes: AtomicUsize => usize = config.client_output_buffer_limit.normal.soft_bytes;
    output_soft_s: AtomicU32 => u32 = config.client_output_buffer_limit.normal.soft_s;
    maxmemory_clients: AtomicU64 => u64 = config.maxmemory_clients;
    tls_auto_reload_interval_s: AtomicU32 => u32 = config.tls_auto_reload_interval_s;
    /// Flights of TLS handshakes that run at a time.
    #[cfg_attr(not(feature = "tls"), expect(dead_code))]
    flights_max: AtomicUsize => usize = (config.worker_count() / 2).max(1);
    #[cfg_attr(not(feature = "tls"), expect(dead_code))]
    tls_handshake_s: AtomicU32 => u32 = config.tls_handshake_timeout_s;
}

impl LiveSettings {
    pub(crate) fn new(config: &Config) -> Self {
        let settings = Self::default();
        settings.apply(config);
        settings
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts {
            idle_s: self.idle_s(),
            proxy_header_s: self.proxy_header_s(),
            #[cfg(feature = "tls")]
            handshake_s: self.tls_handshake_s(),
            first_byte_s: self.first_byte_s(),
            request_s: self.request_s(),
            write_s: self.write_s(),
            pending_output_s: self.pending_output_s(),
        }
    }

    /// Returns the time after which a handler counts as stuck.
    pub(super) fn stuck_after(&self) -> Duration {
        Duration::from_millis(self.stuck_worker_ms().into())
    }

    /// Returns whether connections from this address begin with a PROXY header.
    pub(crate) fn requires_proxy_header(&self, peer: &Peer) -> bool {
        let is_of = |ip| self.proxies.lock().iter().any(|proxy| proxy.contains(ip));
        peer.ip().is_some_and(is_of)
    }

    /// Returns the limits on requests.
    #[inline]
    pub(crate) fn limits(&self, unauthenticated: bool) -> Limits {
        Limits {
            unauthenticated,
            bulk_bytes_max: self.bulk_bytes_max(),
            request_bytes_max: self.request_bytes_max(),
        }
    }

    /// Pending bytes at which a client without subscriptions is closed.
    pub(crate) fn output_limit(&self) -> OutputLimit {
        OutputLimit {
            hard_bytes: self.output_hard_bytes(),
            soft_bytes: self.output_soft_bytes(),
            soft_s: self.output_soft_s(),
        }
    }

    /// Maximum memory of all clients; `None` if it is not limited.
    pub(crate) fn memory_bytes_max(&self) -> Option<u64> {
        Some(self.maxmemory_clients()).filter(|&bytes| bytes > 0)
    }
}
