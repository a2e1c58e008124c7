//! What follows from the table of keys (in `settings.rs`): one [`Key`] for each row, by which
//! CONFIG gets and sets a value, and the fields of `Settings`, by which a file and the command line
//! are read.

use std::borrow::Cow;

use super::Config;
use super::value::Form;

/// A key of the configuration.
#[derive(Debug)]
pub(crate) struct Key {
    /// As the file, the command line and CONFIG name it.
    pub(crate) name: &'static str,
    pub(crate) change: Change,
    /// Whether its value must not come into a log.
    pub(crate) secret: bool,
    pub(super) form: Form,
    pub(super) text: fn(&Config) -> String,
    pub(super) set: fn(&mut Config, &str) -> Result<(), Cow<'static, str>>,
    pub(super) same: fn(&Config, &Config) -> bool,
}

/// When the value of a key can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// While the server runs.
    Anytime,
    /// While the server runs, but by the whole configuration and not by CONFIG SET, as in Redis: a
    /// client could have any file written.
    OnReload,
    /// Not while the server runs.
    AtStart,
}

impl Key {
    /// The value in `config`, as CONFIG GET shows it.
    pub(crate) fn text(&self, config: &Config) -> String {
        (self.text)(config)
    }

    /// Sets the value in `config` to an argument of CONFIG SET. The error is Redis's reason why it
    /// cannot be.
    pub(crate) fn set(&self, config: &mut Config, text: &str) -> Result<(), Cow<'static, str>> {
        (self.set)(config, text)
    }

    /// Whether both configurations have the same value.
    pub(crate) fn is_same(&self, one: &Config, other: &Config) -> bool {
        (self.same)(one, other)
    }
}

/// Makes of the table's rows
///
/// - `Settings`, whose derived readers know the file's and the command line's names, values and
///   help;
/// - `KEYS`, for everybody else, who needs neither serde nor clap.
macro_rules! keys {
    ($(
        $(#[$help:meta])*
        $name:literal sets $field:ident: $value:ty, shown as $shown:literal, changes $change:ident;
    )*) => {
        /// What one source, the file or the command line, says about each key; `None` where it is
        /// silent.
        #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize, clap::Args)]
        #[serde(deny_unknown_fields)]
        #[command(next_help_heading = "Keys of FILE, each with its (default)")]
        pub(super) struct Settings {
            $(
                $(#[$help])*
                #[serde(rename = $name)]
                #[arg(long = $name, value_name = $shown)]
                $field: Option<$value>,
            )*
        }

        impl Settings {
            /// Lays these settings over `config`: what they say wins, the rest stays.
            pub(super) fn apply_to(self, config: &mut Config) {
                $(
                    if let Some(value) = self.$field {
                        config.$field = value.plain();
                    }
                )*
            }
        }

        /// Every key, in the order of the table.
        pub(crate) const KEYS: &[Key] = &[$(
            Key {
                name: $name,
                change: Change::$change,
                secret: <$value as Value>::SECRET,
                form: <$value as Value>::FORM,
                text: |config| <$value as Value>::text(&config.$field),
                set: |config, text| {
                    config.$field = <$value as Value>::from_argument(text)?.plain();
                    Ok(())
                },
                same: |one, other| one.$field == other.$field,
            },
        )*];

        // Every field by name, so that one without a row does not compile.
        const _: fn(Config) = |Config { $($field: _),* }| ();
    };
}

pub(super) use keys;
