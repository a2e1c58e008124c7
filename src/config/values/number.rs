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

    /// The end of an error, with the suffixes that the digits may have; empty if none.
    const SUFFIXES: &'static str = "";
}

macro_rules! units {
    ($($(#[$doc:meta])* $name:ident: $($constant:ident = $text:literal),+;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct $name;

        impl Unit for $name {
            $(const $constant: &'static str = $text;)+
        }
    )*};
}

units! {
    /// No unit.
    Plain: OF = "";
    Seconds: OF = " of seconds";
    Milliseconds: OF = " of milliseconds";
    Microseconds: OF = " of microseconds";
    Bytes: OF = " of bytes", SUFFIXES = " (units: k, kb, m, mb, g, gb)";
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
}

/// The value is not a number in the range.
#[derive(Debug, thiserror::Error)]
#[error("expected a whole number{of} from {min} to {max}{suffixes}")]
pub(crate) struct NumberError {
    of: &'static str,
    min: i64,
    max: i64,
    suffixes: &'static str,
}

impl NumberError {
    pub(crate) fn new<U: Unit>(min: i64, max: i64) -> Self {
        Self {
            of: U::OF,
            min,
            max,
            suffixes: U::SUFFIXES,
        }
    }
}

impl<T: TryFrom<i64>, const MIN: i64, const MAX: i64, U: Unit> FromStr for Number<T, MIN, MAX, U> {
    type Err = NumberError;

    /// Parses a number or, if the unit has suffixes, a memory value. Unlike CONFIG SET, requires a
    /// digit, and refuses a number beyond 64 bits.
    fn from_str(text: &str) -> Result<Self, NumberError> {
        let number = if U::SUFFIXES.is_empty() {
            text.parse().ok()
        } else {
            let text = text.strip_prefix('+').unwrap_or(text);
            let bytes = memory(text).filter(|_| text.starts_with(|c: char| c.is_ascii_digit()));
            bytes.and_then(|bytes| bytes.try_into().ok())
        };
        let number = number.and_then(Self::new);
        number.ok_or_else(|| NumberError::new::<U>(MIN, MAX))
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

    /// Parses an integer or, if the unit has suffixes, a memory value.
    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>> {
        let number = if U::SUFFIXES.is_empty() {
            integer(text)?
        } else {
            let bytes = memory(text).ok_or(NOT_MEMORY)?;
            bytes.try_into().unwrap_or(i64::MAX)
        };
        Self::new(number).ok_or_else(|| out_of_range(MIN, MAX))
    }

    fn text(number: &T) -> String {
        number.to_string()
    }
}

/// Parses an integer like Redis's `string2ll`: without plus, space or leading zero. The error is
/// the reason that Redis replies.
pub(crate) fn integer(text: &str) -> Result<i64, Cow<'static, str>> {
    let number = text.parse().ok();
    let number = number.filter(|number: &i64| number.to_string() == text);
    number.ok_or_else(|| "argument couldn't be parsed into an integer".into())
}

/// Parses bytes like Redis's `memtoull`: digits, then a unit, which the head of redis.conf
/// explains. No digits mean 0, and a number beyond 64 bits the maximum.
pub(crate) fn memory(text: &str) -> Option<u64> {
    let end = text.find(|char: char| !char.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let factor = match &*unit.to_ascii_lowercase() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    let number = match digits {
        "" => 0,
        digits => digits.parse().unwrap_or(u64::MAX),
    };
    Some(number.saturating_mul(factor))
}

/// The reason that Redis replies if a text is not a memory value.
pub(crate) const NOT_MEMORY: &str = "argument must be a memory value";

/// Returns the reason that Redis replies if a number is not in its range.
pub(crate) fn out_of_range(min: impl Display, max: impl Display) -> Cow<'static, str> {
    format!("argument must be between {min} and {max} inclusive").into()
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
    fn sign_of_a_positive_number_is_allowed() {
        assert_eq!(percent("+7"), Some(7));
        assert_eq!(memory("+2kb"), Some(2048));
        assert_eq!(memory("++2kb"), None);
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
