//! Measures how long clients wait for their turn, and almost never reads the clock for it.
//!
//! The section "Queue wait" of the README says what is measured, and how exactly.

use std::collections::VecDeque;
use std::mem;
use std::ops::{Range, RangeInclusive};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::client::Client;

/// The clock of all workers, and the time of the last poll.
///
/// Times are microseconds since the start. They begin again at 0 after 71 minutes, so no wait is
/// measured as longer than that. 0 means that the time is not known.
#[derive(Debug)]
pub(super) struct QueueWait {
    start: Instant,
    /// When the last poll ended: what the next one finds is newer. Until a worker reads the clock
    /// after a poll that had to wait, 0.
    polled_at: AtomicU32,
}

/// The time as one worker reads and estimates it.
#[derive(Debug, Default)]
pub(super) struct LocalClock {
    /// Its last reading; 0 if it has slept since.
    read_at: u32,
    /// Turns since that reading.
    turns: u32,
    /// The mean time of a turn between the last two readings, in nanoseconds.
    turn_ns: u32,
}

impl LocalClock {
    /// Counts a turn.
    #[inline]
    pub(super) fn count_turn(&mut self) {
        self.turns = self.turns.wrapping_add(1);
    }

    /// Forgets the time: the worker has slept, or has spun for some time.
    #[inline]
    pub(super) fn forget(&mut self) {
        self.read_at = 0;
    }

    fn set(&mut self, now: u32) {
        if self.read_at != 0 && self.turns > 0 {
            let turn_ns = u64::from(elapsed_us(now, self.read_at)) * 1000 / u64::from(self.turns);
            // Otherwise this was no row of short turns, and the next turns will not be like it.
            if turn_ns <= SHORT_TURN_NS_MAX.into() {
                self.turn_ns = turn_ns as u32;
            }
        }
        self.read_at = now;
        self.turns = 0;
    }

    /// Returns the time by its last reading and the turns since then.
    fn estimate(&self) -> u32 {
        let passed_us = u64::from(self.turns) * u64::from(self.turn_ns) / 1000;
        self.read_at.wrapping_add(passed_us as u32)
    }
}

