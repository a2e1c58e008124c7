//! Replies to bytes.
//!
//! The one file that knows how a reply looks on the wire, and the only one in which RESP2 and RESP3
//! differ. The types are those of the protocol's description; where RESP2 lacks one, it gets what
//! Redis sends in its place (`addReplyNull`, `addReplyVerbatim`, … in `src/networking.c`).

use std::fmt;

use super::integer;
use super::request::ProtocolError;

/// The version of RESP in which a client is answered. It begins with RESP2 and asks for the other
/// by `HELLO`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// The reply that a handler owes to one request.
///
/// It is taken by value and its methods are the only source of a [`Replied`], so a handler that
/// does not answer, or answers twice, does not compile.
#[must_use = "every request is owed a reply"]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the bytes: they are the replies to other requests.
        f.debug_struct("Reply")
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

/// Proof that a request was answered.
#[derive(Debug)]
#[must_use = "a handler gives this back"]
pub struct Replied(());

impl<'a> Reply<'a> {
    /// The reply is appended to `out`.
    pub(crate) fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The same reply in another version of the protocol.
    pub(crate) fn speaking(self, protocol: Protocol) -> Self {
        Self { protocol, ..self }
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
        self.header(b':', value)
    }

    /// A bulk string: any bytes, none included.
    pub fn bulk(self, bytes: impl AsRef<[u8]>) -> Replied {
        self.blob(b'$', &[], bytes.as_ref())
    }

