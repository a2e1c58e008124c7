//! Helpers of the tests of this folder.

use std::path::Path;

use super::ConfigError;
use crate::config::Config;

/// Returns the configuration in a file with this text.
pub(super) fn config(text: &str) -> Config {
    read(text).expect("a file without mistakes")
}

/// Returns the error about the mistake in a file `my.toml`.
pub(super) fn mistake(text: impl AsRef<[u8]>) -> String {
    read(text).expect_err("a file with a mistake").to_string()
}

pub(super) fn read(text: impl AsRef<[u8]>) -> Result<Config, ConfigError> {
    Config::from_bytes(Path::new("my.toml"), text.as_ref())
}

pub(super) const MANUAL: &str = include_str!("../../../config/respool.toml");
