//! The log: `format` makes the lines, and the thread `log` writes them to standard output or to a
//! file, which a reload opens again.
//!
//! A thread that logs adds its line to a queue, and never waits for a disk or for the reader of a
//! pipe. Lines are dropped if the queue is full or a write fails. The log has their number as soon
//! as it can be written again.

mod format;
mod writer;

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};
use std::time::Instant;
use std::{env, thread};

use parking_lot::RwLock;
use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;

use respool::Config;
use respool::config::LogFormat;

use format::{Lines, Style};
use writer::{LAST_LINES, Queue, Writer};

static QUEUE: LazyLock<Queue> = LazyLock::new(Queue::default);

/// The style of the lines that are added to [`QUEUE`].
static STYLE: RwLock<Style> = RwLock::new(Style {
    format: LogFormat::Text,
    is_for_journal: false,
});

/// Where the log is written, and the style of its lines.
pub(super) struct Target {
    file: File,
    style: Style,
}

/// Opens the log of `config`: standard output, or `logfile` to append to it.
pub(super) fn open(config: &Config) -> Result<Target, String> {
    let file = match &config.logfile {
        Some(path) => open_file(path)
            .map_err(|error| format!("cannot open the log file {}: {error}", path.display()))?,
        None => open_standard_output()
            .map_err(|error| format!("cannot open standard output: {error}"))?,
    };
    let style = Style {
        format: config.log_format,
        is_for_journal: env::var("JOURNAL_STREAM").is_ok_and(|journal| is_same(&file, &journal)),
    };
    Ok(Target { file, style })
}

fn open_standard_output() -> io::Result<File> {
    let stdout = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(stdout.into())
}

fn open_file(path: &Path) -> io::Result<File> {
    // Opening a pipe only to write would wait for a reader.
    let is_pipe = fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo());
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).read(is_pipe).open(path)?;
    if is_pipe {
        // Another writer of the pipe may take the room that `Writer` found.
        rustix::io::ioctl_fionbio(&file, true)?;
    }
    Ok(file)
}

/// Whether `file` is the stream that systemd has connected to its journal: `JOURNAL_STREAM` has its
/// device and inode. The variable alone proves nothing, because a shell or a supervisor between may
/// have redirected standard output.
fn is_same(file: &File, journal_stream: &str) -> bool {
    let is_named = |device, inode| format!("{device}:{inode}") == journal_stream;
    file.metadata()
        .is_ok_and(|file| is_named(file.dev(), file.ino()))
}

/// Opens the log and makes it the target of the macros of the crate `log`. Call it once.
pub(super) fn start(config: &Config) -> Result<(), Box<dyn Error>> {
    let target = open(config)?;
    // A write above the file size limit then fails, instead of ending the process.
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    *STYLE.write() = target.style;
    log::set_boxed_logger(Box::new(Lines::new(&STYLE, &QUEUE)))?;
    log::set_max_level(config.loglevel.into());
    let mut writer = Writer::new(&QUEUE, target.file);
    thread::Builder::new().name("log".into()).spawn(move || {
        // Continues after a panic, which loses some lines.
        while catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {}
    })?;
    Ok(())
}

/// Writes all later lines to `target`, in its style.
pub(super) fn switch_to(target: Target) {
    // Until the end: no line is in the style of one target and goes to the other.
    let mut style = STYLE.write();
    QUEUE.push_target(target.file);
    *style = target.style;
}

/// Waits at most [`LAST_LINES`] until the lines logged so far are written. Call it before the
/// process ends.
pub(super) fn flush() {
    QUEUE.wait_until_written(Instant::now() + LAST_LINES);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journal_is_known_by_device_and_inode() {
        let (_reader, pipe) = io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(pipe));
        let metadata = file.metadata().unwrap();
        let (device, inode) = (metadata.dev(), metadata.ino());
        assert!(is_same(&file, &format!("{device}:{inode}")));
        for other in [
            format!("{device}:{}", inode + 1),
            format!("{}:{inode}", device + 1),
            inode.to_string(),
            String::new(),
        ] {
            assert!(!is_same(&file, &other), "{other}");
        }
    }
}
