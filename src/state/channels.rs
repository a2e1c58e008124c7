//! Pub/sub: the channels and patterns, and their subscribers.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::clients::ClientInfo;
use super::inbox::Terms;
use super::recipients::{Messages, Recipients};
use super::slices::{SLICE_ITEMS, in_slices};
use crate::glob;
use crate::resp::LastArguments;

/// All channels and patterns that clients are subscribed to.
///
/// No lock is held for longer than a slice of the work: a message is compared with all patterns
/// before any lock is taken, and is left for the subscribers of one topic after the other.
#[derive(Debug)]
pub(crate) struct Channels {
    /// By [`Kind`].
    topics: [Topics; 2],
    /// Held while a message is left for its subscribers, so that all of them see the messages of a
    /// channel in the same order. Channels of the same hash share a lock.
    publishing: Box<[Mutex<()>]>,
    hasher: RandomState,
    /// The number of the next topic.
    next_number: AtomicU64,
}

/// All channels or all patterns, by name.
#[derive(Debug, Default)]
struct Topics(Mutex<BTreeSet<ByName>>);

/// A channel or a pattern that clients are subscribed to.
#[derive(Debug)]
pub(crate) struct Topic {
    name: Box<[u8]>,
    /// Counted in the order of creation.
    number: u64,
    subscribers: Recipients,
}

impl Topic {
    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    fn count(&self) -> usize {
        self.subscribers.change(|clients| clients.len())
    }

    /// Adds the messages of `following` requests to `messages`, as long as little is copied.
    fn take_messages<'a>(
        &self,
        channel: &[u8],
        following: &mut LastArguments<'a>,
        messages: &mut Vec<&'a [u8]>,
    ) {
        let each_max = (COPIED_BYTES_MAX / self.count().max(1)).min(COPIED_BYTES_EACH_MAX);
        // A pattern, the channel, and their headers come before each message.
        let front = self.name.len() + channel.len() + 64;
        let mut bytes = 0;
        while bytes < each_max
            && let Some(message) = following.next()
        {
            bytes += front + message.len();
            messages.push(message);
        }
    }
}

/// A topic in a set that is sorted by name.
#[derive(Debug, Clone)]
struct ByName(Arc<Topic>);

impl Borrow<[u8]> for ByName {
    fn borrow(&self) -> &[u8] {
        &self.0.name
    }
}

impl Ord for ByName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.name.cmp(&other.0.name)
    }
}

impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for ByName {}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

/// The channels and patterns that one client is subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    /// By [`Kind`].
    topics: [BTreeSet<ByName>; 2],
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Channel,
    Pattern,
}

/// Why a subscription is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsubscribable {
    /// The client has too many already.
    TooMany,
    /// The name is longer than [`CHANNEL_BYTES_MAX`], or the pattern than [`PATTERN_BYTES_MAX`].
    TooLong,
}

impl Subscriptions {
    /// Returns the number of channels and patterns.
    pub(crate) fn count(&self) -> usize {
        self.topics.iter().map(BTreeSet::len).sum()
    }

    pub(crate) fn count_of(&self, kind: Kind) -> usize {
        self.of(kind).len()
    }

    /// Returns the first of a kind in alphabetical order.
    pub(crate) fn first(&self, kind: Kind) -> Option<Arc<Topic>> {
        self.of(kind).first().map(|ByName(topic)| Arc::clone(topic))
    }

    /// Returns the bytes of memory of all.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    #[expect(clippy::mutable_key_type, reason = "the name of a topic never changes")]
    fn of(&self, kind: Kind) -> &BTreeSet<ByName> {
        &self.topics[kind as usize]
    }
}

impl Topics {
    fn find(&self, name: &[u8]) -> Option<Arc<Topic>> {
        self.0
            .lock()
            .get(name)
            .map(|ByName(topic)| Arc::clone(topic))
    }

    /// Returns the topic of this name; `new` creates it if there is none.
    fn find_or_add(&self, name: &[u8], new: impl FnOnce() -> Topic) -> Arc<Topic> {
        let mut topics = self.0.lock();
        if let Some(ByName(topic)) = topics.get(name) {
            return Arc::clone(topic);
        }
        let topic = Arc::new(new());
        topics.insert(ByName(Arc::clone(&topic)));
        topic
    }

    /// Removes a topic that has ended, unless another one has its name by now.
    fn remove(&self, ended: &Arc<Topic>) {
        let mut topics = self.0.lock();
        let current = topics.get(ended.name());
        if current.is_some_and(|ByName(current)| Arc::ptr_eq(current, ended)) {
            topics.remove(ended.name());
        }
    }

