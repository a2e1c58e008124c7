//! `http-hosts`: names of this machine in a URL.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::config::excerpt::excerpt;
use crate::config::values::{Value, joined};

/// A host name as in a URL, without a port; kept in lower case. `*` stands for every name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(String);

/// The text is not a host name.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a host name, expected one such as metrics.example.com, without a port")]
pub struct HostNameError(String);

impl HostName {
    /// Returns whether the value allows this name of a URL, in any case. A dot at the end of the
    /// name does not count.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        self.0 == "*" || self.0.eq_ignore_ascii_case(name)
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let name = text.strip_suffix('.').unwrap_or(text);
        let has_labels = !name.is_empty() && !name.ends_with('.') && name.len() <= NAME_BYTES_MAX;
        if text == "*" || (has_labels && name.bytes().all(is_allowed)) {
            Ok(Self(name.to_ascii_lowercase()))
        } else {
            Err(HostNameError(excerpt(text)))
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The value of the key: up to [`NAMES_MAX`] names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostNames(Vec<HostName>);

/// A mistake in a list of names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostNamesError {
    #[error(transparent)]
    Name(#[from] HostNameError),
    #[error("{0} names, expected at most {NAMES_MAX}")]
    Count(usize),
}

impl TryFrom<Vec<HostName>> for HostNames {
    type Error = HostNamesError;

    fn try_from(list: Vec<HostName>) -> Result<Self, HostNamesError> {
        if list.len() > NAMES_MAX {
            return Err(HostNamesError::Count(list.len()));
        }
        Ok(Self(list))
    }
}

impl FromStr for HostNames {
    type Err = HostNamesError;

    /// Parses names separated by spaces.
    fn from_str(text: &str) -> Result<Self, HostNamesError> {
        let list: Result<Vec<_>, _> = text.split_whitespace().map(HostName::from_str).collect();
        list?.try_into()
    }
}

impl Value for HostNames {
    type Plain = Vec<HostName>;

    fn plain(self) -> Vec<HostName> {
        self.0
    }

    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>> {
        text.parse()
            .map_err(|error: HostNamesError| error.to_string().into())
    }

    fn text(list: &Self::Plain) -> String {
        joined(list)
    }
}

/// Maximum length of a host name. RFC 1035, section 2.3.4.
const NAME_BYTES_MAX: usize = 253;

/// Maximum number of names.
const NAMES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_allows_itself_in_any_case_and_with_a_dot() {
        let name: HostName = "Metrics.example.com".parse().unwrap();
        for same in [
            "metrics.example.com",
            "METRICS.example.com",
            "metrics.example.com.",
        ] {
            assert!(name.allows(same), "{same}");
        }
        assert!(!name.allows("example.com"));
        assert!("*".parse::<HostName>().unwrap().allows("anything"));
    }

    #[test]
    fn url_port_pattern_or_dot_is_no_name() {
        for wrong in [
            "http://a",
            "a:80",
            "*.a",
            "ä",
            ".",
            "a..",
            "",
            &"a".repeat(254),
        ] {
            assert!(wrong.parse::<HostName>().is_err(), "{wrong}");
        }
        let text = "a b ".repeat(33);
        let error = text.parse::<HostNames>().unwrap_err().to_string();
        assert_eq!(error, "66 names, expected at most 64");
    }
}
