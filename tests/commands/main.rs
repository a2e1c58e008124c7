//! The built-in commands, one file per group.

mod command;
mod config;
mod connection;
mod password;
mod pubsub;
mod watching;
