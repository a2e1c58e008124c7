//! Redis's glob patterns (`stringmatchlen` in `src/util.c`): `*` matches any bytes, `?` any byte,
//! `[a-z]` and `[^a-z]` one byte of a set, `\x` the byte x itself.

use std::borrow::Cow;
use std::cell::OnceCell;

/// A pattern to compare texts with. A comparison takes time proportional to the length of the text,
/// with a factor of one machine word for each 64 bytes of the pattern, which [`PATTERN_BYTES_MAX`]
/// bounds.
pub(crate) struct Pattern<'p> {
    /// In lower case if it ignores case.
    bytes: Cow<'p, [u8]>,
    ignores_case: bool,
    /// The pattern after the first star, compiled for the first text that needs it.
    search: OnceCell<Box<Search>>,
}

/// The pattern has more than [`PATTERN_BYTES_MAX`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Maximum bytes of a pattern. Redis has no bound, and takes time in proportion to the product of
/// both lengths.
pub(crate) const PATTERN_BYTES_MAX: usize = 1024;

impl<'p> Pattern<'p> {
    /// Returns a pattern that distinguishes upper and lower case.
    pub(crate) fn new(bytes: &'p [u8]) -> Result<Self, TooLong> {
        if bytes.len() > PATTERN_BYTES_MAX {
            return Err(TooLong);
        }
        Ok(Self {
            bytes: bytes.into(),
            ignores_case: false,
            search: OnceCell::new(),
        })
    }

    /// Returns a pattern that ignores the case of ASCII letters.
    pub(crate) fn ignoring_case(bytes: &'p [u8]) -> Result<Self, TooLong> {
        Ok(Self {
            bytes: bytes.to_ascii_lowercase().into(),
            ignores_case: true,
            ..Self::new(bytes)?
        })
    }

    /// Whether `text` as a whole matches.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        if self.ignores_case {
            self.matches_exactly(&text.to_ascii_lowercase())
        } else {
            self.matches_exactly(text)
        }
    }

    fn matches_exactly(&self, text: &[u8]) -> bool {
        let mut text = text.iter();
        let mut pattern = &*self.bytes;
        // Up to the first star, each element matches one byte.
        while let Some((element, rest)) = Element::first_of(pattern) {
            if matches!(element, Element::Star) {
                let search = self.search.get_or_init(|| Box::new(Search::new(rest)));
                return search.finds(text.as_slice());
            }
            if !text.next().is_some_and(|&byte| element.accepts(byte)) {
                return false;
            }
            pattern = rest;
        }
        text.next().is_none()
    }
}

/// One element of a pattern.
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
enum Element {
    Star,
    Any,
    Byte(u8),
    Class(Class),
}

impl Element {
    /// Returns the first element of `pattern` and the pattern after it; `None` at its end.
    fn first_of(pattern: &[u8]) -> Option<(Self, &[u8])> {
        Some(match pattern {
            [] => return None,
            [b'*', rest @ ..] => (Self::Star, rest),
            [b'?', rest @ ..] => (Self::Any, rest),
            [b'[', rest @ ..] => {
                let (class, rest) = Class::first_of(rest);
                (Self::Class(class), rest)
            }
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] => (Self::Byte(*byte), rest),
        })
    }

    /// Whether the element matches this byte.
    fn accepts(&self, byte: u8) -> bool {
        match self {
            Self::Star | Self::Any => true,
            Self::Byte(own) => *own == byte,
            Self::Class(class) => class.has(byte),
        }
    }
}

/// A set of bytes.
struct Class([bool; 256]);

