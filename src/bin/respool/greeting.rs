//! The first line of the log: the addresses of the server, and a command to try.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Returns the line for a server that listens on `addresses` and on a Unix socket.
pub(super) fn line(addresses: &[SocketAddr], unixsocket: Option<&Path>, workers: usize) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let addresses_shown = addresses.iter().map(ToString::to_string);
    let path = unixsocket.map(|path| path.display().to_string());
    let list: Vec<_> = addresses_shown.chain(path).collect();
    let list = list.join(" and ");
    let plural = if workers == 1 { "" } else { "s" };
    let ping = ping(addresses, unixsocket);
    format!("respool {version} answers on {list} with {workers} worker{plural}; try: {ping}")
}

/// Returns a command that reaches the server, by redis-cli if possible. It has no host if
/// 127.0.0.1, redis-cli's default, is right.
fn ping(addresses: &[SocketAddr], unixsocket: Option<&Path>) -> String {
    let is_default = |address: &&SocketAddr| reachable(address.ip()) == Ipv4Addr::LOCALHOST;
    if let Some(address) = addresses.iter().find(is_default) {
        return format!("redis-cli -p {} PING", address.port());
    }
    if let Some(address) = addresses.first() {
        let (host, port) = (reachable(address.ip()), address.port());
        return format!("redis-cli -h {host} -p {port} PING");
    }
    let path = unixsocket.map(|path| path.display().to_string());
    let path = path.unwrap_or_default();
    match path.strip_prefix('@') {
        // redis-cli knows no abstract namespace.
        Some(name) => format!("echo PING | socat - ABSTRACT-CONNECT:{name}"),
        None => format!("redis-cli -s {path} PING"),
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
            line(&both, None, 2),
            format!(
                "respool {version} answers on 127.0.0.1:6379 and [::1]:6379 with 2 workers; \
                 try: redis-cli -p 6379 PING"
            )
        );
        assert!(line(&both, None, 1).contains(" with 1 worker; "));
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
            assert_eq!(ping(&addresses(texts), None), command);
        }
    }

    #[test]
    fn path_is_shown_and_used_if_there_is_no_address() {
        let path = Path::new("/run/respool.sock");
        let tcp = addresses(&["127.0.0.1:6379"]);
        let both = line(&tcp, Some(path), 1);
        let list = " answers on 127.0.0.1:6379 and /run/respool.sock with 1 worker; ";
        assert!(both.contains(list), "{both}");
        assert!(both.ends_with("; try: redis-cli -p 6379 PING"), "{both}");
        let alone = line(&[], Some(path), 1);
        let end =
            " answers on /run/respool.sock with 1 worker; try: redis-cli -s /run/respool.sock PING";
        assert!(alone.ends_with(end), "{alone}");
        let name = line(&[], Some(Path::new("@respool")), 1);
        assert!(name.contains(" answers on @respool with "), "{name}");
        let end = "; try: echo PING | socat - ABSTRACT-CONNECT:respool";
        assert!(name.ends_with(end), "{name}");
    }
}
