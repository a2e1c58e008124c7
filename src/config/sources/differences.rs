//! Finds the keys whose values differ between two configurations, and writes values as TOML.

use toml_writer::{ToTomlValue, TomlStringBuilder};

use super::notation::Form;
use super::settings::forms;
use crate::config::Config;

impl Config {
    /// Returns the keys whose values differ from those of `other`, with the value in TOML.
    /// Needs the feature `cli`.
    pub fn differences(&self, other: &Self) -> impl Iterator<Item = (&'static str, String)> {
        forms()
            .filter(|(key, _)| !key.is_same(self, other))
            .map(|(key, form)| (key.name, in_toml(form, &key.text(self))))
    }
}

/// Returns the TOML for the value with this text.
pub(super) fn in_toml(form: Form, text: &str) -> String {
    let quoted = |text: &str| TomlStringBuilder::new(text).as_default().to_toml_value();
    let array = |words: Vec<String>| format!("[{}]", words.join(", "));
    match form {
        Form::Number | Form::Bytes => text.to_owned(),
        Form::Text => quoted(text),
        Form::Flag => (text == "yes").to_string(),
        Form::Texts => array(text.split_whitespace().map(quoted).collect()),
        Form::Numbers => array(text.split_whitespace().map(str::to_owned).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sources::tests::{MANUAL, config};
    use crate::config::{KEYS, Key};

    /// Returns the defaults with another value for `key`.
    fn changed(key: &Key) -> Config {
        let values = [
            "1",
            "2",
            "no",
            "yes",
            "debug",
            "local",
            "::1",
            "1mb",
            "normal 1kb 2 3",
            "TLSv1.3",
            "100",
            "json",
        ];
        let changed = values.iter().find_map(|value| {
            let mut config = Config::default();
            key.set(&mut config, value).ok()?;
            (!key.is_same(&config, &Config::default())).then_some(config)
        });
        changed.unwrap_or_else(|| panic!("`values` has none for {}: add one", key.name))
    }

    #[test]
    fn each_key_has_its_own_field_and_is_read_as_written() {
        for key in KEYS {
            let changed = changed(key);
            let differences: Vec<_> = changed.differences(&Config::default()).collect();
            let [(name, value)] = &differences[..] else {
                panic!("{}: {differences:?}", key.name);
            };
            assert_eq!(*name, key.name);
            assert_eq!(config(&format!("{name} = {value}")), changed);
        }
    }

    #[test]
    fn values_are_written_as_in_the_manual() {
        let manual: toml::Table = MANUAL.parse().unwrap();
        for (key, form) in forms() {
            let line = format!("key = {}", in_toml(form, &key.text(&Config::default())));
            let written: toml::Table = line.parse().unwrap();
            // Bytes are read with a unit and written without.
            let has_unit = [
                "proto-max-bulk-len",
                "client-query-buffer-limit",
                "pending-output-per-client",
                "client-output-buffer-limit",
            ];
            if !has_unit.contains(&key.name) {
                assert_eq!(written["key"], manual[key.name], "{}", key.name);
            }
        }
    }

    #[test]
    fn any_password_is_read_as_it_is_written() {
        for password in [
            "\"", "\\", "'''", "\"\"\"", "a\nb", "\0", "ä€", " # ", "true", "1",
        ] {
            let expected = Config {
                requirepass: Some(password.into()),
                ..Config::default()
            };
            let written = expected.differences(&Config::default()).next();
            let (key, value) = written.unwrap();
            assert_eq!(config(&format!("{key} = {value}")), expected, "{value}");
        }
    }
}
