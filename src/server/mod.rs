//! The server: bind, start, drain, and the threads.
//!
//! | file | content |
//! |---|---|
//! | `bind.rs` | [`Server`]: listens and does not serve yet |
//! | `advice.rs` | warnings about a configuration, for `--check-config` |
//! | `start.rs`, `drain.rs` | starts the threads, and stops them gracefully |
//! | `handle.rs` | [`ServerHandle`]: controls a running server from any thread |
//! | `handle_clients.rs` | its methods about clients: publish, push, list, close |
//! | `background.rs` | [`Background`]: a server that runs in the background of a program |
//! | `inner.rs` | the owner of all parts, and the operations that commands may call |
//! | `shared.rs` | the state that all threads share |
//! | `acceptor.rs` | the thread that accepts connections |
//! | `listen_set.rs`, `refusals.rs`, `refusal_delay.rs`, `scheduling.rs` | the parts of the acceptor |
//! | `admission.rs` | admits a client by its address, at accept or after a PROXY header |
//! | `worker/` | a thread of the pool: serves turns of clients; `threads.rs` starts and ends them |
//! | `permits.rs` | how many TLS handshakes run at a time |
//! | `clock.rs` | the thread with the coarse clock; `clock_signal.rs` wakes and stops it |
//! | `supervision.rs` | restarts threads after a panic |
//! | `heartbeat.rs`, `progress.rs` | whether the acceptor and the clock run, and the workers make progress |
//! | `reconfigure.rs`, `live_settings.rs` | changes the configuration |
//! | `operations_thread.rs` | the thread of the operations listener; `no_operations.rs` replaces it without the feature `http` |
//! | `certificates.rs` | the certificates in force; `certificate_watch.rs` loads changed files |
//! | `hooks.rs`, `host.rs` | the program that runs the server |

mod acceptor;
mod admission;
mod advice;
mod background;
mod bind;
mod certificate_watch;
mod certificates;
mod clock;
mod clock_signal;
mod drain;
mod handle;
mod handle_clients;
mod heartbeat;
mod hooks;
mod host;
mod inner;
mod listen_set;
pub(crate) mod live_settings;
#[cfg(feature = "http")]
mod operations_thread;
#[cfg(not(feature = "http"))]
#[path = "no_operations.rs"]
mod operations_thread;
#[cfg(feature = "tls")]
mod permits;
mod progress;
mod reconfigure;
mod refusal_delay;
mod refusals;
mod scheduling;
mod shared;
mod start;
mod supervision;
mod threads;
mod worker;

pub use background::Background;
pub use bind::Server;
pub use drain::Drained;
pub use handle::{ServerHandle, ServerStats};
pub use hooks::DisconnectReason;
pub use host::Host;
pub(crate) use inner::Inner;
