//! A transaction that EXEC is about to run, as a program sees it.

use std::fmt;

use super::entry::Command;
use crate::client::session::Session;
use crate::resp::{ErrorReply, Request, RequestQueue};
use crate::state::redact::Redacted;

/// A transaction whose requests `EXEC` is about to run: see
/// [`Commands::transactions`](crate::Commands::transactions). Its `Debug` output hides secrets, as
/// `MONITOR` does.
pub struct Exec<'a> {
    pub(crate) requests: &'a RequestQueue,
    /// Returns the command of a request.
    pub(crate) resolve: &'a dyn Fn(&Request<'_>) -> Option<&'a Command>,
    /// Runs the requests and writes their replies.
    pub(crate) run: &'a mut dyn FnMut(&mut Session),
}

impl Exec<'_> {
    /// Returns the requests of the transaction, in order. There may be none.
    #[must_use]
    pub fn requests(&self) -> impl ExactSizeIterator<Item = Request<'_>> {
        self.requests.iter()
    }

    /// Returns the full names of their commands, in lower case: `set`, `client|id`.
    #[must_use]
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        let commands = self.requests.iter().map(|request| (self.resolve)(&request));
        // Only requests of known commands are queued.
        commands.map(|command| command.map_or("", Command::full_name))
    }

    /// Returns the keys of all requests, in order, as [`Command::keys`] and [`Command::keys_by`]
    /// declare them. A key that is used twice comes twice.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.requests.iter().flat_map(|request| {
            let command = (self.resolve)(&request);
            command.map_or_else(Vec::new, |command| command.info.keys_in(&request))
        })
    }

    /// Runs the requests, one after the other, and writes an array of their replies. If one fails,
    /// those after it run all the same.
    ///
    /// # Panics
    ///
    /// Panics if a handler does. The client then gets an error instead of all replies, and is
    /// closed; requests before that one have run.
    pub fn run(self, session: &mut Session) -> Executed {
        (self.run)(session);
        Executed(())
    }
}

impl fmt::Debug for Exec<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for request in self.requests() {
            let command = (self.resolve)(&request).map(|command| &command.info);
            let request = &request;
            list.entry(&Redacted { command, request });
        }
        list.finish()
    }
}

/// Proof that a transaction was run, which only [`Exec::run`] returns.
#[derive(Debug)]
#[must_use = "the hook returns this"]
pub struct Executed(());

impl From<Executed> for Result<Executed, ErrorReply> {
    fn from(executed: Executed) -> Self {
        Ok(executed)
    }
}

/// The program's hook for transactions.
pub(crate) struct OnExec(Box<Hook>);

type Hook = dyn Fn(&mut Session, Exec<'_>) -> Result<Executed, ErrorReply> + Send + Sync;

impl OnExec {
    pub(super) fn new<R: Into<Result<Executed, ErrorReply>>>(
        hook: impl Fn(&mut Session, Exec<'_>) -> R + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(move |session, exec| hook(session, exec).into()))
    }

    pub(crate) fn call(
        &self,
        session: &mut Session,
        exec: Exec<'_>,
    ) -> Result<Executed, ErrorReply> {
        (self.0)(session, exec)
    }
}

impl fmt::Debug for OnExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnExec")
    }
}
