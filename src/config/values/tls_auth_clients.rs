//! `tls-auth-clients`: whether TLS clients must have a certificate.

use crate::config::values::words;

/// Whether TLS clients must present a certificate that one of the configured CAs has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsAuthClients {
    /// Every client must present one.
    Yes,
    /// No client is asked for one.
    No,
    /// A client may present none, but not a wrong one.
    Optional,
}

/// The word is not `yes`, `no` or `optional`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a value of tls-auth-clients, expected yes, no or optional")]
pub struct TlsAuthClientsError(String);

words!(TlsAuthClients, TlsAuthClientsError: No = "no", Yes = "yes", Optional = "optional");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_as_read_and_others_refused() {
        for word in ["no", "yes", "optional"] {
            assert_eq!(word.parse::<TlsAuthClients>().unwrap().to_string(), word);
        }
        assert_eq!(
            "required"
                .parse::<TlsAuthClients>()
                .unwrap_err()
                .to_string(),
            "`required` is not a value of tls-auth-clients, expected yes, no or optional"
        );
    }
}
