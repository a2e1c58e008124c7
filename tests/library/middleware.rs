//! The hook around each call.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use respool::{
    Arity, Call, CallOutcome, Commands, Config, ErrorReply, Middleware, Replied, Session,
};
use respool_testing::{Peer, TestServer, builtin_and, config};

const INTERNAL: &str = "-ERR internal error: see the server's log\r\n";
const NOPERM: &str = "-NOPERM User default has no permissions to run the";

/// Starts a server with one worker, the commands of a program, and its middleware.
fn serve(middleware: impl Middleware) -> TestServer {
    TestServer::with(config(1), program(middleware))
}

fn program(middleware: impl Middleware) -> Commands {
    builtin_and(|commands| {
        commands.register("SLOW", Arity::Exactly(1), |_, _, reply| {
            thread::sleep(Duration::from_millis(20));
            reply.error("BUSY a\nb")
        });
        commands.register("PANIC", Arity::Exactly(1), |_, _, reply| -> Replied {
            let _ = reply.simple("never sent");
            panic!("as the test wants it")
        });
        commands
            .register("COPY", Arity::Exactly(3), |_, _, reply| reply.null())
            .keys(1, 2, 1);
        commands.set_middleware(middleware);
    })
}

/// Tells the test of each call that has ended.
struct Tracer(Sender<(String, Duration)>);

impl Middleware for Tracer {
    fn after(&self, _: &mut Session, call: &Call<'_>, outcome: &CallOutcome<'_>) {
        let words = call.request().word_count();
        let line = format!("{} {words} {:?}", call.name(), outcome.kind);
        let _ = self.0.send((line, outcome.duration));
    }
}

fn tracer() -> (Tracer, Receiver<(String, Duration)>) {
    let (send, calls) = channel();
    (Tracer(send), calls)
}

fn lines(calls: &Receiver<(String, Duration)>) -> Vec<String> {
    calls.try_iter().map(|(line, _)| line).collect()
}

/// Refuses commands for administrators.
struct Guard;

impl Middleware for Guard {
    fn before(&self, _: &mut Session, call: &Call<'_>) -> Result<(), ErrorReply> {
        if call.categories().any(|category| category == "admin") {
            return Err(ErrorReply::noperm("default", call.name()));
        }
        Ok(())
    }
}

#[test]
fn refused_call_does_not_run_and_is_counted() {
    let server = serve(Guard);
    let mut peer = server.connect();
    peer.ping();
    let port = format!("{}\r\n", server.addr.port());
    for (request, name) in [
        ("MONITOR", "monitor"),
        ("CONFIG SET port 1", "config|set"),
        ("CLIENT KILL ID 1", "client|kill"),
        ("client pause 100000", "client|pause"),
        ("ACL LIST", "acl|list"),
        ("SHUTDOWN", "shutdown"),
    ] {
        let reply = format!("{NOPERM} '{name}' command\r\n");
        // The requests around it are answered.
        let requests = format!("PING\r\n{request}\r\nECHO hi\r\n");
        peer.ask(requests, format!("+PONG\r\n{reply}$2\r\nhi\r\n"));
        let count =
            |peer: &mut Peer, part| peer.info("commandstats", &format!("cmdstat_{name}"), part);
        assert_eq!(count(&mut peer, "rejected_calls="), Some(1), "{name}");
        assert_eq!(count(&mut peer, "calls="), Some(0), "{name}");
    }
    assert_eq!(
        peer.info("errorstats", "errorstat_NOPERM", "count="),
        Some(6)
    );
    assert!(peer.answer("INFO server").contains(&port));
}

/// Allows each client three calls, and closes it at the fifth.
struct Limit;

impl Middleware for Limit {
    fn before(&self, session: &mut Session, _: &Call<'_>) -> Result<(), ErrorReply> {
        let calls: &mut u32 = session.state_mut();
        *calls += 1;
        let calls = *calls;
        if calls == 5 {
            session.close_after_reply();
        }
        if calls > 3 {
            return Err(ErrorReply::new("LIMITED", format!("{calls} calls")));
        }
        Ok(())
    }
}

#[test]
fn rate_limit_counts_each_client_and_may_close_it() {
    let server = serve(Limit);
    for _ in 0..2 {
        let mut peer = server.connect();
        peer.ask(
            "PING\r\n".repeat(9),
            "+PONG\r\n+PONG\r\n+PONG\r\n-LIMITED 4 calls\r\n-LIMITED 5 calls\r\n",
        );
        peer.expect_end();
    }
}

