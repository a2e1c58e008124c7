//! A client: the value that travels from the acceptor over the queue and the workers to parking.

mod bulk_from;
pub(crate) mod pending_input;
pub(crate) mod session;
pub(crate) mod snapshot;
pub(crate) mod stage;
pub(crate) mod timeouts;
pub(crate) mod transaction;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::config::{OutputLimit, OutputLimits};
use crate::net::connection::Connection;
use crate::net::pending_output::PendingOutput;
use crate::resp::Reply;
use crate::state::clients::ClientFlags;
use crate::state::close_reason::{CloseReason, Refused};
use pending_input::PendingInput;
use session::Session;
use stage::{LingeringClose, Opening, Stage};

/// One client. It has one owner at a time: the acceptor makes it, the queue carries it, a worker
/// serves it, parking keeps it while it is idle. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) session: Session,
    /// An incomplete request, or requests that a turn left unserved.
    pub(crate) pending_input: Option<Box<PendingInput>>,
    pub(crate) stage: Stage,
    /// Set by the clock if a deadline was missed or too much output is pending. A worker decides at
    /// the end of the next turn, after it has read the socket.
    pub(crate) needs_check: bool,
    /// Whether a drain waits for its first request. Set at the end of a turn, until the next one.
    pub(crate) is_awaited: bool,
    /// Whether a notification of messages, not an event, has ended its rest. Until its next turn.
    pub(crate) is_notified: bool,
    /// When it became ready for a turn, by the pool's clock. 0 if the pool's last poll says that,
    /// and in a turn.
    pub(crate) ready_at: u32,
    /// A share of the server's count of newcomers. Dropped in the first turn: nobody knows before
    /// it whether the peer has left.
    pub(crate) newcomer: Option<Arc<()>>,
}

impl Client {
    /// A client without `opening` is served at once.
    pub(crate) fn new(socket: OwnedFd, session: Session, opening: Option<Opening>) -> Self {
        Self {
            connection: Connection::new(socket),
            session,
            pending_input: None,
            stage: opening.map_or(Stage::Open, Stage::Opening),
            needs_check: false,
            is_awaited: false,
            is_notified: false,
            ready_at: 0,
            newcomer: None,
        }
    }

    /// The slot in parking, from accept to close.
    pub(crate) fn slot(&self) -> usize {
        self.session.info().slot
    }

    /// Whether another thread has left something for it.
    pub(crate) fn has_unread(&self) -> bool {
        self.session.info().inbox.has_unread()
    }

