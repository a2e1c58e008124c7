//! Checks the host that a request asks for.
//!
//! A page of another site can have its own name resolved to 127.0.0.1 once it is loaded (DNS
//! rebinding), and then reads the answers of every server there. The browser still sends that name
//! as the host, so a server that knows its names is safe. IP addresses need no such check: a
//! browser does not resolve them.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config::HostName;

/// Returns whether a host, with or without a port, is an IP address, `localhost`, or one of
/// `names`.
pub(super) fn is_allowed(host: &str, names: &[HostName]) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        return address.parse::<Ipv6Addr>().is_ok() && is_port(port);
    }
    let end = host.find(':').unwrap_or(host.len());
    let (name, port) = host.split_at(end);
    let without_root = name.strip_suffix('.').unwrap_or(name);
    is_port(port)
        && (name.parse::<Ipv4Addr>().is_ok()
            || without_root.eq_ignore_ascii_case("localhost")
            || names.iter().any(|allowed| allowed.allows(name)))
}

/// Returns whether the end of a host is a port, or nothing. Any port: a tunnel may have another.
fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':').unwrap_or(text);
    digits.bytes().all(|digit| digit.is_ascii_digit()) && (text.starts_with(':') || text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<HostName> {
        let names = names.iter().map(|name| name.parse().expect("a name"));
        names.collect()
    }

    #[test]
    fn addresses_and_localhost_are_allowed() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9121",
            "10.0.0.7:80",
            "[::1]",
            "[::1]:9121",
            "[fe80::1]:",
            "localhost",
            "LocalHost.:9121",
        ] {
            assert!(is_allowed(host, &[]), "{host}");
        }
    }

    #[test]
    fn other_names_are_allowed_only_if_listed() {
        for host in ["Metrics.example:9121", "metrics.example.", "b"] {
            assert!(!is_allowed(host, &[]), "{host}");
            let both = names(&["metrics.example", "b"]);
            assert!(is_allowed(host, &both), "{host}");
            assert!(is_allowed(host, &names(&["*"])), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.1",
            "0x7f000001",
            "localhost:80:80",
            "localhost:x",
            "::1",
            "[::1",
            "[::1]x",
            "[127.0.0.1]",
            "a@localhost",
        ] {
            assert!(!is_allowed(host, &names(&["metrics.example"])), "{host}");
        }
    }
}
