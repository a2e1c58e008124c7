//! The return types of handlers.

use super::entry::Handler;
use crate::client::session::Session;
use crate::resp::{ErrorReply, Replied, Reply, Request};

/// The return types of handlers: [`Replied`] and `Result<Replied, ErrorReply>`.
///
/// If it is an `Err`, the error is the reply, in place of everything that the handler wrote before.
/// So a handler may use `?`, and ends with `Ok(reply.…)`:
///
/// ```
/// use respool::{Arity, Commands};
///
/// let mut commands = Commands::builtin();
/// commands.register("ADD", Arity::Exactly(3), |_session, request, reply| {
///     let sum = request.float(0)? + request.float(1)?;
///     Ok(reply.double(sum))
/// });
/// ```
///
/// An error of another type does not compile: see [`ErrorReply`].
#[diagnostic::on_unimplemented(
    message = "a handler has to return a `Replied` or a `Result<Replied, ErrorReply>`, and this \
               one returns `{Self}`",
    label = "the handler returns `{Self}`",
    note = "a handler answers its request: its last expression is that of a method of `Reply`, \
            such as `reply.simple(\"OK\")`, without a semicolon after it",
    note = "a handler that uses `?` ends with `Ok(reply.…)`",
    note = "a closure that only panics needs the type: `|_, _, _| -> Replied {{ todo!() }}`",
    note = "an error is the reply by `Err(…)` of an `ErrorReply`; one of the program's own becomes \
            an `ErrorReply` by `map_err`: see the documentation of `ErrorReply`"
)]
pub trait Outcome: IntoHandler {}

impl Outcome for Replied {}
impl Outcome for Result<Replied, ErrorReply> {}

/// Seals [`Outcome`].
pub trait IntoHandler: Sized {
    /// Replies by `write`.
    #[doc(hidden)]
    fn write(reply: Reply<'_>, write: impl FnOnce(Reply<'_>) -> Self) -> Replied;

    /// Returns `handler` as one that returns a [`Replied`].
    #[doc(hidden)]
    fn into_handler(
        handler: impl Fn(&mut Session, &Request<'_>, Reply<'_>) -> Self + Send + Sync + 'static,
    ) -> Box<Handler>;
}

impl IntoHandler for Replied {
    fn write(reply: Reply<'_>, write: impl FnOnce(Reply<'_>) -> Self) -> Replied {
        write(reply)
    }

    fn into_handler(
        handler: impl Fn(&mut Session, &Request<'_>, Reply<'_>) -> Self + Send + Sync + 'static,
    ) -> Box<Handler> {
        Box::new(handler)
    }
}

impl IntoHandler for Result<Replied, ErrorReply> {
    fn write(reply: Reply<'_>, write: impl FnOnce(Reply<'_>) -> Self) -> Replied {
        reply.or_error(write)
    }

    fn into_handler(
        handler: impl Fn(&mut Session, &Request<'_>, Reply<'_>) -> Self + Send + Sync + 'static,
    ) -> Box<Handler> {
        Box::new(move |session, request, reply| {
            reply.or_error(|reply| {
                // The error is the reply, also if another was to come later.
                handler(session, request, reply).inspect_err(|_| session.abandon_reply())
            })
        })
    }
}
