//! What the program has called when clients come and go.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use crate::client::session::Session;
use crate::state::close_reason::CloseReason;

/// Why a client has gone.
///
/// It displays as the log tells it: `the peer left`.
#[derive(Debug)]
pub struct DisconnectReason<'a>(&'a CloseReason);

impl DisconnectReason<'_> {
    /// The reason as `INFO stats` counts it behind `closed_`: `peer_left`, `quit`, `timeout`, …
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0.name()
    }
}

impl fmt::Display for DisconnectReason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Lets a client in, or says in an error line why not.
pub(crate) type OnConnect = dyn Fn(&mut Session) -> Result<(), String> + Send + Sync;

/// Is told that a client has gone.
pub(crate) type OnDisconnect = dyn Fn(&mut Session, &DisconnectReason<'_>) + Send + Sync;

/// Each is set once at most.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) arrive: OnceLock<Box<OnConnect>>,
    pub(crate) depart: OnceLock<Box<OnDisconnect>>,
}

impl Hooks {
    /// Has the program, if it wants to, decide on a client that has come.
    pub(crate) fn arrive(&self, session: &mut Session) -> Result<(), CloseReason> {
        if let Some(arrive) = self.arrive.get() {
            arrive(session).map_err(CloseReason::RefusedByHook)?;
        }
        session.arrive();
        Ok(())
    }

    /// Tells the program that a client has gone, and drops what handlers have kept of it. A panic
    /// in either ends here.
    pub(crate) fn depart(&self, session: &mut Session, why: &CloseReason) {
        let told = catch_unwind(AssertUnwindSafe(|| {
            if let Some(depart) = self.depart.get().filter(|_| session.has_arrived()) {
                depart(session, &DisconnectReason(why));
            }
        }));
        let dropped = catch_unwind(AssertUnwindSafe(|| session.forget_states()));
        if told.and(dropped).is_err() {
            log::error!("the hook for disconnected clients panicked");
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("arrive", &self.arrive.get().is_some())
            .field("depart", &self.depart.get().is_some())
            .finish()
    }
}
