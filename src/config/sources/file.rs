//! Reads a configuration file: its text becomes [`Settings`], or an error about the first mistake.
//!
//! An error says where the mistake is and what would be right. It shows no line of the file,
//! because the line may hold a password; it quotes a value only if its key is known and not secret.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{self, DeTable, ValueDeserializer};

use super::notation::Form;
use super::{forms, password};
use crate::config::table::Settings;
use crate::config::{Config, KEYS, Key};

/// A mistake in the configuration. Its text is for the operator: it says what to change, and never
/// contains a password.
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

    /// Returns the keys whose values differ from those of `other`, with the value in TOML.
    /// Needs the feature `cli`.
    pub fn differences(&self, other: &Self) -> impl Iterator<Item = (&'static str, String)> {
        forms()
            .filter(|(key, _)| !key.is_same(self, other))
            .map(|(key, form)| (key.name, in_toml(form, &key.text(self))))
    }
}

/// Returns the TOML for the value with this text.
fn in_toml(form: Form, text: &str) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let array = |words: Vec<String>| format!("[{}]", words.join(", "));
    match form {
        Form::Number => text.to_owned(),
        Form::Text => quoted(text),
        Form::Flag => (text == "yes").to_string(),
        Form::Texts => array(text.split_whitespace().map(quoted).collect()),
        Form::Numbers => array(text.split_whitespace().map(str::to_owned).collect()),
    }
}

