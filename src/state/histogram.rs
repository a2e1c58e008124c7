//! Histograms of durations.

use std::array;

use super::counter::LocalCounter;

/// Counts durations in 16 buckets for each power of two of nanoseconds, so that each is known to a
/// sixteenth. One thread writes.
#[derive(Debug)]
pub(crate) struct Histogram([LocalCounter; BUCKETS]);

const _: () = assert!(size_of::<Histogram>() < 5000);

impl Default for Histogram {
    fn default() -> Self {
        Self(array::from_fn(|_| LocalCounter::default()))
    }
}

impl Histogram {
    pub(super) fn add(&self, took_ns: u64) {
        self.0[bucket(took_ns)].add(1);
    }

    /// Adds so many of the shortest durations.
    pub(super) fn add_shortest(&self, count: u64) {
        self.0[0].add(count);
    }

    pub(super) fn combine(&self, other: &Self, sum: fn(u64, u64) -> u64) {
        for (own, other) in self.0.iter().zip(&other.0) {
            own.combine(other, sum);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(LocalCounter::get).sum()
    }

    /// Returns the duration in microseconds that `percent` of the calls do not exceed.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let wanted = (percent / 100.0 * self.count() as f64).ceil().max(1.0) as u64;
        let mut sum = 0;
        let bucket = self.0.iter().position(|count| {
            sum += count.get();
            sum >= wanted
        });
        upper_ns(bucket.unwrap_or(BUCKETS - 1)) as f64 / 1000.0
    }

    /// Returns how many of `calls` took up to so many microseconds, for each power of two where
    /// that grows: Redis's `LATENCY HISTOGRAM`. Scales the durations to `calls` if only a part was
    /// timed.
    pub(crate) fn cumulated(&self, calls: u64) -> Vec<(u64, u64)> {
        let count = self.count();
        let (mut points, mut sum, mut shown) = (Vec::new(), 0, 0);
        let mut limit_ns = FIRST_POINT_NS;
        for (bucket, in_bucket) in self.0.iter().enumerate() {
            while upper_ns(bucket) > limit_ns {
                limit_ns *= 2;
            }
            sum += in_bucket.get();
            let ends = upper_ns(bucket) == limit_ns || bucket + 1 == self.0.len();
            if ends && sum > shown {
                shown = sum;
                let calls = scaled(sum, calls, count);
                // Rounded as the buckets of Redis's histogram, so that the points have the same
                // names: 1, 2, 4, 8, 16, 33, 66, …
                points.push(((limit_ns + limit_ns / 128 - 1) / 1000, calls));
            }
        }
        points
    }
}

impl Histogram {
    /// Returns how many of `calls` took at most so many nanoseconds, for each of `limits_ns`, which
    /// ascend. Scales like [`Self::cumulated`]. Exact for powers of two.
    #[cfg(feature = "http")]
    pub(crate) fn up_to(
        &self,
        limits_ns: impl Iterator<Item = u64>,
        calls: u64,
    ) -> impl Iterator<Item = u64> {
        let count = self.count();
        let mut buckets = self.0.iter().enumerate().peekable();
        let mut sum = 0;
        limits_ns.map(move |limit_ns| {
            let is_below = |(bucket, _): &(usize, _)| upper_ns(*bucket) <= limit_ns;
            while let Some((_, in_bucket)) = buckets.next_if(is_below) {
                sum += in_bucket.get();
            }
            scaled(sum, calls, count)
        })
    }
}

/// Returns the part of `calls` that `sum` is of `count`.
fn scaled(sum: u64, calls: u64, count: u64) -> u64 {
    (u128::from(calls) * u128::from(sum) / u128::from(count.max(1))) as u64
}

/// Returns the bucket of a duration: one for each up to 16 ns, then 16 for each power of two.
fn bucket(took_ns: u64) -> usize {
    let last = took_ns.saturating_sub(1);
    if last < 16 {
        return last as usize;
    }
    let power = last.ilog2() as usize;
    let bucket = (power - 3) * 16 + ((last >> (power - 4)) & 15) as usize;
    bucket.min(BUCKETS - 1)
}

/// Returns the longest duration of a bucket, in nanoseconds.
fn upper_ns(bucket: usize) -> u64 {
    if bucket < 16 {
        return bucket as u64 + 1;
    }
    let (power, part) = (bucket / 16 + 3, bucket % 16);
    (16 + part as u64 + 1) << (power - 4)
}

/// Up to a quarter of an hour; longer durations are in the last bucket.
const BUCKETS: usize = 37 * 16;

/// The first point of `LATENCY HISTOGRAM`.
const FIRST_POINT_NS: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn durations(durations_ns: &[u64]) -> Histogram {
        let histogram = Histogram::default();
        for &ns in durations_ns {
            histogram.add(ns);
        }
        histogram
    }

    #[test]
    fn bucket_ends_at_its_durations_or_closely_above() {
        for ns in (1..100_000).chain((0..39).map(|power| 1 << power)) {
            let upper = upper_ns(bucket(ns));
            assert!(ns <= upper && upper <= ns + ns / 16 + 1, "{ns} in {upper}");
            assert!(bucket(ns) == 0 || upper_ns(bucket(ns) - 1) < ns, "{ns}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_those_of_the_timed_calls() {
        let mut all_ns = vec![1_000; 98];
        all_ns.extend([50_000, 1_000_000]);
        let timed = durations(&all_ns);
        let near = |percent, micros: f64| {
            let value = timed.percentile(percent);
            assert!(
                (micros..micros * 17.0 / 16.0 + 0.001).contains(&value),
                "{percent}: {value}"
            );
        };
        near(50.0, 1.0);
        near(98.0, 1.0);
        near(99.0, 50.0);
        near(99.9, 1000.0);
        near(100.0, 1000.0);
        assert_eq!(durations(&[]).count(), 0);
    }

    #[test]
    fn cumulated_has_the_points_of_redis_and_all_calls() {
        let durations = durations(&[500, 1024, 1025, 30_000, 40_000, 1_000_000]);
        assert_eq!(
            durations.cumulated(6),
            [(1, 2), (2, 3), (33, 4), (66, 5), (1056, 6)]
        );
        assert_eq!(durations.cumulated(600).last(), Some(&(1056, 600)));
    }

    #[test]
    #[cfg(feature = "http")]
    fn durations_up_to_a_limit_include_it() {
        let durations = durations(&[500, 1024, 1025, 4096, u64::MAX]);
        let up_to = |calls| {
            let limits_ns = [256, 512, 1024, 2048, 4096, 1 << 34];
            durations
                .up_to(limits_ns.into_iter(), calls)
                .collect::<Vec<_>>()
        };
        assert_eq!(up_to(5), [0, 1, 2, 3, 4, 4]);
        assert_eq!(up_to(50), [0, 10, 20, 30, 40, 40]);
        assert_eq!(
            Histogram::default().up_to([1].into_iter(), 7).next(),
            Some(0)
        );
    }
}
