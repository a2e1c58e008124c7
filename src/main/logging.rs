//! The log: simplelog, writing to standard output or to a file, which a reload opens again.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, LineWriter, Write};
use std::sync::Arc;

use log::LevelFilter;
use parking_lot::Mutex;
use simplelog::WriteLogger;

use respool::Config;

use crate::levels;

/// The log of the whole program. The logger owns one clone and writes to the target; whoever has
/// another clone can switch it.
#[derive(Clone)]
pub(super) struct Log(Arc<Mutex<Target>>);

/// What lines are written to.
pub(super) type Target = Box<dyn Write + Send>;

/// Opens what `logfile` names: standard output, or a file for append.
pub(super) fn open(config: &Config) -> Result<Target, String> {
    let Some(path) = &config.logfile else {
        return Ok(Box::new(io::stdout()));
    };
    match OpenOptions::new().create(true).append(true).open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(format!(
            "cannot open the log file {}: {error}",
            path.display()
        )),
    }
}

impl Log {
    /// Opens the log and makes it the target of the macros of `log`. To be called once.
    pub(super) fn start(config: &Config) -> Result<Self, Box<dyn Error>> {
        let log = Self(Arc::new(Mutex::new(open(config)?)));
        // A logger's own level is fixed, so it lets everything pass; `log::set_max_level` decides.
        // It writes a line in pieces; `LineWriter` joins them, so that no switch tears a line.
        let writer = LineWriter::new(log.clone());
        levels::start(*WriteLogger::new(
            LevelFilter::Trace,
            levels::format(),
            writer,
        ))?;
        log::set_max_level(config.loglevel.into());
        Ok(log)
    }

    /// From the next line on, writes to `target`.
    pub(super) fn switch_to(&self, target: Target) {
        *self.0.lock() = target;
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().flush()
    }
}
