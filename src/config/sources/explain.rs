//! Explains the mistakes in a file: text that is not TOML, unknown keys and wrong values.
//!
//! An error has the position of the mistake and what would be right. It shows no line of the file,
//! because the line may contain a password. It quotes a value only if its key is known and not
//! secret.

use std::ops::Range;

use toml::de::{self, DeTable, DeValue};

use super::differences::in_toml;
use super::mistake::Mistake;
use super::nearest::{may_show, nearest};
use super::notation::{Form, WrongValue};
use super::settings::find_key;
use crate::config::directive::without_effect;
use crate::config::excerpt::excerpt;
use crate::config::unsupported::Unsupported;
use crate::config::{Config, Key};

/// Explains a text that is not TOML: by the key of the line if it is known, otherwise by the
/// parser's message, which quotes nothing of the text.
pub(super) fn not_toml(text: &str, error: &de::Error) -> Mistake {
    let offset = error.span().map_or(0, |span| span.start);
    let (start, line) = line_at(text, offset);
    let message = &*error.message().replace('\n', ", ");
    let problem = match (message, key_of(line)) {
        ("duplicate key", Some((key, _))) => {
            format!("`{}` is set twice, expected each key once", key.name)
        }
        ("duplicate key", None) => "a key is set twice, expected each key once".into(),
        _ if is_of_redis_conf(line) => of_redis_conf(text, "redis.conf"),
        _ if after_name(line).is_some_and(|rest| rest.starts_with(':')) => {
            of_redis_conf(text, "YAML")
        }
        // Only an array has several lines.
        _ if is_right(line) && !is_right(&text[..start]) => {
            "not TOML: a `[` before this line has no `]`".into()
        }
        (message, Some((key, form))) if is_begun_rightly(line, message) => {
            format!("not TOML ({message}): {}", right_value(key, form))
        }
        (_, Some((key, form))) => format!("not TOML: {}", right_value(key, form)),
        _ if lacks_quotes(line) => {
            "not TOML: put the value in quotes, as in `loglevel = \"notice\"`".into()
        }
        (message, None) => format!(
            "not TOML ({message}), expected lines such as `port = 6379` or `loglevel = \"notice\"`"
        ),
    };
    Mistake { offset, problem }
}

/// Explains a value of the key `name` that the key does not take. The value is at `span`.
pub(super) fn wrong_value(
    text: &str,
    name: &str,
    span: Range<usize>,
    wrong: WrongValue,
) -> Mistake {
    let before = text.get(..span.start).unwrap_or_default();
    let is_item = wrong.item.is_some();
    let span = wrong.item.unwrap_or(span);
    let quoted = text.get(span.clone()).unwrap_or_default();
    // A table has the span of its key, as in `port.x = 1` and `[port]`. A text of several lines may
    // be the result of a missing quote.
    let is_quotable = before.trim_end().ends_with('=') && !quoted.contains('\n');
    let problem = match find_key(name) {
        None => "the key does not take this value; config/respool.toml explains it".into(),
        Some((key, form)) => {
            let right = right_value(key, form);
            let reason = wrong.reason.as_ref().unwrap_or(&right);
            match key.secret {
                // The reasons of a secret quote nothing.
                true => format!("`{name}`: {reason}"),
                false if !is_quotable => right,
                false if is_item => format!("`{name}`: {reason}"),
                false => format!("`{name} = {}`: {reason}", excerpt(quoted)),
            }
        }
    };
    Mistake {
        offset: span.start,
        problem,
    }
}

/// Returns what a key takes, with its default as an example.
fn right_value(key: &Key, form: Form) -> String {
    let takes = match form {
        Form::Number => "a number",
        Form::Bytes => "a number, or one with a unit in quotes (\"1mb\")",
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
    let (key, form) = find_key(&name.to_ascii_lowercase())?;
    let value = value.trim().trim_matches('"');
    if key.secret || (!form.is_list() && value.contains(char::is_whitespace)) {
        return None;
    }
    let mut config = Config::default();
    key.set(&mut config, value).ok()?;
    let value = excerpt(&in_toml(form, &key.text(&config)));
    Some(format!("`{} = {value}`", key.name))
}

/// Returns whether a part of a file is TOML by itself.
fn is_right(text: &str) -> bool {
    DeTable::parse(text).is_ok()
}

/// Returns whether the mistake is after a value, or in one that begins as text or as an array: then
/// the parser's message says more than what the key takes.
fn is_begun_rightly(line: &str, message: &str) -> bool {
    let value = line.split_once('=').map_or("", |(_, value)| value);
    value.trim_start().starts_with(['"', '\'', '['])
        || message.starts_with("unexpected key or value")
}

/// Returns the start of the line of `text` with the byte at `offset`, and the line, trimmed.
fn line_at(text: &str, offset: usize) -> (usize, &str) {
    let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let end = after.find('\n').map_or(text.len(), |at| before.len() + at);
    (start, text[start..end].trim())
}

/// Returns the key at the beginning of a line, if it is known.
fn key_of(line: &str) -> Option<(&'static Key, Form)> {
    let ends = |c: char| c == '=' || c.is_whitespace();
    let name = line.split(ends).next()?;
    find_key(name.trim_matches(['"', '\'', '[', ']']))
}

/// Finds the first key that is unknown or that the server cannot honour. Suggests the key with the
/// most similar name.
pub(super) fn refuse_unknown_keys(table: &DeTable) -> Result<(), Mistake> {
    let refused = table.iter().filter_map(|(key, value)| {
        let problem = match (find_key(key.get_ref()), unsupported(key.get_ref())) {
            (Some(_), _) => return None,
            (None, Some(row)) => check_unsupported(row, value.get_ref()).err()?,
            (None, None) => of_unknown_key(key.get_ref()),
        };
        let offset = key.span().start;
        Some(Mistake { offset, problem })
    });
    match refused.min_by_key(|mistake| mistake.offset) {
        Some(first) => Err(first),
        None => Ok(()),
    }
}

/// Returns the directive of Redis with this name that the server cannot honour.
fn unsupported(name: &str) -> Option<&'static Unsupported> {
    Unsupported::find(name.as_bytes()).filter(|row| row.name == name)
}

