//! respool answers PING for every client that connects, over Redis's protocol, on a fixed pool of
//! worker threads. This crate is the program's inside, and puts your own commands behind the same
//! protocol:
//!
//! ```
//! use respool::{Arity, Commands, Config, Server};
//!
//! let mut commands = Commands::builtin();
//! commands.register("HELLO-WORLD", Arity::Exactly(1), |_session, _request, reply| {
//!     reply.simple("hello, world")
//! });
//! let server = Server::bind(Config { port: 0, ..Config::default() }, commands)?;
//! println!("redis-cli -p {} HELLO-WORLD", server.local_addr().port());
//! # server.handle().drain(); // Another thread, or a signal, would call this one day.
//! server.serve()?;
//! # Ok::<_, respool::StartError>(())
//! ```
//!
//! | to | there is |
//! |---|---|
//! | add, replace or leave out commands, and group them | [`Commands`], [`Command`], [`Arity`] |
//! | read what a client has asked for | [`Request`], [`ArgumentError`] |
//! | answer it, in RESP2 and in RESP3 | [`Reply`], [`Replied`], [`Items`], [`BulkWriter`] |
//! | know who asks, and remember something of it | [`Session`], [`Protocol`] |
//! | say who may come, and learn who has gone | [`Server::on_connect`], [`Server::on_disconnect`] |
//! | configure, start and stop | [`Config`], [`Server`], [`ServerHandle`], [`Background`], [`Drained`] |
//! | make CONFIG REWRITE and `loglevel` yours | [`Host`] |
//!
//! A handler runs on a worker thread and may block: while it does, the other workers serve the
//! other clients. As many handlers as there are workers may run at a time, so let `workers` be more
//! than those that block. What blocking and not blocking cost, [`Commands::register`] says.
//!
//! The server says what it does by the `log` crate, and prints nothing. With the feature `cli`, which
//! is on by default, there are also `config::CommandLine` and what else the program needs.
//!
//! # The way of a client
//!
//! ```text
//!            accept                     take                     serve every request it has sent
//!  acceptor ───────────► queue ─────────────────────► worker ────────────────────────────► closed
//!            (channel)                                 ▲ │
//!                             it has something to say  │ │  nothing left to read
//!                                                      │ ▼
//!                                                    parking
//!                             (the worker that runs out of work watches for all the others)
//! ```
//!
//! | step | file | what happens | bound |
//! |---|---|---|---|
//! | 1 accept | `acceptor.rs` | admit or refuse | `maxclients` |
//! | 2 queue | `pool/queue.rs` | the channel | admission |
//! | 3 take | `pool/mod.rs`, `worker.rs` | lead, follow or take; one `catch_unwind` a turn | `workers` |
//! | 4 read | `connection.rs` | socket → input, without waiting | a turn's budget |
//! | 5 parse | `batch.rs`, `resp/request.rs` | bytes → request: flat, borrowed, resumable | `resp/limits.rs` |
//! | 6 dispatch | `batch.rs`, `command/mod.rs` | name → arity → handler | 250 µs of handlers a turn |
//! | 7 reply | `resp/reply.rs` | reply → bytes | – |
//! | 8 write | `connection.rs`, `pending_output.rs` | one write for a batch; the rest is pending | `pending-output-per-client`, `pending-output-total` |
//! | 9 close | `worker.rs`, `server/shared.rs` | one reason, a farewell, drop | 3 s after our FIN |
//!
//! Beside them: `client.rs` (what travels), `session.rs` (what commands see of it), `closed.rs`
//! (why it ends), `states.rs` and `hooks.rs` (what a program keeps and is told of it), `threads.rs`
//! (the threads), `background.rs` (all of them beside a program), `deadlines.rs` (the clock),
//! `state/` (what commands may know of the server and of other clients; `slices.rs` and
//! `recipients.rs` there keep locks short), `host.rs` (what the program around the server does),
//! `listen.rs`, `open_files.rs`, `memory.rs` (how much memory there is), `server/` (wiring, start,
//! stop, reconfiguration; `supervision.rs` restarts threads that panic), `settings.rs` (directives
//! that are read while serving), `config/` (every key; `inert.rs` has the directives of Redis that
//! change nothing), the files of `command/` (a group of commands each: `keyspace.rs`, `pubsub.rs`, …),
//! `main.rs` and `main/` (the program).
//!
//! # What holds throughout
//!
//! - A client is one value with one owner at a time; ownership is its lock. Nothing else holds a
//!   socket.
//! - Locks, in the order in which they may be held together: rewriting → configuration → crew, life,
//!   the password or the subscribers' limit; watch → slot → the pause's terms; the order of a channel's
//!   messages → the list of channels, or subscribers; subscribers or monitors → a client's mail; what a
//!   client says of itself → its mail; the workers' tallies → a worker's errors. Each other lock is
//!   held alone. A lock is not held while all clients or all channels are looked at: only for a slice
//!   of them, or for a copy.
//! - `resp` needs only std and knows neither sockets nor commands; `command` and `batch` name no
//!   socket; `connection` names no command. `tests/layers.rs` checks it.
//! - On the way of a PING: no allocation, no lock but a slot's, the watch and the queue's, no log
//!   line; the clock once in 64 at most.
//! - Nothing is printed; the log goes through the `log` crate, and nothing is logged per request.

#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod client;
mod command;
pub mod config;
mod dispatch;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod glob;
mod memory;
mod net;
mod pool;
mod resp;
mod server;
mod state;
mod time;

pub use client::session::Session;
pub use command::{Arity, Command, Commands, Container};
pub use config::Config;
pub use error::{ReconfigureError, StartError};
pub use resp::{ArgumentError, BulkWriter, Items, Protocol, Replied, Reply, Request};
pub use server::{Background, DisconnectReason, Drained, Host, Server, ServerHandle, Stats};
