//! Reads arguments as integers, floats, text and keywords, with Redis's error texts.

use std::ops::RangeInclusive;
use std::str;
use std::time::Duration;

use super::error_reply::ErrorReply;
use super::integer;
use super::request::{Arguments, Request};

/// Methods that read one argument. As for [`Request::argument`], index 0 is the first argument
/// after the name. For a subcommand, index 0 is the subcommand's name. If there is no such
/// argument, each returns [`ErrorReply::SYNTAX`].
///
/// An [`Arity`](crate::Arity) and [`Command::keys`](crate::Command::keys) count words instead: the
/// name is word 0, and the argument at index 0 is word 1.
impl<'a> Request<'a> {
    /// Returns the argument at `index`: any bytes.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorReply::SYNTAX`] if there are fewer arguments.
    #[inline]
    pub fn bytes(&self, index: usize) -> Result<&'a [u8], ErrorReply> {
        match self.argument(index) {
            Some(word) => Ok(word),
            None => Err(ErrorReply::SYNTAX),
        }
    }

    /// Returns the argument at `index` as UTF-8 text.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorReply::NOT_UTF8`].
    pub fn text(&self, index: usize) -> Result<&'a str, ErrorReply> {
        read_text(self.bytes(index)?)
    }

    /// Parses the argument at `index` as an integer of 64 bits. As in Redis, a plus sign, leading
    /// zeros and blanks are errors.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorReply::NOT_AN_INTEGER`].
    pub fn integer(&self, index: usize) -> Result<i64, ErrorReply> {
        read_integer(self.bytes(index)?)
    }

    /// Parses the argument at `index` as an integer within `range`: see [`Self::integer`].
    ///
    /// # Errors
    ///
    /// Returns [`ErrorReply::NOT_AN_INTEGER`] or [`ErrorReply::out_of_range`].
    pub fn integer_in(&self, index: usize, range: RangeInclusive<i64>) -> Result<i64, ErrorReply> {
        read_integer_in(self.bytes(index)?, &range)
    }

    /// Parses the argument at `index` as a floating-point number: decimal, with or without an
    /// exponent, or `inf` or `infinity` in any case. `nan` and numbers that overflow or underflow
    /// 64 bits are errors.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorReply::NOT_A_FLOAT`].
    pub fn float(&self, index: usize) -> Result<f64, ErrorReply> {
        read_float(self.bytes(index)?)
    }

    /// Parses the argument at `index` as a timeout in seconds, as that of `BLPOP`: a decimal
    /// number, rounded up to milliseconds; `None` for 0, which is for ever. For
    /// [`Deferral::timeout`](crate::Deferral::timeout).
    ///
    /// # Errors
    ///
    /// Returns Redis's errors: `ERR timeout is not a float or out of range`, `ERR timeout is out of
    /// range` (over 292 million years) or `ERR timeout is negative`.
    pub fn timeout(&self, index: usize) -> Result<Option<Duration>, ErrorReply> {
        read_timeout(self.bytes(index)?)
    }

    /// Returns the argument at `index` in capitals, to match it.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorReply::SYNTAX`] if there are fewer arguments.
    pub fn keyword(&self, index: usize) -> Result<Keyword, ErrorReply> {
        self.bytes(index).map(Keyword::of)
    }
}

/// Methods that read the next argument. If there is none, each that returns a `Result` returns
/// [`ErrorReply::SYNTAX`].
impl<'a> Arguments<'a> {
    /// Returns the next argument: any bytes.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorReply::SYNTAX`] after the last argument.
    #[inline]
    pub fn next_bytes(&mut self) -> Result<&'a [u8], ErrorReply> {
        match self.next() {
            Some(word) => Ok(word),
            None => Err(ErrorReply::SYNTAX),
        }
    }

    /// Returns the next argument as UTF-8 text.
    ///
    /// # Errors
    ///
    /// As [`Request::text`].
    pub fn next_text(&mut self) -> Result<&'a str, ErrorReply> {
        read_text(self.next_bytes()?)
    }

    /// Parses the next argument as an integer of 64 bits.
    ///
    /// # Errors
    ///
    /// As [`Request::integer`].
    pub fn next_integer(&mut self) -> Result<i64, ErrorReply> {
        read_integer(self.next_bytes()?)
    }

    /// Parses the next argument as an integer within `range`.
    ///
    /// # Errors
    ///
    /// As [`Request::integer_in`].
    pub fn next_integer_in(&mut self, range: RangeInclusive<i64>) -> Result<i64, ErrorReply> {
        read_integer_in(self.next_bytes()?, &range)
    }

    /// Parses the next argument as a floating-point number.
    ///
    /// # Errors
    ///
    /// As [`Request::float`].
    pub fn next_float(&mut self) -> Result<f64, ErrorReply> {
        read_float(self.next_bytes()?)
    }

    /// Parses the next argument as a timeout in seconds; `None` is for ever.
    ///
    /// # Errors
    ///
    /// As [`Request::timeout`].
    pub fn next_timeout(&mut self) -> Result<Option<Duration>, ErrorReply> {
        read_timeout(self.next_bytes()?)
    }

    /// Returns the next argument in capitals, to match it; `None` after the last one. For options
    /// in any order: see [`Arguments`].
    #[inline]
    pub fn next_keyword(&mut self) -> Option<Keyword> {
        self.next().map(Keyword::of)
    }

    /// Skips the next argument if it is `keyword`, in any case. Returns whether it was.
    pub fn skip_keyword(&mut self, keyword: &str) -> bool {
        let mut rest = self.clone();
        let is_next = rest
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case(keyword.as_bytes()));
        if is_next {
            *self = rest;
        }
        is_next
    }

    /// Checks that no argument is left.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorReply::SYNTAX`] if one is.
    pub fn end(self) -> Result<(), ErrorReply> {
        if self.len() == 0 {
            Ok(())
        } else {
            Err(ErrorReply::SYNTAX)
        }
    }
}

