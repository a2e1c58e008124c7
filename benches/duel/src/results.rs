//! The measured values, and how two servers compare.

use std::collections::BTreeMap;

use serde::Serialize;

/// A figure that is measured of a server under a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    RequestsPerS,
    CpuNsPerRequest,
    /// Percent of the slice in which the server used a CPU.
    BusyPercent,
    /// Percent of the slice in which the server or the load could run, but something else ran.
    WaitingPercent,
    P50Us,
    P99Us,
    P999Us,
    ResidentBytesPerConnection,
    StartMs,
}

impl Figure {
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

    /// Returns whether this is a share of the time. Such a share says how reliable the other
    /// figures are; ratios of shares say nothing.
    pub(crate) fn is_share(self) -> bool {
        matches!(self, Self::BusyPercent | Self::WaitingPercent)
    }
}

/// The values of one server under one load: for each figure, one value a round.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Samples {
    pub(crate) server: String,
    pub(crate) rounds: BTreeMap<Figure, Vec<f64>>,
}

/// The values of all servers under one load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    pub(crate) load: String,
    pub(crate) servers: Vec<Samples>,
}

/// The median of some values, and the quartiles.
#[derive(Debug, Clone, Copy, PartialEq)]
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

    /// Adds the values of a round. NaN stands for a missing one, so that the rounds stay aligned.
    pub(crate) fn add(&mut self, values: &[(Figure, f64)]) {
        for &(figure, value) in values {
            self.rounds.entry(figure).or_default().push(value);
        }
    }
}

impl Measured {
    pub(crate) fn of(load: &str) -> Self {
        Self {
            load: load.to_owned(),
            servers: Vec::new(),
        }
    }

    /// Adds the rounds of another pass.
    pub(crate) fn extend(&mut self, pass: Vec<Samples>) {
        for more in pass {
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

    pub(crate) fn value(&self, server: &str, figure: Figure) -> Option<Spread> {
        Spread::of(self.rounds(server, figure)?.iter().copied())
    }

    /// Returns the ratio of one server to another, computed round by round. So a disturbance that
    /// lasts longer than a round cancels out.
    pub(crate) fn ratio(&self, of: &str, to: &str, figure: Figure) -> Option<Spread> {
        let (of, to) = (self.rounds(of, figure)?, self.rounds(to, figure)?);
        Spread::of(of.iter().zip(to).map(|(of, to)| of / to))
    }

    fn rounds(&self, server: &str, figure: Figure) -> Option<&[f64]> {
        let mut servers = self.servers.iter();
        let samples = servers.find(|samples| samples.server == server)?;
        samples.rounds.get(&figure).map(Vec::as_slice)
    }
}

impl Spread {
    /// Returns the spread of the finite values; `None` if there is none.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        // Interpolates between the two nearest values.
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

/// Values for the tests of this crate.
#[cfg(test)]
pub(crate) fn measured(load: &str, figure: Figure, servers: &[(&str, &[f64])]) -> Measured {
    let samples = |&(server, values): &(&str, &[f64])| Samples {
        server: server.to_owned(),
        rounds: BTreeMap::from([(figure, values.to_vec())]),
    };
    Measured {
        load: load.to_owned(),
        servers: servers.iter().map(samples).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Option<(f64, f64, f64)> {
        let spread = Spread::of(values.iter().copied())?;
        Some((spread.low, spread.median, spread.high))
    }

    #[test]
    fn quartiles_are_interpolated() {
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[7.0]), Some((7.0, 7.0, 7.0)));
        assert_eq!(spread(&[4.0, 2.0]), Some((2.5, 3.0, 3.5)));
        assert_eq!(spread(&[5.0, 1.0, 4.0, 2.0, 3.0]), Some((2.0, 3.0, 4.0)));
    }

    #[test]
    fn values_that_are_not_finite_do_not_count() {
        let values = [f64::NAN, 1.0, f64::INFINITY, 3.0];
        assert_eq!(spread(&values), Some((1.5, 2.0, 2.5)));
        assert_eq!(spread(&[f64::NAN]), None);
    }

    #[test]
    fn another_pass_adds_rounds() {
        let pass = |a, b| measured("a load", Figure::P50Us, &[("a", &[a]), ("b", &[b])]);
        let mut measured = pass(1.0, 2.0);
        measured.extend(pass(3.0, 4.0).servers);
        let rounds = |server| measured.rounds(server, Figure::P50Us);
        assert_eq!(rounds("a"), Some([1.0, 3.0].as_slice()));
        assert_eq!(rounds("b"), Some([2.0, 4.0].as_slice()));
    }

    #[test]
    fn ratios_compare_values_of_the_same_round() {
        // The machine was half as fast in the last round.
        let (a, b, c) = ([1.0, 1.0, 2.0], [2.0, 2.0, 4.0], [0.0, 1.0, f64::NAN]);
        let measured = measured("", Figure::P50Us, &[("a", &a), ("b", &b), ("c", &c)]);
        let ratio = |of, to| {
            let spread = measured.ratio(of, to, Figure::P50Us)?;
            Some((spread.low, spread.median, spread.high))
        };
        assert_eq!(ratio("a", "b"), Some((0.5, 0.5, 0.5)));
        assert_eq!(ratio("b", "a"), Some((2.0, 2.0, 2.0)));
        assert_eq!(ratio("a", "c"), Some((1.0, 1.0, 1.0)));
        assert_eq!(ratio("a", "d"), None);
        assert_eq!(measured.ratio("a", "b", Figure::P99Us), None);
    }
}
