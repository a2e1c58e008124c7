//! How each value is written in a file. The errors are those of the value's own module.

use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use toml::de::{DeInteger, DeValue};

use crate::config::values::bind::BindAddress;
use crate::config::values::host_names::HostName;
use crate::config::values::networks::Network;
use crate::config::values::number::{NumberError, Unit};
use crate::config::values::percentile::Percentile;
use crate::config::values::{
    BindAddresses, DebugAccess, Flag, HostNames, LogFormat, LogLevel, Networks, Number,
    OptionalPath, OutputLimits, Password, Percentiles, Permissions, TlsAuthClients, TlsProtocols,
};

/// A value that can be read from a file.
pub(super) trait Notation: Sized {
    /// Its form in a file.
    const FORM: Form;

    fn read(value: &DeValue<'_>) -> Result<Self, WrongValue>;
}

/// The form of a value in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `6379`
    Number,
    /// `1024` or `"1kb"`
    Bytes,
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
    /// Returns whether the value is a list: an array in a file, words on the command line.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Texts | Self::Numbers)
    }
}

/// A value that a key does not take.
pub(super) struct WrongValue {
    /// The position of the wrong item in the text, if an item of a list is wrong.
    pub(super) item: Option<Range<usize>>,
    /// The problem; `None` for the general sentence about the key's form.
    pub(super) reason: Option<String>,
}

impl WrongValue {
    fn new(reason: impl Display) -> Self {
        Self {
            item: None,
            reason: Some(reason.to_string()),
        }
    }
}

/// Parses a string, as the command line does.
fn text<T: FromStr<Err: Display>>(value: &DeValue<'_>) -> Result<T, WrongValue> {
    let other_form = WrongValue {
        item: None,
        reason: None,
    };
    let text = value.as_str().ok_or(other_form)?;
    text.parse().map_err(WrongValue::new)
}

/// Implements values that a file writes like the command line, but in quotes.
macro_rules! written_as_text {
    ($($value:ty),*) => {$(
        impl Notation for $value {
            const FORM: Form = Form::Text;

            fn read(value: &DeValue<'_>) -> Result<Self, WrongValue> {
                text(value)
            }
        }
    )*};
}

written_as_text!(OptionalPath, LogLevel, LogFormat, DebugAccess, TlsProtocols);

impl Notation for TlsAuthClients {
    const FORM: Form = Form::Text;

    /// Reads a string, or true and false for yes and no.
    fn read(value: &DeValue<'_>) -> Result<Self, WrongValue> {
        match value {
            DeValue::Boolean(true) => Ok(Self::Yes),
            DeValue::Boolean(false) => Ok(Self::No),
            other => text(other),
        }
    }
}

impl Notation for OutputLimits {
    const FORM: Form = Form::Text;

    /// Reads a string that names no class twice. CONFIG SET uses the last one, as Redis does.
    fn read(value: &DeValue<'_>) -> Result<Self, WrongValue> {
        let limits = text(value)?;
        match value.as_str().and_then(Self::repeated_class) {
            None => Ok(limits),
            Some(class) => Err(WrongValue::new(format!(
                "class `{class}` is set twice, expected each class once"
            ))),
        }
    }
}

impl Notation for Password {
    const FORM: Form = Form::Text;

    fn read(value: &DeValue<'_>) -> Result<Self, WrongValue> {
        if !value.is_str() {
            let expected = r#"expected text in quotes, as in `requirepass = "..."`"#;
            return Err(WrongValue::new(expected));
        }
        text(value)
    }
}

impl<T, const MIN: i64, const MAX: i64, U> Notation for Number<T, MIN, MAX, U>
where
    T: TryFrom<i64>,
    U: Unit,
{
    const FORM: Form = if U::SUFFIXES.is_empty() {
        Form::Number
    } else {
        Form::Bytes
    };

    /// Reads an integer or, if the unit has suffixes, a string.
    fn read(value: &DeValue<'_>) -> Result<Self, WrongValue> {
        let number = match value {
            DeValue::Integer(number) => integer(number).and_then(Self::new),
            DeValue::String(text) if !U::SUFFIXES.is_empty() => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| WrongValue::new(NumberError::new::<U>(MIN, MAX)))
    }
}

