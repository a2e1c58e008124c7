//! The names of levels in the log: those of `loglevel`, which simplelog does not have.

use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};
use simplelog::{Config, ConfigBuilder};
use time::macros::format_description;

/// A logger that puts the level's name before each line and passes it to `L`.
struct Named<L>(L);

/// Sets the program's logger: `inner`, which has the [`format`] of this module. Each line gets the
/// name of its level.
pub(super) fn install(inner: impl Log + 'static) -> Result<(), SetLoggerError> {
    log::set_boxed_logger(Box::new(Named(inner)))
}

/// Returns the format of a line: the time in UTC by RFC 3339, in a fixed width, and the text.
pub(super) fn format() -> Config {
    let time =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    ConfigBuilder::new()
        .set_time_format_custom(time)
        // `Off` leaves a part out of the line; `Named` adds the level.
        .set_max_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        // Only respool's lines: mio logs one for each socket.
        .add_filter_allow_str("respool")
        .build()
}

impl<L: Log> Log for Named<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let name = redis_name(record.level());
        let mut line = Record::builder();
        line.metadata(record.metadata().clone());
        // One expression, because the text borrows its parts.
        self.0.log(
            &line
                .args(format_args!("[{name}] {}", record.args()))
                .build(),
        );
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// Returns the name of a level in the log: the quietest `loglevel` that still logs it.
fn redis_name(level: Level) -> &'static str {
    match level {
        Level::Error | Level::Warn => "warning",
        Level::Info => "notice",
        Level::Debug => "verbose",
        Level::Trace => "debug",
    }
}

#[cfg(test)]
mod tests {
    use respool::config::LogLevel;

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
}