#[test]
fn each_of_identical_requests_is_seen() {
    let (tracer, calls) = tracer();
    let server = serve(tracer);
    let mut peer = server.connect();
    peer.ask("PING\r\n".repeat(1000), "+PONG\r\n".repeat(1000));
    assert_eq!(lines(&calls), vec!["ping 1 Replied"; 1000]);
}

#[test]
fn requests_that_the_server_refuses_are_seen() {
    let (tracer, calls) = tracer();
    let config = Config {
        requirepass: Some("secret".into()),
        ..config(1)
    };
    let server = TestServer::with(config, program(tracer));
    let mut peer = server.connect();
    for (request, line) in [
        (
            "PING",
            "ping 1 Refused(\"NOAUTH Authentication required.\")",
        ),
        ("AUTH secret", "auth 2 Replied"),
        (
            "ECHO",
            "echo 1 Refused(\"ERR wrong number of arguments for 'echo' command\")",
        ),
        (
            "CLIENT FOO",
            " 2 Refused(\"ERR unknown subcommand 'FOO'. Try CLIENT HELP.\")",
        ),
        (
            "FOO a",
            " 2 Refused(\"ERR unknown command 'FOO', with args beginning with: 'a' \")",
        ),
        (
            "AUTH x",
            "auth 2 Failed(\"WRONGPASS invalid username-password pair or user is disabled.\")",
        ),
        ("CLIENT REPLY SKIP", "client|reply 3 Replied"),
        ("SLOW", "slow 1 Failed(\"BUSY a b\")"),
    ] {
        if request == "SLOW" {
            // Its reply is skipped.
            peer.ask("SLOW\r\nPING\r\n", "+PONG\r\n");
            assert_eq!(lines(&calls), [line, "ping 1 Replied"]);
        } else if request == "CLIENT REPLY SKIP" {
            peer.send(format!("{request}\r\n"));
            let (seen, _) = calls
                .recv_timeout(respool_testing::PATIENCE)
                .expect("a call");
            assert_eq!(seen, line);
        } else {
            peer.answer(request);
            assert_eq!(lines(&calls), [line]);
        }
    }
    peer.answers("SUBSCRIBE a");
    peer.answer("ECHO a");
    let seen = lines(&calls);
    assert_eq!(seen[0], "subscribe 2 Replied");
    assert!(
        seen[1].starts_with("echo 2 Refused(\"ERR Can't execute 'echo'"),
        "{seen:?}"
    );
}

#[test]
fn outcome_has_the_duration_and_the_error() {
    let (tracer, calls) = tracer();
    let server = serve(tracer);
    let mut peer = server.connect();
    peer.ask("SLOW\r\n", "-BUSY a b\r\n");
    let (line, took) = calls.try_recv().expect("the call has ended");
    assert_eq!(line, "slow 1 Failed(\"BUSY a b\")");
    assert!(took >= Duration::from_millis(20), "{took:?}");
    peer.answer("FOO");
    let (_, took) = calls.try_recv().expect("the call has ended");
    assert_eq!(took, Duration::ZERO);
    // Statistics are the same as without a middleware.
    let stats = |peer: &mut Peer, part| peer.info("commandstats", "cmdstat_slow", part);
    assert_eq!(stats(&mut peer, "calls="), Some(1));
    assert_eq!(stats(&mut peer, "failed_calls="), Some(1));
}

#[test]
fn panic_of_a_handler_is_seen_as_a_failure() {
    let (tracer, calls) = tracer();
    let server = serve(tracer);
    let mut peer = server.connect();
    peer.ask("PING\r\nPANIC\r\nPING\r\n", format!("+PONG\r\n{INTERNAL}"));
    peer.expect_end();
    let panic = "panic 1 Failed(\"ERR internal error: see the server's log\")";
    assert_eq!(lines(&calls), ["ping 1 Replied", panic]);
}

/// Panics before some requests, and after others.
struct Panics;

impl Middleware for Panics {
    fn before(&self, _: &mut Session, call: &Call<'_>) -> Result<(), ErrorReply> {
        assert!(call.name() != "echo", "as the test wants it");
        Ok(())
    }

