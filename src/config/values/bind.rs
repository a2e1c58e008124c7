//! `bind`: the addresses to listen on, in the notation of redis.conf.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::config::excerpt::excerpt;
use crate::config::values::{Value, joined};

/// An address to listen on, written as in redis.conf: `127.0.0.1`, `::1`, `*` for every IPv4
/// address, `::*` for every IPv6 address, and a `-` before any of these if the machine may lack it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindAddress {
    /// The address itself.
    pub address: IpAddr,
    /// Whether the server also starts if the machine lacks this address.
    pub optional: bool,
}

/// The text is not an address.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not an IP address, expected one such as 127.0.0.1, ::1, * or ::*, \
     or -::1 for one that the machine may lack"
)]
pub struct AddressError(String);

impl FromStr for BindAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bare = text.strip_prefix('-');
        let address = match bare.unwrap_or(text) {
            "*" => Ipv4Addr::UNSPECIFIED.into(),
            "::*" => Ipv6Addr::UNSPECIFIED.into(),
            address => address.parse().map_err(|_| AddressError(excerpt(text)))?,
        };
        Ok(Self {
            address,
            optional: bare.is_some(),
        })
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.optional { "-" } else { "" };
        write!(f, "{sign}{}", self.address)
    }
}

/// The value of the key: up to [`ADDRESSES_MAX`] different addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BindAddresses(Vec<BindAddress>);

/// A mistake in a list of addresses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("{0} addresses, expected at most {ADDRESSES_MAX}")]
    Count(usize),
    #[error("{0} is given twice, expected each address once")]
    Twice(IpAddr),
    #[error("{every} includes {one}, expected only one of the two")]
    Covered { every: IpAddr, one: IpAddr },
}

impl TryFrom<Vec<BindAddress>> for BindAddresses {
    type Error = BindError;

    fn try_from(list: Vec<BindAddress>) -> Result<Self, BindError> {
        if list.len() > ADDRESSES_MAX {
            return Err(BindError::Count(list.len()));
        }
        let mut seen = HashSet::new();
        if let Some(again) = list.iter().find(|bind| !seen.insert(bind.address)) {
            return Err(BindError::Twice(again.address));
        }
        let addresses = || list.iter().map(|bind| bind.address);
        for every in addresses().filter(IpAddr::is_unspecified) {
            let is_covered = |one: &IpAddr| *one != every && one.is_ipv4() == every.is_ipv4();
            if let Some(one) = addresses().find(is_covered) {
                return Err(BindError::Covered { every, one });
            }
        }
        Ok(Self(list))
    }
}

impl FromStr for BindAddresses {
    type Err = BindError;

    /// Parses addresses separated by spaces.
    fn from_str(text: &str) -> Result<Self, BindError> {
        let list: Result<Vec<_>, _> = text.split_whitespace().map(BindAddress::from_str).collect();
        list?.try_into()
    }
}

impl Value for BindAddresses {
    type Plain = Vec<BindAddress>;

    fn plain(self) -> Vec<BindAddress> {
        self.0
    }

    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>> {
        text.parse()
            .map_err(|error: BindError| error.to_string().into())
    }

    fn text(list: &Self::Plain) -> String {
        joined(list)
    }
}

/// Maximum number of addresses, as in Redis (`CONFIG_BINDADDR_MAX`, `server.h`).
const ADDRESSES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_in_redis_conf() {
        for (text, address, optional) in [
            ("127.0.0.1", "127.0.0.1", false),
            ("-::1", "::1", true),
            ("*", "0.0.0.0", false),
            ("-*", "0.0.0.0", true),
            ("::*", "::", false),
            ("-::*", "::", true),
        ] {
            let bind = BindAddress {
                address: address.parse().unwrap(),
                optional,
            };
            assert_eq!(text.parse::<BindAddress>().unwrap(), bind, "{text}");
        }
    }

    #[test]
    fn addresses_are_written_as_they_are_read() {
        for text in ["127.0.0.1", "-10.0.0.7", "::1", "-::1"] {
            assert_eq!(text.parse::<BindAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn wrong_address_is_quoted() {
        for text in ["localhost", "127.0.0.1:6379", "[::1]", "127.1", "--1", "-"] {
            let mistake = text.parse::<BindAddress>().unwrap_err().to_string();
            assert!(mistake.starts_with(&format!("`{text}` is not an IP address, expected")));
        }
    }

    fn addresses(text: &str) -> Result<usize, String> {
        let list = text.parse::<BindAddresses>();
        list.map(|list| list.0.len())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn bind_takes_up_to_16_addresses() {
        for count in 0..=17 {
            let list: Vec<_> = (0..count).map(|last| format!("127.0.0.{last}")).collect();
            let expected = match count {
                17 => Err("17 addresses, expected at most 16".to_owned()),
                _ => Ok(count),
            };
            assert_eq!(addresses(&list.join(" ")), expected);
        }
    }

    #[test]
    fn address_that_a_wildcard_includes_is_refused() {
        for (list, every, one) in [
            ("0.0.0.0 127.0.0.1", "0.0.0.0", "127.0.0.1"),
            ("-127.0.0.1 *", "0.0.0.0", "127.0.0.1"),
            ("::1 127.0.0.1 -::*", "::", "::1"),
        ] {
            let problem = format!("{every} includes {one}, expected only one of the two");
            assert_eq!(addresses(list), Err(problem), "{list}");
        }
        assert_eq!(addresses("* ::*"), Ok(2));
        assert_eq!(addresses("* -::1"), Ok(2));
    }

    #[test]
    fn address_given_twice_is_refused() {
        assert_eq!(
            addresses("127.0.0.1 ::1 -127.0.0.1").unwrap_err(),
            "127.0.0.1 is given twice, expected each address once"
        );
    }
}