impl Class {
    /// Returns the class whose elements follow the `[`, and the pattern after its `]`. A class that
    /// does not close ends with the pattern.
    fn first_of(pattern: &[u8]) -> (Self, &[u8]) {
        let (negated, mut rest) = match pattern {
            [b'^', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let mut class = Self([false; 256]);
        loop {
            let (first, last, after) = match rest {
                [] => break,
                [b']', after @ ..] => {
                    rest = after;
                    break;
                }
                [b'\\', byte, after @ ..] => (byte, byte, after),
                [first, b'-', last, after @ ..] => (first.min(last), first.max(last), after),
                [byte, after @ ..] => (byte, byte, after),
            };
            class.0[usize::from(*first)..=usize::from(*last)].fill(true);
            rest = after;
        }
        if negated {
            class.0 = class.0.map(|has| !has);
        }
        (class, rest)
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(|&byte| self.has(byte))
    }
}

/// A pattern after a star, as an automaton: its state has a bit for each number of elements that
/// may have matched so far. A byte moves all bits at once, in words of 64.
struct Search {
    /// Words of the state.
    width: usize,
    /// For each byte, the bits that it moves, besides those in `any`.
    moves: Vec<u64>,
    /// The bits that every byte moves.
    any: [u64; WIDTH_MAX],
    /// The bits that also stay, because a star is next.
    stays: [u64; WIDTH_MAX],
    /// Elements without stars: the bit of a whole match.
    elements: usize,
}

/// Words for the longest pattern: the star before it is one of its bytes, and there is one bit more
/// than elements.
const WIDTH_MAX: usize = PATTERN_BYTES_MAX / 64;

impl Search {
    fn new(mut pattern: &[u8]) -> Self {
        let width = pattern.len() / 64 + 1;
        let mut search = Self {
            width,
            moves: vec![0; 256 * width],
            any: [0; WIDTH_MAX],
            stays: [0; WIDTH_MAX],
            elements: 0,
        };
        search.stays[0] = 1;
        while let Some((element, rest)) = Element::first_of(pattern) {
            pattern = rest;
            let (word, bit) = (search.elements / 64, 1 << (search.elements % 64));
            let mut accept = |byte: u8| search.moves[usize::from(byte) * width + word] |= bit;
            match element {
                Element::Star => {
                    search.stays[word] |= bit;
                    continue;
                }
                Element::Any => search.any[word] |= bit,
                Element::Byte(byte) => accept(byte),
                Element::Class(class) => class.bytes().for_each(accept),
            }
            search.elements += 1;
        }
        search
    }

    fn finds(&self, text: &[u8]) -> bool {
        let mut state = [0_u64; WIDTH_MAX];
        state[0] = 1;
        for &byte in text {
            let moves = &self.moves[usize::from(byte) * self.width..][..self.width];
            let mut carry = 0;
            for (word, bits) in state[..self.width].iter_mut().enumerate() {
                let next = *bits & (moves[word] | self.any[word]);
                *bits = next << 1 | carry | *bits & self.stays[word];
                carry = next >> 63;
            }
        }
        state[self.elements / 64] >> (self.elements % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        let pattern = Pattern::ignoring_case(pattern).expect("it is short");
        pattern.matches(text)
    }

    fn matches_case(pattern: &[u8], text: &[u8]) -> bool {
        Pattern::new(pattern).expect("it is short").matches(text)
    }

    #[test]
    fn case_counts_where_it_is_to() {
        assert!(matches(b"A[b-d]\\E?", b"aCeX"));
        assert!(matches_case(b"A[b-d]\\E?", b"AcEX"));
        assert!(matches_case(b"*A[b-d]\\E?", b"AcEX"));
        for text in [&b"acEX"[..], b"ACEX", b"AceX"] {
            assert!(!matches_case(b"A[b-d]\\E?", text));
            assert!(!matches_case(b"*A[b-d]\\E?", text));
        }
    }

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "timeout", true),
            ("**", "timeout", true),
            ("TimeOut", "timeout", true),
            ("time", "timeout", false),
            ("time*", "timeout", true),
            ("tcp-*", "tcp-keepalive", true),
            ("*-*e", "tcp-keepalive", true),
            ("*z*", "tcp-keepalive", false),
            ("t?meout", "timeout", true),
            ("t?meout", "tmeout", false),
            ("*?", "", false),
            ("*?", "t", true),
            ("[p-t]ort", "port", true),
            ("[t-p]ort", "port", true),
            ("[^a-o]ort", "port", true),
            ("[^p]ort", "port", false),
            ("[xp", "p", true),
            ("[x\\]]", "]", true),
            ("*[x\\]]", "a]", true),
            ("*[^x]", "ax", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("\\", "\\", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    /// By the definition, in any time.
    fn matches_naively(pattern: &[u8], text: &[u8]) -> bool {
        let Some((element, rest)) = Element::first_of(pattern) else {
            return text.is_empty();
        };
        if matches!(element, Element::Star) {
            return (0..=text.len()).any(|taken| matches_naively(rest, &text[taken..]));
        }
        let Some((&byte, rest_of_text)) = text.split_first() else {
            return false;
        };
        element.accepts(byte) && matches_naively(rest, rest_of_text)
    }

    proptest! {
        #[test]
        fn every_pattern_matches_as_defined(
            pattern in "[ab*?^\\-\\[\\]\\\\B]{0,12}",
            text in "[abB^\\-\\]\\[]{0,12}",
        ) {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches_case(pattern, text), matches_naively(pattern, text));
            let lower = matches_naively(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase());
            prop_assert_eq!(matches(pattern, text), lower);
        }
    }

    #[test]
    fn long_patterns_match_at_every_width() {
        for length in (1..PATTERN_BYTES_MAX)
            .step_by(31)
            .chain([PATTERN_BYTES_MAX - 1])
        {
            let pattern = format!("*{}", "a".repeat(length));
            let text = "a".repeat(length);
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{length}");
            assert!(matches(pattern.as_bytes(), format!("b{text}").as_bytes()));
            assert!(!matches(pattern.as_bytes(), format!("{text}b").as_bytes()));
            assert!(!matches(pattern.as_bytes(), &text.as_bytes()[1..]));
        }
    }

    #[test]
    fn pattern_longer_than_bound_is_refused() {
        let longest = [b'a'; PATTERN_BYTES_MAX];
        assert!(matches(&longest, &longest));
        assert!(Pattern::new(&[b'['; PATTERN_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn hostile_pattern_costs_no_more_than_its_length() {
        // Compared anew for each byte of the text, the first would take 10^9 steps.
        let text = vec![b'a'; 1_000_000];
        let pattern = format!("*{}b", "a".repeat(PATTERN_BYTES_MAX - 2));
        assert!(!matches(pattern.as_bytes(), &text));
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(pattern.as_bytes(), &text));
    }
}