/// Returns an error unless the value asks for nothing.
fn check_unsupported(row: &Unsupported, value: &DeValue<'_>) -> Result<(), String> {
    let checked = match value {
        DeValue::String(text) => row.check(text),
        DeValue::Boolean(yes) => row.check(if *yes { "yes" } else { "no" }),
        _ => Err(row.reason),
    };
    checked.map_err(|reason| format!("`{}` cannot be set: {reason}", row.name))
}

/// Returns the error about an unknown key, with the most similar one.
fn of_unknown_key(name: &str) -> String {
    if let Some(name) = without_effect(name) {
        return format!("`{name}` cannot be set: it has no effect here; leave it out");
    }
    match nearest(name) {
        Some(key) if may_show(name, key) => {
            let wrong = excerpt(name);
            format!("unknown key `{wrong}`, did you mean `{}`?", key.name)
        }
        Some(key) => format!("unknown key, did you mean `{}`?", key.name),
        // The position in the file identifies it.
        None => "unknown key; config/respool.toml and `respool --help` list all keys".into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::sources::tests::mistake;

    #[test]
    fn key_used_as_a_table_names_what_it_takes() {
        for (text, place) in [("port.x = 1", "1:1"), ("[port]\nx = 1", "1:1")] {
            let right = "`port` takes a number, as in `port = 6379`";
            assert_eq!(mistake(text), format!("my.toml:{place}: {right}"));
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
    fn directive_of_redis_without_effect_is_to_be_left_out() {
        for key in ["save", "maxmemory", "slave-read-only", "databases"] {
            assert_eq!(
                mistake(format!("port = 1\n{key} = \"x\"")),
                format!("my.toml:2:1: `{key}` cannot be set: it has no effect here; leave it out")
            );
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
                "proto-max-bulk-len = 512mb",
                "1:22",
                "`proto-max-bulk-len` takes a number, or one with a unit in quotes (\"1mb\"), \
                 as in `proto-max-bulk-len = 536870912`",
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
        ] {
            assert_eq!(mistake(text), format!("my.toml:{place}: not TOML: {right}"));
        }
        let mistake = mistake("= 7");
        assert!(mistake.starts_with("my.toml:1:1: not TOML ("), "{mistake}");
        assert!(
            mistake.ends_with("expected lines such as `port = 6379` or `loglevel = \"notice\"`")
        );
    }

    /// The parser notices the mistake in a later line, which is right.
    #[test]
    fn line_after_an_open_bracket_is_not_blamed() {
        for (text, place) in [
            ("bind = [\"127.0.0.1\"\nmaxclients = 3", "2:1"),
            ("bind = [\n\"127.0.0.1\",\n# more\nlogfile = \"\"\n", "4:9"),
        ] {
            let problem = "not TOML: a `[` before this line has no `]`";
            assert_eq!(mistake(text), format!("my.toml:{place}: {problem}"));
        }
    }

    #[test]
    fn value_that_is_begun_rightly_says_what_follows_wrongly() {
        for (text, place, problem) in [
            (
                "loglevel = \"notice",
                "1:19",
                "invalid basic string, expected `\"`",
            ),
            (
                "requirepass = \"a",
                "1:17",
                "invalid basic string, expected `\"`",
            ),
            ("bind = [\"::1\"", "1:14", "unclosed array, expected `]`"),
            (
                "bind = [\"::1\" \"*\"]",
                "1:15",
                "missing comma between array elements, expected `,`",
            ),
            (
                "port=1 loglevel=\"notice\"",
                "1:16",
                "unexpected key or value, expected newline, `#`",
            ),
        ] {
            let beginning = format!("my.toml:{place}: not TOML ({problem}): `");
            let mistake = mistake(text);
            assert!(mistake.starts_with(&beginning), "{mistake}");
            assert!(mistake.contains("` takes "), "{mistake}");
        }
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
}
