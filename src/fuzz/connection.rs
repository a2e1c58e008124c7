//! Serves a whole connection in memory: bytes in, replies out.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::replies::{Dialect, Replies};
use super::{Input, naive};
use crate::client::pending_input::PendingInput;
use crate::client::session::Session;
use crate::command::Commands;
use crate::config::Config;
use crate::dispatch::batch::{Batch, ServerContext, TurnEnd};
use crate::dispatch::budget::Budget;
use crate::dispatch::output::Output;
use crate::net::connection::ReplySink;
use crate::net::pending_output::OutputBounds;
use crate::resp::{HTTP_RESPONSE, Limits, Parser, ProtocolError, Reply, TLS_ALERT};
use crate::server::live_settings::LiveSettings;
use crate::state::ServerState;
use crate::state::catalog::CommandInfo;
use crate::state::clients::ClientInfo;
use crate::state::close_reason::CloseReason;
use crate::state::control::{Control, NotRewritten, PoolSnapshot, Unchanged};
use crate::state::health::Health;
use crate::state::stats::WorkerStats;

/// Serves the input of a client, piece by piece, with all built-in commands. The client gets whole
/// replies that a strict client accepts, one for each request that the naive parser finds, of
/// bounded length. Cutting changes nothing, except for commands whose replies differ between two
/// runs.
///
/// The flags: the peer reads slowly; the server has the password `secret`; another client monitors
/// and is subscribed to everything; another client has paused all others.
pub fn connection(bytes: &[u8]) {
    let input = Input::new(bytes);
    let cut = serve(&input, &input.pieces);
    if input.pieces.len() > 1 {
        let whole = serve(&input, &[input.stream]);
        if cut.is_repeatable && whole.is_repeatable {
            assert!(
                cut.bytes == whole.bytes,
                "cut: {}\nwhole: {}",
                cut.bytes.escape_ascii(),
                whole.bytes.escape_ascii()
            );
            assert_eq!(cut.end, whole.end);
        }
    }
}

/// The outcome of a connection.
struct Outcome {
    /// All replies and messages to the client.
    bytes: Vec<u8>,
    /// The reason for which it was closed, if it was.
    end: Option<String>,
    /// Whether another run would have the same replies.
    is_repeatable: bool,
}

fn serve(input: &Input<'_>, pieces: &[&[u8]]) -> Outcome {
    let server = TestServer::new(input.has(1));
    let mut other = Peer::new(&server, false);
    if input.has(2) {
        other.receive_all(b"AUTH secret\r\nHELLO 3\r\nPSUBSCRIBE *\r\nMONITOR\r\n");
    }
    if input.has(3) {
        other.receive_all(b"AUTH secret\r\nCLIENT PAUSE 1000000 ALL\r\n");
    }
    let mut peer = Peer::new(&server, input.has(0));
    let mut end = None;
    for piece in pieces {
        if let Err(reason) = peer.receive(piece) {
            peer.close(&reason);
            end = Some(reason);
            break;
        }
    }
    let has_called = |names: &[&str]| names.iter().any(|name| peer.calls_of(name) > 0);
    let is_repeatable = !has_called(&UNREPEATABLE);
    let is_countable = !input.has(1) && !has_called(&UNCOUNTABLE);
    let lacks_replies = has_called(&["client|reply"]);
    peer.forget_foreign_reply();
    let replies = peer.count_replies(input.stream.len(), lacks_replies);
    let is_tls = matches!(end, Some(CloseReason::Protocol(ProtocolError::Tls)));
    if is_countable && !is_tls && matches!(end, None | Some(CloseReason::Protocol(_))) {
        let (requests, mistake) = naive::parse(input.stream, server.limits(false));
        assert_eq!(replies, requests.len() + usize::from(mistake.is_some()));
    }
    other.count_replies(input.stream.len(), false);
    peer.session.stop_listening();
    other.session.stop_listening();
    assert_eq!(
        server.state.channels.counts(),
        (0, 0),
        "no subscription is left"
    );
    Outcome {
        bytes: peer.sink.sent,
        end: end.map(|reason| reason.to_string()),
        is_repeatable,
    }
}

/// The commands whose replies depend on time or on cuts, and their containers.
const UNREPEATABLE: [&str; 7] = [
    "client|info",
    "client|list",
    "info",
    "latency",
    "monitor",
    "slowlog",
    "time",
];

