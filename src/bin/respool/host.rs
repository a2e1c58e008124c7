//! Does for a server what only the program can do: sets the log level, rewrites the configuration
//! file, and notifies the service manager.

use std::error::Error;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};
use parking_lot::Mutex;

use respool::config::{CommandLine, Loaded};
use respool::{Config, Host};

use crate::rewrite::rewrite;
use crate::systemd::{Event, Systemd};

/// The program as its server sees it. Clones share the passwords.
#[derive(Clone)]
pub(super) struct Program {
    /// The absolute path of the argument FILE, the configuration file; `None` if there is none.
    file: Option<PathBuf>,
    /// Passwords, of the start and of all reloads, that are not the `requirepass` of FILE. CONFIG
    /// REWRITE writes none of them.
    secrets: Arc<Mutex<Vec<String>>>,
    systemd: Systemd,
}

impl Program {
    pub(super) fn new(command_line: &CommandLine, systemd: Systemd) -> Self {
        // It fails only without a working directory; then a rewrite reports the error.
        let absolute = |file: &PathBuf| path::absolute(file).unwrap_or_else(|_| file.clone());
        Self {
            file: command_line.file.as_ref().map(absolute),
            secrets: Arc::default(),
            systemd,
        }
    }

    /// Remembers the password of `loaded`, unless it is the `requirepass` of FILE, so that CONFIG
    /// REWRITE never writes it.
    pub(super) fn keep_secret(&self, loaded: &Loaded) {
        let mut secrets = self.secrets.lock();
        if loaded.password_is_elsewhere
            && let Some(password) = &loaded.config.requirepass
            && !secrets.contains(password)
        {
            secrets.push(password.clone());
        }
    }
}

impl Host for Program {
    fn config_changed(&self, config: &Config) {
        log::set_max_level(config.loglevel.into());
    }

    fn supervisor(&self) -> Option<&'static str> {
        self.systemd.is_present().then_some("systemd")
    }

    fn drain_requested(&self, at_most: Duration) {
        self.systemd.notify(Event::Stopping(at_most));
    }

    fn config_file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    fn rewrite_config(&self, config: &Config) -> Result<(), Box<dyn Error + Send + Sync>> {
        let Some(path) = &self.file else {
            return Err("there is no configuration file".into());
        };
        let password = config.requirepass.as_ref();
        let is_secret = password.is_some_and(|password| self.secrets.lock().contains(password));
        let file = path.display();
        match rewrite(path, config, is_secret) {
            Ok(warning) => {
                info!("CONFIG REWRITE: {file} has the current configuration");
                if is_secret {
                    info!(
                        "CONFIG REWRITE: the password was not written, because it has another source"
                    );
                }
                if let Some(warning) = warning {
                    warn!("CONFIG REWRITE: {warning}");
                }
                Ok(())
            }
            Err(error) => {
                warn!("CONFIG REWRITE: {file} was not changed: {error}");
                Err(error.into())
            }
        }
    }
}
