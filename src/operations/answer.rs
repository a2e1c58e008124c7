//! Answers: status, headers and body to bytes.

use std::borrow::Cow;
use std::fmt::Write;

/// The status of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    MisdirectedRequest,
    HeaderTooLarge,
    ServiceUnavailable,
    VersionNotSupported,
}

impl Status {
    /// Returns the code and the reason phrase.
    pub(super) fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::MisdirectedRequest => "421 Misdirected Request",
            Self::HeaderTooLarge => "431 Request Header Fields Too Large",
            Self::ServiceUnavailable => "503 Service Unavailable",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }
}

/// An answer, before it is known whether its body is wanted.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: Status,
    pub(super) content_type: &'static str,
    pub(super) body: Cow<'static, str>,
}

impl Answer {
    /// Returns an answer in words, with a newline at its end.
    pub(super) fn text(status: Status, text: impl Into<Cow<'static, str>>) -> Self {
        let mut body = text.into();
        if !body.ends_with('\n') {
            body.to_mut().push('\n');
        }
        Self {
            status,
            content_type: TEXT,
            body,
        }
    }

    /// Returns the bytes to send. Without the body for HEAD, whose headers are those of GET.
    pub(super) fn into_bytes(self, with_body: bool) -> Vec<u8> {
        let mut head = String::with_capacity(512 + self.body.len());
        // Writing to a string does not fail.
        let _ = write!(
            head,
            "HTTP/1.1 {}\r\n\
             Content-Type: {}\r\n\
             Content-Length: {}\r\n\
             Connection: close\r\n\
             {SECURITY}",
            self.status.line(),
            self.content_type,
            self.body.len()
        );
        if self.status == Status::MethodNotAllowed {
            head.push_str("Allow: GET, HEAD\r\n");
        }
        head.push_str("\r\n");
        if with_body {
            head.push_str(&self.body);
        }
        head.into_bytes()
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

/// Headers of every answer. A page of another site can neither read an answer nor show the page in
/// a frame, and the page itself runs nothing but its own script.
const SECURITY: &str = "\
    X-Content-Type-Options: nosniff\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
    Cache-Control: no-store\r\n\
    Referrer-Policy: no-referrer\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_has_the_length_of_the_body_it_leaves_out() {
        let answer = || Answer::text(Status::Ok, "ok");
        let whole = String::from_utf8(answer().into_bytes(true)).expect("text");
        let (head, body) = whole.split_once("\r\n\r\n").expect("a blank line");
        assert_eq!(body, "ok\n");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("\r\nContent-Length: 3\r\n"), "{head}");
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        let without = String::from_utf8(answer().into_bytes(false)).expect("text");
        assert_eq!(without, format!("{head}\r\n\r\n"));
    }

    #[test]
    fn only_a_wrong_method_is_answered_with_allow() {
        let has_allow = |status| {
            let bytes = Answer::text(status, "no").into_bytes(true);
            let text = String::from_utf8(bytes).expect("text");
            text.contains("\r\nAllow: GET, HEAD\r\n")
        };
        assert!(has_allow(Status::MethodNotAllowed));
        assert!(!has_allow(Status::NotFound));
    }
}
