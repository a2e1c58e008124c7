//! The server: bind, start, drain, and the threads.
//!
//! | file | content |
//! |---|---|
//! | `bind.rs` | [`Server`]: listens, and does not serve yet |
//! | `start.rs` | starts the threads |
//! | `drain.rs` | stops in order |
//! | `handle.rs` | [`ServerHandle`]: a running server, from any thread |
//! | `background.rs` | [`Background`]: a server beside the rest of a program |
//! | `inner.rs` | what owns all of it, and what commands may ask of the server |
//! | `shared.rs` | what the threads share |
//! | `acceptor.rs`, `worker.rs`, `clock.rs` | the threads; `acceptor_thread.rs` and `clock_signal.rs` stop them |
//! | `threads.rs`, `supervision.rs` | starting workers, and restarting threads after a panic |
//! | `reconfigure.rs`, `live_settings.rs` | changing the configuration |
//! | `hooks.rs`, `host.rs` | the program around the server |

mod acceptor;
mod acceptor_thread;
mod background;
mod bind;
mod clock;
mod clock_signal;
mod drain;
mod handle;
mod hooks;
mod host;
mod inner;
pub(crate) mod live_settings;
mod reconfigure;
mod shared;
mod start;
mod supervision;
mod threads;
mod worker;

pub use background::Background;
pub use bind::Server;
pub use drain::Drained;
pub use handle::{ServerHandle, Stats};
pub use hooks::DisconnectReason;
pub use host::Host;
