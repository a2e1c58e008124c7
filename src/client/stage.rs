//! The stage of a client: what it waits for before it is served, and how it is closed.

use crate::state::close_reason::CloseReason;

/// The stage of a client, in this order. A client may be closed while it is opening.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The client is not served yet. It has sent no request, and was sent no reply.
    Opening(Opening),
    Open,
    /// In a box, so that clients without it are small.
    Closing(Box<LingeringClose>),
}

/// What is missing before a client is served.
#[derive(Debug)]
pub(crate) enum Opening {
    /// The PROXY header. The client is not in the registry, because its address is not known.
    ProxyHeader {
        /// Whether its refusal was delayed: see `server/opening.rs`.
        was_delayed: bool,
    },
}

impl Opening {
    pub(crate) fn proxy_header() -> Self {
        Self::ProxyHeader { was_delayed: false }
    }
}

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

impl Stage {
    /// Returns the lingering close that has begun.
    pub(crate) fn closing(&self) -> Option<&LingeringClose> {
        match self {
            Self::Opening(_) | Self::Open => None,
            Self::Closing(closing) => Some(closing),
        }
    }

    /// Whether a close for `reason` has to linger.
    pub(crate) fn lingers(&self, reason: &CloseReason) -> bool {
        match self {
            // There is no reply to lose. So a drain closes it at once.
            Self::Opening(_) => reason.error_line().is_some(),
            Self::Open => reason.lingers(),
            Self::Closing(_) => false,
        }
    }
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
