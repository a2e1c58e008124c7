//! `enable-debug-command`: which clients may use DEBUG.

use crate::config::values::words;

/// The clients that may use DEBUG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebugAccess {
    /// No client.
    No,
    /// Clients on this machine: over the loopback interface or a Unix socket.
    Local,
    /// Every client.
    Yes,
}

/// The word is not `no`, `local` or `yes`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a value of enable-debug-command, expected no, local or yes")]
pub struct DebugAccessError(String);

words!(DebugAccess, DebugAccessError: No = "no", Yes = "yes", Local = "local");

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
