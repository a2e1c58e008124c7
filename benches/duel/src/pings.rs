//! What is asked, and which reply is right.

use std::fmt;

/// A kind of PING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ping {
    /// `PING\r\n`, as a person types it.
    Inline,
    /// An array of one, as libraries send it.
    Array,
    /// An array of two, the second a message of so many bytes that comes back.
    Message(usize),
}

/// The protocol of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dialect {
    Resp,
    /// The text protocol of memcached. `version` is what its clients ping with, and the nearest to
    /// PING: `mn`, the meta no-op, is there to flush replies, so that each costs a write.
    Memcached {
        version: String,
    },
}

/// A request and the reply that it is owed, to the byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) reply: Vec<u8>,
}

impl Ping {
    /// How it is said in `dialect`; `None` if that cannot be said.
    pub(crate) fn exchange(self, dialect: &Dialect) -> Option<Exchange> {
        match (dialect, self) {
            (Dialect::Resp, Self::Inline) => Some(Exchange::new("PING\r\n", "+PONG\r\n")),
            (Dialect::Resp, Self::Array) => {
                Some(Exchange::new("*1\r\n$4\r\nPING\r\n", "+PONG\r\n"))
            }
            (Dialect::Resp, Self::Message(bytes)) => {
                let bulk = format!("${bytes}\r\n{}\r\n", "x".repeat(bytes));
                Some(Exchange::new(&format!("*2\r\n$4\r\nPING\r\n{bulk}"), &bulk))
            }
            (Dialect::Memcached { .. }, Self::Message(_)) => None,
            (Dialect::Memcached { version }, Self::Inline | Self::Array) => {
                let reply = format!("VERSION {version}\r\n");
                Some(Exchange::new("version\r\n", &reply))
            }
        }
    }

    /// The reverse of its `Display`.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        match word {
            "inline" => Some(Self::Inline),
            "array" => Some(Self::Array),
            bytes => bytes.parse().ok().map(Self::Message),
        }
    }
}

/// As one word of a command line.
impl fmt::Display for Ping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline => formatter.write_str("inline"),
            Self::Array => formatter.write_str("array"),
            Self::Message(bytes) => write!(formatter, "{bytes}"),
        }
    }
}

impl Exchange {
    fn new(request: &str, reply: &str) -> Self {
        Self {
            request: request.into(),
            reply: reply.into(),
        }
    }

    /// So many of it at once.
    pub(crate) fn times(&self, count: usize) -> Self {
        Self {
            request: self.request.repeat(count),
            reply: self.reply.repeat(count),
        }
    }
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "cargo sets `test` for a bench, without tests"
)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_said_as_the_protocols_have_it() {
        let said = |ping: Ping, dialect: &Dialect| {
            let exchange = ping.exchange(dialect)?;
            let text = |bytes| String::from_utf8(bytes).expect("it is ASCII");
            Some((text(exchange.request), text(exchange.reply)))
        };
        let memcached = Dialect::Memcached {
            version: "1.6.18".to_owned(),
        };
        let pair = |request: &str, reply: &str| Some((request.to_owned(), reply.to_owned()));
        assert_eq!(
            said(Ping::Message(3), &Dialect::Resp),
            pair("*2\r\n$4\r\nPING\r\n$3\r\nxxx\r\n", "$3\r\nxxx\r\n")
        );
        assert_eq!(
            said(Ping::Array, &Dialect::Resp),
            pair("*1\r\n$4\r\nPING\r\n", "+PONG\r\n")
        );
        assert_eq!(
            said(Ping::Inline, &memcached),
            pair("version\r\n", "VERSION 1.6.18\r\n")
        );
        assert_eq!(said(Ping::Message(3), &memcached), None);
    }

    #[test]
    fn a_ping_survives_the_command_line() {
        for ping in [Ping::Inline, Ping::Array, Ping::Message(65_536)] {
            assert_eq!(Ping::from_word(&ping.to_string()), Some(ping));
        }
        assert_eq!(Ping::from_word("none"), None);
    }
}
