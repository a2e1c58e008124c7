//! Splits inline requests: lines of words, as a person types them.
//!
//! The quoting rules are those of Redis's `sdssplitargs` (`src/sds.c`). Blanks separate words.
//! `"…"` has the escapes `\n \r \t \b \a \xHH`; any other escaped byte stands for itself. `'…'` has
//! only `\'`. A quote may open in the middle of a word, but the word must end where it closes.

use super::protocol_error::ProtocolError;
use super::span::Span;

/// Splits `line`, which has no NUL, into words. Appends their unquoted bytes to `text`, and the
/// span of each word in `text` to `words`.
pub(super) fn split(
    line: &[u8],
    text: &mut Vec<u8>,
    words: &mut Vec<Span>,
) -> Result<(), ProtocolError> {
    let mut rest = skip_blanks(line);
    while !rest.is_empty() {
        let start = text.len();
        rest = skip_blanks(take_word(rest, text)?);
        words.push(Span::new(start, text.len()));
    }
    Ok(())
}

fn skip_blanks(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|&&byte| is_blank(byte)).count();
    &line[blanks..]
}

/// Appends the word at the front of `line` to `text`, and returns the rest of the line.
fn take_word<'a>(mut line: &'a [u8], text: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        line = match line {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Ok(line),
            [quote @ (b'"' | b'\''), rest @ ..] => return take_quoted(*quote, rest, text),
            [byte, rest @ ..] => {
                text.push(*byte);
                rest
            }
        }
    }
}

/// Appends the bytes up to the closing `quote` to `text`, and returns the rest of the line.
fn take_quoted<'a>(
    quote: u8,
    mut line: &'a [u8],
    text: &mut Vec<u8>,
) -> Result<&'a [u8], ProtocolError> {
    let is_double = quote == b'"';
    loop {
        let (byte, rest) = match line {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [end, rest @ ..] if *end == quote => match rest.first() {
                Some(&byte) if !is_blank(byte) => return Err(ProtocolError::UnbalancedQuotes),
                _ => return Ok(rest),
            },
            [b'\\', b'\'', rest @ ..] => (b'\'', rest),
            [b'\\', b'x', high, low, rest @ ..]
                if is_double && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex_digit(*high) << 4 | hex_digit(*low), rest)
            }
            [b'\\', escaped, rest @ ..] if is_double => (unescaped(*escaped), rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        text.push(byte);
        line = rest;
    }
}

/// C's `isspace`.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// Returns the value of an ASCII hexadecimal digit.
fn hex_digit(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or_default() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<Vec<u8>>, ProtocolError> {
        let (mut text, mut spans) = (Vec::new(), Vec::new());
        split(line.as_bytes(), &mut text, &mut spans)?;
        Ok(spans
            .iter()
            .map(|span| text[span.range()].to_vec())
            .collect())
    }

    fn assert_words(line: &str, expected: &[&[u8]]) {
        let expected: Vec<_> = expected.iter().map(|word| word.to_vec()).collect();
        assert_eq!(words(line), Ok(expected), "{line:?}");
    }

    #[test]
    fn blanks_separate_words() {
        assert_words("", &[]);
        assert_words(" \t\x0b\x0c ", &[]);
        assert_words("PING", &[b"PING"]);
        assert_words("  PING \t hello  ", &[b"PING", b"hello"]);
        // As in Redis, these two of C's blanks do not end a word.
        assert_words("a\x0bb\x0cc", &[b"a\x0bb\x0cc"]);
    }

    #[test]
    fn quotes_keep_blanks_and_make_empty_words() {
        assert_words(r#"ECHO "a b" 'c d'"#, &[b"ECHO", b"a b", b"c d"]);
        assert_words(r#"ECHO "" ''"#, &[b"ECHO", b"", b""]);
        assert_words(r#"foo"bar" foo'bar'"#, &[b"foobar", b"foobar"]);
    }

    #[test]
    fn double_quotes_have_escapes() {
        assert_words(
            r#""\n\r\t\b\a\\\"\q\x41\xfF""#,
            &[b"\n\r\t\x08\x07\\\"qA\xff"],
        );
        // An invalid hexadecimal escape is an escaped x.
        assert_words(r#""\x4" "\xg1""#, &[b"x4", b"xg1"]);
    }

    #[test]
    fn single_quotes_have_only_the_escaped_quote() {
        assert_words(r"'\' \n \x41 \\ '", &[br"' \n \x41 \\ "]);
    }

    #[test]
    fn unbalanced_quotes_are_an_error() {
        for line in [
            r#"""#,
            "'",
            r#""a"#,
            "'a",
            r#""a"b"#,
            "'a'b",
            r#""a\"#,
            r#""a""b""#,
            r"'a\'",
        ] {
            assert_eq!(
                words(line),
                Err(ProtocolError::UnbalancedQuotes),
                "{line:?}"
            );
        }
    }
}
