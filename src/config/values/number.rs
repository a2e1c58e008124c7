//! Whole numbers whose type has the range and the unit, so that the type is enough to parse a value
//! and to explain a mistake.

use std::borrow::Cow;
use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;

use crate::config::values::Value;

/// A whole number from `MIN` to `MAX`, counted in `U`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number<T, const MIN: i64, const MAX: i64, U = Plain> {
    value: T,
    unit: PhantomData<U>,
}

/// The unit of a number.
pub(crate) trait Unit {
    /// The words after "a whole number" in an error.
    const OF: &'static str;

    /// Suffixes of the digits, each with its factor.
    const SUFFIXES: &'static [(&'static str, i64)] = &[];
}

/// A number without a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plain;

impl Unit for Plain {
    const OF: &'static str = "";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seconds;

impl Unit for Seconds {
    const OF: &'static str = " of seconds";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Milliseconds;

impl Unit for Milliseconds {
    const OF: &'static str = " of milliseconds";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Microseconds;

impl Unit for Microseconds {
    const OF: &'static str = " of microseconds";
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes;

/// Has Redis's units of memory, which the head of redis.conf explains.
impl Unit for Bytes {
    const OF: &'static str = " of bytes";
    const SUFFIXES: &'static [(&'static str, i64)] = &[
        ("k", 1_000),
        ("kb", 1 << 10),
        ("m", 1_000_000),
        ("mb", 1 << 20),
        ("g", 1_000_000_000),
        ("gb", 1 << 30),
    ];
}

impl<T: TryFrom<i64>, const MIN: i64, const MAX: i64, U: Unit> Number<T, MIN, MAX, U> {
    /// Returns the number, unless it is out of range.
    pub(crate) fn new(number: i64) -> Option<Self> {
        let value = T::try_from(number).ok()?;
        (MIN..=MAX).contains(&number).then_some(Self {
            value,
            unit: PhantomData,
        })
    }

    /// Parses `text`; returns `None` if it is not a number or out of range.
    fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match &text[digits.len()..] {
            "" => 1,
            suffix => suffix_factor::<U>(suffix)?,
        };
        Self::new(digits.parse::<i64>().ok()?.checked_mul(factor)?)
    }
}

/// The value is not a number in the range.
#[derive(Debug, thiserror::Error)]
#[error("expected a whole number{unit} from {min} to {max}{suffixes}")]
pub(crate) struct NumberError {
    unit: &'static str,
    min: i64,
    max: i64,
    suffixes: String,
}

impl NumberError {
    pub(crate) fn new<U: Unit>(min: i64, max: i64) -> Self {
        let suffixes: Vec<_> = U::SUFFIXES.iter().map(|(name, _)| *name).collect();
        let suffixes = match suffixes.as_slice() {
            [] => String::new(),
            names => format!(" (units: {})", names.join(", ")),
        };
        Self {
            unit: U::OF,
            min,
            max,
            suffixes,
        }
    }
}

impl<T: TryFrom<i64>, const MIN: i64, const MAX: i64, U: Unit> FromStr for Number<T, MIN, MAX, U> {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        Self::parse(text).ok_or_else(|| NumberError::new::<U>(MIN, MAX))
    }
}

impl<T, const MIN: i64, const MAX: i64, U> Value for Number<T, MIN, MAX, U>
where
    T: TryFrom<i64> + Display,
    U: Unit,
{
    type Plain = T;

    fn plain(self) -> T {
        self.value
    }

    /// Reads a plain number or, if the unit has suffixes, a memory value. Redis accepts more here
    /// than the file does, and distinguishes a mistake from a number out of range.
    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>> {
        let number = if U::SUFFIXES.is_empty() {
            integer(text).ok_or("argument couldn't be parsed into an integer")
        } else {
            memory::<U>(text).ok_or("argument must be a memory value")
        };
        Self::new(number?)
            .ok_or_else(|| format!("argument must be between {MIN} and {MAX} inclusive").into())
    }

    fn text(number: &T) -> String {
        number.to_string()
    }
}

