//! The latency monitor: the seconds in which a command, or a client's wait for its turn, took
//! longer than `latency-monitor-threshold`. Redis's `src/latency.c`.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

use crate::time::now_since_1970;

/// Spikes by event: `command`, or `fast-command` for commands of constant time, and `queue-wait`.
#[derive(Debug, Default)]
pub(crate) struct LatencyMonitor(Mutex<BTreeMap<&'static str, Series>>);

/// The spikes of one event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    /// One for each second with a spike, the latest last.
    pub(crate) samples: VecDeque<LatencySample>,
    /// The longest spike since the start, in milliseconds.
    pub(crate) longest_ms: u64,
}

/// The longest spike of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LatencySample {
    /// Seconds since 1970.
    pub(crate) at_s: u64,
    pub(crate) took_ms: u64,
}

impl LatencyMonitor {
    pub(crate) fn add(&self, event: &'static str, took_ms: u64) {
        self.add_at(now_since_1970().as_secs(), event, took_ms);
    }

    fn add_at(&self, at_s: u64, event: &'static str, took_ms: u64) {
        let mut events = self.0.lock();
        let series = events.entry(event).or_default();
        series.longest_ms = series.longest_ms.max(took_ms);
        match series.samples.back_mut() {
            Some(last) if last.at_s == at_s => last.took_ms = last.took_ms.max(took_ms),
            _ => series.samples.push_back(LatencySample { at_s, took_ms }),
        }
        if series.samples.len() > SAMPLES_MAX {
            series.samples.pop_front();
        }
    }

    /// Returns every event that had a spike.
    pub(crate) fn all(&self) -> BTreeMap<&'static str, Series> {
        self.0.lock().clone()
    }

    /// Removes these events. Returns how many there were.
    pub(crate) fn reset(&self, names: &[&str]) -> usize {
        let mut events = self.0.lock();
        let before = events.len();
        events.retain(|name, _| !names.contains(name));
        before - events.len()
    }
}

/// Redis's `LATENCY_TS_LEN`.
const SAMPLES_MAX: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_has_one_spike_and_a_series_160() {
        let samples = LatencyMonitor::default();
        samples.add_at(1, "command", 20);
        samples.add_at(1, "command", 30);
        samples.add_at(1, "command", 10);
        let series = samples.all().remove("command").expect("it was added");
        assert_eq!(
            series.samples,
            [LatencySample {
                at_s: 1,
                took_ms: 30
            }]
        );
        for at_s in 2..500 {
            samples.add_at(at_s, "command", 5);
        }
        let series = samples.all().remove("command").expect("it was added");
        assert_eq!(series.samples.len(), SAMPLES_MAX);
        assert_eq!(series.longest_ms, 30);
        assert_eq!(series.samples.back().map(|spike| spike.at_s), Some(499));
    }

    #[test]
    fn reset_events_are_counted() {
        let samples = LatencyMonitor::default();
        samples.add("command", 1);
        samples.add("fast-command", 1);
        assert_eq!(samples.reset(&["command"]), 1);
        assert!(samples.all().into_keys().eq(["fast-command"]));
        assert_eq!(samples.reset(&["fast-command"]), 1);
        assert!(samples.all().is_empty());
    }
}
