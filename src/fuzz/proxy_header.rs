//! Properties of the parser of PROXY headers.

use std::net::{IpAddr, SocketAddr};
use std::str;

use crate::net::proxy_header::{HEADER_BYTES_MAX, Header, parse};

/// Parses `bytes` at each length. They are a header if a naive parser says so, and more bytes do
/// not change the verdict, whatever it is.
///
/// # Panics
///
/// Panics if a property does not hold.
pub fn proxy_header(bytes: &[u8]) {
    let mut verdict = None;
    for length in 0..=bytes.len().min(HEADER_BYTES_MAX) {
        let bytes = &bytes[..length];
        let parsed = parse(bytes);
        let whole = parsed.ok().flatten();
        assert_eq!(whole, naive(bytes), "at {length}");
        match (verdict, parsed) {
            (Some(verdict), parsed) => assert_eq!(parsed, verdict, "at {length}"),
            (None, Ok(None)) => assert!(length < HEADER_BYTES_MAX),
            (None, Ok(Some(header))) => {
                assert_eq!(header.length, length);
                verdict = Some(parsed);
            }
            (None, Err(_)) => verdict = Some(parsed),
        }
    }
}

/// Parses a whole header, and nothing else, in the simplest way.
fn naive(bytes: &[u8]) -> Option<Header> {
    match bytes.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n") {
        Some(rest) => naive_v2(rest),
        None => naive_v1(bytes),
    }
}

fn naive_v1(bytes: &[u8]) -> Option<Header> {
    let end = bytes.iter().position(|&byte| byte == b'\r')?;
    let (line, length) = (&bytes[..end], end + 2);
    if bytes.get(end + 1) != Some(&b'\n') || length > 107 {
        return None;
    }
    if line.starts_with(b"PROXY UNKNOWN") {
        return Some(Header {
            client: None,
            length,
        });
    }
    let words: Vec<_> = str::from_utf8(line).ok()?.split(' ').collect();
    let ["PROXY", family, source, destination, port, other_port] = words[..] else {
        return None;
    };
    let ip = |text: &str| {
        let ip: IpAddr = text.parse().ok()?;
        let expected = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
        (family == expected).then_some(ip)
    };
    ip(destination)?;
    other_port.parse::<u16>().ok()?;
    Some(Header {
        client: Some(SocketAddr::new(ip(source)?, port.parse().ok()?)),
        length,
    })
}

fn naive_v2(rest: &[u8]) -> Option<Header> {
    let (&[command, family, high, low], rest) = rest.split_first_chunk()?;
    let announced = usize::from(high) * 256 + usize::from(low);
    let body = rest.get(..announced)?;
    if 16 + announced > 4096 {
        return None;
    }
    let v4 = || Some((IpAddr::from(*body.first_chunk::<4>()?), body.get(8..12)?));
    let v6 = || Some((IpAddr::from(*body.first_chunk::<16>()?), body.get(32..36)?));
    let (client, is_tcp) = match (command, family) {
        (0x20, _) | (0x21, 0) => (None, false),
        (0x21, 0x11 | 0x12) => (Some(v4()?), family == 0x11),
        (0x21, 0x21 | 0x22) => (Some(v6()?), family == 0x21),
        (0x21, 0x31 | 0x32) if announced >= 216 => (None, false),
        _ => return None,
    };
    let addr = |(ip, ports): (IpAddr, &[u8])| {
        SocketAddr::new(ip, u16::from(ports[0]) << 8 | u16::from(ports[1]))
    };
    Some(Header {
        client: client.filter(|_| is_tcp).map(addr),
        length: 16 + announced,
    })
}
