//! The oracle of the parser's tests: a parser that is obviously right, and neither fast nor
//! resumable.
//!
//! Written from the rules of RESP and Redis, not from the parser that it checks. It needs the whole
//! stream at once, copies every word, and does not limit memory.

use crate::resp::{Limits, ProtocolError};

/// One request: its name and its arguments.
pub(crate) type Words = Vec<Vec<u8>>;

/// Returns all requests in `input` that have a word, and the error after them, if there is one.
pub(crate) fn parse(mut input: &[u8], limits: Limits) -> (Vec<Words>, Option<ProtocolError>) {
    let mut requests = Vec::new();
    loop {
        match request(input, limits) {
            Ok((words, rest)) => {
                requests.extend(Some(words).filter(|words| !words.is_empty()));
                input = rest;
            }
            Err(Stop::Incomplete) => return (requests, None),
            Err(Stop::Broken(error)) => return (requests, Some(error)),
        }
    }
}

/// A value from the front of the input, and the rest of the input.
type Step<'a, T> = Result<(T, &'a [u8]), Stop>;

enum Stop {
    Incomplete,
    Broken(ProtocolError),
}

fn request(input: &[u8], limits: Limits) -> Step<'_, Words> {
    if input.first() != Some(&b'*') {
        return inline(input);
    }
    let (header, mut input) = line(input, b"\r", ProtocolError::TooBigMultibulkCount)?;
    let count = integer(&header[1..])
        .filter(|&count| count <= 2_147_483_647)
        .ok_or(Stop::Broken(ProtocolError::InvalidMultibulkLength))?;
    if limits.unauthenticated && count > 10 {
        return Err(Stop::Broken(ProtocolError::UnauthenticatedMultibulkLength));
    }
    let mut words = Vec::new();
    for _ in 0..count {
        let (word, rest) = bulk(input, limits)?;
        words.push(word.to_vec());
        input = rest;
    }
    Ok((words, input))
}

fn bulk(input: &[u8], limits: Limits) -> Step<'_, &[u8]> {
    let (header, input) = line(input, b"\r", ProtocolError::TooBigBulkCount)?;
    let [b'$', length @ ..] = header else {
        let instead = *header.first().unwrap_or(&b'\r');
        return Err(Stop::Broken(ProtocolError::ExpectedBulk(instead)));
    };
    let length = integer(length)
        .and_then(|length| usize::try_from(length).ok())
        .filter(|&length| length <= limits.bulk_bytes_max)
        .ok_or(Stop::Broken(ProtocolError::InvalidBulkLength))?;
    if limits.unauthenticated && length > 16_384 {
        return Err(Stop::Broken(ProtocolError::UnauthenticatedBulkLength));
    }
    // The two bytes in place of the line end are skipped, whatever they are.
    match input.get(length + 2..) {
        Some(rest) => Ok((&input[..length], rest)),
        None => Err(Stop::Incomplete),
    }
}

/// Returns the line before the first of the bytes in `ends`. After a CR, skips one more byte,
/// whatever it is.
fn line<'a>(input: &'a [u8], ends: &[u8], too_big: ProtocolError) -> Step<'a, &'a [u8]> {
    match input.iter().position(|byte| ends.contains(byte)) {
        None if input.len() <= 65_536 => Err(Stop::Incomplete),
        Some(length) if length <= 65_536 => {
            let end = length + 1 + usize::from(input[length] == b'\r');
            let rest = input.get(end..).ok_or(Stop::Incomplete)?;
            Ok((&input[..length], rest))
        }
        _ => Err(Stop::Broken(too_big)),
    }
}

fn inline(input: &[u8]) -> Step<'_, Words> {
    if input.len() > 2 && input[..2] == [22, 3] && (1..5).contains(&input[2]) {
        return Err(Stop::Broken(ProtocolError::Tls));
    }
    let too_big = ProtocolError::TooBigInlineRequest;
    let (line, rest) = line(input, b"\n\0", too_big)?;
    if input[line.len()] == 0 {
        // C's `strchr` stops here: such a line never ends, and becomes too long.
        let is_too_big = input.len() > 65_536;
        return Err(if is_too_big {
            Stop::Broken(too_big)
        } else {
            Stop::Incomplete
        });
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let words = split(line).ok_or(Stop::Broken(ProtocolError::UnbalancedQuotes))?;
    Ok((words, rest))
}

