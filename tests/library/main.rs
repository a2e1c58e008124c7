//! The crate as a dependency of another program.

mod accounts;
mod clients;
mod commands;
mod config;
mod cookbook;
mod deferred;
mod deferred_clients;
mod errors;
mod examples;
mod handle;
mod info;
mod keys;
mod large_replies;
mod middleware;
mod panics;
mod testing;
mod transactions;