/// Reads the settings in `file`.
pub(super) fn read(file: &Path) -> Result<Settings, ConfigError> {
    let bytes = read_regular(file, FILE_BYTES_MAX).map_err(|source| ConfigError::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    settings(file, &bytes)
}

fn settings(file: &Path, bytes: &[u8]) -> Result<Settings, ConfigError> {
    parse(bytes).map_err(|mistake| mistake.locate(file, bytes))
}

/// Reads a regular file of at most `bytes_max` bytes. A pipe or a device could block the reader for
/// ever, and a reload could not read it again.
pub(super) fn read_regular(file: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let kind = fs::metadata(file)?.file_type();
    if kind.is_dir() {
        return Err(rustix::io::Errno::ISDIR.into());
    }
    if !kind.is_file() {
        let problem = "not a regular file, but a pipe, a socket or a device";
        return Err(io::Error::new(ErrorKind::InvalidInput, problem));
    }
    let mut bytes = Vec::new();
    File::open(file)?
        .take(bytes_max + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let problem = format!("longer than {bytes_max} bytes, the maximum");
        return Err(io::Error::new(ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// Parses the text of a file. Values are checked while they are deserialized, because only then is
/// their position in the text known.
fn parse(bytes: &[u8]) -> Result<Settings, Mistake> {
    let text = str::from_utf8(bytes).map_err(|error| Mistake {
        offset: error.valid_up_to(),
        problem: "not UTF-8, expected a text file".into(),
    })?;
    let table = DeTable::parse(text).map_err(|error| not_toml(text, &error))?;
    refuse_unknown_keys(table.get_ref())?;
    let mut settings = Settings::default();
    for (name, value) in table.into_inner() {
        let place = value.span();
        settings
            .read(name.get_ref(), ValueDeserializer::from(value))
            .map_err(|error| wrong_value(text, name.get_ref(), place, &error))?;
    }
    Ok(settings)
}

/// Explains why a text is not TOML: by the key of the line if it is known, otherwise by the
/// parser's message, which quotes nothing of the text.
fn not_toml(text: &str, error: &de::Error) -> Mistake {
    let offset = start_of(error);
    let line = line_at(text, offset);
    let message = error.message();
    let problem = match (message, key_of(line)) {
        ("duplicate key", Some((key, _))) => {
            format!("`{}` is set twice, expected each key once", key.name)
        }
        ("duplicate key", None) => "a key is set twice, expected each key once".into(),
        _ if is_of_redis_conf(line) => of_redis_conf(text, "redis.conf"),
        _ if is_of_yaml(line) => of_redis_conf(text, "YAML"),
        (_, Some((key, form))) => format!("not TOML: {}", right_value(key, form)),
        _ if lacks_quotes(line) => {
            "not TOML: put the value in quotes, as in `loglevel = \"notice\"`".into()
        }
        (message, None) => format!(
            "not TOML ({}), expected lines such as `port = 6379` or `loglevel = \"notice\"`",
            message.replace('\n', ", ")
        ),
    };
    Mistake { offset, problem }
}

/// Explains why the key `name` does not take the value at `place`.
fn wrong_value(text: &str, name: &str, place: Range<usize>, error: &de::Error) -> Mistake {
    let span = error.span().unwrap_or_else(|| place.clone());
    let problem = match known(name) {
        None => "the key does not take this value; config/respool.toml explains it".into(),
        // The messages of a secret's type quote nothing.
        Some((key, _)) if key.secret => format!("`{name}`: {}", error.message()),
        // A text of several lines may be the result of a missing quote.
        Some((key, form)) => match text.get(span.clone()) {
            None => right_value(key, form),
            // A table: its position is that of the key, as in `port.x = 1` and `[port]`.
            Some(_) if !is_after_equals(text, &place) => right_value(key, form),
            Some(wrong) if wrong.contains('\n') => right_value(key, form),
            Some(wrong) if place.len() == wrong.len() => {
                let wrong = excerpt(wrong);
                let right = expected_by(error, key, form);
                format!("`{name} = {wrong}`: {right}")
            }
            // An item of a list.
            Some(_) => format!("`{name}`: {}", without_type(error.message())),
        },
    };
    Mistake {
        offset: span.start,
        problem,
    }
}

/// Returns whether the value at `place` follows an equals sign.
fn is_after_equals(text: &str, place: &Range<usize>) -> bool {
    let before = text.get(..place.start).unwrap_or_default();
    before.trim_end().ends_with('=')
}

/// Returns what would be right in place of a whole value.
fn expected_by(error: &de::Error, key: &Key, form: Form) -> String {
    match without_type(error.message()) {
        "expected a string" => right_value(key, form),
        reason => reason.to_owned(),
    }
}

/// Removes serde's name for the type of the wrong value from a message.
fn without_type(message: &str) -> &str {
    let expected = message.find(", expected ").map(|at| &message[at + 2..]);
    expected
        .filter(|_| message.starts_with("invalid type: "))
        .unwrap_or(message)
}

/// Returns what a key takes, with its default as an example.
fn right_value(key: &Key, form: Form) -> String {
    let takes = match form {
        Form::Number => "a number",
        Form::Text => "text in quotes",
        Form::Flag => "true or false, or \"yes\" or \"no\" in quotes",
        Form::Texts => "texts in quotes",
        Form::Numbers => "numbers",
    };
    let example = match in_toml(form, &key.text(&Config::default())) {
        empty if empty == "\"\"" => "\"...\"".into(),
        example => example,
    };
    let name = key.name;
    format!("`{name}` takes {takes}, as in `{name} = {example}`")
}

/// Returns whether a line has the form `key value`, as in redis.conf.
fn is_of_redis_conf(line: &str) -> bool {
    after_name(line).is_some_and(|rest| {
        rest.starts_with([' ', '\t'])
            && !rest.trim_start().starts_with('=')
            && !rest.trim().is_empty()
    })
}

/// Returns whether a line has the form `key: value`, as in YAML.
fn is_of_yaml(line: &str) -> bool {
    after_name(line).is_some_and(|rest| rest.starts_with(':'))
}

/// Returns whether a line has the form `key = word`, where the word is not a value in TOML.
fn lacks_quotes(line: &str) -> bool {
    let value = after_name(line).and_then(|rest| rest.trim_start().strip_prefix('='));
    value.is_some_and(|value| {
        value
            .trim_start()
            .starts_with(|c: char| c.is_ascii_alphabetic())
    })
}

/// Returns the rest of a line after the name at its beginning, if there is one.
fn after_name(line: &str) -> Option<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let rest = line.trim_start_matches(is_name);
    (rest.len() < line.len()).then_some(rest)
}

/// Explains a line in another format, and shows the first lines of the file with known keys in
/// TOML.
fn of_redis_conf(text: &str, format: &str) -> String {
    let lines: Vec<_> = text.lines().filter_map(from_redis_conf).take(3).collect();
    let right = match lines.as_slice() {
        [] => "`port = 6379`".into(),
        lines => lines.join(", "),
    };
    format!(
        "this line has the format of {format}, but the file must be TOML (`key = value`, with texts \
         in quotes): write {right}; config/respool.toml has every key"
    )
}

/// Translates a line of redis.conf or YAML to TOML, in backticks, if its key is known and not
/// secret.
fn from_redis_conf(line: &str) -> Option<String> {
    let (name, value) = line.trim().split_once([' ', '\t', ':'])?;
    let (key, form) = known(&name.to_ascii_lowercase())?;
    let value = value.trim().trim_matches('"');
    if key.secret || (!form.is_list() && value.contains(char::is_whitespace)) {
        return None;
    }
    let mut config = Config::default();
    key.set(&mut config, value).ok()?;
    let value = excerpt(&in_toml(form, &key.text(&config)));
    Some(format!("`{} = {value}`", key.name))
}

fn start_of(error: &de::Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

/// Returns the line of `text` with the byte at `offset`, trimmed.
fn line_at(text: &str, offset: usize) -> &str {
    let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let end = after.find('\n').map_or(text.len(), |at| before.len() + at);
    text[start..end].trim()
}

/// Returns the key at the beginning of a line, if it is known.
fn key_of(line: &str) -> Option<(&'static Key, Form)> {
    let ends = |c: char| c == '=' || c.is_whitespace();
    let name = line.split(ends).next()?;
    known(name.trim_matches(['"', '\'', '[', ']']))
}

/// Returns the key of this name, and the form of its value in a file.
fn known(name: &str) -> Option<(&'static Key, Form)> {
    forms().find(|(key, _)| key.name == name)
}

/// Finds the first unknown key before serde does, to suggest the key with the most similar name.
fn refuse_unknown_keys(table: &DeTable) -> Result<(), Mistake> {
    let unknown = table.keys().filter(|key| known(key.get_ref()).is_none());
    let Some(first) = unknown.min_by_key(|key| key.span().start) else {
        return Ok(());
    };
    let problem = match nearest(first.get_ref()) {
        Some(key) if may_show(first.get_ref(), key) => {
            let wrong = excerpt(first.get_ref());
            format!("unknown key `{wrong}`, did you mean `{}`?", key.name)
        }
        Some(key) => format!("unknown key, did you mean `{}`?", key.name),
        // The position in the file identifies it.
        None => "unknown key; config/respool.toml and `respool --help` list all keys".into(),
    };
    Err(Mistake {
        offset: first.span().start,
        problem,
    })
}

/// Returns the key whose name is most similar to `word`, by the measure that clap uses for flags;
/// `None` if no name is similar.
pub(super) fn nearest(word: &str) -> Option<&'static Key> {
    KEYS.iter()
        .map(|key| (strsim::jaro(word, key.name), key))
        .filter(|(likeness, key)| *likeness > LIKENESS_MIN && is_near(word, key.name))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, key)| key)
}

/// Returns whether at most half of the characters differ. The other measure finds a word of one
/// letter similar to a long name that contains it.
fn is_near(word: &str, name: &str) -> bool {
    let longer = word.chars().count().max(name.len());
    2 * strsim::osa_distance(word, name) <= longer
}

/// Returns whether an error may show an unknown name that is similar to that of `key`. A longer
/// name may contain a value, and a name similar to that of a secret may contain the secret.
pub(super) fn may_show(name: &str, key: &Key) -> bool {
    !is_about_secret(key) && name.len() <= key.name.len() + 2
}

/// Returns whether a key is secret, or its name begins with that of a secret key.
pub(super) fn is_about_secret(key: &Key) -> bool {
    let mut secrets = KEYS.iter().filter(|key| key.secret);
    secrets.any(|secret| key.name.starts_with(secret.name))
}

/// A mistake in a text, `offset` bytes from its start.
struct Mistake {
    offset: usize,
    problem: String,
}

impl Mistake {
    /// Turns the offset into a line and a column, as an editor shows them.
    fn locate(self, file: &Path, bytes: &[u8]) -> ConfigError {
        let is_newline = |byte: &u8| *byte == b'\n';
        let before = &bytes[..self.offset.min(bytes.len())];
        let line_start = before.iter().rposition(is_newline).map_or(0, |at| at + 1);
        let line_before = String::from_utf8_lossy(&before[line_start..]);
        ConfigError::Mistake {
            file: file.to_owned(),
            line: 1 + before.iter().filter(|byte| is_newline(byte)).count(),
            column: 1 + line_before.chars().count(),
            problem: in_few_words(&self.problem),
        }
    }
}

/// Returns a part of a file for an error: of limited length and without control characters.
fn excerpt(text: &str) -> String {
    let mut chars = text.trim().chars().map(visible);
    let mut shown: String = chars.by_ref().take(EXCERPT_CHARS_MAX).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Shortens a problem that quotes long words of the file. Cuts its middle, because its end says
/// what would be right.
fn in_few_words(problem: &str) -> String {
    let mut chars: Vec<_> = problem.chars().map(visible).collect();
    let cut = chars.len().saturating_sub(PROBLEM_CHARS_MAX);
    if cut > 0 {
        chars.splice(
            PROBLEM_CHARS_BEFORE_CUT..PROBLEM_CHARS_BEFORE_CUT + cut,
            ['…'],
        );
    }
    chars.into_iter().collect()
}

fn visible(c: char) -> char {
    if c.is_control() { '\u{fffd}' } else { c }
}

/// Minimum similarity of a word to a key, from 0 to 1, to suggest the key: clap's limit for flags.
const LIKENESS_MIN: f64 = 0.7;

/// Maximum bytes of a file. It is about a hundred times the manual; a longer file is not a
/// configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Maximum characters of the file that an error shows.
const EXCERPT_CHARS_MAX: usize = 80;

/// Maximum characters of a problem.
const PROBLEM_CHARS_MAX: usize = 500;

/// Characters of a problem before the part that is cut.
const PROBLEM_CHARS_BEFORE_CUT: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Key;

    fn config(text: &str) -> Config {
        let mut config = Config::default();
        parse(text.as_bytes())
            .ok()
            .expect("a file without mistakes")
            .apply_to(&mut config);
        config
    }

    /// Returns the error about the mistake in a file `my.toml`.
    fn mistake(text: impl AsRef<[u8]>) -> String {
        let text = text.as_ref();
        let mistake = parse(text).expect_err("a file with a mistake");
        mistake.locate(Path::new("my.toml"), text).to_string()
    }

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

    /// Returns the defaults with another value for `key`.
    fn changed(key: &Key) -> Config {
        let values = [
            "1",
            "2",
            "no",
            "debug",
            "local",
            "::1",
            "1mb",
            "normal 1kb 2 3",
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

    #[test]
    fn flags_and_percentiles_have_two_notations() {
        assert_eq!(
            config("latency-tracking = false"),
            config("latency-tracking = \"No\"")
        );
        assert_eq!(
            config("latency-tracking-info-percentiles = [99.9, 5]"),
            config("latency-tracking-info-percentiles = \"99.9 5\"")
        );
    }

    #[test]
    fn empty_password_is_none_and_a_long_one_refused() {
        assert_eq!(config("requirepass = \"\"").requirepass, None);
        let longest = "x".repeat(512);
        let password = config(&format!("requirepass = \"{longest}\"")).requirepass;
        assert_eq!(password, Some(longest.clone()));
        let mistake = mistake(format!("requirepass = \"{longest}x\""));
        assert!(
            mistake.ends_with(": 513 bytes, expected at most 512"),
            "{mistake}"
        );
    }

    #[test]
    fn addresses_and_bytes_have_two_notations() {
        assert_eq!(
            config(r#"bind = "::1 *""#),
            config(r#"bind = ["::1", "*"]"#)
        );
        assert_eq!(
            config(r#"proto-max-bulk-len = "1kb""#),
            config("proto-max-bulk-len = 1024")
        );
    }

    /// Checks that a key takes both ends of its range, and refuses one below and one above.
    fn assert_range(key: &str, ends: [i64; 2], expected: &str) {
        for end in ends {
            config(&format!("{key} = {end}"));
        }
        for beyond in [ends[0] - 1, ends[1] + 1] {
            let line = format!("{key} = {beyond}");
            let column = key.len() + 4;
            assert_eq!(
                mistake(&line),
                format!("my.toml:1:{column}: `{line}`: expected {expected}")
            );
        }
    }

    #[test]
    fn each_number_has_its_range_and_names_its_unit() {
        for (key, ends, expected) in [
            ("workers", [0, 1_024], "a whole number from 0 to 1024"),
            ("port", [0, 65_535], "a whole number from 0 to 65535"),
            (
                "maxclients",
                [1, 1_000_000],
                "a whole number from 1 to 1000000",
            ),
            (
                "timeout",
                [0, 2_147_483_647],
                "a whole number of seconds from 0 to 2147483647",
            ),
            ("tcp-backlog", [1, 65_535], "a whole number from 1 to 65535"),
            (
                "tcp-keepalive",
                [0, 32_767],
                "a whole number of seconds from 0 to 32767",
            ),
            (
                "drain-timeout-ms",
                [0, 3_600_000],
                "a whole number of milliseconds from 0 to 3600000",
            ),
            (
                "slowlog-max-len",
                [0, 1_000_000],
                "a whole number from 0 to 1000000",
            ),
            (
                "proto-max-bulk-len",
                [1_024, 1 << 30],
                "a whole number of bytes from 1024 to 1073741824 (units: k, kb, m, mb, g, gb)",
            ),
        ] {
            assert_range(key, ends, expected);
        }
    }

    #[test]
    fn value_of_wrong_type_names_the_right_one() {
        for value in [
            "\"6379\"",
            "[6379]",
            "6379.0",
            "true",
            "99999999999999999999",
            "{ a = 1 }",
        ] {
            let line = format!("port = {value}");
            let expected = "expected a whole number from 0 to 65535";
            assert_eq!(mistake(&line), format!("my.toml:1:8: `{line}`: {expected}"));
        }
        assert_eq!(
            mistake("logfile = 5"),
            "my.toml:1:11: `logfile = 5`: `logfile` takes text in quotes, as in `logfile = \"...\"`"
        );
        assert_eq!(
            mistake("enable-debug-command = true"),
            "my.toml:1:24: `enable-debug-command = true`: `enable-debug-command` takes text in \
             quotes, as in `enable-debug-command = \"no\"`"
        );
        assert_eq!(
            mistake("bind = [5]"),
            "my.toml:1:9: `bind`: expected an address such as \"127.0.0.1\""
        );
        assert_eq!(
            mistake("latency-tracking = 1"),
            "my.toml:1:20: `latency-tracking = 1`: \
             expected true or false, or \"yes\" or \"no\""
        );
        assert_eq!(
            mistake("latency-tracking = \"maybe\""),
            "my.toml:1:20: `latency-tracking = \"maybe\"`: \
             expected true or false, or \"yes\" or \"no\""
        );
        assert_eq!(
            mistake("latency-tracking-info-percentiles = true"),
            "my.toml:1:37: `latency-tracking-info-percentiles = true`: \
             expected numbers such as [50, 99.9] or \"50 99.9\""
        );
        assert_eq!(
            mistake("bind = 5"),
            "my.toml:1:8: `bind = 5`: \
             expected addresses such as \"127.0.0.1 -::1\" or [\"127.0.0.1\", \"-::1\"]"
        );
    }

    #[test]
    fn key_used_as_a_table_is_told_what_it_takes() {
        for (text, place) in [("port.x = 1", "1:1"), ("[port]\nx = 1", "1:1")] {
            let right = "`port` takes a number, as in `port = 6379`";
            assert_eq!(mistake(text), format!("my.toml:{place}: {right}"));
        }
    }

    #[test]
    fn class_of_output_limits_set_twice_is_refused() {
        let once = "client-output-buffer-limit = \"normal 0 0 0 pubsub 0 0 0 replica 0 0 0\"";
        config(once);
        for (first, second) in [("normal", "Normal"), ("replica", "slave")] {
            let line = format!("client-output-buffer-limit = \"{first} 0 0 0 {second} 0 0 0\"");
            let mistake = mistake(&line);
            let problem = format!("class `{first}` is set twice, expected each class once");
            assert!(mistake.ends_with(&problem), "{mistake}");
        }
    }

    #[test]
    fn mistake_in_an_array_is_found_in_its_line() {
        let beginning = "my.toml:3:3: `bind`: `localhost` is not an IP address, expected";
        let text = "bind = [\n  \"127.0.0.1\",\n  \"localhost\",\n]";
        assert!(mistake(text).starts_with(beginning), "{}", mistake(text));

        let text = "latency-tracking-info-percentiles = [\n  50,\n  101,\n]";
        assert_eq!(
            mistake(text),
            "my.toml:3:3: `latency-tracking-info-percentiles`: `101` is not a percentile, \
             expected a number from 0 to 100"
        );
    }

    #[test]
    fn ranges_may_end_at_the_limits_of_64_bits() {
        let threshold = |text: &str| config(text).slowlog_log_slower_than_us;
        assert_eq!(threshold("slowlog-log-slower-than = -1"), -1);
        let largest = "slowlog-log-slower-than = 9223372036854775807";
        assert_eq!(threshold(largest), i64::MAX);
        let expected = "a whole number of microseconds from -1 to 9223372036854775807";
        assert!(mistake("slowlog-log-slower-than = -2").ends_with(expected));
        let largest = config("latency-monitor-threshold = 9223372036854775807");
        assert_eq!(largest.latency_monitor_threshold_ms, i64::MAX as u64);
        let expected = "a whole number of milliseconds from 0 to 9223372036854775807";
        assert!(mistake("latency-monitor-threshold = -1").ends_with(expected));
    }

    #[test]
    fn no_address_at_all_is_a_mistake() {
        for line in ["bind = []", "bind = \"\""] {
            let problem = "0 addresses, expected 1 to 16";
            assert_eq!(mistake(line), format!("my.toml:1:8: `{line}`: {problem}"));
        }
    }

    #[test]
    fn unknown_key_similar_to_a_key_gets_a_suggestion() {
        for (key, right) in [
            ("prot", "port"),
            ("Port", "port"),
            ("tcp_backlog", "tcp-backlog"),
            ("max-clients", "maxclients"),
            ("log-level", "loglevel"),
        ] {
            assert_eq!(
                mistake(format!("# first\n{key} = 1")),
                format!("my.toml:2:1: unknown key `{key}`, did you mean `{right}`?")
            );
        }
    }

    #[test]
    fn unknown_key_unlike_any_points_to_the_manual() {
        for text in [
            "[server]",
            "hunter2 = 1",
            "[a]",
            "a.b.requirepass = \"x\"",
            "b = 1",
        ] {
            let mistake = mistake(text);
            let problem = "unknown key; config/respool.toml and `respool --help` list all keys";
            assert!(mistake.contains(problem), "{mistake}");
            assert!(mistake.len() < 200 && !mistake.contains("hunter2"));
        }
    }

    #[test]
    fn first_of_two_unknown_keys_is_named() {
        assert!(mistake("zzz = 1\naaa = 2").starts_with("my.toml:1:1: "));
    }

    #[test]
    fn key_set_twice_is_reported_at_the_second_place() {
        assert_eq!(
            mistake("port = 1\nport = 2"),
            "my.toml:2:1: `port` is set twice, expected each key once"
        );
    }

    #[test]
    fn value_that_is_not_toml_names_what_the_key_takes() {
        for (text, place, right) in [
            (
                "loglevel = notice",
                "1:12",
                "`loglevel` takes text in quotes, as in `loglevel = \"notice\"`",
            ),
            (
                "protected-mode = yes",
                "1:18",
                "`protected-mode` takes true or false, or \"yes\" or \"no\" in quotes, \
                 as in `protected-mode = true`",
            ),
            (
                "port =",
                "1:7",
                "`port` takes a number, as in `port = 6379`",
            ),
            (
                "\"port\" = 7x",
                "1:10",
                "`port` takes a number, as in `port = 6379`",
            ),
            (
                "bind = 127.0.0.1",
                "1:13",
                "`bind` takes texts in quotes, as in `bind = [\"127.0.0.1\", \"-::1\"]`",
            ),
            (
                "requirepass = \"a",
                "1:17",
                "`requirepass` takes text in quotes, as in `requirepass = \"...\"`",
            ),
        ] {
            assert_eq!(mistake(text), format!("my.toml:{place}: not TOML: {right}"));
        }
        let mistake = mistake("= 7");
        assert!(mistake.starts_with("my.toml:1:1: not TOML ("), "{mistake}");
        assert!(
            mistake.ends_with("expected lines such as `port = 6379` or `loglevel = \"notice\"`")
        );
    }

    #[test]
    fn redis_conf_is_recognised_and_translated() {
        let text = "# Redis configuration file example\n\nbind 127.0.0.1 -::1\n\
                    requirepass hunter2\nprotected-mode yes\nlogfile \"\"\nport 7000\n";
        let problem = "this line has the format of redis.conf, but the file must be TOML \
                       (`key = value`, with texts in quotes): write";
        let end = "config/respool.toml has every key";
        let right = "`bind = [\"127.0.0.1\", \"-::1\"]`, `protected-mode = true`, `logfile = \"\"`";
        assert_eq!(
            mistake(text),
            format!("my.toml:3:6: {problem} {right}; {end}")
        );
        for (text, right) in [
            ("port 7", "`port = 7`"),
            ("requirepass hunter2", "`port = 6379`"),
            ("save 900 1\nloglevel notice hunter2", "`port = 6379`"),
            ("rename-command CONFIG \"\"\ntimeout 5", "`timeout = 5`"),
        ] {
            let mistake = mistake(text);
            let part = format!(": {problem} {right}; {end}");
            assert!(mistake.ends_with(&part), "{mistake}");
        }
    }

    #[test]
    fn yaml_is_translated_and_words_get_quotes() {
        let problem = "this line has the format of YAML, but the file must be TOML \
                       (`key = value`, with texts in quotes): write";
        let end = "config/respool.toml has every key";
        for (text, right) in [
            ("port: 7000", "`port = 7000`"),
            ("port:7000", "`port = 7000`"),
        ] {
            let mistake = mistake(text);
            let right = format!(": {problem} {right}; {end}");
            assert!(mistake.ends_with(&right), "{mistake}");
        }
        for text in ["requirepass: hunter2", "requirepass:hunter2"] {
            let mistake = mistake(text);
            assert!(mistake.contains("write `port = 6379`"), "{mistake}");
        }
        assert_eq!(
            mistake("daemonize = yes"),
            "my.toml:1:13: not TOML: put the value in quotes, as in `loglevel = \"notice\"`"
        );
    }

    /// Spoils lines that hold a password by one character, at each place and in many ways.
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
                if let Err(mistake) = parse(text.as_bytes()) {
                    let error = mistake.locate(Path::new("my.toml"), text.as_bytes());
                    let shown = format!("{error} {error:?}");
                    assert!(!shown.contains("Q7q"), "{text:?}: {shown}");
                }
            }
        }
    }

    #[test]
    fn password_without_quotes_is_not_shown() {
        for value in [
            "70707070",
            "7.0707070",
            "-70707070",
            "70707070707070707070",
            "true",
            "2024-07-07",
        ] {
            let right = "expected text in quotes, as in `requirepass = \"...\"`";
            let text = format!("requirepass = {value}");
            assert_eq!(
                mistake(text),
                format!("my.toml:1:15: `requirepass`: {right}")
            );
        }
    }

    #[test]
    fn file_that_is_not_utf_8_is_named_with_the_place() {
        assert_eq!(
            mistake(b"port = 1\nlogfile = \"\xff\""),
            "my.toml:2:12: not UTF-8, expected a text file"
        );
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        assert!(mistake("logfile = \"ä\" x").starts_with("my.toml:1:15: "));
    }

    #[test]
    fn excerpt_is_cut_and_has_no_control_characters() {
        let fits = "x".repeat(EXCERPT_CHARS_MAX);
        assert_eq!(excerpt(&fits), fits);
        assert_eq!(excerpt(&format!("{fits}x")), format!("{fits}…"));
        assert_eq!(excerpt("a\x1b[31mb\r"), "a\u{fffd}[31mb");
    }

    /// Regression, found while the fuzzer was written: an error showed an unknown key as it was,
    /// with control characters, and up to the whole file.
    #[test]
    fn quotes_in_errors_are_cut_and_have_no_control_characters() {
        let hidden = "my.toml:1:1: unknown key `p\u{fffd}t`, did you mean `port`?";
        assert_eq!(mistake("\"p\\u001bt\" = 1"), hidden);
        let long = "x".repeat(100_000);
        for text in [
            format!("{long} = 1"),
            format!("bind = \"{long}\""),
            format!("port = \"{long}\""),
        ] {
            let mistake = mistake(&text);
            assert!(mistake.chars().count() < 600, "{mistake}");
        }
    }

    const MANUAL: &str = include_str!("../../../config/respool.toml");
}
