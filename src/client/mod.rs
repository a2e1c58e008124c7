//! A client: the value that travels from the acceptor over the queue and the workers to parking.

pub(crate) mod session;
mod states;

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mio::net::TcpStream;

use crate::client::session::Session;
use crate::config::{OutputLimit, OutputLimits};
use crate::net::connection::Connection;
use crate::net::pending_output::PendingOutput;
use crate::resp::{Parser, Reply};
use crate::server::live_settings::Timeouts;
use crate::state::Now;
use crate::state::clients::{NO_COMMAND, PendingInputBytes, flag};
use crate::state::close_reason::{CloseReason, Deadline};

/// One client. It has one owner at a time: the acceptor makes it, the queue carries it, a worker
/// serves it, parking keeps it while it is quiet. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) session: Session,
    /// The bytes of a request that has not wholly come, or of requests that wait for their turn.
    pub(crate) pending_input: Option<Box<PendingInput>>,
    /// Set once the client is on its way out.
    pub(crate) lingering: Option<LingeringClose>,
    /// The clock found it late, or its pending output too large: a worker decides at the end of the
    /// next turn, after it has read the socket.
    pub(crate) suspect: bool,
    /// Dropped in its first turn.
    pub(crate) newcomer: Option<Newcomer>,
}

/// A client that was admitted and has not had its first turn, so that nobody knows yet whether its
/// peer has left.
#[derive(Debug)]
pub(crate) struct Newcomer(Arc<AtomicUsize>);

impl Newcomer {
    /// Counted in `newcomers` until it is dropped.
    pub(crate) fn new(newcomers: &Arc<AtomicUsize>) -> Self {
        newcomers.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(newcomers))
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Input that a turn left unserved, and how far the request at its front was understood.
#[derive(Debug)]
pub(crate) struct PendingInput {
    bytes: Vec<u8>,
    // Invariant: served <= bytes.len().
    served: usize,
    parser: Parser,
    /// Since when the peer has had the time to send the rest of the request at the front, by the
    /// coarse clock.
    since_s: u32,
    /// When the last of these bytes came, by the coarse clock.
    progress_s: u32,
}

impl PendingInput {
    pub(crate) fn new(bytes: &[u8], parser: Parser, now_s: u32) -> Self {
        Self {
            bytes: bytes.to_vec(),
            served: 0,
            parser,
            since_s: now_s,
            progress_s: now_s,
        }
    }

    /// Has the time of the request at the front begin now.
    pub(crate) fn restart(&mut self, now_s: u32) {
        self.since_s = now_s;
        self.progress_s = now_s;
    }

    /// Whether the rest of the request at the front is late: nothing came for `timeout_s`, or all
    /// that came did so too slowly. Each byte earns a second beside `timeout_s`, for up to
    /// [`SLOW_REQUEST_S_MAX`] seconds; after that, it takes [`REQUEST_BYTES_PER_S_MIN`] bytes.
    fn is_late(&self, now: Now, timeout_s: u32) -> bool {
        if timeout_s == 0 {
            return false;
        }
        let bytes = self.len();
        let earned_s = bytes.min(SLOW_REQUEST_S_MAX + bytes / REQUEST_BYTES_PER_S_MIN);
        now.elapsed_s(self.progress_s) > timeout_s
            || now.elapsed_s(self.since_s) as usize > timeout_s as usize + earned_s
    }

    /// Adds what has come since. Returns all that is unserved, and its parser.
    pub(crate) fn extend(&mut self, fresh: &[u8], now_s: u32) -> (&mut Parser, &[u8]) {
        self.bytes.drain(..mem::take(&mut self.served));
        self.bytes.extend_from_slice(fresh);
        if !fresh.is_empty() {
            self.progress_s = now_s;
        }
        (&mut self.parser, &self.bytes)
    }

    /// Bytes that are unserved.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.served
    }

    /// Bytes of memory that it takes.
    pub(crate) fn bytes(&self) -> PendingInputBytes {
        PendingInputBytes {
            unserved: self.len(),
            free: self.bytes.capacity() - self.len(),
            table: size_of::<Self>() + self.parser.memory_bytes(),
        }
    }

    /// What is left behind the next `count` bytes, which were served; `None` if nothing is.
    pub(crate) fn without(mut self: Box<Self>, count: usize, now_s: u32) -> Option<Box<Self>> {
        if count > 0 {
            self.restart(now_s);
        }
        self.served += count;
        debug_assert!(self.served <= self.bytes.len());
        if self.served > SERVED_BYTES_KEPT {
            self.bytes = self.bytes[mem::take(&mut self.served)..].to_vec();
            self.parser.shrink();
        }
        (self.served < self.bytes.len()).then_some(self)
    }
}

