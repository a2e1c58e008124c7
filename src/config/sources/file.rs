//! A configuration file: its text becomes [`Settings`], or an error that shows the mistake.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::de::{self, DeTable, Deserializer};

use super::forms;
use super::notation::Form;
use crate::config::settings::Settings;
use crate::config::{Config, KEYS};

/// Why there is no configuration. The operator is to blame; the text says what to change.
///
/// Needs the feature `cli`, which is on by default.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// The file as it was named.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file says something that it must not.
    #[error("{}:{line}:{column}: `{text}`: {problem}", file.display())]
    Mistake {
        /// The file as it was named.
        file: PathBuf,
        /// The line of the mistake, from 1.
        line: usize,
        /// The first character of the mistake in its line, from 1.
        column: usize,
        /// What stands in that line, cut if it is long.
        text: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl Config {
    /// Reads a file of the keys that `config/respool.toml` explains; a key that it leaves out has
    /// its default. Needs the feature `cli`.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or says something that it must not.
    pub fn from_file(file: &Path) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        read(file)?.apply_to(&mut config);
        Ok(config)
    }

    /// As [`from_file`](Self::from_file), of a file with these bytes.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn from_bytes(file: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        settings(file, bytes)?.apply_to(&mut config);
        Ok(config)
    }

    /// The keys whose values are not those of `other`, each with its value as a file writes it.
    /// Needs the feature `cli`.
    pub fn differences(&self, other: &Self) -> impl Iterator<Item = (&'static str, String)> {
        forms()
            .filter(|(key, _)| !key.is_same(self, other))
            .map(|(key, form)| (key.name, in_toml(form, &key.text(self))))
    }
}

/// What stands behind the `=` of a key whose value has this text.
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
    let bytes = read_bytes(file).map_err(|source| ConfigError::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    settings(file, &bytes)
}

fn settings(file: &Path, bytes: &[u8]) -> Result<Settings, ConfigError> {
    parse(bytes).map_err(|mistake| mistake.locate(file, bytes))
}