/// An argument in capitals, to match it with keywords, which are case-insensitive.
#[derive(Debug, Clone, Copy)]
pub struct Keyword {
    capitals: [u8; KEYWORD_BYTES_MAX],
    length: usize,
}

/// More than the longest keyword of Redis.
const KEYWORD_BYTES_MAX: usize = 32;

impl Keyword {
    fn of(word: &[u8]) -> Self {
        let mut capitals = [0; KEYWORD_BYTES_MAX];
        let length = match word.len() {
            length @ ..=KEYWORD_BYTES_MAX => length,
            _ => 0,
        };
        capitals[..length].copy_from_slice(&word[..length]);
        capitals.make_ascii_uppercase();
        Self { capitals, length }
    }

    /// Returns the argument in capitals. An argument that is no keyword, because it is longer than
    /// 32 bytes or not UTF-8, is the empty string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.capitals[..self.length]).unwrap_or_default()
    }
}

fn read_text(word: &[u8]) -> Result<&str, ErrorReply> {
    str::from_utf8(word).map_err(|_| ErrorReply::NOT_UTF8)
}

fn read_integer(word: &[u8]) -> Result<i64, ErrorReply> {
    integer::parse(word).ok_or(ErrorReply::NOT_AN_INTEGER)
}

fn read_integer_in(word: &[u8], range: &RangeInclusive<i64>) -> Result<i64, ErrorReply> {
    let value = read_integer(word)?;
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(ErrorReply::out_of_range(range))
    }
}

fn read_float(word: &[u8]) -> Result<f64, ErrorReply> {
    parse_float(word).ok_or(ErrorReply::NOT_A_FLOAT)
}

/// Parses as `getTimeoutFromObjectOrReply` in Redis's `src/timeout.c`.
fn read_timeout(word: &[u8]) -> Result<Option<Duration>, ErrorReply> {
    let seconds = parse_float(word).ok_or(ErrorReply::constant(
        "ERR",
        "timeout is not a float or out of range",
    ))?;
    let ms = (seconds * 1000.0).ceil();
    if ms < 0.0 {
        Err(ErrorReply::constant("ERR", "timeout is negative"))
    } else if ms >= i64::MAX as f64 {
        Err(ErrorReply::constant("ERR", "timeout is out of range"))
    } else {
        Ok((ms > 0.0).then(|| Duration::from_millis(ms as u64)))
    }
}

