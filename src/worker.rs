//! A worker: takes a client, serves it, lets it rest. The only file that knows sockets *and*
//! commands.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::client::{Client, Closed, Held, Leaving};
use crate::connection::Connection;
use crate::facts::Tally;
use crate::pool::Parked;
use crate::resp::{Parser, Protocol, Reply, Request};
use crate::server::{Phase, Shared};
use crate::session::{Ending, Session};

/// One thread of the pool. It serves one client at a time, a turn at a time.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    tally: Arc<Tally>,
    turns: u32,
    /// What a read brings is served out of here, so that a client needs no buffer of its own.
    input: Box<[u8]>,
    /// Of the request at the front of `input`. One that is not whole takes it along with its
    /// client.
    parser: Parser,
    output: Output,
}

/// Why a turn paused without closing the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// There is nothing left to read.
    Quiet,
    /// The peer does not take its replies; until it does, its input stays unread.
    Blocked,
    /// The budget is spent.
    Spent,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            tally: shared.facts.new_tally(),
            shared,
            turns: 0,
            input: vec![0; READ_BYTES_MAX].into_boxed_slice(),
            parser: Parser::default(),
            output: Output::default(),
        }
    }

    /// Serves clients until the pool has a worker too many.
    pub(crate) fn run(mut self) {
        while let Some(client) = self.shared.pool.next(&mut self.turns) {
            self.serve(client);
        }
    }

    /// Serves a client until it rests, waits in the queue again, or is closed.
    fn serve(&mut self, mut client: Box<Client>) {
        let mut budget = Budget::default();
        loop {
            let Client {
                connection,
                leaving,
                ..
            } = &mut *client;
            let outcome = match leaving {
                Some(leaving) => self.farewell(connection, leaving, &mut budget),
                None => self.turn(&mut client, &mut budget),
            };
            match outcome {
                Ok(Pause::Spent) => return self.shared.pool.resubmit(client),
                Ok(pause @ (Pause::Quiet | Pause::Blocked)) => match self.rest(client, pause) {
                    Some(ready) => client = ready,
                    None => return,
                },
                Err(why) if client.leaving.is_none() && why.wants_farewell() => client.leave(why),
                Err(why) => return self.shared.close(client, &why),
            }
        }
    }

    /// Parks the client. Gives it back if it has something to say already.
    fn rest(&self, mut client: Box<Client>, pause: Pause) -> Option<Box<Client>> {
        debug_assert_eq!(pause == Pause::Blocked, client.connection.owes());
        client.parked_at_s = self.shared.now_s();
        match self.shared.pool.park(client) {
            Parked::Resting => None,
            Parked::Ready(client) => Some(client),
            Parked::Failed(client, error) => {
                self.shared.close(client, &Closed::Io(error));
                None
            }
        }
    }

    /// One turn. A handler may panic in it: that costs its client the connection, and nobody else
    /// anything.
    fn turn(&mut self, client: &mut Client, budget: &mut Budget) -> Result<Pause, Closed> {
        // A panic leaves `self` and `client` whole: the handler borrowed the session and the
        // output, and the output is put right below.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.read_and_serve(client, budget)))
            .unwrap_or_else(|panic| {
                log::error!(
                    "a command's handler panicked: {}",
                    panic_text(panic.as_ref())
                );
                self.output.take_back();
                let _ = self
                    .output
                    .reply(client.session.protocol())
                    .error("ERR internal error; the server's log tells");
                Err(Closed::Panicked)
            });
        if outcome.is_err() {
            // The last words. What is not taken now is owed, and a socket that fails now fails
            // again.
            let _ = self.output.send(&mut client.connection, &self.tally);
        }
        outcome
    }

    fn read_and_serve(
        &mut self,
        client: &mut Client,
        budget: &mut Budget,
    ) -> Result<Pause, Closed> {
        let phase = self.shared.phase();
        if !client.connection.flush()? {
            return Ok(Pause::Blocked);
        }
        if client.held.is_some()
            && let Some(pause) = self.serve_input(client, 0, budget)?
        {
            return Ok(pause);
        }
        while !client.connection.ended() {
            if phase == Phase::Closing {
                return Err(Closed::Drained);
            }
            if budget.bytes == 0 {
                return Ok(Pause::Spent);
            }
            let Some(count) = client.connection.read(&mut self.input)? else {
                return quiet(phase);
            };
            budget.bytes = budget.bytes.saturating_sub(count);
            self.tally.bytes_read.add(count as u64);
            if let Some(pause) = self.serve_input(client, count, budget)? {
                return Ok(pause);
            }
            if client.connection.is_drained(count, self.input.len()) {
                return quiet(phase);
            }
        }
        Err(Closed::PeerLeft)
    }

    /// Serves what the client holds and, behind it, the `count` bytes just read, and sends the
    /// replies. Gives why to pause, unless every whole request was served and every reply was
    /// taken.
    fn serve_input(
        &mut self,
        client: &mut Client,
        count: usize,
        budget: &mut Budget,
    ) -> Result<Option<Pause>, Closed> {
        let fresh = &self.input[..count];
        let mut held = client.held.take();
        let (parser, bytes) = match held.as_deref_mut() {
            Some(held) => held.extend(fresh),
            None => (&mut self.parser, fresh),
        };
        let mut batch = Batch {
            shared: &self.shared,
            session: &mut client.session,
            connection: &mut client.connection,
            output: &mut self.output,
            budget,
            tally: &self.tally,
        };
        let (served, pause) = batch.serve(parser, bytes)?;
        client.held = match held {
            Some(held) => held.without(served),
            None if served == count => None,
            None => Some(Box::new(Held::new(
                &fresh[served..],
                mem::take(&mut self.parser),
            ))),
        };
        // Who is blocked must still owe something when it is parked, or it is not watched for room.
        if pause != Some(Pause::Blocked)
            && !self.output.send(&mut client.connection, &self.tally)?
        {
            return Ok(Some(Pause::Blocked));
        }
        Ok(pause)
    }

    /// A turn of a client on its way out: sends what is owed, then our end, then reads away what
    /// still comes until the peer ends too. An error closes it.
    fn farewell(
        &mut self,
        connection: &mut Connection,
        leaving: &mut Leaving,
        budget: &mut Budget,
    ) -> Result<Pause, Closed> {
        if leaving.overdue {
            return Err(Closed::Timeout);
        }
        if !connection.flush()? {
            return Ok(Pause::Blocked);
        }
        if !leaving.sending_ended {
            // First of all: who sees our end may come again at once, and must find room.
            if leaving.is_counted() {
                self.shared.count_out();
            }
            leaving.sending_ended = true;
            leaving.since_s = self.shared.now_s();
            connection.end_sending()?;
        }
        while budget.bytes > 0 {
            let Some(count) = connection.read(&mut self.input)? else {
                return Ok(Pause::Quiet);
            };
            budget.bytes = budget.bytes.saturating_sub(count);
            leaving.discarded += count;
            if connection.ended() || leaving.discarded > DISCARDED_BYTES_MAX {
                return Err(Closed::PeerLeft);
            }
        }
        Ok(Pause::Spent)
    }
}