fn read_bytes(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let problem = format!("longer than {FILE_BYTES_MAX} bytes, which no configuration is");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// Text to settings. Values are judged while they are deserialized, because only then are their
/// places in the text known.
fn parse(bytes: &[u8]) -> Result<Settings, Mistake> {
    let text = str::from_utf8(bytes).map_err(|error| Mistake {
        offset: error.valid_up_to(),
        problem: "not UTF-8, expected a text file".into(),
    })?;
    let table = DeTable::parse(text).map_err(|error| not_toml(&error))?;
    refuse_unknown_keys(table.get_ref())?;
    Settings::deserialize(Deserializer::from(table)).map_err(|error| Mistake {
        offset: start_of(&error),
        problem: error.message().to_owned(),
    })
}

/// Says more than the parser, for whom the `notice` of `loglevel = notice` is an "invalid float".
fn not_toml(error: &de::Error) -> Mistake {
    let problem = match error.message() {
        "duplicate key" => "the key stands there twice, expected each key once".into(),
        message => format!(
            "not TOML ({}), expected lines such as `port = 6379` or `loglevel = \"notice\"`",
            message.replace('\n', ", ")
        ),
    };
    Mistake {
        offset: start_of(error),
        problem,
    }
}

fn start_of(error: &de::Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

/// Finds the first unknown key before serde does, to name its nearest neighbour.
fn refuse_unknown_keys(table: &DeTable) -> Result<(), Mistake> {
    let unknown = table
        .keys()
        .filter(|key| KEYS.iter().all(|known| known.name != key.get_ref()));
    let Some(first) = unknown.min_by_key(|key| key.span().start) else {
        return Ok(());
    };
    let right = if let Some(key) = nearest(first.get_ref()) {
        format!("did you mean `{key}`?")
    } else {
        let keys: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        format!("expected one of {}", keys.join(", "))
    };
    Err(Mistake {
        offset: first.span().start,
        problem: format!("unknown key `{}`, {right}", first.get_ref()),
    })
}

/// The key that looks most like `word`, if one does, by the measure with which clap finds the
/// nearest flag.
fn nearest(word: &str) -> Option<&'static str> {
    KEYS.iter()
        .map(|key| (strsim::jaro(word, key.name), key.name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, key)| key)
}

/// A mistake in a text, `offset` bytes from its start.
struct Mistake {
    offset: usize,
    problem: String,
}

impl Mistake {
    /// Turns the offset into what an editor shows: the line, the column and what stands there.
    fn locate(self, file: &Path, bytes: &[u8]) -> ConfigError {
        let is_newline = |byte: &u8| *byte == b'\n';
        let before = &bytes[..self.offset.min(bytes.len())];
        let line_start = before.iter().rposition(is_newline).map_or(0, |at| at + 1);
        let line = bytes[line_start..]
            .split(is_newline)
            .next()
            .unwrap_or_default();
        let line_before = String::from_utf8_lossy(&before[line_start..]);
        ConfigError::Mistake {
            file: file.to_owned(),
            line: 1 + before.iter().filter(|byte| is_newline(byte)).count(),
            column: 1 + line_before.chars().count(),
            text: excerpt(&String::from_utf8_lossy(line)),
            problem: in_few_words(&self.problem),
        }
    }
}

/// A line as an error can show it: of bounded length and without control characters.
fn excerpt(line: &str) -> String {
    let mut chars = line.trim().chars().map(visible);
    let mut shown: String = chars.by_ref().take(EXCERPT_CHARS_MAX).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// A problem likewise, however long the words of the file are that it quotes. They stand in its
/// middle; the end says what would be right.
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

/// The longest file that is read, hundreds of times the manual; a longer one was named by mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The longest line that an error shows.
const EXCERPT_CHARS_MAX: usize = 80;

/// The longest problem that an error shows: the list of keys takes two thirds of it.
const PROBLEM_CHARS_MAX: usize = 1000;

/// How much of it stands before what is left out.
const PROBLEM_CHARS_BEFORE_CUT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let mut config = Config::default();
        parse(text.as_bytes())
            .ok()
            .expect("a file without mistakes")
            .apply_to(&mut config);
        config
    }

    /// What the operator reads about the mistake in a file `my.toml`.
    fn mistake(text: impl AsRef<[u8]>) -> String {
        let text = text.as_ref();
        let mistake = parse(text).expect_err("a file with a mistake");
        mistake.locate(Path::new("my.toml"), text).to_string()
    }

    #[test]
    fn the_manual_loads_to_exactly_the_defaults() {
        assert_eq!(config(MANUAL), Config::default());
    }

    #[test]
    fn the_manual_has_every_key_and_no_other() {
        let table: toml::Table = MANUAL.parse().unwrap();
        let mut keys: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        keys.sort_unstable();
        assert_eq!(table.keys().collect::<Vec<_>>(), keys);
    }

    #[test]
    fn an_empty_file_leaves_every_default() {
        assert_eq!(config(""), Config::default());
    }

    #[test]
    fn every_key_reaches_its_field() {
        let text = r#"
            workers = 3
            bind = "* -::1"
            port = 7000
            maxclients = 5
            maxclients-per-address = 2
            protected-mode = "no"
            timeout = 60
            first-byte-timeout = 1
            request-timeout = 2
            write-timeout = 3
            pending-output-timeout = 4
            pending-output-per-client = "1mb"
            pending-output-total = "1gb"
            tcp-backlog = 128
            tcp-keepalive = 0
            proto-max-bulk-len = "1mb"
            client-query-buffer-limit = "1mb"
            client-output-buffer-limit = "normal 1kb 2 3"
            maxmemory-clients = "1gb"
            drain-timeout-ms = 0
            loglevel = "warning"
            logfile = "respool.log"
            requirepass = "secret"
            slowlog-log-slower-than = -1
            slowlog-max-len = 0
            latency-tracking = false
            latency-tracking-info-percentiles = [50, 99.99]
            latency-monitor-threshold = 100
            enable-debug-command = "local"
        "#;
        let expected = Config {
            workers: 3,
            bind: vec!["*".parse().unwrap(), "-::1".parse().unwrap()],
            port: 7000,
            maxclients: 5,
            maxclients_per_address: 2,
            protected_mode: false,
            timeout_s: 60,
            first_byte_timeout_s: 1,
            request_timeout_s: 2,
            write_timeout_s: 3,
            pending_output_timeout_s: 4,
            pending_output_per_client: 1 << 20,
            pending_output_total: 1 << 30,
            tcp_backlog: 128,
            tcp_keepalive_s: 0,
            proto_max_bulk_len: 1 << 20,
            client_query_buffer_limit: 1 << 20,
            client_output_buffer_limit: "normal 1kb 2 3".parse().unwrap(),
            maxmemory_clients: 1 << 30,
            drain_timeout_ms: 0,
            loglevel: "warning".parse().unwrap(),
            logfile: Some("respool.log".into()),
            requirepass: Some("secret".into()),
            slowlog_log_slower_than_us: -1,
            slowlog_max_len: 0,
            latency_tracking: false,
            latency_tracking_info_percentiles: vec![
                50.0.try_into().unwrap(),
                99.99.try_into().unwrap(),
            ],
            latency_monitor_threshold_ms: 100,
            enable_debug_command: "local".parse().unwrap(),
        };
        assert_eq!(config(text), expected);

        // And every field writes its key.
        let differences: Vec<_> = expected.differences(&Config::default()).collect();
        let names: Vec<_> = differences.iter().map(|(key, _)| *key).collect();
        assert_eq!(names, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
        let written: Vec<_> = differences
            .iter()
            .map(|(key, value)| format!("{key} = {value}"))
            .collect();
        assert_eq!(config(&written.join("\n")), expected);
    }

    #[test]
    fn a_value_is_written_as_in_the_manual() {
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
    fn any_text_is_read_as_it_is_written() {
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
    fn a_password_has_a_length_and_is_none_when_empty() {
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
    fn addresses_are_a_string_or_an_array_and_bytes_a_string_or_an_integer() {
        assert_eq!(
            config(r#"bind = "::1 *""#),
            config(r#"bind = ["::1", "*"]"#)
        );
        assert_eq!(
            config(r#"proto-max-bulk-len = "1kb""#),
            config("proto-max-bulk-len = 1024")
        );
    }

    /// What one below and one above the range of a key are told, and that its ends are taken.
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
    fn a_value_of_the_wrong_type_is_told_the_right_one() {
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
            "my.toml:1:11: `logfile = 5`: invalid type: integer `5`, expected a string"
        );
        assert_eq!(
            mistake("latency-tracking = 1"),
            "my.toml:1:20: `latency-tracking = 1`: invalid type: integer `1`, \
             expected true or false, or \"yes\" or \"no\""
        );
        assert_eq!(
            mistake("latency-tracking-info-percentiles = true"),
            "my.toml:1:37: `latency-tracking-info-percentiles = true`: \
             invalid type: boolean `true`, expected numbers such as [50, 99.9] or \"50 99.9\""
        );
        assert_eq!(
            mistake("bind = 5"),
            "my.toml:1:8: `bind = 5`: invalid type: integer `5`, \
             expected addresses such as \"127.0.0.1 -::1\" or [\"127.0.0.1\", \"-::1\"]"
        );
    }

    #[test]
    fn a_mistake_in_an_array_is_found_in_its_line() {
        let beginning = "my.toml:3:3: `\"localhost\",`: `localhost` is not an IP address, expected";
        let text = "bind = [\n  \"127.0.0.1\",\n  \"localhost\",\n]";
        assert!(mistake(text).starts_with(beginning), "{}", mistake(text));

        let text = "latency-tracking-info-percentiles = [\n  50,\n  101,\n]";
        assert_eq!(
            mistake(text),
            "my.toml:3:3: `101,`: `101` is not a percentile, expected a number from 0 to 100"
        );
    }

    #[test]
    fn the_ends_of_64_bits_are_the_ends_of_a_range_too() {
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
    fn an_unknown_key_near_a_known_one_gets_a_suggestion() {
        for (key, right) in [
            ("prot", "port"),
            ("Port", "port"),
            ("tcp_backlog", "tcp-backlog"),
            ("max-clients", "maxclients"),
            ("log-level", "loglevel"),
        ] {
            assert_eq!(
                mistake(format!("# first\n{key} = 1")),
                format!("my.toml:2:1: `{key} = 1`: unknown key `{key}`, did you mean `{right}`?")
            );
        }
    }

    #[test]
    fn an_unknown_key_far_from_all_gets_the_list() {
        assert_eq!(
            mistake("[server]"),
            "my.toml:1:2: `[server]`: unknown key `server`, expected one of workers, bind, \
             port, maxclients, maxclients-per-address, protected-mode, timeout, \
             first-byte-timeout, request-timeout, write-timeout, pending-output-timeout, \
             tcp-backlog, tcp-keepalive, proto-max-bulk-len, client-query-buffer-limit, \
             pending-output-per-client, pending-output-total, client-output-buffer-limit, \
             maxmemory-clients, drain-timeout-ms, loglevel, logfile, requirepass, \
             slowlog-log-slower-than, slowlog-max-len, latency-tracking, \
             latency-tracking-info-percentiles, latency-monitor-threshold, \
             enable-debug-command"
        );
    }

    #[test]
    fn of_two_unknown_keys_the_first_in_the_file_is_named() {
        assert!(mistake("zzz = 1\naaa = 2").starts_with("my.toml:1:1: "));
    }

    #[test]
    fn a_key_that_stands_there_twice_is_shown_the_second_time() {
        assert_eq!(
            mistake("port = 1\nport = 2"),
            "my.toml:2:1: `port = 2`: the key stands there twice, expected each key once"
        );
    }

    #[test]
    fn what_is_not_toml_is_shown_beside_what_is() {
        for (text, place) in [
            ("loglevel = notice", "1:12"),
            ("port 7", "1:6"),
            ("port =", "1:7"),
        ] {
            let mistake = mistake(text);
            assert!(mistake.starts_with(&format!("my.toml:{place}: `{text}`: not TOML")));
            assert!(
                mistake
                    .ends_with("expected lines such as `port = 6379` or `loglevel = \"notice\"`")
            );
        }
    }

    #[test]
    fn what_is_not_utf_8_is_found_and_shown() {
        assert_eq!(
            mistake(b"port = 1\nlogfile = \"\xff\""),
            "my.toml:2:12: `logfile = \"\u{fffd}\"`: not UTF-8, expected a text file"
        );
    }

    #[test]
    fn a_column_counts_characters_not_bytes() {
        assert!(mistake("logfile = \"ä\" x").starts_with("my.toml:1:15: "));
    }

    #[test]
    fn a_long_line_is_cut_and_control_characters_are_hidden() {
        let fits = "x".repeat(EXCERPT_CHARS_MAX);
        assert_eq!(excerpt(&fits), fits);
        assert_eq!(excerpt(&format!("{fits}x")), format!("{fits}…"));
        assert_eq!(excerpt("a\x1b[31mb\r"), "a\u{fffd}[31mb");
    }

    /// Foreseen while the fuzzer was written: an unknown key was shown as it is, whatever it did to
    /// the operator's terminal, up to the whole file.
    #[test]
    fn what_a_problem_quotes_is_cut_and_has_no_control_characters() {
        let hidden =
            "my.toml:1:1: `\"p\\u001bt\" = 1`: unknown key `p\u{fffd}t`, did you mean `port`?";
        assert_eq!(mistake("\"p\\u001bt\" = 1"), hidden);
        let long = "x".repeat(100_000);
        for text in [
            format!("{long} = 1"),
            format!("bind = \"{long}\""),
            format!("port = \"{long}\""),
        ] {
            let mistake = mistake(&text);
            assert!(mistake.chars().count() < 1200, "{mistake}");
        }
        let mistake = mistake(format!("{long} = 1"));
        assert!(mistake.contains("xx…xx"), "{mistake}");
        assert!(
            mistake.ends_with("latency-monitor-threshold, enable-debug-command"),
            "{mistake}"
        );
    }

    const MANUAL: &str = include_str!("../../../config/respool.toml");
}
