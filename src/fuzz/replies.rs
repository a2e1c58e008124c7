//! A strict reader of replies. Every client accepts what it accepts.

/// Reads whole replies, and follows the protocol that HELLO asked for.
pub(super) struct Replies<'a> {
    rest: &'a [u8],
    dialect: Dialect,
    /// The greatest depth of a whole reply: 1 if the reply of EXEC may have that of HELLO, and
    /// confirmations of subscriptions, as in Redis.
    depth_max: usize,
}

/// The protocol of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Resp2,
    Resp3,
    /// Either: the reply to HELLO may have been skipped.
    Unknown,
}

/// A reply, with the parts that [`Value::proto`] needs.
#[derive(Debug)]
enum Value<'a> {
    Simple(&'a [u8]),
    Bulk(&'a [u8]),
    Integer(i64),
    Items(Vec<Value<'a>>),
    Other,
}

impl Value<'_> {
    /// Returns the protocol in the reply to HELLO; `None` for other replies.
    fn proto(&self) -> Option<i64> {
        let Self::Items(items) = self else {
            return None;
        };
        match items[..] {
            [
                Value::Bulk(b"server"),
                _,
                _,
                _,
                Value::Bulk(b"proto"),
                Value::Integer(proto),
                ..,
            ] => Some(proto),
            _ => None,
        }
    }
}

impl<'a> Replies<'a> {
    pub(super) fn new(bytes: &'a [u8], dialect: Dialect, has_exec: bool) -> Self {
        Self {
            rest: bytes,
            dialect,
            depth_max: has_exec.into(),
        }
    }

    /// Reads the next reply. Returns its length in bytes; `None` if there is none left.
    pub(super) fn next(&mut self) -> Option<Result<usize, String>> {
        let before = self.rest;
        if before.is_empty() {
            return None;
        }
        let length = match self.reply(0) {
            Ok(_) => Ok(before.len() - self.rest.len()),
            Err(problem) => {
                let at = before.len() - self.rest.len();
                let shown = &before[..before.len().min(at + 100)];
                Err(format!(
                    "{problem}, {:?}, after {at} bytes of {}",
                    self.dialect,
                    shown.escape_ascii()
                ))
            }
        };
        Some(length)
    }

    /// Reads a whole reply, in another one if `depth` is not 0.
    fn reply(&mut self, depth: usize) -> Result<Value<'a>, String> {
        // The reply to HELLO is the first in the protocol that it asks for.
        let must_be_hello = self.dialect == Dialect::Resp2 && self.rest.first() == Some(&b'%');
        if must_be_hello {
            self.dialect = Dialect::Resp3;
        }
        let value = self.value(depth)?;
        if !self.follow(&value) && must_be_hello {
            return Err("a map in RESP2".into());
        }
        Ok(value)
    }

    /// Changes the protocol if the reply is to HELLO or RESET. Returns whether it is to HELLO.
    fn follow(&mut self, value: &Value<'_>) -> bool {
        let dialect = match value {
            Value::Simple(b"RESET") => Some(Dialect::Resp2),
            value => match value.proto() {
                Some(2) => Some(Dialect::Resp2),
                Some(_) => Some(Dialect::Resp3),
                None => None,
            },
        };
        if let Some(dialect) = dialect
            && self.dialect != Dialect::Unknown
        {
            self.dialect = dialect;
        }
        value.proto().is_some()
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, String> {
        if depth > DEPTH_MAX {
            return Err("too deep".into());
        }
        let kind = *self.rest.first().ok_or("an item is missing")?;
        if !self.knows(kind, depth) {
            return Err(format!("no kind of reply: {}", kind.escape_ascii()));
        }
        self.rest = &self.rest[1..];
        let line = self.line()?;
        match kind {
            b'+' => Ok(Value::Simple(line)),
            b'-' => error(line),
            b':' => Ok(Value::Integer(integer(line)?)),
            b'$' | b'=' if line == b"-1" && kind == b'$' => self.null(),
            b'*' if line == b"-1" => self.null(),
            b'$' => Ok(Value::Bulk(self.blob(line)?)),
            b'=' => match self.blob(line)? {
                [b't', b'x', b't', b':', ..] => Ok(Value::Other),
                _ => Err("a text of no kind".into()),
            },
            b'_' if line.is_empty() => Ok(Value::Other),
            b'#' if matches!(line, b"t" | b"f") => Ok(Value::Other),
            b'%' => self.items(2 * count(line)?, depth),
            b'*' | b'~' | b'>' => self.items(count(line)?, depth),
            _ => Err(format!("no value: {}", line.escape_ascii())),
        }
    }

    fn knows(&self, kind: u8, depth: usize) -> bool {
        match kind {
            b'+' | b'-' | b':' | b'$' | b'*' => true,
            b'_' | b'#' | b'=' | b'%' | b'~' => self.dialect != Dialect::Resp2,
            b'>' => self.dialect != Dialect::Resp2 && depth <= self.depth_max,
            _ => false,
        }
    }

    /// Returns RESP2's null.
    fn null(&self) -> Result<Value<'a>, String> {
        match self.dialect {
            Dialect::Resp3 => Err("a length of -1".into()),
            Dialect::Resp2 | Dialect::Unknown => Ok(Value::Other),
        }
    }

    fn line(&mut self) -> Result<&'a [u8], String> {
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let length = self.rest.iter().position(is_end).ok_or("no line end")?;
        let (line, rest) = self.rest.split_at(length);
        self.rest = rest.strip_prefix(b"\r\n").ok_or("half a line end")?;
        Ok(line)
    }

    fn blob(&mut self, length: &[u8]) -> Result<&'a [u8], String> {
        let length = count(length)?;
        let blob = self.rest.get(..length).ok_or("too short")?;
        self.rest = self.rest[length..]
            .strip_prefix(b"\r\n")
            .ok_or("too long")?;
        Ok(blob)
    }

    fn items(&mut self, count: usize, depth: usize) -> Result<Value<'a>, String> {
        let item = |_| match depth + 1 {
            depth if depth <= self.depth_max => self.reply(depth),
            depth => self.value(depth),
        };
        let items: Result<_, _> = (0..count).map(item).collect();
        Ok(Value::Items(items?))
    }
}

