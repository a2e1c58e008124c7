//! The recipients of the same messages: the subscribers of a channel or pattern, or the monitors.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::clients::ClientInfo;
use super::inbox::Terms;
use super::slices::SLICE_ITEMS;
use crate::resp::{Protocol, Reply};

/// Some clients. A message is left for each under the lock, so none comes after the client was
/// removed. The lock is released after each slice, so that no thread waits for all of them.
#[derive(Debug, Default)]
pub(super) struct Recipients(Mutex<Clients>);

/// Clients by their numbers. Most channels have one subscriber, which needs no map.
#[derive(Debug, Default)]
pub(super) enum Clients {
    #[default]
    None,
    One(Arc<ClientInfo>),
    Many(BTreeMap<u64, Arc<ClientInfo>>),
    /// The last client was removed, and no other can be added.
    Ended,
}

impl Clients {
    /// Adds a client. Returns false if the list has ended.
    #[must_use]
    pub(super) fn add(&mut self, info: &Arc<ClientInfo>) -> bool {
        match self {
            Self::Ended => return false,
            Self::None => *self = Self::One(Arc::clone(info)),
            Self::One(other) if other.id == info.id => {}
            Self::One(other) => {
                let both = [&*other, info].map(|info| (info.id, Arc::clone(info)));
                *self = Self::Many(both.into());
            }
            Self::Many(clients) => {
                clients.insert(info.id, Arc::clone(info));
            }
        }
        true
    }

    pub(super) fn remove(&mut self, id: u64) {
        match self {
            Self::One(info) if info.id == id => *self = Self::None,
            Self::Many(clients) => {
                clients.remove(&id);
                if clients.is_empty() {
                    *self = Self::None;
                }
            }
            _ => {}
        }
    }

    /// Ends the list if it is empty. Returns whether it has ended.
    pub(super) fn end_if_empty(&mut self) -> bool {
        if matches!(self, Self::None) {
            *self = Self::Ended;
        }
        matches!(self, Self::Ended)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::None | Self::Ended => 0,
            Self::One(_) => 1,
            Self::Many(clients) => clients.len(),
        }
    }

    /// Returns the clients with higher numbers than `id`, in ascending order; all for `None`.
    fn after(&self, id: Option<u64>) -> impl Iterator<Item = &Arc<ClientInfo>> {
        let (one, many) = match self {
            Self::One(info) if Some(info.id) > id => (Some(info), None),
            Self::Many(clients) => {
                let lower = id.map_or(Bound::Unbounded, Bound::Excluded);
                (None, Some(clients.range((lower, Bound::Unbounded))))
            }
            _ => (None, None),
        };
        let many = many.into_iter().flatten().map(|(_, info)| info);
        one.into_iter().chain(many)
    }
}

impl Recipients {
    /// Calls `change` with the clients, under the lock.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Clients) -> T) -> T {
        change(&mut self.0.lock())
    }

    /// Leaves messages for each client. Returns how many clients there are. Calls `notify` for each
    /// client whose owner must be notified, and `before_long` before each slice but the first.
    pub(super) fn push(
        &self,
        messages: &Messages<'_>,
        terms: Terms<'_>,
        before_long: &dyn Fn(),
        mut notify: impl FnMut(&ClientInfo),
    ) -> usize {
        let (mut count, mut last_id) = (0, None);
        loop {
            let clients = self.0.lock();
            let (count_before, mut bytes, mut is_last) = (count, 0, true);
            for info in clients.after(last_id) {
                let copied = |protocol| {
                    let copied = messages.bytes(protocol);
                    bytes += copied.len();
                    copied
                };
                if info.inbox.push(copied, info.pending_output.get(), terms) {
                    notify(info);
                }
                count += 1;
                last_id = Some(info.id);
                if count - count_before == SLICE_ITEMS || bytes > SLICE_BYTES {
                    is_last = false;
                    break;
                }
            }
            // Fair: a thread that waits gets the lock before the next slice.
            MutexGuard::unlock_fair(clients);
            if is_last {
                return count;
            }
            before_long();
        }
    }
}

/// Bytes of messages that are copied under the lock.
const SLICE_BYTES: usize = 256 * 1024;

/// Maximum bytes that the encoding adds to a word of a message, or writes before the first word.
const HEADER_BYTES_MAX: usize = 32;

