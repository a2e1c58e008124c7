//! Counts closed clients by reason, and logs them.

use std::sync::atomic::{AtomicU32, Ordering};

use super::clients::ClientInfo;
use super::close_reason::{CloseReason, Deadline, NAMES};
use super::counter::ResettableCounter;
use crate::logging;
use crate::net::peer::Peer;

#[derive(Debug, Default)]
pub(crate) struct Closes {
    by_reason: [ResettableCounter; NAMES.len()],
    http_warning: Warning,
    proxy_header_warning: Warning,
}

impl Closes {
    /// Counts and logs the close of a client.
    pub(crate) fn note(&self, info: &ClientInfo, reason: &CloseReason, now_s: u32) {
        self.by_reason[reason.index()].count();
        let (id, peer) = (info.id, &info.peer);
        match reason {
            CloseReason::Http { .. } if self.http_warning.is_due(now_s) => logging::warn!(
                "client {id} ({peer}) closed: it sent an HTTP request, perhaps from a web page that \
                 attacks this port (INFO counts these as closed_http)"
            ),
            CloseReason::NoProxyHeader | CloseReason::Late(Deadline::ProxyHeader)
                if self.proxy_header_warning.is_due(now_s) =>
            {
                logging::warn!(
                    "connection from {peer} closed: {reason} (have the proxy there send the header, \
                     or take its address out of `proxy-protocol-from`)"
                );
            }
            _ => {}
        }
        let after_s = now_s.saturating_sub(info.came_at_s);
        logging::debug!("client {id} ({peer}) closed after {after_s} s: {reason}");
    }

    /// Counts and logs a connection that did not become a client.
    pub(super) fn note_refusal(&self, peer: &Peer, reason: &CloseReason) {
        self.by_reason[reason.index()].count();
        logging::debug!("connection from {peer} closed at once: {reason}");
    }

    /// Returns the number of closes for each reason, in INFO's order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.by_reason.iter().map(ResettableCounter::get);
        NAMES.iter().copied().zip(counts)
    }

    /// Returns the number of closes for any of these reasons.
    pub(crate) fn sum_of(&self, reasons: &[&str]) -> u64 {
        let found = self.all().filter(|(reason, _)| reasons.contains(reason));
        found.map(|(_, count)| count).sum()
    }

    pub(super) fn reset(&self) {
        self.by_reason.iter().for_each(ResettableCounter::reset);
    }
}

/// A warning that is logged at most once a minute, as in Redis: the time of the next one, in
/// seconds of the coarse clock.
#[derive(Debug, Default)]
struct Warning(AtomicU32);

impl Warning {
    /// Whether it may be logged now. If so, the next one has to wait.
    fn is_due(&self, now_s: u32) -> bool {
        let next = |next_s| (now_s >= next_s).then_some(now_s + WARNING_PERIOD_S);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
    }
}

/// Seconds between two warnings.
const WARNING_PERIOD_S: u32 = 60;
