//! How long things took, in buckets: recording one allocates nothing and costs some nanoseconds.

use std::time::Duration;

/// Counts of nanoseconds. Up to [`STEPS`] each has a bucket of its own; beyond that each power of
/// two is cut into [`STEPS`] equal buckets, so no value is off by more than 0.2 %.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    buckets: Vec<u32>,
    count: u64,
}

/// Buckets of a power of two.
const STEPS: u64 = 1 << STEPS_LOG2;

const STEPS_LOG2: u32 = 8;

/// Longer times, from 68 s on, are counted as this.
const NANOSECONDS_MAX: u64 = (1 << 36) - 1;

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            buckets: vec![0; bucket_of(NANOSECONDS_MAX) + 1],
            count: 0,
        }
    }

    pub(crate) fn record(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(NANOSECONDS_MAX);
        self.buckets[bucket_of(nanoseconds.min(NANOSECONDS_MAX))] += 1;
        self.count += 1;
    }

    /// The time in microseconds that `percent` of all did not exceed; `None` if nothing was
    /// recorded.
    pub(crate) fn percentile_us(&self, percent: f64) -> Option<f64> {
        let wanted = (self.count as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut passed = 0;
        let bucket = self.buckets.iter().position(|&count| {
            passed += u64::from(count);
            passed >= wanted
        })?;
        Some(middle_ns(bucket) / 1000.0)
    }
}

fn bucket_of(nanoseconds: u64) -> usize {
    if nanoseconds < STEPS {
        return nanoseconds as usize;
    }
    let shift = nanoseconds.ilog2() - STEPS_LOG2;
    // The leading bit is in `shift`; those behind it say which step.
    let step = (nanoseconds >> shift) - STEPS;
    (u64::from(shift + 1) * STEPS + step) as usize
}

/// The middle of what a bucket holds.
fn middle_ns(bucket: usize) -> f64 {
    let (power, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    if power == 0 {
        return step as f64;
    }
    let width = 1_u64 << (power - 1);
    ((STEPS + step) * width) as f64 + (width - 1) as f64 / 2.0
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "cargo sets `test` for a bench, without tests"
)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_near_the_middle_of_its_bucket() {
        let edges = (0..36).flat_map(|power| {
            let edge = 1_u64 << power;
            [edge - 1, edge, edge + 1, edge + edge / 3]
        });
        for nanoseconds in edges {
            let middle = middle_ns(bucket_of(nanoseconds));
            let off = (middle - nanoseconds as f64).abs();
            assert!(off <= nanoseconds as f64 * 0.002, "{nanoseconds}: {middle}");
        }
    }

    #[test]
    fn buckets_follow_each_other() {
        let all = (0..1 << 12).map(bucket_of);
        let mut last = 0;
        for bucket in all {
            assert!(bucket == last || bucket == last + 1, "{last}, {bucket}");
            last = bucket;
        }
        assert_eq!(bucket_of(511), 511);
        assert_eq!(bucket_of(514), bucket_of(515));
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let mut histogram = Histogram::new();
        for milliseconds in (1..=1000).rev() {
            histogram.record(Duration::from_millis(milliseconds));
        }
        for (percent, expected_us) in [(50.0, 500e3), (99.0, 990e3), (99.9, 999e3), (100.0, 1e6)] {
            let us = histogram.percentile_us(percent).expect("there are some");
            assert!((us / expected_us - 1.0).abs() < 0.002, "{percent}: {us}");
        }
    }

    #[test]
    fn one_time_is_every_percentile_and_none_is_no_percentile() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.percentile_us(50.0), None);
        histogram.record(Duration::from_nanos(200));
        assert_eq!(histogram.percentile_us(0.0), Some(0.2));
        assert_eq!(histogram.percentile_us(99.9), Some(0.2));
    }

    #[test]
    fn a_time_beyond_all_buckets_is_counted_as_the_longest() {
        for time in [Duration::from_secs(100), Duration::MAX] {
            let mut histogram = Histogram::new();
            histogram.record(time);
            let us = histogram.percentile_us(50.0).expect("there is one");
            assert!((us / 68.7e6 - 1.0).abs() < 0.01, "{us}");
        }
    }
}
