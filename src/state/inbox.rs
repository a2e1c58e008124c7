//! The inbox of a client: the messages that other threads leave for it, and their order to close
//! it.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::buffers::Buffers;
use super::deferred_request::{DeferralEnd, DeferralId, DeferredRequest};
use crate::config::OutputLimit;
use crate::resp::Protocol;

/// Filled by any thread, and emptied by the client's owner.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// The client speaks RESP3. Written under the lock.
    resp3: AtomicBool,
    /// There is something that the owner has not taken. Written under the lock.
    has_unread: AtomicBool,
    /// `None` while there is nothing.
    contents: Mutex<Option<Box<Contents>>>,
}

#[derive(Debug, Default)]
struct Contents {
    /// Whole messages, encoded.
    messages: Vec<u8>,
    kill_reason: Option<KillReason>,
    /// When the soft limit was exceeded, in seconds of the coarse clock.
    full_since_s: Option<u32>,
    /// The request that waits for a deferred reply, or has it.
    deferral: Option<Box<DeferredRequest>>,
}

/// The terms on which a message is left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) now_s: u32,
    /// The limit on the client's messages and unsent output together.
    pub(crate) limit: OutputLimit,
    pub(crate) buffers: &'a Buffers,
}

/// Why another thread closes a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KillReason {
    /// `CLIENT KILL`.
    ClientKill,
    /// The client does not read its messages.
    SlowReader,
    /// All clients together take too much memory, and this one the most.
    Evicted,
    /// `ServerHandle::close`, with the program's reason.
    Program(Box<str>),
}

impl Inbox {
    /// Returns the protocol in which messages are left.
    pub(crate) fn protocol(&self) -> Protocol {
        if self.resp3.load(Ordering::Relaxed) {
            Protocol::Resp3
        } else {
            Protocol::Resp2
        }
    }

    /// Sets the protocol between two messages. Returns the messages in the former protocol.
    pub(crate) fn change_protocol(&self, protocol: Protocol) -> Vec<u8> {
        let mut contents = self.contents.lock();
        self.resp3
            .store(protocol == Protocol::Resp3, Ordering::Relaxed);
        self.take_from(&mut contents)
    }

