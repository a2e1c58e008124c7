//! The command line, like that of redis-server: `respool [FILE] [--key value …]`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};

use super::nearest::{is_about_secret, nearest};
use super::settings::{Settings, find_key};
use super::{ConfigError, advice, file, password};
use crate::config::values::Value;
use crate::config::{Config, KEYS};

/// The parsed arguments of the program. A reload needs them again: it reads the file anew, and the
/// flags still win over it.
///
/// Needs the feature `cli`, which is on by default.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "respool",
    version,
    about = "A server for the Redis protocol that answers PING on a fixed pool of threads.",
    // Otherwise `--help` would begin with the comment above.
    long_about = None,
    override_usage = "respool [FILE] [--key value ...]",
    after_help = EXAMPLES,
    args_override_self = true,
    max_term_width = 80
)]
pub struct CommandLine {
    /// Configuration file in TOML, with the keys below
    pub file: Option<PathBuf>,

    /// Check the configuration, and exit
    #[arg(long)]
    pub check_config: bool,

    /// The FILE if none is given, for `your_program.sh`
    #[arg(long, hide = true, value_name = "FILE")]
    default_file: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,

    /// Whether `file` may be a word of a password with spaces. Then no error shows it.
    #[arg(skip)]
    file_may_be_secret: bool,
}

/// A configuration, and notes on its sources for the operator.
///
/// Needs the feature `cli`, which is on by default.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Whether the password has another source than the file's `requirepass`. Then CONFIG REWRITE
    /// must not write it into the file.
    pub password_is_elsewhere: bool,
    /// One line for each way in which other users may read the password or the key for TLS.
    pub warnings: Vec<String>,
    /// One line for each key of the file that has no effect, because a flag or another source of
    /// the password wins.
    pub overridden: Vec<String>,
}

