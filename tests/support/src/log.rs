//! The lines that the servers of this process log.
//!
//! A process has one logger, so all tests of a binary share it. Look for a line by a client's address
//! and by what happened to it: clients of two servers may have the same address.

use std::sync::Once;
use std::time::Instant;

use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;

/// Starts to keep what is logged from now on, at all levels. Further calls change nothing.
pub fn collect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&LINES).expect("there is no other logger");
        log::set_max_level(LevelFilter::Debug);
    });
}

/// Returns the first line since `start` that `is_wanted` accepts.
pub fn find(start: Instant, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
    let lines = LINES.0.lock();
    let mut lines = lines.iter().filter(|line| line.0 >= start);
    lines
        .find(|line| is_wanted(&line.1))
        .map(|line| line.1.clone())
}

/// When each line was logged, and its text.
struct Lines(Mutex<Vec<(Instant, String)>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("respool")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = (Instant::now(), record.args().to_string());
            self.0.lock().push(line);
        }
    }

    fn flush(&self) {}
}
