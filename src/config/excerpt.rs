//! How an error shows a part of a text: in a limited length and without control characters.

/// Returns a text for an error, without control characters, and cut after 80 characters.
pub(super) fn excerpt(text: &str) -> String {
    let mut chars = text.trim().chars().map(visible);
    let mut shown: String = chars.by_ref().take(EXCERPT_CHARS_MAX).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Returns the character, or a replacement for a control character.
pub(super) fn visible(c: char) -> char {
    if c.is_control() { '\u{fffd}' } else { c }
}

/// Maximum characters of a text that an error shows.
const EXCERPT_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpt_is_cut_and_has_no_control_characters() {
        let fits = "x".repeat(EXCERPT_CHARS_MAX);
        assert_eq!(excerpt(&fits), fits);
        assert_eq!(excerpt(&format!("{fits}x")), format!("{fits}…"));
        assert_eq!(excerpt("a\x1b[31mb\r"), "a\u{fffd}[31mb");
    }
}
