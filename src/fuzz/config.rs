//! Reads, sets and rewrites configuration files.

use std::path::Path;

use crate::config::{Config, ConfigError, KEYS};

/// Only the program edits files.
#[path = "../bin/respool/edit.rs"]
mod edit;

/// Reads a file. The result is a configuration, or a short error with its position.
///
/// A configuration can be written to an empty file, and each value of CONFIG GET can be set by
/// CONFIG SET. The file can be rewritten for another configuration: that of the file after the
/// first NUL, or else the default.
pub fn config(bytes: &[u8]) {
    let mut files = bytes.splitn(2, |&byte| byte == 0);
    let file = files.next().unwrap_or_default();
    let Some(config) = load(file) else {
        return;
    };
    let defaults = Config::default();
    assert_configures(&rewritten("", &defaults, &config), &config);
    assert_values_can_be_set(&config);
    let other = files.next().and_then(load).unwrap_or(defaults);
    // A file that could be loaded is text.
    let text = str::from_utf8(file).unwrap_or_default();
    assert_configures(&rewritten(text, &config, &other), &other);
}

fn load(file: &[u8]) -> Option<Config> {
    match Config::from_bytes(Path::new(NAME), file) {
        Ok(config) => Some(config),
        Err(error) => {
            assert_is_helpful(&error, file);
            None
        }
    }
}

/// Checks that the error has a position in the file, and is one readable line.
fn assert_is_helpful(error: &ConfigError, file: &[u8]) {
    let shown = error.to_string();
    let ConfigError::Mistake { line, column, .. } = error else {
        panic!("{shown}");
    };
    let lines: Vec<_> = file.split(|&byte| byte == b'\n').collect();
    let text = lines.get(line - 1).expect("the line is there");
    assert!((1..=text.len() + 1).contains(column), "{shown:?}");
    assert!(
        shown.starts_with(&format!("{NAME}:{line}:{column}: ")),
        "{shown:?}"
    );
    assert!(
        shown.len() <= ERROR_BYTES_MAX,
        "{} bytes: {shown:?}",
        shown.len()
    );
    assert!(!shown.contains(char::is_control), "{shown:?}");
}

/// Rewrites `text`, which has the configuration `current`, for `wanted`.
fn rewritten(text: &str, current: &Config, wanted: &Config) -> String {
    let differences: Vec<_> = wanted.differences(current).collect();
    edit::edited(text, &differences).expect("TOML, because it was loaded")
}

#[track_caller]
fn assert_configures(text: &str, config: &Config) {
    match Config::from_bytes(Path::new(NAME), text.as_bytes()) {
        Ok(current) => assert!(current == *config, "{text:?} is not {config:?}"),
        Err(error) => panic!("{text:?}: {error}"),
    }
}

fn assert_values_can_be_set(config: &Config) {
    let mut set = Config::default();
    for key in KEYS {
        let text = key.text(config);
        let result = key.set(&mut set, &text);
        assert!(result.is_ok(), "{} {text:?}: {result:?}", key.name);
    }
    assert!(set == *config, "{set:?} is not {config:?}");
}

const NAME: &str = "my.toml";

/// Maximum length of an error: a position and a few lines.
const ERROR_BYTES_MAX: usize = 8 * 1024;
