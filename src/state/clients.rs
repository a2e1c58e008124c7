//! The registry: what other threads may know of each client, wherever it is (queued, served or
//! parked).
//!
//! A client has one owner at a time, and no other thread can look at it. So the owner publishes
//! here what others need, and they leave messages in its inbox.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering};

use bitflags::bitflags;
use parking_lot::Mutex;

use super::inbox::Inbox;
use super::slices::{SLICE_ITEMS, in_slices};
use super::stats::Traffic;
use crate::net::peer::Peer;

/// All clients by their numbers. A request that concerns only its own client never takes the lock.
#[derive(Debug, Default)]
pub(crate) struct ClientRegistry(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    infos: BTreeMap<u64, Arc<ClientInfo>>,
    /// The number of clients from each IP address. No hash table: for a few addresses, the hash
    /// takes longer than the search.
    addresses: BTreeMap<IpAddr, usize>,
}

impl ClientRegistry {
    /// Adds a client unless its address has `per_address_max` clients already; 0 means no limit.
    /// Returns whether it was added.
    pub(crate) fn add(&self, info: &Arc<ClientInfo>, per_address_max: usize) -> bool {
        let mut listed = self.0.lock();
        if let Some(ip) = info.peer.ip() {
            let count = listed.addresses.entry(ip).or_default();
            if per_address_max > 0 && *count >= per_address_max {
                return false;
            }
            *count += 1;
        }
        listed.infos.insert(info.id, Arc::clone(info));
        true
    }

    pub(crate) fn remove(&self, info: &ClientInfo) {
        let mut listed = self.0.lock();
        if listed.infos.remove(&info.id).is_some()
            && let Some(ip) = info.peer.ip()
            && let Entry::Occupied(mut count) = listed.addresses.entry(ip)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    pub(crate) fn find(&self, id: u64) -> Option<Arc<ClientInfo>> {
        self.0.lock().infos.get(&id).map(Arc::clone)
    }

    /// Returns how many clients are connected from the address.
    pub(crate) fn count_from(&self, ip: IpAddr) -> usize {
        self.0.lock().addresses.get(&ip).copied().unwrap_or(0)
    }

    /// Returns every client in the order of accept, without those accepted in the meantime.
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

    /// Counts what all clients are doing. Visits each.
    pub(crate) fn summary(&self) -> ClientsSummary {
        let mut summary = ClientsSummary::default();
        for info in self.all() {
            let input_bytes = info.pending_input.get();
            let output_bytes = info.pending_output.get() + info.inbox.bytes();
            summary.input_bytes_max = summary.input_bytes_max.max(input_bytes);
            summary.output_bytes_max = summary.output_bytes_max.max(output_bytes);
            summary.paused += usize::from(info.has(ClientFlags::PAUSED));
            summary.tracking += usize::from(info.has(ClientFlags::TRACKING));
            summary.subscribed += usize::from(info.has(ClientFlags::SUBSCRIBER));
        }
        summary
    }
}

/// Figures of all clients together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ClientsSummary {
    /// The most bytes that a client has of an incomplete request.
    pub(crate) input_bytes_max: usize,
    /// The most bytes that wait to be sent to a client.
    pub(crate) output_bytes_max: usize,
    /// Clients that CLIENT PAUSE holds up.
    pub(crate) paused: usize,
    pub(crate) tracking: usize,
    pub(crate) subscribed: usize,
}

/// A client as other threads may see it. Only its owner writes, except to the inbox. Each value
/// is read on its own, so their order in time does not matter.
///
/// The fields have this order in memory, too: what a request reads and writes comes first, so that
/// it takes few cache lines.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct ClientInfo {
    /// Counted from 1 in the order of accept, never used twice.
    pub(crate) id: u64,
    /// Its slot in parking.
    pub(crate) slot: usize,
    pub(crate) traffic: Traffic,
    /// When it was last served, in seconds of the coarse clock. `timeout` counts from here.
    pub(crate) active_at_s: AtomicU32,
    pub(crate) pending_input: ByteCount,
    pub(crate) pending_output: ByteCount,
    /// The index of its last command, or [`NO_COMMAND`].
    pub(crate) command: AtomicU16,
    /// [`ClientFlags`].
    flags: AtomicU16,
    pub(crate) inbox: Inbox,
    pub(crate) peer: Peer,
    /// Shared by all clients of the same listener; `None` for a Unix socket.
    pub(crate) local_addr: Option<Arc<SocketAddr>>,
    /// `None` until the client sets a part of it.
    identity: Mutex<Option<Box<ClientIdentity>>>,
    /// The number of the socket's descriptor.
    pub(crate) descriptor: i32,
    /// When it was accepted, in seconds of the coarse clock.
    pub(crate) came_at_s: u32,
    /// Free room in the buffer of the pending input.
    pub(crate) pending_input_free: ByteCount,
    /// The table of the arguments parsed so far.
    pub(crate) pending_input_table: ByteCount,
    /// Its subscriptions and CLIENT TRACKING.
    pub(crate) session: ByteCount,
    /// Its identity. Published, so that `memory_bytes` can be called while the identity is locked.
    identity_bytes: ByteCount,
    /// The number of channels and of patterns that it is subscribed to.
    pub(crate) channels: AtomicU32,
    pub(crate) patterns: AtomicU16,
    pub(crate) database: AtomicU8,
}

