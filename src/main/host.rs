//! What CONFIG can do only by the program: the level of the log, and the file.

use std::error::Error;
use std::path::{self, Path, PathBuf};

use log::{info, warn};

use respool::config::CommandLine;
use respool::{Config, Host};

use crate::rewrite::rewrite;

/// This program, to its server.
#[derive(Debug)]
pub(super) struct Program {
    /// The file that the operator named, if one was.
    file: Option<PathBuf>,
}

impl Program {
    pub(super) fn new(command_line: &CommandLine) -> Self {
        // It is not absolute only where the working directory is gone; then a rewrite will say so.
        let absolute = |file: &PathBuf| path::absolute(file).unwrap_or_else(|_| file.clone());
        Self {
            file: command_line.file.as_ref().map(absolute),
        }
    }
}

impl Host for Program {
    fn changed(&self, config: &Config) {
        log::set_max_level(config.loglevel.into());
    }

    fn config_file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    fn rewrite(&self, config: &Config) -> Result<(), Box<dyn Error + Send + Sync>> {
        let Some(file) = &self.file else {
            return Err("there is none".into());
        };
        let rewritten = rewrite(file, config);
        match &rewritten {
            Ok(()) => info!("CONFIG REWRITE: {} says what is in force", file.display()),
            Err(error) => warn!("CONFIG REWRITE: {} stays as it is: {error}", file.display()),
        }
        Ok(rewritten?)
    }
}
