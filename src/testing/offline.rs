//! A server in memory: no sockets, no threads.

use std::io::{self, ErrorKind};
use std::mem;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::client::{TestClient, Transport};
use super::server::config;
use crate::client::pending_input::PendingInput;
use crate::client::session::Session;
use crate::command::Commands;
use crate::config::Config;
use crate::dispatch::batch::{Batch, TurnEnd};
use crate::dispatch::budget::Budget;
use crate::dispatch::deferred::write_deferred;
use crate::dispatch::output::Output;
use crate::error::StartError;
use crate::net::connection::ReplySink;
use crate::net::pending_output::OutputBounds;
use crate::resp::{Parser, Reply};
use crate::server::{Inner, Server, ServerHandle};
use crate::state::clients::{ClientFlags, ClientInfo};
use crate::state::close_reason::CloseReason;
use crate::state::stats::WorkerStats;

/// A server in memory, without sockets and threads, for unit tests of handlers.
///
/// [`TestClient::send`] runs the handlers, on the thread that calls it. So each run is the same,
/// and a panic of a handler reaches the test. There is no clock: `INFO` shows an uptime of 0, and
/// no timeout of an idle client is over.
///
/// A [deferred](crate::Session::defer) reply comes from another client, from another thread or from
/// its timeout, and [`TestClient::receive`] waits for it:
///
/// ```
/// use respool::testing::Offline;
/// # use respool::{Arity, Commands};
/// # let mut commands = Commands::builtin();
/// # let (doors, waiting) = std::sync::mpsc::channel();
/// # let waiting = std::sync::Mutex::new(waiting);
/// # commands.register("WAIT-FOR-OPEN", Arity::Exactly(1), move |session, _, reply| {
/// #     session.defer(reply).start(|token| doors.send(token).unwrap())
/// # });
/// # commands.register("OPEN", Arity::Exactly(1), move |_, _, reply| {
/// #     let token: respool::DeferredReply = waiting.lock().unwrap().recv().unwrap();
/// #     reply.boolean(token.reply(|reply| reply.simple("open")))
/// # });
///
/// let server = Offline::new(commands)?;
/// let (mut one, mut two) = (server.client(), server.client());
/// one.send(["WAIT-FOR-OPEN"])?;
/// assert_eq!(two.call(["OPEN"])?, 1);
/// assert_eq!(one.receive()?, "open");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Offline {
    pub(crate) server: Server,
}

impl Offline {
    /// Creates a server with these commands.
    ///
    /// # Errors
    ///
    /// Returns a [`StartError`] if the system refuses a poll instance, which even this server has.
    pub fn new(commands: Commands) -> Result<Self, StartError> {
        Self::with(config(), commands)
    }

    pub(crate) fn with(config: Config, commands: Commands) -> Result<Self, StartError> {
        let server = Server::offline(config, commands)?;
        Ok(Self { server })
    }

    /// Adds a client. It leaves when it is dropped.
    ///
    /// # Panics
    ///
    /// Panics if there are 1,000 already.
    #[must_use]
    pub fn client(&self) -> TestClient {
        TestClient::over(Box::new(self.connect(false)))
    }

    /// Adds a client whose output is never taken whole if it `is_slow`.
    pub(crate) fn connect(&self, is_slow: bool) -> OfflineClient {
        OfflineClient::new(Arc::clone(&self.server.inner), is_slow)
    }

    /// Returns a handle to the server.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }
}

/// A client in memory, and the worker that serves it.
pub(crate) struct OfflineClient {
    server: Arc<Inner>,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) session: Session,
    pub(crate) pending_input: Option<Box<PendingInput>>,
    pub(crate) sink: MemorySink,
    parser: Parser,
    pub(crate) output: Output,
    /// Bytes that are not read yet, because a deferred reply is awaited.
    unread: Vec<u8>,
    is_closed: bool,
}

/// A client's socket, in memory.
#[derive(Debug, Default)]
pub(crate) struct MemorySink {
    pub(crate) sent: Vec<u8>,
    /// Some output is always pending after a send.
    is_slow: bool,
    pub(crate) has_pending_output: bool,
}

impl ReplySink for MemorySink {
    fn send(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        self.has_pending_output |= self.is_slow && !bytes.is_empty();
        self.sent.append(bytes);
        Ok(!self.has_pending_output)
    }

    fn update_block(&mut self, _: &OutputBounds<'_>) -> bool {
        self.has_pending_output
    }
}

