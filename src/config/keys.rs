//! A [`Key`] for each row of the table of keys (`table.rs`), by which CONFIG gets and sets values.

use std::borrow::Cow;

use super::Config;
use super::table::each_key;
use super::values::{
    BindAddresses, Bytes, DebugAccess, Flag, HostNames, LogFormat, LogLevel, Microseconds,
    Milliseconds, Networks, Number, OptionalPath, OutputLimits, Password, Percentiles, Permissions,
    Seconds, TlsAuthClients, TlsProtocols, Value,
};

/// A key of the configuration.
#[derive(Debug)]
pub(crate) struct Key {
    /// Name in the file, on the command line and in CONFIG.
    pub(crate) name: &'static str,
    pub(crate) change: Change,
    /// Whether its value must not be logged.
    pub(crate) secret: bool,
    pub(crate) text: fn(&Config) -> String,
    pub(crate) set: fn(&mut Config, &str) -> Result<(), Cow<'static, str>>,
    /// Sets it to a value in the notation of the command line. The error says what is expected.
    pub(super) parse: fn(&mut Config, &str) -> Result<(), String>,
    pub(crate) same: fn(&Config, &Config) -> bool,
}

/// When the value of a key can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// While the server runs.
    Anytime,
    /// While the server runs, as one unit with the other keys that name certificates or say how
    /// they are used. As in Redis, CONFIG SET of such a key loads the files again, even if its
    /// value stays the same.
    WithCertificates,
    /// While the server runs, but only by a reload. As in Redis, CONFIG SET cannot change it: a
    /// client could make the server write to any file.
    OnReload,
    /// Not while the server runs.
    AtStart,
}

impl Key {
    /// Returns the value in `config` as CONFIG GET shows it.
    pub(crate) fn text(&self, config: &Config) -> String {
        (self.text)(config)
    }

    /// Returns the value in `config` for a log: never empty, and redacted if it is a secret.
    pub(crate) fn shown(&self, config: &Config) -> String {
        match self.text(config) {
            empty if empty.is_empty() => "\"\"".into(),
            _ if self.secret => "(redacted)".into(),
            text => text,
        }
    }

    /// Sets the value in `config` to an argument of CONFIG SET. The error is the reason that Redis
    /// replies.
    pub(crate) fn set(&self, config: &mut Config, text: &str) -> Result<(), Cow<'static, str>> {
        (self.set)(config, text)
    }

    /// Returns whether both configurations have the same value.
    pub(crate) fn is_same(&self, one: &Config, other: &Config) -> bool {
        (self.same)(one, other)
    }
}

macro_rules! keys {
    ($(
        $(#[$help:meta])*
        $name:literal sets $field:ident: $value:ty, shown as $shown:literal, changes $change:ident;
    )*) => {
        /// Every key, in the order of the table.
        pub(crate) const KEYS: &[Key] = &[$(
            Key {
                name: $name,
                change: Change::$change,
                secret: <$value as Value>::SECRET,
                text: |config| <$value as Value>::text(&config.$field),
                set: |config, text| <$value as Value>::change(&mut config.$field, text),
                parse: |config, text| {
                    let value = text.parse::<$value>().map_err(|error| error.to_string())?;
                    config.$field = value.plain();
                    Ok(())
                },
                same: |one, other| one.$field == other.$field,
            },
        )*];

        // Names every field, so that a field without a row does not compile.
        const _: fn(Config) = |Config { $($field: _),* }| ();
    };
}

each_key!(keys);
