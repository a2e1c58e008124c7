//! Pub/sub: who listens to which channel.

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
use super::recipients::{Message, Recipients};
use super::slices::{SLICE_ITEMS, in_slices};
use crate::config::OutputLimit;
use crate::glob;

/// All channels and patterns that clients are subscribed to.
///
/// No lock is held for longer than a slice of the work takes: a message is compared with all
/// patterns before any lock is taken, and is left for the subscribers of one topic after the other.
#[derive(Debug)]
pub(crate) struct Channels {
    by_name: Topics,
    by_pattern: Topics,
    /// One for all channels of the same hash: held while a message is left for its subscribers, so
    /// that all see the messages of a channel in the same order.
    publishing: Box<[Mutex<()>]>,
    hasher: RandomState,
    /// The number of the topic that comes next.
    next_number: AtomicU64,
}

/// The topics of a kind, by name.
#[derive(Debug, Default)]
struct Topics(Mutex<BTreeSet<ByName>>);

/// A channel, or a pattern for names of channels, that clients are subscribed to.
#[derive(Debug)]
pub(crate) struct Topic {
    name: Box<[u8]>,
    /// Counted as topics come.
    number: u64,
    subscribers: Recipients,
}

impl Topic {
    pub(crate) fn name(&self) -> &[u8] {
        &self.name
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

/// What one client is subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    channels: BTreeSet<ByName>,
    patterns: BTreeSet<ByName>,
    bytes: usize,
}

/// What a subscription names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Channel,
    Pattern,
}

/// Why a client may not subscribe to more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsubscribable {
    /// It is subscribed to too much already.
    TooMany,
    /// The name is longer than [`CHANNEL_BYTES_MAX`], or the pattern than [`PATTERN_BYTES_MAX`].
    TooLong,
}

impl Subscriptions {
    /// How many channels and patterns there are.
    pub(crate) fn count(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// How many there are of a kind.
    pub(crate) fn count_of(&self, kind: Kind) -> usize {
        self.of(kind).len()
    }

    /// The first of a kind in alphabetical order.
    pub(crate) fn first(&self, kind: Kind) -> Option<Arc<Topic>> {
        self.of(kind).first().map(|ByName(topic)| Arc::clone(topic))
    }

    /// Bytes of memory that they take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    #[expect(clippy::mutable_key_type, reason = "the name of a topic never changes")]
    fn of(&self, kind: Kind) -> &BTreeSet<ByName> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
        }
    }

    #[expect(clippy::mutable_key_type, reason = "the name of a topic never changes")]
    fn of_mut(&mut self, kind: Kind) -> &mut BTreeSet<ByName> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }
}

impl Topics {
    fn find(&self, name: &[u8]) -> Option<Arc<Topic>> {
        self.0
            .lock()
            .get(name)
            .map(|ByName(topic)| Arc::clone(topic))
    }

    /// Returns the topic of this name, which `new` makes if there is none.
    fn find_or_add(&self, name: &[u8], new: impl FnOnce() -> Topic) -> Arc<Topic> {
        let mut topics = self.0.lock();
        if let Some(ByName(topic)) = topics.get(name) {
            return Arc::clone(topic);
        }
        let topic = Arc::new(new());
        topics.insert(ByName(Arc::clone(&topic)));
        topic
    }

    /// Removes a topic that has ended, unless another of its name has taken its place.
    fn remove(&self, ended: &Arc<Topic>) {
        let mut topics = self.0.lock();
        let current = topics.get(ended.name());
        if current.is_some_and(|ByName(current)| Arc::ptr_eq(current, ended)) {
            topics.remove(ended.name());
        }
    }

