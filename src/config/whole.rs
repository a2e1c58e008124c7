//! Checks, compares and shows whole configurations.

use std::borrow::Cow;
use std::fmt;

use super::{Config, KEYS};

impl Config {
    /// Checks each value as CONFIG SET does. The error is the first wrong key and the reason.
    pub(crate) fn check(&self) -> Result<(), (&'static str, Cow<'static, str>)> {
        let mut scratch = self.clone();
        KEYS.iter().try_for_each(|key| {
            let checked = key.set(&mut scratch, &key.text(self));
            checked.map_err(|reason| (key.name, reason))
        })?;
        if self.tls_port != 0 && !cfg!(feature = "tls") {
            let reason =
                "this build has no TLS: build with the feature `tls`, or leave the key out";
            return Err(("tls-port", reason.into()));
        }
        if self.http_port != 0 && !cfg!(feature = "http") {
            let reason = "this build has no operations listener: build with the feature `http`, or \
                          leave the key out";
            return Err(("http-port", reason.into()));
        }
        if self.requirepass.as_deref() == Some("") {
            let reason = "it is empty, expected 1 to 512 bytes, or `None` for no password";
            return Err(("requirepass", reason.into()));
        }
        if self.requirepass_file.is_some() && self.requirepass.is_none() {
            let reason = "the password in it is missing: the program has not read the file";
            return Err(("requirepass-file", reason.into()));
        }
        Ok(())
    }

    /// Returns a line for each key whose value in `new` differs; it redacts secrets.
    pub(crate) fn changes(&self, new: &Self) -> Vec<String> {
        let changed = KEYS.iter().filter(|key| !key.is_same(self, new));
        changed
            .map(|key| {
                let (old, new) = (key.shown(self), key.shown(new));
                format!("`{}` changed from {old} to {new}", key.name)
            })
            .collect()
    }
}

/// Shows names and values as CONFIG GET does, but not the password, so that it cannot be logged by
/// mistake.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Config");
        for key in KEYS {
            let text = key.text(self);
            let hidden = key.secret && !text.is_empty();
            fields.field(key.name, if hidden { &"(redacted)" } else { &text });
        }
        fields.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_port_is_refused_by_a_build_without_tls() {
        let config = Config {
            tls_port: 6380,
            ..Config::default()
        };
        assert_eq!(config.check().is_ok(), cfg!(feature = "tls"));
    }

    #[test]
    fn http_port_is_refused_by_a_build_without_http() {
        let config = Config {
            http_port: 9121,
            ..Config::default()
        };
        assert_eq!(config.check().is_ok(), cfg!(feature = "http"));
    }

    /// An empty variable of the environment would otherwise open the server to other machines: with
    /// a password, `protected-mode` refuses none of them.
    #[test]
    fn empty_password_is_not_taken_for_one() {
        let config = Config {
            requirepass: Some(String::new()),
            ..Config::default()
        };
        let (key, reason) = config.check().expect_err("an empty password");
        assert_eq!(
            format!("`{key}`: {reason}"),
            "`requirepass`: it is empty, expected 1 to 512 bytes, or `None` for no password"
        );
    }

    #[test]
    fn debug_output_has_every_key_and_no_password() {
        let config = Config {
            requirepass: Some("secret".into()),
            ..Config::default()
        };
        let text = format!("{config:?}");
        let beginning = r#"Config { workers: "0", bind: "127.0.0.1 -::1", port: "6379", "#;
        assert!(text.starts_with(beginning), "{text}");
        assert!(text.contains(r#"requirepass: "(redacted)""#), "{text}");
        assert!(!text.contains("secret"), "{text}");
        assert!(format!("{:?}", Config::default()).contains(r#"requirepass: "","#));
    }
}
