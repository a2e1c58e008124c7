//! The slow log: requests whose handlers took long.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::clients::{ClientInfo, NAME_BYTES_MAX};
use crate::time::now_since_1970;

#[derive(Debug, Default)]
pub(crate) struct Slowlog(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    /// The latest in front.
    records: VecDeque<Arc<Record>>,
    next_id: u64,
}

/// The durations of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallTimes {
    /// The time of its handler.
    pub(crate) took: Duration,
    /// How long its client waited for the turn.
    pub(crate) waited: Duration,
}

/// A request that took long.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: u64,
    /// When it ended, in seconds since 1970.
    pub(crate) at_s: u64,
    pub(crate) took: Duration,
    waited: Duration,
    excerpt: Excerpt,
    pub(crate) peer: Box<str>,
    pub(crate) client_name: Box<[u8]>,
}

impl Slowlog {
    /// Adds a request, and removes the oldest beyond `length_max`. `words` are its first words, and
    /// `count` is the number of all.
    pub(crate) fn add(
        &self,
        words: &[&[u8]],
        count: usize,
        times: CallTimes,
        info: &ClientInfo,
        length_max: usize,
    ) {
        let client_name = info.identity().name;
        let mut record = Record {
            id: 0,
            at_s: now_since_1970().as_secs(),
            took: times.took,
            waited: times.waited,
            excerpt: Excerpt::of(words, count, RECORD_BYTES_MAX - client_name.len()),
            peer: info.peer.to_string().into(),
            client_name,
        };
        let removed = {
            let mut log = self.0.lock();
            record.id = log.next_id;
            log.next_id += 1;
            log.records.push_front(Arc::new(record));
            let length = length_max.min(log.records.len());
            log.records.split_off(length)
        };
        // Without the lock: there may be a million records.
        drop(removed);
    }

    /// Returns the latest `count` records, the latest first.
    pub(crate) fn latest(&self, count: usize) -> Vec<Arc<Record>> {
        self.0.lock().records.iter().take(count).cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().records.len()
    }

    /// Removes all records. The next one's number goes on.
    pub(crate) fn reset(&self) {
        let removed = mem::take(&mut self.0.lock().records);
        // Without the lock.
        drop(removed);
    }
}

impl Record {
    /// Returns the words to show. A wait for the turn is a remark after them: clients that read six
    /// fields of an entry, and do not skip others, could not read a seventh.
    pub(crate) fn words(&self) -> Vec<Cow<'_, [u8]>> {
        let words = self.excerpt.words().map(Cow::Borrowed);
        let waited_ms = self.waited.as_millis();
        let remark = (waited_ms > 0).then(|| format!("... (waited {waited_ms} ms in the queue)"));
        let remark = remark.map(|remark| Cow::Owned(remark.into_bytes()));
        words.chain(remark).collect()
    }
}

/// The part of a request that is kept, as in Redis (`slowlogCreateEntry`): 32 words, and 128 bytes
/// of each, or fewer if that were too much in all. Remarks count what is omitted.
#[derive(Debug)]
struct Excerpt {
    bytes: Box<[u8]>,
    /// The end of each word in `bytes`.
    ends: Box<[u16]>,
}

impl Excerpt {
    /// `words` are the first of the `count` words of a request: all, or [`WORDS_MAX`]. Keeps at
    /// most `bytes_max`.
    fn of(words: &[&[u8]], count: usize, bytes_max: usize) -> Self {
        let kept = if count > WORDS_MAX {
            &words[..WORDS_MAX - 1]
        } else {
            words
        };
        let needed = kept.iter().map(|word| match word.len() {
            length @ ..=WORD_BYTES_MAX => length,
            _ => WORD_BYTES_MAX + REMARK_BYTES_MAX,
        });
        let word_bytes_max = if needed.sum::<usize>() + REMARK_BYTES_MAX <= bytes_max {
            WORD_BYTES_MAX
        } else {
            bytes_max / WORDS_MAX - REMARK_BYTES_MAX
        };
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for word in kept {
            let shown = &word[..word.len().min(word_bytes_max)];
            bytes.extend_from_slice(shown);
            if shown.len() < word.len() {
                let more = word.len() - shown.len();
                bytes.extend_from_slice(format!("... ({more} more bytes)").as_bytes());
            }
            ends.push(bytes.len() as u16);
        }
        if kept.len() < count {
            let more = count - kept.len();
            bytes.extend_from_slice(format!("... ({more} more arguments)").as_bytes());
            ends.push(bytes.len() as u16);
        }
        debug_assert!(bytes.len() <= bytes_max);
        Self {
            bytes: bytes.into(),
            ends: ends.into(),
        }
    }

