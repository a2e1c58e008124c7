//! Hides secrets in the words of a request, for MONITOR, SLOWLOG and the program's log.

use std::fmt;

use super::catalog::CommandInfo;
use crate::config;
use crate::resp::Request;

/// A request, without its secrets. Of an unknown command, only the name is shown.
pub(crate) struct Redacted<'a> {
    pub(crate) command: Option<&'a CommandInfo>,
    pub(crate) request: &'a Request<'a>,
}

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.command.map_or_else(
            || vec![self.request.name()],
            |command| command.words_to_show(self.request, usize::MAX),
        );
        let words = words.iter().map(|word| word.escape_ascii().to_string());
        f.debug_list().entries(words).finish()
    }
}

impl CommandInfo {
    /// Returns the first words of a request, up to `count_max`, as MONITOR and SLOWLOG may show
    /// them. Only words that cannot be secret are shown where a password may stand, so that a
    /// misspelled or misplaced word hides too much rather than too little.
    pub(crate) fn words_to_show<'a>(
        &self,
        request: &Request<'a>,
        count_max: usize,
    ) -> Vec<&'a [u8]> {
        let mut words = vec![request.name()];
        words.extend(request.arguments().take(count_max - 1));
        if let Some(from) = self.secret_from {
            let from = from.get() as usize;
            let has_secret = request.word_count() > from;
            let from = if has_secret { from } else { self.name_words() };
            hide(words.get_mut(from..).unwrap_or_default());
        }
        // A program may have replaced these commands, also a container by a whole command.
        match self.names() {
            ("auth", _) => hide(&mut words[self.name_words()..]),
            ("hello", "") => hide_in_hello(&mut words[1..]),
            ("hello", _) => hide(&mut words[2..]),
            ("config", "" | "set") => {
                hide_in_config_set(words.get_mut(2..).unwrap_or_default());
            }
            _ => {}
        }
        words
    }
}

fn hide(words: &mut [&[u8]]) {
    words.fill(b"(redacted)");
}

/// Hides what is neither a version nor a client's name: `[protocol [AUTH user password] [SETNAME
/// name]]`.
fn hide_in_hello(words: &mut [&[u8]]) {
    let has_version = words
        .first()
        .is_some_and(|word| matches!(word, [b'0'..=b'9']));
    let mut index = usize::from(has_version);
    while index < words.len() {
        if words[index].eq_ignore_ascii_case(b"SETNAME") {
            index += 2;
        } else if words[index].eq_ignore_ascii_case(b"AUTH") {
            let end = words.len().min(index + 3);
            hide(&mut words[index + 1..end]);
            index = end;
        } else {
            return hide(&mut words[index..]);
        }
    }
}

/// Hides the values of directives that are secret or unknown, and unknown names: with a word too
/// many or too few before it, a password stands where a name should.
fn hide_in_config_set(words: &mut [&[u8]]) {
    for pair in words.chunks_mut(2) {
        if !config::is_public(pair[0]) {
            let is_secret = config::is_secret(pair[0]);
            hide(&mut pair[usize::from(is_secret)..]);
        }
    }
}
