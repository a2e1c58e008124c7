//! What commands may have the server do. The server implements it, and is so named by no command.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::config::Config;

/// The server, as commands see it.
pub(crate) trait Control: fmt::Debug + Send + Sync {
    /// Starts the drain: [`ServerHandle::drain`](crate::ServerHandle::drain).
    fn drain(self: Arc<Self>);

    /// Puts into force what `change` makes of the configuration: all of it or, on an error, nothing.
    /// `change` must not ask for the configuration itself, which nobody else can see meanwhile.
    fn change_config(
        self: Arc<Self>,
        change: &mut dyn FnMut(&mut Config) -> Result<(), Unchanged>,
    ) -> Result<(), Unchanged>;

    /// Has the program write what is in force into its file.
    fn rewrite_config(self: Arc<Self>) -> Result<(), NotRewritten>;
}

/// Why the configuration stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unchanged {
    /// The key that is to blame, if one is.
    pub(crate) key: Option<&'static str>,
    /// In Redis's words where it has some.
    pub(crate) reason: Cow<'static, str>,
}

/// Why the configuration's file stays as it is.
#[derive(Debug)]
pub(crate) enum NotRewritten {
    /// There is no file, or no program to write one.
    NoFile,
    /// The program could not.
    Failed(Box<dyn Error + Send + Sync>),
}
