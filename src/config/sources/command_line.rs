//! The command line: `respool [FILE] [--key value …]`, as redis-server has it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use super::{ConfigError, file, forms};
use crate::config::Config;
use crate::config::settings::Settings;

/// What the operator typed. It is kept while the server runs, because a reload reads the file again
/// and lays the command line over it again.
///
/// Needs the feature `cli`, which is on by default.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "respool",
    version,
    about = "Answers Redis's PING for every client, on a fixed pool of worker threads.",
    override_usage = "respool [FILE] [--key value ...]",
    after_help = EXAMPLES,
    args_override_self = true,
    max_term_width = 80
)]
pub struct CommandLine {
    /// TOML file that sets the keys below
    pub file: Option<PathBuf>,

    /// Say whether everything is right, and exit
    #[arg(long)]
    pub check_config: bool,

    #[command(flatten)]
    settings: Settings,
}

impl CommandLine {
    /// Understands the arguments of a process, the program's name first.
    ///
    /// # Errors
    ///
    /// A text for the operator: about a mistake, or the help or the version that was asked for.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(join_values(args))
    }

    /// Reads the file, if one was named, and layers defaults < file < command line.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or says something that it must not.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(file) = &self.file {
            file::read(file)?.apply_to(&mut config);
        }
        self.settings.clone().apply_to(&mut config);
        Ok(config)
    }
}

/// Writes `--key value` as `--key=value`, and a key that takes a list with all of it as one value.
///
/// Whatever does not begin with `--` may be a value, as in redis-server. Left alone, clap would
/// take the `-1` of `--port -1` and the `-::1` of `--bind 127.0.0.1 -::1` for flags.
fn join_values(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args.into_iter().peekable();
    let mut joined = Vec::new();
    while let Some(mut arg) = args.next() {
        let name = arg.to_str().and_then(|arg| arg.strip_prefix("--"));
        let values_max = match forms().find(|(key, _)| Some(key.name) == name) {
            Some((_, form)) if form.is_list() => usize::MAX,
            Some(_) => 1,
            None => 0,
        };
        for index in 0..values_max {
            let Some(value) = args.next_if(|next| !next.as_encoded_bytes().starts_with(b"--"))
            else {
                break;
            };
            arg.push(if index == 0 { "=" } else { " " });
            arg.push(value);
        }
        joined.push(arg);
    }
    joined
}

const EXAMPLES: &str = "\
Examples:
  respool --port 7000                     the defaults, but on port 7000
  respool respool.toml --bind 10.0.0.7    the file, but on another address
  respool respool.toml --check-config     is the file right?
  redis-cli -p 7000 PING                  ask for an answer: PONG

A key may be given again: the last one wins. FILE goes before IP and P.
Signals: HUP reads FILE again, TERM and INT answer what was asked and stop.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn joined(args: &str) -> Vec<OsString> {
        join_values(args.split_whitespace().map(OsString::from))
    }

    fn config(args: &str) -> Config {
        let args = ["respool"]
            .into_iter()
            .chain(args.split_whitespace())
            .map(OsString::from);
        CommandLine::parse(args).unwrap().config().unwrap()
    }

    #[test]
    fn the_command_line_is_one_that_clap_accepts() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_key_takes_one_value_and_a_list_takes_all_up_to_the_next_flag() {
        assert_eq!(joined("--port -1 a.toml"), ["--port=-1", "a.toml"]);
        assert_eq!(
            joined("--bind * -::1 --port 7"),
            ["--bind=* -::1", "--port=7"]
        );
        assert_eq!(
            joined("--latency-tracking-info-percentiles 50 99.9 --port 7"),
            ["--latency-tracking-info-percentiles=50 99.9", "--port=7"]
        );
        assert_eq!(joined("--port --bind ::1"), ["--port", "--bind=::1"]);
        assert_eq!(joined("--port=7 a.toml"), ["--port=7", "a.toml"]);
        assert_eq!(
            joined("--check-config a.toml"),
            ["--check-config", "a.toml"]
        );
        assert_eq!(joined("--bind"), ["--bind"]);
    }

    #[test]
    fn no_argument_leaves_every_default() {
        assert_eq!(config(""), Config::default());
    }

    #[test]
    fn both_ways_to_write_a_key_mean_the_same() {
        assert_eq!(
            config("--port 7000"),
            Config {
                port: 7000,
                ..Config::default()
            }
        );
        assert_eq!(config("--port=7000"), config("--port 7000"));
    }

    #[test]
    fn the_last_one_wins() {
        assert_eq!(config("--port 1 --workers 2 --port=3").port, 3);
        assert_eq!(config("--bind * --bind ::1").bind, ["::1".parse().unwrap()]);
    }

    #[test]
    fn bind_takes_several_addresses() {
        let bind = config("--bind 127.0.0.1 -::1 --port 7000").bind;
        assert_eq!(
            bind,
            ["127.0.0.1".parse().unwrap(), "-::1".parse().unwrap()]
        );
    }

    #[test]
    fn an_empty_logfile_means_standard_output() {
        assert_eq!(config("--logfile a.log").logfile, Some("a.log".into()));
        assert_eq!(config("--logfile a.log --logfile=").logfile, None);
    }

    #[test]
    fn the_help_has_a_line_of_at_most_80_columns_for_each_key_and_its_default() {
        let help = CommandLine::command()
            .term_width(80)
            .render_help()
            .to_string();
        let manual: toml::Table = include_str!("../../../config/respool.toml")
            .parse()
            .unwrap();
        for (key, value) in &manual {
            let word = |value: &toml::Value| value.to_string().replace('"', "");
            let default = match value {
                toml::Value::Array(items) => items.iter().map(word).collect::<Vec<_>>().join(" "),
                toml::Value::Boolean(yes) => if *yes { "yes" } else { "no" }.to_owned(),
                toml::Value::String(text) if text.is_empty() => value.to_string(),
                other => word(other),
            };
            // The flag, and on the next line what it is.
            let mut lines = help
                .lines()
                .skip_while(|line| !line.contains(&format!("--{key} ")));
            let line = lines.nth(1).unwrap();
            assert!(line.ends_with(&format!(" ({default})")), "{line}");
        }
        assert!(help.lines().all(|line| line.len() <= 80), "{help}");
    }
}
