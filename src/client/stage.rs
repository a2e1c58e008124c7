//! The stage of a client: what it waits for before it is served, and how it is closed.

use std::time::Instant;

use crate::state::close_reason::{CloseReason, Refused};

/// The stage of a client, in this order. A client may be closed while it is opening.
// Each turn looks at it: with a byte of its own it takes no arithmetic.
#[repr(u8)]
#[derive(Debug)]
pub(crate) enum Stage {
    /// The client is not served yet. No request was read, and no reply was sent.
    Opening(Opening),
    Open,
    /// The client waits for the deferred reply to its last request. Later requests wait, too.
    Deferred,
    /// The reply to the client's last request is read from its source while it is sent. The session
    /// has the source. Later requests wait, and so do messages to the client.
    Sending,
    /// In a box, so that clients without it are small.
    Closing(Box<LingeringClose>),
}

/// The step that a client has to complete before it is served.
///
/// A refused client of TLS gets the error after its handshake. Until then it is neither counted nor
/// registered, and takes one of the places in `Shared::opening_refusals`.
#[derive(Debug)]
pub(crate) enum Opening {
    /// The PROXY header. The client is not in the registry, because its address is not known.
    ProxyHeader {
        /// When the delay of its refusal began: see `server/worker/opening.rs`.
        delayed_since: Option<Instant>,
        /// Whether a TLS handshake follows.
        then_tls: bool,
        /// Why the client is refused after the handshake.
        refused: Option<Refused>,
    },
    /// The TLS handshake.
    #[cfg(feature = "tls")]
    Handshake(Handshake),
}

/// A TLS handshake.
#[cfg(feature = "tls")]
#[derive(Debug)]
pub(crate) struct Handshake {
    /// The permit for a flight: see `server/worker/handshakes.rs`.
    pub(crate) permit: Permit,
    /// When the client could begin the handshake, in seconds of the coarse clock.
    pub(crate) since_s: u32,
    /// Whether a worker has begun its first flight, and the handshake has neither ended nor failed.
    pub(crate) has_begun: bool,
    /// Why the client is refused after the handshake.
    pub(crate) refused: Option<Refused>,
}

/// Whether a client may run a flight of its handshake.
#[cfg(feature = "tls")]
#[derive(Debug, Default)]
pub(crate) enum Permit {
    /// The client has not asked for a permit.
    #[default]
    None,
    /// The client's number on the stack of those that wait for a permit. It stays when the client
    /// is woken.
    Awaited(u64),
    Granted,
}

impl Opening {
    pub(crate) fn proxy_header(then_tls: bool, refused: Option<Refused>) -> Self {
        Self::ProxyHeader {
            delayed_since: None,
            then_tls,
            refused,
        }
    }

    /// Returns why the client is refused, if it is.
    pub(crate) fn refused(&self) -> Option<Refused> {
        match self {
            Self::ProxyHeader { refused, .. } => *refused,
            #[cfg(feature = "tls")]
            Self::Handshake(handshake) => handshake.refused,
        }
    }

    /// Returns the TLS handshake, from `now_s` on.
    #[cfg(feature = "tls")]
    #[expect(clippy::unnecessary_wraps, reason = "a build without TLS has none")]
    pub(crate) fn handshake(now_s: u32, refused: Option<Refused>) -> Option<Self> {
        Some(Self::Handshake(Handshake {
            permit: Permit::None,
            since_s: now_s,
            has_begun: false,
            refused,
        }))
    }

    /// This build has no TLS, and so no port for it.
    #[cfg(not(feature = "tls"))]
    pub(crate) fn handshake(_: u32, _: Option<Refused>) -> Option<Self> {
        None
    }
}

/// The state of a lingering close: pending output is sent, then FIN, and then the peer's bytes are
/// discarded until its FIN. Closing a socket with unread bytes would send RST, which can overtake
/// the last reply.
#[derive(Debug)]
pub(crate) struct LingeringClose {
    pub(crate) reason: CloseReason,
    /// When the wait for the peer's FIN began, in seconds of the coarse clock; `None` until all
    /// output and our FIN are sent.
    pub(crate) awaits_fin_since_s: Option<u32>,
    /// Bytes discarded so far.
    pub(crate) discarded: usize,
}

impl Stage {
    /// Returns the lingering close that has begun.
    pub(crate) fn closing(&self) -> Option<&LingeringClose> {
        match self {
            Self::Opening(_) | Self::Open | Self::Deferred | Self::Sending => None,
            Self::Closing(closing) => Some(closing),
        }
    }

    /// Whether the client counts as connected: it was not refused, and FIN was not sent yet.
    pub(crate) fn is_counted(&self) -> bool {
        match self {
            Self::Opening(opening) => opening.refused().is_none(),
            Self::Open | Self::Deferred | Self::Sending => true,
            Self::Closing(closing) => closing.is_counted(),
        }
    }

    /// Whether a close for `reason` has to linger.
    pub(crate) fn lingers(&self, reason: &CloseReason) -> bool {
        match self {
            // Never counted: a lingering close for another reason would subtract it.
            Self::Opening(opening) if opening.refused().is_some() => {
                matches!(reason, CloseReason::Refused(_))
            }
            // There is no reply to lose. So a drain closes it at once.
            Self::Opening(_) => reason.error_line().is_some() || reason.has_alert(),
            Self::Open | Self::Deferred | Self::Sending => reason.lingers(),
            Self::Closing(_) => false,
        }
    }
}

impl LingeringClose {
    pub(super) fn new(reason: CloseReason) -> Self {
        Self {
            reason,
            awaits_fin_since_s: None,
            discarded: 0,
        }
    }

    /// Whether the client still counts: it was not refused, and FIN was not sent yet.
    pub(crate) fn is_counted(&self) -> bool {
        self.awaits_fin_since_s.is_none() && !matches!(self.reason, CloseReason::Refused(_))
    }
}
