//! Replies to bytes.
//!
//! The one file that knows how a reply looks on the wire, and the only one in which RESP2 and RESP3
//! differ. The types are those of the protocol's description; where RESP2 lacks one, it gets what
//! Redis sends in its place (`addReplyNull`, `addReplyVerbatim`, … in `src/networking.c`).

use std::fmt;
use std::io;
use std::ops::Range;

use super::foreign;
use super::integer;
use super::protocol_error::ProtocolError;

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
pub struct Replied {
    /// Where the text of an error begins in the output; beyond it if the reply is none.
    error_at: usize,
}

const NOT_AN_ERROR: Replied = Replied {
    error_at: usize::MAX,
};

impl Replied {
    /// The text of the error that the reply is, up to the end of `out`; `None` if it is none.
    #[inline]
    pub(crate) fn error_in<'a>(&self, out: &'a [u8]) -> Option<&'a [u8]> {
        out.get(self.error_at..)
    }
}

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
        let error_at = self.out.len() + 1;
        let Replied { .. } = self.line(b'-', text.as_ref());
        Replied { error_at }
    }

    /// An error whose text may have any bytes, line ends included: RESP3's bulk error. In RESP2 it
    /// is an [error](Self::error), CR and LF as blanks.
    pub fn bulk_error(self, text: impl AsRef<[u8]>) -> Replied {
        let text = text.as_ref();
        match self.protocol {
            Protocol::Resp2 => self.error(text),
            Protocol::Resp3 => {
                let Self { out, protocol } = self;
                let Replied { .. } = Reply::new(out, protocol).blob(b'!', &[], text);
                let error_at = out.len() - text.len() - 2;
                Replied { error_at }
            }
        }
    }

    /// An integer: `:value`.
    pub fn integer(self, value: i64) -> Replied {
        self.header(b':', value)
    }

    /// A bulk string: any bytes, none included.
    pub fn bulk(self, bytes: impl AsRef<[u8]>) -> Replied {
        self.blob(b'$', &[], bytes.as_ref())
    }

    /// A bulk string of `length` bytes that `fill` writes to where they are sent from: what is put
    /// together, or read from a file, need not be in memory as a whole before.
    ///
    /// # Panics
    ///
    /// If `fill` writes fewer (it cannot write more), or there is no memory for so many: all of it
    /// is taken before.
    pub fn bulk_with(self, length: usize, fill: impl FnOnce(&mut BulkWriter<'_>)) -> Replied {
        let Self { out, protocol } = self;
        let header = Reply::new(out, protocol).header(b'$', count_as_sent(length));
        // Where the memory is not to be had, this panics, and costs one client its connection. To
        // reserve it would end the process.
        out.try_reserve(length.saturating_add(2))
            .expect("there is memory for the bulk string");
        let mut writer = BulkWriter { out, left: length };
        fill(&mut writer);
        let left = writer.left;
        assert!(left == 0, "a bulk string lacks {left} of its bytes");
        out.extend_from_slice(b"\r\n");
        header
    }

    /// A text for a person: RESP3's verbatim string of the kind `txt`; a bulk string in RESP2.
    pub fn verbatim(self, text: impl AsRef<[u8]>) -> Replied {
        self.verbatim_as(b"txt:", text.as_ref())
    }

    /// A text in Markdown: RESP3's verbatim string of the kind `mkd`; a bulk string in RESP2.
    pub fn markdown(self, text: impl AsRef<[u8]>) -> Replied {
        self.verbatim_as(b"mkd:", text.as_ref())
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

    /// A floating-point number, in as few digits as tell it from every other; a bulk string in
    /// RESP2. The infinite ones are `inf` and `-inf`, what is no number is `nan`.
    pub fn double(self, value: f64) -> Replied {
        let text = double_text(value);
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => self.line(b',', text.as_bytes()),
        }
    }

    /// An integer that may have more than 64 bits, given in decimal digits, with `-` in front of
    /// them if it is negative; a bulk string in RESP2.
    ///
    /// # Panics
    ///
    /// If `digits` is no such number.
    pub fn big_number(self, digits: &str) -> Replied {
        let magnitude = digits.strip_prefix('-').unwrap_or(digits);
        assert!(
            !magnitude.is_empty() && magnitude.bytes().all(|byte| byte.is_ascii_digit()),
            "a big number is decimal digits, and not {digits:?}"
        );
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits),
            Protocol::Resp3 => self.line(b'(', digits.as_bytes()),
        }
    }

    /// Says something about the reply that is still owed: RESP3's attribute of `count` pairs. In
    /// RESP2 nothing is sent and `fill` is not called.
    ///
    /// # Panics
    ///
    /// If `fill` gives more or fewer than twice `count` replies.
    pub fn attribute(self, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Self {
        self.in_front(b'|', count, twice(count), fill)
    }

    /// Sends something beside the reply that is still owed: RESP3's push of `count` items, of which
    /// the first is a bulk string that says what kind of message it is. In RESP2, whose clients
    /// would take it for the reply, nothing is sent and `fill` is not called. It goes the way of the
    /// reply: a client that has said `CLIENT REPLY OFF` gets neither.
    ///
    /// # Panics
    ///
    /// If `fill` gives more or fewer than `count`.
    pub fn push(self, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Self {
        self.in_front(b'>', count, count, fill)
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
            Protocol::Resp2 => self.aggregate(b'*', twice(count), twice(count), fill),
            Protocol::Resp3 => self.aggregate(b'%', count, twice(count), fill),
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

    /// What a subscriber is sent: RESP3's push of `count` items; an array in RESP2.
    ///
    /// # Panics
    ///
    /// If `fill` gives more or fewer.
    pub(crate) fn message(self, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Replied {
        let kind = match self.protocol {
            Protocol::Resp2 => b'*',
            Protocol::Resp3 => b'>',
        };
        self.aggregate(kind, count, count, fill)
    }

    /// No reply. Only for the commands that subscribe: they push their confirmations.
    pub(crate) fn nothing(self) -> Replied {
        self.raw(b"")
    }

    /// What a peer is told that does not speak RESP.
    pub(crate) fn protocol_error(self, error: ProtocolError) -> Replied {
        if error == ProtocolError::Tls {
            return self.raw(foreign::TLS_ALERT);
        }
        let mut text = b"ERR Protocol error: ".to_vec();
        error.append_text(&mut text);
        self.error(text)
    }

    /// The reply to a request of HTTP.
    pub(crate) fn http_response(self) -> Replied {
        self.raw(foreign::HTTP_RESPONSE)
    }

    fn aggregate(
        self,
        kind: u8,
        count: usize,
        left: usize,
        fill: impl FnOnce(&mut Items<'_>),
    ) -> Replied {
        let Self { out, protocol } = self;
        let header = Reply::new(out, protocol).header(kind, count_as_sent(count));
        fill_items(out, protocol, left, fill);
        header
    }

    /// An aggregate in front of the reply, which only RESP3 knows.
    fn in_front(
        self,
        kind: u8,
        count: usize,
        left: usize,
        fill: impl FnOnce(&mut Items<'_>),
    ) -> Self {
        let Self { out, protocol } = self;
        if protocol == Protocol::Resp3 {
            let Replied { .. } = Reply::new(out, protocol).aggregate(kind, count, left, fill);
        }
        Self { out, protocol }
    }

    fn verbatim_as(self, kind: &[u8], text: &[u8]) -> Replied {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => self.blob(b'=', kind, text),
        }
    }

    fn null_as(self, resp2: &[u8]) -> Replied {
        match self.protocol {
            Protocol::Resp2 => self.raw(resp2),
            Protocol::Resp3 => self.raw(b"_\r\n"),
        }
    }

    fn blob(self, kind: u8, prefix: &[u8], bytes: &[u8]) -> Replied {
        let Self { out, protocol } = self;
        let header =
            Reply::new(out, protocol).header(kind, count_as_sent(prefix.len() + bytes.len()));
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
        NOT_AN_ERROR
    }

    // Only where it is inlined does the compiler see the literal, and that it is one line: that is
    // a fifth of the instructions of a pipelined PING.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn line(self, kind: u8, text: &[u8]) -> Replied {
        let length = text.len() + 3;
        if length <= SHORT_LINE_BYTES_MAX && is_one_line(text) {
            // At once, so that there is one look at the room that is left.
            let mut line = [0; SHORT_LINE_BYTES_MAX];
            line[0] = kind;
            line[1..length - 2].copy_from_slice(text);
            line[length - 2..length].copy_from_slice(b"\r\n");
            self.out.extend_from_slice(&line[..length]);
            return NOT_AN_ERROR;
        }
        self.out.reserve(length);
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
        NOT_AN_ERROR
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
        let Replied { .. } = reply(Reply::new(self.out, self.protocol));
    }

    /// Gives the next two items: a key as a bulk string, and its value.
    ///
    /// # Panics
    ///
    /// Behind the last.
    pub fn pair(&mut self, key: impl AsRef<[u8]>, value: impl FnOnce(Reply<'_>) -> Replied) {
        self.add(|reply| reply.bulk(key));
        self.add(value);
    }
}

/// The bytes of a bulk string, to be written in order.
#[derive(Debug)]
pub struct BulkWriter<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
}

impl BulkWriter<'_> {
    /// How many bytes are still to be written.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }
}

/// Takes no more bytes than are left, and so gives 0 behind the last: `write_all` then fails.
impl io::Write for BulkWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = &bytes[..bytes.len().min(self.left)];
        self.out.extend_from_slice(taken);
        self.left -= taken.len();
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The items of so many pairs. Nobody gives as many as do not fit.
fn twice(count: usize) -> usize {
    count.saturating_mul(2)
}

/// No slice is longer than `i64::MAX`.
fn count_as_sent(count: usize) -> i64 {
    count as i64
}

/// As Redis 7.2 and later write it, where digits suffice; beyond, with an exponent.
fn double_text(value: f64) -> String {
    let magnitude = value.abs();
    if value.is_nan() {
        "nan".into()
    } else if magnitude == 0.0 || magnitude.is_infinite() || PLAIN_DOUBLES.contains(&magnitude) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

/// Numbers that are written without an exponent: those that 17 digits show all of, and small ones
/// with a few zeros in front.
const PLAIN_DOUBLES: Range<f64> = 1e-5..1e17;

/// Bytes of a line that is put together before it is written.
const SHORT_LINE_BYTES_MAX: usize = 16;

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
    use std::io::Write;

    use super::*;

    fn bytes(protocol: Protocol, reply: impl FnOnce(Reply<'_>) -> Replied) -> String {
        let mut out = Vec::new();
        let Replied { .. } = reply(Reply::new(&mut out, protocol));
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
        assert_encodings(
            |reply| reply.markdown("*hi*"),
            r"$4\r\n*hi*\r\n",
            r"=8\r\nmkd:*hi*\r\n",
        );
        assert_encodings(
            |reply| reply.bulk_error("ERR a\r\nb"),
            r"-ERR a  b\r\n",
            r"!8\r\nERR a\r\nb\r\n",
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
            |reply| reply.message(2, pair),
            r"*2\r\n$1\r\nk\r\n$-1\r\n",
            r">2\r\n$1\r\nk\r\n_\r\n",
        );
        assert_encodings(|reply| reply.nothing(), "", "");
    }

    #[test]
    fn a_number_is_written_in_as_few_digits_as_tell_it_from_every_other() {
        for (value, text) in [
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (3.0, "3"),
            (-0.0, "-0"),
            (1e16, "10000000000000000"),
            (1e17, "1e17"),
            (0.00001, "0.00001"),
            (0.000_001, "1e-6"),
            (f64::MAX, "1.7976931348623157e308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_encodings(
                |reply| reply.double(value),
                &format!(r"${}\r\n{text}\r\n", text.len()),
                &format!(r",{text}\r\n"),
            );
        }
        let digits = "-3492890328409238509324850943850943825024385";
        assert_encodings(
            |reply| reply.big_number(digits),
            &format!(r"$44\r\n{digits}\r\n"),
            &format!(r"({digits}\r\n"),
        );
    }

    #[test]
    #[should_panic(expected = "is decimal digits")]
    fn a_big_number_of_something_else_is_a_panic() {
        bytes(Protocol::Resp3, |reply| reply.big_number("1\r\n"));
    }

    #[test]
    fn what_stands_in_front_of_a_reply_is_left_out_where_it_would_be_taken_for_one() {
        let pair = |items: &mut Items<'_>| items.pair("k", |value| value.integer(1));
        assert_encodings(
            |reply| reply.attribute(1, pair).null(),
            r"$-1\r\n",
            r"|1\r\n$1\r\nk\r\n:1\r\n_\r\n",
        );
        assert_encodings(
            |reply| reply.push(2, pair).simple("OK"),
            r"+OK\r\n",
            r">2\r\n$1\r\nk\r\n:1\r\n+OK\r\n",
        );
    }

    #[test]
    fn a_bulk_string_can_be_written_to_where_it_is_sent_from() {
        let write = |length| {
            move |reply: Reply<'_>| {
                reply.bulk_with(length, |bulk| {
                    write!(bulk, "half").expect("there is room");
                    assert_eq!(bulk.left(), length - 4);
                    let _ = write!(bulk, " and more than fits");
                })
            }
        };
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            assert_eq!(bytes(protocol, write(8)), r"$8\r\nhalf and\r\n");
        }
    }

    #[test]
    #[should_panic(expected = "lacks 1 of its bytes")]
    fn a_bulk_string_that_is_too_short_is_a_panic() {
        bytes(Protocol::Resp2, |reply| reply.bulk_with(1, |_| ()));
    }

    #[test]
    fn an_error_is_known_for_one_and_where_its_text_begins() {
        let text_of = |protocol, reply: &dyn Fn(Reply<'_>) -> Replied| {
            let mut out = b"+before\r\n".to_vec();
            let replied = reply(Reply::new(&mut out, protocol));
            let text = replied.error_in(&out);
            text.map(|text| text.escape_ascii().to_string())
        };
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let error = text_of(protocol, &|reply| {
                reply.attribute(0, |_| ()).error("NO way")
            });
            assert_eq!(error.as_deref(), Some(r"NO way\r\n"));
            let bulk_error = text_of(protocol, &|reply| reply.bulk_error("NO way"));
            assert_eq!(bulk_error.as_deref(), Some(r"NO way\r\n"));
            assert_eq!(text_of(protocol, &|reply| reply.simple("-NO")), None);
            let error_within = text_of(protocol, &|reply| {
                reply.array(1, |items| items.add(|item| item.error("NO way")))
            });
            assert_eq!(error_within, None);
        }
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
