//! Parses and writes the decimal integers of RESP.

/// Parses a decimal integer of 64 bits as strictly as Redis (`string2ll` in `src/util.c`): an
/// optional minus sign and digits, without a leading zero.
pub(crate) fn parse(text: &[u8]) -> Option<i64> {
    let digits = match text {
        [b'0'] | [b'1'..=b'9', ..] => text,
        [b'-', digits @ ..] if matches!(digits, [b'1'..=b'9', ..]) => digits,
        _ => return None,
    };
    // Negative, because the least integer has no positive counterpart.
    let mut negative: i64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        negative = negative.checked_mul(10)?.checked_sub(digit.into())?;
    }
    if digits.len() < text.len() {
        Some(negative)
    } else {
        negative.checked_neg()
    }
}

/// Maximum bytes of a line: the kind, a minus sign, 19 digits and the end.
pub(crate) const LINE_BYTES_MAX: usize = 23;

/// Appends a line: `kind`, and `value` in decimal.
#[inline]
pub(crate) fn append_line(out: &mut Vec<u8>, kind: u8, value: i64) {
    match u8::try_from(value) {
        Ok(digit @ 0..=9) => out.extend_from_slice(&[kind, b'0' + digit, b'\r', b'\n']),
        Ok(both @ 10..=99) => {
            let (tens, ones) = (both / 10, both % 10);
            out.extend_from_slice(&[kind, b'0' + tens, b'0' + ones, b'\r', b'\n']);
        }
        _ => append_long_line(out, kind, value),
    }
}

/// Appends a line, also of more than two digits.
#[inline(never)]
fn append_long_line(out: &mut Vec<u8>, kind: u8, value: i64) {
    // Appended at once.
    let mut line = [0; LINE_BYTES_MAX];
    line[LINE_BYTES_MAX - 2..].copy_from_slice(b"\r\n");
    let mut start = line.len() - 2;
    let mut prepend = |byte| {
        start -= 1;
        line[start] = byte;
    };
    let mut rest = value.unsigned_abs();
    loop {
        // A digit always fits in a byte.
        prepend(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        prepend(b'-');
    }
    prepend(kind);
    out.extend_from_slice(&line[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appended_integer_is_parsed_back() {
        for value in [0, 1, -1, 9, 10, 42, -100, i64::MAX, i64::MIN] {
            let mut text = Vec::new();
            append_line(&mut text, b':', value);
            assert_eq!(text, format!(":{value}\r\n").into_bytes());
            assert_eq!(parse(value.to_string().as_bytes()), Some(value));
        }
    }

    #[test]
    fn integers_that_redis_refuses_are_refused() {
        for text in [
            "", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1a", "0x1", "\0", "1\0",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn integer_beyond_64_bits_is_refused() {
        assert_eq!(parse(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse(b"9223372036854775808"), None);
        assert_eq!(parse(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse(b"-9223372036854775809"), None);
    }
}