/// The commands after which there are more or fewer replies than requests, or another limit.
const UNCOUNTABLE: [&str; 8] = [
    "client|reply",
    "config|set",
    "monitor",
    "psubscribe",
    "publish",
    "punsubscribe",
    "subscribe",
    "unsubscribe",
];

/// A server without threads and sockets.
#[derive(Debug)]
struct TestServer {
    settings: LiveSettings,
    commands: Commands,
    state: Arc<ServerState>,
}

impl TestServer {
    fn new(wants_password: bool) -> Arc<Self> {
        let config = Config {
            requirepass: wants_password.then(|| "secret".into()),
            ..Config::default()
        };
        Arc::new_cyclic(|server: &Weak<Self>| {
            let settings = LiveSettings::new(&config);
            let mut commands = Commands::builtin();
            let state = ServerState::new(commands.catalog(), server.clone(), config, 6379);
            Self {
                settings,
                commands,
                state: Arc::new(state),
            }
        })
    }
}

impl ServerContext for TestServer {
    fn limits(&self, unauthenticated: bool) -> Limits {
        self.settings.limits(unauthenticated)
    }

    fn output_bounds(&self, _: bool) -> OutputBounds<'_> {
        OutputBounds {
            client_bytes_max: 0,
            total_bytes_max: 0,
            total_bytes: &self.state.pending_output_bytes,
        }
    }

    fn honours_pauses(&self) -> bool {
        true
    }

    fn hand_over(&self) {}

    fn note_time(&self, _: Instant) {}
}

impl Control for TestServer {
    fn notify(&self, _: usize) {}

    fn follow_pause(&self) {}

    fn supervisor(&self) -> Option<&'static str> {
        None
    }

    fn config_file(&self) -> Option<PathBuf> {
        None
    }

    fn snapshot(&self) -> PoolSnapshot {
        PoolSnapshot::default()
    }

    fn health(&self) -> Health {
        unreachable!("no command asks for it")
    }

    /// Changes the configuration as the server does, except for the threads.
    fn change_config(
        self: Arc<Self>,
        _certificates: bool,
        change: &mut dyn FnMut(&mut Config) -> Result<(), Unchanged>,
    ) -> Result<(), Unchanged> {
        let mut current = self.state.config.lock();
        let mut new = current.clone();
        change(&mut new)?;
        current.check_fixed(&new)?;
        self.settings.apply(&new);
        self.state.apply(&new);
        *current = new;
        Ok(())
    }

    fn rewrite_config(self: Arc<Self>) -> Result<(), NotRewritten> {
        Err(NotRewritten::NoFile)
    }

    fn drain(self: Arc<Self>, _: bool) {}

    fn drain_ends_in(&self) -> Option<Duration> {
        None
    }
}

/// A client's socket, in memory.
#[derive(Debug, Default)]
struct TestSink {
    sent: Vec<u8>,
    /// Some output is always pending after a send.
    is_slow: bool,
    has_pending_output: bool,
}

impl ReplySink for TestSink {
    fn send(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        self.has_pending_output |= self.is_slow && !bytes.is_empty();
        self.sent.append(bytes);
        Ok(!self.has_pending_output)
    }

    fn update_block(&mut self, _: &OutputBounds<'_>) -> bool {
        self.has_pending_output
    }
}

/// A client, and the worker that serves it.
struct Peer<'a> {
    server: &'a TestServer,
    stats: Arc<WorkerStats>,
    session: Session,
    pending_input: Option<Box<PendingInput>>,
    sink: TestSink,
    parser: Parser,
    output: Output,
}

