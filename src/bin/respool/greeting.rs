//! The first line of the log: the addresses of the server, and a command to try.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Where a server listens.
pub(super) struct Places<'a> {
    pub(super) plain: Vec<SocketAddr>,
    pub(super) tls: Vec<SocketAddr>,
    pub(super) unixsocket: Option<&'a Path>,
    /// The addresses of the operations listener.
    pub(super) http: &'a [SocketAddr],
}

impl<'a> Places<'a> {
    /// Returns the places of a server that listens on `addresses` and a Unix socket, and for its
    /// operators on those of `http`. Addresses with `tls_port` speak TLS.
    pub(super) fn of(
        addresses: &[SocketAddr],
        tls_port: u16,
        unixsocket: Option<&'a Path>,
        http: &'a [SocketAddr],
    ) -> Self {
        let speaks_tls = |addr: &SocketAddr| tls_port != 0 && addr.port() == tls_port;
        let (tls, plain) = addresses.iter().copied().partition(speaks_tls);
        Self {
            plain,
            tls,
            unixsocket,
            http,
        }
    }

    /// Returns the list for the line.
    fn list(&self) -> String {
        let path = self.unixsocket.map(|path| path.display().to_string());
        let plain: Vec<_> = self
            .plain
            .iter()
            .map(ToString::to_string)
            .chain(path)
            .collect();
        let tls: Vec<_> = self.tls.iter().map(ToString::to_string).collect();
        let parts = [("on", plain), ("with TLS on", tls)].into_iter();
        let parts = parts.filter(|(_, places)| !places.is_empty());
        let parts: Vec<_> = parts
            .map(|(how, places)| format!("{how} {}", places.join(" and ")))
            .collect();
        parts.join(" and ")
    }

    /// Returns the part of the line about the operations listener; empty if there is none.
    fn operations(&self) -> String {
        let urls = self.http.iter().map(|addr| format!("http://{addr}"));
        let urls: Vec<_> = urls.collect();
        match &*urls {
            [] => String::new(),
            urls => format!(", operations on {}", urls.join(" and ")),
        }
    }

    /// Returns a command that reaches the server, by redis-cli if possible.
    fn ping(&self) -> String {
        if let Some(flags) = flags(&self.plain) {
            return format!("redis-cli {flags} PING");
        }
        let path = self.unixsocket.map(|path| path.display().to_string());
        match (path, flags(&self.tls)) {
            (Some(path), _) => match path.strip_prefix('@') {
                // redis-cli knows no abstract namespace.
                Some(name) => format!("echo PING | socat - ABSTRACT-CONNECT:{name}"),
                None => format!("redis-cli -s {path} PING"),
            },
            (None, Some(flags)) => format!("redis-cli --tls --cacert CA.pem {flags} PING"),
            (None, None) => "redis-cli PING".into(),
        }
    }
}

/// Returns the line for a server that listens on `places`.
pub(super) fn line(places: &Places<'_>, workers: usize) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let plural = if workers == 1 { "" } else { "s" };
    let (list, operations, ping) = (places.list(), places.operations(), places.ping());
    format!(
        "respool {version} answers {list} with {workers} worker{plural}{operations}; try: {ping}"
    )
}

/// Returns redis-cli's flags for one of the addresses. There is no host if 127.0.0.1, redis-cli's
/// default, is right.
fn flags(addresses: &[SocketAddr]) -> Option<String> {
    let is_default = |address: &&SocketAddr| reachable(address.ip()) == Ipv4Addr::LOCALHOST;
    if let Some(address) = addresses.iter().find(is_default) {
        return Some(format!("-p {}", address.port()));
    }
    let address = addresses.first()?;
    let (host, port) = (reachable(address.ip()), address.port());
    Some(format!("-h {host} -p {port}"))
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

    fn line_of(texts: &[&str], path: Option<&str>, workers: usize) -> String {
        let places = addresses(texts);
        line(
            &Places::of(&places, 6380, path.map(Path::new), &[]),
            workers,
        )
    }

    #[test]
    fn line_has_every_address_and_the_number_of_workers() {
        let both = ["127.0.0.1:6379", "[::1]:6379"];
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            line_of(&both, None, 2),
            format!(
                "respool {version} answers on 127.0.0.1:6379 and [::1]:6379 with 2 workers; \
                 try: redis-cli -p 6379 PING"
            )
        );
        assert!(line_of(&both, None, 1).contains(" with 1 worker; "));
    }

    #[test]
    fn addresses_for_tls_follow_the_plain_ones() {
        let all = ["127.0.0.1:6379", "127.0.0.1:6380", "[::1]:6380"];
        let both = line_of(&all, None, 2);
        let list = " answers on 127.0.0.1:6379 and with TLS on 127.0.0.1:6380 and [::1]:6380 with ";
        assert!(both.contains(list), "{both}");
        assert!(both.ends_with("; try: redis-cli -p 6379 PING"), "{both}");
        let tls = line_of(&all[1..], None, 2);
        assert!(
            tls.contains(" answers with TLS on 127.0.0.1:6380 and "),
            "{tls}"
        );
        let ping = "; try: redis-cli --tls --cacert CA.pem -p 6380 PING";
        assert!(tls.ends_with(ping), "{tls}");
    }

    #[test]
    fn addresses_of_operations_follow_the_workers() {
        let (clients, http) = (
            addresses(&["127.0.0.1:6379"]),
            addresses(&["127.0.0.1:9121", "[::1]:9121"]),
        );
        let line = line(&Places::of(&clients, 0, None, &http), 2);
        let end = " with 2 workers, operations on http://127.0.0.1:9121 and http://[::1]:9121; \
                   try: redis-cli -p 6379 PING";
        assert!(line.ends_with(end), "{line}");
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
            assert_eq!(Places::of(&addresses(texts), 0, None, &[]).ping(), command);
        }
    }

    #[test]
    fn path_is_shown_and_used_if_there_is_no_address() {
        let path = Some("/run/respool.sock");
        let both = line_of(&["127.0.0.1:6379"], path, 1);
        let list = " answers on 127.0.0.1:6379 and /run/respool.sock with 1 worker; ";
        assert!(both.contains(list), "{both}");
        assert!(both.ends_with("; try: redis-cli -p 6379 PING"), "{both}");
        for tls in [&[][..], &["127.0.0.1:6380"]] {
            let line = line_of(tls, path, 1);
            assert!(line.contains(" answers on /run/respool.sock "), "{line}");
            assert!(
                line.ends_with("; try: redis-cli -s /run/respool.sock PING"),
                "{line}"
            );
        }
        let name = line_of(&[], Some("@respool"), 1);
        assert!(name.contains(" answers on @respool with "), "{name}");
        let end = "; try: echo PING | socat - ABSTRACT-CONNECT:respool";
        assert!(name.ends_with(end), "{name}");
    }
}
