//! Replies to bytes.
//!
//! The one file that knows how a reply looks on the wire. Today that is RESP2; where RESP3 differs,
//! the difference belongs here and nowhere else.

use std::fmt;

use super::integer;
use super::request::ProtocolError;

/// The reply that a handler owes to one request.
///
/// It is taken by value and its methods are the only source of a [`Replied`], so a handler that
/// does not answer, or answers twice, does not compile.
#[must_use = "every request is owed a reply"]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
}

impl fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the bytes: they are the replies to other requests.
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

/// Proof that a request was answered.
#[derive(Debug)]
#[must_use = "a handler gives this back"]
pub struct Replied(());

impl<'a> Reply<'a> {
    /// The reply is appended to `out`.
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// A simple string: `+text`. CR and LF, which would end it early, are sent as blanks.
    #[expect(clippy::inline_always, reason = "see `line`")]
    #[inline(always)]
    pub fn simple(self, text: &str) -> Replied {
        self.line(b'+', text.as_bytes())
    }

    /// An error: `-CODE text`. `text` begins with its code in capitals (`ERR`, `NOAUTH`, …), by
    /// which clients tell errors apart. CR and LF, which would end it early, are sent as blanks.
    pub fn error(self, text: impl AsRef<[u8]>) -> Replied {
        self.line(b'-', text.as_ref())
    }

    /// An integer: `:value`.
    pub fn integer(self, value: i64) -> Replied {
        self.out.push(b':');
        integer::append(self.out, value);
        self.out.extend_from_slice(b"\r\n");
        Replied(())
    }

    /// A bulk string: any bytes, none included.
    pub fn bulk(self, bytes: &[u8]) -> Replied {
        self.out.push(b'$');
        // No slice is longer than i64::MAX bytes.
        integer::append(self.out, bytes.len() as i64);
        self.out.extend_from_slice(b"\r\n");
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
        Replied(())
    }

    /// What a peer is told that does not speak RESP.
    pub(crate) fn protocol_error(self, error: ProtocolError) -> Replied {
        let mut text = b"ERR Protocol error: ".to_vec();
        error.append_text(&mut text);
        self.error(text)
    }

    // Only where it is inlined does the compiler see the literal, and that it is one line: that is
    // a fifth of the instructions of a pipelined PING.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn line(self, kind: u8, text: &[u8]) -> Replied {
        self.out.reserve(text.len() + 3);
        self.out.push(kind);
        if is_one_line(text) {
            self.out.extend_from_slice(text);
        } else {
            let blank = |&byte: &u8| {
                if matches!(byte, b'\r' | b'\n') {
                    b' '
                } else {
                    byte
                }
            };
            self.out.extend(text.iter().map(blank));
        }
        self.out.extend_from_slice(b"\r\n");
        Replied(())
    }
}

/// Whether `text` holds neither CR nor LF. Of a literal, the compiler knows the answer.
const fn is_one_line(text: &[u8]) -> bool {
    let mut index = 0;
    while index < text.len() {
        if matches!(text[index], b'\r' | b'\n') {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(reply: impl FnOnce(Reply<'_>) -> Replied) -> String {
        let mut out = Vec::new();
        let Replied(()) = reply(Reply::new(&mut out));
        out.escape_ascii().to_string()
    }

    #[test]
    fn each_type_has_its_encoding() {
        assert_eq!(bytes(|reply| reply.simple("PONG")), r"+PONG\r\n");
        assert_eq!(bytes(|reply| reply.error("ERR no")), r"-ERR no\r\n");
        assert_eq!(bytes(|reply| reply.integer(-42)), r":-42\r\n");
        assert_eq!(
            bytes(|reply| reply.bulk(b"a\r\n\0b")),
            r"$5\r\na\r\n\x00b\r\n"
        );
        assert_eq!(bytes(|reply| reply.bulk(b"")), r"$0\r\n\r\n");
    }

    #[test]
    fn a_line_never_carries_a_line_end() {
        assert_eq!(bytes(|reply| reply.simple("a\r\nb")), r"+a  b\r\n");
        assert_eq!(bytes(|reply| reply.error("ERR a\nb\r")), r"-ERR a b \r\n");
    }

    #[test]
    fn a_protocol_error_names_the_byte_that_it_met() {
        let error = ProtocolError::ExpectedBulk(b'\r');
        assert_eq!(
            bytes(|reply| reply.protocol_error(error)),
            r"-ERR Protocol error: expected \'$\', got \' \'\r\n"
        );
    }
}
