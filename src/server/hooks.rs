//! What the program has called when clients come and go.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use crate::client::session::Session;
use crate::state::close_reason::Closed;

/// Why a client has gone.
///
/// It displays as the log tells it: `the peer left`.
#[derive(Debug)]
pub struct Departure<'a>(&'a Closed);

impl Departure<'_> {
    /// The reason as `INFO stats` counts it behind `closed_`: `peer_left`, `quit`, `timeout`, …
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0.name()
    }
}

impl fmt::Display for Departure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Lets a client in, or says in an error line why not.
pub(crate) type Arrive = dyn Fn(&mut Session) -> Result<(), String> + Send + Sync;

/// Is told that a client has gone.
pub(crate) type Depart = dyn Fn(&mut Session, &Departure<'_>) + Send + Sync;

/// Each is set once at most.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) arrive: OnceLock<Box<Arrive>>,
    pub(crate) depart: OnceLock<Box<Depart>>,
}

impl Hooks {
    /// Has the program, if it wants to, decide on a client that has come.
    pub(crate) fn arrive(&self, session: &mut Session) -> Result<(), Closed> {
        if let Some(arrive) = self.arrive.get() {
            arrive(session).map_err(Closed::TurnedAway)?;
        }
        session.arrive();
        Ok(())
    }

    /// Tells the program that a client has gone, and drops what handlers have kept of it. A panic
    /// in either ends here.
    pub(crate) fn depart(&self, session: &mut Session, why: &Closed) {
        let told = catch_unwind(AssertUnwindSafe(|| {
            if let Some(depart) = self.depart.get().filter(|_| session.has_arrived()) {
                depart(session, &Departure(why));
            }
        }));
        let dropped = catch_unwind(AssertUnwindSafe(|| session.forget_states()));
        if told.and(dropped).is_err() {
            log::error!("the program's code for a client that has gone panicked");
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
