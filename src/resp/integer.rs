//! Parses and writes the decimal integers of RESP.

/// Parses a decimal integer of 64 bits as strictly as Redis (`string2ll` in `src/util.c`): an
/// optional minus sign and digits, without a leading zero.
pub(crate) fn parse(text: &[u8]) -> Option<i64> {
    match text {
        [b'0'] | [b'1'..=b'9', ..] | [b'-', b'1'..=b'9', ..] => {
            std::str::from_utf8(text).ok()?.parse().ok()
        }
        _ => None,
    }
}

/// Appends `value` in decimal.
pub(crate) fn append(out: &mut Vec<u8>, value: i64) {
    // The longest integer has 19 digits and a minus sign.
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
    fn appended_integer_is_parsed_back() {
        for value in [0, 1, -1, 9, 10, 42, -100, i64::MAX, i64::MIN] {
            let mut text = Vec::new();
            append(&mut text, value);
            assert_eq!(text, value.to_string().as_bytes());
            assert_eq!(parse(&text), Some(value));
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
