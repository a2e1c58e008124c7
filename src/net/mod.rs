//! Sockets: they listen, and have connections. Nothing here knows a command.
//!
//! | file | content |
//! |---|---|
//! | `listen.rs`, `unix.rs` | opens listening sockets; the files of Unix sockets |
//! | `level_poll.rs` | waits for listening sockets; `no_epoll.rs` replaces it outside Linux |
//! | `edge_poll.rs` | watches parked clients and wakers; `no_edge_poll.rs` replaces it outside Linux |
//! | `connection.rs`, `pending_output.rs` | reads and writes a client's bytes; its unsent bytes |
//! | `tls/` | TLS of one connection, without its socket |
//! | `certificates.rs` | loads certificates; `no_certificates.rs` replaces it without the feature `tls` |
//! | `proxy_header.rs`, `peer.rs` | the PROXY header; the address of a client |
//! | `tcp_info.rs` | what the kernel knows about a TCP socket |
//! | `descriptors.rs` | the limit on open files |

#[cfg(feature = "tls")]
pub(crate) mod certificates;
#[cfg(not(feature = "tls"))]
#[path = "no_certificates.rs"]
pub(crate) mod certificates;
pub(crate) mod connection;
pub(crate) mod descriptors;
#[cfg(target_os = "linux")]
pub(crate) mod edge_poll;
#[cfg(not(target_os = "linux"))]
#[path = "no_edge_poll.rs"]
pub(crate) mod edge_poll;
#[cfg(feature = "http")]
pub(crate) mod kernel_counts;
#[cfg(target_os = "linux")]
pub(crate) mod level_poll;
#[cfg(not(target_os = "linux"))]
#[path = "no_epoll.rs"]
pub(crate) mod level_poll;
pub(crate) mod listen;
pub(crate) mod peer;
pub(crate) mod pending_output;
pub(crate) mod proxy_header;
pub(crate) mod tcp_info;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod unix;
