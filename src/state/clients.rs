//! The register: every client there is, wherever it is (queued, being served, parked), as far as
//! others may know of it, and the mail that they leave for it.
//!
//! A client's value has one owner at a time and nobody else can look at it. So what others need is
//! kept apart from it, in its entry here: the owner writes, all may read. Only the mail goes the
//! other way.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, Ordering};

use parking_lot::Mutex;

use super::slices::{SLICE_ITEMS, in_slices};
use super::stats::Traffic;
use crate::config::OutputLimit;
use crate::resp::Protocol;

/// All clients by their numbers. The lock is taken when a client comes or goes, and by who asks for
/// others; never for a request about oneself.
#[derive(Debug, Default)]
pub(crate) struct ClientRegistry(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    infos: BTreeMap<u64, Arc<ClientInfo>>,
    /// How many there are from each address.
    addresses: HashMap<IpAddr, usize>,
}

impl ClientRegistry {
    pub(crate) fn add(&self, info: &Arc<ClientInfo>) {
        let mut listed = self.0.lock();
        *listed.addresses.entry(info.ip()).or_default() += 1;
        listed.infos.insert(info.id, Arc::clone(info));
    }

    pub(crate) fn remove(&self, info: &ClientInfo) {
        let mut listed = self.0.lock();
        if listed.infos.remove(&info.id).is_some()
            && let Some(count) = listed.addresses.get_mut(&info.ip())
        {
            *count -= 1;
            if *count == 0 {
                listed.addresses.remove(&info.ip());
            }
        }
    }

    pub(crate) fn find(&self, id: u64) -> Option<Arc<ClientInfo>> {
        self.0.lock().infos.get(&id).map(Arc::clone)
    }

    /// How many clients came from the address.
    pub(crate) fn count_from(&self, ip: IpAddr) -> usize {
        self.0.lock().addresses.get(&ip).copied().unwrap_or(0)
    }

    /// Every entry, in the order in which the clients came, without those that come meanwhile.
    pub(crate) fn all(&self) -> impl Iterator<Item = Arc<ClientInfo>> {
        let newest_id = self.0.lock().infos.keys().next_back().copied();
        let newest = Bound::Included(newest_id.unwrap_or(0));
        let slice_after = move |last: Option<&Arc<ClientInfo>>| {
            let lower = last.map_or(Bound::Unbounded, |last| Bound::Excluded(last.id));
            let listed = self.0.lock();
            let after = listed.infos.range((lower, newest));
            after
                .take(SLICE_ITEMS)
                .map(|(_, info)| Arc::clone(info))
                .collect()
        };
        in_slices(slice_after)
    }
}

/// What others may know of a client. Its owner writes, with the exception of the mail; each value
/// is read on its own, so that no order among them matters.
#[derive(Debug)]
pub(crate) struct ClientInfo {
    /// Counted from 1 as connections come, never used twice.
    pub(crate) id: u64,
    /// Its slot in parking.
    pub(crate) slot: usize,
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
    pending_input_bytes: AtomicU32,
    /// Bytes of memory that these take besides: see [`PendingInputBytes`].
    free_bytes: AtomicU32,
    table_bytes: AtomicU32,
    /// Bytes of replies that its socket has not taken.
    pending_output_bytes: AtomicU32,
    /// What it has sent and was sent.
    pub(crate) traffic: Traffic,
    /// Channels and patterns that it is subscribed to.
    pub(crate) channels: AtomicU32,
    pub(crate) patterns: AtomicU32,
    /// Bytes of memory of its subscriptions and of what it tracks.
    session_bytes: AtomicU32,
    /// Bytes of memory of what it says of itself.
    identity_bytes: AtomicU32,
    /// The index of the command that it sent last, or [`NO_COMMAND`].
    pub(crate) command: AtomicU16,
    pub(crate) database: AtomicU8,
    /// A set of [`flag`]s.
    flags: AtomicU8,
    resp3: AtomicBool,
    /// Something is in the mail that its owner has not read: always true while it is not empty.
    has_unread: AtomicBool,
    /// `None` as long as it has said nothing.
    identity: Mutex<Option<Box<ClientIdentity>>>,
    /// `None` while there is none.
    inbox: Mutex<Option<Box<Inbox>>>,
}