/// Bytes already served that are kept in front of those that are not. Beyond that it is cheaper to
/// move those than to keep, until the rest of a request comes, the memory that a huge one has left.
const SERVED_BYTES_KEPT: usize = 64 * 1024;

/// The state of a lingering close: what was owed is sent, then our end, and then the peer's bytes
/// are read away until it ends too. A socket closed with unread bytes in it would send a reset
/// instead, which can overtake the last reply.
#[derive(Debug)]
pub(crate) struct LingeringClose {
    pub(crate) why: CloseReason,
    /// Everything owed was sent, and our end behind it.
    pub(crate) sending_ended: bool,
    /// When that was, by the coarse clock.
    pub(crate) since_s: u32,
    /// Bytes read away so far.
    pub(crate) discarded: usize,
}

impl Client {
    pub(crate) fn new(socket: TcpStream, session: Session) -> Self {
        Self {
            connection: Connection::new(socket),
            session,
            pending_input: None,
            lingering: None,
            suspect: false,
            newcomer: None,
        }
    }

    /// Its slot in parking, from its accept to its close.
    pub(crate) fn slot(&self) -> usize {
        self.session.info().slot
    }

    /// Whether it rests because the server's clients are paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.session.info().has(flag::PAUSED)
    }

    /// Notes in its entry that it has been served, and what is left to do for it.
    pub(crate) fn publish(&self, now_s: u32) {
        let pending_input = self.pending_input.as_ref();
        let pending_input_bytes = pending_input
            .map_or_else(PendingInputBytes::default, |pending_input| {
                pending_input.bytes()
            });
        let pending_bytes = self.connection.pending_bytes();
        let info = self.session.info();
        info.publish(now_s, pending_input_bytes, pending_bytes);
    }

    /// Whether its requests are left unread because too much output is pending.
    pub(crate) fn is_write_blocked(&self) -> bool {
        let pending = self.connection.pending();
        pending.is_some_and(PendingOutput::is_blocked)
    }

    /// Whether a turn must not end before it was asked if the client is to be closed.
    pub(crate) fn has_concerns(&self) -> bool {
        self.suspect || self.connection.pending().is_some()
    }

    /// Whether it rests only for want of something to read, or because of a pause: no output is
    /// pending, and it is not on its way out.
    pub(crate) fn is_quiet(&self) -> bool {
        self.lingering.is_none() && self.connection.pending().is_none()
    }

    /// Puts the client on its way out, with last words if there are some for it.
    pub(crate) fn leave(&mut self, why: CloseReason) {
        if let Some(words) = why.last_words() {
            let mut bytes = Vec::new();
            let _ = Reply::new(&mut bytes, self.session.protocol()).error(words);
            self.connection.append(bytes);
        }
        if let Some(pending) = self.connection.pending_mut() {
            pending.block_until_sent();
        }
        self.pending_input = None;
        self.lingering = Some(LingeringClose {
            why,
            sending_ended: false,
            since_s: 0,
            discarded: 0,
        });
    }

    /// Whether it is one of the server's clients: admitted, and not yet sent all that it is owed.
    pub(crate) fn is_counted(&self) -> bool {
        self.lingering
            .as_ref()
            .is_none_or(LingeringClose::is_counted)
    }

    /// Whether it has been sent all that it is owed, and our end, and only its own end is waited
    /// for.
    pub(crate) fn is_half_closed(&self) -> bool {
        self.lingering
            .as_ref()
            .is_some_and(|lingering| lingering.sending_ended)
    }

    /// Whether more output is pending than `limits` allow for its class, or has been for too long.
    pub(crate) fn exceeds(&self, now_s: u32, limits: OutputLimits) -> bool {
        let Some(pending) = self.connection.pending() else {
            return false;
        };
        self.lingering.is_none() && pending.exceeds(now_s, self.output_limit(limits))
    }

    /// The limit for its class.
    pub(crate) fn output_limit(&self, limits: OutputLimits) -> OutputLimit {
        if self.session.listens() {
            limits.pubsub
        } else {
            limits.normal
        }
    }

    /// The deadline that the client has missed, if it has.
    pub(crate) fn is_late_for(&self, now: Now, timeouts: Timeouts) -> Option<Deadline> {
        let info = self.session.info();
        let active_at_s = info.active_at_s.load(Ordering::Relaxed);
        let late = |deadline, since_s, limit_s| {
            (limit_s > 0 && now.elapsed_s(since_s) > limit_s).then_some(deadline)
        };
        if let Some(lingering) = &self.lingering {
            return match self.connection.pending() {
                _ if lingering.sending_ended => {
                    late(Deadline::Farewell, lingering.since_s, FAREWELL_S_MAX)
                }
                Some(pending) => late(Deadline::Farewell, pending.progress_s(), OWED_S_MAX),
                None => None,
            };
        }
        if let Some(pending) = self.connection.pending() {
            let since_s = pending.progress_s();
            if pending.is_blocked() {
                return late(Deadline::Write, since_s, timeouts.write_s);
            }
            let late = late(Deadline::PendingOutput, since_s, timeouts.pending_output_s);
            if late.is_some() {
                return late;
            }
        }
        // As in Redis, neither a paused client is idle, nor one that only listens.
        if info.has(flag::PAUSED) {
            return None;
        }
        let idle = late(Deadline::Idle, active_at_s, timeouts.idle_s);
        match &self.pending_input {
            Some(pending_input) if pending_input.is_late(now, timeouts.request_s) => {
                Some(Deadline::Request)
            }
            None if self.session.listens() => None,
            None if info.command.load(Ordering::Relaxed) == NO_COMMAND
                && !self.connection.has_read() =>
            {
                late(Deadline::FirstByte, info.came_at_s, timeouts.first_byte_s).or(idle)
            }
            Some(_) | None => idle,
        }
    }
}

