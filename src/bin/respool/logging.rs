//! The log: simplelog formats the lines, and one thread, `log`, writes them to standard output or to a
//! file, which a reload opens again.
//!
//! A thread that logs never waits for the disk or for the program that reads a pipe: it leaves its line
//! in a queue. Lines that find the queue full, or cannot be written, are dropped and counted, and the
//! log says how many once it can be written again.

use std::collections::VecDeque;
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use log::LevelFilter;
use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;
use simplelog::WriteLogger;

use respool::Config;

use crate::levels;

/// The log of the whole program.
#[derive(Clone, Copy)]
pub(super) struct Log(&'static Queue);

/// The open file that lines are written to.
pub(super) type Target = File;

static QUEUE: Queue = Queue::new();

/// Opens what `logfile` names: standard output, or a file for append.
pub(super) fn open(config: &Config) -> Result<Target, String> {
    let Some(path) = &config.logfile else {
        let stdout = io::stdout().as_fd().try_clone_to_owned();
        return stdout
            .map(File::from)
            .map_err(|error| format!("cannot open standard output: {error}"));
    };
    let file_type = fs::metadata(path).map(|metadata| metadata.file_type());
    // To open a pipe for writing alone would wait until a program opens it for reading.
    let is_pipe = file_type.is_ok_and(|file_type| file_type.is_fifo());
    let mut options = OpenOptions::new();
    let opened = options
        .create(true)
        .append(true)
        .read(is_pipe)
        .open(path)
        .and_then(|file| {
            if is_pipe {
                // Another writer of the FIFO may take the room that `write_some` found.
                rustix::io::ioctl_fionbio(&file, true)?;
            }
            Ok(file)
        });
    opened.map_err(|error| format!("cannot open the log file {}: {error}", path.display()))
}

/// Waits until the lines that were logged so far are written, but not for longer than
/// [`LAST_LINES`]. To be called before the process ends.
pub(super) fn flush() {
    QUEUE.wait_until_written(Instant::now() + LAST_LINES);
}

impl Log {
    /// Opens the log and makes it the target of the macros of `log`. To be called once.
    pub(super) fn start(config: &Config) -> Result<Self, Box<dyn Error>> {
        let target = open(config)?;
        // Instead of ending the process, a write beyond the file size limit fails then.
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        // A logger's own level is fixed, so it lets everything pass; `log::set_max_level` decides.
        levels::start(*WriteLogger::new(
            LevelFilter::Trace,
            levels::format(),
            Lines::to(&QUEUE),
        ))?;
        log::set_max_level(config.loglevel.into());
        let mut writer = Writer::new(&QUEUE, target);
        thread::Builder::new().name("log".into()).spawn(move || {
            // After a panic, each of which has cost some lines, it goes on.
            while catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {}
        })?;
        Ok(Self(&QUEUE))
    }

    /// From the next line on, writes to `target`.
    pub(super) fn switch_to(self, target: Target) {
        self.0.push_target(target);
    }
}

/// Puts together the lines that simplelog writes in pieces.
struct Lines {
    queue: &'static Queue,
    line: Vec<u8>,
}

impl Lines {
    fn to(queue: &'static Queue) -> Self {
        let line = Vec::new();
        Self { queue, line }
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            self.queue.push_lines(&self.line);
            self.line.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is to be written, between the threads that log and the one that writes.
struct Queue {
    pending: Mutex<Pending>,
    changed: Condvar,
}

struct Pending {
    items: VecDeque<Item>,
    /// Bytes of all lines in `items`.
    bytes: usize,
    /// The writer is at work with what it has taken.
    writing: bool,
    dropped: Dropped,
}

enum Item {
    /// Whole lines.
    Lines(Vec<u8>),
    /// The lines after this one go there.
    Target(Target),
}

/// Lines that were dropped since the log last said how many.
struct Dropped {
    count: usize,
    /// Why the last of them was; `None` if the queue was full.
    error: Option<io::Error>,
}

impl Queue {
    const fn new() -> Self {
        Self {
            pending: Mutex::new(Pending {
                items: VecDeque::new(),
                bytes: 0,
                writing: false,
                dropped: Dropped {
                    count: 0,
                    error: None,
                },
            }),
            changed: Condvar::new(),
        }
    }

    /// Adds lines, or drops them if the queue is full.
    fn push_lines(&self, lines: &[u8]) {
        let mut pending = self.pending.lock();
        if pending.bytes + lines.len() > QUEUE_BYTES_MAX {
            pending.dropped.count += count_lines(lines);
            pending.dropped.error = None;
            return;
        }
        pending.bytes += lines.len();
        match pending.items.back_mut() {
            Some(Item::Lines(before)) => before.extend_from_slice(lines),
            _ => pending.items.push_back(Item::Lines(lines.to_vec())),
        }
        self.changed.notify_all();
    }

    fn push_target(&self, target: Target) {
        self.pending.lock().items.push_back(Item::Target(target));
        self.changed.notify_all();
    }

    /// Waits for the next item, for the writer.
    fn take(&self) -> Item {
        let mut pending = self.pending.lock();
        pending.writing = false;
        self.changed.notify_all();
        loop {
            if let Some(item) = pending.items.pop_front() {
                if let Item::Lines(lines) = &item {
                    pending.bytes -= lines.len();
                }
                pending.writing = true;
                return item;
            }
            self.changed.wait(&mut pending);
        }
    }

    fn drop_lines(&self, lines: &[u8], error: io::Error) {
        let dropped = &mut self.pending.lock().dropped;
        dropped.count += count_lines(lines);
        dropped.error = Some(error);
    }

    /// Takes what there is to tell of dropped lines, unless there is no room to tell it.
    fn take_dropped(&self) -> Option<Dropped> {
        let mut pending = self.pending.lock();
        if pending.dropped.count == 0 || pending.bytes > QUEUE_BYTES_MAX / 2 {
            return None;
        }
        let none = Dropped {
            count: 0,
            error: None,
        };
        Some(mem::replace(&mut pending.dropped, none))
    }

    /// Waits for a moment before the next try to write. Returns false if another target is to be
    /// used instead.
    fn wait_for_room(&self) -> bool {
        let mut pending = self.pending.lock();
        let switches = |pending: &mut Pending| {
            let mut items = pending.items.iter();
            items.any(|item| matches!(item, Item::Target(_)))
        };
        let waiting = self.changed.wait_while_for(
            &mut pending,
            |pending| !switches(pending),
            STEP_OF_WAITING,
        );
        waiting.timed_out()
    }

    fn wait_until_written(&self, deadline: Instant) {
        let is_behind = |pending: &mut Pending| pending.writing || !pending.items.is_empty();
        let mut pending = self.pending.lock();
        self.changed
            .wait_while_until(&mut pending, is_behind, deadline);
    }
}

/// The thread that writes.
struct Writer {
    queue: &'static Queue,
    target: Target,
    /// Whether the target can stay full: a pipe, a socket or a terminal.
    may_stall: bool,
    /// What was written last is not a whole line.
    is_torn: bool,
}

impl Writer {
    fn new(queue: &'static Queue, target: Target) -> Self {
        Self {
            queue,
            may_stall: may_stall(&target),
            target,
            is_torn: false,
        }
    }

    /// Never returns.
    fn run(&mut self) {
        loop {
            match self.queue.take() {
                Item::Lines(lines) => self.write(&lines),
                Item::Target(target) => {
                    self.may_stall = may_stall(&target);
                    self.target = target;
                    self.is_torn = false;
                }
            }
        }
    }

    fn write(&mut self, lines: &[u8]) {
        let end_of_torn = if self.is_torn { &b"\n"[..] } else { b"" };
        let mut rest = lines;
        let written = self
            .write_bytes(&mut { end_of_torn })
            .and_then(|()| self.write_bytes(&mut rest));
        match written {
            Ok(()) => self.tell_of_dropped(),
            Err(error) => self.queue.drop_lines(rest, error),
        }
    }

    /// Writes `bytes`, and leaves in it what could not be written.
    fn write_bytes(&mut self, bytes: &mut &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_some(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.is_torn = bytes[count - 1] != b'\n';
                    *bytes = &bytes[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.queue.wait_for_room() {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes a part of `bytes`. If the target stays full for [`STEP_OF_WAITING`], fails with
    /// `WouldBlock`.
    ///
    /// Leaves `O_NONBLOCK` of standard output unchanged, because other processes share it. Waits until
    /// a pipe has room for the whole write. The write can block only if another process takes that room
    /// first.
    fn write_some(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        if self.may_stall {
            let mut fds = [PollFd::new(&self.target, PollFlags::OUT)];
            let timeout = Timespec {
                tv_sec: 0,
                tv_nsec: STEP_OF_WAITING.subsec_nanos().into(),
            };
            if poll(&mut fds, Some(&timeout))? == 0 {
                return Err(rustix::io::Errno::AGAIN.into());
            }
            // A writable pipe has room for this many bytes.
            bytes = &bytes[..bytes.len().min(libc::PIPE_BUF)];
        }
        self.target.write(bytes)
    }

    fn tell_of_dropped(&self) {
        if let Some(Dropped { count, error }) = self.queue.take_dropped() {
            let why = match error {
                Some(error) => error.to_string(),
                None => "they came faster than the log could be written".into(),
            };
            log::warn!("lines of the log were dropped: {count}, {why}");
        }
    }
}

/// Returns false for a regular file, whose writes end.
fn may_stall(target: &Target) -> bool {
    let metadata = target.metadata();
    !metadata.is_ok_and(|metadata| metadata.is_file())
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.split_inclusive(|&byte| byte == b'\n').count()
}

/// Bytes of lines that wait to be written: some ten thousand lines.
const QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// Maximum time of one wait for room in a full target.
const STEP_OF_WAITING: Duration = Duration::from_millis(20);

/// How long the process's end waits for its last lines to be written.
const LAST_LINES: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A queue, and a writer of it that writes into a pipe which is full when nobody reads.
    fn queue_and_pipe() -> (&'static Queue, PipeReader) {
        let (reader, target) = io::pipe().unwrap();
        (start_writer(target.into()), reader)
    }

    fn start_writer(target: OwnedFd) -> &'static Queue {
        let queue: &'static Queue = Box::leak(Box::new(Queue::new()));
        let target = File::from(target);
        thread::spawn(move || Writer::new(queue, target).run());
        queue
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn lines_in_pieces_are_written_whole_and_in_order() {
        let (queue, mut reader) = queue_and_pipe();
        let mut lines = Lines::to(queue);
        for piece in ["one", " line\n", "and", " ", "another", "\n", "half"] {
            lines.write_all(piece.as_bytes()).unwrap();
        }
        queue.wait_until_written(soon());
        let mut written = [0; 21];
        reader.read_exact(&mut written).unwrap();
        assert_eq!(written, *b"one line\nand another\n");
    }

    #[test]
    fn full_pipe_drops_lines_and_counts_them() {
        let (queue, mut reader) = queue_and_pipe();
        let line = [&[b'x'; 999][..], b"\n"].concat();
        let count = 4 * QUEUE_BYTES_MAX / line.len();
        for _ in 0..count {
            queue.push_lines(&line);
        }
        let dropped = queue.pending.lock().dropped.count;
        assert!(dropped > count / 2, "{dropped} of {count}");
        let mut kept = vec![0; (count - dropped) * line.len()];
        reader.read_exact(&mut kept).unwrap();
        queue.push_lines(b"next\n");
        let mut next = [0; 5];
        reader.read_exact(&mut next).unwrap();
        assert_eq!(next, *b"next\n");
    }

    #[test]
    fn another_target_replaces_one_that_is_stalled() {
        let (queue, _reader) = queue_and_pipe();
        switches_though_stalled(queue);
    }

    #[test]
    fn another_target_replaces_a_stalled_socket() {
        let (_reader, target) = UnixStream::pair().unwrap();
        switches_though_stalled(start_writer(target.into()));
    }

    fn switches_though_stalled(queue: &'static Queue) {
        queue.push_lines(&b"to the old one\n".repeat(60_000));
        queue.wait_until_written(Instant::now() + Duration::from_millis(100));
        assert!(queue.pending.lock().writing, "it is stalled");
        let (mut reader, target) = io::pipe().unwrap();
        queue.push_target(File::from(OwnedFd::from(target)));
        queue.push_lines(b"to the new one\n");
        let mut line = [0; 15];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(line, *b"to the new one\n");
    }

    #[test]
    fn flush_of_a_stalled_log_ends() {
        let (queue, _reader) = queue_and_pipe();
        queue.push_lines(&b"nobody reads this\n".repeat(10_000));
        queue.wait_until_written(Instant::now() + Duration::from_millis(50));
        assert!(queue.pending.lock().writing);
    }

    #[test]
    fn line_after_a_torn_one_begins_at_a_line() {
        let queue: &'static Queue = Box::leak(Box::new(Queue::new()));
        let (mut reader, target) = io::pipe().unwrap();
        let mut writer = Writer::new(queue, File::from(OwnedFd::from(target)));
        writer.write_bytes(&mut &b"half of a li"[..]).unwrap();
        writer.write(b"whole\n");
        drop(writer);
        let mut written = String::new();
        reader.read_to_string(&mut written).unwrap();
        assert_eq!(written, "half of a li\nwhole\n");
    }
}