impl QueueWait {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            polled_at: AtomicU32::new(0),
        }
    }

    /// Returns a time that was read as the time of this clock.
    pub(super) fn at(&self, at: Instant) -> u32 {
        let passed = at.saturating_duration_since(self.start);
        (passed.as_micros() as u32).max(1)
    }

    /// Notes a time that was read during a turn, before anything that takes long.
    pub(super) fn note(&self, at: Instant) {
        if self.polled_at.load(Ordering::Relaxed) == 0 {
            self.polled_at.store(self.at(at), Ordering::Relaxed);
        }
    }

    /// Notes the last time that a worker read. Returns whether the last poll was long before.
    #[cold]
    pub(super) fn note_own(&self, clock: &mut LocalClock, at: Instant) -> bool {
        let now = self.at(at);
        clock.set(now);
        let polled_at = self.polled_at.load(Ordering::Relaxed);
        if polled_at == 0 {
            self.polled_at.store(now, Ordering::Relaxed);
            return false;
        }
        elapsed_us(now, polled_at) >= LONG_US
    }

    /// Reads the clock for a worker, unless it has done so in the last 64 turns.
    #[cold]
    pub(super) fn refresh(&self, clock: &mut LocalClock) -> u32 {
        if clock.read_at == 0 || clock.turns >= TURNS_BETWEEN_READINGS {
            self.note_own(clock, Instant::now());
        }
        clock.estimate()
    }

    /// Whether the last poll was long ago: then the next one may find clients that have been ready
    /// for long.
    #[inline]
    pub(super) fn was_polled_long_ago(&self, clock: &LocalClock) -> bool {
        let polled_at = self.polled_at.load(Ordering::Relaxed);
        polled_at != 0 && (clock.read_at == 0 || elapsed_us(clock.estimate(), polled_at) >= LONG_US)
    }

    /// Notes the end of a poll that had to wait: what it found became ready just now.
    #[inline]
    pub(super) fn waited(&self, clock: &mut LocalClock) {
        clock.forget();
        self.polled_at.store(0, Ordering::Relaxed);
    }

    /// Notes the end of a poll that did not have to wait, and since when the clients that it woke
    /// have been ready. If `is_full`, the next poll may find others that have been ready as long.
    pub(super) fn polled(
        &self,
        clock: &mut LocalClock,
        woken: &mut VecDeque<Box<Client>>,
        is_full: bool,
    ) {
        let polled_at = self.polled_at.load(Ordering::Relaxed);
        // No worker has read the clock since the last poll, so that was only some turns ago.
        if polled_at == 0 && clock.read_at == 0 {
            return;
        }
        if clock.read_at == 0 {
            self.note_own(clock, Instant::now());
        }
        self.found(clock.estimate(), woken, is_full);
    }

    /// As [`Self::polled`], at a time that is known.
    pub(super) fn found(&self, now: u32, woken: &mut VecDeque<Box<Client>>, is_full: bool) {
        let polled_at = self.polled_at.load(Ordering::Relaxed);
        let bound_us = if polled_at == 0 {
            0
        } else {
            elapsed_us(now, polled_at)
        };
        let new = woken.partition_point(|client| client.ready_at != 0)..woken.len();
        note_ready(woken, new, now, 0..=bound_us, bound_us);
        if !is_full || polled_at == 0 {
            self.polled_at.store(now, Ordering::Relaxed);
        }
    }

    /// Notes since when clients have been ready that earlier polls woke, before another poll.
    pub(super) fn keep(&self, now: u32, woken: &mut VecDeque<Box<Client>>) {
        let polled_at = self.polled_at.load(Ordering::Relaxed);
        let ready_at = if polled_at == 0 { now } else { polled_at };
        for client in woken.iter_mut().filter(|client| client.ready_at == 0) {
            client.ready_at = ready_at;
        }
    }

    /// Whether the client may have waited for the turn that begins. If no worker has read the clock
    /// since the poll that woke it, that was only some turns ago.
    #[inline]
    pub(super) fn may_have_waited(&self, client: &Client) -> bool {
        client.ready_at | self.polled_at.load(Ordering::Relaxed) != 0
    }

    /// Returns how long the client has waited for the turn that begins, in microseconds.
    pub(super) fn end(&self, clock: &mut LocalClock, client: &mut Client) -> u32 {
        let ready_at = match mem::take(&mut client.ready_at) {
            0 => self.polled_at.load(Ordering::Relaxed),
            ready_at => ready_at,
        };
        // The first turn of a client takes longer than others, so a row of them is not estimated.
        if clock.read_at == 0 || !client.session.is_connected {
            self.note_own(clock, Instant::now());
        }
        elapsed_us(clock.estimate(), ready_at)
    }
}

/// Notes since when the clients of `range` have been ready: each became so a time within `ready_us`
/// ago. No client of the list was ready `bound_us` ago.
///
/// The poll lists clients in the order in which they became ready. So the kernel is asked only for
/// some of them: those between two that became ready at about the same time did so too. Over a Unix
/// socket and after RST it does not know, and the answer is `bound_us`. So that answer says nothing
/// of the clients before.
fn note_ready(
    woken: &mut VecDeque<Box<Client>>,
    range: Range<usize>,
    now: u32,
    ready_us: RangeInclusive<u32>,
    bound_us: u32,
) {
    let (shortest_us, longest_us) = ready_us.into_inner();
    let at = |ready_us| now.wrapping_sub(ready_us).max(1);
    if longest_us - shortest_us < ASK_US {
        // On average, if clients become ready at any time in between.
        let ready_at = at(shortest_us.midpoint(longest_us));
        for client in woken.range_mut(range) {
            client.ready_at = ready_at;
        }
    } else if !range.is_empty() {
        let middle = range.start.midpoint(range.end);
        let client = &mut woken[middle];
        let answer_us = ready_for_us(client, bound_us);
        let middle_us = answer_us.clamp(shortest_us, longest_us);
        client.ready_at = at(middle_us);
        let is_known = answer_us < bound_us;
        let before_us = if is_known { middle_us } else { shortest_us };
        let (before, after) = (range.start..middle, middle + 1..range.end);
        note_ready(woken, before, now, before_us..=longest_us, bound_us);
        note_ready(woken, after, now, shortest_us..=middle_us, bound_us);
    }
}

