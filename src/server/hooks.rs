//! The program's hooks for clients that connect and disconnect.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use super::shared::Shared;
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
type OnConnect = dyn Fn(&mut Session) -> Result<(), String> + Send + Sync;

type OnDisconnect = dyn Fn(&mut Session, &DisconnectReason<'_>) + Send + Sync;

/// The hooks. Each is set at most once.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(super) on_connect: OnceLock<Box<OnConnect>>,
    pub(super) on_disconnect: OnceLock<Box<OnDisconnect>>,
}

impl Shared {
    /// Admits a client unless the program's hook refuses it. The hook may block.
    #[cold]
    pub(crate) fn connect(&self, session: &mut Session) -> Result<(), CloseReason> {
        if let Some(hook) = self.hooks.on_connect.get() {
            self.pool.hand_over();
            hook(session).map_err(CloseReason::RefusedByHook)?;
        }
        session.set_connected();
        Ok(())
    }

    /// Counts a client that leaves, calls the program's hook, which may block, if the client was
    /// admitted, and drops the session's states. Catches panics of both.
    pub(crate) fn count_out(&self, session: &mut Session, reason: &CloseReason) {
        self.state.clients.remove(session.info());
        self.state.client_count.fetch_sub(1, Ordering::Relaxed);
        let hook = self.hooks.on_disconnect.get();
        if hook.is_some() {
            self.pool.hand_over();
        }
        let called = catch_unwind(AssertUnwindSafe(|| {
            if let Some(hook) = hook.filter(|_| session.is_connected()) {
                hook(session, &DisconnectReason(reason));
            }
        }));
        let dropped = catch_unwind(AssertUnwindSafe(|| session.forget_states()));
        if called.and(dropped).is_err() {
            log::error!("the hook for disconnected clients panicked");
        }
    }
}