impl LingeringClose {
    /// As [`Client::is_counted`].
    pub(crate) fn is_counted(&self) -> bool {
        !self.sending_ended && !matches!(self.why, CloseReason::Refused(_))
    }
}

/// Seconds between our end and the close, if the peer does not end before. A round trip is what an
/// attentive peer takes. The coarse clock may add one.
const FAREWELL_S_MAX: u32 = 2;

/// Seconds that a client may earn for a request by a byte each.
const SLOW_REQUEST_S_MAX: usize = 600;

/// Bytes a second that a request needs once it has earned [`SLOW_REQUEST_S_MAX`]: a slow link sends
/// far more, and a peer that only wants to hold memory has to send so much.
const REQUEST_BYTES_PER_S_MIN: usize = 1024;

/// Seconds that a client on its way out may take nothing of its pending output.
const OWED_S_MAX: u32 = 60;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    fn client() -> Client {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let socket = TcpStream::connect(addr).expect("it listens");
        Client::new(socket, Session::for_test(0, addr))
    }

    fn at(s: u32) -> Now {
        Now { s, resumed_s: 0 }
    }

    fn only(timeouts: Timeouts) -> impl Fn(&Client, u32) -> Option<Deadline> {
        move |client, now_s| client.is_late_for(at(now_s), timeouts)
    }

    #[test]
    fn each_time_begins_again_when_a_stopped_process_goes_on() {
        let client = client();
        client.publish(100);
        let late = |s, resumed_s| {
            let timeouts = Timeouts {
                idle_s: 10,
                ..Timeouts::default()
            };
            client.is_late_for(Now { s, resumed_s }, timeouts)
        };
        assert_eq!(late(160, 90), Some(Deadline::Idle));
        assert_eq!(late(160, 150), None);
        assert_eq!(late(161, 150), Some(Deadline::Idle));
    }

    #[test]
    fn timeout_counts_from_the_last_park_and_0_means_for_ever() {
        let client = client();
        client.publish(100);
        let late = only(Timeouts {
            idle_s: 10,
            ..Timeouts::default()
        });
        assert_eq!(late(&client, 110), None);
        assert_eq!(late(&client, 111), Some(Deadline::Idle));
        assert_eq!(client.is_late_for(at(u32::MAX), Timeouts::default()), None);
    }

    #[test]
    fn the_first_byte_has_a_time_of_its_own_until_it_comes() {
        let client = client();
        client.publish(100);
        let late = only(Timeouts {
            first_byte_s: 10,
            ..Timeouts::default()
        });
        assert_eq!(late(&client, 10), None);
        assert_eq!(late(&client, 11), Some(Deadline::FirstByte));
        client.session.info().command.store(0, Ordering::Relaxed);
        assert_eq!(late(&client, u32::MAX), None);
    }

    #[test]
    fn request_is_late_without_progress() {
        let mut client = client();
        let late = only(Timeouts {
            request_s: 30,
            ..Timeouts::default()
        });
        client.pending_input = Some(Box::new(PendingInput::new(b"PI", Parser::default(), 100)));
        client.publish(125);
        assert_eq!(late(&client, 130), None);
        assert_eq!(late(&client, 131), Some(Deadline::Request));
        // The request is whole, and the next has begun.
        let pending_input = client.pending_input.take().expect("it was put there");
        client.pending_input = pending_input.without(1, 131);
        assert_eq!(late(&client, 161), None);
        assert_eq!(late(&client, 162), Some(Deadline::Request));
        client.session.info().set(flag::PAUSED, true);
        assert_eq!(late(&client, u32::MAX), None);
    }

    /// When a request is late that comes in pieces of `bytes`, one each `period_s`.
    fn late_at(bytes: usize, period_s: u32) -> Option<u32> {
        let piece = vec![b'x'; bytes];
        let mut pending_input = PendingInput::new(&piece, Parser::default(), 0);
        let mut now_s = 0;
        while now_s < 10_000 {
            now_s += 1;
            if pending_input.is_late(at(now_s), 30) {
                return Some(now_s);
            }
            if now_s.is_multiple_of(period_s) {
                pending_input.extend(&piece, now_s);
            }
        }
        None
    }

    #[test]
    fn request_that_comes_slowly_is_late_only_below_a_rate() {
        // Two bytes a second are enough for ten minutes, and a slow link for any time.
        assert_eq!(late_at(2, 1), Some(30 + 600 + 2));
        assert_eq!(late_at(20_000, 10), None);
        // A byte just before each timeout earns a second.
        assert_eq!(late_at(1, 29), Some(33));
        assert_eq!(late_at(100_000, 31), Some(31));
    }

    #[test]
    fn pending_output_is_late_from_its_last_progress() {
        let mut client = client();
        client.connection.append(b"+PONG\r\n".to_vec());
        let none = OutputLimits::default().normal;
        let pending = client.connection.pending_mut().expect("it was appended");
        pending.note(100, none);
        // The client is active, and yet takes nothing.
        client.publish(159);
        pending_of(&mut client).note(159, none);
        let late = only(Timeouts {
            write_s: 60,
            pending_output_s: 600,
            ..Timeouts::default()
        });
        assert_eq!(late(&client, 700), None);
        assert_eq!(late(&client, 701), Some(Deadline::PendingOutput));
        pending_of(&mut client).block_until_sent();
        assert_eq!(late(&client, 160), None);
        assert_eq!(late(&client, 161), Some(Deadline::Write));
    }

    fn pending_of(client: &mut Client) -> &mut PendingOutput {
        let pending = client.connection.pending_mut();
        pending.expect("output is pending")
    }

    #[test]
    fn output_beyond_a_limit_of_its_class_closes_a_client() {
        let mut client = client();
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
        pending_of(&mut client).note(10, limit(0, 999));
        assert!(!client.exceeds(70, limits(limit(0, 999), none)));
        assert!(client.exceeds(71, limits(limit(0, 999), none)));
        pending_of(&mut client).note(71, limit(0, 1000));
        assert!(!client.exceeds(200, limits(limit(0, 1000), none)));
        client.session.info().set(flag::MONITOR, true);
        assert!(!client.exceeds(200, limits(limit(1, 0), none)));
        assert!(client.exceeds(200, limits(none, limit(1, 0))));
    }

    #[test]
    fn a_farewell_waits_longer_for_who_still_reads_than_for_who_only_has_to_end() {
        let mut client = client();
        client.connection.append(b"+OK\r\n".to_vec());
        client.leave(CloseReason::Quit);
        pending_of(&mut client).note(100, OutputLimits::default().normal);
        let late = only(Timeouts::default());
        assert_eq!(late(&client, 100 + OWED_S_MAX), None);
        assert_eq!(late(&client, 101 + OWED_S_MAX), Some(Deadline::Farewell));
        if let Some(lingering) = &mut client.lingering {
            lingering.sending_ended = true;
            lingering.since_s = 200;
        }
        assert_eq!(late(&client, 200 + FAREWELL_S_MAX), None);
        assert_eq!(
            late(&client, 201 + FAREWELL_S_MAX),
            Some(Deadline::Farewell)
        );
    }

    #[test]
    fn what_a_huge_request_needed_is_given_back_when_it_is_served() {
        let mut pending_input = Box::new(PendingInput::new(
            &vec![b'x'; 1 << 20],
            Parser::default(),
            0,
        ));
        pending_input.extend(b"PI", 0);
        let pending_input = pending_input
            .without(1 << 20, 0)
            .expect("two bytes are left");
        assert_eq!(pending_input.bytes, b"PI");
        assert!(pending_input.bytes.capacity() < 100);
        assert!(pending_input.without(2, 0).is_none());
    }
}
