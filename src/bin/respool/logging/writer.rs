//! The queue of lines, and the thread that writes them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Assembles the lines that simplelog writes in pieces, and adds them to the queue.
pub(super) struct WholeLines {
    queue: &'static Queue,
    line: Vec<u8>,
}

impl WholeLines {
    pub(super) fn new(queue: &'static Queue) -> Self {
        let line = Vec::new();
        Self { queue, line }
    }
}

impl Write for WholeLines {
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

/// Lines from the threads that log to the thread that writes.
#[derive(Default)]
pub(super) struct Queue {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    items: VecDeque<Item>,
    /// Bytes of all lines in `items`.
    bytes: usize,
    /// Whether the writer has an item that is not written yet.
    writing: bool,
    dropped: Dropped,
}

enum Item {
    /// Whole lines.
    Lines(Vec<u8>),
    /// The file for the lines that follow.
    Target(File),
}

/// Lines dropped since the log last had their number.
#[derive(Default)]
struct Dropped {
    count: usize,
    /// The error of the last write; `None` if the queue was full.
    error: Option<io::Error>,
}

impl Queue {
    /// Adds lines, or drops them if the queue is full.
    pub(super) fn push_lines(&self, lines: &[u8]) {
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

    pub(super) fn push_target(&self, target: File) {
        self.pending.lock().items.push_back(Item::Target(target));
        self.changed.notify_all();
    }

    /// Waits for the next item. Call it when the previous one is written.
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

    /// Takes the number of dropped lines, if there are any and the queue has room to log it.
    fn take_dropped(&self) -> Option<Dropped> {
        let mut pending = self.pending.lock();
        let has_some = pending.dropped.count > 0 && pending.bytes <= QUEUE_BYTES_MAX / 2;
        has_some.then(|| mem::take(&mut pending.dropped))
    }

    /// Waits for [`WAIT`] before the next write. Returns false at once if another target follows.
    fn wait_for_room(&self) -> bool {
        let is_target = |item: &Item| matches!(item, Item::Target(_));
        let mut pending = self.pending.lock();
        let stays = |pending: &mut Pending| !pending.items.iter().any(is_target);
        let waited = self.changed.wait_while_for(&mut pending, stays, WAIT);
        waited.timed_out()
    }

    pub(super) fn wait_until_written(&self, deadline: Instant) {
        let is_unwritten = |pending: &mut Pending| pending.writing || !pending.items.is_empty();
        let mut pending = self.pending.lock();
        self.changed
            .wait_while_until(&mut pending, is_unwritten, deadline);
    }
}

/// The thread that writes.
pub(super) struct Writer {
    queue: &'static Queue,
    target: File,
    /// Whether the target can stay full: a pipe, a socket or a terminal.
    may_stall: bool,
    /// Whether the last write ended within a line.
    is_torn: bool,
}

impl Writer {
    pub(super) fn new(queue: &'static Queue, target: File) -> Self {
        let is_regular = target.metadata().is_ok_and(|metadata| metadata.is_file());
        Self {
            queue,
            target,
            may_stall: !is_regular,
            is_torn: false,
        }
    }

    /// Never returns.
    pub(super) fn run(&mut self) {
        loop {
            match self.queue.take() {
                Item::Lines(lines) => self.write(&lines),
                Item::Target(target) => *self = Self::new(self.queue, target),
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
            Ok(()) => self.log_dropped(),
            Err(error) => self.queue.drop_lines(rest, error),
        }
    }

    /// Writes `bytes`. On an error, `bytes` is the part that was not written.
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

    /// Writes a part of `bytes`. If the target stays full for [`WAIT`], fails with `WouldBlock`.
    ///
    /// Leaves `O_NONBLOCK` of standard output unchanged, because other processes share it. Waits
    /// until a pipe has room for the whole write. The write can block only if another process takes
    /// that room first.
    fn write_some(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        if self.may_stall {
            let mut fds = [PollFd::new(&self.target, PollFlags::OUT)];
            let timeout = Timespec {
                tv_sec: 0,
                tv_nsec: WAIT.subsec_nanos().into(),
            };
            if poll(&mut fds, Some(&timeout))? == 0 {
                return Err(rustix::io::Errno::AGAIN.into());
            }
            // A writable pipe has room for this many bytes.
            bytes = &bytes[..bytes.len().min(libc::PIPE_BUF)];
        }
        self.target.write(bytes)
    }

    fn log_dropped(&self) {
        if let Some(Dropped { count, error }) = self.queue.take_dropped() {
            let reason = match error {
                Some(error) => error.to_string(),
                None => "they came faster than the log could be written".into(),
            };
            log::warn!("lines of the log were dropped: {count}, {reason}");
        }
    }
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.split_inclusive(|&byte| byte == b'\n').count()
}

/// Maximum bytes of lines in the queue: some ten thousand lines.
const QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// Maximum time of one wait for room in a full target.
const WAIT: Duration = Duration::from_millis(20);

/// Maximum time for the last lines at the end of the process.
pub(super) const LAST_LINES: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    /// Starts a writer into a pipe, and returns its queue and the pipe.
    fn queue_and_pipe() -> (&'static Queue, PipeReader) {
        let (reader, target) = io::pipe().unwrap();
        (start_writer(target.into()), reader)
    }

    fn start_writer(target: OwnedFd) -> &'static Queue {
        let queue: &Queue = Box::leak(Box::default());
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
        let mut lines = WholeLines::new(queue);
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
    fn another_target_replaces_a_stalled_pipe() {
        let (queue, _reader) = queue_and_pipe();
        assert_replaces_a_stalled_target(queue);
    }

    #[test]
    fn another_target_replaces_a_stalled_socket() {
        let (_reader, target) = UnixStream::pair().unwrap();
        assert_replaces_a_stalled_target(start_writer(target.into()));
    }

    fn assert_replaces_a_stalled_target(queue: &'static Queue) {
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
        let queue: &Queue = Box::leak(Box::default());
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
