//! Deferred replies, and all else that may happen to a client meanwhile.

use std::error::Error;
use std::fmt::Debug;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use respool::testing::{self, Answer, TestClient, TestServer};
use respool::{Arity, Commands, Config, DeferredReply, Listener, Server};
use respool_testing::peer::Transport;
use respool_testing::{
    PATIENCE, Peer, Scratch, commands_with_gate, config, eventually, percentile,
};

type Tested = Result<(), Box<dyn Error>>;

/// The test's side of the commands that defer.
struct Deferred {
    tokens: Receiver<DeferredReply>,
    cancelled: Receiver<u64>,
}

impl Deferred {
    /// Waits until a client waits, and returns its token.
    #[track_caller]
    fn token(&self) -> DeferredReply {
        self.tokens.recv_timeout(PATIENCE).expect("a client waits")
    }

    /// Waits until a wait is cancelled, and returns its client.
    #[track_caller]
    fn cancelled(&self) -> u64 {
        let cancelled = self.cancelled.recv_timeout(PATIENCE);
        cancelled.expect("the wait is cancelled")
    }
}

/// Returns the built-in commands and: `WAIT milliseconds`, which waits, for ever at 0; `LAST`, which
/// waits and then closes its client; `AT-ONCE` and `ELSEWHERE`, which reply before they
/// return; `IN-ITEM`, which defers an item; and `TWICE`, which defers the reply of its own token.
fn commands() -> (Commands, Deferred) {
    let (sender, tokens) = channel();
    let (cancels, cancelled) = channel();
    let mut commands = Commands::builtin();
    let keep = sender.clone();
    commands.register("WAIT", Arity::Exactly(2), move |session, request, reply| {
        let ms = request.integer_in(0, 0..=i64::MAX)? as u64;
        let (cancels, id): (Sender<u64>, _) = (cancels.clone(), session.id());
        Ok(session
            .defer(reply)
            .timeout((ms > 0).then(|| Duration::from_millis(ms)), |reply| {
                reply.null_array()
            })
            .on_cancel(move || _ = cancels.send(id))
            .start(|token| keep.send(token).expect("the test takes it")))
    });
    commands.register("LAST", Arity::Exactly(1), move |session, _, reply| {
        session.close_after_reply();
        let keep = |token| sender.send(token).expect("the test takes it");
        session.defer(reply).start(keep)
    });
    commands.register("AT-ONCE", Arity::Exactly(1), |session, _, reply| {
        session.defer(reply).start(|token| {
            assert!(token.reply(|reply| reply.simple("at once")));
        })
    });
    commands.register("ELSEWHERE", Arity::Exactly(1), |session, _, reply| {
        session.defer(reply).start(|token| {
            let replier = thread::spawn(|| token.reply(|reply| reply.simple("elsewhere")));
            assert!(replier.join().expect("no panic"));
        })
    });
    commands.register("IN-ITEM", Arity::Exactly(1), |session, _, reply| {
        reply.array(1, |items| {
            items.add(|item| session.defer(item).start(drop));
        })
    });
    commands.register("TWICE", Arity::Exactly(1), |session, _, reply| {
        let (sender, token) = channel();
        let replied = session
            .defer(reply)
            .timeout(Some(Duration::from_secs(3600)), |reply| {
                reply.simple("late")
            })
            .start(|token| sender.send(token).expect("it is received"));
        let token: DeferredReply = token.recv().expect("it was sent");
        token.reply(|reply| Ok(session.defer(reply).start(drop)));
        replied
    });
    (commands, Deferred { tokens, cancelled })
}

fn serve() -> Result<(TestServer, Deferred), Box<dyn Error>> {
    let (commands, deferred) = commands();
    Ok((testing::serve(commands)?, deferred))
}

#[track_caller]
fn send(token: DeferredReply, text: &str) {
    assert!(token.reply(|reply| reply.bulk(text)), "it waits");
}

/// Waits until so many clients wait.
#[track_caller]
fn expect_blocked(server: &TestServer, count: u64) {
    let mut other = Peer::connect(server.addr());
    let what = format!("{count} clients wait");
    eventually(&what, || other.count("blocked_clients") == count);
}

fn id(client: &mut TestClient) -> String {
    match client.call(["CLIENT", "ID"]) {
        Ok(Answer::Integer(id)) => id.to_string(),
        other => panic!("no id: {other:?}"),
    }
}

