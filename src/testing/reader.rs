//! Bytes to answers.

use std::iter;

use super::answer::Answer;

/// What is at the front of some bytes.
#[derive(Debug, PartialEq)]
pub(super) enum Front {
    /// An answer, and its length.
    Whole(Answer, usize),
    /// An answer that lacks at least so many bytes.
    Incomplete(usize),
}

/// Reads one answer from the front of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Result<Front, String> {
    let mut reader = Reader {
        rest: bytes,
        depth: 0,
    };
    match reader.answer() {
        Ok(answer) => Ok(Front::Whole(answer, bytes.len() - reader.rest.len())),
        Err(Stop::Incomplete(missing)) => Ok(Front::Incomplete(missing)),
        Err(Stop::Invalid(problem)) => Err(problem),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    /// The number of answers that this one is in.
    depth: usize,
}

/// Why there is no answer.
enum Stop {
    /// At least so many bytes are missing.
    Incomplete(usize),
    Invalid(String),
}

impl Stop {
    /// Adds the answers that are missing, too.
    fn and_missing(self, answers: usize) -> Self {
        match self {
            Self::Incomplete(bytes) => {
                Self::Incomplete(bytes.saturating_add(answers.saturating_mul(ANSWER_BYTES_MIN)))
            }
            Self::Invalid(problem) => Self::Invalid(problem),
        }
    }
}

impl<'a> Reader<'a> {
    fn answer(&mut self) -> Result<Answer, Stop> {
        // A stack has an end.
        if self.depth > DEPTH_MAX {
            let problem = format!("answers within answers, more than {DEPTH_MAX}");
            return Err(Stop::Invalid(problem));
        }
        self.depth += 1;
        let answer = self.answer_within()?;
        self.depth -= 1;
        Ok(answer)
    }

