//! Counts closed clients by reason, and logs them.

use std::sync::atomic::{AtomicU32, Ordering};

use super::clients::ClientInfo;
use super::close_reason::{CloseReason, NAMES};
use super::counter::ResettableCounter;
use crate::net::peer::Peer;

#[derive(Debug, Default)]
pub(crate) struct Closes {
    by_reason: [ResettableCounter; NAMES.len()],
    /// When HTTP may be logged again, in seconds of the coarse clock.
    next_http_warning_s: AtomicU32,
}

impl Closes {
    /// Counts and logs the close of a client.
    pub(crate) fn note(&self, info: &ClientInfo, reason: &CloseReason, now_s: u32) {
        self.by_reason[reason.index()].count();
        let (id, peer) = (info.id, &info.peer);
        if matches!(reason, CloseReason::Http { .. }) && self.is_http_warning_due(now_s) {
            log::warn!(
                "client {id} ({peer}) closed: it sent an HTTP request, perhaps from a web page that \
                 attacks this port (INFO counts these as closed_http)"
            );
        }
        let after_s = now_s.saturating_sub(info.came_at_s);
        log::debug!("client {id} ({peer}) closed after {after_s} s: {reason}");
    }

    /// Counts and logs a connection that did not become a client.
    pub(super) fn note_refusal(&self, peer: &Peer, reason: &CloseReason) {
        self.by_reason[reason.index()].count();
        log::debug!("connection from {peer} closed at once: {reason}");
    }

    /// Whether HTTP may be logged: at most once a minute, as in Redis.
    fn is_http_warning_due(&self, now_s: u32) -> bool {
        let next = |next_s| (now_s >= next_s).then_some(now_s + HTTP_WARNING_S);
        let next_s = &self.next_http_warning_s;
        next_s
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
    }

    /// Returns the number of closes for each reason, in INFO's order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.by_reason.iter().map(ResettableCounter::get);
        NAMES.iter().copied().zip(counts)
    }

    pub(super) fn reset(&self) {
        self.by_reason.iter().for_each(ResettableCounter::reset);
    }
}

/// Seconds between two warnings of HTTP.
const HTTP_WARNING_S: u32 = 60;
