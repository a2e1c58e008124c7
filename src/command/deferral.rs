//! Handlers that reply later.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Outcome;
use crate::client::session::Session;
use crate::resp::{Replied, Reply, misused};
use crate::state::ServerState;
use crate::state::clients::ClientInfo;
use crate::state::deferred_request::{
    DeferralEnd, DeferralId, DeferredRequest, OnCancel, OnTimeout,
};

impl Session {
    /// Defers the reply, for a handler that would have to wait: for an event, another machine or a
    /// disk. [`Deferral::start`] exchanges the `reply` for a token, by which any thread replies.
    /// Meanwhile the client takes neither a worker nor a thread, and its later requests wait.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use std::time::Duration;
    ///
    /// use respool::{Arity, Commands, DeferredReply};
    ///
    /// let doors: Arc<Mutex<Vec<DeferredReply>>> = Arc::default();
    /// let waiting = Arc::clone(&doors);
    /// let mut commands = Commands::builtin();
    /// commands
    ///     .register("WAIT-FOR-OPEN", Arity::Exactly(1), move |session, _request, reply| {
    ///         session
    ///             .defer(reply)
    ///             .timeout(Some(Duration::from_secs(60)), |reply| reply.null())
    ///             .start(|token| waiting.lock().unwrap().push(token))
    ///     })
    ///     .register("OPEN", Arity::Exactly(1), move |_session, _request, reply| {
    ///         let waiting: Vec<_> = doors.lock().unwrap().drain(..).collect();
    ///         let open = |token: DeferredReply| token.reply(|reply| reply.simple("open"));
    ///         reply.value(waiting.into_iter().map(open).filter(|is_sent| *is_sent).count())
    ///     });
    /// ```
    ///
    /// Bytes that the handler has written before, such as a [push](Reply::push), are sent at once.
    /// If the handler returns an error after `start`, the error is the reply, and the token's is
    /// not wanted. `CLIENT PAUSE` does not hold up the reply.
    ///
    /// # Panics
    ///
    /// Panics if `reply` is an item of an array, a map or a set, or that of a token.
    #[track_caller]
    pub fn defer<'a>(&'a mut self, reply: Reply<'a>) -> Deferral<'a> {
        if reply.is_part() {
            misused(format_args!("only a whole reply can be deferred"));
        }
        Deferral {
            session: self,
            reply,
            timeout: None,
            on_timeout: Box::new(null),
            on_cancel: None,
            holds_drain: false,
        }
    }
}

fn null(reply: Reply<'_>) -> Replied {
    reply.null()
}

/// A reply that is about to be deferred: see [`Session::defer`].
#[must_use = "`start` defers the reply"]
pub struct Deferral<'a> {
    session: &'a mut Session,
    reply: Reply<'a>,
    timeout: Option<Duration>,
    on_timeout: OnTimeout,
    on_cancel: Option<OnCancel>,
    holds_drain: bool,
}

impl Deferral<'_> {
    /// Sets the time after which `write` replies in place of the token; `None` is for ever. The
    /// reply comes up to 20 ms later than that on an idle machine.
    ///
    /// `write` also replies, at once, if the client is in `EXEC`, where nothing may wait; and if
    /// another client ends the wait by `CLIENT UNBLOCK`. Without this method, all of these reply
    /// null, and there is no timeout.
    pub fn timeout(
        mut self,
        after: Option<Duration>,
        write: impl FnOnce(Reply<'_>) -> Replied + Send + 'static,
    ) -> Self {
        self.timeout = after;
        self.on_timeout = Box::new(write);
        self
    }

    /// Sets a function that is called if the token's reply is no longer wanted: after the timeout
    /// or `CLIENT UNBLOCK`, if the client has left or was closed, or in a drain. Use it to forget
    /// the token.
    ///
    /// A worker calls it, with no lock held. It should not wait for long. If it panics, the
    /// panic is logged and the client closed.
    pub fn on_cancel(mut self, forget: impl FnOnce() + Send + 'static) -> Self {
        self.on_cancel = Some(Box::new(forget));
        self
    }

    /// Declares that the reply does not wait for an event, but for work that will end: a drain
    /// waits for it, up to `drain-timeout-ms`. Without this, a drain replies `UNBLOCKED …` at once,
    /// as Redis does when it ends all waits.
    pub fn hold_drain(mut self) -> Self {
        self.holds_drain = true;
        self
    }

    /// Defers the reply, and calls `keep` with the token, which may be used before this returns. In
    /// `EXEC`, writes the timeout's reply instead, and calls nothing.
    pub fn start(self, keep: impl FnOnce(DeferredReply)) -> Replied {
        let Self { session, reply, .. } = self;
        if session.is_in_exec() {
            return (self.on_timeout)(reply);
        }
        let state = Arc::clone(session.server_state());
        let id = DeferralId {
            number: state.deferrals.new_number(),
            // A time that no clock reaches is never.
            timeout_at: self
                .timeout
                .and_then(|after| Instant::now().checked_add(after)),
        };
        let request = DeferredRequest::new(id, self.holds_drain, self.on_timeout, self.on_cancel);
        session.begin_deferral(Box::new(request));
        keep(DeferredReply {
            state,
            info: Arc::clone(session.info()),
            number: id.number,
        });
        Replied::deferred(reply)
    }
}

impl fmt::Debug for Deferral<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferral")
            .field("session", &self.session)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The token for a deferred reply: see [`Session::defer`]. Any thread replies by it, once.
///
/// If it is dropped without a reply, the client gets the error `ERR the request was dropped without
/// a reply`.
#[must_use = "a token that is dropped replies an error"]
pub struct DeferredReply {
    state: Arc<ServerState>,
    info: Arc<ClientInfo>,
    number: u64,
}

impl DeferredReply {
    /// Replies. `write` is like a handler: it returns what a method of the [`Reply`] returns, or a
    /// `Result` of it.
    ///
    /// Returns false, mostly without a call of `write`, if the client does not wait any more: so
    /// what was for this client can be for another. True means that the reply is on its way; as
    /// with any reply, the client may leave before it arrives.
    ///
    /// Takes no lock while it calls `write`, and never waits for the client.
    ///
    /// # Panics
    ///
    /// Panics if `write` does. The client then gets the error of a token that was dropped.
    pub fn reply<R: Outcome>(self, write: impl FnOnce(Reply<'_>) -> R) -> bool {
        self.is_wanted() && self.send(|reply| R::write(reply, write))
    }

    /// Whether the client still waits: it was not closed, has not left as far as the server knows,
    /// and the wait was not ended by its timeout, `CLIENT UNBLOCK` or a drain.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.info.inbox.waits_for(self.number)
    }

    /// Returns the number of the client: [`Session::id`].
    #[must_use]
    pub fn client_id(&self) -> u64 {
        self.info.id
    }

    fn send(&self, write: impl FnOnce(Reply<'_>) -> Replied) -> bool {
        let mut bytes = Vec::new();
        // A client that waits runs no command that changes its protocol.
        let replied = write(Reply::part(&mut bytes, self.info.inbox.protocol()));
        let end = DeferralEnd::Reply(bytes, replied);
        self.state.end_deferral(&self.info, Some(self.number), end)
    }
}

impl Drop for DeferredReply {
    fn drop(&mut self) {
        if self.is_wanted() {
            self.send(|reply| reply.error("ERR the request was dropped without a reply"));
        }
    }
}

impl fmt::Debug for DeferredReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeferredReply")
            .field("client_id", &self.client_id())
            .field("is_wanted", &self.is_wanted())
            .finish_non_exhaustive()
    }
}
