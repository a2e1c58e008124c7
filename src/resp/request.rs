//! Parses requests.
//!
//! ```text
//! request = array / line
//! array   = "*" integer CRLF *bulk        ; as many bulks as the integer says
//! bulk    = "$" integer CRLF *OCTET CRLF  ; as many octets as the integer says
//! line    = *word [CR] LF                 ; the quoting of words: inline.rs
//! ```
//!
//! The parser is flat: it stores the span of each argument in the input, and copies and allocates
//! nothing for an array. It is resumable: called again with the same bytes and more after them, it
//! continues where it stopped. So a request in small pieces takes linear time. The result never
//! depends on how the bytes are cut.

use std::fmt;

use super::foreign;
use super::inline;
use super::integer;
use super::limits::{
    ARGUMENTS_MAX, LINE_BYTES_MAX, Limits, UNAUTHENTICATED_ARGUMENTS_MAX,
    UNAUTHENTICATED_BULK_BYTES_MAX,
};
use super::protocol_error::ProtocolError;
use super::span::Span;

/// A request as it was received: a command's name and its arguments, borrowed from the input.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    bytes: &'a [u8],
    // Invariant: never empty, and every span lies within `bytes`.
    words: &'a [Span],
}

impl<'a> Request<'a> {
    /// Creates a request. Every one of `words`, of which there is at least one, lies in `bytes`.
    pub(super) fn new(bytes: &'a [u8], words: &'a [Span]) -> Self {
        Self { bytes, words }
    }

    /// Returns the name and the arguments, in order.
    pub(super) fn words(&self) -> Arguments<'a> {
        Arguments {
            bytes: self.bytes,
            words: self.words.iter(),
        }
    }

    /// Returns the command's name as the client wrote it, in any case.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        &self.bytes[self.words[0].range()]
    }

    /// Returns the arguments after the name, in order: an iterator that also reads integers,
    /// options and more.
    #[must_use]
    #[inline]
    pub fn arguments(&self) -> Arguments<'a> {
        Arguments {
            bytes: self.bytes,
            words: self.words[1..].iter(),
        }
    }

    /// Returns the argument at `index`; 0 is the first after the name. `None` if there are fewer.
    #[must_use]
    #[inline]
    pub fn argument(&self, index: usize) -> Option<&'a [u8]> {
        let word = self.words.get(index.checked_add(1)?)?;
        Some(&self.bytes[word.range()])
    }

    /// Returns the argument at `index` and those after it as a request; `None` if there are none.
    pub(crate) fn nested(&self, index: usize) -> Option<Self> {
        let words = self.words.get(index.checked_add(1)?..)?;
        (!words.is_empty()).then_some(Self { words, ..*self })
    }

    /// Returns the number of bytes before the last word of an array.
    pub(crate) fn bytes_before_last_word(&self) -> usize {
        self.words[self.words.len() - 1].range().start
    }

    /// Returns the bytes of an array before the header of its last word; `None` if the request is a
    /// line, or has one word.
    pub(super) fn bytes_before_last_header(&self) -> Option<&'a [u8]> {
        let [.., before, _] = self.words else {
            return None;
        };
        (!self.is_inline()).then(|| &self.bytes[..before.range().end + 2])
    }

    /// Returns the request at the front of `bytes` whose words are in the same positions as those
    /// of this array. `bytes` has at least as many bytes.
    pub(crate) fn moved_to(&self, bytes: &'a [u8]) -> Self {
        Self { bytes, ..*self }
    }

    /// Returns whether the request is a line and not an array.
    pub(crate) fn is_inline(&self) -> bool {
        // Before the first word of an array there are two headers.
        self.words[0].range().start == 0
    }

    /// Returns the number of words, including the name: at least 1. Redis's `argc`.
    #[must_use]
    pub fn word_count(&self) -> usize {
        self.words.len()
    }
}

