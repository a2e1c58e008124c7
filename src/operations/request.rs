//! Reads requests: bytes to a method, a host and a path.

use httparse::{EMPTY_HEADER, Error, Header};

use super::answer::Status;

/// A request, as far as its answer depends on it. A body is never read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: Method,
    /// The host that it asks for, with the port; `None` in HTTP/1.0 only.
    pub(super) host: Option<String>,
    /// The path without the query.
    pub(super) path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Other,
}

/// The head of a request, as far as it has arrived.
#[derive(Debug, Default)]
pub(super) struct RequestReader {
    bytes: Vec<u8>,
}

impl RequestReader {
    /// Adds bytes. Returns the request when its head is whole, or the status of its refusal.
    /// Ignores everything after the head: there is one answer for each connection.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<Option<Request>, Status> {
        let room = HEAD_BYTES_MAX - self.bytes.len();
        let is_first = self.bytes.is_empty();
        let bytes = &bytes[..bytes.len().min(room)];
        self.bytes.extend_from_slice(bytes);
        // Parsed again only after a line, so that single bytes do not cost the more the longer the
        // head is. The first byte shows another protocol.
        let is_worth_it = is_first || bytes.contains(&b'\n');
        let parsed = if is_worth_it {
            parse(&self.bytes)?
        } else {
            None
        };
        if parsed.is_none() && self.bytes.len() == HEAD_BYTES_MAX {
            return Err(Status::HeaderTooLarge);
        }
        Ok(parsed)
    }
}

/// Maximum bytes of a request's line and headers.
pub(super) const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Maximum headers of a request. Browsers send about 20.
const HEADERS_MAX: usize = 64;

/// Parses a head; `None` if it is not whole.
fn parse(bytes: &[u8]) -> Result<Option<Request>, Status> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let parsed = head.parse(bytes).map_err(|error| match error {
        Error::TooManyHeaders => Status::HeaderTooLarge,
        Error::Version => Status::VersionNotSupported,
        Error::HeaderName | Error::HeaderValue | Error::NewLine | Error::Status | Error::Token => {
            Status::BadRequest
        }
    })?;
    if parsed.is_partial() {
        return Ok(None);
    }
    let method = match head.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some(_) | None => Method::Other,
    };
    let is_1_0 = head.version == Some(0);
    let host = host(head.headers, is_1_0)?;
    let target = head.path.unwrap_or_default();
    let (authority, path) = match (absolute(target), method) {
        (Some((authority, path)), _) => (Some(authority), path),
        // OPTIONS and CONNECT have other forms, and are refused for their method.
        (None, Method::Get | Method::Head) if !target.starts_with('/') => {
            return Err(Status::BadRequest);
        }
        (None, _) => (None, target),
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Ok(Some(Request {
        method,
        // The one in the target wins, as RFC 9112 says.
        host: authority.map(str::to_owned).or(host),
        path: path.to_owned(),
    }))
}

/// Returns the Host header. There must be one, which only HTTP/1.0 may leave out.
fn host(headers: &[Header<'_>], is_1_0: bool) -> Result<Option<String>, Status> {
    let mut hosts = headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("host"));
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let host = str::from_utf8(host.value).map_err(|_| Status::BadRequest)?;
            Ok(Some(host.trim().to_owned()))
        }
        (None, _) if is_1_0 => Ok(None),
        (None, _) | (Some(_), Some(_)) => Err(Status::BadRequest),
    }
}

