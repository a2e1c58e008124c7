//! The lines of the log in each `log-format`, and with the priorities that systemd's journal reads.

use std::fmt::{self, Arguments, Write};
use std::thread;

use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::RwLock;
use simplelog::{Config, ConfigBuilder, WriteLogger};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use respool::config::LogFormat;

use super::writer::{Queue, WholeLines};

/// How lines look.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) format: LogFormat,
    /// Whether a line begins with its priority, and a line of text has no time: the journal has it.
    pub(super) is_for_journal: bool,
}

/// The program's logger: adds the lines of respool to the queue.
pub(super) struct Lines {
    style: &'static RwLock<Style>,
    queue: &'static Queue,
    simplelog: WriteLogger<WholeLines>,
}

impl Lines {
    pub(super) fn new(style: &'static RwLock<Style>, queue: &'static Queue) -> Self {
        let whole_lines = WholeLines::new(queue);
        Self {
            style,
            queue,
            // A logger's level is fixed, so `log::set_max_level` decides instead.
            simplelog: *WriteLogger::new(LevelFilter::Trace, simplelog_config(), whole_lines),
        }
    }
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // mio logs a line for each socket.
        metadata.target().starts_with("respool")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // Until the line is in the queue, so that `switch_to` keeps two styles apart.
        let style = self.style.read();
        let level = record.level();
        let line = match (style.format, style.is_for_journal) {
            (LogFormat::Text, false) => return log_text(&self.simplelog, record),
            (LogFormat::Text, true) => for_journal(level, &record.args().to_string()),
            (LogFormat::Json, false) => json(level, record.args()),
            (LogFormat::Json, true) => for_journal(level, &json(level, record.args())),
        };
        self.queue.push_lines(line.as_bytes());
    }

    fn flush(&self) {}
}

/// The time in UTC by RFC 3339, in a fixed width.
const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Returns the format of a line of text: the time, and the text that [`log_text`] makes.
fn simplelog_config() -> Config {
    ConfigBuilder::new()
        .set_time_format_custom(TIME)
        // `Off` leaves a part out of the line; `log_text` adds the level.
        .set_max_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .build()
}

/// Passes the record to simplelog with the name of its level, which simplelog does not have.
fn log_text(simplelog: &impl Log, record: &Record<'_>) {
    let name = redis_name(record.level());
    let mut line = Record::builder();
    line.metadata(record.metadata().clone());
    // One expression, because the text borrows its parts.
    simplelog.log(
        &line
            .args(format_args!("[{name}] {}", record.args()))
            .build(),
    );
}

/// Returns the name of a level in a line of text: the quietest `loglevel` that still logs it.
fn redis_name(level: Level) -> &'static str {
    match level {
        Level::Error | Level::Warn => "warning",
        Level::Info => "notice",
        Level::Debug => "verbose",
        Level::Trace => "debug",
    }
}

/// Returns `lines` with the priority of `level` before each: the journal makes an entry of each
/// line, and one without a priority would get another.
fn for_journal(level: Level, lines: &str) -> String {
    let priority = match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<5>",
        Level::Debug => "<6>",
        Level::Trace => "<7>",
    };
    let lines = lines.lines();
    lines.flat_map(|line| [priority, line, "\n"]).collect()
}

/// Returns a line that is a JSON object. The names of levels are those that collectors of logs
/// know: to Redis, `notice` is the usual level and `debug` the noisiest.
fn json(level: Level, message: &Arguments<'_>) -> String {
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    // It fails only for a year of more than four digits.
    let time = OffsetDateTime::now_utc().format(TIME).unwrap_or_default();
    let thread = thread::current();
    let thread = Json(thread.name().unwrap_or_default());
    let message = Json(message);
    format!(
        "{{\"time\":\"{time}\",\"level\":\"{level}\",\"thread\":{thread},\"message\":{message}}}\n"
    )
}

/// A string of JSON, in quotes.
struct Json<T>(T);

impl<T: fmt::Display> fmt::Display for Json<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_char('"')?;
        write!(Escaping(formatter), "{}", self.0)?;
        formatter.write_char('"')
    }
}

