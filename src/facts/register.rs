//! The register: every client there is, wherever it is (queued, being served, parked), as far as
//! others may know of it, and the mail that they leave for it.
//!
//! A client's value has one owner at a time and nobody else can look at it. So what others need is
//! kept apart from it, in its entry here: the owner writes, all may read. Only the mail goes the
//! other way.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::config::OutputLimit;
use crate::resp::Protocol;

/// All clients by their numbers. The lock is taken when a client comes or goes, and by who asks for
/// others; never for a request about oneself.
#[derive(Debug, Default)]
pub(crate) struct Register(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    entries: BTreeMap<u64, Arc<Entry>>,
    /// How many there are from each address.
    addresses: HashMap<IpAddr, usize>,
}

impl Register {
    pub(crate) fn add(&self, entry: &Arc<Entry>) {
        let mut listed = self.0.lock();
        *listed.addresses.entry(entry.ip()).or_default() += 1;
        listed.entries.insert(entry.id, Arc::clone(entry));
    }

    pub(crate) fn remove(&self, entry: &Entry) {
        let mut listed = self.0.lock();
        if listed.entries.remove(&entry.id).is_some()
            && let Some(count) = listed.addresses.get_mut(&entry.ip())
        {
            *count -= 1;
            if *count == 0 {
                listed.addresses.remove(&entry.ip());
            }
        }
    }

    pub(crate) fn find(&self, id: u64) -> Option<Arc<Entry>> {
        self.0.lock().entries.get(&id).map(Arc::clone)
    }

    /// How many clients came from the address.
    pub(crate) fn count_from(&self, ip: IpAddr) -> usize {
        self.0.lock().addresses.get(&ip).copied().unwrap_or(0)
    }

    /// Every entry, in the order in which the clients came.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        self.0.lock().entries.values().map(Arc::clone).collect()
    }
}

/// What others may know of a client. Its owner writes, with the exception of the mail; each value
/// is read on its own, so that no order among them matters.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Counted from 1 as connections come, never used twice.
    pub(crate) id: u64,
    /// Its slot in parking.
    pub(crate) place: usize,
    pub(crate) peer_addr: SocketAddr,
    /// Shared by all who came to the same.
    pub(crate) local_addr: Arc<SocketAddr>,
    /// The number of its socket's descriptor.
    pub(crate) descriptor: i32,
    /// When it came, by the coarse clock.
    pub(crate) came_at_s: u32,
    /// When it was last served, by the coarse clock. It is also what `timeout` counts from.
    pub(crate) active_at_s: AtomicU32,
    /// Bytes that it sent and that wait to be served.
    held_bytes: AtomicU32,
    /// Bytes of replies that its socket has not taken.
    owed_bytes: AtomicU32,
    /// Channels and patterns that it is subscribed to.
    pub(crate) channels: AtomicU32,
    pub(crate) patterns: AtomicU32,
    /// The index of the command that it sent last, or [`NO_COMMAND`].
    pub(crate) command: AtomicU16,
    pub(crate) database: AtomicU8,
    /// A set of [`flag`]s.
    flags: AtomicU8,
    resp3: AtomicBool,
    /// Something is in the mail that its owner has not read: always true while it is not empty.
    has_mail: AtomicBool,
    /// `None` as long as it has said nothing.
    said: Mutex<Option<Box<Said>>>,
    /// `None` while there is none.
    mail: Mutex<Option<Box<Mail>>>,
}

/// What a client says of itself, each empty at first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(crate) name: Box<[u8]>,
    pub(crate) library_name: Box<[u8]>,
    pub(crate) library_version: Box<[u8]>,
    /// The client that is to be told of changed keys instead of it; 0 if there is none.
    pub(crate) redirect: u64,
}

/// What others have left for a client.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// Whole messages, as they are to be sent.
    pub(crate) messages: Vec<u8>,
    /// It is to be closed.
    pub(crate) sentence: Option<Sentence>,
    /// Since when there is more than a reader who keeps up would leave, by the coarse clock.
    full_since_s: Option<u32>,
}

