//! Bytes to requests.
//!
//! ```text
//! request = array / line
//! array   = "*" integer CRLF *bulk        ; as many bulks as the integer says
//! bulk    = "$" integer CRLF *OCTET CRLF  ; as many octets as the integer says
//! line    = *word [CR] LF                 ; the quoting of words: inline.rs
//! ```
//!
//! The parser is flat: it notes where each argument stands in the bytes that it was given, and
//! copies and allocates nothing for an array. It is resumable: handed the same bytes with more
//! behind them, it goes on where it stopped, so a request that arrives in small pieces costs linear
//! time. Where the bytes are cut never changes what comes out.

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

/// One command line as it was received: a name and its arguments, borrowed from the input.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    bytes: &'a [u8],
    // Invariant: never empty, and every span lies within `bytes`.
    words: &'a [Span],
}

impl<'a> Request<'a> {
    /// The command's name as the peer wrote it, in any case.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        &self.bytes[self.words[0].range()]
    }

    /// The arguments behind the name, in order.
    #[must_use]
    pub fn arguments(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.words[1..].iter().map(move |word| &bytes[word.range()])
    }

    /// The argument at `index`, counted from 0 behind the name; `None` beyond the last.
    #[must_use]
    pub fn argument(&self, index: usize) -> Option<&'a [u8]> {
        let word = self.words.get(index.checked_add(1)?)?;
        Some(&self.bytes[word.range()])
    }

    /// Whether it came as a line, and not as an array.
    pub(crate) fn is_inline(&self) -> bool {
        // Before the first word of an array there are two headers.
        self.words[0].range().start == 0
    }

    /// How many words the request has, its name included; at least 1. Redis's `argc`.
    #[must_use]
    pub fn word_count(&self) -> usize {
        self.words.len()
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

impl std::error::Error for ProtocolError {}

/// The state of one request on its way from bytes to words.
///
/// It belongs to one stretch of input: between two calls of [`Parser::parse`] the input may only
/// grow at its end, until a request was whole; the next call then wants the bytes behind that
/// request.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    words: Vec<Span>,
    /// The words of an inline request, unquoted; empty for an array, whose words stand in the
    /// input.
    unquoted: Vec<u8>,
    /// Where the first byte stands that is not understood yet.
    at: usize,
    /// Bytes from `at` on that are known to hold no line end.
    searched: usize,
    /// Bulk strings still to come; 0 before the header.
    missing: usize,
    /// The length of the bulk string at `at`, when its header was read but its bytes are not all
    /// there.
    bulk: Option<usize>,
    inline: bool,
}

impl Parser {
    /// Reads the request at the front of `input`.
    ///
    /// Gives the number of bytes that it takes, line ends included, or `None` when more are needed.
    /// A request without a word (an empty line, an array of none) is whole too: [`Parser::request`]
    /// tells.
    pub(crate) fn parse(
        &mut self,
        input: &[u8],
        limits: Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        self.advance(input, limits)
            .map_err(|error| self.fail(error, limits))
    }

    /// Gives back memory that a large request needed and the one under way does not.
    pub(crate) fn shrink(&mut self) {
        if self.missing == 0 {
            // The last request's words, not yet forgotten.
            self.words.clear();
            self.unquoted.clear();
        }
        self.words.shrink_to_fit();
        self.unquoted.shrink_to_fit();
    }

