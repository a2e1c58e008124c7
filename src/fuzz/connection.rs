//! Serves a whole connection in memory: bytes in, replies out.

use std::io::Cursor;

use super::replies::{Dialect, Replies};
use super::{Input, naive};
use crate::command::{Arity, Commands, Middleware};
use crate::config::Config;
use crate::dispatch::batch::{ServerContext, TurnEnd};
use crate::resp::{HTTP_RESPONSE, ProtocolError, TLS_ALERT};
use crate::state::ServerState;
use crate::state::catalog::CommandInfo;
use crate::state::close_reason::CloseReason;
use crate::testing::offline::{Offline, OfflineClient};

/// Serves the input of a client, piece by piece, with all built-in commands, transactions, `DEFER`
/// and `CHUNK`. The client gets whole replies that a strict client accepts, one for each request
/// that the naive parser finds, of bounded length. Neither cutting nor a middleware that allows
/// everything changes anything, except for commands whose replies differ between two runs.
///
/// The flags: the peer reads slowly; the server has the password `secret`; another client monitors
/// and is subscribed to everything; another client has paused all others.
pub fn connection(bytes: &[u8]) {
    let input = Input::new(bytes);
    let cut = serve(&input, &input.pieces, Commands::builtin());
    if input.pieces.len() > 1 {
        let mut commands = Commands::builtin();
        commands.set_middleware(Allows);
        let whole = serve(&input, &[input.stream], commands);
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

/// A middleware that allows everything.
struct Allows;

impl Middleware for Allows {}

/// The outcome of a connection.
struct Outcome {
    /// All replies and messages to the client.
    bytes: Vec<u8>,
    /// The reason for which it was closed, if it was.
    end: Option<String>,
    /// Whether another run would have the same replies.
    is_repeatable: bool,
}

fn serve(input: &Input<'_>, pieces: &[&[u8]], commands: Commands) -> Outcome {
    let server = server(input.has(1), commands);
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
            peer.client.close(&reason);
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
        let (requests, mistake) =
            naive::parse(input.stream, server.server.inner.shared.limits(false));
        assert_eq!(replies, requests.len() + usize::from(mistake.is_some()));
    }
    other.count_replies(input.stream.len(), false);
    peer.client.session.stop_listening();
    other.client.session.stop_listening();
    assert_eq!(
        state(&server).channels.counts(),
        (0, 0),
        "no subscription is left"
    );
    Outcome {
        bytes: std::mem::take(&mut peer.client.sink.sent),
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

/// Returns a server, which may want the password `secret`.
fn server(wants_password: bool, mut commands: Commands) -> Offline {
    let config = Config {
        requirepass: wants_password.then(|| "secret".into()),
        // Few, so that the server is made fast.
        maxclients: 2,
        ..Config::default()
    };
    commands.transactions(|session, exec| exec.run(session));
    commands.register("DEFER", Arity::AtLeast(1), |session, request, reply| {
        let text = request.argument(0).unwrap_or_default();
        session.defer(reply).start(|token| {
            assert!(token.reply(|reply| reply.bulk(text)));
        })
    });
    commands.register("CHUNK", Arity::AtLeast(1), |session, request, reply| {
        let text = request.argument(0).unwrap_or_default().to_vec();
        session.bulk_from(reply, text.len() as u64, Cursor::new(text))
    });
    Offline::with(config, commands).expect("a poll instance")
}

fn state(server: &Offline) -> &ServerState {
    &server.server.inner.shared.state
}

/// A client.
struct Peer<'a> {
    server: &'a Offline,
    client: OfflineClient,
}

impl<'a> Peer<'a> {
    fn new(server: &'a Offline, is_slow: bool) -> Self {
        let client = server.connect(is_slow);
        Self { server, client }
    }

    /// Serves a piece as a worker does, turn by turn, until a worker would read more.
    fn receive(&mut self, piece: &[u8]) -> Result<(), CloseReason> {
        let client = &mut self.client;
        let mut fresh = piece;
        let pending = client.pending_input.as_ref().map_or(0, |input| input.len());
        let unserved = pending + piece.len();
        for _ in 0..=TURNS_MAX + unserved {
            let end = client.serve_turn(fresh).inspect_err(|reason| {
                let is_io = matches!(reason, CloseReason::Io(_));
                assert!(!is_io, "memory does not fail");
            })?;
            fresh = &[];
            // Also a paused or write-blocked client has the replies so far.
            assert!(client.output.bytes.is_empty(), "unsent replies");
            match end {
                None => return Ok(()),
                Some(TurnEnd::BudgetSpent) => {}
                Some(TurnEnd::WriteBlocked) => client.sink.has_pending_output = false,
                // As if the time of the pause were over.
                Some(TurnEnd::ClientPaused(_)) => _ = state(self.server).pause.end(),
                Some(TurnEnd::Deferred) => client.write_deferred(),
                Some(TurnEnd::Sending) => client.send_rest()?,
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

    /// Removes the last reply if it is not RESP.
    fn forget_foreign_reply(&mut self) {
        for foreign in [HTTP_RESPONSE, TLS_ALERT] {
            if self.client.sink.sent.ends_with(foreign) {
                let length = self.client.sink.sent.len() - foreign.len();
                self.client.sink.sent.truncate(length);
            }
        }
    }

    /// Returns the calls of a command, including those of its subcommands.
    fn calls_of(&self, full_name: &str) -> u64 {
        let catalog = &state(self.server).catalog;
        let command = catalog
            .find(full_name.as_bytes())
            .expect("a built-in command");
        let with_parts = std::iter::once(command).chain(catalog.subcommands(command));
        let calls = |info: &CommandInfo| {
            self.client.stats.counts.commands[usize::from(info.index)]
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
        let messages = self.client.session.info().inbox.take_messages();
        self.client.sink.sent.extend_from_slice(&messages);
        // The reply of EXEC has those of all its requests, each of which takes at least two bytes.
        let calls = self.calls_of("exec");
        let parts = match calls {
            0 => 1,
            // As in Redis, its array announces more than it has if CLIENT REPLY skips some.
            _ if lacks_replies => return 0,
            _ => 1 + received / 2,
        };
        let mut replies = Replies::new(&self.client.sink.sent, dialect, calls > 0);
        let mut count = 0;
        while let Some(reply) = replies.next() {
            match reply {
                Ok(length) => {
                    let most = parts * REPLY_BYTES_MAX + REPLY_BYTES_PER_BYTE * received;
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
