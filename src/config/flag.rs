//! Yes or no.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use super::value::{Form, Value};

/// `yes` or `no`, in any case, and in a file also `true` or `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag(bool);

/// The word is neither.
#[derive(Debug, thiserror::Error)]
#[error("expected yes or no")]
pub(super) struct FlagError;

impl FromStr for Flag {
    type Err = FlagError;

    fn from_str(text: &str) -> Result<Self, FlagError> {
        if text.eq_ignore_ascii_case("yes") {
            Ok(Self(true))
        } else if text.eq_ignore_ascii_case("no") {
            Ok(Self(false))
        } else {
            Err(FlagError)
        }
    }
}

impl Value for Flag {
    type Plain = bool;

    const FORM: Form = Form::Flag;

    fn plain(self) -> bool {
        self.0
    }

    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>> {
        text.parse()
            .map_err(|_| "argument must be 'yes' or 'no'".into())
    }

    fn text(yes: &bool) -> String {
        if *yes { "yes" } else { "no" }.into()
    }
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
        text.parse().map_err(E::custom)
    }
}
