//! `latency-tracking-info-percentiles`: numbers from 0 to 100.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::config::excerpt::excerpt;
use crate::config::values::{Value, joined};

/// A number from 0 to 100, rounded to six decimal places, which is what Redis shows.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percentile(
    // Invariant: 0 to 100, so it equals itself.
    f64,
);

impl Eq for Percentile {}

/// The text is not a percentile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PercentileError {
    /// The text is not a number.
    #[error("`{0}` is not a number, expected one from 0 to 100")]
    NotANumber(String),
    /// The number is out of range.
    #[error("`{0}` is not a percentile, expected a number from 0 to 100")]
    OutOfRange(f64),
}

impl Percentile {
    /// The number itself.
    #[must_use]
    pub fn percent(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Percentile {
    type Error = PercentileError;

    fn try_from(percent: f64) -> Result<Self, PercentileError> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(PercentileError::OutOfRange(percent));
        }
        // Adding zero takes the sign from -0.
        Ok(Self((percent * PRECISION).round() / PRECISION + 0.0))
    }
}

/// Parts of 1 that are distinguished.
const PRECISION: f64 = 1e6;

impl FromStr for Percentile {
    type Err = PercentileError;

    fn from_str(text: &str) -> Result<Self, PercentileError> {
        let number: Option<f64> = text.parse().ok();
        number
            .filter(|number| !number.is_nan())
            .ok_or_else(|| PercentileError::NotANumber(excerpt(text)))?
            .try_into()
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The value of the key: up to [`PERCENTILES_MAX`] percentiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Percentiles(Vec<Percentile>);

/// A mistake in a list of percentiles.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PercentilesError {
    #[error(transparent)]
    Percentile(#[from] PercentileError),
    #[error("{0} percentiles, expected at most {PERCENTILES_MAX}")]
    Count(usize),
}

impl TryFrom<Vec<Percentile>> for Percentiles {
    type Error = PercentilesError;

    fn try_from(list: Vec<Percentile>) -> Result<Self, PercentilesError> {
        if list.len() > PERCENTILES_MAX {
            return Err(PercentilesError::Count(list.len()));
        }
        Ok(Self(list))
    }
}

impl Percentiles {
    fn from_words<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, PercentilesError> {
        let list: Result<Vec<_>, _> = words.map(Percentile::from_str).collect();
        list?.try_into()
    }
}

impl FromStr for Percentiles {
    type Err = PercentilesError;

    /// Reads numbers with spaces between them.
    fn from_str(text: &str) -> Result<Self, PercentilesError> {
        Self::from_words(text.split_whitespace())
    }
}

impl Value for Percentiles {
    type Plain = Vec<Percentile>;

    fn plain(self) -> Vec<Percentile> {
        self.0
    }

    /// Takes one space between numbers and no more, as Redis does.
    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>> {
        let words = text.split(' ').filter(|_| !text.is_empty());
        Self::from_words(words).map_err(|error| match error {
            PercentilesError::Percentile(PercentileError::NotANumber(_)) => {
                "Invalid latency-tracking-info-percentiles parameters".into()
            }
            PercentilesError::Percentile(PercentileError::OutOfRange(_)) => {
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into()
            }
            PercentilesError::Count(_) => error.to_string().into(),
        })
    }

    fn text(list: &Self::Plain) -> String {
        joined(list)
    }
}

/// One for each whole percent; INFO shows them all for every command.
const PERCENTILES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_shown_to_six_digits() {
        for (text, shown) in [
            ("50", "50"),
            ("50.0", "50"),
            ("99.90", "99.9"),
            (".5", "0.5"),
            ("1e1", "10"),
            ("-0", "0"),
            ("33.33333333", "33.333333"),
            ("99.9999999", "100"),
            ("0.000001", "0.000001"),
        ] {
            assert_eq!(text.parse::<Percentile>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn percentile_range_includes_both_ends() {
        for text in ["0", "100"] {
            assert!(text.parse::<Percentile>().is_ok());
        }
        for (text, mistake) in [
            ("100.1", "`100.1` is not a percentile, expected a number"),
            ("-1", "`-1` is not a percentile"),
            ("inf", "`inf` is not a percentile"),
            ("nan", "`nan` is not a number, expected one from 0 to 100"),
            ("half", "`half` is not a number"),
        ] {
            let error = text.parse::<Percentile>().unwrap_err().to_string();
            assert!(error.starts_with(mistake), "{error}");
        }
    }

    #[test]
    fn at_most_100_percentiles_are_taken() {
        let list = |count| vec!["5"; count].join(" ").parse::<Percentiles>();
        assert_eq!(list(0).unwrap().0, []);
        assert_eq!(list(PERCENTILES_MAX).unwrap().0.len(), PERCENTILES_MAX);
        assert_eq!(
            list(101).unwrap_err().to_string(),
            "101 percentiles, expected at most 100"
        );
    }
}
