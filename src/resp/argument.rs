//! Arguments as values: what a handler reads a request's bytes as, and Redis's words for what they
//! are not.

use std::fmt;
use std::ops::RangeInclusive;

use super::integer;
use super::request::Request;

/// Why an argument is not what the handler reads it as.
///
/// What it displays is an error line for the client, in Redis's words where it has some:
/// `reply.error(error.to_string())`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArgumentError {
    /// There is no argument at this index.
    Missing,
    /// It is no decimal integer of 64 bits.
    NotAnInteger,
    /// It is an integer outside of this range.
    OutOfRange(RangeInclusive<i64>),
    /// It is no floating-point number.
    NotAFloat,
    /// It is not UTF-8.
    NotText,
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "ERR syntax error",
            Self::NotAnInteger => "ERR value is not an integer or out of range",
            Self::OutOfRange(range) => {
                let (min, max) = (range.start(), range.end());
                return write!(
                    f,
                    "ERR value is out of range, value must between {min} and {max}"
                );
            }
            Self::NotAFloat => "ERR value is not a valid float",
            Self::NotText => "ERR value is not valid UTF-8",
        })
    }
}

impl std::error::Error for ArgumentError {}

/// Arguments as values. An index counts from 0 behind the name, so that of a subcommand's first
/// argument is 1.
impl<'a> Request<'a> {
    /// The argument at `index` as an integer of 64 bits. As strict as Redis: no plus, no leading
    /// zero, no blank.
    ///
    /// # Errors
    ///
    /// [`ArgumentError::Missing`] and [`ArgumentError::NotAnInteger`].
    pub fn integer(&self, index: usize) -> Result<i64, ArgumentError> {
        integer::parse(self.present(index)?).ok_or(ArgumentError::NotAnInteger)
    }

    /// As [`Self::integer`], within `range`.
    ///
    /// # Errors
    ///
    /// Those of [`Self::integer`], and [`ArgumentError::OutOfRange`].
    pub fn integer_in(
        &self,
        index: usize,
        range: RangeInclusive<i64>,
    ) -> Result<i64, ArgumentError> {
        let value = self.integer(index)?;
        if range.contains(&value) {
            Ok(value)
        } else {
            Err(ArgumentError::OutOfRange(range))
        }
    }

    /// The argument at `index` as a floating-point number: decimal, with or without an exponent, or
    /// `inf` or `infinity` in any case. What is too large for 64 bits, or so small that nothing is
    /// left of it, is an error, and `nan` is one.
    ///
    /// # Errors
    ///
    /// [`ArgumentError::Missing`] and [`ArgumentError::NotAFloat`].
    pub fn float(&self, index: usize) -> Result<f64, ArgumentError> {
        parse_float(self.present(index)?).ok_or(ArgumentError::NotAFloat)
    }

    /// The argument at `index` as text.
    ///
    /// # Errors
    ///
    /// [`ArgumentError::Missing`] and [`ArgumentError::NotText`].
    pub fn text(&self, index: usize) -> Result<&'a str, ArgumentError> {
        std::str::from_utf8(self.present(index)?).map_err(|_| ArgumentError::NotText)
    }

    fn present(&self, index: usize) -> Result<&'a [u8], ArgumentError> {
        self.argument(index).ok_or(ArgumentError::Missing)
    }
}

/// As `getDoubleFromObject` in Redis's `src/object.c`, but for C's hexadecimal digits.
fn parse_float(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
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

    /// Has `read` look at a request whose only argument is `argument`.
    fn with<T>(argument: &str, read: impl FnOnce(&Request<'_>) -> T) -> T {
        let input = format!("*2\r\n$1\r\nX\r\n${}\r\n{argument}\r\n", argument.len());
        let mut parser = Parser::default();
        let parsed = parser.parse(input.as_bytes(), LIMITS);
        parsed.expect("it is RESP").expect("it is whole");
        read(&parser.request(input.as_bytes()).expect("it has words"))
    }

    #[test]
    fn an_integer_is_what_redis_takes_for_one() {
        let integer = |text| with(text, |request| request.integer(0));
        assert_eq!(integer("-9223372036854775808"), Ok(i64::MIN));
        for text in ["", " 1", "+1", "01", "1.0", "9223372036854775808", "one"] {
            assert_eq!(integer(text), Err(ArgumentError::NotAnInteger), "{text}");
        }
    }

    #[test]
    fn a_range_has_both_its_ends() {
        let in_range = |text| with(text, |request| request.integer_in(0, -1..=1));
        assert_eq!(in_range("-1"), Ok(-1));
        assert_eq!(in_range("1"), Ok(1));
        let error = in_range("2").expect_err("it is beyond");
        assert_eq!(
            error.to_string(),
            "ERR value is out of range, value must between -1 and 1"
        );
        assert_eq!(in_range("x"), Err(ArgumentError::NotAnInteger));
    }

    #[test]
    fn a_float_is_a_number_that_64_bits_hold() {
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
            assert_eq!(float(text), Err(ArgumentError::NotAFloat), "{text}");
        }
    }

    #[test]
    fn text_is_utf_8() {
        assert_eq!(with("é", |request| request.text(0).map(str::len)), Ok(2));
        let input = b"*2\r\n$1\r\nX\r\n$1\r\n\xff\r\n";
        let mut parser = Parser::default();
        let _ = parser.parse(input, LIMITS);
        let request = parser.request(input).expect("it has words");
        assert_eq!(request.text(0), Err(ArgumentError::NotText));
    }

    #[test]
    fn an_argument_that_is_not_there_is_a_syntax_error() {
        with("1", |request| {
            assert_eq!(request.integer(1), Err(ArgumentError::Missing));
            assert_eq!(request.float(1), Err(ArgumentError::Missing));
            assert_eq!(request.text(usize::MAX), Err(ArgumentError::Missing));
        });
        assert_eq!(ArgumentError::Missing.to_string(), "ERR syntax error");
    }
}
