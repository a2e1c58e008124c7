//! RESP, Redis's protocol: bytes to requests and replies to bytes.
//!
//! Nothing here knows a socket, a thread or a command, and nothing here needs more than std. The
//! protocol is described at <https://redis.io/docs/latest/develop/reference/protocol-spec/>; where
//! that text is silent, redis-server 7.0.15 decides, down to the error texts, with two exceptions:
//! what comes out never depends on how the bytes were cut, and a NUL in a header is a mistake like
//! any other and no reason to wait.

mod argument;
mod foreign;
mod inline;
mod integer;
pub(crate) mod limits;
#[cfg(any(test, fuzzing))]
pub(crate) mod naive;
mod protocol_error;
mod reply;
mod request;
mod span;
#[cfg(test)]
mod tests;

pub use argument::ArgumentError;
#[cfg(any(test, fuzzing))]
pub(crate) use foreign::{HTTP_RESPONSE, TLS_ALERT};
pub(crate) use foreign::{is_http_request_line, is_http_version};
pub(crate) use integer::parse as parse_integer;
pub(crate) use limits::Limits;
pub(crate) use protocol_error::ProtocolError;
pub use reply::{BulkWriter, Items, Protocol, Replied, Reply};
pub(crate) use request::Parser;
pub use request::Request;
