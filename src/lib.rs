//! respool is a server for the Redis protocol on a fixed pool of worker threads. It answers `PING`
//! and the connection commands, and serves your own commands over the same protocol:
//!
//! ```
//! use respool::{Arity, Commands, Config, Server};
//!
//! let mut commands = Commands::builtin();
//! commands.register("HELLO-WORLD", Arity::Exactly(1), |_session, _request, reply| {
//!     reply.simple("hello, world")
//! });
//! let server = Server::bind(Config { port: 0, ..Config::default() }, commands)?;
//! let port = server.local_addrs()[0].port();
//! println!("redis-cli -p {port} HELLO-WORLD");
//! # server.handle().drain(); // Usually another thread or a signal does this.
//! server.serve()?;
//! # Ok::<_, respool::StartError>(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | add, replace or remove commands, and group them | [`Commands`], [`Registered`], [`Container`], [`Command`], [`Arity`] |
//! | declare keys, secrets and flags, and show figures in `INFO` | [`Command::keys`], [`Command::secret`], [`Commands::info_section`], [`Commands::keyspace`] |
//! | read the request of a client | [`Request`], [`Arguments`], [`Keyword`] |
//! | reply, in RESP2 and in RESP3 | [`Reply`], [`Replied`], [`Value`], [`Items`], [`BulkWriter`] |
//! | reply with an error, by `?` | [`ErrorReply`], [`Outcome`] |
//! | reply later, from any thread | [`Session::defer`], [`Deferral`], [`DeferredReply`] |
//! | check logins | [`Commands::on_auth`], [`Session::user`], [`Session::set_user`] |
//! | permit, limit and measure calls | [`Middleware`], [`Call`], [`CallOutcome`], [`OutcomeKind`] |
//! | have transactions | [`Commands::transactions`], [`Exec`], [`Executed`] |
//! | identify a client, and keep state for it | [`Session`], [`Peer`], [`Proxied`], [`Protocol`] |
//! | admit clients, and see why they disconnect | [`Server::on_connect`], [`Server::on_disconnect`], [`DisconnectReason`] |
//! | configure, start and stop | [`Config`], [`Config::set`], [`Server`], [`Listener`], [`ServerHandle`], [`Background`], [`Drained`] |
//! | publish, push, list and close from any thread | [`ServerHandle`], [`Session::server`], [`ClientSnapshot`] |
//! | see whether it works | [`ServerHandle::health`], [`Health`], [`Unfit`] |
//! | test a service, with sockets and without | [`testing`] |
//! | support CONFIG REWRITE, `loglevel` and a service manager | [`Host`] |
//!
//! A handler runs on a worker thread and may block: other workers serve the other clients
//! meanwhile. As many handlers as there are workers may run at once, so `workers` should exceed the
//! number of handlers that block at once. [`Commands::register`] says what blocking costs.
//!
//! The library logs through the `log` crate and prints nothing. The feature `cli`, on by default,
//! adds `config::CommandLine` and what else the program needs. The feature `tls`, also on by
//! default, adds TLS: [`Config::tls_port`](config::Config) and `Server::with_tls`.
//! The feature `http`, on by default too, adds the operations listener: `Config::http_port`.
//!
//! # The life of a client
//!
//! ```text
//!            accept             take               answer requests
//!  acceptor ───────────► queue ─────────────► worker ────────────────► close
//!            (channel)                         ▲ │
//!                               input arrives  │ │  no input left
//!                                              │ ▼
//!                                            parking
//!                         (an idle worker watches all parked clients)
//! ```
//!
//! A *turn* is the time for which a worker serves one client. A *slot* is a client's place in
//! parking. The last column names what limits the step.
//!
//! | step | file | what happens | limit |
//! |---|---|---|---|
//! | 1 accept | `server/acceptor.rs` | admit or refuse | `maxclients` |
//! | 2 queue | `pool/queue.rs` | the channel of clients that wait for a worker | admission |
//! | 3 take | `pool/mod.rs`, `server/worker.rs` | a worker leads, follows, or takes a client for a turn (`pool/README.md`) | `workers` |
//! | – opening | `server/opening.rs`, `server/admission.rs` | a PROXY header from a proxy is read, and the client admitted or refused by the address in it | `proxy-protocol-timeout` |
//! | – opening | `server/opening.rs`, `server/handshakes.rs` | a flight of the TLS handshake | half of the workers; `tls-handshake-timeout` |
//! | – first turn | `server/shared.rs`, `server/hooks.rs` | the program may refuse the client | – |
//! | 4 read | `net/connection.rs`, `net/tls/` | socket to input, never blocking | the turn's budget: `dispatch/budget.rs` |
//! | 5 parse | `dispatch/batch.rs`, `resp/request.rs` | bytes to a request that borrows them; an incomplete one is resumed | `resp/limits.rs` |
//! | 6 dispatch | `dispatch/batch.rs`, `command/mod.rs`, `dispatch/transaction.rs` | name, arity, handler; between MULTI and EXEC, the request is queued | 250 µs of handlers in a turn |
//! | 7 reply | `resp/reply.rs`, `dispatch/output.rs` | reply to bytes | – |
//! | 8 write | `net/connection.rs`, `net/tls/`, `net/pending_output.rs` | one write for a batch; the rest is pending | `pending-output-per-client`, `pending-output-total` |
//! | 9 park | `pool/parking.rs` | the client waits for input in its slot; the clock checks its deadlines once a second | `server/clock.rs`, `client/timeouts.rs` |
//! | 10 close | `client/mod.rs`, `server/shared.rs` | one reason (`state/close_reason.rs`), FIN, lingering close | 3 s after FIN |
//!
//! # The folders
//!
//! A folder uses only folders below it in this table; `tests/layers.rs` lists every use.
//!
//! | folder | job |
//! |---|---|
//! | `bin/respool/` | the program: signals, log, exit codes, CONFIG REWRITE |
//! | `testing/` | for tests of services: a client, and a server in memory |
//! | `server/` | start, drain, reload; the threads and what they share |
//! | `pool/` | queue, parking, leader and followers: `pool/README.md` |
//! | `dispatch/` | one batch of requests through the table of commands |
//! | `operations/` | metrics, health and a page over HTTP |
//! | `command/` | the table of commands; `command/builtin/` has respool's own |
//! | `client/` | the value that travels: connection, session, stage (opening, open, closing), timeouts |
//! | `state/` | what the server knows: clients, channels, statistics, slow log, pause |
//! | `net/` | sockets: TCP, Unix and TLS; listening, PROXY headers, unsent bytes, certificates, descriptors |
//! | `config/` | every key, its type, and its sources |
//! | `resp/` | bytes to requests, replies to bytes; needs only std |
//!
//! Beside them: `error.rs` (start and reconfiguration), `glob.rs` (patterns), `logging.rs` (log lines
//! with the name of the server), `memory.rs` (how much memory there is), `system.rs` (its name;
//! processor time), `time.rs` (the wall clock), and `fuzz/` (entry points of the fuzzers).
//!
//! CONTRIBUTING.md says where to look for a change.
//!
//! # Invariants
//!
//! - A client is one value with one owner at a time, so it needs no lock. Only it holds the socket of an
//!   admitted connection.
//! - Locks: `A → B` means that B may be locked while A is held.
//!   - changing → configuration
//!   - rewriting → configuration → worker threads, drain request, certificates, proxies, password,
//!     or the subscribers' limit
//!   - the watch (the pool's poll) → a slot → the pause
//!   - the messages of a channel → the list of channels, or the channel's subscribers
//!   - subscribers or monitors → a client's inbox
//!   - a client's identity → its inbox
//!   - the workers' statistics → a worker's errors
//!
//!   Every other lock is held alone. No lock is held while all clients or all channels are visited: only
//!   for one slice of them at a time, or to make a copy.
//! - `resp` knows no socket and no command; `command` and `dispatch` know no socket; `net` knows no
//!   command.
//! - A PING takes only the locks of a slot, the watch and the queue, and logs nothing; without TLS, it
//!   allocates nothing. At most one PING in 64 reads the clock.
//! - Nothing is logged per request.

// The exception is `net/tcp_info.rs`.
#![deny(unsafe_code)]
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
mod logging;
mod memory;
mod net;
#[cfg(feature = "http")]
mod operations;
mod pool;
mod resp;
mod server;
mod state;
mod system;
pub mod testing;
mod time;

pub use client::session::Session;
pub use client::snapshot::ClientSnapshot;
pub use command::{
    Arity, Call, CallOutcome, Command, Commands, Container, Deferral, DeferredReply, Exec,
    Executed, Middleware, Outcome, OutcomeKind, Registered,
};
pub use config::Config;
pub use error::{ReconfigureError, StartError};
pub use net::listen::Listener;
pub use net::peer::{Peer, Proxied};
pub use resp::{
    Arguments, BulkWriter, ErrorReply, Items, Keyword, Protocol, Replied, Reply, Request, Value,
};
pub use server::{Background, DisconnectReason, Drained, Host, Server, ServerHandle, ServerStats};
pub use state::health::{Health, Unfit};