/// Parses as `getDoubleFromObject` in Redis's `src/object.c`, except for hexadecimal digits.
fn parse_float(text: &[u8]) -> Option<f64> {
    let value: f64 = str::from_utf8(text).ok()?.parse().ok()?;
    let digits = text.split(|byte| matches!(byte, b'e' | b'E')).next()?;
    let is_too_large = value.is_infinite() && digits.iter().any(u8::is_ascii_digit);
    let is_too_small = value == 0.0 && digits.iter().any(|byte| matches!(byte, b'1'..=b'9'));
    (!value.is_nan() && !is_too_large && !is_too_small).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Parser;
    use crate::resp::tests::LIMITS;

    /// Calls `read` with a request whose only argument is `argument`.
    fn with<T>(argument: &str, read: impl FnOnce(&Request<'_>) -> T) -> T {
        let input = format!("*2\r\n$1\r\nX\r\n${}\r\n{argument}\r\n", argument.len());
        let mut parser = Parser::default();
        let parsed = parser.parse(input.as_bytes(), LIMITS);
        parsed.expect("RESP").expect("a whole request");
        read(
            &parser
                .request(input.as_bytes())
                .expect("a request with words"),
        )
    }

    #[test]
    fn timeout_is_in_seconds_and_0_is_for_ever() {
        let timeout = |text| with(text, |request| request.timeout(0));
        let ms = |ms| Ok(Some(Duration::from_millis(ms)));
        assert_eq!(timeout("0"), Ok(None));
        assert_eq!(timeout("-0.0001"), Ok(None));
        assert_eq!(timeout("0.0001"), ms(1));
        assert_eq!(timeout("1.5"), ms(1500));
        let error = |text| timeout(text).expect_err("no timeout").to_string();
        assert_eq!(error("-1"), "ERR timeout is negative");
        assert_eq!(error("1e16"), "ERR timeout is out of range");
        assert_eq!(error("inf"), "ERR timeout is out of range");
        for text in ["", "x", "nan", "1e999"] {
            assert_eq!(
                error(text),
                "ERR timeout is not a float or out of range",
                "{text}"
            );
        }
    }

    #[test]
    fn integers_are_those_that_redis_accepts() {
        let integer = |text| with(text, |request| request.integer(0));
        assert_eq!(integer("-9223372036854775808"), Ok(i64::MIN));
        for text in ["", " 1", "+1", "01", "1.0", "9223372036854775808", "one"] {
            assert_eq!(integer(text), Err(ErrorReply::NOT_AN_INTEGER), "{text}");
        }
    }

    #[test]
    fn range_includes_both_ends() {
        let in_range = |text| with(text, |request| request.integer_in(0, -1..=1));
        assert_eq!(in_range("-1"), Ok(-1));
        assert_eq!(in_range("1"), Ok(1));
        let error = in_range("2").expect_err("out of range");
        assert_eq!(
            error.to_string(),
            "ERR value is out of range, value must between -1 and 1"
        );
        assert_eq!(in_range("x"), Err(ErrorReply::NOT_AN_INTEGER));
    }

    #[test]
    fn floats_are_numbers_that_fit_in_64_bits() {
        let float = |text| with(text, |request| request.float(0));
        for (text, value) in [
            ("1", 1.0),
            ("-.5", -0.5),
            ("+2.", 2.0),
            ("1e3", 1000.0),
            ("0e999", 0.0),
            ("5E-324", 5e-324),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(float(text), Ok(value), "{text}");
        }
        for text in [
            "", " 1", "1 ", "nan", "1e400", "-1e400", "1e-400", "1,5", "e",
        ] {
            assert_eq!(float(text), Err(ErrorReply::NOT_A_FLOAT), "{text}");
        }
    }

    #[test]
    fn text_is_utf_8() {
        assert_eq!(with("é", |request| request.text(0).map(str::len)), Ok(2));
        let input = b"*2\r\n$1\r\nX\r\n$1\r\n\xff\r\n";
        let mut parser = Parser::default();
        let _ = parser.parse(input, LIMITS);
        let request = parser.request(input).expect("a request with words");
        assert_eq!(request.text(0), Err(ErrorReply::NOT_UTF8));
    }

    #[test]
    fn missing_argument_is_a_syntax_error() {
        with("1", |request| {
            assert_eq!(request.integer(1), Err(ErrorReply::SYNTAX));
            assert_eq!(request.float(1), Err(ErrorReply::SYNTAX));
            assert_eq!(request.text(usize::MAX), Err(ErrorReply::SYNTAX));
        });
    }

    /// Calls `read` with the arguments of such a line.
    fn with_all<T>(line: &str, read: impl FnOnce(Arguments<'_>) -> T) -> T {
        let input = format!("X {line}\r\n");
        let mut parser = Parser::default();
        let parsed = parser.parse(input.as_bytes(), LIMITS);
        parsed.expect("RESP").expect("a whole request");
        let request = parser.request(input.as_bytes()).expect("a name");
        read(request.arguments())
    }

    #[test]
    fn arguments_are_read_one_after_the_other() {
        with_all("key -1 7 é 1.5 a b", |mut arguments| {
            assert_eq!(arguments.len(), 7);
            assert_eq!(arguments.next_bytes(), Ok(&b"key"[..]));
            assert_eq!(arguments.next_integer(), Ok(-1));
            assert_eq!(arguments.next_integer_in(1..=7), Ok(7));
            assert_eq!(arguments.next_text(), Ok("é"));
            assert_eq!(arguments.next_float(), Ok(1.5));
            assert_eq!(format!("{arguments:?}"), r#"["a", "b"]"#);
            assert_eq!(arguments.clone().end(), Err(ErrorReply::SYNTAX));
            assert_eq!(arguments.next_back(), Some(&b"b"[..]));
            assert_eq!(arguments.next(), Some(&b"a"[..]));
            assert_eq!(arguments.next_bytes(), Err(ErrorReply::SYNTAX));
            assert!(arguments.next_keyword().is_none());
            assert_eq!(arguments.end(), Ok(()));
        });
    }

    #[test]
    fn keywords_are_matched_in_any_case() {
        with_all("Nx ex 5 é LIMIT", |mut arguments| {
            assert!(!arguments.skip_keyword("EX"));
            assert!(arguments.skip_keyword("NX"));
            assert!(
                arguments
                    .next_keyword()
                    .is_some_and(|word| word.as_str() == "EX")
            );
            assert_eq!(arguments.next_integer(), Ok(5));
            assert!(
                arguments
                    .next_keyword()
                    .is_some_and(|word| word.as_str() == "é")
            );
            assert!(arguments.skip_keyword("limit"));
            assert!(!arguments.skip_keyword("limit"));
        });
        let long = "a".repeat(KEYWORD_BYTES_MAX);
        assert_eq!(Keyword::of(long.as_bytes()).as_str(), long.to_uppercase());
        assert_eq!(Keyword::of(format!("{long}a").as_bytes()).as_str(), "");
        assert_eq!(Keyword::of(b"\xff").as_str(), "");
    }
}