impl Notation for Permissions {
    const FORM: Form = Form::Number;

    /// Reads octal digits: of a string, and of an integer such as 700 or 0o700.
    fn read(value: &DeValue<'_>) -> Result<Self, WrongValue> {
        let digits = match value {
            DeValue::Integer(number) if matches!(number.radix(), 8 | 10) => number.as_str(),
            DeValue::String(text) => text,
            _ => "",
        };
        digits.parse().map_err(WrongValue::new)
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

impl Notation for Flag {
    const FORM: Form = Form::Flag;

    fn read(value: &DeValue<'_>) -> Result<Self, WrongValue> {
        let flag = match value {
            DeValue::Boolean(yes) => Some(Self(*yes)),
            DeValue::String(text) => text.parse().ok(),
            _ => None,
        };
        flag.ok_or_else(|| WrongValue::new(r#"expected true or false, or "yes" or "no""#))
    }
}

impl Notation for BindAddresses {
    const FORM: Form = Form::Texts;

    fn read(value: &DeValue<'_>) -> Result<Self, WrongValue> {
        let expected = r#"expected addresses such as "127.0.0.1 -::1" or ["127.0.0.1", "-::1"]"#;
        list(value, expected, |item| {
            let text = item.as_str();
            let text = text.ok_or(r#"expected an address such as "127.0.0.1""#)?;
            text.parse::<BindAddress>()
                .map_err(|error| error.to_string())
        })
    }
}

impl Notation for Networks {
    const FORM: Form = Form::Texts;

    fn read(value: &DeValue<'_>) -> Result<Self, WrongValue> {
        let expected =
            r#"expected networks such as "10.0.0.7 fd00::/8" or ["10.0.0.7", "fd00::/8"]"#;
        list(value, expected, |item| {
            let text = item.as_str();
            let text = text.ok_or(r#"expected an address or network such as "10.0.0.0/8""#)?;
            text.parse::<Network>().map_err(|error| error.to_string())
        })
    }
}

impl Notation for HostNames {
    const FORM: Form = Form::Texts;

    fn read(value: &DeValue<'_>) -> Result<Self, WrongValue> {
        let expected = r#"expected names such as "a.example.com b" or ["a.example.com", "b"]"#;
        list(value, expected, |item| {
            let text = item.as_str();
            let text = text.ok_or(r#"expected a host name such as "a.example.com""#)?;
            text.parse::<HostName>().map_err(|error| error.to_string())
        })
    }
}

impl Notation for Percentiles {
    const FORM: Form = Form::Numbers;

    fn read(value: &DeValue<'_>) -> Result<Self, WrongValue> {
        let expected = r#"expected numbers such as [50, 99.9] or "50 99.9""#;
        list(value, expected, |item| {
            let number: Option<f64> = match item {
                // The cast is exact within the range.
                DeValue::Integer(number) => integer(number).map(|number| number as f64),
                DeValue::Float(number) => number.as_str().parse().ok(),
                _ => None,
            };
            let number = number.ok_or("expected a number from 0 to 100")?;
            Percentile::try_from(number).map_err(|error| error.to_string())
        })
    }
}

/// Reads a list from a string of words, or from an array by `read_item`, whose error is the reason.
/// A value of another form is refused because of what is `expected`.
fn list<List, Item>(
    value: &DeValue<'_>,
    expected: &str,
    read_item: impl Fn(&DeValue<'_>) -> Result<Item, String>,
) -> Result<List, WrongValue>
where
    List: FromStr<Err: Display> + TryFrom<Vec<Item>, Error: Display>,
{
    let items = match value {
        DeValue::String(text) => return text.parse().map_err(WrongValue::new),
        DeValue::Array(items) => items.iter(),
        _ => return Err(WrongValue::new(expected)),
    };
    let items: Result<Vec<_>, _> = items
        .map(|item| {
            read_item(item.get_ref()).map_err(|reason| WrongValue {
                item: Some(item.span()),
                reason: Some(reason),
            })
        })
        .collect();
    items?.try_into().map_err(WrongValue::new)
}

#[cfg(test)]
mod tests {
    use crate::config::sources::tests::{config, mistake};

    #[test]
    fn flags_and_percentiles_have_two_notations() {
        assert_eq!(
            config("latency-tracking = false"),
            config("latency-tracking = \"No\"")
        );
        assert_eq!(
            config("latency-tracking-info-percentiles = [99.9, 5]"),
            config("latency-tracking-info-percentiles = \"99.9 5\"")
        );
    }

    #[test]
    fn empty_password_is_none_and_a_long_one_refused() {
        assert_eq!(config("requirepass = \"\"").requirepass, None);
        let longest = "x".repeat(512);
        let password = config(&format!("requirepass = \"{longest}\"")).requirepass;
        assert_eq!(password, Some(longest.clone()));
        let mistake = mistake(format!("requirepass = \"{longest}x\""));
        assert!(
            mistake.ends_with(": 513 bytes, expected at most 512"),
            "{mistake}"
        );
    }

    #[test]
    fn addresses_and_bytes_have_two_notations() {
        assert_eq!(
            config(r#"bind = "::1 *""#),
            config(r#"bind = ["::1", "*"]"#)
        );
        assert_eq!(
            config(r#"proto-max-bulk-len = "1kb""#),
            config("proto-max-bulk-len = 1024")
        );
    }

    #[test]
    fn each_number_has_its_range_and_names_its_unit() {
        for (key, ends, expected) in [
            ("workers", [0, 1_024], "a whole number from 0 to 1024"),
            ("port", [0, 65_535], "a whole number from 0 to 65535"),
            (
                "maxclients",
                [1, 1_000_000],
                "a whole number from 1 to 1000000",
            ),
            (
                "timeout",
                [0, 2_147_483_647],
                "a whole number of seconds from 0 to 2147483647",
            ),
            ("tcp-backlog", [1, 65_535], "a whole number from 1 to 65535"),
            (
                "tcp-keepalive",
                [0, 32_767],
                "a whole number of seconds from 0 to 32767",
            ),
            (
                "drain-timeout-ms",
                [0, 3_600_000],
                "a whole number of milliseconds from 0 to 3600000",
            ),
            (
                "slowlog-max-len",
                [0, 1_000_000],
                "a whole number from 0 to 1000000",
            ),
            (
                "proto-max-bulk-len",
                [1_024, 1 << 30],
                "a whole number of bytes from 1024 to 1073741824 (units: k, kb, m, mb, g, gb)",
            ),
        ] {
            assert_range(key, ends, expected);
        }
    }

    /// Checks that a key takes both ends of its range, and refuses one below and one above.
    fn assert_range(key: &str, ends: [i64; 2], expected: &str) {
        for end in ends {
            config(&format!("{key} = {end}"));
        }
        for beyond in [ends[0] - 1, ends[1] + 1] {
            let line = format!("{key} = {beyond}");
            let column = key.len() + 4;
            assert_eq!(
                mistake(&line),
                format!("my.toml:1:{column}: `{line}`: expected {expected}")
            );
        }
    }

    #[test]
    fn ranges_may_end_at_the_limits_of_64_bits() {
        let threshold = |text: &str| config(text).slowlog_log_slower_than_us;
        assert_eq!(threshold("slowlog-log-slower-than = -1"), -1);
        let largest = "slowlog-log-slower-than = 9223372036854775807";
        assert_eq!(threshold(largest), i64::MAX);
        let expected = "a whole number of microseconds from -1 to 9223372036854775807";
        assert!(mistake("slowlog-log-slower-than = -2").ends_with(expected));
        let largest = config("latency-monitor-threshold = 9223372036854775807");
        assert_eq!(largest.latency_monitor_threshold_ms, i64::MAX as u64);
        let expected = "a whole number of milliseconds from 0 to 9223372036854775807";
        assert!(mistake("latency-monitor-threshold = -1").ends_with(expected));
    }

    #[test]
    fn value_of_wrong_type_names_the_right_one() {
        for value in [
            "\"6379\"",
            "[6379]",
            "6379.0",
            "true",
            "99999999999999999999",
            "{ a = 1 }",
        ] {
            let line = format!("port = {value}");
            let expected = "expected a whole number from 0 to 65535";
            assert_eq!(mistake(&line), format!("my.toml:1:8: `{line}`: {expected}"));
        }
        assert_eq!(
            mistake("logfile = 5"),
            "my.toml:1:11: `logfile = 5`: `logfile` takes text in quotes, as in `logfile = \"...\"`"
        );
        assert_eq!(
            mistake("enable-debug-command = true"),
            "my.toml:1:24: `enable-debug-command = true`: `enable-debug-command` takes text in \
             quotes, as in `enable-debug-command = \"no\"`"
        );
        assert_eq!(
            mistake("bind = [5]"),
            "my.toml:1:9: `bind`: expected an address such as \"127.0.0.1\""
        );
        assert_eq!(
            mistake("latency-tracking = 1"),
            "my.toml:1:20: `latency-tracking = 1`: \
             expected true or false, or \"yes\" or \"no\""
        );
        assert_eq!(
            mistake("latency-tracking = \"maybe\""),
            "my.toml:1:20: `latency-tracking = \"maybe\"`: \
             expected true or false, or \"yes\" or \"no\""
        );
        assert_eq!(
            mistake("latency-tracking-info-percentiles = true"),
            "my.toml:1:37: `latency-tracking-info-percentiles = true`: \
             expected numbers such as [50, 99.9] or \"50 99.9\""
        );
        assert_eq!(
            mistake("bind = 5"),
            "my.toml:1:8: `bind = 5`: \
             expected addresses such as \"127.0.0.1 -::1\" or [\"127.0.0.1\", \"-::1\"]"
        );
    }

    #[test]
    fn class_of_output_limits_set_twice_is_refused() {
        let once = "client-output-buffer-limit = \"normal 0 0 0 pubsub 0 0 0 replica 0 0 0\"";
        config(once);
        for (first, second) in [("normal", "Normal"), ("replica", "slave")] {
            let line = format!("client-output-buffer-limit = \"{first} 0 0 0 {second} 0 0 0\"");
            let mistake = mistake(&line);
            let problem = format!("class `{first}` is set twice, expected each class once");
            assert!(mistake.ends_with(&problem), "{mistake}");
        }
    }

    #[test]
    fn list_of_addresses_may_be_empty() {
        for line in ["bind = []", "bind = \"\"", "bind = \" \""] {
            assert_eq!(config(line).bind, [], "{line}");
        }
    }

    #[test]
    fn permissions_are_octal_in_each_notation() {
        for value in ["700", "0o700", "\"700\"", "\"0700\""] {
            let line = format!("unixsocketperm = {value}");
            assert_eq!(config(&line).unixsocketperm, 0o700, "{line}");
        }
        for value in ["800", "1000", "0x1ff", "\"rwx\"", "true", "-7", "7.0"] {
            let line = format!("unixsocketperm = {value}");
            assert_eq!(
                mistake(&line),
                format!(
                    "my.toml:1:18: `{line}`: expected permissions in octal digits from 0 to 777, as \
                     for chmod"
                )
            );
        }
    }
}
