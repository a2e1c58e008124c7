//! The program around a server, as far as CONFIG needs it.

use std::error::Error;
use std::fmt;
use std::path::Path;

use crate::config::Config;

/// What the program around a server does for it. A server without a host serves all the same: then
/// CONFIG REWRITE has no file to write, and a changed [`loglevel`](Config::loglevel) is only shown.
pub trait Host: fmt::Debug + Send + Sync {
    /// Called whenever another configuration is in force, by
    /// [`ServerHandle::reconfigure`](crate::ServerHandle::reconfigure) or by CONFIG SET.
    ///
    /// Calls come one at a time and in the order of the changes, because the configuration is locked
    /// meanwhile. So this must return soon, and must not ask the server for anything.
    fn changed(&self, config: &Config);

    /// The file that the configuration was read from, as an absolute path; `None` if there is none,
    /// and then CONFIG REWRITE says so.
    fn config_file(&self) -> Option<&Path>;

    /// CONFIG REWRITE: has [`config_file`](Self::config_file) say what `config` says, which is in
    /// force. May block; calls come one at a time.
    ///
    /// # Errors
    ///
    /// Why the file stays as it is, in one line; the client is told.
    fn rewrite(&self, config: &Config) -> Result<(), Box<dyn Error + Send + Sync>>;
}