    /// Returns every topic with a lower number than `end`, by name. Skips topics that are added in
    /// the meantime, or it might never end.
    fn each_before(&self, end: u64) -> impl Iterator<Item = Arc<Topic>> {
        let slice_after = |last: Option<&ByName>| {
            let lower = last.map_or(Bound::Unbounded, |last| Bound::Excluded(last.0.name()));
            let topics = self.0.lock();
            let after = topics.range::<[u8], _>((lower, Bound::Unbounded));
            after.take(SLICE_ITEMS).cloned().collect()
        };
        in_slices(slice_after)
            .map(|ByName(topic)| topic)
            .filter(move |topic| topic.number < end)
    }

    fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl Channels {
    fn of(&self, kind: Kind) -> &Topics {
        &self.topics[kind as usize]
    }

    /// Subscribes a client. A second time has no effect.
    pub(crate) fn subscribe(
        &self,
        info: &Arc<ClientInfo>,
        subscriptions: &mut Subscriptions,
        kind: Kind,
        name: &[u8],
    ) -> Result<(), Unsubscribable> {
        if subscriptions.of(kind).contains(name) {
            return Ok(());
        }
        let bytes = name.len() + SUBSCRIPTION_BYTES;
        let (length_max, count_max) = match kind {
            Kind::Channel => (CHANNEL_BYTES_MAX, usize::MAX),
            Kind::Pattern => (PATTERN_BYTES_MAX, PATTERNS_MAX),
        };
        if name.len() > length_max {
            return Err(Unsubscribable::TooLong);
        }
        if subscriptions.bytes + bytes > SUBSCRIPTIONS_BYTES_MAX
            || subscriptions.of(kind).len() >= count_max
        {
            return Err(Unsubscribable::TooMany);
        }
        subscriptions.bytes += bytes;
        let new = || Topic {
            name: name.into(),
            number: self.next_number.fetch_add(1, Relaxed),
            subscribers: Recipients::default(),
        };
        loop {
            let topic = self.of(kind).find_or_add(name, new);
            if topic.subscribers.change(|clients| clients.add(info)) {
                subscriptions.topics[kind as usize].insert(ByName(topic));
                return Ok(());
            }
            // The last subscriber has just left, and is about to remove the topic.
            self.of(kind).remove(&topic);
        }
    }

    pub(crate) fn unsubscribe(
        &self,
        info: &ClientInfo,
        subscriptions: &mut Subscriptions,
        kind: Kind,
        name: &[u8],
    ) {
        if let Some(ByName(topic)) = subscriptions.topics[kind as usize].take(name) {
            subscriptions.bytes -= name.len() + SUBSCRIPTION_BYTES;
            self.forget(info, kind, &topic);
        }
    }

    /// Ends all subscriptions of a client that is closed.
    pub(crate) fn forget_all(&self, info: &ClientInfo, subscriptions: &Subscriptions) {
        for kind in [Kind::Channel, Kind::Pattern] {
            for ByName(topic) in subscriptions.of(kind) {
                self.forget(info, kind, topic);
            }
        }
    }

    fn forget(&self, info: &ClientInfo, kind: Kind, topic: &Arc<Topic>) {
        let has_ended = topic.subscribers.change(|clients| {
            clients.remove(info.id);
            clients.end_if_empty()
        });
        if has_ended {
            self.of(kind).remove(topic);
        }
    }

    /// Leaves a message for each subscriber of the channel: once for its name, and once for each
    /// pattern. Returns how often. Calls `notify` for each client whose owner must be notified, and
    /// `before_long` before what may take long.
    ///
    /// Also takes the messages of `following` requests, which the same receivers get, unless one of
    /// them may get each message more than once: then the order would differ from Redis.
    pub(crate) fn publish<'a>(
        &self,
        channel: &[u8],
        message: &'a [u8],
        following: &mut LastArguments<'a>,
        terms: Terms<'_>,
        before_long: &dyn Fn(),
        mut notify: impl FnMut(&ClientInfo),
    ) -> usize {
        let patterns = self.matching_patterns(channel, before_long);
        let hash = self.hasher.hash_one(channel) as usize;
        let _publishing = self.publishing[hash % self.publishing.len()].lock();
        let named = self.of(Kind::Channel).find(channel);
        let mut messages = vec![message];
        let mut topics = named.iter().chain(&patterns);
        if let (Some(topic), None) = (topics.next(), topics.next()) {
            topic.take_messages(channel, following, &mut messages);
        }
        let mut count = 0;
        if let Some(topic) = named {
            let words = [b"message", channel];
            let messages = Messages::of(&words, &messages);
            count += topic
                .subscribers
                .push(&messages, terms, before_long, &mut notify);
        }
        for topic in &patterns {
            let words = [b"pmessage", topic.name(), channel];
            let messages = Messages::of(&words, &messages);
            count += topic
                .subscribers
                .push(&messages, terms, before_long, &mut notify);
        }
        count
    }

