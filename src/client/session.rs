//! The session of a client: what the server remembers of it, and all that a command sees of it.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
#[cfg(test)]
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bitflags::bitflags;

use crate::net::peer::Peer;
use crate::resp::{BulkSource, ErrorReply, Protocol, Replied, Reply};
use crate::state::ServerState;
use crate::state::channels::{Kind, Subscriptions};
use crate::state::clients::{ClientFlags, ClientIdentity, ClientInfo, NAME_BYTES_MAX};
use crate::state::deferred_request::{DeferralEnd, DeferredRequest};

/// The session of one client, from its connection to its close: its identity, and the state that
/// handlers keep for it.
///
/// ```
/// # use respool::{Arity, Commands};
/// #[derive(Default)]
/// struct Visits(i64);
///
/// let mut commands = Commands::builtin();
/// commands.register("VISIT", Arity::Exactly(1), |session, _, reply| {
///     let Visits(count) = session.state_mut();
///     *count += 1;
///     reply.integer(*count)
/// });
/// ```
pub struct Session {
    /// The client as other threads see it. Seldom read values are only there.
    info: Arc<ClientInfo>,
    server: Arc<ServerState>,
    protocol: Protocol,
    reply_flags: ReplyFlags,
    pub(crate) ending: Option<Ending>,
    pub(crate) restrictions: Restrictions,
    tracking: Option<Box<Tracking>>,
    subscriptions: Option<Box<Subscriptions>>,
    /// The values that handlers keep, one of each type.
    states: Option<Box<States>>,
    /// Messages to send before the current request's reply; `None` unless `PUSHING` is set.
    #[expect(
        clippy::box_collection,
        reason = "each idle client has one, so it is small"
    )]
    pushes: Option<Box<Vec<u8>>>,
    /// Whether the program's `on_connect` hook, if any, has admitted the client.
    pub(crate) is_connected: bool,
    /// Whether EXEC runs the requests that it has queued.
    is_in_exec: bool,
}

type States = BTreeMap<TypeId, Box<dyn Any + Send>>;

/// Messages to send after the reply to EXEC.
#[derive(Default)]
struct AfterExec(Vec<u8>);

bitflags! {
    /// Why a client may not run a command now; most commands are restricted by all.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Restrictions: u8 {
        /// The client is not authenticated.
        const PASSWORD = 1;
        /// The client is subscribed in RESP2, where replies cannot be distinguished from messages.
        const SUBSCRIBED = 1 << 1;
        /// The client's requests are queued for EXEC.
        const MULTI = 1 << 2;
    }
}

/// How a command has its client's connection closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The reply is sent, then the connection is closed.
    AfterReply,
    /// The peer spoke HTTP. The reply is sent only if it is a response of HTTP.
    Http { is_answered: bool },
    /// Nothing more is sent: the server drains.
    Drain,
}

bitflags! {
    /// The handling of the reply to the current request, as in Redis. Most clients have no flag.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct ReplyFlags: u8 {
        /// No reply is sent: `CLIENT REPLY OFF`.
        const OFF = 1;
        /// The reply to the current request is not sent: `CLIENT REPLY SKIP` came before it.
        const SKIP = 1 << 1;
        /// The current request is `CLIENT REPLY SKIP`: neither its reply nor the next one is sent.
        const SKIP_NEXT = 1 << 2;
        /// Messages are sent before the reply, even if the reply is not sent.
        const PUSHING = 1 << 3;
        /// The reply comes later.
        const DEFERRED = 1 << 4;
        /// A drain waits for the deferred reply.
        const HOLDS_DRAIN = 1 << 5;
        /// The reply to the current request is not sent.
        const UNSENT = Self::OFF.bits() | Self::SKIP.bits() | Self::SKIP_NEXT.bits();
        /// The reply to the current request is read while it is sent.
        const SENDING = 1 << 7;
        /// The flags that stay when a request ends. A handler may panic after it has deferred.
        const KEPT = Self::OFF.bits() | Self::DEFERRED.bits() | Self::HOLDS_DRAIN.bits();
        /// EXEC has run `CLIENT REPLY SKIP`: the reply after that of EXEC is not sent.
        const SKIP_AFTER_EXEC = 1 << 6;
    }
}

