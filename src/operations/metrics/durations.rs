//! Histograms of durations.

use std::array;
use std::collections::HashMap;

use super::text::{Labels, Text};
use crate::state::ServerState;
use crate::state::histogram::Histogram;
use crate::state::stats::{CommandCounts, Counts, QueueWait};

/// The durations of every command that was used.
#[derive(Debug, Default)]
pub(super) struct CommandDurations(HashMap<Box<str>, Shown>);

/// Durations as they were last shown.
///
/// Only some calls are timed. Each scrape takes the calls since the one before to be like the timed
/// ones among them. If all calls were scaled at once, each change would also move those of long
/// ago: counts would fall, which Prometheus takes for a restart, or grow by more than there were
/// calls.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// The number of resets before the first of the calls.
    resets: u64,
    count: u64,
    pub(super) seconds: f64,
    /// How many took at most so long, for each limit; `None` until one was recorded. With
    /// fractions, so that they add up.
    up_to: Option<[f64; LIMITS]>,
    timed: Timed,
    recorded: Recorded,
}

/// The calls that were timed, and their time.
#[derive(Debug, Default, Clone, Copy)]
struct Timed {
    count: u64,
    seconds: f64,
}

/// The timed calls that are in a histogram, and how many took at most so long.
#[derive(Debug, Default, Clone, Copy)]
struct Recorded {
    count: u64,
    up_to: [u64; LIMITS],
}

impl CommandDurations {
    /// Takes over the durations of `totals`, which begin after so many resets.
    pub(super) fn advance(&mut self, state: &ServerState, totals: &Counts, resets: u64) {
        for (name, counts) in state.used_commands(totals) {
            let shown = self.0.entry(name.into()).or_default();
            shown.begin_again_after(resets);
            shown.advance(counts.calls.get(), timed(counts), counts.durations());
        }
    }

    pub(super) fn of(&self, command: &str) -> Option<&Shown> {
        self.0.get(command)
    }
}

fn timed(counts: &CommandCounts) -> Timed {
    let (count, took) = counts.timed();
    let seconds = took.as_secs_f64();
    Timed { count, seconds }
}

impl Shown {
    /// Forgets all after CONFIG RESETSTAT. The counts alone do not show it: they may have become
    /// higher than before it.
    fn begin_again_after(&mut self, resets: u64) {
        if resets != self.resets {
            *self = Self::default();
            self.resets = resets;
        }
    }

    /// Takes over that there are now `count` calls, and what was timed of them.
    fn advance(&mut self, count: u64, timed: Timed, durations: Option<&Histogram>) {
        let more = (count - self.count) as f64;
        self.count = count;
        self.seconds += more * timed.since(self.timed).mean();
        self.timed = timed;
        if let Some(durations) = durations {
            let recorded = Recorded::of(durations);
            // The first durations stand for all calls before them, too.
            let more = self.up_to.map_or(count as f64, |_| more);
            let up_to = self.up_to.get_or_insert([0.0; LIMITS]);
            let shares = recorded.since(&self.recorded).shares();
            for (shown, share) in up_to.iter_mut().zip(shares) {
                *shown += more * share;
            }
            self.recorded = recorded;
        }
    }

    /// Takes over waits, all of which are counted. They begin after so many resets.
    pub(super) fn advance_by_waits(&mut self, waits: &QueueWait, resets: u64) {
        self.begin_again_after(resets);
        let timed = Timed {
            count: waits.count(),
            seconds: waits.sum_ns() as f64 / 1e9,
        };
        self.advance(timed.count, timed, Some(waits.waits()));
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
            add(&seconds(limit_ns), count.round() as u64);
        }
        add("+Inf", self.count);
        text.sample(&format!("{name}_sum"), labels, self.seconds);
        text.sample(&format!("{name}_count"), labels, self.count);
    }
}

impl Timed {
    /// Returns what was timed since `before`, or all if that is nothing.
    fn since(self, before: Self) -> Self {
        if self.count == before.count {
            return self;
        }
        Self {
            count: self.count - before.count,
            seconds: self.seconds - before.seconds,
        }
    }

    fn mean(self) -> f64 {
        self.seconds / self.count.max(1) as f64
    }
}

impl Recorded {
    fn of(durations: &Histogram) -> Self {
        let count = durations.count();
        let mut up_to = durations.up_to(limits_ns(), count);
        Self {
            count,
            up_to: array::from_fn(|_| up_to.next().unwrap_or(count)),
        }
    }

    /// As [`Timed::since`].
    fn since(&self, before: &Self) -> Self {
        if self.count <= before.count {
            return *self;
        }
        Self {
            count: self.count - before.count,
            up_to: array::from_fn(|limit| self.up_to[limit].saturating_sub(before.up_to[limit])),
        }
    }

    fn shares(self) -> [f64; LIMITS] {
        self.up_to
            .map(|up_to| up_to as f64 / self.count.max(1) as f64)
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
    use std::time::Duration;

    fn advance(shown: &mut Shown, counts: &CommandCounts) {
        shown.advance(counts.calls.get(), timed(counts), counts.durations());
    }

    fn up_to(shown: &Shown, limit: usize) -> u64 {
        shown.up_to.expect("durations")[limit].round() as u64
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
        assert_eq!(up_to(&shown, 0), 133);
        calls(1, Duration::from_secs(1), &counts);
        advance(&mut shown, &counts);
        assert_eq!((up_to(&shown, 0), up_to(&shown, LIMITS - 1)), (133, 134));
        assert!(shown.up_to.is_some_and(|up_to| up_to.is_sorted()));

        let after_reset = CommandCounts::default();
        shown.begin_again_after(1);
        calls(2, Duration::from_secs(60), &after_reset);
        advance(&mut shown, &after_reset);
        assert_eq!(shown.up_to, Some([0.0; LIMITS]));
        assert_eq!(shown.count, 2);
        assert!((shown.seconds - 120.0).abs() < 1e-6, "{}", shown.seconds);

        // More calls than before the reset, which took less time.
        let after_reset = CommandCounts::default();
        shown.begin_again_after(2);
        for _ in 0..3 {
            calls(1, Duration::from_secs(1), &after_reset);
        }
        advance(&mut shown, &after_reset);
        assert_eq!((shown.count, up_to(&shown, LIMITS - 1)), (3, 3));
        assert!((shown.seconds - 3.0).abs() < 1e-6, "{}", shown.seconds);
    }

    /// A pipeline of equal requests is timed once. It made the durations of all later calls vanish.
    #[test]
    fn growth_between_scrapes_is_that_of_the_calls() {
        let counts = CommandCounts::default();
        let mut shown = Shown::default();
        calls(500, Duration::from_nanos(200), &counts);
        calls(500, Duration::from_millis(1), &counts);
        advance(&mut shown, &counts);
        assert_eq!((up_to(&shown, 0), up_to(&shown, LIMITS - 1)), (500, 1000));
        assert!((shown.seconds - 0.5).abs() < 1e-3, "{}", shown.seconds);
        for _ in 0..10 {
            calls(1, Duration::from_nanos(200), &counts);
        }
        advance(&mut shown, &counts);
        assert_eq!((up_to(&shown, 0), up_to(&shown, LIMITS - 1)), (510, 1010));
        assert!((shown.seconds - 0.5).abs() < 1e-3, "{}", shown.seconds);
        // None of these was timed.
        counts.calls.add(12);
        advance(&mut shown, &counts);
        assert_eq!((up_to(&shown, 0), up_to(&shown, LIMITS - 1)), (521, 1022));
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