    /// Leaves a message in the client's protocol. Returns whether the owner must be notified: false
    /// if it was notified before and has not looked yet.
    ///
    /// Kills the client if its messages and its `unsent` output together exceed the limit.
    #[must_use]
    pub(crate) fn push<'a>(
        &self,
        message: impl FnOnce(Protocol) -> &'a [u8],
        unsent: usize,
        terms: Terms<'_>,
    ) -> bool {
        let mut contents = self.contents.lock();
        let contents = contents.get_or_insert_default();
        if contents.kill_reason.is_some() {
            return false;
        }
        // Under the lock: the protocol may be about to change.
        let message = message(self.protocol());
        if contents.has_room(message.len(), unsent, terms.now_s, terms.limit) {
            if contents.messages.capacity() == 0 {
                contents.messages = terms.buffers.take();
            }
            contents.messages.extend_from_slice(message);
        } else {
            contents.kill(KillReason::SlowReader);
        }
        let was_unread = self.has_unread.load(Ordering::Relaxed);
        self.has_unread.store(true, Ordering::Relaxed);
        // The owner of a write-blocked client was notified, but does not take the messages. Only
        // another notification makes it see the kill.
        !was_unread || contents.kill_reason.is_some()
    }

    /// Makes the owner close the client, for the first `reason` given. The caller must notify the
    /// owner.
    pub(crate) fn kill(&self, reason: KillReason) {
        let mut contents = self.contents.lock();
        contents.get_or_insert_default().kill(reason);
        self.has_unread.store(true, Ordering::Relaxed);
    }

    /// Whether there are messages, or the client is to be closed. Read without this inbox's lock: a
    /// thread that notifies the owner takes a lock (of a slot or the queue), and the owner takes
    /// the same lock before it looks here.
    pub(crate) fn has_unread(&self) -> bool {
        self.has_unread.load(Ordering::Relaxed)
    }

    /// Returns why another thread closes the client, if one does.
    pub(crate) fn kill_reason(&self) -> Option<KillReason> {
        self.contents.lock().as_ref()?.kill_reason.clone()
    }

    pub(crate) fn take_messages(&self) -> Vec<u8> {
        self.take_from(&mut self.contents.lock())
    }

    fn take_from(&self, contents: &mut Option<Box<Contents>>) -> Vec<u8> {
        self.has_unread.store(
            contents.as_deref().is_some_and(Contents::has_order),
            Ordering::Relaxed,
        );
        match contents {
            Some(kept) if kept.must_stay() => mem::take(&mut kept.messages),
            _ => contents.take().map_or_else(Vec::new, |own| own.messages),
        }
    }

    /// Keeps `deferral` until the owner takes it. Calls `added` under the lock.
    pub(super) fn defer<T>(
        &self,
        deferral: Box<DeferredRequest>,
        added: impl FnOnce(DeferralId) -> T,
    ) -> T {
        let mut contents = self.contents.lock();
        let id = deferral.id;
        contents.get_or_insert_default().deferral = Some(deferral);
        added(id)
    }

    /// Ends the deferral of this number, or any for `None`, if the client waits, and calls
    /// `removed` under the lock. Returns whether the client waited and is not to be closed. Then
    /// the caller must notify the owner.
    #[must_use]
    pub(super) fn end_deferral(
        &self,
        number: Option<u64>,
        end: DeferralEnd,
        removed: impl FnOnce(DeferralId),
    ) -> bool {
        let mut contents = self.contents.lock();
        let Some(contents) = contents.as_deref_mut() else {
            return false;
        };
        let is_closing = contents.kill_reason.is_some();
        let Some(deferral) = contents.waiting_mut(number) else {
            return false;
        };
        deferral.end = Some(end);
        removed(deferral.id);
        self.has_unread.store(true, Ordering::Relaxed);
        !is_closing
    }

    /// Whether the client waits for the deferred reply of this number, and is not to be closed.
    pub(crate) fn waits_for(&self, number: u64) -> bool {
        let mut contents = self.contents.lock();
        contents.as_deref_mut().is_some_and(|contents| {
            contents.kill_reason.is_none() && contents.waiting_mut(Some(number)).is_some()
        })
    }

    /// Whether the deferral has ended, and the owner has not taken it.
    pub(crate) fn has_ended_deferral(&self) -> bool {
        let contents = self.contents.lock();
        let deferral = contents.as_ref().and_then(|own| own.deferral.as_ref());
        deferral.is_some_and(|deferral| deferral.end.is_some())
    }

    /// Takes the deferral, and its end; `None` for an end that the owner makes. Only the owner
    /// calls this. If the client still waited, calls `removed` under the lock.
    pub(super) fn take_deferral(
        &self,
        removed: impl FnOnce(DeferralId),
    ) -> Option<(Box<DeferredRequest>, Option<DeferralEnd>)> {
        let mut contents = self.contents.lock();
        let own = contents.as_deref_mut()?;
        let mut deferral = own.deferral.take()?;
        let end = deferral.end.take();
        if end.is_none() {
            removed(deferral.id);
        }
        let has_unread = own.has_order() || !own.messages.is_empty();
        self.has_unread.store(has_unread, Ordering::Relaxed);
        if !has_unread && !own.must_stay() {
            *contents = None;
        }
        Some((deferral, end))
    }

    /// Returns the bytes of all messages.
    pub(crate) fn bytes(&self) -> usize {
        let contents = self.contents.lock();
        contents
            .as_ref()
            .map_or(0, |own| own.messages.len() + own.reply_bytes())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let contents = self.contents.lock();
        contents
            .as_ref()
            .map_or(0, |own| own.messages.capacity() + own.reply_bytes())
    }
}

impl Contents {
    /// Whether the owner has something to do besides sending messages.
    fn has_order(&self) -> bool {
        let deferral = self.deferral.as_ref();
        self.kill_reason.is_some() || deferral.is_some_and(|deferral| deferral.end.is_some())
    }

    /// Whether this stays when the messages are taken. A kill and a deferral do. So does the time
    /// of the soft limit: the messages become pending output, which counts as before.
    fn must_stay(&self) -> bool {
        self.kill_reason.is_some() || self.full_since_s.is_some() || self.deferral.is_some()
    }

    /// Returns the deferral of this number, or any for `None`, if the client waits.
    fn waiting_mut(&mut self, number: Option<u64>) -> Option<&mut DeferredRequest> {
        let deferral = self.deferral.as_deref_mut()?;
        let is_wanted = number.is_none_or(|number| number == deferral.id.number);
        (is_wanted && deferral.end.is_none()).then_some(deferral)
    }

    /// Returns the bytes of the deferred reply.
    fn reply_bytes(&self) -> usize {
        let deferral = self.deferral.as_ref();
        deferral.map_or(0, |deferral| deferral.reply_bytes())
    }

    fn kill(&mut self, reason: KillReason) {
        self.kill_reason.get_or_insert(reason);
        self.messages = Vec::new();
    }

