//! Finds repetitions in pipelines of identical requests.

/// Counts immediate repetitions of the first `length` of `bytes`, up to `count_max`.
pub(super) fn repeats(bytes: &[u8], length: usize, count_max: usize) -> usize {
    let (first, after) = bytes.split_at(length);
    let count = (after.len() / length).min(count_max);
    // If all bytes equal those `length` before them, all are repetitions: usually one comparison.
    if after[..count * length] == bytes[..count * length] {
        return count;
    }
    let next = after.chunks_exact(length).take(count);
    next.take_while(|next| begins_with(next, first)).count()
}

/// Returns false if the first `length` of `bytes` are not repeated: if fewer bytes follow, or other
/// ones at the end. Costs much less than a comparison, and most requests that differ do so there.
#[inline]
pub(super) fn may_repeat(bytes: &[u8], length: usize) -> bool {
    let Some(both) = bytes.get(..2 * length) else {
        return false;
    };
    let (first, second) = both.split_at(length);
    let last_word = |bytes: &[u8]| bytes.last_chunk().copied().map(u64::from_ne_bytes);
    last_word(first) == last_word(second)
}

/// Returns whether `bytes` begins with `front`.
#[inline]
pub(super) fn begins_with(bytes: &[u8], front: &[u8]) -> bool {
    let Some(bytes) = bytes.get(..front.len()) else {
        return false;
    };
    // Compares 8 to 16 bytes, such as a PING, as two overlapping words. `memcmp` takes twice as
    // long.
    match (bytes.first_chunk(), front.first_chunk()) {
        (Some(first), Some(wanted)) if front.len() <= 2 * WORD_BYTES => {
            let word = u64::from_ne_bytes;
            word(*first) == word(*wanted)
                && bytes.last_chunk().copied().map(word) == front.last_chunk().copied().map(word)
        }
        _ => bytes == front,
    }
}

const WORD_BYTES: usize = size_of::<u64>();

/// Maximum bytes of a request that is compared with the next. A longer one is parsed faster.
pub(super) const REPEATED_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_ends_and_too_few_bytes_rule_a_repetition_out() {
        let of = |bytes: &[u8], length| may_repeat(bytes, length);
        assert!(of(b"PING 12345\r\nPING 12345\r\n", 12));
        assert!(!of(b"PING 12345\r\nPING 12346\r\n", 12));
        assert!(!of(b"PING 12345\r\nPING 12345\r", 12));
        assert!(of(b"PING 12345\r\nECHO 12345\r\n", 12), "the start");
        assert!(of(b"PING\r\nECHO\r\n", 6), "shorter than a word");
    }
}
