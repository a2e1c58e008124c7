//! The sources of the password. The first one that is present wins, in this order: the command
//! line, [`VARIABLE`], a systemd credential, the configuration file. A source without a password is
//! an error.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::ConfigError;
use super::settings::Settings;
use crate::config::values::text::PASSWORD_BYTES_MAX;
use crate::config::values::{Password, Value};
use crate::config::{Config, regular_file};

/// A password and its source.
pub(super) struct Found {
    /// `None` if the source sets no password.
    password: Option<String>,
    /// The `requirepass-file` that contains it.
    file: Option<PathBuf>,
    /// Whether FILE itself contains it. Otherwise CONFIG REWRITE must not write it.
    pub(super) is_in_file: bool,
}

/// Returns the password of the file's keys.
pub(super) fn of_file(settings: &Settings, file: &Path) -> Result<Option<Found>, ConfigError> {
    let found = of_settings(settings, &file.display().to_string())?;
    Ok(found.map(|found| Found {
        is_in_file: found.file.is_none(),
        ..found
    }))
}

/// Returns the password of the environment variable or of the systemd credential.
pub(super) fn of_environment() -> Result<Option<Found>, ConfigError> {
    if let Some(password) = env::var_os(VARIABLE) {
        let bytes = password.as_encoded_bytes();
        return Ok(Some(Found::elsewhere(check(VARIABLE, bytes)?, None)));
    }
    let Some(folder) = env::var_os(CREDENTIALS) else {
        return Ok(None);
    };
    let credential = Path::new(&folder).join("requirepass");
    match fs::metadata(&credential) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        _ => {
            let origin = format!("`{CREDENTIALS}`: {}", credential.display());
            let password = read(&credential, &origin, "a file with the password")?;
            Ok(Some(Found::elsewhere(password, None)))
        }
    }
}

impl Found {
    fn elsewhere(password: String, file: Option<PathBuf>) -> Self {
        Self {
            password: Some(password),
            file,
            is_in_file: false,
        }
    }
}

/// Returns the password of one source, `origin`; `None` if neither key is set.
pub(super) fn of_settings(settings: &Settings, origin: &str) -> Result<Option<Found>, ConfigError> {
    let given = settings.requirepass.clone().map(Value::plain);
    let file = settings.requirepass_file.clone().and_then(Value::plain);
    match (given, file) {
        (Some(Some(_)), Some(_)) => Err(ConfigError::Password {
            origin: origin.to_owned(),
            problem: "`requirepass` and `requirepass-file` are both set: keep one".into(),
        }),
        (_, Some(file)) => Ok(Some(Found::elsewhere(read_named(&file)?, Some(file)))),
        (None, None) if settings.requirepass_file.is_none() => Ok(None),
        (given, None) => Ok(Some(Found {
            password: given.flatten(),
            file: None,
            is_in_file: false,
        })),
    }
}

/// Reads the password in the `requirepass-file`.
fn read_named(file: &Path) -> Result<String, ConfigError> {
    // A single word may be the password itself, set for the wrong key.
    let is_path = file.components().count() > 1;
    let origin = if is_path {
        format!("`requirepass-file`: {}", file.display())
    } else {
        "`requirepass-file`".into()
    };
    let expected = "the path of a file and not the password itself";
    read(file, &origin, expected)
}

/// Reads the password in `file`, without one newline at its end. An error names `origin` and, if
/// the file cannot be read, what is `expected`.
fn read(file: &Path, origin: &str, expected: &str) -> Result<String, ConfigError> {
    let bytes =
        regular_file::read(file, FILE_BYTES_MAX).map_err(|error| ConfigError::Password {
            origin: origin.to_owned(),
            problem: format!("cannot read it: {error}, expected {expected}"),
        })?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    check(origin, line.strip_suffix(b"\r").unwrap_or(line))
}

/// Checks that `bytes` are a password. An empty one is an error, because the server would be open
/// although a password was intended.
fn check(origin: &str, bytes: &[u8]) -> Result<String, ConfigError> {
    let mistake = |problem: String| ConfigError::Password {
        origin: origin.to_owned(),
        problem,
    };
    let text = str::from_utf8(bytes).map_err(|_| mistake("the password is not UTF-8".into()))?;
    if text.is_empty() {
        let problem =
            format!("it is empty, expected a password of 1 to {PASSWORD_BYTES_MAX} bytes");
        return Err(mistake(problem));
    }
    let password: Result<Password, _> = text.parse();
    password.map_err(|error| mistake(format!("the password has {error}")))?;
    Ok(text.to_owned())
}

/// Copies a password to `config`.
pub(super) fn apply(found: Option<Found>, config: &mut Config) {
    if let Some(found) = found {
        config.requirepass = found.password;
        config.requirepass_file = found.file;
    }
}

/// Returns a warning if every user of the machine can read `file`, which contains a password.
#[must_use]
pub fn exposure(file: &Path) -> Option<String> {
    exposure_of("a password", file)
}

/// Returns a warning if every user of the machine can read `file`, which contains `secret`.
pub(super) fn exposure_of(secret: &str, file: &Path) -> Option<String> {
    let mode = fs::metadata(file).ok()?.mode() & 0o777;
    (mode & 0o004 != 0).then(|| {
        let file = file.display();
        format!(
            "{file} holds {secret}, and every user of this machine can read it (mode {mode:o}): \
             run `chmod o-r {file}`"
        )
    })
}

/// Environment variable for the password.
pub(super) const VARIABLE: &str = "RESPOOL_REQUIREPASS";

/// Environment variable with which systemd names the folder of credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Maximum bytes of a password's file. The whole file is read before it is checked.
const FILE_BYTES_MAX: u64 = 4096;