/// Why others close a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sentence {
    /// `CLIENT KILL`.
    Killed,
    /// It does not read what it subscribed to.
    SlowReader,
    /// More waits for and from all clients than may, and for this one the most.
    Evicted,
}

/// What the index of a client's last command is before it has sent one.
pub(crate) const NO_COMMAND: u16 = u16::MAX;

/// What may be set in an entry's flags.
pub(crate) mod flag {
    pub(crate) const MONITOR: u8 = 1;
    pub(crate) const SUBSCRIBER: u8 = 1 << 1;
    pub(crate) const TRACKING: u8 = 1 << 2;
    pub(crate) const NO_EVICT: u8 = 1 << 3;
    pub(crate) const NO_TOUCH: u8 = 1 << 4;
    pub(crate) const PAUSED: u8 = 1 << 5;
    pub(crate) const CLOSING: u8 = 1 << 6;
}

impl Entry {
    pub(crate) fn new(
        id: u64,
        place: usize,
        peer_addr: SocketAddr,
        local_addr: Arc<SocketAddr>,
        descriptor: i32,
        now_s: u32,
    ) -> Self {
        Self {
            id,
            place,
            peer_addr,
            local_addr,
            descriptor,
            came_at_s: now_s,
            active_at_s: AtomicU32::new(now_s),
            held_bytes: AtomicU32::new(0),
            owed_bytes: AtomicU32::new(0),
            channels: AtomicU32::new(0),
            patterns: AtomicU32::new(0),
            command: AtomicU16::new(NO_COMMAND),
            database: AtomicU8::new(0),
            flags: AtomicU8::new(0),
            resp3: AtomicBool::new(false),
            has_mail: AtomicBool::new(false),
            said: Mutex::default(),
            mail: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn for_test(place: usize, addr: SocketAddr) -> Self {
        Self::new(1, place, addr, Arc::new(addr), 0, 0)
    }

    /// The address that it came from, an IPv4 address as such.
    pub(crate) fn ip(&self) -> IpAddr {
        self.peer_addr.ip().to_canonical()
    }

    /// Bytes that wait for it and from it.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        (self.held_bytes() + self.owed_bytes() + self.mail_bytes()) as u64
    }

    /// Bytes that it sent and that wait to be served.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed) as usize
    }

    /// Bytes of replies that its socket has not taken.
    pub(crate) fn owed_bytes(&self) -> usize {
        self.owed_bytes.load(Ordering::Relaxed) as usize
    }

    /// Notes when the client was last served, and what is left to do for it. More than 4 GiB count
    /// as that.
    pub(crate) fn publish(&self, now_s: u32, held_bytes: usize, owed_bytes: usize) {
        let clamped = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
        self.active_at_s.store(now_s, Ordering::Relaxed);
        self.held_bytes
            .store(clamped(held_bytes), Ordering::Relaxed);
        self.owed_bytes
            .store(clamped(owed_bytes), Ordering::Relaxed);
    }

    pub(crate) fn said(&self) -> Said {
        self.said.lock().as_deref().cloned().unwrap_or_default()
    }

    pub(crate) fn say(&self, change: impl FnOnce(&mut Said)) {
        change(self.said.lock().get_or_insert_default());
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags.load(Ordering::Relaxed) & flag != 0
    }

    /// Only the client's owner calls this.
    pub(crate) fn set(&self, flag: u8, value: bool) {
        let flags = self.flags.load(Ordering::Relaxed);
        let flags = if value { flags | flag } else { flags & !flag };
        self.flags.store(flags, Ordering::Relaxed);
    }

    pub(crate) fn protocol(&self) -> Protocol {
        if self.resp3.load(Ordering::Relaxed) {
            Protocol::Resp3
        } else {
            Protocol::Resp2
        }
    }

