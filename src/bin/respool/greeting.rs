//! The first line of the log: where the server answers, and what to type to see it answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The line for a server that listens on `addresses`.
pub(super) fn line(addresses: &[SocketAddr], workers: usize) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let places: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let places = places.join(" and ");
    let plural = if workers == 1 { "" } else { "s" };
    let ping = ping(addresses);
    format!("respool {version} answers on {places} with {workers} worker{plural}; try: {ping}")
}

/// The redis-cli command that reaches the server. It names a host unless 127.0.0.1, which redis-cli
/// takes of itself, will do.
fn ping(addresses: &[SocketAddr]) -> String {
    let is_default = |address: &&SocketAddr| reachable(address.ip()) == Ipv4Addr::LOCALHOST;
    if let Some(address) = addresses.iter().find(is_default) {
        return format!("redis-cli -p {} PING", address.port());
    }
    match addresses.first() {
        Some(address) => {
            format!(
                "redis-cli -h {} -p {} PING",
                reachable(address.ip()),
                address.port()
            )
        }
        None => "redis-cli PING".into(),
    }
}

/// An address at which a server that listens on `address` is found from the same machine.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        one => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_line_names_every_address_and_counts_the_workers() {
        let both = addresses(&["127.0.0.1:6379", "[::1]:6379"]);
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            line(&both, 2),
            format!(
                "respool {version} answers on 127.0.0.1:6379 and [::1]:6379 with 2 workers; \
                 try: redis-cli -p 6379 PING"
            )
        );
        assert!(line(&both, 1).contains(" with 1 worker; "));
    }

    #[test]
    fn the_command_names_a_host_only_where_redis_cli_would_not_find_it() {
        for (texts, command) in [
            (
                &["[::1]:7000", "127.0.0.1:7001"][..],
                "redis-cli -p 7001 PING",
            ),
            (&["0.0.0.0:6379"], "redis-cli -p 6379 PING"),
            (&["[::]:6379"], "redis-cli -h ::1 -p 6379 PING"),
            (
                &["10.0.0.7:6379", "[::1]:6379"],
                "redis-cli -h 10.0.0.7 -p 6379 PING",
            ),
        ] {
            assert_eq!(ping(&addresses(texts)), command);
        }
    }
}
