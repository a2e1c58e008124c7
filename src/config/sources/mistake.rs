//! A mistake in a text, and how an error shows it: by line and column, in a limited length and
//! without control characters.

use std::path::Path;

use super::ConfigError;
use crate::config::excerpt::visible;

/// A mistake in a text, `offset` bytes from its start.
pub(super) struct Mistake {
    pub(super) offset: usize,
    pub(super) problem: String,
}

impl Mistake {
    /// Turns the offset into a line and a column, as an editor shows them.
    pub(super) fn locate(self, file: &Path, bytes: &[u8]) -> ConfigError {
        let is_newline = |byte: &u8| *byte == b'\n';
        let before = &bytes[..self.offset.min(bytes.len())];
        let line_start = before.iter().rposition(is_newline).map_or(0, |at| at + 1);
        let line_before = String::from_utf8_lossy(&before[line_start..]);
        ConfigError::Mistake {
            file: file.to_owned(),
            line: 1 + before.iter().filter(|byte| is_newline(byte)).count(),
            column: 1 + line_before.chars().count(),
            problem: in_few_words(&self.problem),
        }
    }
}

/// Shortens a problem that quotes long words of the file. Cuts its middle, because its end is
/// what would be right.
fn in_few_words(problem: &str) -> String {
    let mut chars: Vec<_> = problem.chars().map(visible).collect();
    let cut = chars.len().saturating_sub(PROBLEM_CHARS_MAX);
    if cut > 0 {
        chars.splice(
            PROBLEM_CHARS_BEFORE_CUT..PROBLEM_CHARS_BEFORE_CUT + cut,
            ['…'],
        );
    }
    chars.into_iter().collect()
}

/// Maximum characters of a problem.
const PROBLEM_CHARS_MAX: usize = 500;

/// Characters of a problem before the part that is cut.
const PROBLEM_CHARS_BEFORE_CUT: usize = 200;

#[cfg(test)]
mod tests {
    use crate::config::sources::tests::mistake;

    #[test]
    fn columns_count_characters_not_bytes() {
        assert!(mistake("logfile = \"ä\" x").starts_with("my.toml:1:15: "));
    }

    /// Regression, found while the fuzzer was written: an error showed an unknown key as it was,
    /// with control characters, and up to the whole file.
    #[test]
    fn quotes_in_errors_are_cut_and_have_no_control_characters() {
        let hidden = "my.toml:1:1: unknown key `p\u{fffd}t`, did you mean `port`?";
        assert_eq!(mistake("\"p\\u001bt\" = 1"), hidden);
        let long = "x".repeat(100_000);
        for text in [
            format!("{long} = 1"),
            format!("bind = \"{long}\""),
            format!("port = \"{long}\""),
        ] {
            let mistake = mistake(&text);
            assert!(mistake.chars().count() < 600, "{mistake}");
        }
    }
}
