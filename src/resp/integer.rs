//! Decimal integers as RESP writes them.

/// Reads a decimal integer as strictly as Redis does (`string2ll` in `src/util.c`): an optional
/// minus, no plus, no leading zero, no blank, nothing behind it, and within 64 bits.
pub(crate) fn parse(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    // Summed up below zero, because i64::MIN has no positive twin.
    let below_zero = digits.iter().try_fold(0_i64, |sum, &digit| match digit {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_sub(i64::from(digit - b'0')),
        _ => None,
    })?;
    if negative {
        Some(below_zero)
    } else {
        below_zero.checked_neg()
    }
}

/// Appends `value` in decimal.
pub(crate) fn append(out: &mut Vec<u8>, value: i64) {
    // 19 digits and a minus: the longest 64-bit integer.
    let mut text = [0; 20];
    let mut start = text.len();
    let mut rest = value.unsigned_abs();
    loop {
        start -= 1;
        // A digit always fits in a byte.
        text[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        start -= 1;
        text[start] = b'-';
    }
    out.extend_from_slice(&text[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_parsed_back() {
        for value in [0, 1, -1, 9, 10, 42, -100, i64::MAX, i64::MIN] {
            let mut text = Vec::new();
            append(&mut text, value);
            assert_eq!(text, value.to_string().as_bytes());
            assert_eq!(parse(&text), Some(value));
        }
    }

    #[test]
    fn what_redis_refuses_is_refused() {
        for text in [
            "", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1a", "0x1", "\0", "1\0",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn one_beyond_64_bits_is_refused() {
        assert_eq!(parse(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse(b"9223372036854775808"), None);
        assert_eq!(parse(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse(b"-9223372036854775809"), None);
    }
}
