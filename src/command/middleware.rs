//! The program's hook around each call.

use std::fmt;
use std::time::Duration;

use crate::client::session::Session;
use crate::resp::{ErrorReply, Request};
use crate::state::catalog::CommandInfo;
use crate::state::redact::Redacted;

/// A hook around each call of a command, also of a built-in one: for permissions, rate limits,
/// metrics and tracing. Set it by [`Commands::set_middleware`](crate::Commands::set_middleware).
///
/// ```
/// use respool::{Call, CallOutcome, Commands, ErrorReply, Middleware, OutcomeKind, Session};
///
/// struct Guard;
///
/// impl Middleware for Guard {
///     fn before(&self, session: &mut Session, call: &Call<'_>) -> Result<(), ErrorReply> {
///         let user = session.user();
///         if user != "root" && call.categories().any(|category| category == "admin") {
///             return Err(ErrorReply::noperm(&user, call.name()));
///         }
///         Ok(())
///     }
///
///     fn after(&self, session: &mut Session, call: &Call<'_>, outcome: &CallOutcome<'_>) {
///         if let OutcomeKind::Failed(text) = outcome.kind {
///             let (id, name, took) = (session.id(), call.name(), outcome.duration);
///             log::info!("client {id}: {name} failed after {took:?}: {text}");
///         }
///     }
/// }
///
/// let mut commands = Commands::builtin();
/// commands.set_middleware(Guard);
/// ```
///
/// Both methods run on the client's worker, before and after the handler, and delay its clients:
/// they should not wait, not even for a lock that is held for long. If one panics, its client is
/// closed as by a panic of the handler. In a transaction, they run for each command when it is
/// executed.
///
/// Before its login, a client is the user `default`. If you refuse this user, still permit `AUTH`
/// and `HELLO`, which are calls, too.
///
/// While there is a middleware, every call is timed and runs its handler. So a pipelined `PING`
/// takes several times as long as without it.
pub trait Middleware: Send + Sync + 'static {
    /// Called before the handler. If it returns an error, the handler does not run and the error is
    /// the reply. Not called for requests that the server refuses itself.
    ///
    /// # Errors
    ///
    /// The reply, such as [`ErrorReply::noperm`].
    fn before(&self, session: &mut Session, call: &Call<'_>) -> Result<(), ErrorReply> {
        let _ = (session, call);
        Ok(())
    }

    /// Called once for each request, after its reply was written or deferred, and before anything
    /// is sent: also for one that was refused, and for one whose handler panicked.
    fn after(&self, session: &mut Session, call: &Call<'_>, outcome: &CallOutcome<'_>) {
        let _ = (session, call, outcome);
    }
}

impl fmt::Debug for dyn Middleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Middleware")
    }
}

/// A request, as a [`Middleware`] sees it. Its `Debug` output hides secrets, as `MONITOR` does.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// `None` if no command has the name.
    command: Option<&'a CommandInfo>,
    request: &'a Request<'a>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(command: Option<&'a CommandInfo>, request: &'a Request<'a>) -> Self {
        Self { command, request }
    }

    /// Returns the name of the command in lower case, that of a subcommand with its container's:
    /// `get`, `client|kill`. Empty if there is no such command: only [`Middleware::after`] sees
    /// such a request.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.command.map_or("", |command| &command.full_name)
    }

    /// Returns the request. Its arguments may be secret, as the password of an `AUTH` is.
    #[must_use]
    pub fn request(&self) -> &'a Request<'a> {
        self.request
    }

    /// Returns the keys in the request, as the command declares them: see
    /// [`Command::keys`](crate::Command::keys). Empty if the number of arguments is wrong.
    #[must_use]
    pub fn keys(&self) -> Vec<&'a [u8]> {
        let words = self.request.word_count();
        let command = self.command.filter(|command| command.arity.admits(words));
        command.map_or_else(Vec::new, |command| command.keys_in(self.request))
    }

    /// Returns the ACL categories of the command, in lower case without `@`: `admin`, `dangerous`,
    /// `pubsub`, …. `ACL CAT` lists them. Empty if there is no such command.
    pub fn categories(&self) -> impl Iterator<Item = &'static str> + use<'a> {
        let command = self.command.into_iter();
        command.flat_map(|command| command.docs.categories())
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (command, request) = (self.command, self.request);
        f.debug_tuple("Call")
            .field(&Redacted { command, request })
            .finish()
    }
}

/// The outcome of a call, as [`Middleware::after`] sees it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct CallOutcome<'a> {
    /// How long the handler ran; zero if it did not.
    pub duration: Duration,
    /// Whether the call succeeded, failed, was deferred or refused.
    pub kind: OutcomeKind<'a>,
}

/// The kinds of outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutcomeKind<'a> {
    /// The handler replied with something else than an error.
    Replied,
    /// The handler replied with this error, `ERR text`, or panicked.
    Failed(&'a str),
    /// The handler has [deferred](Session::defer) its reply. The middleware does not see the reply.
    Deferred,
    /// The handler did not run and this error is the reply. The command is unknown, has too few or
    /// too many arguments, needs authentication, or is not allowed to subscribers; or
    /// [`Middleware::before`] refused it. Empty if the request is one of HTTP.
    Refused(&'a str),
}
