//! `log-format`: how a line of the log is written.

use crate::config::values::words;

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level and message, for people.
    Text,
    /// A JSON object with the same, for programs that collect logs.
    Json,
}

/// The word is not a format.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a format of the log, expected text or json")]
pub struct LogFormatError(String);

words!(LogFormat, LogFormatError: Text = "text", Json = "json");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_as_read_and_others_refused() {
        for word in ["text", "json"] {
            assert_eq!(word.parse::<LogFormat>().unwrap().to_string(), word);
        }
        assert_eq!(
            "xml".parse::<LogFormat>().unwrap_err().to_string(),
            "`xml` is not a format of the log, expected text or json"
        );
    }
}