/// Parses an integer like Redis's `string2ll`: without plus, space or leading zero.
fn integer(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Parses bytes with a unit like Redis's `memtoull`: no digits mean 0, and a number beyond 64 bits
/// the maximum.
fn memory<U: Unit>(text: &str) -> Option<i64> {
    let suffix = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &text[..text.len() - suffix.len()];
    let factor = match suffix {
        "" | "b" | "B" => 1,
        suffix => suffix_factor::<U>(suffix)?,
    };
    let number = digits.bytes().fold(0_i64, |sum, digit| {
        sum.saturating_mul(10).saturating_add((digit - b'0').into())
    });
    Some(number.saturating_mul(factor))
}

/// Returns the factor of a suffix, if the unit has it.
fn suffix_factor<U: Unit>(suffix: &str) -> Option<i64> {
    U::SUFFIXES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(suffix))
        .map(|(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Percent = Number<u8, 1, 100>;
    type Memory = Number<usize, 1024, { 1 << 30 }, Bytes>;

    fn percent(text: &str) -> Option<u8> {
        text.parse::<Percent>().ok().map(|number| number.value)
    }

    fn memory(text: &str) -> Option<usize> {
        text.parse::<Memory>().ok().map(|number| number.value)
    }

    #[test]
    fn range_includes_both_ends() {
        assert_eq!(percent("0"), None);
        assert_eq!(percent("1"), Some(1));
        assert_eq!(percent("100"), Some(100));
        assert_eq!(percent("101"), None);
    }

    #[test]
    fn text_that_is_not_a_whole_number_is_refused() {
        for text in [
            "", " ", "-", "1.5", "1e1", "0x10", "7%", "seven", "1k", "-1",
        ] {
            assert_eq!(percent(text), None, "{text}");
        }
    }

    #[test]
    fn number_too_long_for_an_integer_is_refused() {
        assert_eq!(percent("99999999999999999999"), None);
        assert_eq!(memory("9223372036854775807gb"), None);
    }

    #[test]
    fn bytes_take_redis_units_in_any_case() {
        for (text, bytes) in [
            ("2048", 2_048),
            ("2k", 2_000),
            ("2kb", 2_048),
            ("3m", 3_000_000),
            ("3MB", 3 << 20),
            ("1g", 1_000_000_000),
            ("1Gb", 1 << 30),
        ] {
            assert_eq!(memory(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn range_of_bytes_applies_after_the_unit() {
        for text in ["1023", "1k", "0gb", "1025mb", "2g"] {
            assert_eq!(memory(text), None, "{text}");
        }
    }

    #[test]
    fn unknown_unit_is_refused() {
        for text in ["2kib", "2t", "2 kb", "kb"] {
            assert_eq!(memory(text), None, "{text}");
        }
    }

    #[test]
    fn error_has_the_range_the_unit_and_the_suffixes() {
        let mistake = "0".parse::<Percent>().unwrap_err();
        assert_eq!(mistake.to_string(), "expected a whole number from 1 to 100");

        let mistake = "0".parse::<Number<u32, 1, 60, Seconds>>().unwrap_err();
        assert_eq!(
            mistake.to_string(),
            "expected a whole number of seconds from 1 to 60"
        );

        let mistake = "0".parse::<Memory>().unwrap_err();
        assert_eq!(
            mistake.to_string(),
            "expected a whole number of bytes from 1024 to 1073741824 (units: k, kb, m, mb, g, gb)"
        );
    }

    #[test]
    fn config_set_reads_numbers_as_redis_does() {
        let percent = |text| Percent::from_argument(text).map(Value::plain);
        assert_eq!(percent("7"), Ok(7));
        for text in [
            "",
            " 7",
            "7 ",
            "+7",
            "07",
            "-0",
            "0x7",
            "1k",
            "9223372036854775808",
        ] {
            let reason = "argument couldn't be parsed into an integer";
            assert_eq!(percent(text), Err(reason.into()), "{text}");
        }
        for text in ["0", "101", "-1", "9223372036854775807"] {
            let reason = "argument must be between 1 and 100 inclusive";
            assert_eq!(percent(text), Err(reason.into()), "{text}");
        }
    }

    #[test]
    fn config_set_reads_memory_values_as_redis_does() {
        let memory = |text| Memory::from_argument(text).map(Value::plain);
        for (text, bytes) in [
            ("2048", 2_048),
            ("02048B", 2_048),
            ("2k", 2_000),
            ("1Mb", 1 << 20),
        ] {
            assert_eq!(memory(text), Ok(bytes), "{text}");
        }
        for text in ["x", "-5", "+5", " 5", "2 kb", "1.5mb", "1tb", "1kbb"] {
            assert_eq!(
                memory(text),
                Err("argument must be a memory value".into()),
                "{text}"
            );
        }
        for text in [
            "",
            "kb",
            "1023",
            "2gb",
            "99999999999999999999",
            "9999999999gb",
        ] {
            let reason = "argument must be between 1024 and 1073741824 inclusive";
            assert_eq!(memory(text), Err(reason.into()), "{text}");
        }
    }
}
