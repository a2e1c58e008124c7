//! The requests that follow one in a pipeline and differ from it only in the last argument.

use super::integer;
use super::request::Request;

/// The last arguments of these requests, in order: an iterator. It ends before a request that is
/// incomplete, that differs in another way, or whose argument is long.
#[derive(Debug, Default)]
pub(crate) struct LastArguments<'a> {
    /// The bytes of each request before the header of its last argument.
    front: &'a [u8],
    /// The bytes that are not taken yet.
    rest: &'a [u8],
    taken: usize,
    count_max: usize,
    taken_bytes: usize,
}

impl<'a> LastArguments<'a> {
    /// Returns at most `count_max` requests at the front of `rest`, which follows `request`. None
    /// if that is a line, whose words may be quoted.
    pub(crate) fn new(request: &Request<'a>, rest: &'a [u8], count_max: usize) -> Self {
        let front = request.bytes_before_last_header();
        Self {
            front: front.unwrap_or_default(),
            rest,
            count_max: front.map_or(0, |_| count_max),
            ..Self::default()
        }
    }

    /// Returns the number of requests taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Returns the bytes of the requests taken.
    pub(crate) fn taken_bytes(&self) -> usize {
        self.taken_bytes
    }
}

impl<'a> Iterator for LastArguments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.taken == self.count_max {
            return None;
        }
        let bulk = self.rest.strip_prefix(self.front)?;
        let mut header = bulk.iter().take(HEADER_BYTES_MAX);
        let header_bytes = header.position(|&byte| byte == b'\r')?;
        let [b'$', length @ ..] = &bulk[..header_bytes] else {
            return None;
        };
        let length = usize::try_from(integer::parse(length)?).ok()?;
        if length > ARGUMENT_BYTES_MAX {
            return None;
        }
        // As in the parser, two bytes are skipped after the header and after the argument.
        let start = header_bytes + 2;
        let end = start + length;
        let rest = bulk.get(end + 2..)?;
        self.taken_bytes += self.rest.len() - rest.len();
        self.rest = rest;
        self.taken += 1;
        Some(&bulk[start..end])
    }
}

/// Maximum bytes of an argument that is not too long: the least `proto-max-bulk-len`. So the
/// argument is within all limits.
const ARGUMENT_BYTES_MAX: usize = 1024;

/// Maximum bytes in which the CR of a header is searched for: that of such an argument is found.
const HEADER_BYTES_MAX: usize = 6;

#[cfg(test)]
mod tests {
    use super::super::limits::{Limits, REQUEST_BYTES_MAX};
    use super::super::request::Parser;
    use super::*;

    const LIMITS: Limits = Limits {
        request_bytes_max: REQUEST_BYTES_MAX,
        bulk_bytes_max: ARGUMENT_BYTES_MAX,
        unauthenticated: false,
    };

    /// Returns what is taken of the requests that follow the first, and the bytes that are left.
    fn take(requests: &str, count_max: usize) -> (Vec<String>, String) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut parser = Parser::default();
        let parsed = parser.parse(requests.as_bytes(), LIMITS);
        let (first, rest) = requests
            .as_bytes()
            .split_at(parsed.expect("it is valid").expect("it is whole"));
        let request = parser.request(first).expect("it has a word");
        let mut following = LastArguments::new(&request, rest, count_max);
        let arguments: Vec<_> = following.by_ref().map(text).collect();
        assert_eq!(following.taken(), arguments.len());
        (arguments, text(&rest[following.taken_bytes()..]))
    }

    fn set(value: &str) -> String {
        let length = value.len();
        format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${length}\r\n{value}\r\n")
    }

    #[test]
    fn requests_are_taken_up_to_one_that_differs() {
        let (long, longest) = ("x".repeat(999), "x".repeat(ARGUMENT_BYTES_MAX));
        let values = ["", "a", "0123456789", "*3\r\n$3\r\n", &long, &longest];
        let taken = values.map(set).concat();
        let whole = set("abc");
        let cuts = (0..whole.len()).map(|length| whole[..length].to_owned());
        let others = [
            ("SET", "set"),
            ("k", "l"),
            ("$1\r\nk", "$2\r\nkk"),
            ("*3", "*4"),
            ("$3\r\nabc", "$-1"),
            ("$3\r\nabc", "$03\r\nabc"),
            ("$3\r\nabc", ":3\r\nabc"),
            ("$3\r\nabc", "$99999999999999999999\r\nabc"),
        ];
        let others = others.map(|(part, other)| whole.replace(part, other));
        let too_long = set(&format!("{longest}x"));
        for end in cuts.chain(others).chain([too_long, "PING\r\n".to_owned()]) {
            let requests = [&set("first"), &taken, &end].map(String::as_str).concat();
            let (arguments, rest) = take(&requests, usize::MAX);
            assert_eq!(arguments, values, "before {end:?}");
            assert_eq!(rest, end);
        }
    }

    #[test]
    fn number_of_taken_requests_is_bounded() {
        for count_max in 0..5 {
            let requests = set("a").repeat(6);
            let (arguments, rest) = take(&requests, count_max);
            assert_eq!(arguments.len(), count_max);
            assert_eq!(rest.len(), (5 - count_max) * set("a").len());
        }
    }

    #[test]
    fn neither_lines_nor_single_words_are_taken() {
        for request in ["SET k a\r\n", "*1\r\n$4\r\nPING\r\n"] {
            let requests = request.repeat(2);
            let (arguments, rest) = take(&requests, usize::MAX);
            assert!(arguments.is_empty());
            assert_eq!(rest, request);
        }
    }
}
