//! What the type of a key's value must know, so that every source of a configuration can be read
//! and every view of it written.

pub(crate) mod bind;
pub(crate) mod debug_access;
pub(crate) mod flag;
pub(crate) mod loglevel;
pub(crate) mod number;
pub(crate) mod output_limits;
pub(crate) mod percentile;
pub(crate) mod text;

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

/// The value of a key: its range and its notations. The command line reads it by `FromStr`, the
/// file by `sources/notation.rs`; the errors of both address the operator. CONFIG reads and writes it
/// by what is here, and speaks as Redis does.
pub(crate) trait Value: Sized {
    /// What a [`Config`](super::Config) keeps of it.
    type Plain;

    /// Whether only who asks for it by CONFIG GET may see it.
    const SECRET: bool = false;

    fn plain(self) -> Self::Plain;

    /// Reads an argument of CONFIG SET. The error is Redis's reason why it cannot be.
    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>>;

    /// As CONFIG GET shows it, and CONFIG SET takes it back.
    fn text(plain: &Self::Plain) -> String;
}

/// A value that a [`Config`](super::Config) keeps as it is, and that has one notation everywhere.
pub(crate) trait Kept: FromStr + Display {
    /// Redis's reason why an argument of CONFIG SET cannot be the value.
    fn reason() -> Cow<'static, str>;
}

impl<T: Kept> Value for T {
    type Plain = Self;

    fn plain(self) -> Self {
        self
    }

    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>> {
        text.parse().map_err(|_| T::reason())
    }

    fn text(value: &Self) -> String {
        value.to_string()
    }
}

/// Redis's reason where a value is one of a few words.
pub(crate) fn none_of(words: &[&str]) -> Cow<'static, str> {
    let words = words.join(", ");
    format!("argument(s) must be one of the following: {words}").into()
}