/// Checks that an error begins with a code in capitals.
fn error(line: &[u8]) -> Result<Value<'static>, String> {
    let code = line.split(|&byte| byte == b' ').next().unwrap_or(line);
    if code.is_empty() || !code.iter().all(u8::is_ascii_uppercase) {
        return Err(format!("an error without a code: {}", line.escape_ascii()));
    }
    Ok(Value::Other)
}

/// Parses a canonical decimal integer.
fn integer(text: &[u8]) -> Result<i64, String> {
    let value = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    value
        .filter(|value: &i64| value.to_string().as_bytes() == text)
        .ok_or_else(|| format!("no integer: {}", text.escape_ascii()))
}

fn count(text: &[u8]) -> Result<usize, String> {
    usize::try_from(integer(text)?).map_err(|_| "a negative length".into())
}

/// Maximum nesting of aggregates in a reply: `COMMAND DOCS`.
const DEPTH_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &str, dialect: Dialect) -> Result<Vec<usize>, String> {
        let mut replies = Replies::new(bytes.as_bytes(), dialect, false);
        std::iter::from_fn(|| replies.next()).collect()
    }

    #[test]
    fn whole_replies_are_accepted_and_measured() {
        let both = "+OK\r\n-ERR no\r\n:-5\r\n$2\r\n\r\n\r\n*2\r\n:1\r\n*0\r\n";
        for dialect in [Dialect::Resp2, Dialect::Resp3, Dialect::Unknown] {
            assert_eq!(read(both, dialect), Ok(vec![5, 9, 5, 8, 12]));
        }
        assert_eq!(read("$-1\r\n*-1\r\n", Dialect::Resp2), Ok(vec![5, 5]));
        let new = "_\r\n#t\r\n=5\r\ntxt:a\r\n%1\r\n:1\r\n_\r\n~0\r\n>1\r\n:1\r\n";
        assert_eq!(read(new, Dialect::Resp3), Ok(vec![3, 4, 11, 11, 4, 8]));
    }

    #[test]
    fn invalid_replies_are_rejected() {
        for bytes in [
            "x",
            "+OK",
            "+OK\r",
            "+OK\n",
            "+O\rK\r\n",
            "-\r\n",
            "-no code\r\n",
            ":\r\n",
            ":01\r\n",
            ":+1\r\n",
            "$3\r\nab\r\n",
            "$1\r\nab\r\n",
            "$-2\r\n",
            "*1\r\n",
            "*-2\r\n",
            ",1.5\r\n",
            "#x\r\n",
            "=3\r\nabc\r\n",
            "*1\r\n>0\r\n",
        ] {
            assert!(read(bytes, Dialect::Unknown).is_err(), "{bytes:?}");
        }
        let deep = |depth| "*1\r\n".repeat(depth) + ":1\r\n";
        assert!(read(&deep(DEPTH_MAX), Dialect::Resp2).is_ok());
        assert!(read(&deep(DEPTH_MAX + 1), Dialect::Resp2).is_err());
        assert!(read("_\r\n", Dialect::Resp2).is_err());
        assert!(read("$-1\r\n", Dialect::Resp3).is_err());
    }

    #[test]
    fn replies_to_hello_and_reset_change_the_protocol() {
        let hello = |opening: &str, proto: u8| {
            format!(
                "{opening}$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$1\r\n7\r\n$5\r\nproto\r\n\
                 :{proto}\r\n$7\r\nmodules\r\n*0\r\n"
            )
        };
        let read = |bytes: &str, dialect| read(bytes, dialect).is_ok();
        // The reply to HELLO is in the protocol that it asks for.
        let resp3 = hello("%4\r\n", 3);
        assert!(read(&format!("{resp3}_\r\n"), Dialect::Resp2));
        // Also inside the reply of EXEC, and nowhere else.
        let exec = format!("*3\r\n+OK\r\n{resp3}>1\r\n:1\r\n");
        assert!(!read(&exec, Dialect::Resp2));
        let mut replies = Replies::new(exec.as_bytes(), Dialect::Resp2, true);
        assert_eq!(replies.next(), Some(Ok(exec.len())));
        assert!(!read("%0\r\n", Dialect::Resp2));
        let resp2 = hello("*8\r\n", 2);
        assert!(read(&format!("{resp2}$-1\r\n"), Dialect::Resp3));
        assert!(!read(&format!("{resp2}_\r\n"), Dialect::Resp3));
        assert!(!read("+RESET\r\n_\r\n", Dialect::Resp3));
    }
}