    pub(crate) fn set_protocol(&self, protocol: Protocol) {
        self.resp3
            .store(protocol == Protocol::Resp3, Ordering::Relaxed);
    }

    /// Leaves a message for the client. Gives whether its owner has to be told; if not, it was
    /// told before and has not come to its mail yet.
    ///
    /// Who does not read is to be closed when more waits than `limit` allows, together with what it
    /// is owed otherwise.
    #[must_use]
    pub(crate) fn post(&self, message: &[u8], now_s: u32, limit: OutputLimit) -> bool {
        let mut mail = self.mail.lock();
        let mail = mail.get_or_insert_default();
        if mail.sentence.is_some() {
            return false;
        }
        let before = mail.messages.len() + self.owed_bytes();
        let exceeds = |waiting, bytes| bytes > 0 && waiting > bytes;
        // Since the last message it has only become less.
        if !exceeds(before, limit.soft_bytes) {
            mail.full_since_s = None;
        }
        let waiting = before + message.len();
        if exceeds(waiting, limit.hard_bytes) {
            mail.messages = Vec::new();
            mail.sentence = Some(Sentence::SlowReader);
        } else if exceeds(waiting, limit.soft_bytes) {
            let since_s = *mail.full_since_s.get_or_insert(now_s);
            if now_s.saturating_sub(since_s) > limit.soft_s {
                mail.messages = Vec::new();
                mail.sentence = Some(Sentence::SlowReader);
            }
        }
        if mail.sentence.is_none() {
            mail.messages.extend_from_slice(message);
        }
        // Under the lock, as in `take_messages`. A sentence wants to be read at once, even by who is
        // blocked and therefore left its messages where they are.
        !self.has_mail.swap(true, Ordering::Relaxed) || mail.sentence.is_some()
    }

    /// Has the client closed, for the reason that was given first. Its owner has to be told.
    pub(crate) fn condemn(&self, sentence: Sentence) {
        let mut mail = self.mail.lock();
        let mail = mail.get_or_insert_default();
        mail.sentence.get_or_insert(sentence);
        mail.messages = Vec::new();
        self.has_mail.store(true, Ordering::Relaxed);
    }

    /// Whether there is mail. Who was told under a lock that its own thread has taken since (a
    /// slot's, the queue's) sees it.
    pub(crate) fn has_mail(&self) -> bool {
        self.has_mail.load(Ordering::Relaxed)
    }

    /// Why others close it, if they do.
    pub(crate) fn sentence(&self) -> Option<Sentence> {
        self.mail.lock().as_ref()?.sentence
    }

    /// Takes the messages.
    pub(crate) fn take_messages(&self) -> Vec<u8> {
        let mut mail = self.mail.lock();
        let is_condemned = mail.as_ref().is_some_and(|mail| mail.sentence.is_some());
        self.has_mail.store(is_condemned, Ordering::Relaxed);
        if is_condemned {
            return Vec::new();
        }
        match &mut *mail {
            // What was in it is owed from now on, and counts as before.
            Some(mail) if mail.full_since_s.is_some() => mem::take(&mut mail.messages),
            _ => mail.take().map_or_else(Vec::new, |mail| mail.messages),
        }
    }

