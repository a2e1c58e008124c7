//! What stands in for the sockets of the crate.

pub mod connection;
