//! What the server remembers of a client, and all of it that a command sees.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::client::states::States;
use crate::resp::{Protocol, Replied, Reply};
use crate::state::ServerState;
use crate::state::channels::{Kind, Subscriptions};
use crate::state::clients::{ClientIdentity, ClientInfo, NAME_BYTES_MAX, flag};

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
    /// What others may know of the client. What is seldom looked at is kept only there.
    info: Arc<ClientInfo>,
    server: Arc<ServerState>,
    protocol: Protocol,
    /// A set of [`reply_flag`]s.
    reply_flags: u8,
    ending: Option<Ending>,
    /// The [`restriction`]s that are closed to its requests.
    restrictions: u8,
    tracking: Option<Box<Tracking>>,
    subscriptions: Option<Box<Subscriptions>>,
    states: States,
    /// Messages to send before the current request's reply; `None` unless `PUSHING` is set.
    #[expect(
        clippy::box_collection,
        reason = "each idle client has one, so it is small"
    )]
    pushes: Option<Box<Vec<u8>>>,
    /// Whether the program's `on_connect` hook, if any, has admitted the client.
    is_connected: bool,
}

/// What a client has to pass before a command runs for it; most commands stop at both.
pub(crate) mod restriction {
    /// It has not said the password.
    pub(crate) const PASSWORD: u8 = 1;
    /// It speaks RESP2 and is subscribed: what comes is messages, and replies would be lost in
    /// them.
    pub(crate) const SUBSCRIBED: u8 = 2;
}

/// How a command wants its client's connection to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The reply is sent, then the connection is closed.
    AfterReply,
    /// The peer spoke HTTP. The reply is sent where it is one that HTTP knows.
    Http { is_answered: bool },
    /// Nothing more is sent: it has the server drain.
    Drain,
}

/// What `CLIENT REPLY` and messages mean for the reply to the current request, as in Redis. Most
/// clients have none of these flags.
mod reply_flag {
    /// No reply is sent: `CLIENT REPLY OFF`.
    pub(crate) const OFF: u8 = 1;
    /// The reply to the current request is not sent: `CLIENT REPLY SKIP` came before it.
    pub(crate) const SKIP: u8 = 1 << 1;
    /// The current request is `CLIENT REPLY SKIP`: neither its reply nor the next one is sent.
    pub(crate) const SKIP_NEXT: u8 = 1 << 2;
    /// Messages are sent before the reply, whether the reply itself is sent or not.
    pub(crate) const PUSHING: u8 = 1 << 3;
}

/// The options of `CLIENT TRACKING`. There are no keys, so they are only reported when asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tracking {
    /// A set of [`tracking_flag`]s.
    pub(crate) flags: u8,
    /// The client that is sent invalidations instead of this one; 0 if there is none.
    pub(crate) redirect: u64,
    pub(crate) prefixes: Vec<Box<[u8]>>,
}

pub(crate) mod tracking_flag {
    pub(crate) const BCAST: u8 = 1;
    pub(crate) const OPTIN: u8 = 1 << 1;
    pub(crate) const OPTOUT: u8 = 1 << 2;
    pub(crate) const NOLOOP: u8 = 1 << 3;
    /// `CLIENT CACHING YES` came before the current request.
    pub(crate) const CACHING_YES: u8 = 1 << 4;
    /// `CLIENT CACHING NO` came before the current request.
    pub(crate) const CACHING_NO: u8 = 1 << 5;
    /// Either.
    pub(crate) const CACHING: u8 = CACHING_YES | CACHING_NO;
}

impl Tracking {
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn memory_bytes(&self) -> usize {
        let prefixes = self.prefixes.iter();
        let prefixes_bytes = prefixes.map(|prefix| size_of_val(prefix) + prefix.len());
        size_of::<Self>() + prefixes_bytes.sum::<usize>()
    }
}

/// Why a client cannot be called so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidName {
    /// It has a byte that is no visible ASCII character and could break the lines of a list.
    Characters,
    /// It is longer than [`NAME_BYTES_MAX`].
    Length,
}

impl Session {
    pub(crate) fn new(info: Arc<ClientInfo>, server: Arc<ServerState>) -> Self {
        let restrictions = if server.wants_password() {
            restriction::PASSWORD
        } else {
            0
        };
        Self {
            info,
            server,
            protocol: Protocol::Resp2,
            reply_flags: 0,
            ending: None,
            restrictions,
            tracking: None,
            subscriptions: None,
            states: States::default(),
            pushes: None,
            is_connected: false,
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

    /// Returns the address of the peer.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.info.peer_addr
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
        self.states.get()
    }

    /// Returns the value of type `T`, after inserting its default if there is none: see
    /// [`Self::state`].
    pub fn state_mut<T: Any + Send + Default>(&mut self) -> &mut T {
        self.states.get_mut_or_default()
    }

    /// Keeps `value` for this client, and returns the previous value of its type: see
    /// [`Self::state`].
    pub fn set_state<T: Any + Send>(&mut self, value: T) -> Option<T> {
        self.states.replace(value)
    }

    /// Forgets what handlers have kept.
    pub(crate) fn forget_states(&mut self) {
        self.states = States::default();
    }

    /// Whether the program's `on_connect` hook, if any, has admitted the client.
    #[inline]
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected
    }