/// The socket has nothing left to read: a client rests, unless the server drains.
fn quiet(phase: Phase) -> Result<Pause, Closed> {
    match phase {
        Phase::Serving => Ok(Pause::Quiet),
        Phase::Draining | Phase::Closing => Err(Closed::Drained),
    }
}

/// The requests that one read brought, on their way through the commands.
struct Batch<'a> {
    shared: &'a Shared,
    session: &'a mut Session,
    connection: &'a mut Connection,
    output: &'a mut Output,
    budget: &'a mut Budget,
    tally: &'a Tally,
}

impl Batch<'_> {
    /// Answers the whole requests in `bytes`. Gives how many bytes they took, and why it stopped
    /// before the last of them, if it did.
    fn serve(
        &mut self,
        parser: &mut Parser,
        bytes: &[u8],
    ) -> Result<(usize, Option<Pause>), Closed> {
        let limits = self.shared.limits();
        let mut served = 0;
        loop {
            if self.budget.requests == 0 {
                return Ok((served, Some(Pause::Spent)));
            }
            let rest = &bytes[served..];
            let length = match parser.parse(rest, limits) {
                Ok(Some(length)) => length,
                Ok(None) => return Ok((served, None)),
                Err(error) => {
                    let _ = self
                        .output
                        .reply(self.session.protocol())
                        .protocol_error(error);
                    return Err(error.into());
                }
            };
            if let Some(request) = parser.request(rest) {
                self.answer(&request)?;
            }
            served += length;
            self.budget.requests -= 1;
            if self.output.is_full() && !self.output.send(self.connection, self.tally)? {
                return Ok((served, Some(Pause::Blocked)));
            }
        }
    }

    #[inline]
    fn answer(&mut self, request: &Request<'_>) -> Result<(), Closed> {
        let (shared, session) = (self.shared, &mut *self.session);
        let reply = self.output.reply(session.protocol());
        self.tally.requests.add(1);
        let _ = shared
            .facts
            .commands
            .dispatch(session, request, reply, || shared.pool.hand_over());
        if session.takes_reply_back() {
            self.output.take_back();
        }
        match session.ending() {
            None => Ok(()),
            Some(Ending::AfterReply) => Err(Closed::Quit),
            Some(Ending::Http) => {
                self.output.take_back();
                Err(Closed::Http)
            }
            Some(Ending::Drain) => {
                self.output.take_back();
                Err(Closed::Drained)
            }
        }
    }
}

