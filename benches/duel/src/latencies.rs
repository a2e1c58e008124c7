//! How long the replies took.

use std::time::Duration;

use hdrhistogram::Histogram;

/// A histogram of nanoseconds whose buckets are 0.1 % wide. Recording does not allocate.
pub(crate) struct Latencies(Histogram<u32>);

/// Longer times count as this.
const MINUTE: Duration = Duration::from_secs(60);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self(
            Histogram::new_with_bounds(1, MINUTE.as_nanos() as u64, 3)
                .expect("the bounds are valid"),
        )
    }

    pub(crate) fn record(&mut self, time: Duration) {
        self.0.saturating_record(time.min(MINUTE).as_nanos() as u64);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len() as usize
    }

    /// Returns the microseconds that `percent` of the times did not exceed; NaN without times.
    pub(crate) fn percentile_us(&self, percent: f64) -> f64 {
        if self.0.is_empty() {
            return f64::NAN;
        }
        self.0.value_at_percentile(percent) as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let mut latencies = Latencies::new();
        assert!(latencies.percentile_us(50.0).is_nan());
        for milliseconds in (1..=1000).rev() {
            latencies.record(Duration::from_millis(milliseconds));
        }
        assert_eq!(latencies.count(), 1000);
        for (percent, expected_us) in [(50.0, 500e3), (99.0, 990e3), (99.9, 999e3), (100.0, 1e6)] {
            let us = latencies.percentile_us(percent);
            assert!((us / expected_us - 1.0).abs() < 0.002, "{percent}: {us}");
        }
    }

    #[test]
    fn a_single_time_is_every_percentile() {
        for (time, expected_us) in [
            (Duration::from_nanos(200), 0.2),
            // Times beyond the buckets count as the longest.
            (MINUTE * 2, 60e6),
            (Duration::MAX, 60e6),
        ] {
            let mut latencies = Latencies::new();
            latencies.record(time);
            for percent in [0.0, 99.9] {
                let us = latencies.percentile_us(percent);
                assert!((us / expected_us - 1.0).abs() < 0.001, "{percent}: {us}");
            }
        }
    }
}
