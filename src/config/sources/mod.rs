//! Where the program has its configuration from, a file and the command line, and how a file says
//! it: what only the program needs, and with it serde, toml, strsim and clap.

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

/// Every key, with how a file writes its value.
fn forms() -> impl Iterator<Item = (&'static Key, Form)> {
    KEYS.iter().zip(Settings::FORMS.iter().copied())
}

/// Makes of the table's rows `Settings`, whose derived readers know the file's and the command
/// line's names, values and help.
macro_rules! settings {
    ($(
        $(#[$help:meta])*
        $name:literal sets $field:ident: $value:ty, shown as $shown:literal;
    )*) => {
        /// What one source, the file or the command line, says about each key; `None` where it is
        /// silent.
        #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize, clap::Args)]
        #[serde(deny_unknown_fields)]
        #[command(next_help_heading = "Keys, as flags and in FILE")]
        pub(super) struct Settings {
            $(
                $(#[$help])*
                #[serde(rename = $name)]
                #[arg(long = $name, value_name = $shown)]
                pub(super) $field: Option<$value>,
            )*
        }

        impl Settings {
            /// How a file writes each key, in the order of the table.
            pub(super) const FORMS: &'static [$crate::config::sources::Form] =
                &[$(<$value as $crate::config::sources::Notation>::FORM),*];

            /// The keys that are said.
            pub(super) fn given(&self) -> Vec<&'static str> {
                let names = [$(self.$field.is_some().then_some($name)),*];
                names.into_iter().flatten().collect()
            }

            /// Lays these settings over `config`: what they say wins, the rest stays.
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