/// The options of `CLIENT TRACKING`. There are no keys, so they are only reported when asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tracking {
    pub(crate) flags: TrackingFlags,
    /// The client that is sent invalidations instead of this one; 0 if there is none.
    pub(crate) redirect: u64,
    pub(crate) prefixes: Vec<Box<[u8]>>,
}

bitflags! {
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub(crate) struct TrackingFlags: u8 {
        const BCAST = 1;
        const OPTIN = 1 << 1;
        const OPTOUT = 1 << 2;
        const NOLOOP = 1 << 3;
        /// `CLIENT CACHING YES` came before the current request.
        const CACHING_YES = 1 << 4;
        /// `CLIENT CACHING NO` came before the current request.
        const CACHING_NO = 1 << 5;
    }
}

impl Tracking {
    fn memory_bytes(&self) -> usize {
        let prefixes = self.prefixes.iter();
        let prefixes_bytes = prefixes.map(|prefix| size_of_val(prefix) + prefix.len());
        size_of::<Self>() + prefixes_bytes.sum::<usize>()
    }
}

/// Why a client cannot have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidName {
    /// The name has a byte that is not visible ASCII, which could break the lines of a list.
    Characters,
    Length,
}

impl Session {
    pub(crate) fn new(info: Arc<ClientInfo>, server: Arc<ServerState>) -> Self {
        let mut restrictions = Restrictions::empty();
        restrictions.set(Restrictions::PASSWORD, server.settings.requires_password());
        Self {
            info,
            server,
            protocol: Protocol::Resp2,
            reply_flags: ReplyFlags::empty(),
            ending: None,
            restrictions,
            tracking: None,
            subscriptions: None,
            states: None,
            pushes: None,
            is_connected: false,
            is_in_exec: false,
        }
    }

    #[cfg(test)]
    pub(crate) fn for_test(slot: usize, addr: SocketAddr) -> Self {
        Self::new(
            Arc::new(ClientInfo::for_test(slot, addr)),
            Arc::new(ServerState::for_test()),
        )
    }

