//! Redis's glob patterns (`stringmatchlen` in `src/util.c`).

/// Whether `text` as a whole matches `pattern`, without regard to case: `*` is any bytes, `?` any
/// byte, `[a-z]` and `[^a-z]` one of some bytes, `\x` the byte x itself.
///
/// Takes no longer than the product of both lengths, whatever the pattern.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    matches_folded(pattern, text, |byte| byte.to_ascii_lowercase())
}

/// As [`matches()`], but capitals are not small letters.
pub(crate) fn matches_case(pattern: &[u8], text: &[u8]) -> bool {
    matches_folded(pattern, text, |byte| byte)
}

/// What is made of a byte before it is compared.
type Fold = fn(u8) -> u8;

fn matches_folded(mut pattern: &[u8], mut text: &[u8], fold: Fold) -> bool {
    // Where to go on if the rest does not match: the last star takes one byte more.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            star = Some((rest, text));
            pattern = rest;
        } else if pattern.is_empty() && text.is_empty() {
            return true;
        } else if let Some((rest_of_pattern, rest_of_text)) = match_one(pattern, text, fold) {
            (pattern, text) = (rest_of_pattern, rest_of_text);
        } else if let Some((behind_star, [_, longer @ ..])) = star {
            star = Some((behind_star, longer));
            (pattern, text) = (behind_star, longer);
        } else {
            return false;
        }
    }
}

/// What stands behind the first element of the pattern and the byte that it matches.
fn match_one<'p, 't>(
    pattern: &'p [u8],
    text: &'t [u8],
    fold: Fold,
) -> Option<(&'p [u8], &'t [u8])> {
    let (&byte, rest_of_text) = text.split_first()?;
    let (is_match, rest_of_pattern) = match pattern {
        [] => return None,
        [b'?', rest @ ..] => (true, rest),
        [b'[', rest @ ..] => match_class(rest, byte, fold),
        [b'\\', escaped, rest @ ..] => (fold(*escaped) == fold(byte), rest),
        [literal, rest @ ..] => (fold(*literal) == fold(byte), rest),
    };
    is_match.then_some((rest_of_pattern, rest_of_text))
}

/// `class` is the pattern behind a `[`; one that does not close ends with the pattern.
fn match_class(class: &[u8], byte: u8, fold: Fold) -> (bool, &[u8]) {
    let (negated, mut class) = match class {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let byte = fold(byte);
    let same = |literal| fold(literal) == byte;
    let mut found = false;
    loop {
        class = match class {
            [] => return (found != negated, class),
            [b']', rest @ ..] => return (found != negated, rest),
            [b'\\', escaped, rest @ ..] => {
                found |= same(*escaped);
                rest
            }
            [low, b'-', high, rest @ ..] => {
                let (low, high) = (fold(*low), fold(*high));
                found |= (low.min(high)..=low.max(high)).contains(&byte);
                rest
            }
            [literal, rest @ ..] => {
                found |= same(*literal);
                rest
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_counts_where_it_is_to() {
        assert!(matches(b"A[b-d]\\E?", b"aCeX"));
        assert!(matches_case(b"A[b-d]\\E?", b"AcEX"));
        for text in [&b"acEX"[..], b"ACEX", b"AceX"] {
            assert!(!matches_case(b"A[b-d]\\E?", text));
        }
    }

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "timeout", true),
            ("TimeOut", "timeout", true),
            ("time", "timeout", false),
            ("tcp-*", "tcp-keepalive", true),
            ("*-*e", "tcp-keepalive", true),
            ("*z*", "tcp-keepalive", false),
            ("t?meout", "timeout", true),
            ("t?meout", "tmeout", false),
            ("[p-t]ort", "port", true),
            ("[t-p]ort", "port", true),
            ("[^a-o]ort", "port", true),
            ("[^p]ort", "port", false),
            ("[xp", "p", true),
            ("[x\\]]", "]", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn many_stars_take_no_longer_than_one_for_each_byte() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(pattern.as_bytes(), &[b'a'; 2000]));
    }
}
