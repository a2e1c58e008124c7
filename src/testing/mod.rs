//! Tests of a service in a few lines: a server on a free port of the loopback, or one in memory,
//! and a blocking client.
//!
//! ```
//! use respool::testing::{self, Answer};
//! # use respool::{Arity, Commands};
//! # let mut commands = Commands::builtin();
//! # commands.register("GET", Arity::Exactly(2), |_, _, reply| reply.null());
//!
//! let server = testing::serve(commands)?;
//! let mut client = server.client()?;
//! assert_eq!(client.call(["GET", "key"])?, Answer::Null);
//! // Dropping the server stops it.
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! | to test | use |
//! |---|---|
//! | commands, over TCP | [`serve`] |
//! | a server with its hooks and configuration | [`start`], with [`config`] |
//! | a program that runs already | [`TestClient::connect`] |
//! | handlers alone, without sockets and threads | [`Offline`] |
//!
//! In memory, a handler runs on the thread of the test, so each run is the same:
//!
//! ```
//! use respool::testing::Offline;
//! # use respool::{Arity, Commands};
//! # let mut commands = Commands::builtin();
//! # commands.register("ADD", Arity::Exactly(3), |_, request, reply| {
//! #     Ok(reply.integer(request.integer(0)? + request.integer(1)?))
//! # });
//!
//! let server = Offline::new(commands)?;
//! let mut client = server.client();
//! assert_eq!(client.call(["ADD", "2", "3"])?, 5);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod client;
mod comparison;
pub(crate) mod offline;
mod reader;
mod server;

pub use answer::Answer;
pub use client::TestClient;
pub use offline::Offline;
pub use server::{TestServer, config, serve, start};