    pub(crate) fn set_connected(&mut self) {
        self.is_connected = true;
    }

    /// What is to be known of the server.
    pub(crate) fn server(&self) -> &Arc<ServerState> {
        &self.server
    }

    /// What others may know of the client.
    pub(crate) fn info(&self) -> &Arc<ClientInfo> {
        &self.info
    }

    /// Closes the client after the reply to this request is sent. Later requests of its pipeline
    /// are not run.
    pub fn close_after_reply(&mut self) {
        self.info.set(flag::CLOSING, true);
        self.ending = Some(Ending::AfterReply);
    }

    /// Closes the client's connection as `ending` says.
    pub(crate) fn close_by(&mut self, ending: Ending) {
        self.ending = Some(ending);
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Answers in `protocol` from now on. Pushes the messages that wait in the other protocol.
    pub(crate) fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        if self.subscriptions.is_some() {
            let messages = self.info.change_protocol(protocol);
            self.push_all(messages);
        } else {
            self.info.set_protocol(protocol);
        }
        self.follow_subscriptions();
    }

    pub(crate) fn set_database(&mut self, database: u8) {
        self.info.database.store(database, Ordering::Relaxed);
    }

    pub(crate) fn set_name(&mut self, name: &[u8]) -> Result<(), InvalidName> {
        self.say(name, |identity, name| identity.name = name)
    }

    pub(crate) fn set_library_name(&mut self, name: &[u8]) -> Result<(), InvalidName> {
        self.say(name, |identity, name| identity.library_name = name)
    }

    pub(crate) fn set_library_version(&mut self, version: &[u8]) -> Result<(), InvalidName> {
        self.say(version, |identity, version| {
            identity.library_version = version;
        })
    }

    /// Whether a client may be called so, or its library.
    pub(crate) fn check_name(word: &[u8]) -> Result<(), InvalidName> {
        if !word.iter().all(u8::is_ascii_graphic) {
            return Err(InvalidName::Characters);
        }
        if word.len() > NAME_BYTES_MAX {
            return Err(InvalidName::Length);
        }
        Ok(())
    }

    /// Sets what must consist of visible ASCII characters; an empty word unsets it.
    fn say(
        &mut self,
        word: &[u8],
        set: impl FnOnce(&mut ClientIdentity, Box<[u8]>),
    ) -> Result<(), InvalidName> {
        Self::check_name(word)?;
        self.info
            .change_identity(|identity| set(identity, word.into()));
        Ok(())
    }

    /// The [`restriction`]s that are closed.
    #[inline]
    pub(crate) fn restrictions(&self) -> u8 {
        self.restrictions
    }

    /// Whether it still has to say the password.
    pub(crate) fn wants_password(&self) -> bool {
        // The password may have been taken away since the client came.
        self.restrictions & restriction::PASSWORD != 0 && self.server.wants_password()
    }

    /// Marks the client as authenticated for `requirepass`: for an `AUTH` command of your own.
    pub fn authenticate(&mut self) {
        self.set_restriction(restriction::PASSWORD, false);
    }

    /// Opens or closes a gate.
    pub(crate) fn set_restriction(&mut self, restriction: u8, closed: bool) {
        if closed {
            self.restrictions |= restriction;
        } else {
            self.restrictions &= !restriction;
        }
    }

    pub(crate) fn tracking(&self) -> Option<&Tracking> {
        self.tracking.as_deref()
    }

    pub(crate) fn set_tracking(&mut self, tracking: Option<Tracking>) {
        self.info.set(flag::TRACKING, tracking.is_some());
        if let Some(tracking) = &tracking {
            self.info
                .change_identity(|identity| identity.redirect = tracking.redirect);
        }
        self.tracking = tracking.map(Box::new);
        self.publish_memory();
    }

    /// Notes in the entry how much memory is kept for the client.
    fn publish_memory(&self) {
        let tracking = self.tracking.as_ref();
        let tracking_bytes = tracking.map_or(0, |tracking| tracking.memory_bytes());
        let subscriptions = self.subscriptions.as_ref();
        let subscriptions_bytes = subscriptions.map_or(0, |own| own.bytes());
        self.info
            .publish_session(tracking_bytes + subscriptions_bytes);
    }

    pub(crate) fn subscriptions(&self) -> Option<&Subscriptions> {
        self.subscriptions.as_deref()
    }

