//! A client: the value that travels from the acceptor over the queue and the workers to parking.

use std::mem;
use std::sync::atomic::Ordering;

use mio::net::TcpStream;

use crate::closed::{Closed, Deadline};
use crate::config::OutputLimit;
use crate::connection::Connection;
use crate::facts::register::{NO_COMMAND, flag};
use crate::resp::{Parser, Reply};
use crate::session::Session;
use crate::settings::Timeouts;

/// One client. It has one owner at a time: the acceptor makes it, the queue carries it, a worker
/// serves it, parking keeps it while it is quiet. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) session: Session,
    /// The bytes of a request that has not wholly come, or of requests that wait for their turn.
    pub(crate) held: Option<Box<Held>>,
    /// Set once the client is on its way out.
    pub(crate) leaving: Option<Leaving>,
    /// Since when it has been owed something without pause, by the coarse clock.
    pub(crate) blocked_since_s: Option<u32>,
}

/// Input that a turn left unserved, and how far the request at its front was understood.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    // Invariant: served <= bytes.len().
    served: usize,
    parser: Parser,
    /// Since when the peer has had the time to send the rest of the request at the front, by the
    /// coarse clock.
    since_s: u32,
}

impl Held {
    pub(crate) fn new(bytes: &[u8], parser: Parser, now_s: u32) -> Self {
        Self {
            bytes: bytes.to_vec(),
            served: 0,
            parser,
            since_s: now_s,
        }
    }

    /// Has the time of the request at the front begin now.
    pub(crate) fn restart(&mut self, now_s: u32) {
        self.since_s = now_s;
    }

    /// Adds what has come since. Gives all that is unserved, and its parser.
    pub(crate) fn extend(&mut self, fresh: &[u8]) -> (&mut Parser, &[u8]) {
        self.bytes.drain(..mem::take(&mut self.served));
        self.bytes.extend_from_slice(fresh);
        (&mut self.parser, &self.bytes)
    }

    /// Bytes that are unserved.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.served
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
pub(crate) struct Leaving {
    pub(crate) why: Closed,
    /// Everything owed was sent, and our end behind it.
    pub(crate) sending_ended: bool,
    /// When that was, by the coarse clock.
    pub(crate) since_s: u32,
    /// Bytes read away so far.
    pub(crate) discarded: usize,
    /// It has had its time: the next turn closes it.
    pub(crate) overdue: bool,
}

impl Client {
    pub(crate) fn new(socket: TcpStream, session: Session) -> Self {
        Self {
            connection: Connection::new(socket),
            session,
            held: None,
            leaving: None,
            blocked_since_s: None,
        }
    }

    /// Its slot in parking, from its accept to its close.
    pub(crate) fn place(&self) -> usize {
        self.session.entry().place
    }

    /// Whether it rests because the server's clients are paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.session.entry().has(flag::PAUSED)
    }

    /// Notes in its entry that it has been served, and what is left to do for it.
    pub(crate) fn publish(&self, now_s: u32) {
        let held_bytes = self.held.as_ref().map_or(0, |held| held.len());
        let owed_bytes = self.connection.owed_bytes();
        let entry = self.session.entry();
        entry.publish(now_s, held_bytes, owed_bytes);
    }

    /// Whether it rests only for want of something to read, or because of a pause: nothing is
    /// owed, and it is not on its way out.
    pub(crate) fn is_quiet(&self) -> bool {
        self.leaving.is_none() && !self.connection.owes()
    }

    /// Notes that nothing is owed any more.
    pub(crate) fn unblock(&mut self, now_s: u32) {
        self.blocked_since_s = None;
        // Nothing was read meanwhile, so it could not send the rest of a request.
        if let Some(held) = &mut self.held {
            held.restart(now_s);
        }
    }

    /// Puts the client on its way out, with last words if there are some for it.
    pub(crate) fn leave(&mut self, why: Closed) {
        if let Some(words) = why.last_words() {
            let mut bytes = Vec::new();
            let _ = Reply::new(&mut bytes, self.session.protocol()).error(words);
            self.connection.owe(bytes);
        }
        self.held = None;
        self.leaving = Some(Leaving {
            why,
            sending_ended: false,
            since_s: 0,
            discarded: 0,
            overdue: false,
        });
    }

    /// Ends the rest of a client that is late: it leaves, and if it was leaving, it goes.
    pub(crate) fn expire(&mut self, deadline: Deadline) {
        match &mut self.leaving {
            Some(leaving) => leaving.overdue = true,
            None => self.leave(Closed::Late(deadline)),
        }
    }

    /// Whether it is one of the server's clients: admitted, and not yet sent all that it is owed.
    pub(crate) fn is_counted(&self) -> bool {
        self.leaving.as_ref().is_none_or(Leaving::is_counted)
    }

    /// Whether it has been sent all that it is owed, and our end, and only its own end is waited
    /// for.
    pub(crate) fn is_seen_off(&self) -> bool {
        self.leaving
            .as_ref()
            .is_some_and(|leaving| leaving.sending_ended)
    }

    /// Whether more waits for it than a client that waits for replies may have.
    pub(crate) fn exceeds(&self, now_s: u32, limit: OutputLimit) -> bool {
        if self.leaving.is_some() || self.session.listens() {
            return false;
        }
        let bytes = self.connection.owed_bytes();
        let exceeds = |limit_bytes| limit_bytes > 0 && bytes > limit_bytes;
        let since_s = self.blocked_since_s.unwrap_or(now_s);
        exceeds(limit.hard_bytes)
            || (exceeds(limit.soft_bytes) && now_s.saturating_sub(since_s) > limit.soft_s)
    }

