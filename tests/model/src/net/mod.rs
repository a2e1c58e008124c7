//! Stand-ins for the crate's sockets.

#![expect(missing_docs, reason = "the original documents it")]

pub mod connection;