/// The arguments of a request, one after the other: an iterator over their bytes, whose methods
/// `next_…` read an argument of a type. At any time, the iterator is the rest of the arguments.
///
/// ```
/// use respool::{Arity, Commands, ErrorReply};
///
/// let mut commands = Commands::builtin();
/// // RANGE key start [LIMIT count] [REV]
/// commands.register("RANGE", Arity::AtLeast(3), |_session, request, reply| {
///     let mut arguments = request.arguments();
///     let key = arguments.next_bytes()?;
///     let start = arguments.next_integer()?;
///     let (mut count, mut is_reversed) = (10, false);
///     while let Some(option) = arguments.next_keyword() {
///         match option.as_str() {
///             "LIMIT" => count = arguments.next_integer_in(1..=1000)?,
///             "REV" => is_reversed = true,
///             _ => return Err(ErrorReply::SYNTAX),
///         }
///     }
///     Ok(reply.value((key, start, count, is_reversed)))
/// });
/// ```
#[derive(Clone)]
pub struct Arguments<'a> {
    bytes: &'a [u8],
    words: std::slice::Iter<'a, Span>,
}

impl<'a> Iterator for Arguments<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let word = self.words.next()?;
        Some(&self.bytes[word.range()])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.words.size_hint()
    }
}

impl DoubleEndedIterator for Arguments<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let word = self.words.next_back()?;
        Some(&self.bytes[word.range()])
    }
}

impl ExactSizeIterator for Arguments<'_> {}

impl fmt::Debug for Arguments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.clone().map(|word| word.escape_ascii().to_string());
        f.debug_list().entries(words).finish()
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self
            .words
            .iter()
            .map(|word| self.bytes[word.range()].escape_ascii().to_string());
        f.debug_list().entries(words).finish()
    }
}

/// The state of a request that is being parsed.
///
/// Between two calls of [`Parser::parse`], the input may only grow at its end, until a request is
/// whole. The next call needs the bytes after that request.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    words: Vec<Span>,
    /// The unquoted words of an inline request. The words of an array are in the input.
    unquoted: Vec<u8>,
    /// The offset of the first byte that is not parsed yet.
    at: usize,
    /// Bytes from `at` on that contain no line end.
    searched: usize,
    /// Bulk strings that are not parsed yet; 0 before the header.
    missing: usize,
    inline: bool,
}

impl Parser {
    /// Parses the request at the front of `input`.
    ///
    /// Returns its length in bytes, including line ends; `None` if it is incomplete. An empty line
    /// or array is whole, too, and [`Parser::request`] returns `None` for it.
    // Every request comes here. A batch exists twice, for sockets and for tests in memory, so the
    // compiler would not inline this by itself.
    #[expect(clippy::inline_always, reason = "measured")]
    #[inline(always)]
    pub(crate) fn parse(
        &mut self,
        input: &[u8],
        limits: Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        self.advance(input, limits)
            .map_err(|error| self.fail(error, limits))
    }

    /// Frees memory that an earlier large request needed.
    pub(crate) fn shrink(&mut self) {
        if self.missing == 0 {
            // The words of the last request.
            self.words.clear();
            self.unquoted.clear();
        }
        self.words.shrink_to_fit();
        self.unquoted.shrink_to_fit();
    }

