//! `client-output-buffer-limit`: pending output above which a client is closed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::config::values::Value;
use crate::config::values::number::{Bytes, Number};

/// Limits of the pending output of a client, for each class. Redis's class for replicas is accepted
/// and ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputLimits {
    /// Clients that wait for replies. By default there is no limit, because the server stops
    /// reading their requests at
    /// [`pending_output_per_client`](crate::Config::pending_output_per_client).
    pub normal: OutputLimit,
    /// Clients that are subscribed or use MONITOR; by default 32 MiB, or 8 MiB for 60 seconds.
    pub pubsub: OutputLimit,
}

/// Bytes of pending output above which a client is closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes above which the client is closed at once; 0 means no limit.
    pub hard_bytes: usize,
    /// Bytes above which the client is closed after [`soft_s`](Self::soft_s); 0 means no limit.
    pub soft_bytes: usize,
    /// Seconds for which the soft limit may be exceeded.
    pub soft_s: u32,
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self {
            normal: OutputLimit {
                hard_bytes: 0,
                soft_bytes: 0,
                soft_s: 0,
            },
            pubsub: OutputLimit {
                hard_bytes: 32 << 20,
                soft_bytes: 8 << 20,
                soft_s: 60,
            },
        }
    }
}

/// The text is not a list of limits.
#[derive(Debug, thiserror::Error)]
#[error("expected CLASS HARD SOFT SECONDS for each class, as in `normal 0 0 0 pubsub 32mb 8mb 60`")]
pub struct OutputLimitsError;

impl FromStr for OutputLimits {
    type Err = OutputLimitsError;

    /// Parses the limits; a class that is left out has its default.
    fn from_str(text: &str) -> Result<Self, OutputLimitsError> {
        Self::from_argument(text).map_err(|_| OutputLimitsError)
    }
}

impl Value for OutputLimits {
    type Plain = Self;

    fn plain(self) -> Self {
        self
    }

    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>> {
        let mut limits = Self::default();
        Self::change(&mut limits, text)?;
        Ok(limits)
    }

    /// Changes the classes that `text` names, as Redis does.
    fn change(limits: &mut Self, text: &str) -> Result<(), Cow<'static, str>> {
        let mut changed = *limits;
        let words: Vec<_> = text.split_whitespace().collect();
        let (rows, []) = words.as_chunks::<4>() else {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        };
        for [class, hard, soft, seconds] in rows {
            let limit = match class.to_ascii_lowercase().as_str() {
                "normal" => &mut changed.normal,
                "pubsub" => &mut changed.pubsub,
                "replica" | "slave" => &mut OutputLimit::default(),
                _ => {
                    return Err(
                        "Invalid client class specified in buffer limit configuration.".into(),
                    );
                }
            };
            *limit = OutputLimit::parse(hard, soft, seconds).ok_or(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            )?;
        }
        *limits = changed;
        Ok(())
    }

    fn text(limits: &Self) -> String {
        limits.to_string()
    }
}

impl OutputLimit {
    fn parse(hard: &str, soft: &str, seconds: &str) -> Option<Self> {
        let bytes = |text: &str| text.parse::<Number<usize, 0, { i64::MAX }, Bytes>>().ok();
        Some(Self {
            hard_bytes: bytes(hard)?.plain(),
            soft_bytes: bytes(soft)?.plain(),
            soft_s: seconds.parse().ok()?,
        })
    }
}

impl OutputLimits {
    /// Returns the first class in a list of limits that the list names again.
    #[cfg(feature = "cli")]
    pub(crate) fn repeated_class(text: &str) -> Option<&str> {
        let classes: Vec<_> = text.split_whitespace().step_by(4).collect();
        let is_replicas = |class: &str| {
            class.eq_ignore_ascii_case("replica") || class.eq_ignore_ascii_case("slave")
        };
        let is_same = |one: &str, other: &str| {
            one.eq_ignore_ascii_case(other) || (is_replicas(one) && is_replicas(other))
        };
        let mut indices = 0..classes.len();
        let index = indices.find(|&index| {
            let mut later = classes[index + 1..].iter();
            later.any(|class| is_same(classes[index], class))
        })?;
        Some(classes[index])
    }
}

impl fmt::Display for OutputLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |limit: &OutputLimit| {
            let OutputLimit {
                hard_bytes,
                soft_bytes,
                soft_s,
            } = limit;
            format!("{hard_bytes} {soft_bytes} {soft_s}")
        };
        let (normal, pubsub) = (row(&self.normal), row(&self.pubsub));
        write!(f, "normal {normal} pubsub {pubsub}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_that_is_left_out_has_its_default() {
        let limits: OutputLimits = "normal 1mb 64k 10".parse().expect("a row");
        assert_eq!(limits.normal.hard_bytes, 1 << 20);
        assert_eq!(limits.normal.soft_bytes, 64_000);
        assert_eq!(limits.normal.soft_s, 10);
        assert_eq!(limits.pubsub, OutputLimits::default().pubsub);
    }

    #[test]
    fn shown_limits_are_read_back() {
        for text in [
            "",
            "slave 256mb 64mb 60",
            "PUBSUB 1 2 3 normal 4 5 6",
            "replica 0 0 0 pubsub 0 0 0",
        ] {
            let limits: OutputLimits = text.parse().expect(text);
            assert_eq!(
                limits.to_string().parse::<OutputLimits>().ok(),
                Some(limits)
            );
        }
    }

    #[test]
    fn text_that_is_not_limits_is_refused() {
        for text in [
            "normal",
            "normal 1 2",
            "other 1 2 3",
            "normal 1 2 x",
            "normal -1 0 0",
            "normal 1 2 3 pubsub",
        ] {
            assert!(text.parse::<OutputLimits>().is_err(), "{text}");
        }
    }
}