    fn after(&self, _: &mut Session, call: &Call<'_>, _: &CallOutcome<'_>) {
        assert!(!["", "time"].contains(&call.name()), "as the test wants it");
    }
}

#[test]
fn panic_of_the_middleware_closes_only_its_client() {
    let server = serve(Panics);
    let mut other = server.connect();
    for request in ["ECHO a", "TIME", "FOO"] {
        other.ping();
        let mut peer = server.connect();
        let requests = format!("PING\r\n{request}\r\nPING\r\n");
        peer.ask(requests, format!("+PONG\r\n{INTERNAL}"));
        peer.expect_end();
    }
    other.ping();
    for name in ["echo", "time"] {
        let stats =
            |peer: &mut Peer, part| peer.info("commandstats", &format!("cmdstat_{name}"), part);
        assert_eq!(stats(&mut other, "calls="), Some(1), "{name}");
        assert_eq!(stats(&mut other, "failed_calls="), Some(1), "{name}");
    }
    assert_eq!(other.count("closed_handler_panicked"), 3);
}

/// Refuses keys that begin with `_`.
struct Keys;

impl Middleware for Keys {
    fn before(&self, _: &mut Session, call: &Call<'_>) -> Result<(), ErrorReply> {
        match call.keys().iter().find(|key| key.starts_with(b"_")) {
            Some(key) => Err(ErrorReply::showing(key.escape_ascii())),
            None => Ok(()),
        }
    }

    fn after(&self, _: &mut Session, call: &Call<'_>, _: &CallOutcome<'_>) {
        assert!(call.request().word_count() == 3 || call.keys().is_empty());
    }
}

#[test]
fn keys_of_a_call_are_those_that_the_command_declares() {
    let server = serve(Keys);
    let mut peer = server.connect();
    peer.ask("COPY a b\r\nCOPY a _b\r\n", "$-1\r\n-ERR _b\r\n");
    peer.ask("COPY _a b\r\nECHO _a\r\n", "-ERR _a\r\n$2\r\n_a\r\n");
    assert!(peer.answer("COPY _a").contains("wrong number of arguments"));
}

#[test]
fn each_command_of_a_transaction_is_seen_when_executed() {
    let (tracer, calls) = tracer();
    let mut commands = program(tracer);
    commands.transactions(|session, exec| exec.run(session));
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    peer.ask("MULTI\r\nPING\r\nSLOW\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    assert_eq!(lines(&calls), ["multi 1 Replied"]);
    peer.ask("EXEC\r\n", "*2\r\n+PONG\r\n-BUSY a b\r\n");
    let busy = "slow 1 Failed(\"BUSY a b\")";
    assert_eq!(lines(&calls), ["ping 1 Replied", busy, "exec 1 Replied"]);
}

#[test]
fn refused_command_of_a_transaction_has_its_error_in_the_reply() {
    let mut commands = program(Guard);
    commands.transactions(|session, exec| exec.run(session));
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    let refused = format!("{NOPERM} 'acl|list' command\r\n");
    peer.ask(
        "MULTI\r\nPING\r\nACL LIST\r\nPING\r\nEXEC\r\nPING\r\n",
        format!(
            "+OK\r\n{}*3\r\n+PONG\r\n{refused}+PONG\r\n+PONG\r\n",
            "+QUEUED\r\n".repeat(3)
        ),
    );
}

#[test]
fn deferred_call_is_seen_once_as_deferred() {
    let (tracer, calls) = tracer();
    let mut commands = program(tracer);
    commands.register("LATER", Arity::Exactly(1), |session, _, reply| {
        session.defer(reply).start(|token| {
            thread::spawn(move || token.reply(|reply| reply.error("LATE x")));
        })
    });
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    peer.ask("LATER\r\nPING\r\n", "-LATE x\r\n+PONG\r\n");
    assert_eq!(lines(&calls), ["later 1 Deferred", "ping 1 Replied"]);
}

#[test]
fn last_middleware_replaces_the_one_before() {
    let (first, first_calls) = tracer();
    let (second, calls) = tracer();
    let mut commands = program(first);
    commands.set_middleware(second);
    let server = TestServer::with(config(1), commands);
    server.connect().ping();
    assert_eq!(lines(&first_calls), [""; 0]);
    assert_eq!(lines(&calls).len(), 1);
}
