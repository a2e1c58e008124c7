//! The values yes and no.

use std::borrow::Cow;
use std::str::FromStr;

use crate::config::values::Value;

/// `yes` or `no`, or `true` or `false` for them, in any case. CONFIG SET takes only the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flag(pub(crate) bool);

/// The word is neither yes nor no.
#[derive(Debug, thiserror::Error)]
#[error("expected yes or no")]
pub(crate) struct FlagError;

impl FromStr for Flag {
    type Err = FlagError;

    fn from_str(text: &str) -> Result<Self, FlagError> {
        match text.to_ascii_lowercase().as_str() {
            "yes" | "true" => Ok(Self(true)),
            "no" | "false" => Ok(Self(false)),
            _ => Err(FlagError),
        }
    }
}

impl Value for Flag {
    type Plain = bool;

    fn plain(self) -> bool {
        self.0
    }

    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>> {
        match text.to_ascii_lowercase().as_str() {
            "yes" => Ok(Self(true)),
            "no" => Ok(Self(false)),
            _ => Err("argument must be 'yes' or 'no'".into()),
        }
    }

    fn text(yes: &bool) -> String {
        if *yes { "yes" } else { "no" }.into()
    }
}
