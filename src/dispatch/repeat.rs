//! Finds requests in a pipeline that repeat the one before, or differ in the last argument only.
//! Such requests are not parsed, and their command is not looked up.

use crate::bytes::has_same_ends;
use crate::command::entry::Command;
use crate::resp::Request;

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
    let (first, after) = bytes.split_at(length);
    let Some(second) = after.get(..length) else {
        return false;
    };
    let last_word = |bytes: &[u8]| bytes.last_chunk().copied().map(u64::from_ne_bytes);
    last_word(first) == last_word(second)
}

/// Returns false if the next request after the first `length` of `bytes` is shorter, or begins
/// otherwise: with another number of words, or a name of another length.
#[inline]
pub(super) fn may_be_alike(bytes: &[u8], length: usize) -> bool {
    length <= ALIKE_BYTES_MAX
        && bytes.len() >= 2 * length
        && bytes.first_chunk::<8>() == bytes[length..].first_chunk()
}

/// Returns the number of bytes before the last argument of `request`. If those of another request
/// are the same, its words are in the same positions, and it is the same command. `None` if there
/// is no argument, or if the request is a line, whose length does not follow from these bytes.
#[inline]
pub(super) fn bytes_before_last_argument(
    request: &Request<'_>,
    command: &Command,
) -> Option<usize> {
    let has_argument = match request.word_count() {
        0 | 1 => false,
        2 => !command.is_subcommand(),
        3.. => true,
    };
    (has_argument && !request.is_inline()).then(|| request.bytes_before_last_word())
}

/// Returns whether `bytes` begins with `front`.
#[inline]
pub(super) fn begins_with(bytes: &[u8], front: &[u8]) -> bool {
    let Some(bytes) = bytes.get(..front.len()) else {
        return false;
    };
    match front.len() {
        8..=16 => has_same_ends::<8>(bytes, front),
        17..=32 => has_same_ends::<16>(bytes, front),
        _ => bytes == front,
    }
}

/// Maximum bytes of a request that is compared with the next. A longer one is parsed faster. This
/// one is within all limits, also if the client must authenticate again meanwhile.
const ALIKE_BYTES_MAX: usize = 64;

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
