//! The orderly end of a connection.

use crate::state::close_reason::CloseReason;

/// The state of a lingering close: pending output is sent, then FIN, and then the peer's bytes are
/// discarded until its FIN. Closing a socket with unread bytes would send RST, which can overtake
/// the last reply.
#[derive(Debug)]
pub(crate) struct LingeringClose {
    pub(crate) reason: CloseReason,
    /// When FIN was sent after all output, in seconds of the coarse clock; `None` before that.
    pub(crate) fin_sent_at_s: Option<u32>,
    /// Bytes discarded so far.
    pub(crate) discarded: usize,
}

impl LingeringClose {
    pub(super) fn new(reason: CloseReason) -> Self {
        Self {
            reason,
            fin_sent_at_s: None,
            discarded: 0,
        }
    }

    /// Whether the client still counts: it was admitted, and output is pending.
    pub(crate) fn is_counted(&self) -> bool {
        self.fin_sent_at_s.is_none() && !matches!(self.reason, CloseReason::Refused(_))
    }
}
