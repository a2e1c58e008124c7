//! Compares short texts.

/// Returns whether `one` has the same first and last `N` bytes as `other`. Texts of one length from
/// `N` to `2 * N` bytes are then the same, and `memcmp` takes longer to find out.
#[inline]
pub(crate) fn has_same_ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
    one.first_chunk::<N>() == other.first_chunk() && one.last_chunk::<N>() == other.last_chunk()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_in_any_byte_is_found() {
        let text = b"0123456789abcdef";
        for length in 8..=16 {
            let text = &text[..length];
            assert!(has_same_ends::<8>(text, text), "{length}");
            for index in 0..length {
                let mut other = text.to_vec();
                other[index] ^= 0x20;
                assert!(!has_same_ends::<8>(text, &other), "{index} of {length}");
            }
        }
    }
}
