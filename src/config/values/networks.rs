//! `proxy-protocol-from`: IP addresses and networks.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::config::excerpt::excerpt;
use crate::config::values::{Value, joined};

/// The IP addresses that begin with the same bits, written as in CIDR: `10.0.0.0/8`, `fd00::/8`, or
/// `10.0.0.7` for one address. An IPv4 address inside IPv6, `::ffff:10.0.0.7`, is one of IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    // Invariants: not an IPv4 address inside IPv6, and 0 after the first `prefix` bits.
    address: IpAddr,
    prefix: u8,
}

/// The text is not a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The text is neither an address nor a network.
    #[error("`{0}` is not an IP address or network, expected one such as 10.0.0.7 or 10.0.0.0/8")]
    NotANetwork(String),
    /// The address has bits after the prefix.
    #[error("`{0}` is an address in a network, expected the address or the network {1}")]
    NotTheFirst(String, Network),
}

impl Network {
    /// Returns whether the network contains the address.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.address.is_ipv4() && first_of(ip, self.prefix) == self.address
    }
}

/// Returns the address with zeros after the first `prefix` bits.
fn first_of(ip: IpAddr, prefix: u8) -> IpAddr {
    let prefix = prefix.into();
    match ip {
        IpAddr::V4(ip) => {
            let rest = u32::MAX.checked_shr(prefix).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & !rest).into())
        }
        IpAddr::V6(ip) => {
            let rest = u128::MAX.checked_shr(prefix).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & !rest).into())
        }
    }
}

/// Returns the length of a prefix that contains only the address.
fn bits_of(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = || NetworkError::NotANetwork(excerpt(text));
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let written: IpAddr = ip.parse().map_err(|_| wrong())?;
        let prefix = prefix.unwrap_or(bits_of(written));
        let ip = written.to_canonical();
        // The first 96 bits of an IPv4 address inside IPv6 are not of IPv4.
        let prefix = prefix.checked_sub(bits_of(written) - bits_of(ip));
        let prefix = prefix.filter(|prefix| *prefix <= bits_of(ip));
        let prefix = prefix.ok_or_else(wrong)?;
        let address = first_of(ip, prefix);
        let network = Self { address, prefix };
        if address != ip {
            return Err(NetworkError::NotTheFirst(excerpt(text), network));
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        if self.prefix == bits_of(self.address) {
            return Ok(());
        }
        write!(f, "/{}", self.prefix)
    }
}

/// The value of the key: up to [`NETWORKS_MAX`] networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Networks(Vec<Network>);

/// A mistake in a list of networks.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworksError {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("{0} networks, expected at most {NETWORKS_MAX}")]
    Count(usize),
}

impl TryFrom<Vec<Network>> for Networks {
    type Error = NetworksError;

    fn try_from(list: Vec<Network>) -> Result<Self, NetworksError> {
        if list.len() > NETWORKS_MAX {
            return Err(NetworksError::Count(list.len()));
        }
        Ok(Self(list))
    }
}

impl FromStr for Networks {
    type Err = NetworksError;

    /// Parses addresses and networks separated by spaces.
    fn from_str(text: &str) -> Result<Self, NetworksError> {
        let list: Result<Vec<_>, _> = text.split_whitespace().map(Network::from_str).collect();
        list?.try_into()
    }
}

impl Value for Networks {
    type Plain = Vec<Network>;

    fn plain(self) -> Vec<Network> {
        self.0
    }

    fn from_argument(text: &str) -> Result<Self, Cow<'static, str>> {
        text.parse()
            .map_err(|error: NetworksError| error.to_string().into())
    }

    fn text(list: &Self::Plain) -> String {
        joined(list)
    }
}

/// Maximum number of networks: each accepted connection is compared with all of them.
const NETWORKS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn network_contains_the_addresses_that_begin_as_it_does() {
        for (text, within, beyond) in [
            ("10.0.0.7", "10.0.0.7", "10.0.0.6"),
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.0.0.0/31", "10.0.0.1", "10.0.0.2"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "ffff::", "10.0.0.1"),
            ("::1", "::1", "::2"),
            ("fd00::/8", "fdff:ffff::1", "fe00::"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.0.0.0"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"),
            ("::ffff:10.0.0.7", "10.0.0.7", "10.0.0.6"),
        ] {
            let network = network(text);
            let contains = |ip: &str| network.contains(ip.parse().unwrap());
            assert!(contains(within), "{text} {within}");
            assert!(!contains(beyond), "{text} {beyond}");
        }
    }

    #[test]
    fn network_is_written_as_it_is_read() {
        for text in ["10.0.0.7", "10.0.0.0/8", "0.0.0.0/0", "::1", "fd00::/8"] {
            assert_eq!(network(text).to_string(), text);
        }
        assert_eq!(network("10.0.0.7/32").to_string(), "10.0.0.7");
        assert_eq!(network("::1/128").to_string(), "::1");
        assert_eq!(network("::ffff:10.0.0.0/104").to_string(), "10.0.0.0/8");
    }

    #[test]
    fn wrong_network_is_quoted() {
        for text in [
            "localhost",
            "10.0.0",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/256",
            "10.0.0.0/8/8",
            "10.0.0.0:80",
            "::ffff:10.0.0.0/95",
            "/8",
        ] {
            let mistake = text.parse::<Network>().unwrap_err().to_string();
            let start = format!("`{text}` is not an IP address or network, expected");
            assert!(mistake.starts_with(&start), "{mistake}");
        }
        let mistake = "10.0.0.7/8".parse::<Network>().unwrap_err().to_string();
        assert_eq!(
            mistake,
            "`10.0.0.7/8` is an address in a network, expected the address or the network \
             10.0.0.0/8"
        );
    }

    #[test]
    fn list_may_be_empty_and_has_an_end() {
        let count = |text: &str| text.parse::<Networks>().map(|list| list.0.len()).ok();
        assert_eq!(count(""), Some(0));
        assert_eq!(count("::1 10.0.0.0/8"), Some(2));
        assert_eq!(count(&"::1 ".repeat(256)), Some(256));
        let error = "::1 ".repeat(257).parse::<Networks>().unwrap_err();
        assert_eq!(error.to_string(), "257 networks, expected at most 256");
    }
}
