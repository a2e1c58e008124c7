//! The PROXY header: the address of a client, as a proxy sends it before the client's bytes
//! (`haproxy.org/download/3.0/doc/proxy-protocol.txt`).

use std::net::SocketAddr;

use proxy_header::{Error, ParseConfig, Protocol, ProxyHeader};

use super::peer::{Peer, Proxied};

/// A whole header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The address of the client; `None` if the proxy speaks for itself, or sends an address that
    /// is not of TCP.
    pub(crate) client: Option<SocketAddr>,
    /// Bytes of the header.
    pub(crate) length: usize,
}

/// The bytes begin no header, or one that is malformed or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Invalid;

impl Header {
    /// Returns the peer of a connection from `proxy`.
    pub(crate) fn peer(self, proxy: &Peer) -> Peer {
        match (self.client, proxy.addr()) {
            (Some(client), Some(proxy)) => Peer::Proxied(Box::new(Proxied { client, proxy })),
            _ => proxy.clone(),
        }
    }
}

/// Parses the header that `bytes` begin with; `None` if more bytes are needed.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Header>, Invalid> {
    // `proxy-header` waits for 15 bytes before it compares any, and takes any byte after `PROXY`.
    let is_v1 = bytes.starts_with(b"P");
    let signature = if is_v1 { V1 } else { V2 };
    let compared = bytes.len().min(signature.len());
    if bytes[..compared] != signature[..compared] {
        return Err(Invalid);
    }
    if is_v1 {
        parse_v1(&bytes[..bytes.len().min(V1_BYTES_MAX)])
    } else {
        parse_v2(bytes)
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Option<Header>, Invalid> {
    match decode(bytes)? {
        // The line is over, but `proxy-header` waits for 15 bytes.
        None if bytes.windows(2).any(|end| end == b"\r\n") => Err(Invalid),
        header => Ok(header),
    }
}

fn parse_v2(bytes: &[u8]) -> Result<Option<Header>, Invalid> {
    let Some(&[command, _, high, low]) = bytes.get(V2.len()..V2_FIXED_BYTES) else {
        return Ok(None);
    };
    let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > HEADER_BYTES_MAX {
        return Err(Invalid);
    }
    if bytes.len() < length {
        return Ok(None);
    }
    if command == V2_LOCAL {
        // The crate refuses some addresses here. The specification ignores all of them.
        return Ok(Some(Header {
            client: None,
            length,
        }));
    }
    // The crate waits for more if the announced length is too short for the addresses.
    match decode(&bytes[..length])? {
        Some(header) => Ok(Some(header)),
        None => Err(Invalid),
    }
}

fn decode(bytes: &[u8]) -> Result<Option<Header>, Invalid> {
    let config = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    match ProxyHeader::parse(bytes, config) {
        Ok((header, length)) => {
            let proxied = header.proxied_address();
            let proxied = proxied.filter(|proxied| proxied.protocol == Protocol::Stream);
            let client = proxied.map(|proxied| proxied.source);
            Ok(Some(Header { client, length }))
        }
        Err(Error::BufferTooShort) => Ok(None),
        Err(_) => Err(Invalid),
    }
}

/// Maximum bytes of a header, as in nginx. One of version 2 can announce 64 KiB, but the known
/// ones, with the names of a TLS certificate, take less than 1 KiB. The header is read whole before
/// it is taken from the socket, so it must fit in the kernel's buffer.
pub(crate) const HEADER_BYTES_MAX: usize = 4096;

/// The specification's maximum for version 1, with CRLF.
const V1_BYTES_MAX: usize = 107;

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of version 2 before the addresses: signature, command, address family, length.
const V2_FIXED_BYTES: usize = 16;

/// Version 2, and the command LOCAL: the proxy speaks for itself.
const V2_LOCAL: u8 = 0x20;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a header of version 2.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [V2, &[command, family], &length, rest].concat()
    }

    /// The addresses 192.0.2.1:1000 and 192.0.2.2:2000.
    const IPV4: &[u8] = &[192, 0, 2, 1, 192, 0, 2, 2, 3, 232, 7, 208];

    /// Asserts that `bytes` are a header at their last byte, and not before, and also if more
    /// bytes follow.
    fn assert_header(bytes: &[u8], client: Option<&str>) {
        let shown = bytes.escape_ascii();
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut} of {shown}");
        }
        let header = Header {
            client: client.map(|client| client.parse().expect("an address")),
            length: bytes.len(),
        };
        assert_eq!(parse(bytes), Ok(Some(header)), "{shown}");
        let followed = [bytes, b"PING\r\n"].concat();
        assert_eq!(parse(&followed), Ok(Some(header)), "{shown}");
    }

    #[test]
    fn v1_header_is_whole_at_its_last_byte() {
        let v4 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\r\n";
        assert_header(v4, Some("192.0.2.1:1000"));
        let v6 = b"PROXY TCP6 2001:db8::1 2001:db8::2 65535 1\r\n";
        assert_header(v6, Some("[2001:db8::1]:65535"));
        assert_header(b"PROXY UNKNOWN\r\n", None);
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_BYTES_MAX - 16));
        assert_header(longest.as_bytes(), None);
    }

    #[test]
    fn v2_header_is_whole_at_its_last_byte() {
        assert_header(&v2(0x21, 0x11, IPV4), Some("192.0.2.1:1000"));
        let with_tlvs = [IPV4, &[4, 0, 2, 0, 0]].concat();
        assert_header(&v2(0x21, 0x11, &with_tlvs), Some("192.0.2.1:1000"));
        let mut v6 = [0; 36];
        v6[15] = 1;
        v6[33] = 80;
        assert_header(&v2(0x21, 0x21, &v6), Some("[::1]:80"));
    }

    #[test]
    fn v2_header_without_a_tcp_address_has_no_client() {
        for (command, family, rest) in [
            (0x20, 0, &[][..]),
            (0x20, 0x11, IPV4),
            (0x20, 0xff, &[]),
            (0x21, 0, &[]),
            (0x21, 0x12, IPV4),
            (0x21, 0x31, &[b'x'; 216]),
        ] {
            assert_header(&v2(command, family, rest), None);
        }
    }

    #[test]
    fn longest_header_is_taken_and_a_longer_one_refused() {
        let rest = |length| [IPV4, &vec![0; length - IPV4.len()]].concat();
        let longest = v2(0x21, 0x11, &rest(HEADER_BYTES_MAX - V2_FIXED_BYTES));
        assert_header(&longest, Some("192.0.2.1:1000"));
        let longer = v2(0x21, 0x11, &rest(HEADER_BYTES_MAX - V2_FIXED_BYTES + 1));
        assert_eq!(parse(&longer[..V2_FIXED_BYTES]), Err(Invalid));
        let longer = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_BYTES_MAX - 15));
        assert_eq!(parse(longer.as_bytes()), Err(Invalid));
    }

    #[test]
    fn other_bytes_are_refused_at_the_first_one_that_differs() {
        for text in [
            &b"*"[..],
            b"PI",
            b"PROXY\t",
            b"\r\n\r\n\0\r\nQUIT\r",
            b"\x16\x03\x01",
            b"PROXY PING\r\n",
            b"PROXY TCP5 192.0.2.1",
            b"PROXY TCP4 192.0.2.256 192.0.2.2 1000 2000\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 65536\r\n",
            b"PROXY TCP4 ::1 ::1 1000 2000\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\rx",
            &v2(0x11, 0x11, IPV4),
            &v2(0x21, 0x41, IPV4),
            &v2(0x21, 0x11, &IPV4[1..]),
            &v2(0x21, 0x31, &[0; 215]),
        ] {
            assert_eq!(parse(text), Err(Invalid), "{}", text.escape_ascii());
        }
    }
}
