//! MULTI, EXEC and DISCARD, for programs that want them.

use crate::client::session::{Restrictions, Session};
use crate::command::{Arity, Commands, Exec, Executed, OnExec};
use crate::resp::{ErrorReply, Replied, Reply, Request};

impl Commands {
    /// Adds transactions: `MULTI`, `EXEC` and `DISCARD` as in Redis, without `WATCH`. After
    /// `MULTI`, requests are queued, and `EXEC` runs them one after the other.
    ///
    /// The program decides what is atomic: `hook` is called for every `EXEC` and runs the requests
    /// by [`Exec::run`], while it holds a lock of the program's, for example. Without a lock, other
    /// clients' requests may run in between.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use parking_lot::ReentrantMutex;
    /// use respool::{Arity, Commands};
    ///
    /// let lock = Arc::new(ReentrantMutex::new(()));
    /// let mut commands = Commands::builtin();
    /// let own = Arc::clone(&lock);
    /// commands.register("MOVE", Arity::Exactly(3), move |_session, _request, reply| {
    ///     // The same lock in each handler. EXEC has it already, on the same thread.
    ///     let _guard = own.lock();
    ///     reply.simple("OK")
    /// });
    /// commands.transactions(move |session, exec| {
    ///     let _guard = lock.lock();
    ///     exec.run(session)
    /// });
    /// ```
    ///
    /// A lock that is not reentrant, such as those of `std`, also serves: then each handler takes
    /// it only if [`Session::is_in_exec`] returns false.
    ///
    /// The hook may return an [`ErrorReply`] instead, before `run`, to refuse the transaction: none
    /// of the requests runs, and the error is the reply to `EXEC`. Its type is then
    /// `Result<Executed, ErrorReply>`, and it ends with `Ok(exec.run(session))`. An error after
    /// `run` replaces the replies of requests that have run.
    ///
    /// If a request in the queue was refused, such as one of an unknown command, `EXEC` runs
    /// nothing and does not call the hook. The queue of a client takes at most
    /// `client-query-buffer-limit`, and is part of the client's memory. The replies take at most
    /// `pending-output-per-client`, or 64 KiB if that is more: if they are longer, all requests
    /// run, and the reply to `EXEC` is an error. One worker runs all of them without a pause, so a
    /// lower `client-query-buffer-limit` also bounds the time for which a transaction keeps it. A
    /// handler that would wait answers at once in a transaction: see [`Session::is_in_exec`].
    pub fn transactions<R: Into<Result<Executed, ErrorReply>>>(
        &mut self,
        hook: impl Fn(&mut Session, Exec<'_>) -> R + Send + Sync + 'static,
    ) -> &mut Self {
        self.on_exec = Some(OnExec::new(hook));
        let multi = self.register_own("MULTI", Arity::Exactly(1), multi);
        multi.allowed_under = Restrictions::MULTI;
        multi.mark_short();
        let discard = self.register_own("DISCARD", Arity::Exactly(1), discard);
        discard.allowed_under = Restrictions::MULTI;
        discard.mark_short();
        self.register_own("EXEC", Arity::Exactly(1), exec_without_multi);
        self
    }
}

/// `MULTI`: queues the requests that follow.
fn multi(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    if session.is_in_transaction() {
        return reply.error("ERR MULTI calls can not be nested");
    }
    session.begin_transaction();
    reply.simple("OK")
}

/// `DISCARD`: drops the requests that are queued.
fn discard(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    if !session.is_in_transaction() {
        return reply.error("ERR DISCARD without MULTI");
    }
    session.end_transaction();
    reply.simple("OK")
}

/// `EXEC` outside of a transaction; `dispatch/transaction.rs` runs the others.
fn exec_without_multi(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.error("ERR EXEC without MULTI")
}
