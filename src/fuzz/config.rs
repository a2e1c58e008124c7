//! The configuration file, and what CONFIG SET and CONFIG REWRITE make of it.

use std::path::Path;

use crate::config::{Config, ConfigError, KEYS};

/// The binary's: nobody else edits files.
#[path = "../bin/respool/edit.rs"]
mod edit;

/// Reads a file. It has a configuration, or a mistake that is shown in its place and in few words.
///
/// A configuration survives being written into an empty file, and each of its values being told by
/// CONFIG GET and set by CONFIG SET. A file that is rewritten for another configuration, which is
/// the one in the file behind the first NUL or else the default, has that one.
pub fn config(bytes: &[u8]) {
    let mut files = bytes.splitn(2, |&byte| byte == 0);
    let file = files.next().unwrap_or_default();
    let Some(config) = load(file) else {
        return;
    };
    let defaults = Config::default();
    assert_says(&rewritten("", &defaults, &config), &config);
    assert_is_set_as_it_is_shown(&config);
    let other = files.next().and_then(load).unwrap_or(defaults);
    // What could be loaded is text.
    let text = str::from_utf8(file).unwrap_or_default();
    assert_says(&rewritten(text, &config, &other), &other);
}

fn load(file: &[u8]) -> Option<Config> {
    match Config::from_bytes(Path::new(NAME), file) {
        Ok(config) => Some(config),
        Err(error) => {
            assert_is_of_use(&error, file);
            None
        }
    }
}

/// It names a place that there is, and is one line that an operator can read.
fn assert_is_of_use(error: &ConfigError, file: &[u8]) {
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

/// `text`, which says `current`, after a rewrite for `wanted`.
fn rewritten(text: &str, current: &Config, wanted: &Config) -> String {
    let differences: Vec<_> = wanted.differences(current).collect();
    edit::edited(text, &differences).expect("what was loaded is TOML")
}

#[track_caller]
fn assert_says(text: &str, config: &Config) {
    match Config::from_bytes(Path::new(NAME), text.as_bytes()) {
        Ok(current) => assert!(current == *config, "{text:?} is not {config:?}"),
        Err(error) => panic!("{text:?}: {error}"),
    }
}

fn assert_is_set_as_it_is_shown(config: &Config) {
    let mut set = Config::default();
    for key in KEYS {
        let text = key.text(config);
        let result = key.set(&mut set, &text);
        assert!(result.is_ok(), "{} {text:?}: {result:?}", key.name);
    }
    assert!(set == *config, "{set:?} is not {config:?}");
}

const NAME: &str = "my.toml";

/// A place, and a problem in a few lines of a screen.
const ERROR_BYTES_MAX: usize = 8 * 1024;
