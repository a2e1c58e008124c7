//! Histograms of durations.

use std::array;
use std::collections::HashMap;

use super::text::{Labels, Text};
use crate::state::ServerState;
use crate::state::histogram::Histogram;
use crate::state::stats::Counts;

/// The durations of every command that was used.
#[derive(Debug, Default)]
pub(super) struct CommandDurations(HashMap<Box<str>, Shown>);

/// Durations as they were last shown.
///
/// Counts that are scaled up from a sample may fall between two scrapes: if a long call is timed,
/// the short ones are fewer of all. Prometheus would take that for a restart. So each number stays at
/// the most that was shown.
#[derive(Debug, Default)]
pub(super) struct Shown {
    count: u64,
    pub(super) seconds: f64,
    /// How many took at most so long, for each limit; `None` until one was recorded.
    up_to: Option<[u64; LIMITS]>,
}

impl CommandDurations {
    /// Takes over the durations of `totals`.
    pub(super) fn advance(&mut self, state: &ServerState, totals: &Counts) {
        for (name, counts) in state.used_commands(totals) {
            let (calls, seconds) = (counts.calls.get(), counts.micros() / 1e6);
            let shown = self.0.entry(name.into()).or_default();
            shown.advance(calls, seconds, counts.durations());
        }
    }

    pub(super) fn of(&self, command: &str) -> Option<&Shown> {
        self.0.get(command)
    }
}

impl Shown {
    /// Takes over durations that are now so many, and take so long. Scales them up to `count`.
    pub(super) fn advance(&mut self, count: u64, seconds: f64, durations: Option<&Histogram>) {
        if count < self.count {
            // CONFIG RESETSTAT.
            *self = Self::default();
        }
        self.count = count;
        self.seconds = self.seconds.max(seconds);
        if let Some(durations) = durations {
            let up_to = self.up_to.get_or_insert([0; LIMITS]);
            for (shown, now) in up_to.iter_mut().zip(durations.up_to(limits_ns(), count)) {
                *shown = now.max(*shown);
            }
        }
    }

    /// Adds the samples of the histogram `name`, unless no duration was recorded.
    pub(super) fn write(&self, name: &str, labels: &Labels<'_>, text: &mut Text) {
        let Some(up_to) = &self.up_to else {
            return;
        };
        let bucket = format!("{name}_bucket");
        let mut add = |limit: &str, count| {
            let labels = [labels, &[("le", limit)]].concat();
            text.sample(&bucket, &labels, count);
        };
        for (limit_ns, &count) in limits_ns().zip(up_to) {
            add(&seconds(limit_ns), count);
        }
        add("+Inf", self.count);
        text.sample(&format!("{name}_sum"), labels, self.seconds);
        text.sample(&format!("{name}_count"), labels, self.count);
    }
}

/// Returns the limits of all histograms, the same in every scrape: powers of two from 256 ns to
/// 17 s, where the counts are exact.
fn limits_ns() -> impl Iterator<Item = u64> {
    let limits: [u64; LIMITS] = array::from_fn(|index| FIRST_LIMIT_NS << index);
    limits.into_iter()
}

const LIMITS: usize = 27;

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
    use crate::state::stats::CommandCounts;
    use std::time::Duration;

    fn advance(shown: &mut Shown, counts: &CommandCounts) {
        let seconds = counts.micros() / 1e6;
        shown.advance(counts.calls.get(), seconds, counts.durations());
    }

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
        advance(&mut shown, &counts);
        assert_eq!(shown.up_to.map(|up_to| up_to[0]), Some(133));
        calls(1, Duration::from_secs(1), &counts);
        advance(&mut shown, &counts);
        let up_to = shown.up_to.expect("durations");
        assert_eq!((up_to[0], up_to[LIMITS - 1]), (133, 134));
        assert!(up_to.is_sorted());

        let after_reset = CommandCounts::default();
        calls(2, Duration::from_secs(60), &after_reset);
        advance(&mut shown, &after_reset);
        assert_eq!(shown.up_to, Some([0; LIMITS]));
        assert_eq!(shown.count, 2);
        assert!((shown.seconds - 120.0).abs() < 1e-6, "{}", shown.seconds);
    }

    #[test]
    fn command_without_recorded_durations_has_no_samples() {
        let counts = CommandCounts::default();
        counts.calls.add(5);
        counts.time(Duration::from_micros(1), false);
        let mut shown = Shown::default();
        advance(&mut shown, &counts);
        let mut text = Text::default();
        shown.write("x", &[], &mut text);
        assert_eq!(text.finish(), "");
    }
}
