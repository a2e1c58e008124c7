//! The program's hooks for clients that connect and disconnect.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use crate::client::session::Session;
use crate::state::close_reason::CloseReason;

/// Why a client was disconnected.
///
/// Displays as a text for a log: `the peer closed the connection`.
#[derive(Debug)]
pub struct DisconnectReason<'a>(&'a CloseReason);

impl DisconnectReason<'_> {
    /// Returns the name of the reason: `peer_left`, `quit`, `timeout`, …. `INFO stats` counts the
    /// reasons as `closed_peer_left` and so on.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name()
    }
}

impl fmt::Display for DisconnectReason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Admits a client, or returns an error line for it.
pub(crate) type OnConnect = dyn Fn(&mut Session) -> Result<(), String> + Send + Sync;

pub(crate) type OnDisconnect = dyn Fn(&mut Session, &DisconnectReason<'_>) + Send + Sync;

/// The hooks. Each is set at most once.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) on_connect: OnceLock<Box<OnConnect>>,
    pub(crate) on_disconnect: OnceLock<Box<OnDisconnect>>,
}

impl Hooks {
    /// Admits a client unless the program's hook refuses it.
    pub(crate) fn connect(&self, session: &mut Session) -> Result<(), CloseReason> {
        if let Some(on_connect) = self.on_connect.get() {
            on_connect(session).map_err(CloseReason::RefusedByHook)?;
        }
        session.set_connected();
        Ok(())
    }

    /// Calls the program's hook for a client that it admitted, and drops the session's states.
    /// Catches panics of both.
    pub(crate) fn disconnect(&self, session: &mut Session, reason: &CloseReason) {
        let called = catch_unwind(AssertUnwindSafe(|| {
            if let Some(hook) = self.on_disconnect.get().filter(|_| session.is_connected()) {
                hook(session, &DisconnectReason(reason));
            }
        }));
        let dropped = catch_unwind(AssertUnwindSafe(|| session.forget_states()));
        if called.and(dropped).is_err() {
            log::error!("the hook for disconnected clients panicked");
        }
    }
}
