//! The functions of an embedding program that the server calls when a client connects or
//! disconnects.

use std::fmt;
use std::sync::OnceLock;

use crate::client::session::Session;
use crate::state::close_reason::CloseReason;

/// Why a client was disconnected.
///
/// Displays as a text for a log: `the peer closed the connection`.
#[derive(Debug)]
pub struct DisconnectReason<'a>(pub(super) &'a CloseReason);

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
