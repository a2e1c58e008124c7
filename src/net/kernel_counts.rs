//! Counts of the kernel about all listening sockets of the network namespace.

use std::fs;

/// Connections that a full accept queue cost, since the machine was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenCounts {
    /// Times that an accept queue was full.
    pub(crate) overflows: u64,
    /// Connections that were dropped for this and for other reasons.
    pub(crate) drops: u64,
}

/// Returns the counts; `None` where the system has none. Only Linux has them.
pub(crate) fn listen_counts() -> Option<ListenCounts> {
    parse(&fs::read_to_string("/proc/net/netstat").ok()?)
}

/// Parses pairs of lines, the first of which has the names of the second's numbers.
fn parse(netstat: &str) -> Option<ListenCounts> {
    let mut lines = netstat
        .lines()
        .filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split(' ').zip(values.split(' '));
    let mut value = |wanted: &str| {
        let (_, value) = pairs.find(|(name, _)| *name == wanted)?;
        value.parse().ok()
    };
    Some(ListenCounts {
        overflows: value("ListenOverflows")?,
        drops: value("ListenDrops")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_found_by_name() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops Other\n\
                    TcpExt: 1 2 30 4\n\
                    IpExt: ListenOverflows\nIpExt: 5\n";
        let counts = ListenCounts {
            overflows: 2,
            drops: 30,
        };
        assert_eq!(parse(text), Some(counts));
        assert_eq!(parse("TcpExt: ListenDrops\nTcpExt: 1\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_counts() {
        assert!(listen_counts().is_some());
    }
}