    /// A text for a person: RESP3's verbatim string of the kind `txt`; a bulk string in RESP2.
    pub fn verbatim(self, text: impl AsRef<[u8]>) -> Replied {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => self.blob(b'=', b"txt:", text.as_ref()),
        }
    }

    /// Nothing where there could be something; RESP2 has a bulk string of length -1 for it.
    pub fn null(self) -> Replied {
        self.null_as(b"$-1\r\n")
    }

    /// Nothing where there could be an array; RESP2 has an array of length -1 for it.
    pub fn null_array(self) -> Replied {
        self.null_as(b"*-1\r\n")
    }

    /// True or false; 1 or 0 in RESP2.
    pub fn boolean(self, value: bool) -> Replied {
        match (self.protocol, value) {
            (Protocol::Resp2, _) => self.integer(value.into()),
            (Protocol::Resp3, true) => self.raw(b"#t\r\n"),
            (Protocol::Resp3, false) => self.raw(b"#f\r\n"),
        }
    }

    /// An array of `count` items, each of them a reply.
    ///
    /// # Panics
    ///
    /// If `fill` gives more or fewer.
    pub fn array(self, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Replied {
        self.aggregate(b'*', count, count, fill)
    }

    /// A map of `count` pairs: keys and values in turn. RESP2 gets them as one flat array.
    ///
    /// # Panics
    ///
    /// If `fill` gives more or fewer than twice `count` replies.
    pub fn map(self, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Replied {
        match self.protocol {
            Protocol::Resp2 => self.aggregate(b'*', 2 * count, 2 * count, fill),
            Protocol::Resp3 => self.aggregate(b'%', count, 2 * count, fill),
        }
    }

    /// A set of `count` items; an array in RESP2.
    ///
    /// # Panics
    ///
    /// If `fill` gives more or fewer.
    pub fn set(self, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Replied {
        let kind = match self.protocol {
            Protocol::Resp2 => b'*',
            Protocol::Resp3 => b'~',
        };
        self.aggregate(kind, count, count, fill)
    }

    /// What comes without having been asked for: RESP3's push of `count` items; an array in RESP2.
    ///
    /// # Panics
    ///
    /// If `fill` gives more or fewer.
    pub(crate) fn push(self, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Replied {
        let kind = match self.protocol {
            Protocol::Resp2 => b'*',
            Protocol::Resp3 => b'>',
        };
        self.aggregate(kind, count, count, fill)
    }

    /// The same reply, behind what is on its way to the client anyway.
    pub(crate) fn behind(self, bytes: &[u8]) -> Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// So many replies to one request. Only the commands that subscribe have such.
    pub(crate) fn several(self, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Replied {
        let Self { out, protocol } = self;
        fill_items(out, protocol, count, fill);
        Replied(())
    }

    /// What a peer is told that does not speak RESP.
    pub(crate) fn protocol_error(self, error: ProtocolError) -> Replied {
        let mut text = b"ERR Protocol error: ".to_vec();
        error.append_text(&mut text);
        self.error(text)
    }

    fn aggregate(
        self,
        kind: u8,
        count: usize,
        left: usize,
        fill: impl FnOnce(&mut Items<'_>),
    ) -> Replied {
        let Self { out, protocol } = self;
        let header = Reply::new(out, protocol).header(kind, length(count));
        fill_items(out, protocol, left, fill);
        header
    }

    fn null_as(self, resp2: &[u8]) -> Replied {
        match self.protocol {
            Protocol::Resp2 => self.raw(resp2),
            Protocol::Resp3 => self.raw(b"_\r\n"),
        }
    }

    fn blob(self, kind: u8, prefix: &[u8], bytes: &[u8]) -> Replied {
        let Self { out, protocol } = self;
        let header = Reply::new(out, protocol).header(kind, length(prefix.len() + bytes.len()));
        out.extend_from_slice(prefix);
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
        header
    }

    fn header(self, kind: u8, value: i64) -> Replied {
        self.out.push(kind);
        integer::append(self.out, value);
        self.raw(b"\r\n")
    }

    fn raw(self, bytes: &[u8]) -> Replied {
        self.out.extend_from_slice(bytes);
        Replied(())
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

fn fill_items(
    out: &mut Vec<u8>,
    protocol: Protocol,
    left: usize,
    fill: impl FnOnce(&mut Items<'_>),
) {
    let mut items = Items {
        out,
        protocol,
        left,
    };
    fill(&mut items);
    let left = items.left;
    assert!(left == 0, "an aggregate lacks {left} of its items");
}

/// The items of an array, a map or a set, each of them owed a reply.
#[derive(Debug)]
pub struct Items<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
    left: usize,
}

impl Items<'_> {
    /// Gives the next item.
    ///
    /// # Panics
    ///
    /// Behind the last.
    pub fn add(&mut self, reply: impl FnOnce(Reply<'_>) -> Replied) {
        assert!(self.left > 0, "an aggregate has an item too many");
        self.left -= 1;
        let Replied(()) = reply(Reply::new(self.out, self.protocol));
    }

    /// Gives the next two items: a key as a bulk string, and its value.
    ///
    /// # Panics
    ///
    /// Behind the last.
    pub fn pair(&mut self, key: &str, value: impl FnOnce(Reply<'_>) -> Replied) {
        self.add(|reply| reply.bulk(key));
        self.add(value);
    }
}

/// No slice is longer than `i64::MAX`.
fn length(count: usize) -> i64 {
    count as i64
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
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method itself is of one lifetime, and so does not fit"
)]
mod tests {
    use super::*;

    fn bytes(protocol: Protocol, reply: impl FnOnce(Reply<'_>) -> Replied) -> String {
        let mut out = Vec::new();
        let Replied(()) = reply(Reply::new(&mut out, protocol));
        out.escape_ascii().to_string()
    }

    /// The reply in RESP2 and in RESP3.
    #[track_caller]
    fn assert_encodings(reply: impl Fn(Reply<'_>) -> Replied, resp2: &str, resp3: &str) {
        assert_eq!(bytes(Protocol::Resp2, &reply), resp2);
        assert_eq!(bytes(Protocol::Resp3, &reply), resp3);
    }

    #[test]
    fn what_both_versions_have_looks_the_same() {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            assert_eq!(bytes(protocol, |reply| reply.simple("PONG")), r"+PONG\r\n");
            assert_eq!(
                bytes(protocol, |reply| reply.error("ERR no")),
                r"-ERR no\r\n"
            );
            assert_eq!(bytes(protocol, |reply| reply.integer(-42)), r":-42\r\n");
            assert_eq!(
                bytes(protocol, |reply| reply.bulk("a\r\n\0b")),
                r"$5\r\na\r\n\x00b\r\n"
            );
            assert_eq!(bytes(protocol, |reply| reply.bulk("")), r"$0\r\n\r\n");
            let two = |items: &mut Items<'_>| {
                items.add(|item| item.integer(1));
                items.add(|item| item.bulk("b"));
            };
            assert_eq!(
                bytes(protocol, |reply| reply.array(2, two)),
                r"*2\r\n:1\r\n$1\r\nb\r\n"
            );
            assert_eq!(bytes(protocol, |reply| reply.array(0, |_| ())), r"*0\r\n");
        }
    }

    #[test]
    fn what_resp2_lacks_is_sent_as_what_comes_nearest() {
        assert_encodings(|reply| reply.null(), r"$-1\r\n", r"_\r\n");
        assert_encodings(|reply| reply.null_array(), r"*-1\r\n", r"_\r\n");
        assert_encodings(|reply| reply.boolean(true), r":1\r\n", r"#t\r\n");
        assert_encodings(|reply| reply.boolean(false), r":0\r\n", r"#f\r\n");
        assert_encodings(
            |reply| reply.verbatim("hi"),
            r"$2\r\nhi\r\n",
            r"=6\r\ntxt:hi\r\n",
        );
        let pair = |items: &mut Items<'_>| {
            items.pair("k", |value| value.null());
        };
        assert_encodings(
            |reply| reply.map(1, pair),
            r"*2\r\n$1\r\nk\r\n$-1\r\n",
            r"%1\r\n$1\r\nk\r\n_\r\n",
        );
        assert_encodings(
            |reply| reply.set(2, pair),
            r"*2\r\n$1\r\nk\r\n$-1\r\n",
            r"~2\r\n$1\r\nk\r\n_\r\n",
        );
        assert_encodings(
            |reply| reply.push(2, pair),
            r"*2\r\n$1\r\nk\r\n$-1\r\n",
            r">2\r\n$1\r\nk\r\n_\r\n",
        );
        assert_encodings(
            |reply| reply.several(2, pair),
            r"$1\r\nk\r\n$-1\r\n",
            r"$1\r\nk\r\n_\r\n",
        );
    }

    #[test]
    fn a_reply_can_change_the_version_it_is_written_in() {
        let null = |reply: Reply<'_>| reply.speaking(Protocol::Resp3).null();
        assert_eq!(bytes(Protocol::Resp2, null), r"_\r\n");
    }

    #[test]
    #[should_panic(expected = "an item too many")]
    fn an_item_too_many_is_a_panic() {
        bytes(Protocol::Resp2, |reply| {
            reply.array(0, |items| items.add(|item| item.null()))
        });
    }

    #[test]
    #[should_panic(expected = "lacks 1 of its items")]
    fn an_item_too_few_is_a_panic() {
        bytes(Protocol::Resp2, |reply| reply.array(1, |_| ()));
    }

    #[test]
    fn a_line_never_carries_a_line_end() {
        assert_encodings(|reply| reply.simple("a\r\nb"), r"+a  b\r\n", r"+a  b\r\n");
        assert_encodings(
            |reply| reply.error("ERR a\nb\r"),
            r"-ERR a b \r\n",
            r"-ERR a b \r\n",
        );
    }

    #[test]
    fn a_protocol_error_names_the_byte_that_it_met() {
        let error = ProtocolError::ExpectedBulk(b'\r');
        assert_eq!(
            bytes(Protocol::Resp2, |reply| reply.protocol_error(error)),
            r"-ERR Protocol error: expected \'$\', got \' \'\r\n"
        );
    }
}
