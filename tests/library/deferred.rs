//! Deferred replies: order, timeouts, and every way in which a wait ends.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use respool::{Arity, Commands, Config, DeferredReply, ErrorReply, Replied};
use respool_testing::{Peer, TestServer, commands_with_gate, config, eventually};

const FORCED: &str = "-UNBLOCKED force unblock from blocking operation, instance state changed \
                      (master -> replica?)\r\n";

/// The tokens of the clients that wait, and how many waits were cancelled.
#[derive(Default)]
struct Waiting {
    tokens: Mutex<Vec<DeferredReply>>,
    cancelled: Mutex<Vec<u64>>,
}

impl Waiting {
    fn take(&self) -> Option<DeferredReply> {
        self.tokens.lock().pop()
    }
}

/// Returns the built-in commands and: `WAIT milliseconds`, which waits, for ever at 0; `WORK`, for
/// which a drain waits; `SEND text`, which replies to the last of those and returns whether it
/// waited; and `DROP`, which drops its token.
fn commands() -> (Commands, Arc<Waiting>) {
    let waiting = Arc::new(Waiting::default());
    let mut commands = Commands::builtin();
    let kept = Arc::clone(&waiting);
    commands.register("WAIT", Arity::Exactly(2), move |session, request, reply| {
        let ms = request.integer(0)?;
        let (kept, cancelled, id) = (Arc::clone(&kept), Arc::clone(&kept), session.id());
        let after = (ms > 0).then(|| Duration::from_millis(ms as u64));
        Ok(session
            .defer(reply)
            .timeout(after, |reply| reply.null_array())
            .on_cancel(move || cancelled.cancelled.lock().push(id))
            .start(|token| kept.tokens.lock().push(token)))
    });
    let kept = Arc::clone(&waiting);
    commands.register("WORK", Arity::Exactly(1), move |session, _, reply| {
        let keep = |token| kept.tokens.lock().push(token);
        session.defer(reply).hold_drain().start(keep)
    });
    let kept = Arc::clone(&waiting);
    commands.register("SEND", Arity::Exactly(2), move |_, request, reply| {
        let text = request.text(0)?;
        let token = kept.take().ok_or(ErrorReply::NO_SUCH_KEY)?;
        Ok(reply.boolean(token.reply(|reply| reply.bulk(text))))
    });
    let kept = Arc::clone(&waiting);
    commands.register("DROP", Arity::Exactly(1), move |_, _, reply| {
        reply.boolean(kept.take().is_some())
    });
    commands.register("FAIL", Arity::Exactly(1), |session, _, reply| {
        let Replied { .. } = session.defer(reply).start(|_| {});
        Err::<Replied, _>(ErrorReply::SYNTAX)
    });
    commands.register("PANIC", Arity::Exactly(1), |session, _, reply| {
        session
            .defer(reply)
            .timeout(Some(Duration::from_secs(3600)), |reply| reply.null_array())
            .start(|_| panic!("as the test wants it"))
    });
    (commands, waiting)
}

fn serve() -> (TestServer, Arc<Waiting>) {
    let (commands, waiting) = commands();
    (TestServer::with(config(2), commands), waiting)
}

/// Has a new client wait by `request`.
fn wait(server: &TestServer, waiting: &Waiting, request: &str) -> Peer {
    let before = waiting.tokens.lock().len();
    let mut peer = server.connect();
    peer.send(request);
    eventually("the client waits", || waiting.tokens.lock().len() > before);
    peer
}

fn blocked(peer: &mut Peer) -> Option<u64> {
    peer.info("clients", "blocked_clients", "")
}

#[test]
fn replies_keep_their_order() {
    let (server, waiting) = serve();
    let mut one = wait(&server, &waiting, "PING\r\nWAIT 0\r\nPING\r\nECHO 2\r\n");
    one.expect("+PONG\r\n");
    let mut other = server.connect();
    assert_eq!(blocked(&mut other), Some(1));
    other.ask("SEND hello\r\n", ":1\r\n");
    one.expect("$5\r\nhello\r\n+PONG\r\n$1\r\n2\r\n");
    assert_eq!(blocked(&mut other), Some(0));
    one.ask("PING\r\n", "+PONG\r\n");
}

#[test]
fn timeout_has_a_reply_of_its_own() {
    let (server, waiting) = serve();
    let mut one = wait(&server, &waiting, "WAIT 30\r\nPING\r\n");
    one.expect("*-1\r\n+PONG\r\n");
    assert_eq!(waiting.cancelled.lock().len(), 1);
    let mut other = server.connect();
    other.ask("SEND late\r\n", ":0\r\n");
    assert_eq!(blocked(&mut other), Some(0));
}

/// The wait once counted towards the `request-timeout` of the request after it.
#[test]
fn request_timeout_starts_again_after_the_wait() {
    let (commands, waiting) = commands();
    let config = Config {
        request_timeout_s: 2,
        ..config(2)
    };
    let server = TestServer::with(config, commands);
    let mut one = wait(&server, &waiting, "WAIT 5000\r\nP");
    one.expect("*-1\r\n");
    let mut other = server.connect();
    let uptime = |peer: &mut Peer| peer.info("server", "uptime_in_seconds", "");
    // The clock looks at the client once a second.
    let now = uptime(&mut other);
    eventually("a second passes", || uptime(&mut other) > now);
    one.ask("ING\r\n", "+PONG\r\n");
}

#[test]
fn dropped_token_replies_an_error() {
    let (server, waiting) = serve();
    let mut one = wait(&server, &waiting, "WAIT 0\r\nPING\r\n");
    server.connect().ask("DROP\r\n", ":1\r\n");
    one.expect("-ERR the request was dropped without a reply\r\n+PONG\r\n");
}