/// Returns the words of an inline request; `None` if its quotes are unbalanced.
///
/// A word is unquoted bytes, and then at most one quoted part, which ends it.
fn split(mut line: &[u8]) -> Option<Words> {
    let mut words = Vec::new();
    loop {
        let blanks = line.iter().take_while(|&&byte| is_blank(byte)).count();
        let rest = &line[blanks..];
        if rest.is_empty() {
            return Some(words);
        }
        let bare = rest.iter().take_while(|byte| !b" \t\n\r\"'".contains(byte));
        let (bare, rest) = rest.split_at(bare.count());
        let (text, rest) = quoted(rest)?;
        words.push([bare, &text].concat());
        line = rest;
    }
}

/// Returns the text of the quoted part at the front of `line`, if there is one, and the rest.
fn quoted(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let quote = line.first().copied();
    let mut text = Vec::new();
    if !matches!(quote, Some(b'"' | b'\'')) {
        return Some((text, line));
    }
    let mut i = 1;
    while line.get(i).copied() != quote {
        let (byte, length) = unescaped(line[0], line.get(i..).filter(|rest| !rest.is_empty())?);
        text.push(byte);
        i += length;
    }
    let rest = &line[i + 1..];
    let ends = rest.first().is_none_or(|&byte| is_blank(byte));
    ends.then_some((text, rest))
}

/// Returns the first byte of the `quoted` text, and the number of bytes that encode it.
fn unescaped(quote: u8, quoted: &[u8]) -> (u8, usize) {
    let escaped = quoted.get(1).filter(|_| quoted[0] == b'\\').copied();
    let hex = quoted
        .get(2..4)
        .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        .and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
    match (quote, escaped, hex) {
        (b'\'', Some(b'\''), _) => (b'\'', 2),
        (b'\'', ..) | (_, None, _) => (quoted[0], 1),
        (_, Some(b'x'), Some(byte)) => (byte, 4),
        (_, Some(letter), _) => match b"nrtba".iter().position(|&other| other == letter) {
            Some(index) => (b"\n\r\t\x08\x07"[index], 2),
            None => (letter, 2),
        },
    }
}

/// C's `isspace`.
fn is_blank(byte: u8) -> bool {
    b" \t\n\x0b\x0c\r".contains(&byte)
}

/// Parses a canonical decimal integer.
fn integer(text: &[u8]) -> Option<i64> {
    let value: i64 = str::from_utf8(text).ok()?.parse().ok()?;
    (value.to_string().as_bytes() == text).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::parse as parse_naively;
    use crate::resp::limits::LINE_BYTES_MAX;
    use crate::resp::tests::{LIMITS, cases, cut, nearly_valid_stream, parse};

    proptest! {
        #![proptest_config(cases(2000))]

        #[test]
        fn parser_finds_the_same_as_the_naive_parser(
            stream in nearly_valid_stream(),
            cuts in vec(0..100_usize, 0..6),
        ) {
            let expected = parse_naively(&stream, LIMITS);
            prop_assert_eq!(&parse(cut(&stream, cuts)), &expected);
            prop_assert_eq!(&parse([&*stream]), &expected, "whole");
        }
    }

    proptest! {
        #![proptest_config(cases(100))]

        #[test]
        fn naive_parser_agrees_around_the_line_limit(
            opening in select(vec!["", "*", "*1\r\n", "*1\r\n$", "PING\r\n*1\r\n$", "\"", "\0"]),
            filler in select(b"a1 ".to_vec()),
            length in LINE_BYTES_MAX - 8..LINE_BYTES_MAX + 8,
            end in select(vec!["", "\n", "\r", "\r\n", "\"\r\n", "\0\n"]),
            cuts in vec(LINE_BYTES_MAX - 16..LINE_BYTES_MAX + 32, 0..4),
        ) {
            let filling = vec![filler; length];
            let stream = [opening.as_bytes(), &filling, end.as_bytes(), b"PING\r\n"].concat();
            let expected = parse_naively(&stream, LIMITS);
            // Not `prop_assert_eq`, which would print 64 KiB.
            prop_assert!(parse(cut(&stream, cuts)) == expected);
        }
    }
}