    /// Returns the patterns that match the channel. Compares without a lock, because it takes long
    /// if other clients subscribe to many patterns. Calls `before_long` if there are any.
    fn matching_patterns(&self, channel: &[u8], before_long: &dyn Fn()) -> Vec<Arc<Topic>> {
        let end = self.next_number.load(Relaxed);
        let mut patterns = self.of(Kind::Pattern).each_before(end).peekable();
        if patterns.peek().is_some() {
            before_long();
        }
        let matches = |topic: &Arc<Topic>| {
            glob::Pattern::new(topic.name()).is_ok_and(|pattern| pattern.matches(channel))
        };
        patterns.filter(matches).collect()
    }

    /// Returns the channels that have subscribers.
    pub(crate) fn active(&self) -> impl Iterator<Item = Arc<Topic>> {
        self.of(Kind::Channel)
            .each_before(self.next_number.load(Relaxed))
    }

    /// Returns how many clients are subscribed to the channel by its name.
    pub(crate) fn listeners(&self, channel: &[u8]) -> usize {
        let topic = self.of(Kind::Channel).find(channel);
        topic.map_or(0, |topic| topic.count())
    }

    /// Returns the number of channels and the number of patterns.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.of(Kind::Channel).len(), self.of(Kind::Pattern).len())
    }
}

impl Default for Channels {
    fn default() -> Self {
        Self {
            topics: Default::default(),
            publishing: (0..PUBLISHING_LOCKS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            next_number: AtomicU64::new(0),
        }
    }
}

/// Maximum channels that can be published to at the same time. A lock takes a byte.
const PUBLISHING_LOCKS: usize = 1024;

/// Bytes of messages that are left together, for all receivers: a fraction of a turn. One message
/// is not bounded, and the last may exceed it.
const COPIED_BYTES_MAX: usize = 1024 * 1024;

/// The same for one receiver: far below any useful `client-output-buffer-limit`, which may close
/// it.
const COPIED_BYTES_EACH_MAX: usize = 4 * 1024;

/// Maximum bytes of a channel's name, because each message is compared with each pattern. Redis has
/// no such bound.
pub(crate) const CHANNEL_BYTES_MAX: usize = 1024;

/// Maximum bytes of a pattern, for the same reason.
pub(crate) const PATTERN_BYTES_MAX: usize = 256;

const _: () = assert!(PATTERN_BYTES_MAX <= glob::PATTERN_BYTES_MAX);

/// Maximum patterns of one client.
const PATTERNS_MAX: usize = 1024;

/// Bytes that a subscription takes besides its name if no other client has the same: measured with
/// a million subscriptions and glibc's allocator, 161.
const SUBSCRIPTION_BYTES: usize = 160;

/// Maximum bytes of the subscriptions of one client: more than a program needs, and no more than
/// its messages may take by default.
const SUBSCRIPTIONS_BYTES_MAX: usize = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::resp::Parser;
    use crate::resp::tests::LIMITS;

    /// Returns how many of 1,000 messages of `length` bytes a topic with this name takes for so
    /// many subscribers.
    fn taken(name: &[u8], subscribers: usize, length: usize) -> usize {
        let topic = Topic {
            name: name.into(),
            number: 0,
            subscribers: Recipients::default(),
        };
        for slot in 0..subscribers {
            let peer = SocketAddr::from(([127, 0, 0, 1], 6379)).into();
            let info = ClientInfo::new(slot as u64, slot, peer, None, 0, 0);
            topic
                .subscribers
                .change(|clients| clients.add(&Arc::new(info)));
        }
        let message = "x".repeat(length);
        let request = format!("*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n${length}\r\n{message}\r\n");
        let (request, following) = (request.as_bytes(), request.repeat(1000).into_bytes());
        let mut parser = Parser::default();
        let parsed = parser.parse(request, LIMITS);
        assert_eq!(parsed, Ok(Some(request.len())));
        let request = parser.request(request).expect("it has words");
        let mut following = LastArguments::new(&request, &following, usize::MAX);
        let mut messages = Vec::new();
        topic.take_messages(b"c", &mut following, &mut messages);
        assert_eq!(messages.len(), following.taken());
        messages.len()
    }

    #[test]
    fn bytes_of_a_burst_are_bounded() {
        // 66 bytes come before each message, and with this pattern 319.
        assert_eq!(taken(b"c", 1, 0), 4096 / 66 + 1);
        assert_eq!(taken(&[b'?'; 254], 1, 0), 4096 / 319 + 1);
        assert_eq!(taken(b"c", 1, 30), 4096 / 96 + 1);
        assert_eq!(taken(b"c", 2048, 0), 512 / 66 + 1);
        assert_eq!(taken(b"c", 2048, 30), 512 / 96 + 1);
    }
}
