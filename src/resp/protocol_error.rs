//! Mistakes in what a peer sent.

use std::fmt;

/// What a peer sent that is not RESP. The connection is closed behind the error reply.
///
/// The texts are Redis's (`setProtocolError` in `src/networking.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProtocolError {
    /// An inline request of more than 64 KiB.
    TooBigInlineRequest,
    /// An inline request with a quote that does not close, or closes in the middle of a word.
    UnbalancedQuotes,
    /// An array's header of more than 64 KiB.
    TooBigMultibulkCount,
    /// An array whose length is no integer, or more than 2,147,483,647.
    InvalidMultibulkLength,
    /// An array of more than 10 from a client that has not said the password.
    UnauthenticatedMultibulkLength,
    /// A bulk string's header of more than 64 KiB.
    TooBigBulkCount,
    /// Something other than a bulk string in an array; the byte is what stood for `$`.
    ExpectedBulk(u8),
    /// A bulk string whose length is no integer, negative, or more than `proto-max-bulk-len`.
    InvalidBulkLength,
    /// A bulk string of more than 16 KiB from a client that has not said the password.
    UnauthenticatedBulkLength,
    /// A request of more than `client-query-buffer-limit`. Redis closes such a connection without a
    /// word; we say why.
    TooBigRequest,
    /// The beginning of TLS. It is answered by an alert, which is no RESP.
    Tls,
}

impl ProtocolError {
    /// Appends the text of the error, which may hold any byte of the peer's.
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

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.append_text(&mut text);
        text.escape_ascii().fmt(f)
    }
}
