//! Violations of the protocol by a peer.

use std::fmt;

/// A violation of the protocol. The client is sent the error and closed.
///
/// The texts are Redis's (`setProtocolError` in `src/networking.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProtocolError {
    /// An inline request of more than 64 KiB.
    TooBigInlineRequest,
    /// An inline request with a quote that is not closed, or is closed in the middle of a word.
    UnbalancedQuotes,
    /// A header of an array of more than 64 KiB.
    TooBigMultibulkCount,
    /// An array whose length is not an integer, or more than 2,147,483,647.
    InvalidMultibulkLength,
    /// An array of more than 10 items from an unauthenticated client.
    UnauthenticatedMultibulkLength,
    /// A header of a bulk string of more than 64 KiB.
    TooBigBulkCount,
    /// An item of an array that is not a bulk string: it begins with this byte instead of `$`.
    ExpectedBulk(u8),
    /// A bulk string whose length is not an integer, negative, or more than `proto-max-bulk-len`.
    InvalidBulkLength,
    /// A bulk string of more than 16 KiB from an unauthenticated client.
    UnauthenticatedBulkLength,
    /// A request of more than `client-query-buffer-limit`. Redis has no error for it.
    TooBigRequest,
    /// A handshake of TLS. The reply is an alert of TLS, not RESP.
    Tls,
}

impl ProtocolError {
    /// Appends the text of the error, which may contain any byte that the peer sent.
    pub(crate) fn append_text(self, text: &mut Vec<u8>) {
        text.extend_from_slice(match self {
            Self::TooBigInlineRequest => b"too big inline request",
            Self::UnbalancedQuotes => b"unbalanced quotes in request",
            Self::TooBigMultibulkCount => b"too big mbulk count string",
            Self::InvalidMultibulkLength => b"invalid multibulk length",
            Self::UnauthenticatedMultibulkLength => b"unauthenticated multibulk length",
            Self::TooBigBulkCount => b"too big bulk count string",
            Self::ExpectedBulk(_) => b"expected '$', got '",
            Self::InvalidBulkLength => b"invalid bulk length",
            Self::UnauthenticatedBulkLength => b"unauthenticated bulk length",
            Self::TooBigRequest => b"too big request",
            Self::Tls => b"TLS",
        });
        if let Self::ExpectedBulk(byte) = self {
            text.extend_from_slice(&[byte, b'\'']);
        }
    }
}

impl std::error::Error for ProtocolError {}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.append_text(&mut text);
        text.escape_ascii().fmt(f)
    }
}