#[test]
fn pipeline_waits_for_each_deferred_reply() -> Tested {
    let (server, deferred) = serve()?;
    let mut client = server.client()?;
    for round in 0..3 {
        client.send(["ECHO", "before"])?;
        for _ in 0..2 {
            client.send(["WAIT", "0"])?;
            client.send(["ECHO", "after"])?;
        }
        assert_eq!(client.receive()?, "before");
        for text in ["first", "second"] {
            let token = deferred.token();
            // The next request of the pipeline does not run yet.
            server.client()?.call(["PING"])?;
            assert!(deferred.tokens.try_recv().is_err(), "round {round}");
            send(token, text);
            assert_eq!(client.receive()?, text);
            assert_eq!(client.receive()?, "after");
        }
    }
    Ok(())
}

#[test]
fn token_may_be_used_before_the_handler_returns() -> Tested {
    let (server, _) = serve()?;
    let mut client = server.client()?;
    for _ in 0..100 {
        for (command, text) in [("AT-ONCE", "at once"), ("ELSEWHERE", "elsewhere")] {
            client.send([command])?;
            client.send(["PING"])?;
            assert_eq!(client.receive()?, text);
            assert_eq!(client.receive()?, "PONG");
        }
    }
    expect_blocked(&server, 0);
    Ok(())
}

#[test]
fn deferred_reply_can_be_skipped() -> Tested {
    let (server, deferred) = serve()?;
    let mut client = server.client()?;
    client.send(["CLIENT", "REPLY", "SKIP"])?;
    client.send(["WAIT", "0"])?;
    client.send(["PING"])?;
    send(deferred.token(), "skipped");
    assert_eq!(client.receive()?, "PONG");
    client.send(["CLIENT", "REPLY", "SKIP"])?;
    client.send(["WAIT", "1"])?;
    client.send(["PING"])?;
    assert_eq!(client.receive()?, "PONG");
    drop(deferred.token());
    client.send(["CLIENT", "REPLY", "OFF"])?;
    client.send(["WAIT", "0"])?;
    client.send(["WAIT", "1"])?;
    client.send(["CLIENT", "REPLY", "ON"])?;
    send(deferred.token(), "off");
    assert_eq!(client.receive()?, "OK");
    assert_eq!(client.call(["PING"])?, "PONG");
    Ok(())
}

#[test]
fn client_list_shows_that_a_client_waits() -> Tested {
    let (server, deferred) = serve()?;
    let (mut client, mut other) = (server.client()?, server.client()?);
    let id = id(&mut client);
    let mut flags = || {
        let line = other.call(["CLIENT", "LIST", "ID", &id]).expect("a list");
        let Answer::Bulk(line) = line else {
            panic!("no list: {line:?}")
        };
        let line = String::from_utf8(line).expect("text");
        let word = |key| line.split(' ').find_map(|word| word.strip_prefix(key));
        let words = ["flags=", "cmd="].map(|key| word(key).expect("a field").to_owned());
        words.join(" ")
    };
    client.send(["WAIT", "0"])?;
    let token = deferred.token();
    eventually("it is blocked", || flags() == "b wait");
    send(token, "done");
    assert_eq!(client.receive()?, "done");
    assert_eq!(flags(), "N wait");
    Ok(())
}

#[test]
fn unblock_needs_a_client_that_waits() -> Tested {
    let (server, deferred) = serve()?;
    let (mut client, mut other) = (server.client()?, server.client()?);
    let id = id(&mut client);
    let mut unblock = |words: &[&str]| other.call([&["CLIENT", "UNBLOCK"], words].concat());
    assert_eq!(unblock(&[&id])?, 0);
    assert_eq!(unblock(&["123456", "ERROR"])?, 0);
    client.send(["WAIT", "0"])?;
    let token = deferred.token();
    let text = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR";
    assert_eq!(unblock(&[&id, "SOON"])?, Answer::error(text));
    assert!(token.is_wanted());
    assert_eq!(unblock(&[&id, "timeout"])?, 1);
    assert_eq!(unblock(&[&id])?, 0);
    assert!(!token.is_wanted());
    assert_eq!(client.receive()?, Answer::Null);
    // The token of an earlier request does not end a later wait.
    client.send(["WAIT", "0"])?;
    let second = deferred.token();
    assert!(!token.reply(|reply| reply.simple("late")));
    send(second, "second");
    assert_eq!(client.receive()?, "second");
    Ok(())
}

#[test]
fn pause_holds_up_later_requests_only() -> Tested {
    let (server, deferred) = serve()?;
    let (mut client, mut other) = (server.client()?, server.client()?);
    client.send(["WAIT", "0"])?;
    let token = deferred.token();
    assert_eq!(other.call(["CLIENT", "PAUSE", "100000", "ALL"])?, "OK");
    client.send(["PING"])?;
    send(token, "during the pause");
    assert_eq!(client.receive()?, "during the pause");
    client.set_timeout(Duration::from_millis(30));
    assert!(client.receive().is_err(), "the pause holds PING up");
    client.set_timeout(PATIENCE);
    assert_eq!(other.call(["CLIENT", "UNPAUSE"])?, "OK");
    assert_eq!(client.receive()?, "PONG");
    Ok(())
}

