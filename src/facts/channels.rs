//! Pub/sub: who listens to which channel.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::register::Entry;
use crate::command::glob;
use crate::config::OutputLimit;
use crate::resp::{Protocol, Reply};

/// A channel's name, or a pattern for such names.
pub(crate) type Name = Arc<[u8]>;

/// All channels and patterns that somebody is subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Channels(Mutex<Listeners>);

/// By the names of channels and patterns, the clients by their numbers.
#[derive(Debug, Default)]
struct Listeners {
    channels: BTreeMap<Name, BTreeMap<u64, Arc<Entry>>>,
    patterns: BTreeMap<Name, BTreeMap<u64, Arc<Entry>>>,
}

/// What one client is subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    channels: BTreeSet<Name>,
    patterns: BTreeSet<Name>,
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

    /// Those of a kind, in alphabetical order.
    pub(crate) fn names(&self, kind: Kind) -> Vec<Name> {
        self.of(kind).iter().map(Arc::clone).collect()
    }

    pub(crate) fn of(&self, kind: Kind) -> &BTreeSet<Name> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut BTreeSet<Name> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }
}

impl Listeners {
    fn of(&mut self, kind: Kind) -> &mut BTreeMap<Name, BTreeMap<u64, Arc<Entry>>> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }
}

impl Channels {
    /// Has the client listen, too. Listening twice to the same is listening once.
    pub(crate) fn subscribe(
        &self,
        entry: &Arc<Entry>,
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
        let mut listeners = self.0.lock();
        let all = listeners.of(kind);
        // One copy of the name for all who listen.
        let name = match all.get_key_value(name) {
            Some((name, _)) => Arc::clone(name),
            None => name.into(),
        };
        subscriptions.of_mut(kind).insert(Arc::clone(&name));
        let clients = all.entry(name).or_default();
        clients.insert(entry.id, Arc::clone(entry));
        Ok(())
    }

    /// Has the client listen no more. Gives whether it did.
    pub(crate) fn unsubscribe(
        &self,
        entry: &Entry,
        subscriptions: &mut Subscriptions,
        kind: Kind,
        name: &[u8],
    ) -> bool {
        if !subscriptions.of_mut(kind).remove(name) {
            return false;
        }
        subscriptions.bytes -= name.len() + SUBSCRIPTION_BYTES;
        self.forget(entry, kind, name);
        true
    }

    /// Has a client that goes listen to nothing any more.
    pub(crate) fn forget_all(&self, entry: &Entry, subscriptions: &Subscriptions) {
        for kind in [Kind::Channel, Kind::Pattern] {
            for name in subscriptions.of(kind) {
                self.forget(entry, kind, name);
            }
        }
    }

    fn forget(&self, entry: &Entry, kind: Kind, name: &[u8]) {
        let mut listeners = self.0.lock();
        let all = listeners.of(kind);
        if let Some(clients) = all.get_mut(name) {
            clients.remove(&entry.id);
            if clients.is_empty() {
                all.remove(name);
            }
        }
    }

    /// Leaves a message for everybody who listens to the channel, as often as it listens: by its
    /// name, and by each pattern. Gives how often that was; `tell` is called for each client whose
    /// owner has to look at its mail.
    pub(crate) fn publish(
        &self,
        channel: &[u8],
        message: &[u8],
        now_s: u32,
        limit: OutputLimit,
        mut tell: impl FnMut(&Entry),
    ) -> usize {
        // The lock is held to the end, so that messages reach all in the same order.
        let listeners = self.0.lock();
        let mut count = 0;
        let mut post_to = |clients: &BTreeMap<u64, Arc<Entry>>, words: &[&[u8]]| {
            // Each encoded for the first who wants it, and the same for all others.
            let (mut resp2, mut resp3) = (Vec::new(), Vec::new());
            for entry in clients.values() {
                let protocol = entry.protocol();
                let bytes = match protocol {
                    Protocol::Resp2 => &mut resp2,
                    Protocol::Resp3 => &mut resp3,
                };
                if bytes.is_empty() {
                    let _ = Reply::new(bytes, protocol).message(words.len(), |items| {
                        for word in words {
                            items.add(|item| item.bulk(word));
                        }
                    });
                }
                if entry.post(bytes, now_s, limit) {
                    tell(entry);
                }
            }
            count += clients.len();
        };
        if let Some(clients) = listeners.channels.get(channel) {
            post_to(clients, &[b"message", channel, message]);
        }
        for (pattern, clients) in &listeners.patterns {
            if glob::matches_case(pattern, channel) {
                post_to(clients, &[b"pmessage", pattern, channel, message]);
            }
        }
        count
    }

    /// Runs `change` between two messages.
    pub(crate) fn between_messages<T>(&self, change: impl FnOnce() -> T) -> T {
        let _listeners = self.0.lock();
        change()
    }

    /// The channels that somebody listens to by their names.
    pub(crate) fn active(&self) -> Vec<Name> {
        self.0.lock().channels.keys().map(Arc::clone).collect()
    }

    /// How many clients listen to the channel by its name.
    pub(crate) fn listeners(&self, channel: &[u8]) -> usize {
        self.0.lock().channels.get(channel).map_or(0, BTreeMap::len)
    }

    /// How many channels and how many patterns there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let listeners = self.0.lock();
        (listeners.channels.len(), listeners.patterns.len())
    }
}

/// Bytes of a channel's name. Redis has no such bound; but there, too, each pattern is compared with
/// it for each message, and meanwhile nobody else can subscribe or publish.
pub(crate) const CHANNEL_BYTES_MAX: usize = 1024;

/// Bytes of a pattern, for the same reason: at worst, to compare takes as many steps as both lengths
/// multiplied.
pub(crate) const PATTERN_BYTES_MAX: usize = 256;

/// Patterns of one client.
const PATTERNS_MAX: usize = 1024;

/// Bytes that a subscription takes besides its name, roughly.
const SUBSCRIPTION_BYTES: usize = 320;

/// Bytes that the subscriptions of one client may take: far more than a program needs, and no more
/// than may wait for it in messages.
const SUBSCRIPTIONS_BYTES_MAX: usize = 32 * 1024 * 1024;
