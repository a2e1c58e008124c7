//! Sets a value by the name of its key: for a file, an environment or flags of the program's own.

use super::excerpt::excerpt;
use super::unsupported::Unsupported;
use super::{Config, KEYS, Key};

impl Config {
    /// Returns the names of the keys that [`Self::set`] takes, such as `maxclients` and
    /// `drain-timeout-ms`, in the order of the fields.
    ///
    /// ```
    /// use respool::Config;
    ///
    /// let mut config = Config::default();
    /// for key in Config::keys() {
    ///     let variable = format!("CACHE_{}", key.to_uppercase().replace('-', "_"));
    ///     if let Ok(value) = std::env::var(variable) {
    ///         config.set(key, &value)?;
    ///     }
    /// }
    /// # Ok::<_, respool::config::SetError>(())
    /// ```
    pub fn keys() -> impl Iterator<Item = &'static str> {
        let keys = KEYS.iter().filter(|key| !is_for_program(key));
        keys.map(|key| key.name)
    }

    /// Sets a key to a value in the notation of the program's flags: `8`, `64mb`, `yes` or `true`,
    /// `127.0.0.1 -::1`. The name may have any case. On an error, changes nothing.
    ///
    /// Checks the value alone. [`Server::bind`](crate::Server::bind) and
    /// [`ServerHandle::update`](crate::ServerHandle::update) check whether values fit together.
    ///
    /// ```
    /// use respool::Config;
    ///
    /// let mut config = Config::default();
    /// config.set("maxclients", "500")?;
    /// config.set("proto-max-bulk-len", "64mb")?;
    /// let error = config.set("port", "http").unwrap_err();
    /// let text = "`port` cannot be `http`: expected a whole number from 0 to 65535";
    /// assert_eq!(error.to_string(), text);
    /// # Ok::<_, respool::config::SetError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a [`SetError`] if there is no such key, if the key has no effect in a program of
    /// your own, or if the value is wrong.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SetError> {
        let key = find(key)?;
        (key.parse)(self, value).map_err(|reason| SetError::Value {
            key: key.name,
            value: if key.secret {
                "(redacted)".into()
            } else {
                excerpt(value)
            },
            reason,
        })?;
        // The password is no longer that of the file.
        if key.name == "requirepass" {
            self.requirepass_file = None;
        }
        Ok(())
    }
}

/// The reason why [`Config::set`] has changed nothing. The text is for people: it says what to
/// change, and never contains a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// There is no such key.
    #[error("unknown key `{key}`, {advice}")]
    UnknownKey {
        /// The name, cut after 80 characters.
        key: String,
        /// What to do instead.
        advice: String,
    },
    /// The key is known, and has no effect.
    #[error("`{key}` has no effect: {reason}")]
    NoEffect {
        /// The name of the key.
        key: &'static str,
        /// The reason, and what to do instead.
        reason: &'static str,
    },
    /// The value is wrong.
    #[error("`{key}` cannot be `{value}`: {reason}")]
    Value {
        /// The name of the key.
        key: &'static str,
        /// The value, cut after 80 characters; `(redacted)` for a password.
        value: String,
        /// The values that would be right.
        reason: String,
    },
}

/// Keys that only the program `respool` reads, and what to do instead.
const FOR_PROGRAM: [(&str, &str); 4] = [
    ("loglevel", OF_LOGGER),
    ("logfile", OF_LOGGER),
    ("log-format", OF_LOGGER),
    (
        "requirepass-file",
        "the library reads no file with a password; read it, and set `requirepass`",
    ),
];

const OF_LOGGER: &str = "the library logs through the `log` crate; set up its logger instead";

fn is_for_program(key: &Key) -> bool {
    FOR_PROGRAM.iter().any(|(name, _)| *name == key.name)
}

/// Returns the key of this name, in any case.
fn find(name: &str) -> Result<&'static Key, SetError> {
    let is_meant = |other: &str| other.eq_ignore_ascii_case(name);
    if let Some((key, reason)) = FOR_PROGRAM.iter().find(|(key, _)| is_meant(key)) {
        return Err(SetError::NoEffect { key, reason });
    }
    if let Some(Unsupported { name, reason, .. }) = Unsupported::find(name.as_bytes()) {
        return Err(SetError::NoEffect { key: name, reason });
    }
    let key = KEYS.iter().find(|key| is_meant(key.name));
    key.ok_or_else(|| SetError::UnknownKey {
        key: excerpt(name),
        advice: match similar(name) {
            Some(key) => format!("did you mean `{}`?", key.name),
            None => "expected one of `Config::keys()`".into(),
        },
    })
}

/// Returns the key that `name` means if it is written with underscores, or like the field, which
/// may end with a unit: `maxclients_per_address`, `timeout_s`.
fn similar(name: &str) -> Option<&'static Key> {
    let name = name.trim().to_ascii_lowercase().replace('_', "-");
    let is_meant = |key: &&Key| {
        let unit = name.strip_prefix(key.name);
        matches!(unit, Some("" | "-s" | "-ms" | "-us"))
    };
    let mut keys = KEYS.iter().filter(|key| !is_for_program(key));
    keys.find(is_meant)
}