#[test]
fn requests_after_a_wait_change_the_client_after_it() -> Tested {
    let (server, deferred) = serve()?;
    let mut client = server.client()?;
    client.hello(3)?;
    for words in [&["WAIT", "0"][..], &["RESET"], &["WAIT", "0"], &["QUIT"]] {
        client.send(words)?;
    }
    assert!(deferred.token().reply(|reply| reply.boolean(true)));
    assert_eq!(client.receive_bytes(4 + 8)?, b"#t\r\n+RESET\r\n");
    assert!(deferred.token().reply(|reply| reply.boolean(true)));
    assert_eq!(client.receive_close()?, b":1\r\n+OK\r\n");
    Ok(())
}

#[test]
fn messages_arrive_while_a_client_waits() -> Tested {
    let (server, deferred) = serve()?;
    let (mut client, mut other) = (server.client()?, server.client()?);
    client.hello(3)?;
    client.call(["SUBSCRIBE", "news"])?;
    client.send(["WAIT", "0"])?;
    client.send(["PING"])?;
    let token = deferred.token();
    for text in ["one", "two"] {
        assert_eq!(other.call(["PUBLISH", "news", text])?, 1);
        assert_eq!(client.next_message()?, ("message", "news", text));
    }
    send(token, "done");
    assert_eq!(client.receive()?, "done");
    assert_eq!(client.receive()?, "PONG");
    assert!(client.messages().is_empty());
    Ok(())
}

#[test]
fn client_is_closed_after_its_deferred_reply() -> Tested {
    let (server, deferred) = serve()?;
    let mut client = server.client()?;
    client.send(["LAST"])?;
    client.send(["PING"])?;
    send(deferred.token(), "bye");
    assert_eq!(client.receive_close()?, b"$3\r\nbye\r\n");
    Ok(())
}

#[test]
fn only_the_reply_of_the_handler_can_be_deferred() -> Tested {
    let (server, _) = serve()?;
    for request in ["IN-ITEM", "TWICE"] {
        let mut client = server.client()?;
        let error = Answer::error("ERR internal error: see the server's log");
        assert_eq!(client.call([request])?, error, "{request}");
        assert_eq!(client.receive_close()?, b"");
        expect_blocked(&server, 0);
    }
    Ok(())
}

/// The time of the replies counts, too, so that other clients are served soon.
#[test]
fn turn_of_deferred_replies_is_short() {
    const PIPELINED: usize = 5_000;
    let (mut commands, gate) = commands_with_gate();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    commands.register("NOTE", Arity::Exactly(1), move |session, _, reply| {
        noted.lock().push((session.id(), Instant::now()));
        session.defer(reply).start(|token| {
            assert!(token.reply(|reply| reply.simple("OK")));
        })
    });
    let server = respool_testing::TestServer::with(config(1), commands);
    let _busy = gate.busy_client(server.addr);
    let mut peers = [server.connect(), server.connect()];
    for peer in &mut peers {
        peer.send("NOTE\r\n".repeat(PIPELINED));
    }
    gate.let_one_through();
    for peer in &mut peers {
        peer.expect("+OK\r\n".repeat(PIPELINED));
    }
    // The only worker serves the two in turn, so a turn is as long as one client has the calls.
    let calls = calls.lock();
    let turns = calls.chunk_by(|(one, _), (next, _)| one == next);
    let mut times: Vec<_> = turns
        .map(|turn| turn[turn.len() - 1].1.duration_since(turn[0].1))
        .collect();
    let median = percentile(&mut times, 50);
    // A third of a millisecond, and over 1.5 ms if only the time of the handlers counts.
    assert!(median < Duration::from_micros(800), "{median:?} for a turn");
}

#[test]
fn deferred_errors_are_counted() -> Tested {
    let (server, deferred) = serve()?;
    let mut client = server.client()?;
    client.send(["WAIT", "0"])?;
    client.send(["WAIT", "0"])?;
    assert!(deferred.token().reply(|reply| reply.error("BUSY no time")));
    assert_eq!(client.receive()?, Answer::error("BUSY no time"));
    drop(deferred.token());
    let text = "ERR the request was dropped without a reply";
    assert_eq!(client.receive()?, Answer::error(text));
    let mut other = Peer::connect(server.addr());
    let mut count = |section, field, part| other.info(section, field, part);
    assert_eq!(count("commandstats", "cmdstat_wait", "calls="), Some(2));
    let failed = count("commandstats", "cmdstat_wait", "failed_calls=");
    assert_eq!(failed, Some(2));
    assert_eq!(count("errorstats", "errorstat_BUSY", "count="), Some(1));
    assert_eq!(count("errorstats", "errorstat_ERR", "count="), Some(1));
    Ok(())
}

