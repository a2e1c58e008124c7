//! What happened in a slice, and how it is counted.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::latencies::Latencies;

/// Counts the answers of a slice, and those in its window: without its beginning and its end.
pub(crate) struct Answers {
    start: Instant,
    window: Range<Instant>,
    count: usize,
    latencies: Latencies,
}

/// What happened in a slice.
pub(crate) struct Slice {
    /// Requests that were answered.
    pub(crate) requests: usize,
    /// The rate in the window, which excludes the beginning and the end of the slice.
    pub(crate) requests_per_s: f64,
    pub(crate) time: Duration,
    /// How long each pipeline took that was answered in the window.
    pub(crate) latencies: Latencies,
}

/// The part of a slice before its window. After it, all clients are talking.
const WARM_UP: f64 = 0.1;

impl Answers {
    pub(crate) fn starting_now(time: Duration) -> Self {
        let start = Instant::now();
        Self {
            start,
            window: start + time.mul_f64(WARM_UP)..start + time,
            count: 0,
            latencies: Latencies::new(),
        }
    }

    /// No client asks again from now on.
    pub(crate) fn end(&self) -> Instant {
        self.window.end
    }

    /// Counts the answer to what was asked then. Returns the current time.
    pub(crate) fn add(&mut self, asked_at: Instant) -> Instant {
        let now = Instant::now();
        self.count += 1;
        if self.window.contains(&now) {
            self.latencies.record(now - asked_at);
        }
        now
    }

    /// Returns the slice, in which each answer was to this many requests.
    pub(crate) fn slice(self, requests: usize) -> Slice {
        let in_window = self.latencies.count() * requests;
        let window = self.window.end - self.window.start;
        Slice {
            requests: self.count * requests,
            requests_per_s: in_window as f64 / window.as_secs_f64(),
            time: self.start.elapsed(),
            latencies: self.latencies,
        }
    }
}
