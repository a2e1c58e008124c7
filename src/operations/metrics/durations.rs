//! Histograms of durations.

use std::array;
use std::collections::HashMap;

use super::text::{Kind, Text};
use crate::state::ServerState;
use crate::state::stats::{CommandCounts, Counts};

/// The durations of every command that was used, as they were last shown.
#[derive(Debug, Default)]
pub(super) struct CommandDurations(HashMap<Box<str>, Shown>);

/// The durations of a command's calls, scaled up from the calls that were timed.
///
/// The share of short calls may fall between two scrapes, and with it the number that is scaled
/// from it. Prometheus would take that for a restart. So each number stays at the most that was
/// shown.
#[derive(Debug, Default)]
pub(super) struct Shown {
    calls: u64,
    pub(super) seconds: f64,
    /// The calls that took at most so long, for each limit; `None` until one was recorded.
    up_to: Option<[u64; LIMITS]>,
}

impl CommandDurations {
    /// Takes over the durations of `totals`.
    pub(super) fn advance(&mut self, state: &ServerState, totals: &Counts) {
        for (name, counts) in state.used_commands(totals) {
            if let Some(shown) = self.0.get_mut(name) {
                shown.advance(counts);
            } else {
                let mut shown = Shown::default();
                shown.advance(counts);
                self.0.insert(name.into(), shown);
            }
        }
    }

    pub(super) fn of(&self, command: &str) -> Option<&Shown> {
        self.0.get(command)
    }
}

impl Shown {
    fn advance(&mut self, counts: &CommandCounts) {
        let calls = counts.calls.get();
        if calls < self.calls {
            // CONFIG RESETSTAT.
            *self = Self::default();
        }
        self.calls = calls;
        self.seconds = self.seconds.max(counts.micros() / 1e6);
        if let Some(durations) = counts.durations() {
            let up_to = self.up_to.get_or_insert([0; LIMITS]);
            for (shown, now) in up_to.iter_mut().zip(durations.up_to(limits_ns(), calls)) {
                *shown = now.max(*shown);
            }
        }
    }

    /// Adds the samples of the family `name`, unless no duration was recorded.
    pub(super) fn write(&self, name: &str, command: &str, text: &mut Text) {
        if let Some(up_to) = &self.up_to {
            let labels = [("cmd", command)];
            let histogram = Samples {
                up_to,
                count: self.calls,
                seconds: self.seconds,
            };
            histogram.write(name, &labels, text);
        }
    }
}

/// The samples of a histogram.
pub(super) struct Samples<'a> {
    pub(super) up_to: &'a [u64; LIMITS],
    pub(super) count: u64,
    pub(super) seconds: f64,
}

impl Samples<'_> {
    pub(super) fn write(&self, name: &str, labels: &[(&str, &str)], text: &mut Text) {
        let bucket = format!("{name}_bucket");
        let mut add = |limit: &str, count| {
            let labels = [labels, &[("le", limit)]].concat();
            text.sample(&bucket, &labels, count);
        };
        for (limit_ns, &count) in limits_ns().zip(self.up_to) {
            add(&seconds(limit_ns), count);
        }
        add("+Inf", self.count);
        text.sample(&format!("{name}_sum"), labels, self.seconds);
        text.sample(&format!("{name}_count"), labels, self.count);
    }
}

/// Begins a family of histograms.
pub(super) fn family(name: &str, help: &str, text: &mut Text) {
    text.family(name, Kind::Histogram, help);
}

/// Returns the limits of all histograms, the same in every scrape: powers of two from 256 ns to
/// 17 s, where the counts are exact.
pub(super) fn limits_ns() -> impl Iterator<Item = u64> {
    let limits: [u64; LIMITS] = array::from_fn(|index| FIRST_LIMIT_NS << index);
    limits.into_iter()
}

pub(super) const LIMITS: usize = 27;

const FIRST_LIMIT_NS: u64 = 256;

/// Returns a time in seconds, exactly.
fn seconds(ns: u64) -> String {
    let (whole, part) = (ns / 1_000_000_000, ns % 1_000_000_000);
    let text = format!("{whole}.{part:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn calls(count: u64, took: Duration, counts: &CommandCounts) {
        counts.calls.add(count);
        counts.time(took, true);
    }

    #[test]
    fn limits_are_exact_in_seconds() {
        let limits: Vec<_> = limits_ns().map(seconds).collect();
        assert_eq!(limits[0], "0.000000256");
        assert_eq!(limits[1], "0.000000512");
        assert_eq!(limits[22], "1.073741824");
        assert_eq!(limits.last().map(String::as_str), Some("17.179869184"));
        assert_eq!(seconds(2_000_000_000), "2");
    }

    #[test]
    fn shown_counts_never_fall_except_after_a_reset() {
        let counts = CommandCounts::default();
        let mut shown = Shown::default();
        // 66 of 67 calls are not timed.
        calls(133, Duration::from_nanos(200), &counts);
        shown.advance(&counts);
        assert_eq!(shown.up_to.map(|up_to| up_to[0]), Some(133));
        calls(1, Duration::from_secs(1), &counts);
        shown.advance(&counts);
        let up_to = shown.up_to.expect("durations");
        assert_eq!((up_to[0], up_to[LIMITS - 1]), (133, 134));
        assert!(up_to.is_sorted());

        let after_reset = CommandCounts::default();
        calls(2, Duration::from_secs(60), &after_reset);
        shown.advance(&after_reset);
        assert_eq!(shown.up_to, Some([0; LIMITS]));
        assert_eq!(shown.calls, 2);
        assert!((shown.seconds - 120.0).abs() < 1e-6, "{}", shown.seconds);
    }

    #[test]
    fn command_without_recorded_durations_has_no_samples() {
        let counts = CommandCounts::default();
        counts.calls.add(5);
        counts.time(Duration::from_micros(1), false);
        let mut shown = Shown::default();
        shown.advance(&counts);
        let mut text = Text::default();
        shown.write("x", "ping", &mut text);
        assert_eq!(text.finish(), "");
    }
}