#[test]
fn large_deferred_replies_are_sent_whole() -> Tested {
    let (server, deferred) = serve()?;
    let mut client = server.client()?;
    // Each is more than the buffers of both sockets hold.
    let texts = ["a", "b", "c", "d"].map(|text| text.repeat(8 * 1024 * 1024));
    for _ in &texts {
        client.send(["WAIT", "0"])?;
        client.send(["PING"])?;
    }
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            for text in &texts {
                assert!(client.receive()? == text.as_str());
                assert_eq!(client.receive()?, "PONG");
            }
            io::Result::Ok(())
        });
        for text in &texts {
            send(deferred.token(), text);
        }
        reading.join().expect("no panic")
    })?;
    Ok(())
}

#[test]
fn requests_of_a_waiting_client_stay_in_its_socket() -> Tested {
    let (commands, deferred) = commands();
    let config = Config {
        workers: 1,
        ..testing::config()
    };
    let server = testing::start(Server::bind(config, commands)?)?;
    let mut peer = Peer::connect(server.addr());
    let mut other = Peer::connect(server.addr());
    peer.send("WAIT 0\r\n");
    let token = deferred.token();
    let sent = peer.send_until_stuck(b"PING\r\n", &mut other);
    let input = other.info("clients", "client_recent_max_input_buffer", "");
    assert!(input.is_none_or(|bytes| bytes < 1024 * 1024), "{input:?}");
    send(token, "done");
    peer.expect("$4\r\ndone\r\n");
    for _ in 0..sent / 6 {
        peer.expect("+PONG\r\n");
    }
    Ok(())
}

/// It is checked each second, so it takes some.
#[test]
fn waiting_client_has_no_idle_timeout() -> Tested {
    let (commands, deferred) = commands();
    let config = Config {
        timeout_s: 1,
        request_timeout_s: 1,
        ..testing::config()
    };
    let server = testing::start(Server::bind(config, commands)?)?;
    let (mut waiting, mut idle) = (server.client()?, server.client()?);
    idle.call(["PING"])?;
    waiting.send(["WAIT", "0"])?;
    // Half of a request, whose time begins after the wait.
    waiting.send_bytes("PI")?;
    idle.receive_close()?;
    waiting.set_timeout(Duration::from_millis(100));
    assert!(waiting.receive().is_err(), "it waits");
    send(deferred.token(), "done");
    assert_eq!(waiting.receive()?, "done");
    waiting.send_bytes("NG\r\n")?;
    assert_eq!(waiting.receive()?, "PONG");
    Ok(())
}

/// Has a client wait, and get its reply; then half-close, and then leave.
fn ends_are_noticed<S: Transport>(connect: impl Fn() -> Peer<S>, deferred: &Deferred) {
    let mut peer = connect();
    peer.ask("PING\r\n", "+PONG\r\n");
    peer.send("WAIT 0\r\nPING\r\n");
    send(deferred.token(), "done");
    peer.expect("$4\r\ndone\r\n+PONG\r\n");
    peer.send("WAIT 1\r\nPING\r\n");
    peer.expect("*-1\r\n+PONG\r\n");
    drop(deferred.token());
    deferred.cancelled();

    peer.send("WAIT 0\r\n");
    let token = deferred.token();
    assert!(token.is_wanted());
    peer.socket.end_sending();
    deferred.cancelled();
    peer.expect_end();
    assert!(!token.is_wanted());
    assert!(!token.reply(|reply| reply.simple("late")));

    let mut peer = connect();
    peer.send("WAIT 0\r\nPING\r\n");
    let token = deferred.token();
    drop(peer);
    deferred.cancelled();
    let replier = thread::spawn(|| token.reply(|reply| reply.simple("late")));
    assert!(!replier.join().expect("no panic"));
}

#[test]
fn ends_of_tcp_clients_are_noticed() -> Tested {
    let (server, deferred) = serve()?;
    ends_are_noticed(|| Peer::connect(server.addr()), &deferred);
    let mut peer = Peer::connect(server.addr());
    peer.send("WAIT 0\r\n");
    let token = deferred.token();
    peer.reset();
    deferred.cancelled();
    assert!(!token.is_wanted());
    expect_blocked(&server, 0);
    Ok(())
}

