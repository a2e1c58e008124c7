//! What commands may have the server do. The server implements it, and is so named by no command.

use std::fmt;
use std::sync::Arc;

/// The server, as commands see it.
pub(crate) trait Control: fmt::Debug + Send + Sync {
    /// Starts the drain: [`ServerHandle::drain`](crate::ServerHandle::drain).
    fn drain(self: Arc<Self>);
}
