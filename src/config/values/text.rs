//! Text values: paths and the password. An empty text means that there is no value.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::config::values::Value;

/// A path. An empty text is no path: `logfile` then means standard output, as in redis.conf, and
/// `requirepass-file` no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OptionalPath(String);

impl FromStr for OptionalPath {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl Value for OptionalPath {
    type Plain = Option<PathBuf>;

    fn plain(self) -> Option<PathBuf> {
        (!self.0.is_empty()).then(|| self.0.into())
    }

    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>> {
        Ok(Self(text.to_owned()))
    }

    fn text(path: &Option<PathBuf>) -> String {
        path.as_ref()
            .map(|path| path.display().to_string())
            .unwrap_or_default()
    }
}

/// `requirepass`: up to [`PASSWORD_BYTES_MAX`] bytes; an empty text means no password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(String);

/// The password is too long.
#[derive(Debug, thiserror::Error)]
#[error("{0} bytes, expected at most {PASSWORD_BYTES_MAX}")]
pub(crate) struct PasswordError(usize);

impl FromStr for Password {
    type Err = PasswordError;

    fn from_str(text: &str) -> Result<Self, PasswordError> {
        if text.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError(text.len()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Value for Password {
    type Plain = Option<String>;

    const SECRET: bool = true;

    fn plain(self) -> Option<String> {
        (!self.0.is_empty()).then_some(self.0)
    }

    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>> {
        text.parse()
            .map_err(|_| format!("argument must have at most {PASSWORD_BYTES_MAX} bytes").into())
    }

    fn text(password: &Option<String>) -> String {
        password.clone().unwrap_or_default()
    }
}

/// Hides the password.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// Maximum bytes of a password: the limit of Redis up to 6.2 (`CONFIG_AUTHPASS_MAX_LEN`,
/// `server.h`).
pub(crate) const PASSWORD_BYTES_MAX: usize = 512;
