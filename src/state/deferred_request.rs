//! A request that waits for a deferred reply.

use std::fmt;
use std::time::Instant;

use crate::resp::{Replied, Reply};

/// Identifies a deferral.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeferralId {
    pub(crate) number: u64,
    /// When it times out; `None` if it never does.
    pub(crate) timeout_at: Option<Instant>,
}

/// Writes the reply after a timeout.
pub(crate) type OnTimeout = Box<dyn FnOnce(Reply<'_>) -> Replied + Send>;

/// Called if another reply is sent than that of the token, or none.
pub(crate) type OnCancel = Box<dyn FnOnce() + Send>;

/// A request whose reply comes later. It is in its client's inbox until the client's owner takes
/// it.
pub(crate) struct DeferredRequest {
    pub(crate) id: DeferralId,
    /// Whether a drain waits for the reply.
    pub(crate) holds_drain: bool,
    /// Only the client's owner calls this and the next one, because they may block or panic.
    pub(crate) on_timeout: OnTimeout,
    pub(crate) on_cancel: Option<OnCancel>,
    /// `None` while the client waits.
    pub(super) end: Option<DeferralEnd>,
}

/// The end of a deferral.
#[derive(Debug)]
pub(crate) enum DeferralEnd {
    /// This is the reply.
    Reply(Vec<u8>, Replied),
    /// The timeout's reply is sent.
    TimedOut,
    /// This error is sent.
    Cancelled(&'static str),
}

impl DeferredRequest {
    pub(crate) fn new(
        id: DeferralId,
        holds_drain: bool,
        on_timeout: OnTimeout,
        on_cancel: Option<OnCancel>,
    ) -> Self {
        Self {
            id,
            holds_drain,
            on_timeout,
            on_cancel,
            end: None,
        }
    }

    /// Calls the program's function for a reply that is not wanted, unless `end` is a reply.
    pub(crate) fn cancel_unless_replied(self, end: Option<&DeferralEnd>) {
        match (end, self.on_cancel) {
            (Some(DeferralEnd::Reply(..)), _) | (_, None) => {}
            (_, Some(on_cancel)) => on_cancel(),
        }
    }

    /// Returns the bytes of the reply, if it is there.
    pub(super) fn reply_bytes(&self) -> usize {
        match &self.end {
            Some(DeferralEnd::Reply(bytes, _)) => bytes.len(),
            Some(DeferralEnd::TimedOut | DeferralEnd::Cancelled(_)) | None => 0,
        }
    }
}

impl fmt::Debug for DeferredRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeferredRequest")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