impl<'a> Peer<'a> {
    fn new(server: &'a TestServer, is_slow: bool) -> Self {
        let state = Arc::clone(&server.state);
        let id = state.connections.count() + 1;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000 + id as u16));
        let local_addr = Some(Arc::new(addr));
        let info = Arc::new(ClientInfo::new(
            id,
            id as usize,
            addr.into(),
            local_addr,
            7,
            0,
        ));
        state.clients.add(&info, 0);
        Self {
            server,
            stats: state.stats.new_worker(id as usize),
            session: Session::new(info, state),
            pending_input: None,
            sink: TestSink {
                is_slow,
                ..TestSink::default()
            },
            parser: Parser::default(),
            output: Output::default(),
        }
    }

    /// Serves a piece as a worker does, turn by turn, until a worker would read more.
    fn receive(&mut self, piece: &[u8]) -> Result<(), CloseReason> {
        let mut fresh = piece;
        let pending = self.pending_input.as_ref().map_or(0, |input| input.len());
        let unserved = pending + piece.len();
        for _ in 0..=TURNS_MAX + unserved {
            let mut budget = Budget::default();
            let mut batch = Batch {
                context: self.server,
                commands: &self.server.commands,
                state: &self.server.state,
                session: &mut self.session,
                sink: &mut self.sink,
                output: &mut self.output,
                budget: &mut budget,
                stats: &self.stats,
            };
            let end = batch.serve_input(&mut self.pending_input, &mut self.parser, fresh)?;
            fresh = &[];
            // Also a paused or write-blocked client has the replies so far.
            assert!(self.output.bytes.is_empty(), "unsent replies");
            match end {
                None => return Ok(()),
                Some(TurnEnd::BudgetSpent) => {}
                Some(TurnEnd::WriteBlocked) => self.sink.has_pending_output = false,
                // As if the time of the pause were over.
                Some(TurnEnd::ClientPaused(_)) => _ = self.server.state.pause.end(),
                Some(TurnEnd::Idle) => panic!("a batch without a socket is never idle"),
            }
        }
        panic!("{unserved} bytes are not served in as many turns");
    }

    /// Serves requests that do not close the client.
    fn receive_all(&mut self, requests: &[u8]) {
        let served = self.receive(requests);
        assert!(served.is_ok(), "{served:?}");
    }

    /// Sends the last output, and the error of the close.
    fn close(&mut self, reason: &CloseReason) {
        assert!(
            !matches!(reason, CloseReason::Io(_)),
            "memory does not fail"
        );
        let _ = self.output.send(&mut self.sink, &self.stats);
        if reason.lingers()
            && let Some(line) = reason.error_line()
        {
            let _ = Reply::new(&mut self.sink.sent, self.session.protocol()).error(line);
        }
    }

    /// Removes the last reply if it is not RESP.
    fn forget_foreign_reply(&mut self) {
        for foreign in [HTTP_RESPONSE, TLS_ALERT] {
            if self.sink.sent.ends_with(foreign) {
                let length = self.sink.sent.len() - foreign.len();
                self.sink.sent.truncate(length);
            }
        }
    }

    /// Returns the calls of a command, including those of its subcommands.
    fn calls_of(&self, full_name: &str) -> u64 {
        let catalog = &self.server.state.catalog;
        let command = catalog
            .find(full_name.as_bytes())
            .expect("a built-in command");
        let with_parts = std::iter::once(command).chain(catalog.subcommands(command));
        let calls = |info: &CommandInfo| {
            self.stats.counts.commands[usize::from(info.index)]
                .calls
                .get()
        };
        with_parts.map(calls).sum()
    }

    /// Returns the number of replies and messages to this client. `received` is the number of bytes
    /// from all clients.
    fn count_replies(&mut self, received: usize, lacks_replies: bool) -> usize {
        let dialect = if lacks_replies {
            Dialect::Unknown
        } else {
            Dialect::Resp2
        };
        let messages = self.session.info().inbox.take_messages();
        self.sink.sent.extend_from_slice(&messages);
        let mut replies = Replies::new(&self.sink.sent, dialect);
        let mut count = 0;
        while let Some(reply) = replies.next() {
            match reply {
                Ok(length) => {
                    let most = REPLY_BYTES_MAX + REPLY_BYTES_PER_BYTE * received;
                    assert!(length <= most, "a reply of {length} bytes");
                    count += 1;
                }
                Err(problem) => panic!("{problem}"),
            }
        }
        count
    }
}

/// Maximum turns for an empty piece.
const TURNS_MAX: usize = 8;

/// Maximum length of a reply about respool itself: `COMMAND DOCS`.
const REPLY_BYTES_MAX: usize = 128 * 1024;

/// Bytes of a reply for each byte that clients sent. `MONITOR` writes four for one.
const REPLY_BYTES_PER_BYTE: usize = 16;