#[test]
fn error_after_deferring_is_the_reply() {
    let (server, _) = serve();
    let mut one = server.connect();
    one.ask("FAIL\r\nPING\r\n", "-ERR syntax error\r\n+PONG\r\n");
    assert_eq!(blocked(&mut one), Some(0));
}

#[test]
fn panic_after_deferring_ends_the_wait() {
    let (server, _) = serve();
    let mut one = server.connect();
    one.ask("PANIC\r\n", "-ERR internal error: see the server's log\r\n");
    one.expect_end();
    let mut other = server.connect();
    assert_eq!(blocked(&mut other), Some(0));
    assert_eq!(other.count("clients_in_timeout_table"), 0);
}

/// The panic is that of the thread with the token, and no concern of the client.
#[test]
fn panic_in_a_later_reply_answers_as_a_dropped_token() {
    let mut commands = Commands::builtin();
    commands.register("BREAK", Arity::Exactly(1), |session, _, reply| {
        session.defer(reply).start(|token| {
            let answer = move || token.reply(|_| -> Replied { panic!("as the test wants it") });
            let broken = thread::spawn(answer).join();
            broken.expect_err("the panic reaches its thread");
        })
    });
    let server = TestServer::with(config(1), commands);
    server.connect().ask(
        "BREAK\r\nPING\r\n",
        "-ERR the request was dropped without a reply\r\n+PONG\r\n",
    );
}

#[test]
fn panic_of_a_cancel_keeps_the_messages() {
    let (mut commands, waiting) = commands();
    let kept = Arc::clone(&waiting);
    commands.register("BREAK", Arity::Exactly(1), move |session, _, reply| {
        session
            .defer(reply)
            .on_cancel(|| panic!("as the test wants it"))
            .start(|token| kept.tokens.lock().push(token))
    });
    // One worker, so that both come in one turn.
    let server = TestServer::with(config(1), commands);
    let mut one = server.connect();
    let id = one.id();
    one.speak_resp3();
    one.ask(
        "SUBSCRIBE news\r\n",
        ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n",
    );
    one.send("BREAK\r\n");
    eventually("the client waits", || !waiting.tokens.lock().is_empty());
    let mut other = server.connect();
    let both = format!("PUBLISH news text\r\nCLIENT UNBLOCK {id}\r\n");
    other.ask(both, ":1\r\n:1\r\n");
    one.expect(">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$4\r\ntext\r\n");
    one.expect("-ERR internal error: see the server's log\r\n");
    one.expect_end();
}

#[test]
fn half_closed_peer_gets_a_reply_that_is_there() {
    let (mut commands, gate) = commands_with_gate();
    commands.register("NOW", Arity::Exactly(1), |session, _, reply| {
        let now = |token: DeferredReply| assert!(token.reply(|reply| reply.simple("now")));
        session.defer(reply).start(now)
    });
    let server = TestServer::with(config(1), commands);
    let mut one = server.connect();
    one.ask("PING\r\n", "+PONG\r\n");
    let mut other = gate.busy_client(server.addr);
    // One event reports the requests and FIN.
    one.send("NOW\r\nNOW\r\nPING\r\n");
    one.end_sending();
    gate.let_one_through();
    other.expect("+OPEN\r\n");
    one.expect("+now\r\n+now\r\n+PONG\r\n");
    one.expect_end();
}

#[test]
fn client_unblock_ends_the_wait() {
    let (server, waiting) = serve();
    let mut one = server.connect();
    let id = one.id();
    let mut other = server.connect();
    other.ask(format!("CLIENT UNBLOCK {id}\r\n"), ":0\r\n");
    for (reason, reply) in [
        ("", "*-1\r\n"),
        (" TIMEOUT", "*-1\r\n"),
        (
            " ERROR",
            "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n",
        ),
    ] {
        one.send("WAIT 0\r\n");
        eventually("it waits", || !waiting.tokens.lock().is_empty());
        other.ask(format!("CLIENT UNBLOCK {id}{reason}\r\n"), ":1\r\n");
        one.expect(reply);
        other.ask("SEND late\r\n", ":0\r\n");
    }
    assert_eq!(*waiting.cancelled.lock(), [id; 3]);
}

#[test]
fn client_that_leaves_is_not_wanted_any_more() {
    let (server, waiting) = serve();
    let mut killed = server.connect();
    let id = killed.id();
    killed.send("WAIT 0\r\n");
    let left = wait(&server, &waiting, "PING\r\nWAIT 0\r\n");
    let mut half_closed = wait(&server, &waiting, "WAIT 0\r\nPING\r\n");
    let mut other = server.connect();
    eventually("three wait", || blocked(&mut other) == Some(3));
    drop(left);
    half_closed.end_sending();
    other.ask(format!("CLIENT KILL ID {id}\r\n"), ":1\r\n");
    eventually("none waits", || blocked(&mut other) == Some(0));
    half_closed.expect_end();
    killed.expect_end();
    eventually("all are cancelled", || waiting.cancelled.lock().len() == 3);
    for _ in 0..3 {
        other.ask("SEND late\r\n", ":0\r\n");
    }
}

#[test]
fn drain_ends_waits_and_awaits_work() {
    let (server, waiting) = serve();
    let mut waits = wait(&server, &waiting, "WAIT 0\r\n");
    let mut works = wait(&server, &waiting, "WORK\r\n");
    server.handle.drain();
    waits.expect(FORCED);
    waits.expect_end();
    let token = waiting.take().expect("the last one that waits");
    assert!(token.is_wanted());
    assert!(token.reply(|reply| reply.simple("done")));
    works.expect("+done\r\n");
    works.expect_end();
    assert_eq!(server.wait().aborted, 0);
}