    /// Returns the memory of the parser, without the input.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.words.capacity() * size_of::<Span>() + self.unquoted.capacity()
    }

    #[expect(clippy::inline_always, reason = "see Parser::parse")]
    #[inline(always)]
    fn advance(&mut self, input: &[u8], limits: Limits) -> Result<Option<usize>, ProtocolError> {
        let begun = self.missing > 0 || self.start(input, limits)?;
        let whole = begun && self.bulks(input, limits)?;
        let bytes = if whole { self.at } else { input.len() };
        if bytes + size_of_val(self.words.as_slice()) > limits.request_bytes_max {
            return Err(ProtocolError::TooBigRequest);
        }
        Ok(whole.then(|| std::mem::take(&mut self.at)))
    }

    /// Resets the parser, and returns the error that comes first in the input.
    ///
    /// `error` was found in the byte before `at + searched`. If the bytes before that one are too
    /// many, the request is too big, as it would be if they had arrived alone.
    #[cold]
    fn fail(&mut self, error: ProtocolError, limits: Limits) -> ProtocolError {
        let failed = std::mem::take(self);
        let bytes = (failed.at + failed.searched).saturating_sub(1);
        if bytes + size_of_val(failed.words.as_slice()) > limits.request_bytes_max {
            ProtocolError::TooBigRequest
        } else {
            error
        }
    }

    /// Returns the request that [`Parser::parse`] found in `input`; `None` if it has no word.
    pub(crate) fn request<'a>(&'a self, input: &'a [u8]) -> Option<Request<'a>> {
        let bytes = if self.inline { &self.unquoted } else { input };
        (!self.words.is_empty()).then_some(Request {
            bytes,
            words: &self.words,
        })
    }

    /// Parses the header of an array, or a whole line. Returns whether it was complete.
    #[expect(clippy::inline_always, reason = "see Parser::parse")]
    #[inline(always)]
    fn start(&mut self, input: &[u8], limits: Limits) -> Result<bool, ProtocolError> {
        self.words.clear();
        self.inline = false;
        match input.first() {
            None => Ok(false),
            Some(b'*') => self.array_header(input, limits),
            Some(_) => self.line(input),
        }
    }

    #[expect(clippy::inline_always, reason = "see Parser::parse")]
    #[inline(always)]
    fn array_header(&mut self, input: &[u8], limits: Limits) -> Result<bool, ProtocolError> {
        // More words may be too many.
        if let Some((count @ ..=9, header_bytes)) = short_header(input, b'*') {
            self.at = header_bytes;
            self.searched = 0;
            self.missing = count;
            return Ok(true);
        }
        let Some(header) = self.header(input, ProtocolError::TooBigMultibulkCount)? else {
            return Ok(false);
        };
        match integer::parse(&header[1..]) {
            None | Some(ARGUMENTS_TOO_MANY..) => Err(ProtocolError::InvalidMultibulkLength),
            // As in Redis, an empty array and a negative length are skipped.
            Some(..=0) => Ok(true),
            Some(count) if limits.unauthenticated && count > UNAUTHENTICATED_ARGUMENTS_MAX => {
                Err(ProtocolError::UnauthenticatedMultibulkLength)
            }
            Some(count) => {
                // In 1..=ARGUMENTS_MAX by the cases above.
                self.missing = count as usize;
                Ok(true)
            }
        }
    }

    /// Parses the missing bulk strings. Returns whether all are complete.
    #[expect(clippy::inline_always, reason = "see Parser::parse")]
    #[inline(always)]
    fn bulks(&mut self, input: &[u8], limits: Limits) -> Result<bool, ProtocolError> {
        // The fields are in memory, and local variables in registers.
        let (mut at, mut missing) = (self.at, self.missing);
        while missing > 0 {
            let short = short_header(&input[at..], b'$');
            let (length, start) = if let Some((length, header_bytes)) = short {
                (length, at + header_bytes)
            } else {
                self.missing = missing;
                let Some(found) = self.bulk_header(at, input)? else {
                    return Ok(false);
                };
                found
            };
            if length > limits.bulk_bytes_max {
                self.move_to(start);
                return Err(ProtocolError::InvalidBulkLength);
            }
            if limits.unauthenticated && length > UNAUTHENTICATED_BULK_BYTES_MAX {
                self.move_to(start);
                return Err(ProtocolError::UnauthenticatedBulkLength);
            }
            // As in Redis, the two bytes after a bulk string are skipped, whatever they are.
            let end = start + length;
            if input.len() < end + 2 {
                // The next call parses the header again.
                break;
            }
            self.words.push(Span::new(start, end));
            at = end + 2;
            missing -= 1;
        }
        self.at = at;
        self.searched = 0;
        self.missing = missing;
        Ok(missing == 0)
    }

    /// Parses the header of a bulk string at `at`. Returns the length of the bulk string and where
    /// it starts; `None` if the header is incomplete.
    #[inline(never)]
    fn bulk_header(
        &mut self,
        at: usize,
        input: &[u8],
    ) -> Result<Option<(usize, usize)>, ProtocolError> {
        self.move_to(at);
        let Some(header) = self.header(input, ProtocolError::TooBigBulkCount)? else {
            return Ok(None);
        };
        let [b'$', length @ ..] = header else {
            // The CR of an empty header is in the position of `$`.
            let instead = *header.first().unwrap_or(&b'\r');
            return Err(ProtocolError::ExpectedBulk(instead));
        };
        let length = integer::parse(length).and_then(|length| length.try_into().ok());
        let length = length.ok_or(ProtocolError::InvalidBulkLength)?;
        Ok(Some((length, self.at)))
    }

    /// Continues at `at`.
    fn move_to(&mut self, at: usize) {
        if at != self.at {
            self.at = at;
            self.searched = 0;
        }
    }

    /// Parses the header at `at`, and returns it without its CR. As in Redis, the byte after the CR
    /// is skipped, whatever it is.
    fn header<'a>(
        &mut self,
        input: &'a [u8],
        too_big: ProtocolError,
    ) -> Result<Option<&'a [u8]>, ProtocolError> {
        let start = self.at;
        let Some(length) = self.find(input, |byte| byte == b'\r', too_big)? else {
            return Ok(None);
        };
        if input.len() < start + length + 2 {
            return Ok(None);
        }
        self.at = start + length + 2;
        self.searched = 0;
        Ok(Some(&input[start..start + length]))
    }

    fn line(&mut self, input: &[u8]) -> Result<bool, ProtocolError> {
        if foreign::is_tls(input) {
            return Err(ProtocolError::Tls);
        }
        // As in Redis, whose `strchr` stops at a NUL, a line with a NUL never ends.
        let is_end = |byte| byte == b'\n' || byte == 0;
        let too_big = ProtocolError::TooBigInlineRequest;
        let Some(length) = self.find(input, is_end, too_big)? else {
            return Ok(false);
        };
        if input[length] == 0 {
            if input.len() <= LINE_BYTES_MAX {
                return Ok(false);
            }
            self.searched = LINE_BYTES_MAX + 1;
            return Err(too_big);
        }
        self.at = length + 1;
        self.searched = 0;
        self.unquoted.clear();
        // Including its CR, if it has one: for the splitter, this is a blank.
        inline::split(&input[..length], &mut self.unquoted, &mut self.words)?;
        self.inline = true;
        Ok(true)
    }

    /// Returns the number of bytes from `at` to the line's end; `None` if the line is incomplete.
    fn find(
        &mut self,
        input: &[u8],
        is_end: impl Fn(u8) -> bool,
        too_big: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let line = &input[self.at..];
        // One byte more than the limit: a line is too big if its end is after the limit.
        let window = &line[..line.len().min(LINE_BYTES_MAX + 1)];
        if let Some(more) = window[self.searched..]
            .iter()
            .position(|&byte| is_end(byte))
        {
            self.searched += more;
            return Ok(Some(self.searched));
        }
        self.searched = window.len();
        if window.len() > LINE_BYTES_MAX {
            Err(too_big)
        } else {
            Ok(None)
        }
    }
}

const ARGUMENTS_TOO_MANY: i64 = ARGUMENTS_MAX + 1;

/// Parses the header at the front of `bytes` if it is of `kind` and has one or two digits, as
/// almost every header. So there is no search for the line end. Returns the number, and the length
/// of the header.
#[inline]
fn short_header(bytes: &[u8], kind: u8) -> Option<(usize, usize)> {
    let value = |digit| usize::from(digit - b'0');
    match *bytes {
        [first, digit @ b'0'..=b'9', b'\r', _, ..] if first == kind => Some((value(digit), 4)),
        [first, tens @ b'1'..=b'9', ones @ b'0'..=b'9', b'\r', _, ..] if first == kind => {
            Some((10 * value(tens) + value(ones), 5))
        }
        _ => None,
    }
}
