//! MONITOR: clients that are shown every request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::catalog::CommandInfo;
use super::clients::ClientInfo;
use super::inbox::Terms;
use super::recipients::{Messages, Recipients};
use crate::net::peer::Peer;
use crate::resp::Request;
use crate::time::now_since_1970;

/// The clients that monitor.
#[derive(Debug, Default)]
pub(super) struct Monitors(Recipients);

impl Monitors {
    /// Adds a client. Calls `observe` with true, under the lock.
    pub(super) fn add(&self, info: &Arc<ClientInfo>, observe: impl FnOnce(bool)) {
        self.0.change(|monitors| {
            // This list never ends.
            let _ = monitors.add(info);
            observe(true);
        });
    }

    /// Removes a client. Calls `observe` with whether any is left, under the lock.
    pub(super) fn remove(&self, info: &ClientInfo, observe: impl FnOnce(bool)) {
        self.0.change(|monitors| {
            monitors.remove(info.id);
            observe(monitors.len() > 0);
        });
    }

    /// Shows a request of the client `info` to every monitor. Returns the slots to notify.
    pub(super) fn show(
        &self,
        command: &CommandInfo,
        request: &Request<'_>,
        info: &ClientInfo,
        terms: Terms<'_>,
    ) -> Vec<usize> {
        let words = command.words_to_show(request, WORDS_MAX);
        let line = line(now_since_1970(), &words, request.word_count(), info);
        let mut slots = Vec::new();
        let notify = |monitor: &ClientInfo| slots.push(monitor.slot);
        self.0.push(&Messages::Line(&line), terms, &|| (), notify);
        slots
    }
}

/// Returns the line for a request: its time and client, and its first `words` of `count`, each in
/// quotes (Redis's `sdscatrepr`).
///
/// Clients split the line at its quotes, so a remark about omitted bytes stands in quotes, too.
fn line(now: Duration, words: &[&[u8]], count: usize, info: &ClientInfo) -> Vec<u8> {
    let database = info.database.load(Ordering::Relaxed);
    let (s, us) = (now.as_secs(), now.subsec_micros());
    let peer = match &info.peer {
        Peer::Unix(path) => format!("unix:{path}"),
        peer @ (Peer::Tcp(_) | Peer::Proxied(_)) => peer.to_string(),
    };
    let mut line = format!("+{s}.{us:06} [{database} {peer}]").into_bytes();
    for word in words {
        let shown = &word[..word.len().min(WORD_BYTES_MAX)];
        line.extend_from_slice(b" \"");
        append_quoted(&mut line, shown);
        if shown.len() < word.len() {
            let more = word.len() - shown.len();
            line.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
        }
        line.push(b'"');
    }
    if count > words.len() {
        let more = count - words.len();
        line.extend_from_slice(format!(" \"... ({more} more arguments)\"").as_bytes());
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// Appends `word`, escaped to stand between quotes.
fn append_quoted(line: &mut Vec<u8>, word: &[u8]) {
    for &byte in word {
        match byte {
            b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            7 => line.extend_from_slice(b"\\a"),
            8 => line.extend_from_slice(b"\\b"),
            b' '..=b'~' => line.push(byte),
            _ => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
}

/// Maximum words of a request that are shown, and bytes of each. More would have every monitor
/// closed as a slow reader because of one huge request. Redis shows all.
const WORDS_MAX: usize = 1024;
const WORD_BYTES_MAX: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_shows_every_byte() {
        let info = ClientInfo::for_test(0, ([127, 0, 0, 1], 5000).into());
        let now = Duration::new(1_700_000_000, 1_234_000);
        let words: [&[u8]; 3] = [b"ECHO", b"", b"a \"\\\r\n\t\x07\x08\0\xff"];
        assert_eq!(
            String::from_utf8_lossy(&line(now, &words, 3, &info)),
            "+1700000000.001234 [0 127.0.0.1:5000] \"ECHO\" \"\" \
             \"a \\\"\\\\\\r\\n\\t\\a\\b\\x00\\xff\"\r\n"
        );
    }
}
