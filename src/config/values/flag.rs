//! The values yes and no.

use std::borrow::Cow;
use std::str::FromStr;

use crate::config::values::Value;

/// `yes` or `no`, in any case, and in a file also `true` or `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flag(pub(crate) bool);

/// The word is neither yes nor no.
#[derive(Debug, thiserror::Error)]
#[error("expected yes or no")]
pub(crate) struct FlagError;

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