    /// Whether `more` bytes may be added. Notes since when the soft limit is exceeded.
    fn has_room(&mut self, more: usize, unsent: usize, now_s: u32, limit: OutputLimit) -> bool {
        let exceeds = |bytes, bytes_max| bytes_max > 0 && bytes > bytes_max;
        let before = self.messages.len() + unsent;
        // Checked without the new message: since the last one, the bytes have only become fewer.
        if !exceeds(before, limit.soft_bytes) {
            self.full_since_s = None;
        }
        if exceeds(before + more, limit.hard_bytes) {
            return false;
        }
        if !exceeds(before + more, limit.soft_bytes) {
            return true;
        }
        let since_s = *self.full_since_s.get_or_insert(now_s);
        now_s.saturating_sub(since_s) <= limit.soft_s
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

    fn push_to(
        inbox: &Inbox,
        message: &[u8],
        unsent: usize,
        now_s: u32,
        limit: OutputLimit,
    ) -> bool {
        let terms = Terms {
            now_s,
            limit,
            buffers: &Buffers::default(),
        };
        inbox.push(|_| message, unsent, terms)
    }

    fn push(inbox: &Inbox, message: &[u8], now_s: u32) -> bool {
        push_to(inbox, message, 0, now_s, LIMIT)
    }

    #[test]
    fn owner_is_notified_once_until_it_takes_the_messages() {
        let inbox = Inbox::default();
        assert!(!inbox.has_unread());
        assert!(push(&inbox, b"one", 0));
        assert!(!push(&inbox, b"two", 0));
        assert!(inbox.has_unread());
        assert_eq!(inbox.take_messages(), b"onetwo");
        assert!(!inbox.has_unread());
        assert!(push(&inbox, b"three", 0));
    }

    #[test]
    fn hard_limit_kills_the_client_and_frees_its_messages() {
        let inbox = Inbox::default();
        let message = [b'x'; LIMIT.hard_bytes];
        assert!(push(&inbox, &message, 0));
        assert_eq!(inbox.kill_reason(), None);
        assert!(push(&inbox, b"x", 0), "notified again");
        assert_eq!(inbox.kill_reason(), Some(KillReason::SlowReader));
        assert_eq!(inbox.bytes(), 0);
        assert!(!push(&inbox, b"x", 0));
        assert!(inbox.has_unread(), "the kill stays");
        assert!(inbox.take_messages().is_empty());
        assert!(inbox.has_unread(), "the kill stays");
    }

    #[test]
    fn soft_limit_may_be_exceeded_for_a_minute() {
        let inbox = Inbox::default();
        let message = [b'x'; LIMIT.soft_bytes];
        let _ = push(&inbox, &message, 0);
        let _ = push(&inbox, b"x", 100);
        // Another thread read the clock earlier and comes later.
        let _ = push(&inbox, b"x", 99);
        let _ = push(&inbox, b"x", 160);
        assert_eq!(inbox.kill_reason(), None);
        let _ = push(&inbox, b"x", 161);
        assert_eq!(inbox.kill_reason(), Some(KillReason::SlowReader));
    }

    #[test]
    fn minute_goes_on_while_taken_messages_are_unsent() {
        let inbox = Inbox::default();
        let message = [b'x'; LIMIT.soft_bytes + 1];
        let _ = push(&inbox, &message, 0);
        let unsent = inbox.take_messages().len();
        let _ = push_to(&inbox, b"x", unsent, 60, LIMIT);
        assert_eq!(inbox.kill_reason(), None);
        let _ = push_to(&inbox, b"x", unsent, 61, LIMIT);
        assert_eq!(inbox.kill_reason(), Some(KillReason::SlowReader));
    }

    #[test]
    fn another_minute_begins_after_everything_was_sent() {
        let inbox = Inbox::default();
        let message = [b'x'; LIMIT.soft_bytes + 1];
        let _ = push(&inbox, &message, 0);
        assert_eq!(inbox.take_messages().len(), message.len());
        let _ = push(&inbox, &message, 61);
        assert_eq!(inbox.kill_reason(), None);
    }

    #[test]
    fn limit_of_0_is_no_limit() {
        let inbox = Inbox::default();
        let none = OutputLimit {
            hard_bytes: 0,
            soft_bytes: 0,
            soft_s: 0,
        };
        let _ = push_to(&inbox, &[b'x'; 5000], 0, 0, none);
        let _ = push_to(&inbox, b"x", 0, 1000, none);
        assert_eq!(inbox.kill_reason(), None);
    }

    #[test]
    fn first_kill_reason_stays() {
        let inbox = Inbox::default();
        inbox.kill(KillReason::ClientKill);
        inbox.kill(KillReason::SlowReader);
        assert_eq!(inbox.kill_reason(), Some(KillReason::ClientKill));
    }
}