impl CommandLine {
    /// Parses the arguments of a process, the program's name first.
    ///
    /// # Errors
    ///
    /// A text to print: what is wrong with the arguments, or the help or version if they ask for
    /// it.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let args: Vec<_> = args.into_iter().collect();
        let parsed = Self::try_parse_from(join_values(args.iter().cloned()));
        let mut parsed = parsed.map_err(|error| advice::explain(error, &args, Self::command()))?;
        let named = parsed.file.as_ref();
        parsed.file_may_be_secret = named.is_some_and(|file| may_be_secret(file, &args));
        parsed.file = parsed.file.or(parsed.default_file.take());
        Ok(parsed)
    }

    /// Returns the configuration that [`load`](Self::load) does, without the notes.
    ///
    /// # Errors
    ///
    /// The errors of [`load`](Self::load).
    pub fn config(&self) -> Result<Config, ConfigError> {
        Ok(self.load()?.config)
    }

    /// Reads the file, if there is one. The file wins over the defaults, and the command line over
    /// the file. For the password, the environment wins over the file.
    ///
    /// # Errors
    ///
    /// The file cannot be read or has a mistake, or a source of the password is empty.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let (settings, in_file) = self.read_file()?;
        let in_environment = password::of_environment()?;
        let on_command_line = password::of_settings(&self.settings, "the command line")?;

        let mut of_file = Config::default();
        settings.clone().apply_to(&mut of_file);
        let mut config = of_file.clone();
        self.settings.clone().apply_to(&mut config);
        let mut overridden = self.overridden(&settings, &of_file, &config);
        let has_other = in_environment.is_some() || on_command_line.is_some();
        if has_other && let (Some(file), Some(_)) = (&self.file, &in_file) {
            let winner = match on_command_line {
                Some(_) => "the command line",
                None => "the environment",
            };
            let file = file.display();
            overridden.push(format!(
                "`requirepass` in {file} has no effect: {winner} sets it"
            ));
        }
        let password = on_command_line.or(in_environment).or(in_file);
        let password_is_elsewhere = password.as_ref().is_some_and(|found| !found.is_in_file);
        password::apply(password, &mut config);
        Ok(Loaded {
            warnings: self.warnings(&settings, &config),
            config,
            password_is_elsewhere,
            overridden,
        })
    }

    /// Returns the settings of the file and its password; none without a file.
    fn read_file(&self) -> Result<(Settings, Option<password::Found>), ConfigError> {
        let Some(file) = &self.file else {
            return Ok((Settings::default(), None));
        };
        let settings = file::read(file).map_err(|error| self.without_secret(error))?;
        let password = password::of_file(&settings, file)?;
        Ok((settings, password))
    }

    /// Returns the defaults with the flags, without the file.
    #[must_use]
    pub fn flags(&self) -> Config {
        let mut config = Config::default();
        self.settings.clone().apply_to(&mut config);
        config
    }

    /// Returns one line for each way in which other users may read the password or the key for TLS.
    fn warnings(&self, settings: &Settings, config: &Config) -> Vec<String> {
        let has_password = |settings: &Settings| {
            let password = settings.requirepass.clone();
            password.is_some_and(|password| password.plain().is_some())
        };
        let in_arguments = has_password(&self.settings).then(|| {
            "`--requirepass`: every user of this machine can see the password in `ps`; use \
             `--requirepass-file` instead"
                .to_owned()
        });
        let file = self.file.as_ref().filter(|_| has_password(settings));
        let files = file.into_iter().chain(&config.requirepass_file);
        let in_files = files.filter_map(|file| password::exposure(file));
        let key = config.tls_key_file.as_ref();
        let key = key.and_then(|file| password::exposure_of("a private key", file));
        in_arguments
            .into_iter()
            .chain(in_files)
            .chain(key)
            .collect()
    }

    /// Returns one line for each key of the file, except the password's, that a flag overrides.
    fn overridden(&self, settings: &Settings, of_file: &Config, config: &Config) -> Vec<String> {
        let Some(file) = &self.file else {
            return Vec::new();
        };
        let (in_file, flags) = (settings.given(), self.settings.given());
        let is_in_both = |name| in_file.contains(&name) && flags.contains(&name);
        KEYS.iter()
            .filter(|key| is_in_both(key.name) && !key.is_same(of_file, config))
            .filter(|key| !is_about_secret(key))
            .map(|key| {
                let (name, file) = (key.name, file.display());
                let (ignored, used) = (key.shown(of_file), key.shown(config));
                format!(
                    "`{name} = {ignored}` in {file} has no effect: --{name} {used} overrides it"
                )
            })
            .collect()
    }

    /// Removes the name of the file from `error` if it may be a word of the password.
    fn without_secret(&self, error: ConfigError) -> ConfigError {
        match error {
            ConfigError::Unreadable { source, .. } if self.file_may_be_secret => {
                ConfigError::Password {
                    origin: "the command line".into(),
                    problem: format!(
                        "one word is not part of a flag, so it is FILE, which cannot be read: {source}; \
                         put a password with spaces in quotes, or use `--requirepass-file PATH`"
                    ),
                }
            }
            other => other,
        }
    }
}

/// Returns whether `file` may be a word of a password: it follows the flag or the password's first
/// word, or begins like the key.
fn may_be_secret(file: &Path, args: &[OsString]) -> bool {
    let is_secret_flag = |arg: &OsString| {
        let name = arg.to_str().and_then(|arg| arg.strip_prefix("--"));
        let name = name.and_then(|arg| arg.split('=').next());
        KEYS.iter().any(|key| key.secret && Some(key.name) == name)
    };
    let place = args.iter().position(|arg| arg.as_os_str() == file);
    let before = &args[..place.unwrap_or(0)];
    let name = file.to_string_lossy();
    let name = name.split(['=', ':']).next().unwrap_or_default();
    before.iter().rev().take(2).any(is_secret_flag) || nearest(name).is_some_and(is_about_secret)
}

