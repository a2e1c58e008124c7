//! The sources of the program's configuration: a file, the command line and the environment. The
//! library does not need them, nor serde, toml, strsim and clap.

mod advice;
mod command_line;
mod file;
mod notation;
mod password;

pub use command_line::{CommandLine, Loaded};
pub use file::ConfigError;
pub use password::exposure;

use super::table::Settings;
use super::{KEYS, Key};
pub(super) use notation::{Form, Notation};

/// Returns every key with the form of its value in a file.
fn forms() -> impl Iterator<Item = (&'static Key, Form)> {
    KEYS.iter().zip(Settings::FORMS.iter().copied())
}

/// Generates `Settings` from the table's rows. serde reads it from a file, clap from the command
/// line.
macro_rules! settings {
    ($(
        $(#[$help:meta])*
        $name:literal sets $field:ident: $value:ty, shown as $shown:literal;
    )*) => {
        /// The keys that one source, the file or the command line, sets; the others are `None`.
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
            /// Form of each key's value in a file, in the order of the table.
            pub(super) const FORMS: &'static [$crate::config::sources::Form] =
                &[$(<$value as $crate::config::sources::Notation>::FORM),*];

            /// Sets the key `name`, which the table has, to a value of a file.
            pub(super) fn read<'de, D>(&mut self, name: &str, value: D) -> Result<(), D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                match name {
                    $($name => self.$field = Some(serde::Deserialize::deserialize(value)?),)*
                    _ => debug_assert!(false, "unknown keys are refused before"),
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

pub(super) use settings;