/// Splits a target such as `http://host:80/path` into authority and path; `None` for another one.
fn absolute(target: &str) -> Option<(&str, &str)> {
    let scheme = target.get(..SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    let rest = &target[SCHEME.len()..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    Some((authority, if path.starts_with('/') { path } else { "/" }))
}

const SCHEME: &str = "http://";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Option<Request>, Status> {
        RequestReader::default().add(text.as_bytes())
    }

    fn request(text: &str) -> Request {
        let read = read(text).expect("it is a request");
        read.expect("it is whole")
    }

    #[test]
    fn target_is_a_path_or_a_whole_address() {
        for (target, host, path) in [
            ("/", "a", "/"),
            ("/metrics?x=/y", "a", "/metrics"),
            ("http://b:80/livez", "b:80", "/livez"),
            ("HTTP://b?x", "b", "/"),
            ("/http://b/", "a", "/http://b/"),
        ] {
            let request = request(&format!("GET {target} HTTP/1.1\r\nhOST: a \r\n\r\n"));
            assert_eq!(request.host.as_deref(), Some(host), "{target}");
            assert_eq!(request.path, path, "{target}");
        }
    }

    #[test]
    fn method_is_known_by_its_exact_name() {
        for (name, method) in [
            ("GET", Method::Get),
            ("HEAD", Method::Head),
            ("get", Method::Other),
            ("POST", Method::Other),
        ] {
            let text = format!("{name} / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(request(&text).method, method);
        }
        assert_eq!(
            request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").method,
            Method::Other
        );
    }

    #[test]
    fn host_is_required_once() {
        let head = |version: &str, hosts: &str| {
            read(&format!("GET / HTTP/{version}\r\n{hosts}\r\n"))
                .map(|request| request.expect("it is whole").host)
        };
        assert_eq!(head("1.0", ""), Ok(None));
        assert_eq!(head("1.0", "Host: a\r\n"), Ok(Some("a".into())));
        assert_eq!(head("1.1", ""), Err(Status::BadRequest));
        assert_eq!(head("1.1", "Host:\r\n"), Ok(Some(String::new())));
        let two = "Host: a\r\nHost: a\r\n";
        assert_eq!(head("1.1", two), Err(Status::BadRequest));
        assert_eq!(head("1.0", two), Err(Status::BadRequest));
        assert_eq!(head("2.0", "Host: a\r\n"), Err(Status::VersionNotSupported));
    }

    #[test]
    fn other_protocols_are_refused_at_once() {
        for text in [
            "\u{16}\u{3}\u{1}",
            "*1\r\n$4\r\nPING\r\n",
            "PING\r\n",
            "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert_eq!(read(text), Err(Status::BadRequest), "{text:?}");
        }
    }

    #[test]
    fn head_is_bounded_in_bytes_and_in_headers() {
        let long = |bytes: usize| {
            let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
            let fill = "x".repeat(bytes - start.len() - 4);
            format!("{start}{fill}\r\n\r\n")
        };
        assert!(matches!(read(&long(HEAD_BYTES_MAX)), Ok(Some(_))));
        assert_eq!(read(&long(HEAD_BYTES_MAX + 1)), Err(Status::HeaderTooLarge));
        let lines = "X: y\r\n".repeat(HEADERS_MAX);
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        assert_eq!(read(&many), Err(Status::HeaderTooLarge));
    }

    /// Adds the bytes in pieces of these sizes, over and over.
    fn in_pieces(bytes: &[u8], sizes: &[usize]) -> Result<Option<Request>, Status> {
        let (mut reader, mut rest) = (RequestReader::default(), bytes);
        for size in sizes.iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(*size));
            match reader.add(piece)? {
                None if after.is_empty() => return Ok(None),
                None => rest = after,
                request => return Ok(request),
            }
        }
        Ok(None)
    }

    proptest! {
        #[test]
        fn pieces_do_not_change_a_request(
            path in "/[a-z/?#%]{0,20}",
            host in "[a-z.:0-9]{0,20}",
            others in "(X-[a-z]{1,8}: [ -~]{0,40}\r\n){0,8}",
            sizes in prop::collection::vec(1..40_usize, 1..8),
        ) {
            let text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{others}\r\n");
            let whole = read(&text);
            prop_assert!(matches!(whole, Ok(Some(_))), "{whole:?}");
            prop_assert_eq!(in_pieces(text.as_bytes(), &sizes), whole);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            start in "(GET /[a-z]{0,4} HTTP/1.[01]\r\n)?",
            sizes in prop::collection::vec(1..40_usize, 1..8),
        ) {
            let all = [start.as_bytes(), &bytes].concat();
            let _ = in_pieces(&all, &sizes);
        }
    }
}
