//! The operations listener: metrics, health and a live page over HTTP, for those who operate the
//! server. It has a thread of its own, so that it answers while every worker is busy.
//!
//! | file | contents |
//! |---|---|
//! | `listener.rs` | the thread: all sockets, in one poll |
//! | `connection.rs` | one connection: reads a request, sends the answer, lingers |
//! | `request.rs` | bytes to a request |
//! | `routes.rs` | the answer to a request; `host.rs` checks by which name it asks |
//! | `answer.rs` | status, headers and body to bytes |
//! | `metrics/` | `/metrics`, in Prometheus's text format |
//! | `page/` | `/`: the files of the page |
//!
//! Nothing here is logged per request, and nothing waits for a client or a worker.

mod answer;
mod connection;
mod host;
mod listener;
mod metrics;
mod request;
mod routes;

pub(crate) use listener::{Listener, Stop};