    /// Bytes of messages that wait.
    pub(crate) fn mail_bytes(&self) -> usize {
        let mail = self.mail.lock();
        mail.as_ref().map_or(0, |mail| mail.messages.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: OutputLimit = OutputLimit {
        hard_bytes: 1000,
        soft_bytes: 100,
        soft_s: 60,
    };

    fn entry() -> Entry {
        Entry::for_test(0, ([127, 0, 0, 1], 5000).into())
    }

    #[test]
    fn the_owner_is_told_once_until_it_has_read_its_mail() {
        let entry = entry();
        assert!(!entry.has_mail());
        assert!(entry.post(b"one", 0, LIMIT));
        assert!(!entry.post(b"two", 0, LIMIT));
        assert!(entry.has_mail());
        assert_eq!(entry.take_messages(), b"onetwo");
        assert!(!entry.has_mail());
        assert!(entry.post(b"three", 0, LIMIT));
    }

    #[test]
    fn too_many_messages_are_a_sentence_and_are_not_kept() {
        let entry = entry();
        let message = [b'x'; LIMIT.hard_bytes];
        assert!(entry.post(&message, 0, LIMIT));
        assert_eq!(entry.sentence(), None);
        assert!(
            entry.post(b"x", 0, LIMIT),
            "it is told, although it was before"
        );
        assert_eq!(entry.sentence(), Some(Sentence::SlowReader));
        assert_eq!(entry.mail_bytes(), 0);
        assert!(!entry.post(b"x", 0, LIMIT));
        assert!(entry.has_mail(), "a sentence stays");
        assert!(entry.take_messages().is_empty());
        assert!(entry.has_mail(), "a sentence stays");
    }

    #[test]
    fn many_messages_may_wait_for_a_minute() {
        let entry = entry();
        let message = [b'x'; LIMIT.soft_bytes];
        let _ = entry.post(&message, 0, LIMIT);
        let _ = entry.post(b"x", 100, LIMIT);
        // Who looked at the clock before may come later.
        let _ = entry.post(b"x", 99, LIMIT);
        let _ = entry.post(b"x", 160, LIMIT);
        assert_eq!(entry.sentence(), None);
        let _ = entry.post(b"x", 161, LIMIT);
        assert_eq!(entry.sentence(), Some(Sentence::SlowReader));
    }

    #[test]
    fn the_minute_goes_on_as_long_as_what_was_read_is_owed() {
        let entry = entry();
        let message = [b'x'; LIMIT.soft_bytes + 1];
        let _ = entry.post(&message, 0, LIMIT);
        entry.publish(0, 0, entry.take_messages().len());
        let _ = entry.post(b"x", 60, LIMIT);
        assert_eq!(entry.sentence(), None);
        let _ = entry.post(b"x", 61, LIMIT);
        assert_eq!(entry.sentence(), Some(Sentence::SlowReader));
    }

    #[test]
    fn another_minute_begins_when_everything_was_sent() {
        let entry = entry();
        let message = [b'x'; LIMIT.soft_bytes + 1];
        let _ = entry.post(&message, 0, LIMIT);
        assert_eq!(entry.take_messages().len(), message.len());
        let _ = entry.post(&message, 61, LIMIT);
        assert_eq!(entry.sentence(), None);
    }

    #[test]
    fn a_limit_of_0_is_none() {
        let entry = entry();
        let none = OutputLimit {
            hard_bytes: 0,
            soft_bytes: 0,
            soft_s: 0,
        };
        let _ = entry.post(&[b'x'; 5000], 0, none);
        let _ = entry.post(b"x", 1000, none);
        assert_eq!(entry.sentence(), None);
    }

    #[test]
    fn clients_are_counted_by_their_addresses() {
        let register = Register::default();
        let from = |id, addr: &str| {
            let addr = addr.parse().expect("an address");
            let entry = Arc::new(Entry::new(id, 0, addr, Arc::new(addr), 0, 0));
            register.add(&entry);
            entry
        };
        let one = from(1, "127.0.0.1:1");
        let other = from(2, "[::ffff:127.0.0.1]:2");
        from(3, "127.0.0.2:1");
        let count = || register.count_from([127, 0, 0, 1].into());
        assert_eq!(count(), 2);
        register.remove(&one);
        register.remove(&one);
        assert_eq!(count(), 1);
        register.remove(&other);
        assert_eq!(count(), 0);
        assert_eq!(register.0.lock().addresses.len(), 1);
    }

    #[test]
    fn the_first_sentence_holds() {
        let entry = entry();
        entry.condemn(Sentence::Killed);
        entry.condemn(Sentence::SlowReader);
        assert_eq!(entry.sentence(), Some(Sentence::Killed));
    }
}
