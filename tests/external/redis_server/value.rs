//! A reply as what it says: a small reader of RESP2 and RESP3 for the replies that are not compared
//! byte by byte.

use std::fmt;

/// A value of the protocol. What kind it is on the wire stays known, so that a set is no array.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Value {
    /// The byte that it began with.
    pub(crate) kind: char,
    /// Of an aggregate, empty. Each byte is a char of its number, so that nothing is lost.
    pub(crate) text: String,
    /// Of a map, keys and values in turn.
    pub(crate) items: Vec<Self>,
}

/// What stands for the text of a null that has a length of -1 on the wire.
const NULL: &str = "(null)";

impl Value {
    /// The value at the front of `bytes`, which are advanced behind it; `None` if it is not whole.
    pub(crate) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let (line, rest) = (latin1(&bytes[..end]), &bytes[end + 2..]);
        let kind = line.chars().next()?;
        let text = line[1..].to_owned();
        *bytes = rest;
        let mut value = Self {
            kind,
            text,
            items: Vec::new(),
        };
        let length = match kind {
            '$' | '=' | '*' | '~' | '>' | '%' => value.text.parse::<i64>().ok()?,
            _ => return Some(value),
        };
        value.text.clear();
        match (kind, usize::try_from(length)) {
            (_, Err(_)) => value.text.push_str(NULL),
            ('$' | '=', Ok(length)) => {
                value.text = latin1(rest.get(..length)?);
                *bytes = rest.get(length + 2..)?;
            }
            (_, Ok(length)) => {
                for _ in 0..if kind == '%' { 2 * length } else { length } {
                    value.items.push(Self::read(bytes)?);
                }
            }
        }
        Some(value)
    }

    /// Every value in `bytes`; `None` if something else stands there too.
    pub(crate) fn read_all(mut bytes: &[u8]) -> Option<Vec<Self>> {
        let mut values = Vec::new();
        while !bytes.is_empty() {
            values.push(Self::read(&mut bytes)?);
        }
        Some(values)
    }

    /// The pairs of a map, which RESP2 sends as one flat array.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&Self, &Self)> {
        self.items.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))
    }

    /// Of a map, what stands under this name.
    pub(crate) fn field_mut(&mut self, name: &str) -> Option<&mut Self> {
        let key = self
            .items
            .iter()
            .step_by(2)
            .position(|key| key.text == name)?;
        self.items.get_mut(2 * key + 1)
    }

    /// Whether it is an error.
    pub(crate) fn is_error(&self) -> bool {
        self.kind == '-'
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.items.is_empty() {
            write!(f, "{}{:?}", self.kind, self.text)
        } else {
            write!(f, "{}", self.kind)?;
            f.debug_list().entries(&self.items).finish()
        }
    }
}

/// A char for each byte, of the same number.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The bytes of which [`latin1`] makes `text`.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let byte = |char| u8::try_from(u32::from(char)).expect("tests send bytes, not wide characters");
    text.chars().map(byte).collect()
}
