//! MULTI, EXEC and DISCARD of a program's own server.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::{Mutex, ReentrantMutex};
use respool::{Arity, Commands, Config, ErrorReply, Exec, Executed, Session};
use respool_testing::{Peer, TestServer, builtin_and, config, echo, request};

const OK: &str = "+OK\r\n";
const QUEUED: &str = "+QUEUED\r\n";
const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.\r\n";
const NO_MULTI: &str = "-ERR EXEC without MULTI\r\n";

/// Adds NOTE number, which writes a number down, transactions without a lock, and some commands
/// that behave badly.
fn commands(noted: &Arc<Mutex<Vec<i64>>>) -> Commands {
    let noted = Arc::clone(noted);
    builtin_and(|commands| {
        commands
            .register("NOTE", Arity::Exactly(2), move |_, request, reply| {
                noted.lock().push(request.integer(0)?);
                Ok(reply.simple("OK"))
            })
            .writes()
            .register("IN-EXEC", Arity::Exactly(1), |session, _, reply| {
                reply.boolean(session.is_in_exec())
            })
            .register("LEAVE", Arity::Exactly(1), |session, _, reply| {
                session.close_after_reply();
                reply.simple("bye")
            })
            .register("PANIC", Arity::Exactly(1), |_, _, reply| {
                reply.array(2, |items| items.add(|item| item.integer(1)))
            });
        commands.transactions(|session, exec| exec.run(session));
    })
}

/// A server with [`commands`] on one worker, a client, and the numbers that were noted.
fn serve() -> (TestServer, Peer, Arc<Mutex<Vec<i64>>>) {
    let noted = Arc::default();
    let server = TestServer::with(config(1), commands(&noted));
    let peer = server.connect();
    (server, peer, noted)
}

/// A server with transactions under this hook, and a client.
fn serve_hook<R: Into<Result<Executed, ErrorReply>>>(
    hook: impl Fn(&mut Session, Exec<'_>) -> R + Send + Sync + 'static,
) -> (TestServer, Peer) {
    let mut commands = Commands::builtin();
    commands.transactions(hook);
    let server = TestServer::with(config(2), commands);
    let peer = server.connect();
    (server, peer)
}

#[test]
fn exec_replies_with_an_array_in_both_protocols() {
    let (_server, mut peer, noted) = serve();
    peer.ask("MULTI\r\nNOTE 1\r\n", [OK, QUEUED].concat());
    assert!(noted.lock().is_empty());
    peer.ask("ECHO a\r\nNOTE x\r\nnote 2\r\n", QUEUED.repeat(3));
    let replies = "*4\r\n+OK\r\n$1\r\na\r\n-ERR value is not an integer or out of range\r\n+OK\r\n";
    peer.ask("exec\r\nPING\r\n", format!("{replies}+PONG\r\n"));
    assert_eq!(*noted.lock(), [1, 2]);
    peer.ask("MULTI\r\nEXEC\r\n", "+OK\r\n*0\r\n");
    peer.speak_resp3();
    peer.send("MULTI\r\nIN-EXEC\r\nEXEC\r\nIN-EXEC\r\n");
    peer.expect("+OK\r\n+QUEUED\r\n*1\r\n#t\r\n#f\r\n");
}

#[test]
fn transactions_are_opt_in() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    for name in ["MULTI", "EXEC", "DISCARD"] {
        let error = format!("-ERR unknown command '{name}', with args beginning with: \r\n");
        peer.ask(format!("{name}\r\n"), error);
    }
}

#[test]
fn identical_pipelined_requests_are_each_queued() {
    let (_server, mut peer, _) = serve();
    peer.send(format!("MULTI\r\n{}EXEC\r\n", "PING\r\n".repeat(100)));
    peer.expect(format!("{OK}{}", QUEUED.repeat(100)));
    peer.expect(format!("*100\r\n{}", "+PONG\r\n".repeat(100)));
}

#[test]
fn multi_exec_and_discard_out_of_order_are_errors() {
    let (_server, mut peer, noted) = serve();
    peer.ask("EXEC\r\n", NO_MULTI);
    peer.ask("DISCARD\r\n", "-ERR DISCARD without MULTI\r\n");
    let nested = "-ERR MULTI calls can not be nested\r\n";
    peer.ask("MULTI\r\nMULTI\r\n", [OK, nested].concat());
    peer.ask("PING\r\nEXEC\r\n", "+QUEUED\r\n*1\r\n+PONG\r\n");
    peer.ask(
        "MULTI\r\nNOTE 1\r\nDISCARD\r\n",
        "+OK\r\n+QUEUED\r\n+OK\r\n",
    );
    peer.ask("EXEC\r\n", NO_MULTI);
    peer.ask(
        "MULTI\r\nNOTE 1\r\nRESET\r\n",
        "+OK\r\n+QUEUED\r\n+RESET\r\n",
    );
    peer.ask("EXEC\r\n", NO_MULTI);
    peer.ask("MULTI\r\nNOTE 1\r\nQUIT\r\n", "+OK\r\n+QUEUED\r\n+OK\r\n");
    peer.expect_end();
    assert!(noted.lock().is_empty());
}

