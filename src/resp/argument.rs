//! Parses arguments as integers, floats and text, with Redis's error texts.

use std::fmt;
use std::ops::RangeInclusive;

use super::integer;
use super::request::Request;

/// An argument that is missing or invalid.
///
/// Displays as an error line for the client, in Redis's words where Redis has some:
/// `reply.error(error.to_string())`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArgumentError {
    /// There is no argument at this index.
    Missing,
    /// The argument is not a decimal integer of 64 bits.
    NotAnInteger,
    /// The argument is an integer outside this range.
    OutOfRange(RangeInclusive<i64>),
    /// The argument is not a floating-point number.
    NotAFloat,
    /// The argument is not valid UTF-8.
    NotUtf8,
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
            Self::NotUtf8 => "ERR value is not valid UTF-8",
        })
    }
}

impl std::error::Error for ArgumentError {}

/// Methods that parse an argument. As for [`Request::argument`], index 0 is the first argument
/// after the name. For a subcommand, index 0 is the subcommand's name.
impl<'a> Request<'a> {
    /// Parses the argument at `index` as an integer of 64 bits. As in Redis, a plus sign, leading
    /// zeros and blanks are errors.
    ///
    /// # Errors
    ///
    /// Returns [`ArgumentError::Missing`] or [`ArgumentError::NotAnInteger`].
    pub fn integer(&self, index: usize) -> Result<i64, ArgumentError> {
        integer::parse(self.present(index)?).ok_or(ArgumentError::NotAnInteger)
    }

    /// Parses the argument at `index` as an integer within `range`: see [`Self::integer`].
    ///
    /// # Errors
    ///
    /// Returns an error of [`Self::integer`], or [`ArgumentError::OutOfRange`].
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

    /// Parses the argument at `index` as a floating-point number: decimal, with or without an
    /// exponent, or `inf` or `infinity` in any case. `nan` and numbers that overflow or underflow
    /// 64 bits are errors.
    ///
    /// # Errors
    ///
    /// Returns [`ArgumentError::Missing`] or [`ArgumentError::NotAFloat`].
    pub fn float(&self, index: usize) -> Result<f64, ArgumentError> {
        parse_float(self.present(index)?).ok_or(ArgumentError::NotAFloat)
    }

    /// Returns the argument at `index` as UTF-8 text.
    ///
    /// # Errors
    ///
    /// Returns [`ArgumentError::Missing`] or [`ArgumentError::NotUtf8`].
    pub fn text(&self, index: usize) -> Result<&'a str, ArgumentError> {
        std::str::from_utf8(self.present(index)?).map_err(|_| ArgumentError::NotUtf8)
    }

    fn present(&self, index: usize) -> Result<&'a [u8], ArgumentError> {
        self.argument(index).ok_or(ArgumentError::Missing)
    }
}

/// Parses as `getDoubleFromObject` in Redis's `src/object.c`, except for hexadecimal digits.
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
    fn integers_are_those_that_redis_accepts() {
        let integer = |text| with(text, |request| request.integer(0));
        assert_eq!(integer("-9223372036854775808"), Ok(i64::MIN));
        for text in ["", " 1", "+1", "01", "1.0", "9223372036854775808", "one"] {
            assert_eq!(integer(text), Err(ArgumentError::NotAnInteger), "{text}");
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
        assert_eq!(in_range("x"), Err(ArgumentError::NotAnInteger));
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
            assert_eq!(float(text), Err(ArgumentError::NotAFloat), "{text}");
        }
    }

    #[test]
    fn text_is_utf_8() {
        assert_eq!(with("é", |request| request.text(0).map(str::len)), Ok(2));
        let input = b"*2\r\n$1\r\nX\r\n$1\r\n\xff\r\n";
        let mut parser = Parser::default();
        let _ = parser.parse(input, LIMITS);
        let request = parser.request(input).expect("a request with words");
        assert_eq!(request.text(0), Err(ArgumentError::NotUtf8));
    }

    #[test]
    fn missing_argument_is_a_syntax_error() {
        with("1", |request| {
            assert_eq!(request.integer(1), Err(ArgumentError::Missing));
            assert_eq!(request.float(1), Err(ArgumentError::Missing));
            assert_eq!(request.text(usize::MAX), Err(ArgumentError::Missing));
        });
        assert_eq!(ArgumentError::Missing.to_string(), "ERR syntax error");
    }
}