/// Returns how long a client has been ready that was not ready `bound_us` ago.
#[cold]
fn ready_for_us(client: &Client, bound_us: u32) -> u32 {
    let bound = Duration::from_micros(bound_us.into());
    // At most the bound, so it fits.
    client.connection.since_event(bound).as_micros() as u32
}

/// Returns the microseconds from `then` to `now`. The clocks of two workers differ a little, and an
/// estimate may be too high, so `then` may be the later one.
fn elapsed_us(now: u32, then: u32) -> u32 {
    let passed = now.wrapping_sub(then);
    if passed > u32::MAX - BACKWARDS_US_MAX {
        0
    } else {
        passed
    }
}

/// Turns without a reading after which the estimate needs a new one. Greater than the number of
/// calls of a short command of which one is timed, so that a PING mostly needs no reading of its
/// own.
const TURNS_BETWEEN_READINGS: u32 = 64;

/// The longest turn that an estimate uses, so that it cannot be wrong by much.
const SHORT_TURN_NS_MAX: u32 = 16_000;

/// If the last poll was at least this long ago, it was long ago.
const LONG_US: u32 = 1_000;

/// If the time since when a client has been ready is known to less than this, the kernel is not
/// asked. Its own times have steps of 1 to 10 ms.
const ASK_US: u32 = 4_000;