    /// Has `change` look at the subscriptions, and change them.
    pub(crate) fn subscribe<T>(&mut self, change: impl FnOnce(&mut Subscriptions) -> T) -> T {
        let subscriptions = self.subscriptions.get_or_insert_default();
        let result = change(subscriptions);
        if subscriptions.count() == 0 {
            self.subscriptions = None;
        }
        self.follow_subscriptions();
        result
    }

    fn follow_subscriptions(&mut self) {
        let subscribed = self.subscriptions.is_some();
        let count = |kind| {
            let own = self.subscriptions.as_ref();
            // Their bytes are bounded, so their number fits.
            own.map_or(0, |own| own.count_of(kind) as u32)
        };
        let (channels, patterns) = (count(Kind::Channel), count(Kind::Pattern));
        self.info.channels.store(channels, Ordering::Relaxed);
        self.info.patterns.store(patterns, Ordering::Relaxed);
        self.info.set(flag::SUBSCRIBER, subscribed);
        self.publish_memory();
        let speaks_resp2 = self.protocol == Protocol::Resp2;
        self.set_restriction(restriction::SUBSCRIBED, subscribed && speaks_resp2);
    }

    /// Sends the replies to this request and to those that follow: `CLIENT REPLY ON`.
    pub(crate) fn send_replies(&mut self) {
        self.reply_flags &= !(reply_flag::OFF | reply_flag::SKIP);
    }

    /// Sends no reply from now on: `CLIENT REPLY OFF`.
    pub(crate) fn drop_replies(&mut self) {
        self.reply_flags |= reply_flag::OFF;
    }

    /// Sends neither this reply nor the next one: `CLIENT REPLY SKIP`. Without replies, skips none.
    pub(crate) fn skip_next_reply(&mut self) {
        if self.reply_flags & reply_flag::OFF == 0 {
            self.reply_flags |= reply_flag::SKIP_NEXT;
        }
    }

    /// Adds a message to those that are sent before the current request's reply, whatever becomes
    /// of the reply.
    pub(crate) fn push(&mut self, message: impl FnOnce(Reply<'_>) -> Replied) {
        self.reply_flags |= reply_flag::PUSHING;
        let pushes = self.pushes.get_or_insert_default();
        let Replied { .. } = message(Reply::new(pushes, self.protocol));
    }

    /// As [`Self::push`], for the messages that others have left until now.
    pub(crate) fn push_messages(&mut self) {
        let messages = self.info.take_messages();
        self.push_all(messages);
    }

    fn push_all(&mut self, messages: Vec<u8>) {
        if !messages.is_empty() {
            self.reply_flags |= reply_flag::PUSHING;
            self.pushes.get_or_insert_default().extend(messages);
        }
    }

    /// Whether the current request ends otherwise than by its reply alone: see
    /// [`Self::end_request`].
    #[inline]
    pub(crate) fn has_reply_flags(&self) -> bool {
        self.reply_flags != 0
    }

    /// Ends the current request, one without a word included. Returns the messages to send before
    /// its reply, and whether the reply is sent.
    #[cold]
    pub(crate) fn end_request(&mut self) -> (Vec<u8>, bool) {
        use reply_flag::{OFF, PUSHING, SKIP, SKIP_NEXT};
        let flags = self.reply_flags;
        self.reply_flags &= !(SKIP | SKIP_NEXT | PUSHING);
        if flags & SKIP_NEXT != 0 {
            self.reply_flags |= SKIP;
        }
        let messages = self.pushes.take().map_or_else(Vec::new, |pushes| *pushes);
        (messages, flags & (OFF | SKIP | SKIP_NEXT) == 0)
    }

    /// Whether it is told of what others do.
    pub(crate) fn listens(&self) -> bool {
        self.subscriptions.is_some() || self.info.has(flag::MONITOR)
    }

    /// Listens to nothing any more.
    pub(crate) fn stop_listening(&mut self) {
        self.server
            .forget_listener(&self.info, self.subscriptions());
        self.subscriptions = None;
        self.info.set(flag::MONITOR, false);
        self.follow_subscriptions();
    }

    /// Forgets what the client has set, but for what it said of its library: Redis's `RESET`.
    /// Pushes the messages that others have left before that.
    pub(crate) fn reset(&mut self) {
        self.stop_listening();
        self.push_messages();
        self.set_tracking(None);
        self.set_protocol(Protocol::Resp2);
        self.set_database(0);
        // As in Redis, a reply that was to be skipped still is.
        self.reply_flags &= !(reply_flag::OFF | reply_flag::SKIP_NEXT);
        self.forget_states();
        self.info
            .change_identity(|identity| identity.name = Box::default());
        self.info.set(flag::NO_EVICT | flag::NO_TOUCH, false);
        self.set_restriction(restriction::PASSWORD, self.server.wants_password());
    }
}

/// The client alone: the session reaches the whole server, and what others have sent.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("peer_addr", &self.peer_addr())
            .field("protocol", &self.protocol())
            .finish_non_exhaustive()
    }
}
