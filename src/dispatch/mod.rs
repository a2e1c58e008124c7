//! Dispatches one batch of requests, from the bytes of a client to the bytes of its replies. This
//! room knows no socket and no thread: [`ServerContext`](batch::ServerContext) stands for the
//! server, and [`ReplySink`](crate::net::connection::ReplySink) for the connection.

pub(crate) mod batch;
pub(crate) mod budget;
mod burst;
pub(crate) mod deferred;
mod middleware;
pub(crate) mod output;
mod repeat;
mod transaction;
