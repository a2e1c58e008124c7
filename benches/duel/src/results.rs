//! What was measured, and how two servers compare.

use std::collections::BTreeMap;

use serde::Serialize;

/// What is measured of a server under a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    RequestsPerS,
    CpuNsPerRequest,
    /// Of the time of a slice.
    BusyPercent,
    /// Of the time of a slice: the server or the load could run, and something else had the CPU.
    WaitingPercent,
    P50Us,
    P99Us,
    P999Us,
    ResidentBytesPerConnection,
    StartMs,
}

impl Figure {
    /// As a table names it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::RequestsPerS => "requests/s",
            Self::CpuNsPerRequest => "CPU ns/request",
            Self::BusyPercent => "busy %",
            Self::WaitingPercent => "waits for CPU %",
            Self::P50Us => "p50 µs",
            Self::P99Us => "p99 µs",
            Self::P999Us => "p99.9 µs",
            Self::ResidentBytesPerConnection => "RSS bytes/conn.",
            Self::StartMs => "start ms",
        }
    }

    /// Shares of the time say how far the others are to be trusted; their ratios say nothing.
    pub(crate) fn is_share(self) -> bool {
        matches!(self, Self::BusyPercent | Self::WaitingPercent)
    }
}

/// What one server did under one load: a value of each figure for each round.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Samples {
    pub(crate) server: String,
    pub(crate) rounds: BTreeMap<Figure, Vec<f64>>,
}

/// What all of them did under one load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    pub(crate) load: String,
    pub(crate) servers: Vec<Samples>,
}

/// The median of some values and the quartiles around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Samples {
    pub(crate) fn of(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            ..Self::default()
        }
    }

    /// Adds the values of a round. One that is missing is NaN, so that rounds stay beside each
    /// other.
    pub(crate) fn add(&mut self, values: &[(Figure, f64)]) {
        for &(figure, value) in values {
            self.rounds.entry(figure).or_default().push(value);
        }
    }
}

impl Measured {
    /// Adds the rounds of another pass.
    pub(crate) fn extend(&mut self, pass: Self) {
        debug_assert_eq!(self.load, pass.load);
        for more in pass.servers {
            let mut servers = self.servers.iter_mut();
            match servers.find(|samples| samples.server == more.server) {
                None => self.servers.push(more),
                Some(samples) => {
                    for (figure, values) in more.rounds {
                        samples.rounds.entry(figure).or_default().extend(values);
                    }
                }
            }
        }
    }

    pub(crate) fn figures(&self) -> Vec<Figure> {
        let figures = |samples: &Samples| samples.rounds.keys().copied().collect();
        self.servers.first().map(figures).unwrap_or_default()
    }

    pub(crate) fn value(&self, server: &str, figure: Figure) -> Option<Spread> {
        Spread::of(self.rounds(server, figure)?.iter().copied())
    }

    /// How many times as much `server` has as `rival`, compared round by round: what disturbs the
    /// machine for longer than a round disturbs both.
    pub(crate) fn ratio(&self, server: &str, rival: &str, figure: Figure) -> Option<Spread> {
        let (ours, theirs) = (self.rounds(server, figure)?, self.rounds(rival, figure)?);
        Spread::of(ours.iter().zip(theirs).map(|(our, their)| our / their))
    }

    fn rounds(&self, server: &str, figure: Figure) -> Option<&[f64]> {
        let mut servers = self.servers.iter();
        let samples = servers.find(|samples| samples.server == server)?;
        samples.rounds.get(&figure).map(Vec::as_slice)
    }
}

impl Spread {
    /// Of those values that are numbers; `None` if there is none.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        // Between two values it is as far as the quantile is.
        let quantile = |part: f64| {
            let place = part * last as f64;
            let (below, above) = (sorted[place as usize], sorted[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Some(Self {
            low: quantile(0.25),
            median: quantile(0.5),
            high: quantile(0.75),
        })
    }
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "cargo sets `test` for a bench, without tests"
)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Option<(f64, f64, f64)> {
        let spread = Spread::of(values.iter().copied())?;
        Some((spread.low, spread.median, spread.high))
    }

    #[test]
    fn quartiles_lie_between_the_values_where_they_must() {
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[7.0]), Some((7.0, 7.0, 7.0)));
        assert_eq!(spread(&[4.0, 2.0]), Some((2.5, 3.0, 3.5)));
        assert_eq!(spread(&[5.0, 1.0, 4.0, 2.0, 3.0]), Some((2.0, 3.0, 4.0)));
    }

    #[test]
    fn what_is_no_number_does_not_count() {
        let values = [f64::NAN, 1.0, f64::INFINITY, 3.0];
        assert_eq!(spread(&values), Some((1.5, 2.0, 2.5)));
        assert_eq!(spread(&[f64::NAN]), None);
    }

    #[test]
    fn another_pass_is_more_rounds_of_the_same() {
        let pass = |values: [f64; 2]| Measured {
            load: "a load".to_owned(),
            servers: ["a", "b"]
                .into_iter()
                .zip(values)
                .map(|(server, value)| {
                    let mut samples = Samples::of(server);
                    samples.add(&[(Figure::P50Us, value)]);
                    samples
                })
                .collect(),
        };
        let mut measured = pass([1.0, 2.0]);
        measured.extend(pass([3.0, 4.0]));
        let rounds = |server| measured.rounds(server, Figure::P50Us);
        assert_eq!(rounds("a"), Some([1.0, 3.0].as_slice()));
        assert_eq!(rounds("b"), Some([2.0, 4.0].as_slice()));
    }

    #[test]
    fn a_ratio_is_of_the_values_of_the_same_round() {
        let samples = |server, values: [f64; 3]| {
            let mut samples = Samples::of(server);
            for value in values {
                samples.add(&[(Figure::P50Us, value)]);
            }
            samples
        };
        // The machine was twice as slow in the last round; the servers are as one to two all the
        // same.
        let measured = Measured {
            load: String::new(),
            servers: vec![
                samples("a", [1.0, 1.0, 2.0]),
                samples("b", [2.0, 2.0, 4.0]),
                samples("c", [0.0, 1.0, f64::NAN]),
            ],
        };
        let even = |value| Spread {
            low: value,
            median: value,
            high: value,
        };
        let ratio = |ours, theirs| measured.ratio(ours, theirs, Figure::P50Us);
        assert_eq!(ratio("a", "b"), Some(even(0.5)));
        assert_eq!(ratio("b", "a"), Some(even(2.0)));
        assert_eq!(ratio("a", "c"), Some(even(1.0)));
        assert_eq!(ratio("a", "nobody"), None);
        assert_eq!(measured.ratio("a", "b", Figure::P99Us), None);
    }
}