    /// Returns the words that are kept.
    fn words(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let word = &self.bytes[start..usize::from(end)];
            start = usize::from(end);
            word
        })
    }
}

/// `SLOWLOG_ENTRY_MAX_ARGC`.
pub(super) const WORDS_MAX: usize = 32;

/// `SLOWLOG_ENTRY_MAX_STRING`.
const WORD_BYTES_MAX: usize = 128;

/// Maximum bytes of a remark: no request has more than 2^32 words or bytes.
const REMARK_BYTES_MAX: usize = "... (4294967295 more arguments)".len();

/// Maximum bytes of the words and the name of a record, so that it takes at most 4 KiB of memory,
/// as the manual says of `slowlog-max-len`.
const RECORD_BYTES_MAX: usize = 4096 - size_of::<Record>() - 2 * WORDS_MAX - FIXED_BYTES;

/// Bytes of the longest address with its port, of the list, and of the allocator.
const FIXED_BYTES: usize = 64 + 16 + 5 * 16;

// Enough of each word is kept even if the client has a long name.
const _: () = assert!((RECORD_BYTES_MAX - NAME_BYTES_MAX) / WORDS_MAX > REMARK_BYTES_MAX + 32);

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> ClientInfo {
        ClientInfo::for_test(0, ([127, 0, 0, 1], 5000).into())
    }

    fn took(ms: u64) -> CallTimes {
        CallTimes {
            took: Duration::from_millis(ms),
            waited: Duration::ZERO,
        }
    }

    #[test]
    fn wait_is_a_remark_from_1_ms_on() {
        let log = Slowlog::default();
        for waited_us in [999, 1_000, 71 * 60 * 1_000_000] {
            let waited = Duration::from_micros(waited_us);
            let times = CallTimes { waited, ..took(20) };
            log.add(&[b"GET", b"x"], 2, times, &info(), 3);
        }
        let records = log.latest(3);
        assert_eq!(records[2].words(), [&b"GET"[..], b"x"]);
        let remark = |index: usize| records[index].words()[2].to_vec();
        assert_eq!(remark(1), b"... (waited 1 ms in the queue)");
        assert_eq!(remark(0), b"... (waited 4260000 ms in the queue)");
    }

    #[test]
    fn latest_come_first_and_oldest_are_removed() {
        let log = Slowlog::default();
        for word in [&b"one"[..], b"two", b"three"] {
            log.add(&[word], 1, took(20), &info(), 2);
        }
        let records = log.latest(10);
        let ids: Vec<_> = records.iter().map(|record| record.id).collect();
        assert_eq!(ids, [2, 1]);
        assert!(records[0].excerpt.words().eq([b"three"]));
        assert_eq!(&*records[0].peer, "127.0.0.1:5000");
        log.reset();
        assert_eq!(log.len(), 0);
        log.add(&[b"four"], 1, took(0), &info(), 2);
        assert_eq!(log.latest(10)[0].id, 3);
        log.add(&[b"five"], 1, took(0), &info(), 0);
        assert_eq!(log.len(), 0);
    }

    #[test]
    fn long_request_is_cut_with_a_remark() {
        let long = [b'x'; WORD_BYTES_MAX + 1];
        let fits = [&long[..WORD_BYTES_MAX]; 28];
        assert!(Excerpt::of(&fits, 28, RECORD_BYTES_MAX).words().eq(fits));
        let words = [&long[..]; WORDS_MAX];
        let excerpt = Excerpt::of(&words, WORDS_MAX + 1, 10_000);
        let words: Vec<_> = excerpt.words().collect();
        assert_eq!(words.len(), WORDS_MAX);
        assert!(words[0].ends_with(b"x... (1 more bytes)"));
        assert_eq!(words[WORDS_MAX - 1], b"... (2 more arguments)");
    }

    #[test]
    fn record_takes_no_more_than_documented() {
        let long = vec![b'x'; 100_000_000];
        for length in [0, 31, 32, 81, 100, 127, 128, 129, 100_000_000] {
            for count in [1, 31, 32, 33, u32::MAX as usize] {
                for bytes_max in [RECORD_BYTES_MAX - NAME_BYTES_MAX, RECORD_BYTES_MAX] {
                    let words = vec![&long[..length]; count.min(WORDS_MAX)];
                    let excerpt = Excerpt::of(&words, count, bytes_max);
                    assert!(excerpt.bytes.len() <= bytes_max, "{count} of {length}");
                    assert_eq!(excerpt.words().len(), words.len());
                }
            }
        }
    }
}
