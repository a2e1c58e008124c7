//! Listening sockets, connections and their unsent bytes, and the limit on descriptors. Nothing
//! here knows a command.

#[cfg(feature = "tls")]
pub(crate) mod certificates;
#[cfg(not(feature = "tls"))]
#[path = "no_certificates.rs"]
pub(crate) mod certificates;
pub(crate) mod connection;
pub(crate) mod descriptors;
pub(crate) mod listen;
pub(crate) mod peer;
pub(crate) mod pending_output;
pub(crate) mod proxy_header;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod unix;
