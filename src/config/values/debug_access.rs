//! `enable-debug-command`: which clients may use DEBUG.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::config::values::{Kept, none_of};

/// The clients that may use DEBUG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebugAccess {
    /// No client.
    No,
    /// Clients that connect over the loopback interface.
    Local,
    /// Every client.
    Yes,
}

/// The word is not `no`, `local` or `yes`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a value of enable-debug-command, expected no, local or yes")]
pub struct DebugAccessError(String);

impl FromStr for DebugAccess {
    type Err = DebugAccessError;

    /// Parses a word in any case, as Redis does.
    fn from_str(text: &str) -> Result<Self, DebugAccessError> {
        match text.to_ascii_lowercase().as_str() {
            "no" => Ok(Self::No),
            "local" => Ok(Self::Local),
            "yes" => Ok(Self::Yes),
            _ => Err(DebugAccessError(text.to_owned())),
        }
    }
}

impl fmt::Display for DebugAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "no",
            Self::Local => "local",
            Self::Yes => "yes",
        })
    }
}

impl Kept for DebugAccess {
    fn reason() -> Cow<'static, str> {
        // The order is Redis's.
        none_of(&["no", "yes", "local"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_as_read_and_others_refused() {
        for word in ["no", "local", "yes"] {
            assert_eq!(word.parse::<DebugAccess>().unwrap().to_string(), word);
        }
        assert_eq!("LOCAL".parse::<DebugAccess>().unwrap(), DebugAccess::Local);
        assert_eq!(
            "true".parse::<DebugAccess>().unwrap_err().to_string(),
            "`true` is not a value of enable-debug-command, expected no, local or yes"
        );
    }
}
