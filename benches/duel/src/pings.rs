//! The requests that the load sends, and the exact replies.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// A kind of PING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ping {
    /// `PING\r\n`, as a person types it.
    Inline,
    /// An array with one element, as client libraries send it.
    Array,
    /// An array with a message of this many bytes as second element. The message is the reply.
    Message(usize),
}

/// A request and its exact reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) reply: Vec<u8>,
}

impl Ping {
    /// Returns the request and the reply in RESP.
    pub(crate) fn exchange(self) -> Exchange {
        match self {
            Self::Inline => Exchange::new("PING\r\n", "+PONG\r\n"),
            Self::Array => Exchange::new("*1\r\n$4\r\nPING\r\n", "+PONG\r\n"),
            Self::Message(bytes) => {
                let bulk = format!("${bytes}\r\n{}\r\n", "x".repeat(bytes));
                Exchange::new(&format!("*2\r\n$4\r\nPING\r\n{bulk}"), &bulk)
            }
        }
    }

    /// Returns the nearest to this PING in memcached's text protocol; `None` for a message.
    ///
    /// memcached's clients ping with `version`. The meta no-op `mn` is not used: it flushes the
    /// replies, so that each costs a write.
    pub(crate) fn memcached_exchange(self, version: &str) -> Option<Exchange> {
        match self {
            Self::Message(_) => None,
            Self::Inline | Self::Array => Some(Exchange::new(
                "version\r\n",
                &format!("VERSION {version}\r\n"),
            )),
        }
    }
}

/// Formats a PING as one word of a command line, which [`FromStr`] reads.
impl fmt::Display for Ping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline => formatter.write_str("inline"),
            Self::Array => formatter.write_str("array"),
            Self::Message(bytes) => write!(formatter, "{bytes}"),
        }
    }
}

impl FromStr for Ping {
    type Err = ParseIntError;

    fn from_str(word: &str) -> Result<Self, ParseIntError> {
        match word {
            "inline" => Ok(Self::Inline),
            "array" => Ok(Self::Array),
            bytes => bytes.parse().map(Self::Message),
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

    /// Repeats the request and the reply, for a pipeline.
    pub(crate) fn times(&self, count: usize) -> Self {
        Self {
            request: self.request.repeat(count),
            reply: self.reply.repeat(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_follow_the_protocols() {
        let array = Exchange::new("*1\r\n$4\r\nPING\r\n", "+PONG\r\n");
        assert_eq!(Ping::Array.exchange(), array);
        let message = Exchange::new("*2\r\n$4\r\nPING\r\n$3\r\nxxx\r\n", "$3\r\nxxx\r\n");
        assert_eq!(Ping::Message(3).exchange(), message);
        let memcached = |ping: Ping| ping.memcached_exchange("1.6.18");
        let version = Exchange::new("version\r\n", "VERSION 1.6.18\r\n");
        assert_eq!(memcached(Ping::Inline), Some(version));
        assert_eq!(memcached(Ping::Message(3)), None);
    }

    #[test]
    fn a_ping_survives_the_command_line() {
        for ping in [Ping::Inline, Ping::Array, Ping::Message(65_536)] {
            assert_eq!(ping.to_string().parse(), Ok(ping));
        }
        assert!("none".parse::<Ping>().is_err());
    }
}