    /// Returns the number of the client: unique, and counted from 1.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.info.id
    }

    /// Returns the address of the client.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.info.peer
    }

    /// Sets the address from a PROXY header, before the client is registered.
    pub(crate) fn set_peer(&mut self, peer: Peer) {
        // Invariant: until it is registered, nothing else holds the info.
        let info = Arc::get_mut(&mut self.info).expect("the client is not registered");
        info.peer = peer;
    }

    /// Returns the version of the protocol of the client's replies.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Returns the name set by `CLIENT SETNAME` or `HELLO`; empty if none is set.
    #[must_use]
    pub fn name(&self) -> Box<[u8]> {
        self.info.identity().name
    }

    /// Returns the name of the user that the client is logged in as: `default` until it logs in as
    /// another by [`Commands::on_auth`](crate::Commands::on_auth) or [`Self::set_user`].
    #[must_use]
    pub fn user(&self) -> String {
        self.info
            .with_identity(|identity| identity.user().to_owned())
    }

    /// Sets the name of the client's user, which `CLIENT LIST` and `ACL WHOAMI` show: for a login
    /// whose name is not that of the user, such as a token, or for an `AUTH` of your own. `RESET`
    /// sets it to `default`. Whether the client has to authenticate stays the same.
    ///
    /// # Errors
    ///
    /// If the name is empty, has more than 1024 bytes, or contains white space or a control
    /// character: that could break the lines of a list.
    pub fn set_user(&mut self, name: &str) -> Result<(), ErrorReply> {
        if !is_user(name) {
            return Err(ErrorReply::err(format!(
                "a user's name has 1 to {NAME_BYTES_MAX} bytes, and no white space or control \
                 characters"
            )));
        }
        self.info.change_identity(|identity| {
            identity.user = name.into();
            identity.is_user_named = true;
        });
        Ok(())
    }

    /// Logs the client in as `user`, or as the one that `check` sets, if `check` allows it. Changes
    /// no user otherwise.
    pub(crate) fn log_in(
        &mut self,
        user: &str,
        check: impl FnOnce(&mut Self) -> Result<(), ErrorReply>,
    ) -> Result<(), ErrorReply> {
        if !is_user(user) {
            return Err(ErrorReply::WRONGPASS);
        }
        let before = self.info.identity().user;
        self.info
            .change_identity(|identity| identity.is_user_named = false);
        let checked = check(self);
        self.info.change_identity(|identity| {
            if checked.is_err() {
                identity.user = before;
            } else if !identity.is_user_named {
                identity.user = user.into();
            }
        });
        if checked.is_ok() {
            self.authenticate();
        }
        checked
    }

    /// Makes the user `default` again.
    pub(crate) fn forget_user(&mut self) {
        if self
            .info
            .with_identity(|identity| !identity.user.is_empty())
        {
            self.info
                .change_identity(|identity| identity.user = Box::default());
        }
    }

    /// Returns the database that the client has selected, 0 to 15.
    #[must_use]
    pub fn database(&self) -> u8 {
        self.info.database.load(Ordering::Relaxed)
    }

    /// Returns the value of type `T` that handlers keep for this client, if there is one.
    ///
    /// A value is dropped when the client is closed or sends `RESET`; clean up in `Drop`. There is
    /// one value for each type. So use types of your own, because other handlers may use types of
    /// std, too.
    #[must_use]
    pub fn state<T: Any>(&self) -> Option<&T> {
        let state = self.states.as_ref()?.get(&TypeId::of::<T>())?;
        state.downcast_ref()
    }

    /// Returns the value of type `T`, after inserting its default if there is none: see
    /// [`Self::state`].
    #[expect(clippy::missing_panics_doc, reason = "the key of a value is its type")]
    pub fn state_mut<T: Any + Send + Default>(&mut self) -> &mut T {
        let states = self.states.get_or_insert_default();
        let state = states.entry(TypeId::of::<T>());
        let state = state.or_insert_with(|| Box::<T>::default());
        state
            .downcast_mut()
            .expect("the key of a value is its type")
    }

    /// Keeps `value` for this client, and returns the previous value of its type: see
    /// [`Self::state`].
    pub fn set_state<T: Any + Send>(&mut self, value: T) -> Option<T> {
        let states = self.states.get_or_insert_default();
        let before = states.insert(TypeId::of::<T>(), Box::new(value))?;
        before.downcast().ok().map(|before| *before)
    }

    /// Returns the value of type `T` and no longer keeps it.
    pub(super) fn take_state<T: Any>(&mut self) -> Option<T> {
        let states = self.states.as_mut()?;
        let state = states.remove(&TypeId::of::<T>())?;
        if states.is_empty() {
            self.states = None;
        }
        state.downcast().ok().map(|state| *state)
    }

    /// Whether there are values that handlers keep, subscriptions, or a deferred reply.
    pub(crate) fn keeps_anything(&self) -> bool {
        self.states.is_some() || self.listens() || self.is_deferred()
    }

    /// Drops the values that handlers keep.
    pub(crate) fn forget_states(&mut self) {
        self.states = None;
    }

    pub(crate) fn server_state(&self) -> &Arc<ServerState> {
        &self.server
    }

    pub(crate) fn info(&self) -> &Arc<ClientInfo> {
        &self.info
    }

    /// Returns whether the current request is one of a transaction that `EXEC` runs. A handler that
    /// would wait then has to answer at once, as Redis's `BLPOP` does, and as [`Self::defer`] does.
    /// It need not take a lock that the hook of
    /// [`Commands::transactions`](crate::Commands::transactions) holds.
    #[must_use]
    pub fn is_in_exec(&self) -> bool {
        self.is_in_exec
    }

    /// Closes the client after the reply to this request is sent. Later requests of its pipeline
    /// are not run.
    pub fn close_after_reply(&mut self) {
        // Later ones are refused, and these would be lost.
        self.push_messages();
        self.info.set(ClientFlags::CLOSING, true);
        self.ending = Some(Ending::AfterReply);
    }

    /// Answers in `protocol` from now on. Pushes the messages that are left in the other protocol.
    pub(crate) fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        let messages = self.info.inbox.change_protocol(protocol);
        self.push_all(messages);
        self.publish_subscriptions();
    }

    pub(crate) fn set_database(&mut self, database: u8) {
        self.info.database.store(database, Ordering::Relaxed);
    }

    /// Checks a name of a client or of its library.
    pub(crate) fn check_name(word: &[u8]) -> Result<(), InvalidName> {
        if !word.iter().all(u8::is_ascii_graphic) {
            return Err(InvalidName::Characters);
        }
        if word.len() > NAME_BYTES_MAX {
            return Err(InvalidName::Length);
        }
        Ok(())
    }

    /// Sets a word of the identity; an empty one unsets it.
    pub(crate) fn set_word(
        &mut self,
        word: &[u8],
        part: impl FnOnce(&mut ClientIdentity) -> &mut Box<[u8]>,
    ) -> Result<(), InvalidName> {
        Self::check_name(word)?;
        self.info
            .change_identity(|identity| *part(identity) = word.into());
        Ok(())
    }

    pub(crate) fn set_name(&mut self, name: &[u8]) -> Result<(), InvalidName> {
        self.set_word(name, |identity| &mut identity.name)
    }

    /// Whether the client still has to authenticate.
    pub(crate) fn wants_password(&self) -> bool {
        // The password may have been removed since the client connected.
        self.restrictions.contains(Restrictions::PASSWORD)
            && self.server.settings.requires_password()
    }

    /// Marks the client as authenticated: for an `AUTH` command of your own, if
    /// [`Commands::on_auth`](crate::Commands::on_auth) does not suit. Without that hook, `HELLO …
    /// AUTH` still asks for `requirepass`.
    pub fn authenticate(&mut self) {
        self.restrictions.remove(Restrictions::PASSWORD);
    }

    pub(crate) fn tracking(&self) -> Option<&Tracking> {
        self.tracking.as_deref()
    }

    pub(crate) fn set_tracking(&mut self, tracking: Option<Tracking>) {
        self.info.set(ClientFlags::TRACKING, tracking.is_some());
        if let Some(tracking) = &tracking {
            self.info
                .change_identity(|identity| identity.redirect = tracking.redirect);
        }
        self.tracking = tracking.map(Box::new);
        self.publish_memory();
    }

    /// Publishes the memory of CLIENT TRACKING and of the subscriptions.
    fn publish_memory(&self) {
        let tracking = self.tracking.as_ref();
        let tracking_bytes = tracking.map_or(0, |tracking| tracking.memory_bytes());
        let subscriptions = self.subscriptions.as_ref();
        let subscriptions_bytes = subscriptions.map_or(0, |own| own.bytes());
        self.info.session.set(tracking_bytes + subscriptions_bytes);
    }

    pub(crate) fn subscriptions(&self) -> Option<&Subscriptions> {
        self.subscriptions.as_deref()
    }

    /// Calls `change` with the subscriptions.
    pub(crate) fn subscribe<T>(&mut self, change: impl FnOnce(&mut Subscriptions) -> T) -> T {
        let subscriptions = self.subscriptions.get_or_insert_default();
        let result = change(subscriptions);
        if subscriptions.count() == 0 {
            self.subscriptions = None;
        }
        self.publish_subscriptions();
        result
    }

    fn publish_subscriptions(&mut self) {
        let subscribed = self.subscriptions.is_some();
        let count = |kind| {
            let own = self.subscriptions.as_ref();
            // Their bytes are bounded, so their number fits.
            own.map_or(0, |own| own.count_of(kind) as u32)
        };
        let info = &self.info;
        info.channels.store(count(Kind::Channel), Ordering::Relaxed);
        // A client has at most 1,024 patterns.
        let patterns = count(Kind::Pattern) as u16;
        info.patterns.store(patterns, Ordering::Relaxed);
        self.info.set(ClientFlags::SUBSCRIBER, subscribed);
        self.publish_memory();
        let speaks_resp2 = self.protocol == Protocol::Resp2;
        self.restrictions
            .set(Restrictions::SUBSCRIBED, subscribed && speaks_resp2);
    }

    /// Sends the replies to this request and to those that follow: `CLIENT REPLY ON`.
    pub(crate) fn send_replies(&mut self) {
        self.reply_flags.remove(ReplyFlags::OFF | ReplyFlags::SKIP);
    }

    /// Sends no reply from now on: `CLIENT REPLY OFF`.
    pub(crate) fn drop_replies(&mut self) {
        self.reply_flags.insert(ReplyFlags::OFF);
    }

    /// Sends neither this reply nor the next one: `CLIENT REPLY SKIP`. Without replies, skips none.
    pub(crate) fn skip_next_reply(&mut self) {
        let is_off = self.reply_flags.contains(ReplyFlags::OFF);
        self.reply_flags.set(ReplyFlags::SKIP_NEXT, !is_off);
    }

    /// Sends a message before the reply to the current request, even if the reply is not sent.
    pub(crate) fn push(&mut self, message: impl FnOnce(Reply<'_>) -> Replied) {
        self.reply_flags.insert(ReplyFlags::PUSHING);
        let pushes = self.pushes.get_or_insert_default();
        let Replied { .. } = message(Reply::new(pushes, self.protocol));
    }

    /// Pushes the messages in the inbox: see [`Self::push`].
    pub(crate) fn push_messages(&mut self) {
        let messages = self.info.inbox.take_messages();
        self.push_all(messages);
    }

    fn push_all(&mut self, messages: Vec<u8>) {
        if messages.is_empty() {
            return;
        }
        if self.is_in_exec {
            let AfterExec(held) = self.state_mut();
            held.extend(messages);
            return;
        }
        self.reply_flags.insert(ReplyFlags::PUSHING);
        self.pushes.get_or_insert_default().extend(messages);
    }

    /// Begins to run the requests of a transaction. Pushes the messages in the inbox before the
    /// reply; those that come now are held back until [`Self::end_exec`], because a client would
    /// take one inside the array for an item.
    pub(crate) fn begin_exec(&mut self) {
        self.push_messages();
        self.is_in_exec = true;
    }

    /// Pushes the messages that were held back.
    pub(crate) fn end_exec(&mut self) {
        self.is_in_exec = false;
        if let Some(AfterExec(held)) = self.take_state() {
            self.push_all(held);
        }
    }

    /// Has the reply to the current request come later, by `request`.
    pub(crate) fn begin_deferral(&mut self, request: Box<DeferredRequest>) {
        self.reply_flags.insert(ReplyFlags::DEFERRED);
        self.reply_flags
            .set(ReplyFlags::HOLDS_DRAIN, request.holds_drain);
        self.server.defer(&self.info, request);
    }

    /// Whether the reply to the current request comes later.
    pub(crate) fn is_deferred(&self) -> bool {
        self.reply_flags.contains(ReplyFlags::DEFERRED)
    }

    /// Whether a drain waits for the deferred reply.
    pub(crate) fn holds_drain(&self) -> bool {
        self.reply_flags.contains(ReplyFlags::HOLDS_DRAIN)
    }

    /// Ends the wait for a deferred reply. Returns the request, and how the wait ended, if it had.
    pub(crate) fn end_deferral(&mut self) -> Option<(Box<DeferredRequest>, Option<DeferralEnd>)> {
        self.reply_flags
            .remove(ReplyFlags::DEFERRED | ReplyFlags::HOLDS_DRAIN);
        self.server.take_deferral(&self.info)
    }

    /// Returns the name of the client's last command, for the log.
    pub(crate) fn command_name(&self) -> &str {
        let index = usize::from(self.info.command.load(Ordering::Relaxed));
        let command = self.server.catalog.get(index);
        command.map_or("of no known name", |command| &command.full_name)
    }

    /// Has the rest of the reply to the current request come from `source`.
    pub(crate) fn begin_sending(&mut self, source: BulkSource) {
        self.reply_flags.insert(ReplyFlags::SENDING);
        self.set_state(source);
    }

    /// Whether the reply to the current request is read while it is sent.
    pub(crate) fn is_sending(&self) -> bool {
        self.reply_flags.contains(ReplyFlags::SENDING)
    }

    /// Returns the source of the reply that is being sent.
    pub(crate) fn source_mut(&mut self) -> Option<&mut BulkSource> {
        let states = self.states.as_mut()?;
        states.get_mut(&TypeId::of::<BulkSource>())?.downcast_mut()
    }

    /// Drops the source of the reply that is being sent, if there is one. It may panic.
    pub(crate) fn drop_source(&mut self) {
        self.reply_flags.remove(ReplyFlags::SENDING);
        let Some(states) = &mut self.states else {
            return;
        };
        let source = states.remove(&TypeId::of::<BulkSource>());
        if states.is_empty() {
            self.states = None;
        }
        drop(source);
    }

    /// Whether a reply is deferred or is being sent.
    pub(crate) fn has_reply_to_come(&self) -> bool {
        self.is_deferred() || self.state::<BulkSource>().is_some()
    }

    /// Ends the wait for a deferred reply, or the sending of a reply, if there is one. May call
    /// functions of the program, which may panic.
    pub(crate) fn abandon_reply(&mut self) {
        self.drop_source();
        if self.is_deferred()
            && let Some((request, end)) = self.end_deferral()
        {
            request.cancel_unless_replied(end.as_ref());
        }
    }

    /// Whether the current request ends with more than its reply, or without it: see
    /// [`Self::end_request`].
    #[inline]
    pub(crate) fn has_reply_flags(&self) -> bool {
        !self.reply_flags.is_empty()
    }

    /// Ends the current request, also an empty one. Returns the messages to send before its reply,
    /// and whether the reply is sent.
    #[cold]
    pub(crate) fn end_request(&mut self) -> (Vec<u8>, bool) {
        let flags = self.reply_flags;
        self.reply_flags = flags & ReplyFlags::KEPT;
        let skips_next = flags.intersects(ReplyFlags::SKIP_NEXT | ReplyFlags::SKIP_AFTER_EXEC);
        self.reply_flags.set(ReplyFlags::SKIP, skips_next);
        let messages = self.pushes.take().map_or_else(Vec::new, |pushes| *pushes);
        (messages, !flags.intersects(ReplyFlags::UNSENT))
    }

    /// Ends a request that EXEC runs, like [`Self::end_request`].
    #[cold]
    pub(crate) fn end_queued_request(&mut self) -> (Vec<u8>, bool) {
        let flags = self.reply_flags;
        self.reply_flags
            .remove(ReplyFlags::SKIP_NEXT | ReplyFlags::PUSHING);
        if flags.contains(ReplyFlags::SKIP_NEXT) {
            self.reply_flags.insert(ReplyFlags::SKIP_AFTER_EXEC);
        }
        let messages = self.pushes.take().map_or_else(Vec::new, |pushes| *pushes);
        (messages, !flags.intersects(ReplyFlags::UNSENT))
    }

    /// Whether the client is subscribed or monitors.
    pub(crate) fn listens(&self) -> bool {
        self.subscriptions.is_some() || self.info.has(ClientFlags::MONITOR)
    }

    /// Ends all subscriptions and MONITOR.
    pub(crate) fn stop_listening(&mut self) {
        self.server
            .forget_listener(&self.info, self.subscriptions());
        self.subscriptions = None;
        self.info.set(ClientFlags::MONITOR, false);
        self.publish_subscriptions();
    }

    /// Undoes what the client has set, except the name and version of its library: Redis's `RESET`.
    /// Pushes the messages that other threads left before that.
    pub(crate) fn reset(&mut self) {
        self.stop_listening();
        self.push_messages();
        self.set_tracking(None);
        self.set_protocol(Protocol::Resp2);
        self.set_database(0);
        // As in Redis, a reply that was to be skipped still is.
        self.reply_flags
            .remove(ReplyFlags::OFF | ReplyFlags::SKIP_NEXT);
        self.end_transaction();
        self.forget_states();
        self.info
            .change_identity(|identity| identity.name = Box::default());
        self.forget_user();
        self.info
            .set(ClientFlags::NO_EVICT | ClientFlags::NO_TOUCH, false);
        let requires_password = self.server.settings.requires_password();
        self.restrictions
            .set(Restrictions::PASSWORD, requires_password);
    }
}

/// Whether a user may have this name.
fn is_user(name: &str) -> bool {
    let breaks = |c: char| c.is_whitespace() || c.is_control();
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains(breaks)
}

/// Shows the client alone: the session reaches the whole server, and the messages of others.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("peer", &self.peer())
            .field("protocol", &self.protocol())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn one_value_of_each_type_is_kept() {
        let mut session = Session::for_test(0, (Ipv4Addr::LOCALHOST, 1).into());
        assert_eq!(session.state::<u32>(), None);
        *session.state_mut::<u32>() += 7;
        *session.state_mut::<u64>() += 8;
        assert_eq!(session.state::<u32>(), Some(&7));
        assert_eq!(*session.state_mut::<u32>(), 7);
        assert_eq!(session.set_state(9_u32), Some(7));
        assert_eq!(session.state::<u32>(), Some(&9));
        assert_eq!(session.state::<u64>(), Some(&8));
        assert_eq!(session.set_state("new"), None);
    }
}