impl OfflineClient {
    fn new(server: Arc<Inner>, is_slow: bool) -> Self {
        let shared = &server.shared;
        let slot = shared.pool.assign().expect("fewer than 1,000 clients");
        let state = Arc::clone(&shared.state);
        let id = state.connections.count() + 1;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000 + (id % 10_000) as u16));
        let (local_addr, now_s) = (Some(Arc::new(addr)), state.now_s());
        let info = ClientInfo::new(id, slot, addr.into(), local_addr, 7, now_s);
        let info = Arc::new(info);
        state.clients.add(&info, 0);
        state.client_count.fetch_add(1, Ordering::Relaxed);
        let mut session = Session::new(info, state);
        session.is_connected = true;
        Self {
            stats: shared.state.stats.new_worker(slot),
            server,
            session,
            pending_input: None,
            sink: MemorySink {
                is_slow,
                ..MemorySink::default()
            },
            parser: Parser::default(),
            output: Output::default(),
            unread: Vec::new(),
            is_closed: false,
        }
    }

    /// Serves the pending input and then the `fresh` bytes for one turn, as a worker does.
    pub(crate) fn serve_turn(&mut self, fresh: &[u8]) -> Result<Option<TurnEnd>, CloseReason> {
        let shared = &self.server.shared;
        let mut budget = Budget::default();
        let mut batch = Batch {
            context: &**shared,
            commands: &shared.commands,
            state: &shared.state,
            session: &mut self.session,
            sink: &mut self.sink,
            output: &mut self.output,
            budget: &mut budget,
            stats: &self.stats,
        };
        let end = batch.serve_input(&mut self.pending_input, &mut self.parser, fresh);
        let state = &shared.state;
        while let Some(slot) = state.notifications.next() {
            state.notify(&[slot]);
        }
        end
    }

    /// Sends the last output, and the error of the close.
    pub(crate) fn close(&mut self, reason: &CloseReason) {
        let _ = self.output.send(&mut self.sink, &self.stats);
        if reason.lingers()
            && let Some(line) = reason.error_line()
        {
            let _ = Reply::new(&mut self.sink.sent, self.session.protocol()).error(line);
        }
        self.leave(reason);
    }

    /// Removes the client from the server, once.
    fn leave(&mut self, reason: &CloseReason) {
        if !mem::replace(&mut self.is_closed, true) {
            let shared = &self.server.shared;
            shared.abandon_reply(&mut self.session);
            shared.stop_listening(&mut self.session);
            shared.count_out(&mut self.session, reason);
            shared.pool.free(self.session.info().slot);
        }
    }

    /// Reads and sends the rest of a reply.
    pub(crate) fn send_rest(&mut self) -> Result<(), CloseReason> {
        if let Some(source) = self.session.source_mut() {
            let sent = &mut self.sink.sent;
            while !source.read(sent).map_err(CloseReason::ReplySource)? {}
        }
        self.session.drop_source();
        self.session
            .ending
            .map_or(Ok(()), |_| Err(CloseReason::Quit))
    }

    /// Serves all that can be served now: turn by turn, until a worker would read more.
    fn serve(&mut self) {
        while !self.is_closed {
            let inbox = &self.session.info().inbox;
            if let Some(kill_reason) = inbox.kill_reason() {
                return self.close(&kill_reason.into());
            }
            self.sink.sent.append(&mut inbox.take_messages());
            self.server.shared.state.pause.end_if_over();
            if self.session.is_deferred() && !self.end_deferral() {
                return;
            }
            let fresh = mem::take(&mut self.unread);
            match self.serve_turn(&fresh) {
                Ok(None | Some(TurnEnd::Idle | TurnEnd::ClientPaused(_))) => return,
                Ok(Some(TurnEnd::BudgetSpent)) => {}
                Ok(Some(TurnEnd::Sending)) => {
                    if let Err(reason) = self.send_rest() {
                        return self.close(&reason);
                    }
                }
                Ok(Some(TurnEnd::WriteBlocked)) => self.sink.has_pending_output = false,
                Ok(Some(TurnEnd::Deferred)) => self.set_blocked(true),
                Err(reason) => return self.close(&reason),
            }
        }
    }

    /// Writes the deferred reply if it is there, or if its timeout is over. Returns whether the
    /// client is served again.
    fn end_deferral(&mut self) -> bool {
        self.server.shared.state.end_timed_out(Instant::now());
        if !self.session.info().inbox.has_ended_deferral() {
            return false;
        }
        self.write_deferred();
        if self.session.ending.is_some() {
            self.close(&CloseReason::Quit);
        }
        !self.is_closed
    }

    /// Ends the pause and deferrals that are over. Returns when the client has to be served again,
    /// if nothing else happens: at the end of the pause, at the next timeout, or at `deadline`.
    fn next_change(&self, deadline: Instant) -> Instant {
        let (state, now) = (&self.server.shared.state, Instant::now());
        // Wakes this client if it is its own.
        state.end_timed_out(now);
        let timeout = state.deferrals.next_timeout();
        let (pause_ends, is_over) = state.pause.end_if_over();
        let pause_ends = if is_over { Some(now) } else { pause_ends };
        let ends = timeout.into_iter().chain(pause_ends);
        ends.fold(deadline, Instant::min)
    }

    /// Writes the deferred reply. The next turn sends it.
    pub(crate) fn write_deferred(&mut self) {
        let shared = &self.server.shared;
        write_deferred(&**shared, &mut self.output, &mut self.session, &self.stats);
        self.set_blocked(false);
    }

    fn set_blocked(&self, is_blocked: bool) {
        let info = self.session.info();
        info.set(ClientFlags::BLOCKED, is_blocked);
    }
}

impl Transport for OfflineClient {
    /// Takes the bytes of a closed client, too, as a socket does at first.
    fn send(&mut self, bytes: &[u8], _: Duration) -> io::Result<usize> {
        self.unread.extend_from_slice(bytes);
        self.serve();
        Ok(bytes.len())
    }

    /// Waits for other clients and other threads, if there is nothing yet.
    fn receive(&mut self, bytes: &mut Vec<u8>, wait: Duration) -> io::Result<usize> {
        let deadline = Instant::now() + wait;
        let shared = Arc::clone(&self.server.shared);
        // Before the first look: a change after it is not missed.
        let mut changes_seen = shared.clock.wakes();
        loop {
            self.serve();
            if self.is_closed || !self.sink.sent.is_empty() {
                let count = self.sink.sent.len();
                bytes.append(&mut self.sink.sent);
                return Ok(count);
            }
            if Instant::now() >= deadline {
                return Err(ErrorKind::TimedOut.into());
            }
            shared
                .clock
                .wait_until(self.next_change(deadline), &mut changes_seen);
        }
    }
}

impl Drop for OfflineClient {
    fn drop(&mut self) {
        self.leave(&CloseReason::PeerLeft);
    }
}