/// How far one worker's clock may be ahead of another's.
const BACKWARDS_US_MAX: u32 = 60_000_000;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;
    use crate::client::session::Session;

    fn client() -> Box<Client> {
        client_and_peer().0
    }

    fn client_and_peer() -> (Box<Client>, TcpStream) {
        let (socket, peer) = sockets();
        (client_of(socket.into()), peer)
    }

    fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let peer = TcpStream::connect(addr).expect("it listens");
        (listener.accept().expect("the peer has connected").0, peer)
    }

    fn client_of(socket: OwnedFd) -> Box<Client> {
        let mut session = Session::for_test(0, (Ipv4Addr::LOCALHOST, 0).into());
        // It has had its first turn.
        session.is_connected = true;
        Box::new(Client::new(socket, session, None))
    }

    fn clock_at(now: u32) -> LocalClock {
        LocalClock {
            read_at: now,
            ..LocalClock::default()
        }
    }

    #[test]
    fn short_turns_move_the_clock_between_readings() {
        let mut clock = clock_at(1_000);
        for _ in 0..50 {
            clock.count_turn();
        }
        clock.set(1_100);
        assert_eq!((clock.estimate(), clock.turn_ns), (1_100, 2_000));
        clock.count_turn();
        assert_eq!(clock.estimate(), 1_102);
        // A long turn is no measure of the next ones.
        clock.set(1_000_000);
        clock.count_turn();
        assert_eq!(clock.estimate(), 1_000_002);
    }

    #[test]
    fn client_of_a_poll_that_waited_has_not_waited() {
        let pool = QueueWait::new();
        let mut clock = clock_at(5_000);
        pool.waited(&mut clock);
        assert!(!pool.may_have_waited(&client()));
    }

    #[test]
    fn others_of_that_poll_wait_from_the_next_reading_on() {
        let pool = QueueWait::new();
        let mut clock = clock_at(5_000);
        pool.waited(&mut clock);
        pool.polled_at.store(6_000, Ordering::Relaxed);
        assert!(pool.may_have_waited(&client()));
        assert_eq!(pool.end(&mut clock_at(9_000), &mut client()), 3_000);
    }

    #[test]
    fn first_turn_of_a_client_begins_with_a_reading() {
        let pool = QueueWait::new();
        let mut client = client();
        client.session.is_connected = false;
        client.ready_at = 1;
        let estimated = u32::MAX / 2;
        let mut clock = clock_at(estimated);
        assert!(pool.end(&mut clock, &mut client) < estimated);
        assert!(clock.read_at < estimated);
    }

    #[test]
    fn short_time_before_a_poll_counts_half() {
        let pool = QueueWait::new();
        let mut woken = VecDeque::from([client()]);
        pool.polled_at.store(5_000, Ordering::Relaxed);
        pool.found(5_800, &mut woken, false);
        assert_eq!(woken[0].ready_at, 5_400);
        assert_eq!(pool.end(&mut clock_at(6_000), &mut woken[0]), 600);
        assert_eq!(woken[0].ready_at, 0);
        assert_eq!(pool.polled_at.load(Ordering::Relaxed), 5_800);
    }

    #[test]
    fn clients_of_a_late_poll_have_waited_since_their_bytes_came() {
        let tick_us = 20_000;
        let pool = QueueWait::new();
        let now = || pool.at(Instant::now());
        let (clients, mut peers): (Vec<_>, Vec<_>) = (0..9).map(|_| client_and_peer()).unzip();
        let mut woken = VecDeque::from(clients);
        let mut send = |range: Range<usize>| {
            for peer in &mut peers[range] {
                peer.write_all(b"PING\r\n").expect("a connected socket");
            }
        };
        pool.polled_at.store(now(), Ordering::Relaxed);
        send(0..4);
        let earlier = now();
        thread::sleep(Duration::from_millis(300));
        let later = now();
        send(4..9);
        pool.found(now(), &mut woken, false);
        let ready_at: Vec<_> = woken.iter().map(|client| client.ready_at).collect();
        let (early, late) = ready_at.split_at(4);
        assert!(
            early.iter().all(|&at| at < earlier + tick_us),
            "{early:?}, sent by {earlier}"
        );
        assert!(
            late.iter().all(|&at| at + tick_us > later),
            "{late:?}, sent from {later}"
        );
    }

    #[test]
    fn wait_is_known_before_a_client_whose_wait_is_not() {
        let pool = QueueWait::new();
        let now = || pool.at(Instant::now());
        let (first, mut peer) = client_and_peer();
        let (second, _peer) = UnixStream::pair().expect("a pair of sockets");
        let mut woken = VecDeque::from([first, client_of(second.into())]);
        let polled_at = now();
        pool.polled_at.store(polled_at, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(300));
        let later = now();
        peer.write_all(b"PING\r\n").expect("a connected socket");
        pool.found(now(), &mut woken, false);
        assert!(woken[0].ready_at + 20_000 > later, "sent from {later}");
        assert_eq!(woken[1].ready_at, polled_at);
    }

    #[test]
    fn full_poll_leaves_the_bound_for_the_next_one() {
        let pool = QueueWait::new();
        pool.polled_at.store(5_000, Ordering::Relaxed);
        pool.found(5_800, &mut VecDeque::from([client()]), true);
        assert_eq!(pool.polled_at.load(Ordering::Relaxed), 5_000);
    }

    #[test]
    fn time_begins_again_after_71_minutes() {
        let before = u32::MAX - 10;
        assert_eq!(elapsed_us(9, before), 20);
        assert_eq!(elapsed_us(before, 9), 0, "clocks differ a little");
        assert_eq!(elapsed_us(4_000_000_000, 1), 3_999_999_999);
    }
}
