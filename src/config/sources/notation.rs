//! How each value is written in a file. Only this module uses serde.
//!
//! A value is checked while it is read, because only then is its position in the text known. So
//! each type has its own reader; the errors are those of the value's own module.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::config::values::bind::{BindAddress, BindAddresses};
use crate::config::values::debug_access::DebugAccess;
use crate::config::values::flag::Flag;
use crate::config::values::loglevel::LogLevel;
use crate::config::values::number::{Number, NumberError, Unit};
use crate::config::values::output_limits::OutputLimits;
use crate::config::values::percentile::{Percentile, Percentiles};
use crate::config::values::text::{OptionalPath, Password};

/// A value that can be read from a file.
pub(in crate::config) trait Notation {
    /// Its form in a file.
    const FORM: Form;
}

/// The form of a value in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Form {
    /// `6379`
    Number,
    /// `"notice"`
    Text,
    /// `true` and `false` for `yes` and `no`
    Flag,
    /// `["127.0.0.1", "-::1"]` for `127.0.0.1 -::1`
    Texts,
    /// `[50, 99.9]` for `50 99.9`
    Numbers,
}

impl Form {
    /// Returns whether the value is a list of words.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Texts | Self::Numbers)
    }
}

/// Implements values that a file writes like the command line, but in quotes.
macro_rules! texts {
    ($($value:ty),*) => {$(
        impl Notation for $value {
            const FORM: Form = Form::Text;
        }

        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

texts!(OptionalPath, LogLevel, DebugAccess);

impl Notation for OutputLimits {
    const FORM: Form = Form::Text;
}

impl<'de> Deserialize<'de> for OutputLimits {
    /// Reads a string that names no class twice. CONFIG SET uses the last one, as Redis does.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let limits = text.parse().map_err(D::Error::custom)?;
        match Self::repeated_class(&text) {
            None => Ok(limits),
            Some(class) => Err(D::Error::custom(format!(
                "class `{class}` is set twice, expected each class once"
            ))),
        }
    }
}

impl Notation for Password {
    const FORM: Form = Form::Text;
}

impl<'de> Deserialize<'de> for Password {
    /// Reads a string. Unlike serde's errors, this one does not quote the value.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer) {
            Ok(toml::Value::String(text)) => text.parse().map_err(D::Error::custom),
            _ => Err(D::Error::custom(
                r#"expected text in quotes, as in `requirepass = "..."`"#,
            )),
        }
    }
}

impl<T, const MIN: i64, const MAX: i64, U> Notation for Number<T, MIN, MAX, U> {
    const FORM: Form = Form::Number;
}

impl<'de, T, const MIN: i64, const MAX: i64, U> Deserialize<'de> for Number<T, MIN, MAX, U>
where
    T: TryFrom<i64>,
    U: Unit,
{
    /// Reads an integer or, if the unit has suffixes, a string.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer) {
            Ok(toml::Value::Integer(number)) => Self::new(number),
            Ok(toml::Value::String(text)) if !U::SUFFIXES.is_empty() => text.parse().ok(),
            _ => None,
        }
        .ok_or_else(|| D::Error::custom(NumberError::new::<U>(MIN, MAX)))
    }
}

impl Notation for Flag {
    const FORM: Form = Form::Flag;
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FlagVisitor)
    }
}

struct FlagVisitor;

impl Visitor<'_> for FlagVisitor {
    type Value = Flag;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"true or false, or "yes" or "no""#)
    }

    fn visit_bool<E: Error>(self, yes: bool) -> Result<Flag, E> {
        Ok(Flag(yes))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Flag, E> {
        text.parse()
            .map_err(|_| E::custom(r#"expected true or false, or "yes" or "no""#))
    }
}

impl Notation for BindAddresses {
    const FORM: Form = Form::Texts;
}

impl<'de> Deserialize<'de> for BindAddresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor::<_, BindAddress>::new(
            r#"addresses such as "127.0.0.1 -::1" or ["127.0.0.1", "-::1"]"#,
        ))
    }
}

impl Notation for Percentiles {
    const FORM: Form = Form::Numbers;
}

impl<'de> Deserialize<'de> for Percentiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor::<_, Percentile>::new(
            r#"numbers such as [50, 99.9] or "50 99.9""#,
        ))
    }
}

/// Reads a list from a string of words or from an array of items.
struct ListVisitor<List, Item> {
    /// What the error about a value of another type says.
    expected: &'static str,
    list: PhantomData<(List, Item)>,
}

impl<List, Item> ListVisitor<List, Item> {
    fn new(expected: &'static str) -> Self {
        Self {
            expected,
            list: PhantomData,
        }
    }
}

impl<'de, List, Item> Visitor<'de> for ListVisitor<List, Item>
where
    List: FromStr<Err: Display> + TryFrom<Vec<Item>, Error: Display>,
    Item: Deserialize<'de>,
{
    type Value = List;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<List, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        list.try_into().map_err(A::Error::custom)
    }
}

impl<'de> Deserialize<'de> for BindAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(AddressVisitor)
    }
}

/// A visitor instead of a `String`, so that the position of a mistake is that of the array's
/// element.
struct AddressVisitor;

impl Visitor<'_> for AddressVisitor {
    type Value = BindAddress;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"an address such as "127.0.0.1""#)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<BindAddress, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Percentile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PercentileVisitor)
    }
}

struct PercentileVisitor;

impl Visitor<'_> for PercentileVisitor {
    type Value = Percentile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number from 0 to 100")
    }

    #[expect(clippy::cast_precision_loss, reason = "not within the range")]
    fn visit_i64<E: Error>(self, number: i64) -> Result<Percentile, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Percentile, E> {
        number.try_into().map_err(E::custom)
    }
}