/// Escapes what JSON requires, and all control characters, which a terminal could act upon.
struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(must_be_escaped) {
            let plain = part.trim_end_matches(must_be_escaped);
            self.0.write_str(plain)?;
            match part[plain.len()..].chars().next() {
                None => {}
                Some(quote @ ('"' | '\\')) => write!(self.0, "\\{quote}")?,
                Some('\n') => self.0.write_str("\\n")?,
                Some('\r') => self.0.write_str("\\r")?,
                Some('\t') => self.0.write_str("\\t")?,
                // Control characters have one unit of UTF-16.
                Some(control) => write!(self.0, "\\u{:04x}", u32::from(control))?,
            }
        }
        Ok(())
    }
}

fn must_be_escaped(character: char) -> bool {
    matches!(character, '"' | '\\') || character.is_control()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use respool::config::LogLevel;
    use serde_json::Value;

    use super::*;

    #[test]
    fn level_is_logged_from_the_setting_of_its_name() {
        for level in Level::iter() {
            let setting: LogLevel = redis_name(level).parse().unwrap();
            assert!(LevelFilter::from(setting) >= level, "{level}");
        }
        let settings = ["warning", "notice", "verbose", "debug"];
        let names: Vec<_> = Level::iter().skip(1).map(redis_name).collect();
        assert_eq!(names, settings);
    }

    #[test]
    fn each_line_for_the_journal_has_its_priority() {
        assert_eq!(
            for_journal(Level::Error, "one\n\ntwo"),
            "<3>one\n<3>\n<3>two\n"
        );
        assert_eq!(for_journal(Level::Info, "<0>one\n"), "<5><0>one\n");
        let priorities: Vec<_> = Level::iter().map(|level| for_journal(level, "x")).collect();
        assert_eq!(
            priorities,
            ["<3>x\n", "<4>x\n", "<5>x\n", "<6>x\n", "<7>x\n"]
        );
    }

    #[test]
    fn json_line_has_stable_keys_in_order() {
        let line = json(Level::Warn, &format_args!("say \"{}\"", "a\\b"));
        let Value::Object(object) = serde_json::from_str(&line).unwrap() else {
            panic!("{line}");
        };
        let shape = line.replace(|c: char| c.is_ascii_digit(), "0");
        let (start, rest) = shape.split_once(",\"thread\":\"").unwrap();
        assert_eq!(
            start,
            r#"{"time":"0000-00-00T00:00:00.000Z","level":"warn""#
        );
        assert!(
            rest.ends_with("\",\"message\":\"say \\\"a\\\\b\\\"\"}\n"),
            "{line}"
        );
        assert_eq!(object.len(), 4);
        assert_eq!(object["message"], r#"say "a\b""#);
        assert_eq!(object["thread"], thread::current().name().unwrap());
        let level = |level| {
            json(level, &format_args!(""))
                .split('"')
                .nth(7)
                .map(String::from)
        };
        let levels: Vec<_> = Level::iter().filter_map(level).collect();
        assert_eq!(levels, ["error", "warn", "info", "debug", "trace"]);
    }

    #[test]
    fn every_character_survives_json() {
        // All that may need an escape, and one beyond the units of 16 bits.
        let text: String = ('\0'..'\u{2100}')
            .chain(['\u{feff}', '\u{1f600}'])
            .collect();
        let written = Json(&text).to_string();
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        assert!(!written.contains(char::is_control));
        assert!(written.starts_with(r#""\u0000\u0001"#) && written.contains(r"\t\n\u000b"));
    }

    proptest! {
        #[test]
        fn any_text_survives_json(pieces in prop::collection::vec(any::<String>(), 0..4)) {
            // Each piece is one call of `write_str`.
            let [a, b, c, d] = [0, 1, 2, 3].map(|index| pieces.get(index).map_or("", |piece| piece));
            let written = Json(format_args!("{a}{b}\"{c}\n{d}")).to_string();
            let read: String = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(read, format!("{a}{b}\"{c}\n{d}"));
            prop_assert!(!written.contains(char::is_control));
        }
    }
}
