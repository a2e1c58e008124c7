//! Reads a configuration file: its text becomes [`Settings`], or an error about the first mistake.

use std::path::Path;

use toml::de::DeTable;

use super::explain::{not_toml, refuse_unknown_keys, wrong_value};
use super::mistake::Mistake;
use super::settings::{Settings, find_key};
use super::{ConfigError, password};
use crate::config::{Config, regular_file};

impl Config {
    /// Reads a file in the format of `config/respool.toml`, and the `requirepass-file` that it
    /// names. A key that is left out has its default. Needs the feature `cli`.
    ///
    /// # Errors
    ///
    /// The file cannot be read or has a mistake.
    pub fn from_file(file: &Path) -> Result<Self, ConfigError> {
        let settings = read(file)?;
        let password = password::of_file(&settings, file)?;
        let mut config = Self::default();
        settings.apply_to(&mut config);
        password::apply(password, &mut config);
        Ok(config)
    }

    /// Parses the bytes of a file like [`from_file`](Self::from_file), but does not read the
    /// `requirepass-file`.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn from_bytes(file: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        settings(file, bytes)?.apply_to(&mut config);
        Ok(config)
    }
}

/// Reads the settings in `file`.
pub(super) fn read(file: &Path) -> Result<Settings, ConfigError> {
    let bytes =
        regular_file::read(file, FILE_BYTES_MAX).map_err(|source| ConfigError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
    settings(file, &bytes)
}

fn settings(file: &Path, bytes: &[u8]) -> Result<Settings, ConfigError> {
    parse(bytes).map_err(|mistake| mistake.locate(file, bytes))
}

fn parse(bytes: &[u8]) -> Result<Settings, Mistake> {
    let text = str::from_utf8(bytes).map_err(|error| Mistake {
        offset: error.valid_up_to(),
        problem: "not UTF-8, expected a text file".into(),
    })?;
    let table = DeTable::parse(text).map_err(|error| not_toml(text, &error))?;
    refuse_unknown_keys(table.get_ref())?;
    let mut settings = Settings::default();
    let is_key = |name: &str| find_key(name).is_some();
    for (name, value) in table
        .get_ref()
        .iter()
        .filter(|(name, _)| is_key(name.get_ref()))
    {
        settings
            .set_from_file(name.get_ref(), value.get_ref())
            .map_err(|wrong| wrong_value(text, name.get_ref(), value.span(), wrong))?;
    }
    Ok(settings)
}

/// Maximum bytes of a file. It is about a hundred times the manual; a longer file is not a
/// configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;
    use crate::config::sources::tests::{MANUAL, config, mistake, read};

    #[test]
    fn manual_has_the_default_of_each_key() {
        assert_eq!(config(MANUAL), Config::default());
    }

    #[test]
    fn manual_has_every_key_and_no_other() {
        let table: toml::Table = MANUAL.parse().unwrap();
        let mut keys: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        keys.sort_unstable();
        let manual: Vec<_> = table.keys().collect();
        assert_eq!(manual, keys, "config/respool.toml, and the table of keys");
    }

    #[test]
    fn empty_file_leaves_every_default() {
        assert_eq!(config(""), Config::default());
    }

    #[test]
    fn file_that_is_not_utf_8_is_named_with_the_place() {
        assert_eq!(
            mistake(b"port = 1\nlogfile = \"\xff\""),
            "my.toml:2:12: not UTF-8, expected a text file"
        );
    }

    /// Changes one character of lines that contain a password, at each position and in many ways.
    #[test]
    fn no_mistake_shows_a_password() {
        const SECRET: &str = "qQ7qQ7qQ7qQ7";
        let spoiled = |line: &str| -> Vec<String> {
            let removed = (0..line.len()).map(|at| {
                let mut text = line.to_owned();
                text.remove(at);
                text
            });
            let added = (0..=line.len()).flat_map(|at| {
                [
                    "\"", "'", "=", " ", "\n", "#", "[", "{", ".", "\\", "\0", "x",
                ]
                .map(|piece| {
                    let mut text = line.to_owned();
                    text.insert_str(at, piece);
                    text
                })
            });
            removed.chain(added).chain([line.to_owned()]).collect()
        };
        let lines = [
            format!("requirepass = \"{SECRET}\"\n"),
            format!("requirepass = '''{SECRET}'''\n"),
            format!("requirepass = {SECRET}\n"),
            format!("requirepass {SECRET}\n"),
            format!("requirepass: {SECRET}\n"),
            format!("{SECRET} = \"requirepass\"\n"),
            format!("requirepass.{SECRET} = 1\n"),
            format!("requirepass = [\"{SECRET}\"]\n"),
            format!("requirepass = {{ a = \"{SECRET}\" }}\n"),
            format!("[requirepass]\nvalue = \"{SECRET}\"\n"),
            format!("[requirepass.{SECRET}]\n"),
            format!("requirepass{SECRET} = 1\n"),
            format!("requirepass-file{SECRET} = 1\n"),
            format!("password = \"{SECRET}\"\n"),
            format!("bind = [\"127.0.0.1\"\nrequirepass = \"{SECRET}\"\n"),
            format!("loglevel = \"notice\nrequirepass = \"{SECRET}\"\n"),
            format!("loglevel = '''notice\nrequirepass = \"{SECRET}\"\n'''\n"),
            format!("port = 70000 # {SECRET}\n"),
        ];
        let around = [("", ""), ("port = 6379\n", "loglevel = \"notice\"\n")];
        let long = format!("requirepass = \"{}\"\n", SECRET.repeat(50));
        for text in lines.iter().flat_map(|line| spoiled(line)).chain([long]) {
            for (before, after) in around {
                let text = format!("{before}{text}{after}");
                if let Err(error) = read(text.as_bytes()) {
                    let shown = format!("{error} {error:?}");
                    assert!(!shown.contains("Q7q"), "{text:?}: {shown}");
                }
            }
        }
    }
}
