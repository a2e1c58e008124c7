//! Services that speak the Redis protocol, RESP2 and RESP3, so that every Redis client is a client
//! of yours. A fixed pool of worker threads serves any number of clients. `PING`, `HELLO`,
//! `CLIENT`, `SUBSCRIBE` and [the other commands about connections](Commands::builtin) are there;
//! your own are closures:
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
//! A handler gets the [`Session`] of the client, the [`Request`] and the [`Reply`], and has to
//! reply: one that forgets to, replies twice or keeps the reply does not compile.
//!
//! # Five recipes
//!
//! Each adds to the `commands` of a service.
//!
//! **A command with state.** The closure captures what all clients share. `?` replies with Redis's
//! errors about arguments, and with [your own](ErrorReply). The state of one client is in its
//! [session](Session::state).
//!
//! ```
//! # use respool::{Arity, Commands, ErrorReply};
//! use std::collections::HashMap;
//! use std::sync::Mutex;
//!
//! # let mut commands = Commands::builtin();
//! let stock = Mutex::new(HashMap::from([("apples".to_owned(), 10)]));
//! // BUY name count: three words. Argument 0 is the first after the command's name.
//! commands.register("BUY", Arity::Exactly(3), move |_session, request, reply| {
//!     let (name, count) = (request.text(0)?, request.integer_in(1, 1..=100)?);
//!     let mut stock = stock.lock().unwrap();
//!     let left = stock.get_mut(name).ok_or(ErrorReply::NO_SUCH_KEY)?;
//!     if *left < count {
//!         return Err(ErrorReply::new("SOLDOUT", format!("there are {left} {name}")));
//!     }
//!     *left -= count;
//!     Ok(reply.integer(*left))
//! });
//! ```
//!
//! **Reply later**, from any thread. [`Session::defer`] exchanges the reply for a token; meanwhile
//! the client takes no thread.
//!
//! ```
//! # use respool::{Arity, Commands};
//! use std::thread;
//! use std::time::Duration;
//!
//! # let mut commands = Commands::builtin();
//! commands.register("REPORT", Arity::Exactly(1), |session, _request, reply| {
//!     let limit = Some(Duration::from_secs(30));
//!     let deferral = session.defer(reply);
//!     deferral.timeout(limit, |reply| reply.error("ERR it takes too long")).start(|token| {
//!         // Or a channel, a pool of threads, a task of tokio.
//!         thread::spawn(move || token.reply(|reply| reply.bulk("a long report")));
//!     })
//! });
//! ```
//!
//! **Publish**, from any thread. A [`ServerHandle`] comes from [`Server::handle`], and in handlers
//! from [`Session::server`]. It also [pushes](ServerHandle::push) to one client, lists and closes
//! clients.
//!
//! ```
//! # use respool::{Arity, Commands};
//! # let mut commands = Commands::builtin();
//! commands.register("SAY", Arity::Exactly(2), |session, request, reply| {
//!     // Clients that have sent SUBSCRIBE chat.
//!     let receivers = session.server().publish("chat", request.bytes(0)?);
//!     Ok(reply.value(receivers))
//! });
//! ```
//!
//! **Accounts and permissions.** [`Commands::on_auth`] checks every login. A [`Middleware`] sees
//! every call, also of the built-in commands, and may refuse it.
//!
//! ```
//! use respool::{Call, Commands, ErrorReply, Middleware, Session};
//!
//! struct Permissions;
//!
//! impl Middleware for Permissions {
//!     fn before(&self, session: &mut Session, call: &Call<'_>) -> Result<(), ErrorReply> {
//!         if call.categories().any(|category| category == "admin") && session.user() != "root" {
//!             return Err(ErrorReply::noperm(&session.user(), call.name()));
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # fn is_token_of(user: &str, password: &[u8]) -> bool { false }
//! # let mut commands = Commands::builtin();
//! commands.on_auth(|_session, user, password| {
//!     is_token_of(user, password).then_some(()).ok_or(ErrorReply::WRONGPASS)
//! });
//! commands.set_middleware(Permissions);
//! ```
//!
//! **Test it**, with a server on a free port, or [in memory](testing::Offline).
//!
//! ```
//! # use respool::{Arity, Commands};
//! use respool::testing;
//!
//! # let mut commands = Commands::builtin();
//! # commands.register("HELLO-WORLD", Arity::Exactly(1), |_, _, reply| {
//! #     reply.simple("hello, world")
//! # });
//! let server = testing::serve(commands)?;
//! assert_eq!(server.client()?.call(["HELLO-WORLD"])?, "hello, world");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # The cookbook
//!
//! Five services in the folder `examples` of the source. Each is a page and a program of at most
//! 120 lines, to run by `cargo run --example limiter` and to copy from. Most use the crate
//! `parking_lot`; `cache.rs` also needs `tokio`, and `tenants.rs` `constant_time_eq` and
//! `hmac-sha256`.
//!
//! | service | shows |
//! |---|---|
//! | `limiter.rs`: a rate limiter | arguments, shared state, a middleware that limits each address |
//! | `queue.rs`: a job queue with `BLPOP` | deferred replies, timeouts, clients that leave while they wait |
//! | `chat.rs`: a chat that shows who is there | publish, push, hooks of connect and disconnect |
//! | `cache.rs`: a cache in front of a slow backend | async tasks that complete deferred replies, `INFO` |
//! | `tenants.rs`: a store with accounts | logins, users, permissions by key and category |
//!
//! `kv.rs` beside them is a key-value store with Redis's commands, expiry and transactions.
//!
//! # Handlers that wait
//!
//! A handler runs on a worker, and other workers serve the other clients meanwhile. But if as many
//! handlers wait as there are workers, 4 on a machine with 4 processors, everything stops: `PING`,
//! and also the command that would end their wait. So 500 clients whose handlers wait on 4 workers
//! stop the server for good. After `stuck-worker-ms`, it is not [ready](ServerHandle::health), and
//! the log names their commands.
//!
//! A handler that waits for another client, another machine or a slow disk replies later, by
//! [`Session::defer`]. A client that waits so takes no thread and some 230 bytes, and 10,000 of
//! them do not slow down a `PING`. If handlers must wait, set `workers` to more than may wait at
//! once.
//!
//! # What to use
//!
//! | to | use |
//! |---|---|
//! | add, replace or remove commands, and group them | [`Commands`], [`Registered`], [`Container`], [`Command`], [`Arity`] |
//! | declare keys, secrets and flags, and show figures in `INFO` | [`Command::keys`], [`Command::secret`], [`Commands::info_section`], [`Commands::keyspace`] |
//! | read the request of a client | [`Request`], [`Arguments`], [`Keyword`] |
//! | reply, in RESP2 and in RESP3 | [`Reply`], [`Replied`], [`Value`], [`Items`], [`BulkWriter`] |
//! | reply with an error, by `?` | [`ErrorReply`], [`Outcome`] |
//! | reply later, from any thread | [`Session::defer`], [`Deferral`], [`DeferredReply`] |
//! | reply with large values | [`Session::bulk_from`] |
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
//! The library logs through the `log` crate and prints nothing. It handles no signals: a service
//! that is to stop in an orderly way [drains on SIGTERM](ServerHandle::drain).
//!
//! Three features are on by default, and a service needs none of them to start. `cli` adds
//! `config::CommandLine` and what else the program `respool` needs. `tls` adds TLS:
//! [`Config::tls_port`](config::Config) and `Server::with_tls`. `http` adds the operations
//! listener: `Config::http_port`.
//!
//! # Coming from redcon
//!
//! [redcon](https://github.com/tidwall/redcon) is such a framework for Go.
//!
//! | redcon | respool |
//! |---|---|
//! | `ListenAndServe(addr, handler, accept, closed)` | [`Server::bind`], [`Server::serve`]; [`Server::on_connect`], [`Server::on_disconnect`] |
//! | `ListenAndServeTLS`, `ListenAndServeNetwork("unix", …)` | [`Config::tls_port`](config::Config::tls_port), [`Config::unixsocket`](config::Config::unixsocket) |
//! | `Serve(listener)` | [`Server::from_listeners`] |
//! | `ServeMux.HandleFunc`, or a `switch` over `cmd.Args[0]` | [`Commands::register`], which also checks the number of arguments |
//! | `cmd.Args[1]` | `request.bytes(0)?`; [`Request::text`], [`Request::integer`], [`Request::arguments`] |
//! | `WriteString`, `WriteBulk`, `WriteInt`, `WriteNull`, `WriteAny` | [`Reply::simple`], [`bulk`](Reply::bulk), [`integer`](Reply::integer), [`null`](Reply::null), [`value`](Reply::value) |
//! | `WriteArray(n)`, then n writes | [`Reply::array`], [`Reply::array_of`]; another number of items panics, and other clients do not notice |
//! | `WriteError` | `Err(`[`ErrorReply`]`)`, or [`Reply::error`] |
//! | `WriteBulkFrom(n, reader)` | [`Session::bulk_from`] |
//! | `WriteRaw` | nothing: no handler can break the protocol |
//! | `SetContext`, `Context` | [`Session::set_state`], [`Session::state`], [`Session::state_mut`] |
//! | `RemoteAddr` | [`Session::peer`] |
//! | `Close` | [`Session::close_after_reply`]; from other threads, [`ServerHandle::close`] |
//! | `Detach`, to reply from a goroutine | [`Session::defer`]; to send messages, [`ServerHandle::push`] |
//! | `PubSub.Subscribe`, `Psubscribe` | `SUBSCRIBE` and `PSUBSCRIBE` are built in |
//! | `PubSub.Publish` | [`ServerHandle::publish`] |
//! | `ReadPipeline`, `PeekPipeline` | nothing: the replies to a pipeline are sent together by themselves |
//! | `SetIdleClose` | [`Config::timeout_s`](config::Config::timeout_s) |
//! | `Server.Close` | [`ServerHandle::drain`], which first answers what was received |
//! | a goroutine for each client, which may wait | a pool of workers: see [handlers that wait](#handlers-that-wait) |

// The exception is `net/tcp_info.rs`.
#![deny(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod bytes;
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
