//! The first line of the log: the addresses of the server, and a command to try.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Returns the line for a server that listens on `addresses`.
pub(super) fn line(addresses: &[SocketAddr], workers: usize) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let list = list.join(" and ");
    let plural = if workers == 1 { "" } else { "s" };
    let ping = ping(addresses);
    format!("respool {version} answers on {list} with {workers} worker{plural}; try: {ping}")
}

/// Returns the redis-cli command that reaches the server. It has no host if 127.0.0.1, redis-cli's
/// default, is right.
fn ping(addresses: &[SocketAddr]) -> String {
    let is_default = |address: &&SocketAddr| reachable(address.ip()) == Ipv4Addr::LOCALHOST;
    if let Some(address) = addresses.iter().find(is_default) {
        return format!("redis-cli -p {} PING", address.port());
    }
    match addresses.first() {
        Some(address) => {
            let (host, port) = (reachable(address.ip()), address.port());
            format!("redis-cli -h {host} -p {port} PING")
        }
        None => "redis-cli PING".into(),
    }
}

/// Returns an address at which this machine reaches a server that listens on `address`.
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
    fn line_has_every_address_and_the_number_of_workers() {
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
    fn command_has_a_host_unless_it_is_the_default_of_redis_cli() {
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
