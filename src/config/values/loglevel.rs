//! `loglevel`: Redis's five levels.

use log::LevelFilter;

use crate::config::values::words;

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

words!(LogLevel, LogLevelError:
    Debug = "debug", Verbose = "verbose", Notice = "notice", Warning = "warning",
    Nothing = "nothing"
);

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
    fn each_word_has_its_filter() {
        let filter = |word: &str| LevelFilter::from(word.parse::<LogLevel>().unwrap());
        assert_eq!(filter("debug"), LevelFilter::Trace);
        assert_eq!(filter("verbose"), LevelFilter::Debug);
        assert_eq!(filter("notice"), LevelFilter::Info);
        assert_eq!(filter("WARNING"), LevelFilter::Warn);
        assert_eq!(filter("nothing"), LevelFilter::Off);
    }

    #[test]
    fn unknown_word_is_quoted_in_the_error() {
        assert_eq!(
            "info".parse::<LogLevel>().unwrap_err().to_string(),
            "`info` is not a level, expected debug, verbose, notice, warning or nothing"
        );
    }
}