#[test]
fn ends_of_unix_clients_are_noticed() -> Tested {
    let (commands, deferred) = commands();
    let folder = Scratch::for_sockets();
    let path = folder.path().join("socket");
    let listeners: [Listener; 2] = [
        UnixListener::bind(&path)?.into(),
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.into(),
    ];
    let server = Server::from_listeners(listeners, testing::config(), commands)?;
    let server = testing::start(server)?;
    ends_are_noticed(|| Peer::connect_to_file(&path), &deferred);
    expect_blocked(&server, 0);
    Ok(())
}

#[cfg(feature = "tls")]
#[test]
fn ends_of_tls_clients_are_noticed() -> Tested {
    use respool::config::TlsAuthClients;
    use respool_testing::certificates::Authority;
    use respool_testing::tls::TlsClients;

    let (commands, deferred) = commands();
    let files = Authority::new("the CA").folder();
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (plain, tls) = (listen()?, listen()?);
    let addr = tls.local_addr()?;
    let config = Config {
        tls_port: addr.port(),
        tls_cert_file: Some(files.server_certificate()),
        tls_key_file: Some(files.server_key()),
        tls_auth_clients: TlsAuthClients::No,
        ..testing::config()
    };
    let server = Server::from_listeners([plain, tls], config, commands)?;
    let server = testing::start(server)?;
    let clients = TlsClients::anonymous(&files);
    ends_are_noticed(|| clients.connect(addr), &deferred);
    expect_blocked(&server, 0);
    Ok(())
}

const CLIENTS: usize = 16;
const WAITS: usize = 60;

/// Waits again and again, for up to 3 ms or for ever, with a message before each reply.
fn wait_often(mut client: TestClient) -> io::Result<Vec<Answer>> {
    let answer = |number: usize| {
        let ms = (number % 4).to_string();
        let answer = client.call(["WAIT", &ms])?;
        assert_eq!(client.call(["ECHO", &ms])?, ms.as_str());
        Ok(answer)
    };
    (0..WAITS).map(answer).collect()
}

/// Replies by each token after up to 0.6 ms. Returns how many clients still waited.
fn reply_to_all(tokens: &Receiver<DeferredReply>) -> usize {
    let mut random = fastrand::Rng::with_seed(7);
    let mut sent = 0;
    for _ in 0..CLIENTS * WAITS {
        let token = tokens.recv_timeout(PATIENCE).expect("a client waits");
        let deadline = Instant::now() + Duration::from_micros(random.u64(0..600));
        while Instant::now() < deadline {
            thread::yield_now();
        }
        sent += usize::from(token.reply(|reply| reply.simple("token")));
    }
    sent
}

/// Timeouts, tokens, CLIENT UNBLOCK and messages race for the ends of many waits.
#[test]
fn each_wait_ends_once() -> Tested {
    let (server, Deferred { tokens, cancelled }) = serve()?;
    let (mut waiting, mut ids) = (Vec::new(), Vec::new());
    for _ in 0..CLIENTS {
        let mut client = server.client()?;
        client.hello(3)?;
        client.call(["SUBSCRIBE", "news"])?;
        ids.push(id(&mut client));
        waiting.push(thread::spawn(|| wait_often(client)));
    }
    let replying = thread::spawn(move || reply_to_all(&tokens));
    let mut other = server.client()?;
    let mut unblocked = 0;
    while !replying.is_finished() {
        for id in &ids {
            let ended = other.call(["CLIENT", "UNBLOCK", id, "ERROR"])?;
            unblocked += usize::from(ended == 1);
            other.call(["PUBLISH", "news", "x"])?;
        }
    }
    let sent = replying.join().expect("no panic");
    let mut answers = Vec::new();
    for client in waiting {
        answers.extend(client.join().expect("no panic")?);
    }
    let count = |wanted: fn(&Answer) -> bool| answers.iter().filter(|one| wanted(one)).count();
    let replied = count(|answer| *answer == "token");
    let timed_out = count(|answer| *answer == Answer::Null);
    let forced = count(|answer| matches!(answer, Answer::Error(_)));
    assert_eq!((replied, forced), (sent, unblocked));
    assert_eq!(replied + timed_out + forced, CLIENTS * WAITS);
    assert_eq!(cancelled.try_iter().count(), timed_out + forced);
    expect_blocked(&server, 0);
    Ok(())
}

/// What a program must keep until it replies may go to another thread.
#[test]
fn token_can_be_sent_to_any_thread() {
    fn is_sent_and_shown<T: Send + Sync + Debug + 'static>() {}
    is_sent_and_shown::<DeferredReply>();
}