/// A client's description of itself, and what else few clients have. Each part is empty at first.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientIdentity {
    pub(crate) name: Box<[u8]>,
    pub(crate) library_name: Box<[u8]>,
    pub(crate) library_version: Box<[u8]>,
    /// The user that it is logged in as; empty for `default`.
    pub(crate) user: Box<str>,
    /// Whether the program has named the user since the last login began.
    pub(crate) is_user_named: bool,
    /// The client that receives its invalidation messages; 0 if there is none.
    pub(crate) redirect: u64,
    /// The number of requests that are queued for EXEC, and their memory.
    pub(crate) queued: usize,
    pub(crate) queued_bytes: usize,
}

impl ClientIdentity {
    fn memory_bytes(&self) -> usize {
        let words = [&self.name, &self.library_name, &self.library_version];
        let words_bytes: usize = words.iter().map(|word| word.len()).sum();
        size_of::<Self>() + words_bytes + self.user.len() + self.queued_bytes
    }

    pub(crate) fn user(&self) -> &str {
        if self.user.is_empty() {
            DEFAULT_USER
        } else {
            &self.user
        }
    }
}

/// A number of bytes of memory. More than 4 GiB count as 4 GiB.
#[derive(Debug, Default)]
pub(crate) struct ByteCount(AtomicU32);

impl ByteCount {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn set(&self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.0.store(bytes, Ordering::Relaxed);
    }
}

/// An address as a client writes it, to compare others with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WrittenAddr<'a> {
    text: &'a [u8],
    /// The address, if `text` is a TCP address as CLIENT LIST shows it.
    tcp: Option<SocketAddr>,
}

impl<'a> WrittenAddr<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        let tcp = str::from_utf8(text).ok().and_then(|text| {
            let addr: SocketAddr = text.parse().ok()?;
            (addr.to_string() == text).then_some(addr)
        });
        Self { text, tcp }
    }

    /// Whether CLIENT LIST shows `peer` in this way.
    pub(crate) fn is(self, peer: &Peer) -> bool {
        match (self.tcp, peer.addr()) {
            // CLIENT LIST shows no other part of an IPv6 address.
            (Some(SocketAddr::V6(own)), Some(SocketAddr::V6(addr))) => {
                (own.ip(), own.port(), own.scope_id()) == (addr.ip(), addr.port(), addr.scope_id())
            }
            (own, Some(addr)) => own == Some(addr),
            (_, None) => self.text == peer.to_string().as_bytes(),
        }
    }
}

/// The user of clients that have not logged in as another.
pub(crate) const DEFAULT_USER: &str = "default";

/// Maximum bytes of a client's name, or of its user's. Every CLIENT LIST shows it.
pub(crate) const NAME_BYTES_MAX: usize = 1024;

/// The index of the last command of a client that has sent none.
pub(crate) const NO_COMMAND: u16 = u16::MAX;

bitflags! {
    /// The flags of a client, as CLIENT LIST shows them.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct ClientFlags: u16 {
        const MONITOR = 1;
        const SUBSCRIBER = 1 << 1;
        const TRACKING = 1 << 2;
        const NO_EVICT = 1 << 3;
        const NO_TOUCH = 1 << 4;
        const PAUSED = 1 << 5;
        const CLOSING = 1 << 6;
        /// The client waits for a deferred reply.
        const BLOCKED = 1 << 7;
        /// The client's requests are queued for EXEC.
        const MULTI = 1 << 8;
    }
}

impl ClientInfo {
    pub(crate) fn new(
        id: u64,
        slot: usize,
        peer: Peer,
        local_addr: Option<Arc<SocketAddr>>,
        descriptor: i32,
        now_s: u32,
    ) -> Self {
        Self {
            id,
            slot,
            peer,
            local_addr,
            descriptor,
            came_at_s: now_s,
            active_at_s: AtomicU32::new(now_s),
            pending_input: ByteCount::default(),
            pending_input_free: ByteCount::default(),
            pending_input_table: ByteCount::default(),
            pending_output: ByteCount::default(),
            traffic: Traffic::default(),
            channels: AtomicU32::new(0),
            patterns: AtomicU16::new(0),
            session: ByteCount::default(),
            identity_bytes: ByteCount::default(),
            command: AtomicU16::new(NO_COMMAND),
            database: AtomicU8::new(0),
            flags: AtomicU16::new(0),
            identity: Mutex::default(),
            inbox: Inbox::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn for_test(slot: usize, addr: SocketAddr) -> Self {
        Self::new(1, slot, addr.into(), Some(Arc::new(addr)), 0, 0)
    }

    /// Returns the address of the server's end. Both ends of a Unix socket have its path.
    pub(crate) fn local(&self) -> Peer {
        match &self.local_addr {
            Some(addr) => Peer::Tcp(**addr),
            None => self.peer.clone(),
        }
    }

    pub(crate) fn is_on_unix_socket(&self) -> bool {
        matches!(self.peer, Peer::Unix(_))
    }

    /// Returns the bytes of memory beyond those that every client takes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let counts = [
            &self.pending_input,
            &self.pending_input_free,
            &self.pending_input_table,
            &self.pending_output,
            &self.session,
            &self.identity_bytes,
        ];
        let counted: usize = counts.iter().map(|count| count.get()).sum();
        (counted + self.inbox.memory_bytes()) as u64
    }

