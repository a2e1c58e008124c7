//! A reply or a message, as a client sees it.

use std::fmt;

/// A reply or a message of a server, as a [`TestClient`](super::TestClient) receives it.
///
/// An answer can be compared with literals, which is the shortest way to check it:
///
/// | literal | equals |
/// |---|---|
/// | `"text"`, `b"bytes"` | a simple, bulk or verbatim string |
/// | `7`, `1.5`, `true` | an integer, a double, a boolean |
/// | `["a", "b"]`, `vec![1, 2]`, `("message", 7)` | an array, a set or a push with these items |
/// | the same | a map with these keys and values in turn, as an array has them in RESP2 |
/// | `Answer::Null` | null, also as an array |
///
/// ```
/// use respool::testing::Answer;
///
/// let answer = Answer::Array(vec![Answer::bulk("a"), Answer::Integer(1), Answer::Null]);
/// assert_eq!(answer, ("a", 1, Answer::Null));
/// assert_ne!(Answer::error("ERR no"), "ERR no");
/// ```
///
/// To check the type of a string, too, compare with [`Answer::simple`] or [`Answer::bulk`]. The
/// order of the items of maps and sets counts.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// A simple string. Bytes that are not UTF-8 are replaced.
    Simple(String),
    /// An error, simple or bulk, with its code. Bytes that are not UTF-8 are replaced.
    Error(String),
    /// An integer.
    Integer(i64),
    /// A bulk string.
    Bulk(Vec<u8>),
    /// Null: of RESP3, or a bulk string or an array that is null.
    Null,
    /// An array.
    Array(Vec<Answer>),
    /// A map, from RESP3 on. RESP2 has an array of keys and values instead.
    Map(Vec<(Answer, Answer)>),
    /// A set, from RESP3 on. RESP2 has an array instead.
    Set(Vec<Answer>),
    /// A double, from RESP3 on. RESP2 has a bulk string instead.
    Double(f64),
    /// A boolean, from RESP3 on. RESP2 has 1 or 0 instead.
    Boolean(bool),
    /// A big number in decimal digits, from RESP3 on. RESP2 has a bulk string instead.
    BigNumber(String),
    /// A verbatim string, from RESP3 on. RESP2 has a bulk string instead.
    Verbatim {
        /// Three letters, such as `txt`.
        format: String,
        /// The string without its format.
        text: Vec<u8>,
    },
    /// A push, from RESP3 on. RESP2 has an array instead.
    Push(Vec<Answer>),
    /// An answer with attributes before it, from RESP3 on.
    Attributed(Vec<(Answer, Answer)>, Box<Answer>),
}

impl Answer {
    /// Returns a simple string.
    pub fn simple(text: impl Into<String>) -> Self {
        Self::Simple(text.into())
    }

    /// Returns a bulk string.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bulk(bytes.as_ref().to_vec())
    }

    /// Returns an error: its code, a space, and its text.
    pub fn error(text: impl Into<String>) -> Self {
        Self::Error(text.into())
    }

    /// Returns the text of a simple, bulk or verbatim string.
    pub(super) fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(text) => Some(text.as_bytes()),
            Self::Bulk(text) | Self::Verbatim { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Returns the items of an array, a set or a push, or the keys and values of a map in turn.
    pub(super) fn items(&self) -> Option<Vec<&Self>> {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => {
                Some(items.iter().collect())
            }
            Self::Map(pairs) => Some(pairs.iter().flat_map(|(key, value)| [key, value]).collect()),
            _ => None,
        }
    }
}

/// Shows bytes as text, with escapes.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) => write!(f, "Simple({text:?})"),
            Self::Error(text) => write!(f, "Error({text:?})"),
            Self::Integer(value) => write!(f, "Integer({value})"),
            Self::Bulk(bytes) => write!(f, "Bulk({})", Escaped(bytes)),
            Self::Null => f.write_str("Null"),
            Self::Array(items) => f.debug_tuple("Array").field(items).finish(),
            Self::Map(pairs) => f.debug_tuple("Map").field(pairs).finish(),
            Self::Set(items) => f.debug_tuple("Set").field(items).finish(),
            Self::Double(value) => write!(f, "Double({value:?})"),
            Self::Boolean(value) => write!(f, "Boolean({value})"),
            Self::BigNumber(digits) => write!(f, "BigNumber({digits})"),
            Self::Verbatim { format, text } => {
                write!(f, "Verbatim({format:?}, {})", Escaped(text))
            }
            Self::Push(items) => f.debug_tuple("Push").field(items).finish(),
            Self::Attributed(pairs, answer) => {
                let mut tuple = f.debug_tuple("Attributed");
                tuple.field(pairs).field(answer).finish()
            }
        }
    }
}

/// Bytes as text if they are UTF-8, or else with an escape for each byte that is not ASCII.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match str::from_utf8(self.0) {
            Ok(text) => write!(f, "{text:?}"),
            Err(_) => write!(f, "b\"{}\"", self.0.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_text() {
        let answer = Answer::Array(vec![Answer::bulk("ä\n"), Answer::bulk(b"\xff\"")]);
        let shown = r#"Array([Bulk("ä\n"), Bulk(b"\xff\"")])"#;
        assert_eq!(format!("{answer:?}"), shown);
    }
}
