//! Directives of Redis that the server cannot honour. The file, a flag and CONFIG SET are refused
//! with the reason: an operator who sets one relies on it. The one value that asks for nothing is
//! accepted in the file and by CONFIG SET.

/// A directive that cannot be honoured.
#[derive(Debug)]
pub(crate) struct Unsupported {
    pub(crate) name: &'static str,
    /// The value that asks for nothing the server does not do anyway, if there is one.
    neutral: Option<&'static str>,
    /// Whether its value must not be shown.
    pub(crate) secret: bool,
    /// The reason, and what to do instead.
    pub(crate) reason: &'static str,
}

const TABLE: &[Unsupported] = &[
    row("tls-ciphers", Some(""), CIPHERS),
    row("tls-ciphersuites", Some(""), CIPHERS),
    row(
        "tls-prefer-server-ciphers",
        Some("yes"),
        "the server always prefers its own order of ciphers",
    ),
    row(
        "tls-dh-params-file",
        Some(""),
        "keys are exchanged by elliptic curves only, which need no parameters",
    ),
    secret(
        "tls-key-file-pass",
        "encrypted keys are not supported: decrypt the key with `openssl pkey -in ENCRYPTED -out \
         DECRYPTED`, and set `tls-key-file` to the new file",
    ),
    row("tls-client-cert-file", Some(""), OUTGOING),
    row("tls-client-key-file", Some(""), OUTGOING),
    secret("tls-client-key-file-pass", OUTGOING),
    row("tls-replication", Some("no"), OUTGOING),
    row("tls-cluster", Some("no"), OUTGOING),
    row("tls-session-cache-size", None, NO_CACHE),
    row("tls-session-cache-timeout", None, NO_CACHE),
];

const CIPHERS: &str = "the ciphers cannot be chosen: all of them are authenticated and have \
                       forward secrecy; `tls-protocols` chooses the versions of TLS";
const OUTGOING: &str = "respool connects to no other server: it has no replicas and no cluster";
const NO_CACHE: &str = "the server keeps no cache of sessions: each client keeps its own, as a \
                        ticket, for some hours; `tls-session-caching` turns this off";

const fn row(
    name: &'static str,
    neutral: Option<&'static str>,
    reason: &'static str,
) -> Unsupported {
    Unsupported {
        name,
        neutral,
        secret: false,
        reason,
    }
}

const fn secret(name: &'static str, reason: &'static str) -> Unsupported {
    Unsupported {
        name,
        neutral: Some(""),
        secret: true,
        reason,
    }
}

impl Unsupported {
    /// Returns the directive of this name, in any case.
    pub(crate) fn find(name: &[u8]) -> Option<&'static Self> {
        let is_meant = |row: &&Self| row.name.as_bytes().eq_ignore_ascii_case(name);
        TABLE.iter().find(is_meant)
    }

    /// Returns an error unless the value asks for nothing.
    pub(crate) fn check(&self, value: &str) -> Result<(), &'static str> {
        let is_neutral = |neutral: &str| neutral.eq_ignore_ascii_case(value);
        self.neutral
            .is_some_and(is_neutral)
            .then_some(())
            .ok_or(self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_neutral_value_is_accepted() {
        for (name, neutral, other) in [
            ("tls-ciphers", Some(""), "DEFAULT"),
            ("tls-prefer-server-ciphers", Some("YES"), "no"),
            ("tls-key-file-pass", Some(""), "secret"),
            ("tls-replication", Some("no"), "yes"),
            ("tls-session-cache-size", None, "20480"),
        ] {
            let row = Unsupported::find(name.as_bytes()).unwrap();
            assert_eq!(row.check(other), Err(row.reason), "{name}");
            if let Some(neutral) = neutral {
                assert_eq!(row.check(neutral), Ok(()), "{name}");
            }
        }
        assert!(Unsupported::find(b"tls-port").is_none());
    }
}