    pub(crate) fn identity(&self) -> ClientIdentity {
        self.with_identity(Clone::clone)
    }

    /// Calls `read` with the client's identity, without a copy.
    pub(crate) fn with_identity<T>(&self, read: impl FnOnce(&ClientIdentity) -> T) -> T {
        match self.identity.lock().as_deref() {
            Some(identity) => read(identity),
            None => read(&ClientIdentity::default()),
        }
    }

    pub(crate) fn change_identity(&self, change: impl FnOnce(&mut ClientIdentity)) {
        let mut identity = self.identity.lock();
        let identity = identity.get_or_insert_default();
        change(identity);
        self.identity_bytes.set(identity.memory_bytes());
    }

    /// Whether one of `flags` is set.
    pub(crate) fn has(&self, flags: ClientFlags) -> bool {
        self.flags.load(Ordering::Relaxed) & flags.bits() != 0
    }

    /// Sets or clears `flags`. Only the client's owner calls this.
    pub(crate) fn set(&self, flags: ClientFlags, value: bool) {
        let before = self.flags.load(Ordering::Relaxed);
        let mut all = ClientFlags::from_bits_retain(before);
        all.set(flags, value);
        self.flags.store(all.bits(), Ordering::Relaxed);
    }
}

/// Each idle client has one. In a block of glibc's allocator with the counts of an `Arc`, another
/// byte would take 16.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<ClientInfo>() <= 168);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_clients_are_listed_over_many_slices() {
        let registry = ClientRegistry::default();
        assert_eq!(registry.all().count(), 0);
        let addr: SocketAddr = ([127, 0, 0, 1], 1).into();
        let client = |id| Arc::new(ClientInfo::new(id, 0, addr.into(), None, 0, 0));
        let add = |id| assert!(registry.add(&client(id), 0));
        let count = 3 * SLICE_ITEMS as u64;
        (1..=count).for_each(add);
        let mut all = registry.all();
        let first = all.next().map(|info| info.id);
        // Clients that come or leave in the meantime do not disturb the walk.
        add(count + 1);
        registry.find(2).inspect(|info| registry.remove(info));
        registry.find(count).inspect(|info| registry.remove(info));
        let ids: Vec<_> = first.into_iter().chain(all.map(|info| info.id)).collect();
        assert_eq!(ids.last(), Some(&(count - 1)));
        assert!(ids.is_sorted_by(|one, next| one < next));
        assert_eq!(ids.len() as u64, count - 1, "2 was in the first slice");
    }

    #[test]
    fn written_address_matches_only_as_lists_show_it() {
        for text in ["127.0.0.1:80", "[::1]:80", "[fe80::1%3]:80"] {
            let addr: SocketAddr = text.parse().expect("an address");
            assert!(WrittenAddr::new(text.as_bytes()).is(&addr.into()), "{text}");
            let mut other = addr;
            other.set_port(81);
            assert!(
                !WrittenAddr::new(text.as_bytes()).is(&other.into()),
                "{text}"
            );
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
            assert!(
                !WrittenAddr::new(text.as_bytes()).is(&addr.into()),
                "{text}"
            );
        }
    }

    #[test]
    fn written_address_matches_the_path_of_a_unix_socket() {
        let peer = Peer::Unix("/run/respool.sock".into());
        assert!(WrittenAddr::new(b"/run/respool.sock:0").is(&peer));
        for text in [
            "/run/respool.sock",
            "/run/respool.sock:1",
            "127.0.0.1:0",
            "",
        ] {
            assert!(!WrittenAddr::new(text.as_bytes()).is(&peer), "{text}");
        }
    }

    #[test]
    fn clients_are_counted_by_their_addresses() {
        let registry = ClientRegistry::default();
        let from = |id, addr: &str| {
            let addr: SocketAddr = addr.parse().expect("an address");
            let info = Arc::new(ClientInfo::new(id, 0, addr.into(), None, 0, 0));
            assert!(registry.add(&info, 2));
            info
        };
        let one = from(1, "127.0.0.1:1");
        let other = from(2, "[::ffff:127.0.0.1]:2");
        from(3, "127.0.0.2:1");
        let count = || registry.count_from([127, 0, 0, 1].into());
        assert_eq!(count(), 2);
        assert!(!registry.add(&one, 2));
        assert_eq!(count(), 2);
        registry.remove(&one);
        registry.remove(&one);
        assert_eq!(count(), 1);
        registry.remove(&other);
        assert_eq!(count(), 0);
        assert_eq!(registry.0.lock().addresses.len(), 1);
    }
}
