//! What CONFIG can do only by the program: the level of the log, and the file.

use std::error::Error;
use std::fmt;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;

use log::{info, warn};
use parking_lot::Mutex;

use respool::config::{CommandLine, Loaded};
use respool::{Config, Host};

use crate::rewrite::rewrite;

/// This program, to its server. Clones share the passwords.
#[derive(Clone)]
pub(super) struct Program {
    /// The file that the operator named, if one was.
    file: Option<PathBuf>,
    /// The passwords that came from outside the file, in all reloads: CONFIG REWRITE writes none of
    /// them.
    secrets: Arc<Mutex<Vec<String>>>,
}

/// Without the passwords.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Program {
    pub(super) fn new(command_line: &CommandLine) -> Self {
        // It is not absolute only where the working directory is gone; then a rewrite will say so.
        let absolute = |file: &PathBuf| path::absolute(file).unwrap_or_else(|_| file.clone());
        Self {
            file: command_line.file.as_ref().map(absolute),
            secrets: Arc::default(),
        }
    }

    /// Keeps a password that came from outside the file out of it.
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

    fn config_file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    fn rewrite_config(&self, config: &Config) -> Result<(), Box<dyn Error + Send + Sync>> {
        let Some(path) = &self.file else {
            return Err("there is none".into());
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