    /// Every topic with a lower number than `end`, by name. Those that come meanwhile are passed
    /// over, or it might never end.
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
        match kind {
            Kind::Channel => &self.by_name,
            Kind::Pattern => &self.by_pattern,
        }
    }

    /// Has the client listen, too. Listening twice to the same is listening once.
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
                subscriptions.of_mut(kind).insert(ByName(topic));
                return Ok(());
            }
            // Its last subscriber has just left, and is about to remove it.
            self.of(kind).remove(&topic);
        }
    }

    /// Has the client listen no more.
    pub(crate) fn unsubscribe(
        &self,
        info: &ClientInfo,
        subscriptions: &mut Subscriptions,
        kind: Kind,
        name: &[u8],
    ) {
        if let Some(ByName(topic)) = subscriptions.of_mut(kind).take(name) {
            subscriptions.bytes -= name.len() + SUBSCRIPTION_BYTES;
            self.forget(info, kind, &topic);
        }
    }

    /// Has a client that goes listen to nothing any more.
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

    /// Leaves a message for everybody who listens to the channel, as often as it listens: by its
    /// name, and by each pattern. Returns how often that was; calls `tell` for each client whose
    /// owner has to look at its mail.
    pub(crate) fn publish(
        &self,
        channel: &[u8],
        message: &[u8],
        now_s: u32,
        limit: OutputLimit,
        mut tell: impl FnMut(&ClientInfo),
    ) -> usize {
        // First, and without a lock: it takes as long as others want who subscribe to patterns.
        let patterns: Vec<_> = self
            .by_pattern
            .each_before(self.next_number.load(Relaxed))
            .filter(|topic| {
                glob::Pattern::new(topic.name()).is_ok_and(|pattern| pattern.matches(channel))
            })
            .collect();
        let hash = self.hasher.hash_one(channel) as usize;
        let _publishing = self.publishing[hash % self.publishing.len()].lock();
        let mut count = 0;
        if let Some(topic) = self.by_name.find(channel) {
            let words = [b"message", channel, message];
            let message = Message::of(&words);
            count += topic.subscribers.push(&message, now_s, limit, &mut tell);
        }
        for topic in &patterns {
            let words = [b"pmessage", topic.name(), channel, message];
            let message = Message::of(&words);
            count += topic.subscribers.push(&message, now_s, limit, &mut tell);
        }
        count
    }

    /// The channels that somebody listens to by their names.
    pub(crate) fn active(&self) -> impl Iterator<Item = Arc<Topic>> {
        self.by_name.each_before(self.next_number.load(Relaxed))
    }

    /// How many clients listen to the channel by its name.
    pub(crate) fn listeners(&self, channel: &[u8]) -> usize {
        let topic = self.by_name.find(channel);
        topic.map_or(0, |topic| topic.subscribers.change(|clients| clients.len()))
    }

    /// How many channels and how many patterns there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.by_name.len(), self.by_pattern.len())
    }
}

impl Default for Channels {
    fn default() -> Self {
        Self {
            by_name: Topics::default(),
            by_pattern: Topics::default(),
            publishing: (0..PUBLISHING_LOCKS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            next_number: AtomicU64::new(0),
        }
    }
}

/// Channels that can be published to at the same time. A lock takes a byte.
const PUBLISHING_LOCKS: usize = 1024;

/// Bytes of a channel's name. Redis has no such bound; but there, too, each pattern is compared with
/// it for each message.
pub(crate) const CHANNEL_BYTES_MAX: usize = 1024;

/// Bytes of a pattern, for the same reason.
pub(crate) const PATTERN_BYTES_MAX: usize = 256;

const _: () = assert!(PATTERN_BYTES_MAX <= glob::PATTERN_BYTES_MAX);

/// Patterns of one client.
const PATTERNS_MAX: usize = 1024;

/// Bytes that a subscription takes besides its name, where no other client has the same: as measured
/// with a million of them, with glibc's allocator, 161.
const SUBSCRIPTION_BYTES: usize = 160;

/// Bytes that the subscriptions of one client may take: far more than a program needs, and no more
/// than may wait for it in messages.
const SUBSCRIPTIONS_BYTES_MAX: usize = 32 * 1024 * 1024;