/// Joins `--key value` to `--key=value`; the words of a list become one value.
///
/// As in redis-server, every word that does not begin with `--` may be a value. clap would take the
/// `-1` of `--port -1` and the `-::1` of `--bind 127.0.0.1 -::1` for flags.
fn join_values(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args.into_iter().peekable();
    let mut joined = Vec::new();
    while let Some(mut arg) = args.next() {
        let name = arg.to_str().and_then(|arg| arg.strip_prefix("--"));
        let values_max = match name.and_then(find_key) {
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
SECONDS are 0 to 2147483647 where no range is shown; 0 means no limit.
BYTES may have a unit: k, kb, m, mb, g or gb. The file config/respool.toml is
the manual of all keys. If a key is given twice, the last one wins. FILE goes
before --bind, --tls-bind and --latency-tracking-info-percentiles, which take
several words.

Examples:
  respool --port 7000                     listen on port 7000
  respool respool.toml --bind 10.0.0.7    read a file; listen on this address
  respool respool.toml --check-config     check a file
  redis-cli -p 7000 PING                  send a request; prints PONG

Password: use --requirepass-file, the environment variable RESPOOL_REQUIREPASS
or the systemd credential \"requirepass\". `ps` shows --requirepass to every user.

Signals: HUP reads FILE again. TERM and INT answer the requests received so far,
then stop the server, after drain-delay-ms; a second TERM ends this delay, and a
second INT stops the server at once.

Exit codes: 0 every reply was sent. 1 the configuration is wrong, the server
could not start, or a second INT stopped it. 3 clients were closed before they
had their replies, because drain-timeout-ms ran out. 4 a thread of the server
kept panicking; the log names it.";

#[cfg(test)]
mod tests {
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
    fn clap_accepts_the_definition_of_the_command_line() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn list_takes_all_words_up_to_the_next_flag() {
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
    fn without_arguments_every_key_has_its_default() {
        assert_eq!(config(""), Config::default());
    }

    #[test]
    fn key_and_value_may_be_one_word_or_two() {
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
    fn last_of_equal_flags_wins() {
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
    fn empty_logfile_means_standard_output() {
        assert_eq!(config("--logfile a.log").logfile, Some("a.log".into()));
        assert_eq!(config("--logfile a.log --logfile=").logfile, None);
    }

    #[test]
    fn help_has_a_line_for_each_key_with_its_default() {
        let help = help();
        let manual = include_str!("../../../config/respool.toml");
        let manual: toml::Table = manual.parse().unwrap();
        for (key, value) in &manual {
            let word = |value: &toml::Value| value.to_string().replace('"', "");
            let default = match value {
                toml::Value::Array(items) if items.is_empty() => "\"\"".into(),
                toml::Value::Array(items) => items.iter().map(word).collect::<Vec<_>>().join(" "),
                toml::Value::Boolean(yes) => if *yes { "yes" } else { "no" }.to_owned(),
                toml::Value::String(text) if text.is_empty() => value.to_string(),
                other => word(other),
            };
            let mut lines = help.lines();
            let flag = format!("--{key} ");
            lines.find(|line| line.trim_start().starts_with(&flag));
            let line = lines.next().unwrap();
            assert!(line.ends_with(&format!(" [default: {default}]")), "{line}");
        }
    }

    #[test]
    fn help_begins_with_the_purpose_and_fits_80_columns() {
        let help = help();
        assert!(help.starts_with("A server for the Redis protocol that "));
        assert!(help.lines().all(|line| line.len() <= 80), "{help}");
    }

    /// The text of `--help`, which is also that of `-h`.
    fn help() -> String {
        let [long, short] = ["--help", "-h"].map(|flag| {
            let command = CommandLine::command().term_width(80);
            let shown = command.try_get_matches_from(["respool", flag]);
            shown.unwrap_err().to_string()
        });
        assert_eq!(long, short);
        long
    }
}
