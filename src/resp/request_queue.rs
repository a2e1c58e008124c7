//! Keeps copies of requests, to run them later.

use super::request::Request;
use super::span::Span;

/// Requests in the order of their arrival, in few allocations.
#[derive(Debug, Default)]
pub(crate) struct RequestQueue {
    /// The words, without the syntax around them.
    bytes: Vec<u8>,
    words: Vec<Span>,
    /// For each request, the end of its words in `words`.
    ends: Vec<u32>,
}

impl RequestQueue {
    /// Copies a request to the end. Returns whether it had room: all requests and the tables of
    /// their words take at most `bytes_max`, which is at most `REQUEST_BYTES_MAX`.
    #[must_use]
    pub(crate) fn push(&mut self, request: &Request<'_>, bytes_max: usize) -> bool {
        let words = request.words();
        let more = words.clone().map(<[u8]>::len).sum::<usize>()
            + words.len() * size_of::<Span>()
            + size_of::<u32>();
        if self.bytes_used() + more > bytes_max {
            return false;
        }
        for word in words {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(word);
            self.words.push(Span::new(start, self.bytes.len()));
        }
        // Each word takes more than a byte of `bytes_max`, which fits in 32 bits.
        self.ends.push(self.words.len() as u32);
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Request<'_>> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let end = end as usize;
            let words = &self.words[start..end];
            start = end;
            Request::new(&self.bytes, words)
        })
    }

    /// Returns the memory that the queue takes, including room for more.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.words.capacity() * size_of::<Span>()
            + self.ends.capacity() * size_of::<u32>()
    }

    fn bytes_used(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.words) + size_of_val(&*self.ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Limits, Parser};

    const LIMITS: Limits = Limits {
        request_bytes_max: 1000,
        bulk_bytes_max: 1000,
        unauthenticated: false,
    };

    fn push(queue: &mut RequestQueue, input: &[u8], bytes_max: usize) -> bool {
        let mut parser = Parser::default();
        let length = parser.parse(input, LIMITS).expect("no error");
        assert_eq!(length, Some(input.len()));
        queue.push(&parser.request(input).expect("a request"), bytes_max)
    }

    #[test]
    fn queued_requests_are_the_same_and_in_order() {
        let mut queue = RequestQueue::default();
        assert!(push(&mut queue, b"SET 'a b' \"\"\r\n", 1000));
        assert!(push(
            &mut queue,
            b"*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n",
            1000
        ));
        assert!(push(&mut queue, b"PING\r\n", 1000));
        let requests: Vec<_> = queue.iter().map(|request| format!("{request:?}")).collect();
        assert_eq!(
            requests,
            [
                r#"["SET", "a b", ""]"#,
                r#"["GET", "a\\r\\n"]"#,
                r#"["PING"]"#
            ]
        );
        assert_eq!((queue.iter().len(), queue.len()), (3, 3));
    }

    #[test]
    fn queue_has_a_limit() {
        let mut queue = RequestQueue::default();
        let bytes = 4 + size_of::<Span>() + size_of::<u32>();
        assert!(push(&mut queue, b"PING\r\n", 2 * bytes));
        assert!(!push(&mut queue, b"PING2\r\n", 2 * bytes));
        assert!(push(&mut queue, b"PING\r\n", 2 * bytes));
        assert_eq!(queue.len(), 2);
        assert!(queue.memory_bytes() >= 2 * bytes);
    }
}