/// What a client says of itself, each empty at first.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientIdentity {
    pub(crate) name: Box<[u8]>,
    pub(crate) library_name: Box<[u8]>,
    pub(crate) library_version: Box<[u8]>,
    /// The client that is to be told of changed keys instead of it; 0 if there is none.
    pub(crate) redirect: u64,
}

impl ClientIdentity {
    fn memory_bytes(&self) -> usize {
        let words = [&self.name, &self.library_name, &self.library_version];
        size_of::<Self>() + words.iter().map(|word| word.len()).sum::<usize>()
    }
}

/// Bytes of memory that a client's unserved input takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PendingInputBytes {
    /// Of the input itself.
    pub(crate) unserved: usize,
    /// Of its buffer besides.
    pub(crate) free: usize,
    /// Of the table of the arguments that have come so far.
    pub(crate) table: usize,
}

fn clamped(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// An address as a client writes it, for others to be compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WrittenAddr(Option<SocketAddr>);

impl WrittenAddr {
    pub(crate) fn new(text: &[u8]) -> Self {
        let addr = str::from_utf8(text).ok().and_then(|text| {
            let addr: SocketAddr = text.parse().ok()?;
            // As the list of clients shows it, and in no other way.
            (addr.to_string() == text).then_some(addr)
        });
        Self(addr)
    }

    /// Whether the list of clients shows `addr` so.
    pub(crate) fn is(self, addr: &SocketAddr) -> bool {
        match (self.0, addr) {
            // What else there is of an IPv6 address is not shown.
            (Some(SocketAddr::V6(own)), SocketAddr::V6(addr)) => {
                (own.ip(), own.port(), own.scope_id()) == (addr.ip(), addr.port(), addr.scope_id())
            }
            (own, addr) => own == Some(*addr),
        }
    }
}

/// What others have left for a client.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// Whole messages, as they are to be sent.
    pub(crate) messages: Vec<u8>,
    /// It is to be closed.
    pub(crate) kill_reason: Option<KillReason>,
    /// Since when there is more than a reader who keeps up would leave, by the coarse clock.
    full_since_s: Option<u32>,
}

/// Why others close a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KillReason {
    /// `CLIENT KILL`.
    ClientKill,
    /// It does not read what it subscribed to.
    SlowReader,
    /// More waits for and from all clients than may, and for this one the most.
    Evicted,
}

/// Maximum bytes of a client's name. Each name is kept as long as its client and shown in every list.
pub(crate) const NAME_BYTES_MAX: usize = 1024;

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

