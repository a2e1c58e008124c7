//! Writes replies.
//!
//! Only this file knows the format of replies and the differences between RESP2 and RESP3. The
//! types are those of the protocol's description. For a type that RESP2 lacks, it sends the same as
//! Redis (`addReplyNull`, `addReplyVerbatim`, … in `src/networking.c`).

use std::fmt;
use std::io;
use std::ops::Range;
use std::panic::Location;

use super::bulk_source::BulkSource;
use super::error_reply::{ErrorReply, is_one_line};
use super::foreign;
use super::integer;
use super::protocol_error::ProtocolError;

/// The version of RESP of the replies to a client: RESP2 until the client changes it by `HELLO`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// The reply to one request, which a handler has to write.
///
/// Its methods consume it, and only they return a [`Replied`]. So a handler that does not reply, or
/// replies twice, does not compile. [`Reply::value`] chooses the type of the reply by that of the
/// value; the other methods name it.
///
/// A closure that is not written where it is registered needs the types of its parameters, and that
/// of the reply with its lifetime: `|_: &mut Session, request: &Request<'_>, reply: Reply<'_>| …`.
#[must_use = "every request needs a reply"]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    place: Place,
}

/// The protocol of a reply, and whether it is an item of an aggregate or that of a token. In one
/// byte, so that a reply is passed in two registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    WholeResp2,
    WholeResp3,
    PartResp2,
    PartResp3,
}

impl fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the bytes, which are replies to other requests.
        f.debug_struct("Reply")
            .field("protocol", &self.protocol())
            .finish_non_exhaustive()
    }
}

/// Proof that a request was answered, which a handler returns.
///
/// Only the methods of [`Reply`] return it. If the compiler expects a `Replied` and finds `()`, the
/// last expression of the handler, or of the closure for an item, is no reply, or has a semicolon
/// after it. If it finds a `Result`, see [`Outcome`](crate::Outcome).
#[derive(Debug)]
#[must_use = "a handler returns this"]
pub struct Replied {
    /// The offset of an error's text in the output. [`NOT_AN_ERROR`] is no offset.
    error_at: usize,
}

const NOT_AN_ERROR: Replied = Replied {
    error_at: usize::MAX,
};

impl Replied {
    /// Returns the text of an error, up to the end of `out`; `None` if the reply is not an error.
    #[inline]
    pub(crate) fn error_in<'a>(&self, out: &'a [u8]) -> Option<&'a [u8]> {
        out.get(self.error_at..)
    }

    /// Proves that the reply comes later.
    pub(crate) fn deferred(_: Reply<'_>) -> Self {
        NOT_AN_ERROR
    }
}

