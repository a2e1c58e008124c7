//! The oracle of the tests: a parser that is obviously right, and neither fast nor resumable.
//!
//! It was written from the rules of RESP and Redis, not from the parser that it judges. It wants
//! everything that a peer ever sends at once, copies every word, and knows no limit on memory.

use super::limits::Limits;
use super::protocol_error::ProtocolError;

/// One request: its name and its arguments.
pub(crate) type Words = Vec<Vec<u8>>;

/// All requests in `input` that have a word, and the error behind them, if one ends them.
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

/// What was read from the front of the input, and what stands behind it.
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
    // The bytes that stand for the line end are not looked at.
    match input.get(length + 2..) {
        Some(rest) => Ok((&input[..length], rest)),
        None => Err(Stop::Incomplete),
    }
}

/// The line before the first of the bytes in `ends`. A CR takes the byte behind it along, whatever
/// that is.
fn line<'a>(input: &'a [u8], ends: &[u8], too_big: ProtocolError) -> Step<'a, &'a [u8]> {
    match input.iter().position(|byte| ends.contains(byte)) {
        None if input.len() <= 65_536 => Err(Stop::Incomplete),
        Some(length) if length <= 65_536 => {
            let behind = length + 1 + usize::from(input[length] == b'\r');
            let rest = input.get(behind..).ok_or(Stop::Incomplete)?;
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
        // C's `strchr` looks no further than this: the line never ends, it only gets too long.
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

/// The words of an inline request; `None` if its quotes are unbalanced.
///
/// A word is bytes as they are, and behind them perhaps one quote, with which it ends.
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
        let (text, behind) = quoted(rest)?;
        words.push([bare, &text].concat());
        line = behind;
    }
}

/// The quote at the front of `line`, if there is one, and what stands behind it.
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
    let behind = &line[i + 1..];
    let ends = behind.first().is_none_or(|&byte| is_blank(byte));
    ends.then_some((text, behind))
}

/// The byte that stands at the front of the `quoted` text, and how many bytes it is written with.
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

/// Canonical decimal and nothing else.
fn integer(text: &[u8]) -> Option<i64> {
    let value: i64 = str::from_utf8(text).ok()?.parse().ok()?;
    (value.to_string().as_bytes() == text).then_some(value)
}
