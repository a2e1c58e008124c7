//! The errors of all sources.

use std::io;
use std::path::PathBuf;

/// A mistake in the configuration. Its text is for the operator: it has the change to make, and
/// never a password.
///
/// Needs the feature `cli`, which is on by default.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// The file as the operator named it.
        file: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file has a mistake.
    #[error("{}:{line}:{column}: {problem}", file.display())]
    Mistake {
        /// The file as the operator named it.
        file: PathBuf,
        /// The line of the mistake, from 1.
        line: usize,
        /// The first character of the mistake in its line, from 1.
        column: usize,
        /// The mistake, and what would be right.
        problem: String,
    },
    /// A source of the password is empty, or two of them exclude each other.
    #[error("{origin}: {problem}")]
    Password {
        /// The source of the password: a flag, a file or an environment variable.
        origin: String,
        /// The mistake, and what would be right.
        problem: String,
    },
}
