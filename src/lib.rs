//! respool answers PING for every client that connects, over Redis's protocol, on a fixed pool of
//! worker threads.

mod acceptor;
mod client;
mod command;
pub mod config;
mod connection;
mod crew;
mod deadlines;
mod listen;
mod open_files;
mod pool;
mod resp;
mod server;
mod session;
mod worker;

pub use command::{Arity, Command, Commands};
pub use config::Config;
pub use resp::{ProtocolError, Replied, Reply, Request};
pub use server::{Drained, ReconfigureError, Server, ServerHandle, StartError};
pub use session::Session;