    fn answer_within(&mut self) -> Result<Answer, Stop> {
        let line = self.line()?;
        let Some((kind, line)) = line.split_first() else {
            return Err(Stop::Invalid("an empty line".into()));
        };
        Ok(match (kind, line) {
            (b'+', text) => Answer::Simple(lossy(text)),
            (b'-', text) => Answer::Error(lossy(text)),
            (b':', digits) => Answer::Integer(number(digits)?),
            (b'_', b"") | (b'$' | b'*', b"-1") => Answer::Null,
            (b'$', length) => Answer::Bulk(self.blob(length)?.to_vec()),
            (b'!', length) => Answer::Error(lossy(self.blob(length)?)),
            (b'=', length) => verbatim(self.blob(length)?)?,
            (b'*', count) => Answer::Array(self.items(count)?),
            (b'~', count) => Answer::Set(self.items(count)?),
            (b'>', count) => Answer::Push(self.items(count)?),
            (b'%', count) => Answer::Map(self.pairs(count)?),
            (b'|', count) => Answer::Attributed(self.pairs(count)?, Box::new(self.answer()?)),
            (b',', text) => Answer::Double(number(text)?),
            (b'#', b"t") => Answer::Boolean(true),
            (b'#', b"f") => Answer::Boolean(false),
            (b'(', digits) => Answer::BigNumber(lossy(digits)),
            _ => {
                let kind = kind.escape_ascii();
                return Err(Stop::Invalid(format!("{kind}{}", line.escape_ascii())));
            }
        })
    }

    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let end = self.rest.windows(2).position(|end| end == b"\r\n");
        let end = end.ok_or(Stop::Incomplete(1))?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 2..];
        Ok(line)
    }

    fn blob(&mut self, length: &[u8]) -> Result<&'a [u8], Stop> {
        let length: usize = number(length)?;
        // A length near the maximum is incomplete, too.
        let missing = length.saturating_add(2).saturating_sub(self.rest.len());
        let rest = self.rest.get(length..).ok_or(Stop::Incomplete(missing))?;
        let blob = &self.rest[..length];
        self.rest = match rest {
            [b'\r', b'\n', rest @ ..] => rest,
            [] | [b'\r'] => return Err(Stop::Incomplete(missing)),
            _ => return Err(Stop::Invalid(format!("no line end after {length} bytes"))),
        };
        Ok(blob)
    }

    fn items(&mut self, count: &[u8]) -> Result<Vec<Answer>, Stop> {
        self.answers(number(count)?)
    }

    fn pairs(&mut self, count: &[u8]) -> Result<Vec<(Answer, Answer)>, Stop> {
        let count: usize = number(count)?;
        let mut answers = self.answers(count.saturating_mul(2))?.into_iter();
        let pair = || Some((answers.next()?, answers.next()?));
        Ok(iter::from_fn(pair).collect())
    }

    fn answers(&mut self, count: usize) -> Result<Vec<Answer>, Stop> {
        let read = |index| {
            let answer = self.answer();
            answer.map_err(|stop| stop.and_missing(count - index - 1))
        };
        (0..count).map(read).collect()
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Result<T, Stop> {
    let value = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    value.ok_or_else(|| Stop::Invalid(format!("no number: {}", text.escape_ascii())))
}

fn verbatim(blob: &[u8]) -> Result<Answer, Stop> {
    match blob {
        [a, b, c, b':', text @ ..] => Ok(Answer::Verbatim {
            format: lossy(&[*a, *b, *c]),
            text: text.to_vec(),
        }),
        _ => Err(Stop::Invalid(format!("no format: {}", blob.escape_ascii()))),
    }
}

/// Bytes of the shortest answer: `_` and a line end.
const ANSWER_BYTES_MIN: usize = 3;

/// Maximum number of answers that one is in. No server nests so many.
const DEPTH_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an answer that has all of `bytes`, and none of fewer.
    #[track_caller]
    fn whole(bytes: &str) -> Answer {
        let bytes = bytes.as_bytes();
        for length in 0..bytes.len() {
            match read(&bytes[..length]) {
                Ok(Front::Incomplete(missing)) => {
                    assert!((1..=bytes.len() - length).contains(&missing), "{missing}");
                }
                other => panic!("{length} bytes: {other:?}"),
            }
        }
        match read(&[bytes, b"+"].concat()) {
            Ok(Front::Whole(answer, length)) if length == bytes.len() => answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_type_is_read() {
        assert_eq!(whole("+OK\r\n"), Answer::simple("OK"));
        assert_eq!(whole("-ERR no\r\n"), Answer::error("ERR no"));
        assert_eq!(whole("!6\r\nERR \r\n\r\n"), Answer::error("ERR \r\n"));
        assert_eq!(whole(":-7\r\n"), -7);
        assert_eq!(whole("$4\r\na\r\nb\r\n"), Answer::bulk("a\r\nb"));
        for null in ["_\r\n", "$-1\r\n", "*-1\r\n"] {
            assert_eq!(whole(null), Answer::Null);
        }
        let items = || vec![Answer::Integer(1), Answer::Array(Vec::new())];
        assert_eq!(whole("*2\r\n:1\r\n*0\r\n"), Answer::Array(items()));
        assert_eq!(whole("~2\r\n:1\r\n*0\r\n"), Answer::Set(items()));
        assert_eq!(whole(">2\r\n:1\r\n*0\r\n"), Answer::Push(items()));
        let pairs = || vec![(Answer::bulk("a"), Answer::Boolean(true))];
        assert_eq!(whole("%1\r\n$1\r\na\r\n#t\r\n"), Answer::Map(pairs()));
        let attributed = Answer::Attributed(pairs(), Box::new(Answer::Boolean(false)));
        assert_eq!(whole("|1\r\n$1\r\na\r\n#t\r\n#f\r\n"), attributed);
        assert_eq!(whole(",-1.5\r\n"), -1.5);
        assert_eq!(whole(",-inf\r\n"), f64::NEG_INFINITY);
        assert_eq!(whole("(12345678901234567890\r\n"), {
            Answer::BigNumber("12345678901234567890".into())
        });
        let text = Answer::Verbatim {
            format: "txt".into(),
            text: b"a".to_vec(),
        };
        assert_eq!(whole("=5\r\ntxt:a\r\n"), text);
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [
            "\r\n",
            "x\r\n",
            ":x\r\n",
            "$-2\r\n",
            "$1\r\nab\r\n",
            "*x\r\n",
            "#x\r\n",
            "_x\r\n",
            "=3\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\n",
        ] {
            assert!(read(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
        for begin in ["*1\r\n", "%1\r\n", "%1\r\n+a\r\n", "|1\r\n", "|0\r\n"] {
            let deep = begin.repeat(1_000_000);
            assert!(read(deep.as_bytes()).is_err(), "{begin:?}");
        }
        let deep = format!("{}*0\r\n", "*1\r\n".repeat(DEPTH_MAX));
        assert!(matches!(read(deep.as_bytes()), Ok(Front::Whole(..))));
        let huge = format!("${}\r\n", usize::MAX);
        assert!(matches!(read(huge.as_bytes()), Ok(Front::Incomplete(_))));
        let many = format!("*{}\r\n:1\r\n", usize::MAX);
        let missing = Front::Incomplete(usize::MAX);
        assert_eq!(read(many.as_bytes()), Ok(missing));
    }
}
