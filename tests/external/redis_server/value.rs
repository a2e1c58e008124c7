//! The values of a reply: a small reader of RESP2 and RESP3, for replies that are not compared byte
//! by byte.

use std::fmt;

/// A value of the protocol. It keeps its type on the wire: a set is not an array.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Value {
    /// The type byte.
    pub(crate) kind: char,
    /// Empty for an aggregate. One char per byte, so that nothing is lost.
    pub(crate) text: String,
    /// Of a map, keys and values alternate.
    pub(crate) items: Vec<Self>,
}

/// The text of a null that has length -1 on the wire.
const NULL: &str = "(null)";

impl Value {
    /// Reads the value at the front of `bytes` and advances them. Returns `None` if it is
    /// incomplete.
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

    /// Reads all values in `bytes`. Returns `None` if there is anything else.
    pub(crate) fn read_all(mut bytes: &[u8]) -> Option<Vec<Self>> {
        let mut values = Vec::new();
        while !bytes.is_empty() {
            values.push(Self::read(&mut bytes)?);
        }
        Some(values)
    }

    /// Returns the pairs of a map, which is a flat array in RESP2.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&Self, &Self)> {
        self.items.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))
    }

    /// Returns the value of this key of a map.
    pub(crate) fn field_mut(&mut self, name: &str) -> Option<&mut Self> {
        let key = self
            .items
            .iter()
            .step_by(2)
            .position(|key| key.text == name)?;
        self.items.get_mut(2 * key + 1)
    }

    /// Returns true for an error.
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

/// Returns a char per byte.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Returns the bytes of a text made by [`latin1`].
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let byte = |char| u8::try_from(u32::from(char)).expect("tests send bytes, not wide characters");
    text.chars().map(byte).collect()
}
