//! The program that runs a server, as far as the server needs it.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use crate::config::Config;

/// The program that runs a server. A host is optional: without one, CONFIG REWRITE has no file to
/// write, and a change of [`loglevel`](Config::loglevel) has no effect.
pub trait Host: Send + Sync {
    /// Called after each change of the configuration, by
    /// [`ServerHandle::reconfigure`](crate::ServerHandle::reconfigure) or by CONFIG SET.
    ///
    /// Calls are serialized, in the order of the changes, because the configuration is locked. So
    /// this must return soon, and must not call the server.
    fn config_changed(&self, config: &Config);

    /// Returns what the field `process_supervised` of INFO shows: `systemd`, or the name of another
    /// service manager that started the program. `None`, the default, is shown as `no`.
    fn supervisor(&self) -> Option<&'static str> {
        None
    }

    /// Called once when a drain was requested, before its delay. It takes `at_most` this time, and
    /// 100 ms more if a handler does not return. Must not block: the drain waits for it.
    fn drain_requested(&self, at_most: Duration) {
        let _ = at_most;
    }

    /// Returns the absolute path of the configuration file; `None` if there is none. Then CONFIG
    /// REWRITE returns an error.
    fn config_file(&self) -> Option<&Path>;

    /// CONFIG REWRITE: writes `config`, which is the current one, to [`Self::config_file`].
    ///
    /// May block; calls are serialized.
    ///
    /// # Errors
    ///
    /// Returns the reason in one line, for the client, if the file could not be written.
    fn rewrite_config(&self, config: &Config) -> Result<(), Box<dyn Error + Send + Sync>>;
}
