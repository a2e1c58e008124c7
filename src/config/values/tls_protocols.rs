//! `tls-protocols`: the versions of TLS that clients may use.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::config::excerpt::excerpt;
use crate::config::values::StoredAsIs;

/// The versions of TLS that clients may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsProtocols {
    /// TLS 1.2 only.
    Tls12,
    /// TLS 1.3 only.
    Tls13,
    /// TLS 1.2 and TLS 1.3.
    Both,
}

/// A word of the text is not a version of TLS that the server speaks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsProtocolsError {
    /// The version has known weaknesses.
    #[error("`{0}` is obsolete and not supported (RFC 8996), expected TLSv1.2, TLSv1.3 or both")]
    Obsolete(String),
    /// The word is no version of TLS.
    #[error("`{0}` is not a version of TLS, expected TLSv1.2, TLSv1.3 or both")]
    Unknown(String),
}

impl FromStr for TlsProtocols {
    type Err = TlsProtocolsError;

    /// Parses versions separated by spaces, in any case; none means both, as in Redis.
    fn from_str(text: &str) -> Result<Self, TlsProtocolsError> {
        let (mut has_12, mut has_13) = (false, false);
        for word in text.split_whitespace() {
            match word.to_ascii_lowercase().as_str() {
                "tlsv1.2" => has_12 = true,
                "tlsv1.3" => has_13 = true,
                "tlsv1" | "tlsv1.0" | "tlsv1.1" | "sslv2" | "sslv3" => {
                    return Err(TlsProtocolsError::Obsolete(excerpt(word)));
                }
                _ => return Err(TlsProtocolsError::Unknown(excerpt(word))),
            }
        }
        Ok(match (has_12, has_13) {
            (true, false) => Self::Tls12,
            (false, true) => Self::Tls13,
            (true, true) | (false, false) => Self::Both,
        })
    }
}

impl fmt::Display for TlsProtocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
            // As Redis shows its default.
            Self::Both => "",
        })
    }
}

impl StoredAsIs for TlsProtocols {
    fn wrong_argument() -> Cow<'static, str> {
        "argument must be TLSv1.2, TLSv1.3 or both; older versions are not supported".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_any_order_and_case() {
        for (text, shown) in [
            ("", ""),
            ("tlsv1.3 TLSv1.2", ""),
            ("TLSv1.2", "TLSv1.2"),
            ("TLSv1.3  TLSv1.3", "TLSv1.3"),
        ] {
            assert_eq!(text.parse::<TlsProtocols>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn obsolete_and_unknown_versions_are_named() {
        for (text, problem) in [
            ("TLSv1.1 TLSv1.2", "`TLSv1.1` is obsolete and not supported"),
            ("TLSv1", "`TLSv1` is obsolete and not supported"),
            (
                "TLSv1.2,TLSv1.3",
                "`TLSv1.2,TLSv1.3` is not a version of TLS",
            ),
        ] {
            let mistake = text.parse::<TlsProtocols>().unwrap_err().to_string();
            assert!(mistake.starts_with(problem), "{mistake}");
            assert!(mistake.ends_with("expected TLSv1.2, TLSv1.3 or both"));
        }
    }
}
