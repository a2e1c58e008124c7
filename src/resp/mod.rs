//! RESP, Redis's protocol: bytes to requests and replies to bytes.
//!
//! Nothing here knows a socket, a thread or a command, and nothing here needs more than std. The
//! protocol is described at <https://redis.io/docs/latest/develop/reference/protocol-spec/>; where
//! that text is silent, Redis's own `src/networking.c` (7.2) decides, down to the error texts.

mod inline;
mod integer;
pub(crate) mod limits;
#[cfg(test)]
mod naive;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub(crate) use limits::Limits;
pub use reply::{Replied, Reply};
pub(crate) use request::Parser;
pub use request::{ProtocolError, Request};
