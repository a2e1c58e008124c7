//! RESP, Redis's protocol: parses requests and writes replies.
//!
//! This folder needs only std, and knows no socket, thread or command. The protocol is described at
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>. Where that text is silent, the
//! parser follows redis-server 7.0.15, including the error texts, with two exceptions: the result
//! never depends on how the bytes are split between reads, and a NUL in a header is an error.

mod argument;
mod bulk_source;
mod error_reply;
mod foreign;
mod inline;
mod integer;
mod last_arguments;
pub(crate) mod limits;
mod protocol_error;
mod reply;
mod request;
mod request_queue;
mod span;
#[cfg(test)]
pub(crate) mod tests;
mod value;

pub use argument::Keyword;
pub(crate) use bulk_source::BulkSource;
pub use error_reply::ErrorReply;
pub(crate) use error_reply::{is_code, without_line_ends};
#[cfg(any(test, fuzzing))]
pub(crate) use foreign::{HTTP_RESPONSE, TLS_ALERT};
pub(crate) use foreign::{is_http_request_line, is_http_version};
pub(crate) use integer::parse as parse_integer;
pub(crate) use last_arguments::LastArguments;
pub(crate) use limits::Limits;
pub(crate) use protocol_error::ProtocolError;
pub(crate) use reply::misused;
pub use reply::{BulkWriter, Items, Protocol, Replied, Reply};
pub(crate) use request::Parser;
pub use request::{Arguments, Request};
pub(crate) use request_queue::RequestQueue;
pub use value::Value;