impl ClientInfo {
    pub(crate) fn new(
        id: u64,
        slot: usize,
        peer_addr: SocketAddr,
        local_addr: Arc<SocketAddr>,
        descriptor: i32,
        now_s: u32,
    ) -> Self {
        Self {
            id,
            slot,
            peer_addr,
            local_addr,
            descriptor,
            came_at_s: now_s,
            active_at_s: AtomicU32::new(now_s),
            pending_input_bytes: AtomicU32::new(0),
            free_bytes: AtomicU32::new(0),
            table_bytes: AtomicU32::new(0),
            pending_output_bytes: AtomicU32::new(0),
            traffic: Traffic::default(),
            channels: AtomicU32::new(0),
            patterns: AtomicU32::new(0),
            session_bytes: AtomicU32::new(0),
            identity_bytes: AtomicU32::new(0),
            command: AtomicU16::new(NO_COMMAND),
            database: AtomicU8::new(0),
            flags: AtomicU8::new(0),
            resp3: AtomicBool::new(false),
            has_unread: AtomicBool::new(false),
            identity: Mutex::default(),
            inbox: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn for_test(slot: usize, addr: SocketAddr) -> Self {
        Self::new(1, slot, addr, Arc::new(addr), 0, 0)
    }

    /// The address that it came from, an IPv4 address as such.
    pub(crate) fn ip(&self) -> IpAddr {
        self.peer_addr.ip().to_canonical()
    }

    /// Bytes of memory that are held for it beyond those that each client takes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let inbox = self.inbox.lock();
        let inbox_bytes = inbox.as_ref().map_or(0, |inbox| inbox.messages.capacity());
        let kept_bytes = [&self.session_bytes, &self.identity_bytes];
        let kept_bytes = kept_bytes.map(|bytes| u64::from(bytes.load(Ordering::Relaxed)));
        let held = self.pending_input_bytes() + self.free_bytes() + self.table_bytes();
        (held + self.pending_output_bytes() + inbox_bytes) as u64 + kept_bytes.iter().sum::<u64>()
    }

    /// Bytes that it sent and that wait to be served.
    pub(crate) fn pending_input_bytes(&self) -> usize {
        self.pending_input_bytes.load(Ordering::Relaxed) as usize
    }

    /// Bytes of room beside those.
    pub(crate) fn free_bytes(&self) -> usize {
        self.free_bytes.load(Ordering::Relaxed) as usize
    }

    /// Bytes of the table of the arguments that have come so far.
    pub(crate) fn table_bytes(&self) -> usize {
        self.table_bytes.load(Ordering::Relaxed) as usize
    }

    /// Bytes of replies that its socket has not taken.
    pub(crate) fn pending_output_bytes(&self) -> usize {
        self.pending_output_bytes.load(Ordering::Relaxed) as usize
    }

    /// Notes when the client was last served, and what is left to do for it. More than 4 GiB count
    /// as that.
    pub(crate) fn publish(&self, now_s: u32, held: PendingInputBytes, pending_output_bytes: usize) {
        self.active_at_s.store(now_s, Ordering::Relaxed);
        if held.unserved > 0 || self.pending_input_bytes() > 0 {
            self.publish_held(held);
        }
        self.pending_output_bytes
            .store(clamped(pending_output_bytes), Ordering::Relaxed);
    }

    #[cold]
    fn publish_held(&self, held: PendingInputBytes) {
        for (field, bytes) in [
            (&self.pending_input_bytes, held.unserved),
            (&self.free_bytes, held.free),
            (&self.table_bytes, held.table),
        ] {
            field.store(clamped(bytes), Ordering::Relaxed);
        }
    }

    /// Notes how much memory its subscriptions and what it tracks take.
    pub(crate) fn publish_session(&self, bytes: usize) {
        self.session_bytes.store(clamped(bytes), Ordering::Relaxed);
    }

    pub(crate) fn identity(&self) -> ClientIdentity {
        self.with_identity(Clone::clone)
    }

    /// Has `look` see what the client says of itself.
    pub(crate) fn with_identity<T>(&self, look: impl FnOnce(&ClientIdentity) -> T) -> T {
        match self.identity.lock().as_deref() {
            Some(identity) => look(identity),
            None => look(&ClientIdentity::default()),
        }
    }

    pub(crate) fn change_identity(&self, change: impl FnOnce(&mut ClientIdentity)) {
        let mut identity = self.identity.lock();
        let identity = identity.get_or_insert_default();
        change(identity);
        self.identity_bytes
            .store(clamped(identity.memory_bytes()), Ordering::Relaxed);
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

    /// Sets the protocol between two messages. Returns those that were left in the other.
    pub(crate) fn change_protocol(&self, protocol: Protocol) -> Vec<u8> {
        let mut inbox = self.inbox.lock();
        self.set_protocol(protocol);
        self.take_from(&mut inbox)
    }

    /// Leaves a message for the client, in the protocol that it speaks. Returns whether its owner
    /// has to be told; if not, it was told before and has not come to its mail yet.
    ///
    /// Who does not read is to be closed when more waits than `limit` allows, together with what it
    /// is owed otherwise.
    #[must_use]
    pub(crate) fn push<'a>(
        &self,
        message: impl FnOnce(Protocol) -> &'a [u8],
        now_s: u32,
        limit: OutputLimit,
    ) -> bool {
        let mut inbox = self.inbox.lock();
        let inbox = inbox.get_or_insert_default();
        if inbox.kill_reason.is_some() {
            return false;
        }
        // Under the lock: it may be about to change.
        let message = message(self.protocol());
        let before = inbox.messages.len() + self.pending_output_bytes();
        let exceeds = |waiting, bytes| bytes > 0 && waiting > bytes;
        // Since the last message it has only become less.
        if !exceeds(before, limit.soft_bytes) {
            inbox.full_since_s = None;
        }
        let waiting = before + message.len();
        if exceeds(waiting, limit.hard_bytes) {
            inbox.messages = Vec::new();
            inbox.kill_reason = Some(KillReason::SlowReader);
        } else if exceeds(waiting, limit.soft_bytes) {
            let since_s = *inbox.full_since_s.get_or_insert(now_s);
            if now_s.saturating_sub(since_s) > limit.soft_s {
                inbox.messages = Vec::new();
                inbox.kill_reason = Some(KillReason::SlowReader);
            }
        }
        if inbox.kill_reason.is_none() {
            inbox.messages.extend_from_slice(message);
        }
        // Under the lock, as in `take_messages`. A sentence wants to be read at once, even by who is
        // blocked and therefore left its messages where they are.
        !self.has_unread.swap(true, Ordering::Relaxed) || inbox.kill_reason.is_some()
    }

    /// Has the client closed, for the reason that was given first. Its owner has to be told.
    pub(crate) fn kill(&self, kill_reason: KillReason) {
        let mut inbox = self.inbox.lock();
        let inbox = inbox.get_or_insert_default();
        inbox.kill_reason.get_or_insert(kill_reason);
        inbox.messages = Vec::new();
        self.has_unread.store(true, Ordering::Relaxed);
    }

    /// Whether there is mail. Who was told under a lock that its own thread has taken since (a
    /// slot's, the queue's) sees it.
    pub(crate) fn has_unread(&self) -> bool {
        self.has_unread.load(Ordering::Relaxed)
    }

    /// Why others close it, if they do.
    pub(crate) fn kill_reason(&self) -> Option<KillReason> {
        self.inbox.lock().as_ref()?.kill_reason
    }

    /// Takes the messages.
    pub(crate) fn take_messages(&self) -> Vec<u8> {
        self.take_from(&mut self.inbox.lock())
    }

    fn take_from(&self, inbox: &mut Option<Box<Inbox>>) -> Vec<u8> {
        let is_killed = inbox
            .as_ref()
            .is_some_and(|inbox| inbox.kill_reason.is_some());
        self.has_unread.store(is_killed, Ordering::Relaxed);
        if is_killed {
            return Vec::new();
        }
        match inbox {
            // What was in it is owed from now on, and counts as before.
            Some(inbox) if inbox.full_since_s.is_some() => mem::take(&mut inbox.messages),
            _ => inbox.take().map_or_else(Vec::new, |inbox| inbox.messages),
        }
    }

    /// Bytes of messages that wait.
    pub(crate) fn inbox_bytes(&self) -> usize {
        let inbox = self.inbox.lock();
        inbox.as_ref().map_or(0, |inbox| inbox.messages.len())
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

    fn info() -> ClientInfo {
        ClientInfo::for_test(0, ([127, 0, 0, 1], 5000).into())
    }

    fn push(info: &ClientInfo, message: &[u8], now_s: u32, limit: OutputLimit) -> bool {
        info.push(|_| message, now_s, limit)
    }

    #[test]
    fn the_owner_is_told_once_until_it_has_read_its_mail() {
        let info = info();
        assert!(!info.has_unread());
        assert!(push(&info, b"one", 0, LIMIT));
        assert!(!push(&info, b"two", 0, LIMIT));
        assert!(info.has_unread());
        assert_eq!(info.take_messages(), b"onetwo");
        assert!(!info.has_unread());
        assert!(push(&info, b"three", 0, LIMIT));
    }

    #[test]
    fn too_many_messages_are_a_sentence_and_are_not_kept() {
        let info = info();
        let message = [b'x'; LIMIT.hard_bytes];
        assert!(push(&info, &message, 0, LIMIT));
        assert_eq!(info.kill_reason(), None);
        assert!(
            push(&info, b"x", 0, LIMIT),
            "it is told, although it was before"
        );
        assert_eq!(info.kill_reason(), Some(KillReason::SlowReader));
        assert_eq!(info.inbox_bytes(), 0);
        assert!(!push(&info, b"x", 0, LIMIT));
        assert!(info.has_unread(), "a sentence stays");
        assert!(info.take_messages().is_empty());
        assert!(info.has_unread(), "a sentence stays");
    }

    #[test]
    fn many_messages_may_wait_for_a_minute() {
        let info = info();
        let message = [b'x'; LIMIT.soft_bytes];
        let _ = push(&info, &message, 0, LIMIT);
        let _ = push(&info, b"x", 100, LIMIT);
        // Who looked at the clock before may come later.
        let _ = push(&info, b"x", 99, LIMIT);
        let _ = push(&info, b"x", 160, LIMIT);
        assert_eq!(info.kill_reason(), None);
        let _ = push(&info, b"x", 161, LIMIT);
        assert_eq!(info.kill_reason(), Some(KillReason::SlowReader));
    }

    #[test]
    fn the_minute_goes_on_as_long_as_what_was_read_is_owed() {
        let info = info();
        let message = [b'x'; LIMIT.soft_bytes + 1];
        let _ = push(&info, &message, 0, LIMIT);
        info.publish(0, PendingInputBytes::default(), info.take_messages().len());
        let _ = push(&info, b"x", 60, LIMIT);
        assert_eq!(info.kill_reason(), None);
        let _ = push(&info, b"x", 61, LIMIT);
        assert_eq!(info.kill_reason(), Some(KillReason::SlowReader));
    }

    #[test]
    fn another_minute_begins_when_everything_was_sent() {
        let info = info();
        let message = [b'x'; LIMIT.soft_bytes + 1];
        let _ = push(&info, &message, 0, LIMIT);
        assert_eq!(info.take_messages().len(), message.len());
        let _ = push(&info, &message, 61, LIMIT);
        assert_eq!(info.kill_reason(), None);
    }

    #[test]
    fn a_limit_of_0_is_none() {
        let info = info();
        let none = OutputLimit {
            hard_bytes: 0,
            soft_bytes: 0,
            soft_s: 0,
        };
        let _ = push(&info, &[b'x'; 5000], 0, none);
        let _ = push(&info, b"x", 1000, none);
        assert_eq!(info.kill_reason(), None);
    }

    #[test]
    fn all_clients_are_listed_over_many_slices() {
        let register = ClientRegistry::default();
        assert_eq!(register.all().count(), 0);
        let addr: SocketAddr = ([127, 0, 0, 1], 1).into();
        let client = |id| Arc::new(ClientInfo::new(id, 0, addr, Arc::new(addr), 0, 0));
        let add = |id| register.add(&client(id));
        let count = 3 * SLICE_ITEMS as u64;
        (1..=count).for_each(add);
        let mut all = register.all();
        let first = all.next().map(|info| info.id);
        // Clients that come or leave meanwhile do not disturb the walk.
        add(count + 1);
        register.find(2).inspect(|info| register.remove(info));
        register.find(count).inspect(|info| register.remove(info));
        let ids: Vec<_> = first.into_iter().chain(all.map(|info| info.id)).collect();
        assert_eq!(ids.last(), Some(&(count - 1)));
        assert!(ids.is_sorted_by(|one, next| one < next));
        assert_eq!(ids.len() as u64, count - 1, "2 was in the first slice");
    }

    #[test]
    fn written_address_is_the_one_that_lists_show() {
        for text in ["127.0.0.1:80", "[::1]:80", "[fe80::1%3]:80"] {
            let addr: SocketAddr = text.parse().expect("an address");
            assert!(WrittenAddr::new(text.as_bytes()).is(&addr), "{text}");
            let mut other = addr;
            other.set_port(81);
            assert!(!WrittenAddr::new(text.as_bytes()).is(&other), "{text}");
        }
        let addr: SocketAddr = "[::1]:80".parse().expect("an address");
        for text in [
            "",
            "::1",
            "[0::1]:80",
            "[::1]:080",
            "localhost:80",
            "\u{e9}",
        ] {
            assert!(!WrittenAddr::new(text.as_bytes()).is(&addr), "{text}");
        }
    }

    #[test]
    fn clients_are_counted_by_their_addresses() {
        let register = ClientRegistry::default();
        let from = |id, addr: &str| {
            let addr = addr.parse().expect("an address");
            let info = Arc::new(ClientInfo::new(id, 0, addr, Arc::new(addr), 0, 0));
            register.add(&info);
            info
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
        let info = info();
        info.kill(KillReason::ClientKill);
        info.kill(KillReason::SlowReader);
        assert_eq!(info.kill_reason(), Some(KillReason::ClientKill));
    }
}