/// Replies on their way to the socket: one write for a batch, or several for one that has much to
/// say.
#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
    /// Where the last reply begins.
    reply_start: usize,
}

impl Output {
    fn reply(&mut self, protocol: Protocol) -> Reply<'_> {
        self.reply_start = self.bytes.len();
        Reply::new(&mut self.bytes, protocol)
    }

    /// Cuts the last reply off.
    fn take_back(&mut self) {
        self.bytes.truncate(self.reply_start);
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= OUTPUT_BYTES
    }

    /// Sends everything. Gives whether the socket took it all; if not, the connection owes the
    /// rest.
    fn send(&mut self, connection: &mut Connection, tally: &Tally) -> Result<bool, Closed> {
        tally.bytes_sent.add(self.bytes.len() as u64);
        let sent = connection.send(&mut self.bytes);
        if self.bytes.capacity() > OUTPUT_CAPACITY_MAX {
            self.bytes = Vec::new();
        }
        Ok(sent?)
    }
}

/// What a client may use up before other clients have their turn.
#[derive(Debug)]
struct Budget {
    bytes: usize,
    requests: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: TURN_BYTES,
            requests: TURN_REQUESTS,
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

/// Bytes of one read. Larger reads save system calls of those who pipeline, and this is what still
/// fits in a core's own cache beside the replies.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Bytes that a client may have read in one turn; the last read may go beyond it.
const TURN_BYTES: usize = 64 * 1024;

/// Requests that a client may have answered in one turn: some hundred microseconds of PING.
const TURN_REQUESTS: usize = 2048;

/// Bytes of replies that are collected before they are sent in the middle of a batch. Together with
/// one reply this bounds what is held for a client that does not read.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Bytes of room that a worker keeps for replies from turn to turn. One huge reply does not keep
/// its room.
const OUTPUT_CAPACITY_MAX: usize = 4 * OUTPUT_BYTES;

/// Bytes read away from a client on its way out: many times what the buffers of two sockets hold,
/// so that a peer which sends without pause still has time to see our end before it is reset.
const DISCARDED_BYTES_MAX: usize = 256 * 1024 * 1024;