/// Messages for many clients.
pub(super) enum Messages<'a> {
    /// A line, the same in both protocols.
    Line(&'a [u8]),
    /// Messages that differ only in the last word, encoded once for each protocol that a client
    /// wants.
    Words {
        front: &'a [&'a [u8]],
        last: &'a [&'a [u8]],
        resp2: OnceCell<Vec<u8>>,
        resp3: OnceCell<Vec<u8>>,
    },
}

impl<'a> Messages<'a> {
    pub(super) fn of(front: &'a [&'a [u8]], last: &'a [&'a [u8]]) -> Self {
        Self::Words {
            front,
            last,
            resp2: OnceCell::new(),
            resp3: OnceCell::new(),
        }
    }

    fn bytes(&self, protocol: Protocol) -> &[u8] {
        let (front, last, resp2, resp3) = match self {
            Self::Line(line) => return line,
            Self::Words {
                front,
                last,
                resp2,
                resp3,
            } => (front, last, resp2, resp3),
        };
        let encoded = match protocol {
            Protocol::Resp2 => resp2,
            Protocol::Resp3 => resp3,
        };
        encoded.get_or_init(|| {
            let words = last.iter().map(|last| front.iter().chain([last]));
            let words_bytes = words.flatten().map(|word| word.len() + HEADER_BYTES_MAX);
            // Large enough at once: otherwise a short message would grow it with each word.
            let mut bytes =
                Vec::with_capacity(words_bytes.sum::<usize>() + last.len() * HEADER_BYTES_MAX);
            for last in *last {
                let _ = Reply::new(&mut bytes, protocol).message(front.len() + 1, |items| {
                    for word in front.iter().chain([last]) {
                        items.add(|item| item.bulk(word));
                    }
                });
            }
            bytes
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::buffers::Buffers;
    use super::*;
    use crate::config::OutputLimit;

    fn terms(buffers: &Buffers) -> Terms<'_> {
        let limit = OutputLimit {
            hard_bytes: 0,
            soft_bytes: 0,
            soft_s: 0,
        };
        Terms {
            now_s: 0,
            limit,
            buffers,
        }
    }

    fn info(id: u64) -> Arc<ClientInfo> {
        let addr = SocketAddr::from(([127, 0, 0, 1], 5000));
        Arc::new(ClientInfo::new(id, 0, addr.into(), None, 0, 0))
    }

    #[test]
    fn message_reaches_every_client_once() {
        let count = 3 * SLICE_ITEMS + 1;
        for message in [b"x".to_vec(), vec![b'x'; SLICE_BYTES / 10]] {
            let recipients = Recipients::default();
            let infos: Vec<_> = (1..=count as u64).map(info).collect();
            for info in infos.iter().rev() {
                assert!(recipients.change(|clients| clients.add(info)));
                assert!(recipients.change(|clients| clients.add(info)));
            }
            let mut notified = 0;
            let sent = recipients.push(
                &Messages::Line(&message),
                terms(&Buffers::default()),
                &|| (),
                |_| notified += 1,
            );
            assert_eq!((sent, notified), (count, count));
            for info in &infos {
                assert_eq!(info.inbox.take_messages(), message);
            }
        }
    }

    #[test]
    fn each_client_is_sent_its_own_protocol() {
        let recipients = Recipients::default();
        let infos = [info(1), info(2)];
        let _ = infos[1].inbox.change_protocol(Protocol::Resp3);
        for info in &infos {
            assert!(recipients.change(|clients| clients.add(info)));
        }
        recipients.push(
            &Messages::of(&[], &[b"a", b"b"]),
            terms(&Buffers::default()),
            &|| (),
            |_| (),
        );
        assert_eq!(
            infos[0].inbox.take_messages(),
            b"*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n"
        );
        assert_eq!(
            infos[1].inbox.take_messages(),
            b">1\r\n$1\r\na\r\n>1\r\n$1\r\nb\r\n"
        );
    }

    #[test]
    fn no_client_is_added_after_the_end() {
        let (one, other) = (info(1), info(2));
        let mut clients = Clients::default();
        assert!(clients.add(&one) && clients.add(&other));
        clients.remove(1);
        clients.remove(1);
        assert!(!clients.end_if_empty());
        assert_eq!(clients.len(), 1);
        clients.remove(2);
        assert_eq!(clients.len(), 0);
        assert!(clients.end_if_empty());
        assert!(!clients.add(&one));
    }
}
