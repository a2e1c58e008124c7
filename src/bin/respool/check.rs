//! `--check-config`: finds what would prevent a start.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use respool::{Config, Server};

/// Checks the values of `config`, its addresses and its log file. Leaves nothing on the disk.
/// Returns warnings.
pub(super) fn check(config: &Config) -> Result<Vec<String>, Box<dyn Error>> {
    let warnings = Server::check(config)?;
    if let Some(path) = &config.logfile {
        check_log_file(path)
            .map_err(|error| format!("cannot open the log file {}: {error}", path.display()))?;
    }
    Ok(warnings)
}

/// Opens the log file as a start would, and removes it if it is new.
fn check_log_file(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        // Opening a pipe could wait for a reader.
        Ok(file) if file.file_type().is_fifo() => Ok(()),
        Ok(_) => OpenOptions::new().append(true).open(path).map(drop),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // A start follows a link to a missing file and creates its target, but `create_new`
            // follows no link. So the target is tried.
            let target = match fs::read_link(path) {
                Ok(target) => path.parent().unwrap_or(Path::new("")).join(target),
                Err(_) => path.to_owned(),
            };
            OpenOptions::new()
                .append(true)
                .create_new(true)
                .open(&target)?;
            fs::remove_file(&target)
        }
        Err(error) => Err(error),
    }
}
