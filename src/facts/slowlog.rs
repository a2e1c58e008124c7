//! The slow log: requests whose handlers took long, the latest first.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

use super::now_since_1970;
use super::register::Entry;

/// The requests that are remembered.
#[derive(Debug, Default)]
pub(crate) struct Slowlog(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    /// The latest in front.
    records: VecDeque<Record>,
    next_id: u64,
}

/// A request that took long.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: u64,
    /// When it was over: seconds since 1970.
    pub(crate) at_s: u64,
    pub(crate) took: Duration,
    pub(crate) words: Vec<Vec<u8>>,
    pub(crate) peer_addr: String,
    pub(crate) client_name: Box<[u8]>,
}

impl Slowlog {
    /// Adds a request, and forgets the oldest beyond `length_max`.
    pub(crate) fn add(&self, words: &[&[u8]], took: Duration, entry: &Entry, length_max: usize) {
        let mut log = self.0.lock();
        let record = Record {
            id: log.next_id,
            at_s: now_since_1970().as_secs(),
            took,
            words: excerpt(words),
            peer_addr: entry.peer_addr.to_string(),
            client_name: entry.said().name,
        };
        log.next_id += 1;
        log.records.push_front(record);
        log.records.truncate(length_max);
    }

    /// The latest, up to `count` of them.
    pub(crate) fn latest(&self, count: usize) -> Vec<Record> {
        self.0.lock().records.iter().take(count).cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().records.len()
    }

    /// Forgets everything but the number of the next.
    pub(crate) fn reset(&self) {
        self.0.lock().records.clear();
    }
}

/// What is kept of a request, as in Redis (`slowlogCreateEntry`): 32 words, and 128 bytes of each;
/// what is left out is said.
fn excerpt(words: &[&[u8]]) -> Vec<Vec<u8>> {
    let kept = if words.len() > WORDS_MAX {
        &words[..WORDS_MAX - 1]
    } else {
        words
    };
    let mut excerpt: Vec<_> = kept.iter().map(|word| cut(word)).collect();
    if kept.len() < words.len() {
        let more = words.len() - kept.len();
        excerpt.push(format!("... ({more} more arguments)").into_bytes());
    }
    excerpt
}

fn cut(word: &[u8]) -> Vec<u8> {
    if word.len() <= WORD_BYTES_MAX {
        return word.to_vec();
    }
    let (kept, rest) = word.split_at(WORD_BYTES_MAX);
    [kept, format!("... ({} more bytes)", rest.len()).as_bytes()].concat()
}

/// `SLOWLOG_ENTRY_MAX_ARGC`.
const WORDS_MAX: usize = 32;

/// `SLOWLOG_ENTRY_MAX_STRING`.
const WORD_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry::for_test(0, ([127, 0, 0, 1], 5000).into())
    }

    #[test]
    fn the_latest_come_first_and_the_oldest_are_forgotten() {
        let log = Slowlog::default();
        for word in [&b"one"[..], b"two", b"three"] {
            log.add(&[word], Duration::from_millis(20), &entry(), 2);
        }
        let records = log.latest(10);
        let ids: Vec<_> = records.iter().map(|record| record.id).collect();
        assert_eq!(ids, [2, 1]);
        assert_eq!(records[0].words, [b"three"]);
        assert_eq!(records[0].peer_addr, "127.0.0.1:5000");
        log.reset();
        assert_eq!(log.len(), 0);
        log.add(&[b"four"], Duration::ZERO, &entry(), 2);
        assert_eq!(log.latest(10)[0].id, 3);
        log.add(&[b"five"], Duration::ZERO, &entry(), 0);
        assert_eq!(log.len(), 0);
    }

    #[test]
    fn a_long_request_is_cut_and_what_is_left_out_is_said() {
        let long = [b'x'; WORD_BYTES_MAX + 1];
        let fits = [&long[..WORD_BYTES_MAX]; WORDS_MAX];
        assert_eq!(excerpt(&fits), fits.map(<[u8]>::to_vec));
        let words = [&long[..]; WORDS_MAX + 1];
        let excerpt = excerpt(&words);
        assert_eq!(excerpt.len(), WORDS_MAX);
        assert!(excerpt[0].ends_with(b"x... (1 more bytes)"));
        assert_eq!(excerpt[WORDS_MAX - 1], b"... (2 more arguments)");
    }
}