impl<'a> Reply<'a> {
    /// Creates a reply that is appended to `out`.
    pub(crate) fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        let place = match protocol {
            Protocol::Resp2 => Place::WholeResp2,
            Protocol::Resp3 => Place::WholeResp3,
        };
        Self { out, place }
    }

    /// Creates a reply that cannot come later: an item of an aggregate, or the reply of a token.
    pub(crate) fn part(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        let place = match protocol {
            Protocol::Resp2 => Place::PartResp2,
            Protocol::Resp3 => Place::PartResp3,
        };
        Self { out, place }
    }

    /// Whether it is an item of an aggregate, or that of a token, and so cannot come later.
    pub(crate) fn is_part(&self) -> bool {
        matches!(self.place, Place::PartResp2 | Place::PartResp3)
    }

    fn protocol(&self) -> Protocol {
        match self.place {
            Place::WholeResp2 | Place::PartResp2 => Protocol::Resp2,
            Place::WholeResp3 | Place::PartResp3 => Protocol::Resp3,
        }
    }

    /// Replies with the `bytes` of another reply, of which `replied` was returned.
    pub(crate) fn encoded(self, bytes: &[u8], replied: &Replied) -> Replied {
        let start = self.out.len();
        self.out.extend_from_slice(bytes);
        let is_error = replied.error_in(bytes).is_some();
        if is_error {
            Replied {
                error_at: start + replied.error_at,
            }
        } else {
            NOT_AN_ERROR
        }
    }

    /// Changes the version of the protocol for this reply.
    pub(crate) fn with_protocol(self, protocol: Protocol) -> Self {
        Self::new(self.out, protocol)
    }

    /// Replies with a simple string: `+text`. CR and LF in it are sent as blanks.
    #[expect(clippy::inline_always, reason = "see `line`")]
    #[inline(always)]
    pub fn simple(self, text: &str) -> Replied {
        self.line(b'+', text.as_bytes())
    }

    /// Replies with an error: `-CODE text`. `text` begins with a code in capitals (`ERR`, `NOAUTH`,
    /// …), by which clients distinguish errors. CR and LF in it are sent as blanks.
    ///
    /// For an [`ErrorReply`], use [`Self::value`], or return it from the handler.
    pub fn error(self, text: impl AsRef<[u8]>) -> Replied {
        let error_at = self.out.len() + 1;
        let Replied { .. } = self.line(b'-', text.as_ref());
        Replied { error_at }
    }

    /// Replies with an error.
    pub(crate) fn error_of(mut self, error: &ErrorReply) -> Replied {
        let error_at = self.out.len() + 1;
        for part in ["-", error.code(), " ", error.text()] {
            self.out.extend_from_slice(part.as_bytes());
        }
        let Replied { .. } = self.raw(b"\r\n");
        Replied { error_at }
    }

    /// Replies by `write`. If it returns an error, this replaces everything that it has written.
    pub(crate) fn or_error(
        self,
        write: impl FnOnce(Reply<'_>) -> Result<Replied, ErrorReply>,
    ) -> Replied {
        let Self { out, place } = self;
        let start = out.len();
        write(Reply { out, place }).unwrap_or_else(|error| {
            out.truncate(start);
            Reply { out, place }.error_of(&error)
        })
    }

    /// Replies with an error of any bytes, including line ends: RESP3's bulk error; in RESP2, an
    /// [error](Self::error).
    pub fn bulk_error(self, text: impl AsRef<[u8]>) -> Replied {
        let text = text.as_ref();
        if self.protocol() == Protocol::Resp2 {
            return self.error(text);
        }
        let Replied { .. } = blob(self.out, b'!', text);
        let error_at = self.out.len() - text.len() - 2;
        Replied { error_at }
    }

    /// Replies with an integer: `:value`.
    pub fn integer(mut self, value: i64) -> Replied {
        self.header(b':', value)
    }

    /// Replies with a bulk string: any bytes, or none. They are copied;
    /// [`Session::bulk_from`](crate::Session::bulk_from) copies a large value in pieces, as the
    /// peer takes them.
    pub fn bulk(self, bytes: impl AsRef<[u8]>) -> Replied {
        blob(self.out, b'$', bytes.as_ref())
    }

    /// Replies with a bulk string of `length` bytes that `fill` writes directly to the output. So a
    /// value that is composed, or read from a file, is not copied.
    ///
    /// # Panics
    ///
    /// Panics if `fill` writes fewer than `length` bytes (it cannot write more), or if there is not
    /// enough memory for `length` bytes.
    #[track_caller]
    pub fn bulk_with(mut self, length: usize, fill: impl FnOnce(&mut BulkWriter<'_>)) -> Replied {
        let Replied { .. } = self.header(b'$', length as i64);
        // A panic closes one client; `reserve` would abort the process.
        if let Err(error) = self.out.try_reserve(length.saturating_add(2)) {
            misused(format_args!("no memory for a bulk string: {error}"));
        }
        let mut writer = BulkWriter {
            out: self.out,
            remaining: length,
        };
        fill(&mut writer);
        let remaining = writer.remaining;
        if remaining > 0 {
            misused(format_args!("a bulk string lacks {remaining} of its bytes"));
        }
        self.raw(b"\r\n")
    }

    /// Writes the header of a bulk string, whose `length` bytes follow later.
    #[track_caller]
    pub(crate) fn bulk_header(mut self, length: u64) -> Replied {
        let Ok(length) = i64::try_from(length) else {
            misused(format_args!("no bulk string has {length} bytes"));
        };
        self.header(b'$', length)
    }

    /// Replies with a bulk string of the `length` bytes of `source`, which are read at once.
    pub(crate) fn bulk_of(self, length: u64, source: &mut BulkSource) -> io::Result<Replied> {
        let protocol = self.protocol();
        let out = &mut *self.out;
        let replied = Reply::new(out, protocol).bulk_header(length);
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        // An error is a reply; `reserve` would abort the process.
        out.try_reserve(bytes.saturating_add(2))?;
        while !source.read(out)? {}
        Ok(replied)
    }

    /// Replies with text for a person: RESP3's verbatim string `txt`; in RESP2, a bulk string.
    pub fn verbatim(self, text: impl AsRef<[u8]>) -> Replied {
        self.verbatim_as(b"txt:", text.as_ref())
    }

    /// Replies with Markdown for a person: RESP3's verbatim string `mkd`; in RESP2, a bulk string.
    pub fn markdown(self, text: impl AsRef<[u8]>) -> Replied {
        self.verbatim_as(b"mkd:", text.as_ref())
    }

    /// Replies with null, in place of a single value; in RESP2, a bulk string of length -1.
    // The attribute keeps clippy from advising `Reply::null` in place of a closure: that would not
    // compile, because the path names one lifetime and a closure takes any.
    #[track_caller]
    pub fn null(mut self) -> Replied {
        self.raw_by_protocol(b"$-1\r\n", b"_\r\n")
    }

    /// Replies with null, in place of an array; in RESP2, an array of length -1.
    // As for `null`.
    #[track_caller]
    pub fn null_array(mut self) -> Replied {
        self.raw_by_protocol(b"*-1\r\n", b"_\r\n")
    }

    /// Replies with true or false; in RESP2, with 1 or 0.
    pub fn boolean(mut self, value: bool) -> Replied {
        if value {
            self.raw_by_protocol(b":1\r\n", b"#t\r\n")
        } else {
            self.raw_by_protocol(b":0\r\n", b"#f\r\n")
        }
    }

    /// Replies with a floating-point number, in the fewest digits that identify it; in RESP2, with
    /// a bulk string. Infinities are `inf` and `-inf`; not a number is `nan`.
    pub fn double(self, value: f64) -> Replied {
        let text = double_text(value);
        match self.protocol() {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => self.line(b',', text.as_bytes()),
        }
    }

    /// Replies with an integer of any size, as decimal digits after an optional `-`; in RESP2, with
    /// a bulk string.
    ///
    /// # Panics
    ///
    /// Panics if `digits` is not such a number.
    #[track_caller]
    pub fn big_number(self, digits: &str) -> Replied {
        let magnitude = digits.strip_prefix('-').unwrap_or(digits);
        if magnitude.is_empty() || !magnitude.bytes().all(|byte| byte.is_ascii_digit()) {
            misused(format_args!(
                "a big number is decimal digits, not {digits:?}"
            ));
        }
        match self.protocol() {
            Protocol::Resp2 => self.bulk(digits),
            Protocol::Resp3 => self.line(b'(', digits.as_bytes()),
        }
    }

    /// Adds RESP3's attribute of `count` pairs before the reply. In RESP2, sends nothing and does
    /// not call `fill`.
    ///
    /// # Panics
    ///
    /// Panics if `fill` does not add exactly twice `count` items.
    #[track_caller]
    pub fn attribute(self, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Self {
        self.in_front(b'|', count, fill)
    }

    /// Sends RESP3's push of `count` items before the reply. The first item is a bulk string with
    /// the kind of message. In RESP2, whose clients would mistake it for the reply, sends nothing
    /// and does not call `fill`. After `CLIENT REPLY OFF`, the client gets neither push nor reply.
    ///
    /// In `EXEC`, the push comes inside the array of replies, where some clients take it for an
    /// item. One of [`ServerHandle::push`](crate::ServerHandle::push) comes after it.
    ///
    /// # Panics
    ///
    /// Panics if `fill` does not add exactly `count` items.
    #[track_caller]
    pub fn push(self, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Self {
        self.in_front(b'>', count, fill)
    }

    /// Replies with an array of `count` items.
    ///
    /// # Panics
    ///
    /// Panics if `fill` does not add exactly `count` items.
    #[track_caller]
    pub fn array(mut self, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Replied {
        self.aggregate(b'*', count, fill)
    }

    /// Replies with a map of `count` pairs: keys and values in turn; in RESP2, with one flat array.
    ///
    /// # Panics
    ///
    /// Panics if `fill` does not add exactly twice `count` items.
    #[track_caller]
    pub fn map(mut self, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Replied {
        match self.protocol() {
            Protocol::Resp2 => self.aggregate(b'*', count.saturating_mul(2), fill),
            Protocol::Resp3 => self.aggregate(b'%', count, fill),
        }
    }

    /// Replies with a set of `count` items; in RESP2, with an array.
    ///
    /// # Panics
    ///
    /// Panics if `fill` does not add exactly `count` items.
    #[track_caller]
    pub fn set(mut self, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Replied {
        match self.protocol() {
            Protocol::Resp2 => self.aggregate(b'*', count, fill),
            Protocol::Resp3 => self.aggregate(b'~', count, fill),
        }
    }

    /// Writes a message to a subscriber: RESP3's push of `count` items; in RESP2, an array.
    #[track_caller]
    pub(crate) fn message(mut self, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Replied {
        match self.protocol() {
            Protocol::Resp2 => self.aggregate(b'*', count, fill),
            Protocol::Resp3 => self.aggregate(b'>', count, fill),
        }
    }

    /// Writes the start of an array of `count` items, each of which follows as a reply of its own.
    pub(crate) fn array_header(mut self, count: usize) -> Replied {
        self.header(b'*', count as i64)
    }

    /// Writes no reply: subscribing commands push their confirmations, and the replies of a
    /// transaction are written one by one.
    pub(crate) fn nothing(mut self) -> Replied {
        self.raw(b"")
    }

    /// Replies to a violation of the protocol.
    pub(crate) fn protocol_error(mut self, error: ProtocolError) -> Replied {
        if error == ProtocolError::Tls {
            return self.raw(foreign::TLS_ALERT);
        }
        let mut text = b"ERR Protocol error: ".to_vec();
        error.append_text(&mut text);
        self.error(text)
    }

    /// Replies to a request of HTTP.
    pub(crate) fn http_response(mut self) -> Replied {
        self.raw(foreign::HTTP_RESPONSE)
    }

    /// Writes an aggregate of `count` items, or of pairs if `kind` is a map or an attribute.
    #[track_caller]
    fn aggregate(&mut self, kind: u8, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Replied {
        let header = self.header(kind, count as i64);
        let items_each = if matches!(kind, b'%' | b'|') { 2 } else { 1 };
        let mut items = Items {
            protocol: self.protocol(),
            out: self.out,
            // Saturating does no harm: no aggregate is that long.
            missing: count.saturating_mul(items_each),
        };
        fill(&mut items);
        let missing = items.missing;
        if missing > 0 {
            misused(format_args!("an aggregate lacks {missing} of its items"));
        }
        header
    }

    /// Writes an aggregate before the reply, in RESP3 only.
    #[track_caller]
    fn in_front(mut self, kind: u8, count: usize, fill: impl FnOnce(&mut Items<'_>)) -> Self {
        if self.protocol() == Protocol::Resp3 {
            let Replied { .. } = self.aggregate(kind, count, fill);
        }
        self
    }

    fn verbatim_as(mut self, kind: &[u8], text: &[u8]) -> Replied {
        match self.protocol() {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                let length = kind.len() + text.len();
                self.out.reserve(integer::LINE_BYTES_MAX + length + 2);
                let Replied { .. } = self.header(b'=', length as i64);
                self.out.extend_from_slice(kind);
                self.out.extend_from_slice(text);
                self.raw(b"\r\n")
            }
        }
    }

    fn header(&mut self, kind: u8, value: i64) -> Replied {
        integer::append_line(self.out, kind, value);
        NOT_AN_ERROR
    }

    fn raw_by_protocol(&mut self, resp2: &[u8], resp3: &[u8]) -> Replied {
        match self.protocol() {
            Protocol::Resp2 => self.raw(resp2),
            Protocol::Resp3 => self.raw(resp3),
        }
    }

    fn raw(&mut self, bytes: &[u8]) -> Replied {
        self.out.extend_from_slice(bytes);
        NOT_AN_ERROR
    }

    // Inlined, so that the compiler sees a literal text and that it is one line. This saves a fifth
    // of the instructions of a pipelined PING.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    fn line(mut self, kind: u8, text: &[u8]) -> Replied {
        let length = text.len() + 3;
        if length <= SHORT_LINE_BYTES_MAX && is_one_line(text) {
            // Appended at once, so that the output's capacity is checked once.
            let mut line = [0; SHORT_LINE_BYTES_MAX];
            line[0] = kind;
            line[1..length - 2].copy_from_slice(text);
            line[length - 2..length].copy_from_slice(b"\r\n");
            self.out.extend_from_slice(&line[..length]);
            return NOT_AN_ERROR;
        }
        self.out.reserve(length);
        self.out.push(kind);
        let line_end_to_blank = |&byte: &u8| match byte {
            b'\r' | b'\n' => b' ',
            _ => byte,
        };
        self.out.extend(text.iter().map(line_end_to_blank));
        self.raw(b"\r\n")
    }
}

/// Appends a header and `bytes`.
fn blob(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) -> Replied {
    let digit = |value: usize| b'0' + value as u8;
    let is_short = match bytes.len() {
        length @ 8..=9 => append_short(out, &[kind, digit(length), b'\r', b'\n'], bytes),
        length @ 10..=16 => {
            append_short(out, &[kind, b'1', digit(length - 10), b'\r', b'\n'], bytes)
        }
        _ => false,
    };
    if is_short {
        NOT_AN_ERROR
    } else {
        long_blob(out, kind, bytes)
    }
}

/// Appends a header and `bytes`, if there are 8 to 16 and `out` has room for them; if not, returns
/// false. Faster than [`long_blob`]: checks the room once, and calls no `memcpy`.
#[inline]
fn append_short<const N: usize>(out: &mut Vec<u8>, header: &[u8; N], bytes: &[u8]) -> bool {
    let (start, length) = (out.len(), bytes.len());
    let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) else {
        return false;
    };
    if length > 16 || out.capacity() - start < SHORT_BLOB_BYTES_MAX {
        return false;
    }
    out.extend_from_slice(&[0; SHORT_BLOB_BYTES_MAX]);
    let Some(blob) = out.last_chunk_mut::<SHORT_BLOB_BYTES_MAX>() else {
        return false;
    };
    blob[..N].copy_from_slice(header);
    // These two overlap, unless there are 16.
    blob[N..N + 8].copy_from_slice(first);
    blob[N + length - 8..N + length].copy_from_slice(last);
    blob[N + length..N + length + 2].copy_from_slice(b"\r\n");
    out.truncate(start + N + length + 2);
    true
}

/// Appends a header and any `bytes`.
#[inline(never)]
fn long_blob(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) -> Replied {
    // For everything at once: growing again would double the memory of a large value.
    out.reserve(integer::LINE_BYTES_MAX + bytes.len() + 2);
    integer::append_line(out, kind, bytes.len() as i64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    NOT_AN_ERROR
}

/// The items of an array, a map or a set. Each item is a reply.
#[derive(Debug)]
pub struct Items<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
    missing: usize,
}

impl Items<'_> {
    /// Adds the next item.
    ///
    /// # Panics
    ///
    /// Panics after the last item.
    #[track_caller]
    pub fn add(&mut self, reply: impl FnOnce(Reply<'_>) -> Replied) {
        let Replied { .. } = reply(self.next_item());
    }

    /// Returns the reply that is the next item.
    #[track_caller]
    pub(super) fn next_item(&mut self) -> Reply<'_> {
        if self.missing == 0 {
            misused(format_args!("an aggregate has an item too many"));
        }
        self.missing -= 1;
        Reply::part(self.out, self.protocol)
    }

    /// Adds the next two items: a key as a bulk string, and its value.
    ///
    /// # Panics
    ///
    /// Panics after the last item.
    #[track_caller]
    pub fn pair(&mut self, key: impl AsRef<[u8]>, value: impl FnOnce(Reply<'_>) -> Replied) {
        self.add(|reply| reply.bulk(key));
        self.add(value);
    }
}

/// Panics because the program does not use a reply as documented. The text names the caller: a
/// panic that is caught has lost its place.
#[cold]
#[track_caller]
pub(crate) fn misused(how: fmt::Arguments<'_>) -> ! {
    panic!("{how}, at {}", Location::caller())
}

/// A writer for the bytes of a bulk string: see [`Reply::bulk_with`].
///
/// After the last byte, `write` returns 0, so that `write_all` fails.
#[derive(Debug)]
pub struct BulkWriter<'a> {
    out: &'a mut Vec<u8>,
    remaining: usize,
}

impl BulkWriter<'_> {
    /// Returns the number of bytes that are not written yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.remaining
    }
}

impl io::Write for BulkWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = &bytes[..bytes.len().min(self.remaining)];
        self.out.extend_from_slice(taken);
        self.remaining -= taken.len();
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Formats as Redis 7.2 and later within [`PLAIN_DOUBLES`], and with an exponent otherwise.
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

/// The numbers that are written without an exponent.
const PLAIN_DOUBLES: Range<f64> = 1e-5..1e17;

/// Maximum bytes of a line that is composed before it is appended.
const SHORT_LINE_BYTES_MAX: usize = 16;

/// At least the bytes of a header with two digits, 16 bytes and the line end; in whole words.
const SHORT_BLOB_BYTES_MAX: usize = 24;

#[cfg(test)]
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method itself has one lifetime only"
)]
mod tests {
    use std::io::Write;

    use super::*;

    fn bytes(protocol: Protocol, reply: impl FnOnce(Reply<'_>) -> Replied) -> String {
        let mut out = Vec::new();
        let Replied { .. } = reply(Reply::new(&mut out, protocol));
        out.escape_ascii().to_string()
    }

    /// Checks a reply in RESP2 and in RESP3.
    #[track_caller]
    fn assert_encodings(reply: impl Fn(Reply<'_>) -> Replied, resp2: &str, resp3: &str) {
        assert_eq!(bytes(Protocol::Resp2, &reply), resp2);
        assert_eq!(bytes(Protocol::Resp3, &reply), resp3);
    }

    #[test]
    fn common_types_are_equal_in_both_versions() {
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
    fn bulk_string_of_each_length_is_whole() {
        let text = b"0123456789abcdefghijklmnopqrstuvwxyz";
        for length in 0..=text.len() {
            let text = &text[..length];
            let whole = [format!("${length}\r\n").as_bytes(), text, b"\r\n"].concat();
            // Into outputs with and without room, after other replies.
            for before in 0..60 {
                let mut out = Vec::with_capacity(60);
                out.resize(before, b'+');
                let replied = Reply::new(&mut out, Protocol::Resp2).bulk(text);
                assert!(replied.error_in(&out).is_none());
                assert_eq!(out[..before], vec![b'+'; before]);
                assert_eq!(out[before..], whole, "after {before} bytes");
            }
        }
    }

    #[test]
    fn types_that_resp2_lacks_have_a_substitute() {
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
    fn numbers_have_the_fewest_digits_that_identify_them() {
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
    fn invalid_big_number_panics() {
        bytes(Protocol::Resp3, |reply| reply.big_number("1\r\n"));
    }

    #[test]
    fn attributes_and_pushes_are_omitted_in_resp2() {
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
    fn bulk_string_is_written_to_the_output_directly() {
        let write = |length| {
            move |reply: Reply<'_>| {
                reply.bulk_with(length, |bulk| {
                    write!(bulk, "half").expect("enough room");
                    assert_eq!(bulk.remaining(), length - 4);
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
    fn bulk_string_that_is_too_short_panics() {
        bytes(Protocol::Resp2, |reply| reply.bulk_with(1, |_| ()));
    }

    #[test]
    fn errors_and_their_texts_are_found_in_the_output() {
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
    fn error_replaces_what_was_written_before_it() {
        let mut out = b"+before\r\n".to_vec();
        let reply = Reply::new(&mut out, Protocol::Resp3);
        let replied = reply.or_error(|reply| {
            let reply = reply.push(1, |items| items.bulk("pushed"));
            let Replied { .. } = reply.array(1, |items| items.integer(1));
            Err(ErrorReply::err("no"))
        });
        assert_eq!(replied.error_in(&out), Some(&b"ERR no\r\n"[..]));
        assert_eq!(out, b"+before\r\n-ERR no\r\n");
        let replied = Reply::new(&mut out, Protocol::Resp3).or_error(|reply| Ok(reply.integer(1)));
        assert_eq!(replied.error_in(&out), None);
        assert_eq!(out, b"+before\r\n-ERR no\r\n:1\r\n");
    }

    #[test]
    fn reply_can_change_its_version() {
        let null = |reply: Reply<'_>| reply.with_protocol(Protocol::Resp3).null();
        assert_eq!(bytes(Protocol::Resp2, null), r"_\r\n");
    }

    #[test]
    #[should_panic(expected = "an item too many")]
    fn item_too_many_panics() {
        bytes(Protocol::Resp2, |reply| {
            reply.array(0, |items| items.add(|item| item.null()))
        });
    }

    #[test]
    #[should_panic(expected = "lacks 1 of its items")]
    fn item_too_few_panics() {
        bytes(Protocol::Resp2, |reply| reply.array(1, |_| ()));
    }

    #[test]
    fn line_never_contains_a_line_end() {
        assert_encodings(|reply| reply.simple("a\r\nb"), r"+a  b\r\n", r"+a  b\r\n");
        assert_encodings(
            |reply| reply.error("ERR a\nb\r"),
            r"-ERR a b \r\n",
            r"-ERR a b \r\n",
        );
    }

    #[test]
    fn protocol_error_names_the_unexpected_byte() {
        let error = ProtocolError::ExpectedBulk(b'\r');
        assert_eq!(
            bytes(Protocol::Resp2, |reply| reply.protocol_error(error)),
            r"-ERR Protocol error: expected \'$\', got \' \'\r\n"
        );
    }
}
