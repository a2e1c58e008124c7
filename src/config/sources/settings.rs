//! The values that one source sets: a file or the command line.

use toml::de::DeValue;

use super::notation::{Form, Notation, WrongValue};
use crate::config::table::each_key;
// The types in the rows of `each_key`.
use crate::config::values::{
    BindAddresses, Bytes, DebugAccess, Flag, HostNames, LogFormat, LogLevel, Microseconds,
    Milliseconds, Networks, Number, OptionalPath, OutputLimits, Password, Percentiles, Permissions,
    Seconds, TlsAuthClients, TlsProtocols, Value,
};
use crate::config::{Config, KEYS, Key};

macro_rules! settings {
    ($(
        $(#[$help:meta])*
        $name:literal sets $field:ident: $value:ty, shown as $shown:literal, changes $change:ident;
    )*) => {
        /// The values that one source sets. A key that it does not set is `None`.
        #[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
        #[command(next_help_heading = "Keys, as flags and in FILE")]
        pub(super) struct Settings {
            $(
                $(#[$help])*
                #[arg(long = $name, value_name = $shown)]
                pub(super) $field: Option<$value>,
            )*
        }

        impl Settings {
            /// The form (number, text, flag or list) of each key's value in a file, in the order of
            /// the table.
            const FORMS: &'static [Form] = &[$(<$value as Notation>::FORM),*];

            /// Sets the key `name`, which must be in the table, to a value of a file.
            pub(super) fn set_from_file(&mut self, name: &str, value: &DeValue) -> Result<(), WrongValue> {
                match name {
                    $($name => self.$field = Some(Notation::read(value)?),)*
                    _ => debug_assert!(false, "unknown keys were refused earlier"),
                }
                Ok(())
            }

            /// Returns the names of the keys that are set.
            pub(super) fn given(&self) -> Vec<&'static str> {
                let names = [$(self.$field.is_some().then_some($name)),*];
                names.into_iter().flatten().collect()
            }

            /// Copies the keys that are set to `config`.
            pub(super) fn apply_to(self, config: &mut Config) {
                $(
                    if let Some(value) = self.$field {
                        config.$field = value.plain();
                    }
                )*
            }
        }
    };
}

each_key!(settings);

/// Returns every key with the form of its value in a file.
pub(super) fn forms() -> impl Iterator<Item = (&'static Key, Form)> {
    KEYS.iter().zip(Settings::FORMS.iter().copied())
}

/// Returns the key of this name, and the form of its value in a file.
pub(super) fn find_key(name: &str) -> Option<(&'static Key, Form)> {
    forms().find(|(key, _)| key.name == name)
}
