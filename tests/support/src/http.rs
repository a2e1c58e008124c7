//! Requests to the operations listener.

use std::net::SocketAddr;
use std::str::FromStr;

use crate::Peer;

/// An answer to a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Splits the bytes of a whole answer.
    #[track_caller]
    pub fn parse(bytes: Vec<u8>) -> Self {
        let text = String::from_utf8(bytes).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect(&text);
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Self {
            status: status.expect(head),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(own, value)| own.eq_ignore_ascii_case(name).then_some(value))
    }

    /// Returns the value of a sample of `/metrics`, by its name and labels as they are written.
    #[track_caller]
    pub fn sample<T: FromStr>(&self, sample: &str) -> T {
        let mut values = self.body.lines().filter_map(|line| {
            let value = line.strip_prefix(sample)?;
            value.strip_prefix(' ')
        });
        let value = values.next().and_then(|value| value.parse().ok());
        value.unwrap_or_else(|| panic!("no {sample} in {}", self.body))
    }
}

/// Sends a request, and returns the answer when the server has closed.
#[track_caller]
pub fn exchange(addr: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut peer = Peer::connect(addr);
    peer.send(request);
    Answer::parse(peer.rest())
}

/// Returns the answer for a path.
#[track_caller]
pub fn get(addr: SocketAddr, path: &str) -> Answer {
    exchange(addr, format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n"))
}