#[test]
fn refused_request_aborts_the_transaction() {
    let (_server, mut peer, noted) = serve();
    for (refused, error) in [
        (
            "NOSUCH",
            "ERR unknown command 'NOSUCH', with args beginning with: ",
        ),
        ("ECHO", "ERR wrong number of arguments for 'echo' command"),
        ("CLIENT X", "ERR unknown subcommand 'X'. Try CLIENT HELP."),
        ("SHUTDOWN", "ERR Command not allowed inside a transaction"),
    ] {
        peer.ask("MULTI\r\nNOTE 1\r\n", [OK, QUEUED].concat());
        peer.ask(format!("{refused}\r\n"), format!("-{error}\r\n"));
        peer.ask(
            "NOTE 2\r\nEXEC\r\nEXEC\r\n",
            [QUEUED, ABORTED, NO_MULTI].concat(),
        );
    }
    let of_exec = "-EXECABORT Transaction discarded because of: \
                   wrong number of arguments for 'exec' command\r\n";
    peer.ask(
        "MULTI\r\nEXEC 1\r\nEXEC\r\n",
        [OK, of_exec, NO_MULTI].concat(),
    );
    assert!(noted.lock().is_empty());
    peer.ask(
        "MULTI\r\nNOTE 3\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n",
    );
    assert_eq!(*noted.lock(), [3]);
}

#[test]
fn exec_without_authentication_says_so() {
    let config = Config {
        requirepass: Some("secret".into()),
        ..config(1)
    };
    let server = TestServer::with(config, commands(&Arc::default()));
    let mut peer = server.connect();
    let noauth = "NOAUTH Authentication required.\r\n";
    peer.ask("MULTI\r\n", format!("-{noauth}"));
    peer.ask(
        "EXEC\r\n",
        format!("-EXECABORT Transaction discarded because of: {noauth}"),
    );
    peer.ask(
        "AUTH secret\r\nMULTI\r\nAUTH wrong\r\n",
        "+OK\r\n+OK\r\n+QUEUED\r\n",
    );
    let wrong = "*1\r\n-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    peer.ask("EXEC\r\n", wrong);
}

#[test]
fn client_reply_is_obeyed_in_exec_as_in_redis() {
    let (_server, mut peer, noted) = serve();
    // Without replies, those of the queued requests are missing too.
    peer.send("CLIENT REPLY OFF\r\nMULTI\r\nNOTE 1\r\nCLIENT REPLY ON\r\nECHO a\r\nEXEC\r\n");
    peer.expect("+OK\r\n$1\r\na\r\n");
    peer.send("CLIENT REPLY SKIP\r\nMULTI\r\nPING\r\nCLIENT REPLY SKIP\r\nECHO a\r\nEXEC\r\n");
    peer.expect("+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+PONG\r\n$1\r\na\r\n");
    peer.ask("ECHO skipped\r\nECHO b\r\n", "$1\r\nb\r\n");
    peer.ask("MULTI\r\nPING\r\n", [OK, QUEUED].concat());
    peer.ask(
        "CLIENT REPLY SKIP\r\nEXEC\r\nPING\r\n",
        "+QUEUED\r\n*2\r\n+PONG\r\n",
    );
    peer.send("MULTI\r\nPING\r\nCLIENT REPLY OFF\r\nNOTE 2\r\nEXEC\r\nCLIENT REPLY ON\r\n");
    peer.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+PONG\r\n+OK\r\n");
    assert_eq!(*noted.lock(), [1, 2]);
}

