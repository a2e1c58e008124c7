//! Detects HTTP and TLS, and has replies in these protocols, because such a peer cannot read RESP.

/// The reply to a request of HTTP/1.
pub(crate) const HTTP_RESPONSE: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 82\r\n\
    Connection: close\r\n\
    \r\n\
    This server speaks RESP, the protocol of Redis, and not HTTP. Try: redis-cli PING\n";

/// The reply to a `ClientHello` of TLS: a record with the fatal alert `handshake_failure`. Its
/// version is the one that every client accepts before the negotiation.
pub(crate) const TLS_ALERT: &[u8] = &[0x15, 3, 1, 0, 2, 2, 40];

/// Returns whether `input` begins as a `ClientHello`: a handshake of TLS 1.0 to 1.3, or later.
pub(super) fn is_tls(input: &[u8]) -> bool {
    matches!(input, [0x16, 3, 1..=4, ..])
}

/// Returns whether `word`, the third of a line, shows that the line is a request of HTTP/1.
pub(crate) fn is_http_version(word: &[u8]) -> bool {
    word.starts_with(b"HTTP/1.")
}

/// Returns whether the first line of `input` is a request of HTTP/1: three words of any quotes.
pub(crate) fn is_http_request_line(input: &[u8]) -> bool {
    let line = input.split(|&byte| byte == b'\n').next();
    let words = line.unwrap_or_default().split(u8::is_ascii_whitespace);
    let mut words = words.filter(|word| !word.is_empty());
    words.nth(2).is_some_and(is_http_version) && words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_request_line_is_three_words_with_any_quotes() {
        for line in [
            "GET /?q=' HTTP/1.1\r\nHost: a\r\n",
            "GET /?q=\"a HTTP/1.0\n",
        ] {
            assert!(is_http_request_line(line.as_bytes()), "{line}");
        }
        for line in [
            "",
            "\r\nGET /' HTTP/1.1\r\n",
            "GET ' HTTP/2\r\n",
            "GET '\r\nHTTP/1.1\r\n",
            "SET a ' HTTP/1.1\r\n",
            "SET HTTP/1.1 '\r\n",
        ] {
            assert!(!is_http_request_line(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn http_response_has_its_content_length() {
        let text = str::from_utf8(HTTP_RESPONSE).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let length = format!("Content-Length: {}", body.len());
        assert!(head.lines().any(|line| line == length), "{head}");
    }
}
