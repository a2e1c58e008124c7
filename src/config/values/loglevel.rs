//! `loglevel`: Redis's five levels.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use log::LevelFilter;

use crate::config::values::{Kept, none_of};

/// The least important lines to log, with Redis's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Also changes by CONFIG SET, and workers that start and end. No level logs single requests.
    Debug,
    /// Also clients that connect and disconnect.
    Verbose,
    /// Start, reload, drain and stop.
    Notice,
    /// Only what an operator should change.
    Warning,
    /// Nothing.
    Nothing,
}

/// The word is not a level.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a level, expected debug, verbose, notice, warning or nothing")]
pub struct LogLevelError(String);

impl FromStr for LogLevel {
    type Err = LogLevelError;

    /// Parses a word in any case, as Redis does.
    fn from_str(text: &str) -> Result<Self, LogLevelError> {
        match text.to_ascii_lowercase().as_str() {
            "debug" => Ok(Self::Debug),
            "verbose" => Ok(Self::Verbose),
            "notice" => Ok(Self::Notice),
            "warning" => Ok(Self::Warning),
            "nothing" => Ok(Self::Nothing),
            _ => Err(LogLevelError(text.to_owned())),
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "debug",
            Self::Verbose => "verbose",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Nothing => "nothing",
        })
    }
}

impl Kept for LogLevel {
    fn reason() -> Cow<'static, str> {
        none_of(&["debug", "verbose", "notice", "warning", "nothing"])
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Trace,
            LogLevel::Verbose => Self::Debug,
            LogLevel::Notice => Self::Info,
            LogLevel::Warning => Self::Warn,
            LogLevel::Nothing => Self::Off,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_steers_the_level_of_the_log() {
        let filter = |word: &str| LevelFilter::from(word.parse::<LogLevel>().unwrap());
        assert_eq!(filter("debug"), LevelFilter::Trace);
        assert_eq!(filter("verbose"), LevelFilter::Debug);
        assert_eq!(filter("notice"), LevelFilter::Info);
        assert_eq!(filter("WARNING"), LevelFilter::Warn);
        assert_eq!(filter("nothing"), LevelFilter::Off);
    }

    #[test]
    fn another_word_is_named_beside_the_right_ones() {
        assert_eq!(
            "info".parse::<LogLevel>().unwrap_err().to_string(),
            "`info` is not a level, expected debug, verbose, notice, warning or nothing"
        );
    }
}