    /// Whether its requests are served, or wait for a reply.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Deferred | Stage::Sending)
    }

    /// Whether CLIENT PAUSE holds its requests up.
    pub(crate) fn is_paused(&self) -> bool {
        self.session.info().has(ClientFlags::PAUSED)
    }

    /// Notes the end of a turn in the registry, with the bytes that are pending.
    pub(crate) fn publish(&self, now_s: u32) {
        let info = self.session.info();
        info.active_at_s.store(now_s, Ordering::Relaxed);
        #[cfg(feature = "tls")]
        let has_tls = self.connection.has_tls();
        #[cfg(not(feature = "tls"))]
        let has_tls = false;
        if self.pending_input.is_some() || info.pending_input.get() > 0 || has_tls {
            self.publish_input();
        }
        info.pending_output
            .set(self.connection.pending().map_or(0, PendingOutput::len));
    }

    #[cold]
    fn publish_input(&self) {
        let info = self.session.info();
        let sum =
            |bytes: fn(&PendingInput) -> usize| self.pending_input.as_deref().map_or(0, bytes);
        // Bytes of records, before they are decrypted, are input too.
        #[cfg(feature = "tls")]
        let record_bytes = self.connection.record_bytes();
        #[cfg(not(feature = "tls"))]
        let record_bytes = 0;
        info.pending_input
            .set(sum(PendingInput::len) + record_bytes);
        info.pending_input_free.set(sum(PendingInput::free_bytes));
        info.pending_input_table.set(sum(PendingInput::table_bytes));
    }

    /// Whether its requests are not read because too much output is pending.
    pub(crate) fn is_write_blocked(&self) -> bool {
        let pending = self.connection.pending();
        pending.is_some_and(PendingOutput::is_blocked)
    }

    /// Whether its socket may take more of its pending output.
    pub(crate) fn may_have_room(&self, now_s: u32) -> bool {
        let pending = self.connection.pending();
        pending.is_some_and(|pending| pending.may_have_room(now_s))
    }

    /// Whether it only waits for input, for the end of a pause or for an event: no output is
    /// pending, it is not being closed, and no drain waits for its first request or for its
    /// deferred reply.
    pub(crate) fn is_idle(&self) -> bool {
        self.stage.closing().is_none()
            && self.connection.pending().is_none()
            && !self.is_awaited
            && !self.session.holds_drain()
    }

    /// Whether it was accepted a moment ago, and its first request may be on its way.
    pub(crate) fn is_fresh(&self, now_s: u32) -> bool {
        let info = self.session.info();
        info.traffic.requests.get() == 0 && now_s.saturating_sub(info.came_at_s) <= FRESH_S
    }

    /// Begins a lingering close. Sends the error line of `reason` first, if it has one.
    pub(crate) fn begin_close(&mut self, reason: CloseReason) {
        if let Some(error) = reason.error_line() {
            let mut bytes = Vec::new();
            let _ = Reply::new(&mut bytes, self.session.protocol()).error(error);
            self.connection.append(bytes);
        }
        #[cfg(feature = "tls")]
        self.connection.end_tls();
        if let Some(pending) = self.connection.pending_mut() {
            pending.block_until_sent();
        }
        self.pending_input = None;
        self.session.info().set(ClientFlags::CLOSING, true);
        self.stage = Stage::Closing(Box::new(LingeringClose::new(reason)));
    }

    /// Refuses it without an error line, which a client of TLS could not read before the handshake.
    /// The caller closes it at once.
    pub(crate) fn refuse_silently(&mut self, refused: Refused) {
        let closing = LingeringClose::new(CloseReason::Refused(refused));
        self.stage = Stage::Closing(Box::new(closing));
    }

    /// Whether it counts as connected: it was not refused, and FIN was not sent yet.
    pub(crate) fn is_counted(&self) -> bool {
        self.stage.is_counted()
    }

    /// Whether FIN was sent, so that only the peer's FIN is missing.
    pub(crate) fn is_half_closed(&self) -> bool {
        let closing = self.stage.closing();
        closing.is_some_and(|closing| closing.awaits_fin_since_s.is_some())
    }

    /// Whether more output is pending than `limits` allow for its class, or has been for too long.
    pub(crate) fn exceeds(&self, now_s: u32, limits: OutputLimits) -> bool {
        let Some(pending) = self.connection.pending() else {
            return false;
        };
        self.is_open() && pending.exceeds(now_s, self.output_limit(limits))
    }

    /// The limit for its class.
    pub(crate) fn output_limit(&self, limits: OutputLimits) -> OutputLimit {
        if self.session.listens() {
            limits.pubsub
        } else {
            limits.normal
        }
    }
}

/// Age up to which a client is fresh, in seconds of the coarse clock, which may be a second late.
const FRESH_S: u32 = 1;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    impl Client {
        pub(super) fn for_test() -> Self {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let addr = listener.local_addr().expect("it is bound");
            let socket = TcpStream::connect(addr).expect("it listens");
            Self::new(socket.into(), Session::for_test(0, addr), None)
        }
    }

    #[test]
    fn output_beyond_a_limit_of_its_class_closes_a_client() {
        let mut client = Client::for_test();
        client.connection.append(vec![b'x'; 1000]);
        let limit = |hard_bytes, soft_bytes| OutputLimit {
            hard_bytes,
            soft_bytes,
            soft_s: 60,
        };
        let limits = |normal, pubsub| OutputLimits { normal, pubsub };
        let none = limit(0, 0);
        assert!(!client.exceeds(0, limits(limit(1000, 0), none)));
        assert!(client.exceeds(0, limits(limit(999, 0), none)));
        pending_of(&mut client).update_timers(10, limit(0, 999));
        assert!(!client.exceeds(70, limits(limit(0, 999), none)));
        assert!(client.exceeds(71, limits(limit(0, 999), none)));
        pending_of(&mut client).update_timers(71, limit(0, 1000));
        assert!(!client.exceeds(200, limits(limit(0, 1000), none)));
        client.session.info().set(ClientFlags::MONITOR, true);
        assert!(!client.exceeds(200, limits(limit(1, 0), none)));
        assert!(client.exceeds(200, limits(none, limit(1, 0))));
    }

    fn pending_of(client: &mut Client) -> &mut PendingOutput {
        let pending = client.connection.pending_mut();
        pending.expect("output is pending")
    }
}