#[test]
fn subscriptions_in_exec_are_confirmed_inside_the_array() {
    let (_server, mut peer, _) = serve();
    peer.send("MULTI\r\nSUBSCRIBE a\r\nPING\r\nEXEC\r\n");
    peer.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    peer.expect("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    let context = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
                   this context\r\n";
    peer.ask(
        "MULTI\r\n",
        format!("-ERR Can't execute 'multi': {context}"),
    );
    peer.ask("RESET\r\n", "+RESET\r\n");
    peer.send("MULTI\r\nMONITOR\r\nEXEC\r\n");
    peer.expect("+OK\r\n+QUEUED\r\n*1\r\n-ERR MONITOR isn't allowed for DENY BLOCKING client\r\n");
}

/// As in Redis from 7.2 on: a client would take a message inside the array for an item.
#[test]
fn messages_do_not_come_inside_the_array() {
    let (server, mut peer, _) = serve();
    let confirmation = |sign: char, kind: &str, count: u8| {
        let length = kind.len();
        format!("{sign}3\r\n${length}\r\n{kind}\r\n$1\r\na\r\n:{count}\r\n")
    };
    let message = |sign| format!("{sign}3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
    peer.send("MULTI\r\nSUBSCRIBE a\r\nPUBLISH a hi\r\nEXEC\r\n");
    peer.expect([OK, QUEUED, QUEUED].concat());
    let confirmed = confirmation('*', "subscribe", 1);
    peer.expect(format!("*2\r\n{confirmed}:1\r\n{}", message('*')));
    let mut peer = server.connect();
    peer.speak_resp3();
    peer.ask("SUBSCRIBE a\r\n", confirmation('>', "subscribe", 1));
    peer.send("MULTI\r\nPUBLISH a hi\r\nUNSUBSCRIBE a\r\nLEAVE\r\nPING\r\nEXEC\r\n");
    peer.expect([OK, QUEUED, QUEUED, QUEUED, QUEUED].concat());
    let confirmed = confirmation('>', "unsubscribe", 0);
    peer.expect(format!(
        "*4\r\n:2\r\n{confirmed}+bye\r\n+PONG\r\n{}",
        message('>')
    ));
    peer.expect_end();
}

#[test]
fn hook_sees_the_requests_and_holds_a_lock() {
    let lock = Arc::new(ReentrantMutex::new(()));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (held, names) = (Arc::clone(&lock), Arc::clone(&seen));
    let (server, mut peer) = serve_hook(move |session, exec| {
        let _guard = held.lock();
        let requests = exec.requests().map(|request| request.word_count());
        let names_seen = exec.names().map(str::to_owned);
        names.lock().extend(names_seen.zip(requests));
        exec.run(session)
    });
    let guard = lock.lock();
    peer.ask(
        "MULTI\r\nECHO a\r\nclient id\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n",
    );
    peer.send("EXEC\r\n");
    // The hook waits; another client is served.
    server.connect().ping();
    drop(guard);
    peer.expect("*2\r\n$1\r\na\r\n:1\r\n");
    let expected = [("echo".to_owned(), 2), ("client|id".to_owned(), 2)];
    assert_eq!(*seen.lock(), expected);
}

#[test]
fn hook_sees_the_keys() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keys = Arc::clone(&seen);
    let mut commands = Commands::builtin();
    commands
        .register("COPY", Arity::Exactly(3), |_, _, reply| reply.simple("OK"))
        .keys(1, 2, 1);
    commands.transactions(move |session, exec| {
        keys.lock().extend(exec.keys().map(<[u8]>::to_vec));
        exec.run(session)
    });
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    peer.ask(
        "MULTI\r\nPING\r\nCOPY a b\r\nCOPY b c\r\n",
        [OK, &*QUEUED.repeat(3)].concat(),
    );
    peer.ask("EXEC\r\n", "*3\r\n+PONG\r\n+OK\r\n+OK\r\n");
    assert_eq!(*seen.lock(), [b"a", b"b", b"b", b"c"]);
}

#[test]
fn hook_can_refuse_a_transaction() {
    let (_server, mut peer) = serve_hook(|session, exec| {
        if exec.names().any(|name| name == "publish") {
            return Err(ErrorReply::new("NOPERM", "not in a transaction"));
        }
        Ok(exec.run(session))
    });
    peer.ask("MULTI\r\nPUBLISH a b\r\n", [OK, QUEUED].concat());
    peer.ask(
        "EXEC\r\nEXEC\r\n",
        ["-NOPERM not in a transaction\r\n", NO_MULTI].concat(),
    );
    peer.ask(
        "MULTI\r\nPING\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n",
    );
}

#[test]
fn error_after_run_replaces_the_replies() {
    let (_server, mut peer) = serve_hook(|session, exec| {
        let _ = exec.run(session);
        Err(ErrorReply::err("the disk is full"))
    });
    peer.ask(
        "MULTI\r\nSELECT 3\r\nPING\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n",
    );
    peer.ask("EXEC\r\nPING\r\n", "-ERR the disk is full\r\n+PONG\r\n");
    assert!(peer.answer("CLIENT INFO").contains(" db=3 "));
}

#[test]
fn proof_of_another_transaction_does_not_count() {
    let stolen = Mutex::new(None);
    let (_server, mut peer) = serve_hook(move |session, exec| {
        let mut stolen = stolen.lock();
        if let Some(executed) = stolen.take() {
            return Ok(executed);
        }
        *stolen = Some(exec.run(session));
        Err(ErrorReply::SYNTAX)
    });
    for reply in [
        "-ERR syntax error\r\n",
        "-ERR the transaction was not run\r\n",
    ] {
        peer.ask("MULTI\r\nPING\r\n", [OK, QUEUED].concat());
        peer.ask("EXEC\r\nECHO a\r\n", [reply, "$1\r\na\r\n"].concat());
    }
}

#[test]
fn handler_that_would_wait_answers_at_once() {
    let mut commands = Commands::builtin();
    commands.register("WAIT-FOR", Arity::Exactly(2), |session, _, reply| {
        let deferral = session.defer(reply);
        let deferral = deferral.timeout(None, |reply| reply.simple("late"));
        deferral.start(|_token| panic!("nothing waits in a transaction"))
    });
    commands.transactions(|session, exec| exec.run(session));
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    peer.send("MULTI\r\nWAIT-FOR 1\r\nPING\r\nEXEC\r\nPING\r\n");
    peer.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+late\r\n+PONG\r\n+PONG\r\n");
}

#[test]
fn panic_in_exec_replaces_the_replies_and_closes() {
    let (server, mut peer, noted) = serve();
    peer.ask("PING\r\nMULTI\r\nNOTE 1\r\n", "+PONG\r\n+OK\r\n+QUEUED\r\n");
    peer.send("PANIC\r\nNOTE 2\r\nEXEC\r\n");
    peer.expect("+QUEUED\r\n+QUEUED\r\n-ERR internal error: see the server's log\r\n");
    peer.expect_end();
    assert_eq!(*noted.lock(), [1]);
    server.connect().ping();
}

#[test]
fn closing_in_exec_happens_after_all_replies() {
    let (_server, mut peer, noted) = serve();
    peer.send("MULTI\r\nLEAVE\r\nNOTE 1\r\nEXEC\r\nPING\r\n");
    peer.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+bye\r\n+OK\r\n");
    peer.expect_end();
    assert_eq!(*noted.lock(), [1]);
}

#[test]
fn long_transaction_is_executed_whole() {
    let (_server, mut peer, noted) = serve();
    let mut requests = b"MULTI\r\n".to_vec();
    for number in 0..10_000 {
        requests.extend(format!("NOTE {number}\r\n").into_bytes());
    }
    requests.extend(b"EXEC\r\n");
    peer.send(requests);
    peer.expect([OK, &*QUEUED.repeat(10_000)].concat());
    peer.expect(format!("*10000\r\n{}", OK.repeat(10_000)));
    assert!(noted.lock().iter().copied().eq(0..10_000));
}

/// Few bytes of requests can have replies that take more than all memory.
#[test]
fn replies_of_a_transaction_have_a_limit() {
    let noted = Arc::default();
    let config = Config {
        pending_output_per_client: 100_000,
        ..config(1)
    };
    let server = TestServer::with(config, commands(&noted));
    let mut peer = server.connect();
    let (long, reply) = echo(&"x".repeat(60_000));
    peer.send(format!("MULTI\r\n{long}EXEC\r\n"));
    peer.expect(format!("{OK}{QUEUED}*1\r\n{reply}"));
    peer.send(format!("MULTI\r\n{long}{long}NOTE 1\r\nEXEC\r\n"));
    peer.expect([OK, QUEUED, QUEUED, QUEUED].concat());
    peer.expect(
        "-ERR the transaction was run, but its replies take more than 100000 bytes \
         (pending-output-per-client)\r\n",
    );
    assert_eq!(*noted.lock(), [1]);
    peer.ask("PING\r\n", "+PONG\r\n");
}

#[test]
fn queue_has_a_limit_and_counts_as_memory() {
    let config = Config {
        client_query_buffer_limit: 1 << 20,
        ..config(1)
    };
    let server = TestServer::with(config, commands(&Arc::default()));
    let mut peer = server.connect();
    let mut other = server.connect();
    let id = peer.id();
    peer.ask("MULTI\r\n", OK);
    let field = |other: &mut Peer, name: &str| -> i64 {
        let line = other.answer(&format!("CLIENT LIST ID {id}"));
        let front = format!("{name}=");
        let mut fields = line
            .split_whitespace()
            .filter_map(|field| field.strip_prefix(&front));
        fields
            .next()
            .and_then(|value| value.parse().ok())
            .unwrap_or(-2)
    };
    let empty = field(&mut other, "tot-mem");
    let echo = request(&[b"ECHO", &vec![b'x'; 300_000]]);
    for count in 1..=3 {
        peer.ask(&echo, QUEUED);
        assert_eq!(field(&mut other, "multi"), count);
        let bytes = 300_000 * count;
        assert!((bytes..3 * bytes).contains(&field(&mut other, "multi-mem")));
        assert!(field(&mut other, "tot-mem") >= empty + bytes);
    }
    assert!(
        other
            .answer(&format!("CLIENT LIST ID {id}"))
            .contains(" flags=x ")
    );
    let error = "-ERR a transaction takes at most 1048576 bytes (client-query-buffer-limit)\r\n";
    peer.ask(&echo, error);
    // The queue is freed; more requests do not fill it again.
    peer.ask(&echo, QUEUED);
    assert!(field(&mut other, "tot-mem") < empty + 400_000);
    peer.ask("EXEC\r\n", ABORTED);
    assert_eq!(field(&mut other, "multi"), -1);
    assert!(
        other
            .answer(&format!("CLIENT LIST ID {id}"))
            .contains(" flags=N ")
    );
}

#[test]
fn pause_of_writes_holds_up_an_exec_that_writes() {
    let (server, mut peer, noted) = serve();
    let mut other = server.connect();
    let mut reader = server.connect();
    peer.ask("MULTI\r\nNOTE 1\r\n", [OK, QUEUED].concat());
    reader.ask("MULTI\r\nPING\r\n", [OK, QUEUED].concat());
    other.ask("CLIENT PAUSE 100000 WRITE\r\n", OK);
    reader.ask("EXEC\r\n", "*1\r\n+PONG\r\n");
    peer.send("EXEC\r\n");
    let id = reader.id();
    // Held, and not counted yet.
    let is_held = |line: &str| line.contains(" flags=xb ") && line.ends_with(" tot-cmds=2");
    let paused = |other: &mut Peer| other.answer("CLIENT LIST").lines().any(is_held);
    respool_testing::eventually("EXEC is held up", || paused(&mut other));
    assert!(noted.lock().is_empty(), "{id}");
    other.ask("CLIENT UNPAUSE\r\n", OK);
    peer.expect("*1\r\n+OK\r\n");
    assert_eq!(*noted.lock(), [1]);
}

#[test]
fn queued_requests_are_counted_and_monitored_when_they_run() {
    let (server, mut peer, _) = serve();
    let mut monitor = server.connect();
    monitor.ask("MONITOR\r\n", OK);
    peer.ask(
        "MULTI\r\nNOTE 1\r\nNOTE x\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n",
    );
    peer.ask(
        "DISCARD\r\nMULTI\r\nNOTE 2\r\nNOTE x\r\n",
        "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n",
    );
    peer.send("EXEC\r\nEXEC\r\n");
    peer.expect("*2\r\n+OK\r\n-ERR value is not an integer or out of range\r\n");
    peer.expect(NO_MULTI);
    for words in [
        "MULTI",
        "DISCARD",
        "MULTI",
        "NOTE\" \"2",
        "NOTE\" \"x",
        "EXEC",
        "EXEC",
    ] {
        let line = monitor.line();
        assert!(line.ends_with(&format!("] \"{words}\"")), "{line}");
    }
    let counts = |peer: &mut Peer, name: &str| {
        ["calls=", "rejected_calls=", "failed_calls="].map(|part| {
            let count = peer.info("commandstats", &format!("cmdstat_{name}"), part);
            count.unwrap_or(99)
        })
    };
    assert_eq!(counts(&mut peer, "note"), [2, 0, 1]);
    assert_eq!(counts(&mut peer, "exec"), [2, 0, 1]);
    assert_eq!(counts(&mut peer, "multi"), [2, 0, 0]);
}

#[test]
fn program_without_a_lock_still_runs_every_request() {
    static SUM: AtomicI64 = AtomicI64::new(0);
    let mut commands = Commands::builtin();
    commands.register("ADD", Arity::Exactly(1), |_, _, reply| {
        reply.integer(SUM.fetch_add(1, Ordering::Relaxed))
    });
    commands.transactions(|session, exec| exec.run(session));
    let server = TestServer::with(config(4), commands);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut peer = server.connect();
                for _ in 0..200 {
                    peer.ask("MULTI\r\nADD\r\nADD\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
                    assert_eq!(peer.answers("EXEC").len(), 2);
                }
            });
        }
    });
    assert_eq!(SUM.load(Ordering::Relaxed), 4 * 200 * 2);
}