    /// Bytes that it holds beside the input.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.words.capacity() * size_of::<Span>() + self.unquoted.capacity()
    }

    fn advance(&mut self, input: &[u8], limits: Limits) -> Result<Option<usize>, ProtocolError> {
        let begun = self.missing > 0 || self.start(input, limits)?;
        let whole = begun && self.bulks(input, limits)?;
        let held = if whole { self.at } else { input.len() };
        if held + size_of_val(self.words.as_slice()) > limits.request_bytes_max {
            return Err(ProtocolError::TooBigRequest);
        }
        Ok(whole.then(|| std::mem::take(&mut self.at)))
    }

    /// Forgets everything: whoever is parsed next begins anew. Gives what is wrong first.
    ///
    /// The mistake is seen in the byte before `at + searched`. If the bytes before that one are too
    /// many already, they were so as well if they came alone.
    #[cold]
    fn fail(&mut self, error: ProtocolError, limits: Limits) -> ProtocolError {
        let failed = std::mem::take(self);
        let held = (failed.at + failed.searched).saturating_sub(1);
        if held + size_of_val(failed.words.as_slice()) > limits.request_bytes_max {
            ProtocolError::TooBigRequest
        } else {
            error
        }
    }

    /// The request that [`Parser::parse`] has just found whole in `input`, unless it has no word.
    pub(crate) fn request<'a>(&'a self, input: &'a [u8]) -> Option<Request<'a>> {
        let bytes = if self.inline { &self.unquoted } else { input };
        (!self.words.is_empty()).then_some(Request {
            bytes,
            words: &self.words,
        })
    }

    /// Reads the header of an array, or the whole of a line, whose words all stand in it. Gives
    /// whether that was there.
    fn start(&mut self, input: &[u8], limits: Limits) -> Result<bool, ProtocolError> {
        self.words.clear();
        self.inline = false;
        match input.first() {
            None => Ok(false),
            Some(b'*') => self.array_header(input, limits),
            Some(_) => self.line(input),
        }
    }

    fn array_header(&mut self, input: &[u8], limits: Limits) -> Result<bool, ProtocolError> {
        if let Some(count) = self.short_header(input, b'*') {
            self.missing = count;
            return Ok(true);
        }
        let Some(header) = self.header(input, ProtocolError::TooBigMultibulkCount)? else {
            return Ok(false);
        };
        match integer::parse(&header[1..]) {
            None | Some(ARGUMENTS_TOO_MANY..) => Err(ProtocolError::InvalidMultibulkLength),
            // Redis passes over an array of none, and one of fewer than none likewise.
            Some(..=0) => Ok(true),
            Some(count) if limits.unauthenticated && count > UNAUTHENTICATED_ARGUMENTS_MAX => {
                Err(ProtocolError::UnauthenticatedMultibulkLength)
            }
            Some(count) => {
                // In 1..=ARGUMENTS_MAX, by the arms above.
                self.missing = count as usize;
                Ok(true)
            }
        }
    }

    /// Reads the bulk strings that are missing. Gives whether none is any more.
    fn bulks(&mut self, input: &[u8], limits: Limits) -> Result<bool, ProtocolError> {
        while self.missing > 0 {
            let length = match self.bulk {
                Some(length) => length,
                None => match self.bulk_header(input, limits)? {
                    Some(length) => length,
                    None => return Ok(false),
                },
            };
            // The two bytes behind a bulk string are skipped and not looked at, as in Redis.
            let (start, end) = (self.at, self.at + length);
            if input.len() < end + 2 {
                self.bulk = Some(length);
                return Ok(false);
            }
            self.words.push(Span::new(start, end));
            self.at = end + 2;
            self.bulk = None;
            self.missing -= 1;
        }
        Ok(true)
    }

    fn bulk_header(
        &mut self,
        input: &[u8],
        limits: Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        let length = match self.short_header(input, b'$') {
            Some(length) => Some(length),
            None => match self.header(input, ProtocolError::TooBigBulkCount)? {
                Some([b'$', length @ ..]) => integer::parse(length),
                Some([other, ..]) => return Err(ProtocolError::ExpectedBulk(*other)),
                // A header without a byte ends at its CR, which stands for the `$` then.
                Some([]) => return Err(ProtocolError::ExpectedBulk(b'\r')),
                None => return Ok(None),
            }
            .and_then(|length| usize::try_from(length).ok()),
        };
        match length {
            Some(length) if length > limits.bulk_bytes_max => Err(ProtocolError::InvalidBulkLength),
            Some(length) if limits.unauthenticated && length > UNAUTHENTICATED_BULK_BYTES_MAX => {
                Err(ProtocolError::UnauthenticatedBulkLength)
            }
            Some(length) => Ok(Some(length)),
            None => Err(ProtocolError::InvalidBulkLength),
        }
    }

    /// Takes the header line at `at` if it is of `kind` and has one digit, as almost every header
    /// has: there is no line end to search for.
    #[inline]
    fn short_header(&mut self, input: &[u8], kind: u8) -> Option<usize> {
        match input[self.at..] {
            [first, digit @ b'0'..=b'9', b'\r', _, ..] if first == kind => {
                self.at += 4;
                self.searched = 0;
                Some(usize::from(digit - b'0'))
            }
            _ => None,
        }
    }

    /// Takes the header line at `at`: gives it without its CR and the byte behind that, which is
    /// not looked at, as in Redis.
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
        // A NUL ends Redis's search for the line end (`strchr`): such a line never ends.
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
        // With its CR, if it has one: that is a blank to the splitter.
        inline::split(&input[..length], &mut self.unquoted, &mut self.words)?;
        self.inline = true;
        Ok(true)
    }

    /// How many bytes from `at` on stand before the line's end; `None` when it has not come yet.
    fn find(
        &mut self,
        input: &[u8],
        is_end: impl Fn(u8) -> bool,
        too_big: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let line = &input[self.at..];
        // One more than the limit, so that a line is too big exactly when its end stands beyond it.
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
