//! The types of the keys' values: the range of each, and its notation on the command line and in
//! CONFIG. `sources/notation.rs` has the notation in files.

pub(super) mod bind;
pub(super) mod debug_access;
mod flag;
pub(super) mod host_names;
pub(super) mod log_format;
pub(super) mod loglevel;
pub(super) mod networks;
pub(super) mod number;
pub(super) mod output_limits;
pub(super) mod percentile;
mod permissions;
pub(super) mod text;
pub(super) mod tls_auth_clients;
pub(super) mod tls_protocols;

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

pub(super) use bind::BindAddresses;
pub(super) use debug_access::DebugAccess;
pub(super) use flag::Flag;
pub(super) use host_names::HostNames;
pub(super) use log_format::LogFormat;
pub(super) use loglevel::LogLevel;
pub(super) use networks::Networks;
pub(super) use number::{
    Bytes, Microseconds, Milliseconds, NOT_MEMORY, Number, Seconds, integer, memory, out_of_range,
};
pub(super) use output_limits::OutputLimits;
pub(super) use percentile::Percentiles;
pub(super) use permissions::Permissions;
pub(super) use text::{OptionalPath, Password};
pub(super) use tls_auth_clients::TlsAuthClients;
pub(super) use tls_protocols::TlsProtocols;

/// The value of a key: its range and its notations. The command line reads it by `FromStr`, the
/// file by `sources/notation.rs`; their errors are for the operator. CONFIG uses this trait, whose
/// errors are those of Redis.
pub(crate) trait Value: Sized {
    /// The type of the field of [`Config`](super::Config).
    type Plain;

    /// Whether the value is a secret: never logged, and never quoted in an error. CONFIG GET shows
    /// it, as in Redis.
    const SECRET: bool = false;

    /// Converts it to the type of the field.
    fn plain(self) -> Self::Plain;

    /// Parses an argument of CONFIG SET. The error is the reason with which Redis replies.
    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>>;

    /// Changes a value by an argument of CONFIG SET. The error leaves it as it was.
    fn change(plain: &mut Self::Plain, text: &str) -> Result<(), Cow<'static, str>> {
        *plain = Self::from_argument(text)?.plain();
        Ok(())
    }

    /// Returns the text that CONFIG GET shows and CONFIG SET accepts.
    fn text(plain: &Self::Plain) -> String;
}

/// A value that [`Config`](super::Config) stores as it is, with one notation on the command line
/// and in CONFIG.
pub(crate) trait StoredAsIs: FromStr + Display {
    /// Returns the reason with which Redis replies to a wrong argument of CONFIG SET.
    fn wrong_argument() -> Cow<'static, str>;
}

impl<T: StoredAsIs> Value for T {
    type Plain = Self;

    fn plain(self) -> Self {
        self
    }

    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>> {
        text.parse().map_err(|_| T::wrong_argument())
    }

    fn text(value: &Self) -> String {
        value.to_string()
    }
}

/// Implements [`StoredAsIs`] for an enum: each value is a word, in any case. The order of the words
/// is that of Redis's error.
macro_rules! words {
    ($type:ident, $error:ident: $($variant:ident = $word:literal),+) => {
        impl std::str::FromStr for $type {
            type Err = $error;

            /// Parses a word in any case, as Redis does.
            fn from_str(text: &str) -> Result<Self, $error> {
                match text.to_ascii_lowercase().as_str() {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($error($crate::config::excerpt::excerpt(text))),
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $word),+
                })
            }
        }

        impl $crate::config::values::StoredAsIs for $type {
            fn wrong_argument() -> std::borrow::Cow<'static, str> {
                $crate::config::values::not_one_of(&[$($word),+])
            }
        }
    };
}

pub(crate) use words;

/// Returns the values of a list with a space between them, as CONFIG shows a list.
pub(super) fn joined<T: Display>(list: &[T]) -> String {
    let words: Vec<_> = list.iter().map(ToString::to_string).collect();
    words.join(" ")
}

/// Returns the reason with which Redis replies if the value is not one of `words`.
pub(crate) fn not_one_of(words: &[&str]) -> Cow<'static, str> {
    let words = words.join(", ");
    format!("argument(s) must be one of the following: {words}").into()
}
