//! The requests that the load sends, and the exact replies.

use std::fmt;
use std::iter;
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
    /// The same with messages of 8 bytes that differ, so that no copy of a reply saves anything.
    Differing,
    /// PING and other commands in turn, which all servers answer with the same bytes.
    Mixed,
}

/// A request and its exact reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) reply: Vec<u8>,
}

/// Number of PINGs that differ. With 1, 16 or 100 of them, a whole number of pipelines.
const DIFFERING: usize = 1600;

impl Ping {
    /// Returns the requests that a client sends in turn, with their replies, in RESP.
    pub(crate) fn exchanges(self) -> Vec<Exchange> {
        match self {
            Self::Inline => vec![Exchange::new("PING\r\n", "+PONG\r\n")],
            Self::Array => vec![Exchange::of(&["PING"], "+PONG\r\n")],
            Self::Message(bytes) => vec![Exchange::of_message("PING", &"x".repeat(bytes))],
            Self::Differing => (0..DIFFERING)
                .map(|number| Exchange::of_message("PING", &format!("{number:08}")))
                .collect(),
            Self::Mixed => mixed(),
        }
    }

    /// Returns the nearest to this PING in memcached's text protocol; `None` for a message.
    ///
    /// memcached's clients ping with `version`. The meta no-op `mn` is not used: it flushes the
    /// replies, so that each costs a write.
    pub(crate) fn memcached_exchange(self, version: &str) -> Option<Exchange> {
        match self {
            Self::Message(_) | Self::Differing | Self::Mixed => None,
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
            Self::Differing => formatter.write_str("differing"),
            Self::Mixed => formatter.write_str("mixed"),
        }
    }
}

impl FromStr for Ping {
    type Err = ParseIntError;

    fn from_str(word: &str) -> Result<Self, ParseIntError> {
        match word {
            "inline" => Ok(Self::Inline),
            "array" => Ok(Self::Array),
            "differing" => Ok(Self::Differing),
            "mixed" => Ok(Self::Mixed),
            bytes => bytes.parse().map(Self::Message),
        }
    }
}

impl Exchange {
    pub(crate) fn new(request: &str, reply: &str) -> Self {
        Self {
            request: request.into(),
            reply: reply.into(),
        }
    }

    fn joined<'a>(exchanges: impl Iterator<Item = &'a Self>) -> Self {
        let mut all = Self::new("", "");
        for exchange in exchanges {
            all.request.extend_from_slice(&exchange.request);
            all.reply.extend_from_slice(&exchange.reply);
        }
        all
    }

    /// Returns a command as an array of bulk strings.
    fn of(words: &[&str], reply: &str) -> Self {
        let bulks: String = words.iter().map(|word| bulk(word)).collect();
        Self::new(&format!("*{}\r\n{bulks}", words.len()), reply)
    }

    /// Returns a command whose reply is its argument.
    fn of_message(command: &str, message: &str) -> Self {
        Self::of(&[command, message], &bulk(message))
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn mixed() -> Vec<Exchange> {
    vec![
        Exchange::of(&["PING"], "+PONG\r\n"),
        Exchange::of(&["SELECT", "0"], "+OK\r\n"),
        Exchange::of_message("ECHO", "some text"),
        Exchange::of(&["CLIENT", "SETNAME", "duel"], "+OK\r\n"),
        Exchange::of_message("PING", "a message"),
        Exchange::of(&["CLIENT", "GETNAME"], "$4\r\nduel\r\n"),
        Exchange::of(&["DBSIZE"], ":0\r\n"),
        Exchange::of(&["CLIENT", "NO-EVICT", "OFF"], "+OK\r\n"),
    ]
}

/// Returns pipelines of this many exchanges: the first ones, the next ones, and so on, until they
/// begin with the first again.
pub(crate) fn pipelines(exchanges: &[Exchange], length: usize) -> Vec<Exchange> {
    let mut rest = exchanges.iter().cycle();
    let mut sent = 0;
    iter::from_fn(|| {
        let is_again_at_first = sent > 0 && sent % exchanges.len() == 0;
        (!is_again_at_first).then(|| {
            sent += length;
            Exchange::joined(rest.by_ref().take(length))
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn pings_follow_the_protocols() {
        let array = Exchange::new("*1\r\n$4\r\nPING\r\n", "+PONG\r\n");
        assert_eq!(Ping::Array.exchanges(), [array]);
        let message = Exchange::new("*2\r\n$4\r\nPING\r\n$3\r\nxxx\r\n", "$3\r\nxxx\r\n");
        assert_eq!(Ping::Message(3).exchanges(), [message]);
        let memcached = |ping: Ping| ping.memcached_exchange("1.6.18");
        let version = Exchange::new("version\r\n", "VERSION 1.6.18\r\n");
        assert_eq!(memcached(Ping::Inline), Some(version));
        assert_eq!(memcached(Ping::Message(3)), None);
    }

    #[test]
    fn pings_differ_but_not_their_lengths() {
        let exchanges = Ping::Differing.exchanges();
        let distinct = |bytes: fn(&Exchange) -> &Vec<u8>| {
            let distinct: HashSet<_> = exchanges.iter().map(bytes).collect();
            let lengths: HashSet<_> = distinct.iter().map(|bytes| bytes.len()).collect();
            (distinct.len(), lengths.len())
        };
        assert_eq!(distinct(|exchange| &exchange.request), (DIFFERING, 1));
        assert_eq!(distinct(|exchange| &exchange.reply), (DIFFERING, 1));
    }

    #[test]
    fn pipelines_continue_each_other() {
        let exchanges = ["a", "b", "c"].map(|text| Exchange::new(text, text));
        let requests = |length| -> Vec<_> {
            let pipelines = pipelines(&exchanges, length).into_iter();
            pipelines
                .map(|pipeline| String::from_utf8(pipeline.request).expect("it is text"))
                .collect()
        };
        assert_eq!(requests(1), ["a", "b", "c"]);
        assert_eq!(requests(2), ["ab", "ca", "bc"]);
        assert_eq!(requests(6), ["abcabc"]);
    }

    #[test]
    fn a_ping_survives_the_command_line() {
        let others = [Ping::Differing, Ping::Mixed];
        for ping in [Ping::Inline, Ping::Array, Ping::Message(65_536)]
            .into_iter()
            .chain(others)
        {
            assert_eq!(ping.to_string().parse(), Ok(ping));
        }
        assert!("none".parse::<Ping>().is_err());
    }
}