    /// What the client has rested too long for, if it has.
    pub(crate) fn is_late_for(&self, now_s: u32, timeouts: Timeouts) -> Option<Deadline> {
        let entry = self.session.entry();
        let active_at_s = entry.active_at_s.load(Ordering::Relaxed);
        let is_over =
            |since_s: u32, limit_s| limit_s > 0 && now_s.saturating_sub(since_s) > limit_s;
        let first_of = |deadlines: &[(Deadline, u32, u32)]| {
            let mut deadlines = deadlines.iter();
            let late = deadlines.find(|&&(_, since_s, limit_s)| is_over(since_s, limit_s));
            late.map(|&(deadline, ..)| deadline)
        };
        match (&self.leaving, &self.held) {
            (Some(leaving), _) if leaving.sending_ended => {
                first_of(&[(Deadline::Farewell, leaving.since_s, FAREWELL_S_MAX)])
            }
            (Some(_), _) => first_of(&[(Deadline::Farewell, active_at_s, OWED_S_MAX)]),
            // It is woken when there is room, so it was active when it last took something.
            (None, _) if self.connection.owes() => {
                first_of(&[(Deadline::Write, active_at_s, timeouts.write_s)])
            }
            // As in Redis, neither who waits by our word is idle, nor who only listens.
            (None, _) if entry.has(flag::PAUSED) => None,
            (None, Some(held)) => first_of(&[
                (Deadline::Request, held.since_s, timeouts.request_s),
                (Deadline::Idle, active_at_s, timeouts.idle_s),
            ]),
            (None, None) if self.session.listens() => None,
            (None, None)
                if entry.command.load(Ordering::Relaxed) == NO_COMMAND
                    && !self.connection.has_read() =>
            {
                first_of(&[
                    (Deadline::FirstByte, entry.came_at_s, timeouts.first_byte_s),
                    (Deadline::Idle, active_at_s, timeouts.idle_s),
                ])
            }
            (None, None) => first_of(&[(Deadline::Idle, active_at_s, timeouts.idle_s)]),
        }
    }
}

impl Leaving {
    /// As [`Client::is_counted`].
    pub(crate) fn is_counted(&self) -> bool {
        !self.sending_ended && !matches!(self.why, Closed::Refused(_))
    }
}

/// Seconds between our end and the close, if the peer does not end before. A round trip is what an
/// attentive peer takes. The coarse clock may add one.
const FAREWELL_S_MAX: u32 = 2;

/// Seconds that a client on its way out may take nothing of what it is owed.
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

    fn only(timeouts: Timeouts) -> impl Fn(&Client, u32) -> Option<Deadline> {
        move |client, now_s| client.is_late_for(now_s, timeouts)
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
        assert_eq!(client.is_late_for(u32::MAX, Timeouts::default()), None);
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
        client.session.entry().command.store(0, Ordering::Relaxed);
        assert_eq!(late(&client, u32::MAX), None);
    }

    #[test]
    fn a_request_has_its_time_from_its_beginning_however_often_a_byte_comes() {
        let mut client = client();
        let late = only(Timeouts {
            request_s: 30,
            ..Timeouts::default()
        });
        client.held = Some(Box::new(Held::new(b"PI", Parser::default(), 100)));
        client.publish(125);
        assert_eq!(late(&client, 130), None);
        assert_eq!(late(&client, 131), Some(Deadline::Request));
        // The request is whole, and the next has begun.
        let held = client.held.take().expect("it was put there");
        client.held = held.without(1, 131);
        assert_eq!(late(&client, 161), None);
        assert_eq!(late(&client, 162), Some(Deadline::Request));
        client.session.entry().set(flag::PAUSED, true);
        assert_eq!(late(&client, u32::MAX), None);
    }

    #[test]
    fn who_is_owed_something_has_its_time_from_when_it_last_took_some() {
        let mut client = client();
        client.connection.owe(b"+PONG\r\n".to_vec());
        client.publish(100);
        let late = only(Timeouts {
            write_s: 60,
            idle_s: 1,
            request_s: 1,
            first_byte_s: 1,
        });
        assert_eq!(late(&client, 160), None);
        assert_eq!(late(&client, 161), Some(Deadline::Write));
    }

    #[test]
    fn a_farewell_waits_longer_for_who_still_reads_than_for_who_only_has_to_end() {
        let mut client = client();
        client.leave(Closed::Quit);
        client.publish(100);
        let late = only(Timeouts::default());
        assert_eq!(late(&client, 100 + OWED_S_MAX), None);
        assert_eq!(late(&client, 101 + OWED_S_MAX), Some(Deadline::Farewell));
        if let Some(leaving) = &mut client.leaving {
            leaving.sending_ended = true;
            leaving.since_s = 200;
        }
        assert_eq!(late(&client, 200 + FAREWELL_S_MAX), None);
        assert_eq!(
            late(&client, 201 + FAREWELL_S_MAX),
            Some(Deadline::Farewell)
        );
    }

    #[test]
    fn what_a_huge_request_needed_is_given_back_when_it_is_served() {
        let mut held = Box::new(Held::new(&vec![b'x'; 1 << 20], Parser::default(), 0));
        held.extend(b"PI");
        let held = held.without(1 << 20, 0).expect("two bytes are left");
        assert_eq!(held.bytes, b"PI");
        assert!(held.bytes.capacity() < 100);
        assert!(held.without(2, 0).is_none());
    }
}
