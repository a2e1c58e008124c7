//! What a program does with a running server, from its own threads and from handlers.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use respool::config::OutputLimit;
use respool::{Arity, Commands, Items, Protocol, Server};
use respool_testing::{PATIENCE, Peer, TestServer, builtin_and, config, eventually, log};

#[test]
fn handlers_and_hooks_reach_their_server() {
    let (sender, clients) = mpsc::channel();
    let disconnected = sender.clone();
    let commands = builtin_and(|commands| {
        commands.register("CLIENTS", Arity::Exactly(1), |session, _, reply| {
            reply.value(session.server().stats().clients)
        });
    });
    let server = Server::bind(config(1), commands).expect("it starts");
    let server = server
        .on_connect(move |session| {
            let _ = sender.send(session.server().stats().clients);
            Ok(())
        })
        .on_disconnect(move |session, _| {
            let _ = disconnected.send(session.server().stats().clients);
        });
    let server = TestServer::serve(server);
    let mut peer = server.connect();
    peer.ask("CLIENTS\r\n", ":1\r\n");
    drop(peer);
    assert_eq!(clients.recv_timeout(PATIENCE), Ok(1), "connected");
    assert_eq!(clients.recv_timeout(PATIENCE), Ok(0), "disconnected");
}

#[test]
fn handle_kept_by_a_handler_frees_the_commands() {
    let kept = Arc::new(());
    let of_handler = Arc::clone(&kept);
    let mut commands = Commands::builtin();
    commands.register("KEEP", Arity::Exactly(1), move |session, _, reply| {
        session.set_state(session.server());
        reply.value(Arc::strong_count(&of_handler))
    });
    let server = TestServer::with(config(1), commands);
    let handle = server.handle.clone();
    let mut peer = server.connect();
    peer.ask("KEEP\r\n", ":2\r\n");
    drop(server);
    eventually("the commands are freed", || Arc::strong_count(&kept) == 1);
    assert_eq!(handle.stats().requests, 1, "the last state");
    assert_eq!(handle.workers(), 0);
    assert!(handle.health().live.is_err());
    assert!(handle.reconfigure(&handle.config()).is_err());
    handle.drain();
}

// Messages.

/// Subscribes a client that speaks RESP2.
fn subscribe(peer: &mut Peer, channel: &str) {
    let length = channel.len();
    let confirmation = format!("*3\r\n$9\r\nsubscribe\r\n${length}\r\n{channel}\r\n:1\r\n");
    peer.ask(format!("SUBSCRIBE {channel}\r\n"), confirmation);
}

/// Returns a message in RESP2.
fn message(channel: &str, text: &str) -> String {
    let (length, text_length) = (channel.len(), text.len());
    format!("*3\r\n$7\r\nmessage\r\n${length}\r\n{channel}\r\n${text_length}\r\n{text}\r\n")
}

#[test]
fn published_message_reaches_channels_and_patterns() {
    let server = TestServer::start(1);
    let [mut by_name, mut by_pattern] = [(); 2].map(|()| server.connect());
    assert_eq!(server.handle.publish("news", "nobody listens"), 0);
    subscribe(&mut by_name, "news");
    by_pattern.speak_resp3();
    by_pattern.ask(
        "PSUBSCRIBE n*\r\n",
        ">3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:1\r\n",
    );
    assert_eq!(server.handle.publish("news", b"\0\r\n"), 2);
    by_name.expect(message("news", "\0\r\n"));
    by_pattern.expect(">4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$3\r\n\0\r\n\r\n");
    assert_eq!(server.handle.publish("n".repeat(1025), ""), 0, "too long");
}

#[test]
fn messages_of_each_thread_are_complete_and_in_order() {
    const THREADS: usize = 4;
    const MESSAGES: usize = 2_500;
    let server = TestServer::start(2);
    let mut peers = [(); 8].map(|()| server.connect());
    for peer in &mut peers {
        subscribe(peer, "c");
    }
    let publish = |thread: usize| {
        for number in 0..MESSAGES {
            let receivers = server.handle.publish("c", format!("{thread} {number:05}"));
            assert_eq!(receivers, peers.len());
        }
    };
    thread::scope(|scope| {
        let publish = &publish;
        (0..THREADS).for_each(|thread| drop(scope.spawn(move || publish(thread))));
    });
    let size = message("c", "0 00000").len();
    let header = size - "0 00000\r\n".len();
    for peer in &mut peers {
        let bytes = peer.bytes(size * THREADS * MESSAGES);
        let mut next = [0; THREADS];
        for one in bytes.chunks(size) {
            let text = str::from_utf8(&one[header..size - 2]).expect("text");
            let (thread, number) = text.split_once(' ').expect(text);
            let next = &mut next[thread.parse::<usize>().expect(text)];
            assert_eq!(number.parse(), Ok(*next), "{text}");
            *next += 1;
        }
        assert_eq!(next, [MESSAGES; THREADS]);
    }
}

fn progress(items: &mut Items<'_>) {
    items.add(|item| item.bulk("progress"));
    items.add(|item| item.double(0.5));
}

#[test]
fn push_reaches_clients_that_can_tell_it_from_a_reply() {
    let server = TestServer::start(1);
    let [mut plain, mut resp3, mut listens] = [(); 3].map(|()| server.connect());
    let ids = [plain.id(), resp3.id(), listens.id()];
    resp3.speak_resp3();
    subscribe(&mut listens, "c");
    let sent = ids.map(|id| server.handle.push(id, 2, progress));
    assert_eq!(sent, [false, true, true]);
    resp3.expect(">2\r\n$8\r\nprogress\r\n,0.5\r\n");
    listens.expect("*2\r\n$8\r\nprogress\r\n$3\r\n0.5\r\n");
    plain.ping();
    listens.ask(
        "UNSUBSCRIBE\r\n",
        "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n",
    );
    assert!(!server.handle.push(ids[2], 2, progress));
}

#[test]
fn push_to_a_client_that_has_gone_is_false() {
    let server = TestServer::start(1);
    let (mut quits, mut resets) = (server.connect(), server.connect());
    let ids = [quits.id(), resets.id()];
    quits.speak_resp3();
    resets.speak_resp3();
    quits.ask("QUIT\r\n", "+OK\r\n");
    resets.reset();
    for id in [0, ids[0], u64::MAX] {
        assert!(!server.handle.push(id, 2, progress), "{id}");
    }
    eventually("the reset is seen", || {
        !server.handle.push(ids[1], 2, progress)
    });
}

#[test]
fn handler_sends_messages_to_its_own_client() {
    let (server, mut peer) = serve_calls();
    peer.speak_resp3();
    peer.ask(
        "SUBSCRIBE c\r\n",
        ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
    );
    let push = ">2\r\n$8\r\nprogress\r\n,0.5\r\n";
    let message = |text| format!(">{}", &message("c", text)[1..]);
    peer.send("TELL\r\nTELL\r\n");
    // Both replies, and then the messages in their order.
    peer.expect("+OK\r\n".repeat(2));
    peer.expect(format!("{push}{}", message("told")).repeat(2));
    peer.send("TELL-AND-QUIT\r\nPING\r\n");
    peer.expect(format!("{push}{}+OK\r\n", message("told")));
    peer.expect_end();
    drop(server);
}

/// Starts a server with commands that call the handle for their own clients.
fn serve_calls() -> (TestServer, Peer) {
    let commands = builtin_and(|commands| {
        commands.register("TELL", Arity::Exactly(1), |session, _, reply| {
            let server = session.server();
            assert!(server.push(session.id(), 2, progress));
            server.publish("c", "told");
            reply.simple("OK")
        });
        commands.register("TELL-AND-QUIT", Arity::Exactly(1), |session, _, reply| {
            let server = session.server();
            assert!(server.push(session.id(), 2, progress));
            server.publish("c", "told");
            session.close_after_reply();
            assert!(!server.push(session.id(), 2, progress), "it is closing");
            reply.simple("OK")
        });
        commands.register("LEAVE", Arity::Exactly(1), |session, _, reply| {
            assert!(session.server().close(session.id(), ""));
            reply.simple("OK")
        });
    });
    let server = TestServer::with(config(1), commands);
    let peer = server.connect();
    (server, peer)
}

#[test]
fn pushes_are_bounded_by_the_output_limit() {
    let mut config = config(1);
    config.client_output_buffer_limit.pubsub = OutputLimit {
        hard_bytes: 1 << 20,
        soft_bytes: 0,
        soft_s: 0,
    };
    let server = TestServer::with(config, Commands::builtin());
    let mut peer = Peer::connect_with_small_buffer(server.addr);
    let id = peer.id();
    peer.speak_resp3();
    let text = "x".repeat(10_000);
    let push = || {
        server
            .handle
            .push(id, 1, |items| items.add(|item| item.bulk(&text)))
    };
    // The sockets take some megabytes, and the inbox one.
    let pushed = (0..10_000).take_while(|_| push()).count();
    assert!((100..10_000).contains(&pushed), "{pushed} pushes");
    let mut other = server.connect();
    eventually("it is closed", || {
        other.count("closed_slow_subscriber") == 1
    });
}

// Clients.

#[test]
fn clients_are_listed_with_what_client_list_knows() {
    let commands = builtin_and(|commands| {
        commands.register("LOGIN", Arity::Exactly(1), |session, _, reply| {
            session.set_user("tenant")?;
            Ok(reply.simple("OK"))
        });
    });
    let server = TestServer::with(config(1), commands);
    let (mut one, mut other) = (server.connect(), server.connect());
    one.send("CLIENT SETNAME one\r\nCLIENT SETINFO LIB-NAME lib\r\nSELECT 3\r\nLOGIN\r\n");
    one.expect("+OK\r\n".repeat(4));
    other.speak_resp3();
    other.send("CLIENT NO-EVICT ON\r\nCLIENT TRACKING ON\r\nSUBSCRIBE a b\r\nPSUBSCRIBE c*\r\n");
    let id = one.id();
    eventually("all is subscribed", || {
        server.handle.clients()[1].patterns == 1
    });
    let clients = server.handle.clients();
    let [first, second] = &clients[..] else {
        panic!("{clients:?}");
    };
    assert_eq!(
        server.handle.client(id).as_ref().map(|one| one.id),
        Some(id)
    );
    let tcp = |peer: &respool::Peer| peer.addr();
    assert_eq!(
        [tcp(&first.peer), tcp(&first.local)],
        [Some(one.local_addr()), Some(server.addr)]
    );
    let words = [&first.name, &first.user, &first.library_name];
    assert_eq!(words, ["one", "tenant", "lib"]);
    assert_eq!((first.database, first.protocol), (3, Protocol::Resp2));
    assert_eq!(first.last_command.as_deref(), Some("client|id"));
    assert_eq!((first.requests, first.channels), (5, 0));
    assert!(!first.is_tracking && !first.is_exempt_from_eviction);
    assert!(second.is_tracking && second.is_exempt_from_eviction);
    assert_eq!((second.channels, second.patterns), (2, 1));
    assert_eq!(
        (second.name.as_str(), second.protocol),
        ("", Protocol::Resp3)
    );
    assert!(second.bytes_read > 0 && second.bytes_sent > 0 && second.memory_bytes > 0);
    assert!(first.age < PATIENCE && first.idle <= first.age);
    drop(one);
    eventually("it has gone", || server.handle.client(id).is_none());
}

#[test]
fn client_closed_by_the_program_shows_the_reason() {
    log::collect();
    let start = Instant::now();
    let (sender, reasons) = mpsc::channel();
    let server = Server::bind(config(1), Commands::builtin()).expect("it starts");
    let server = server.on_disconnect(move |_, reason| {
        let _ = sender.send((reason.name(), reason.to_string()));
    });
    let server = TestServer::serve(server);
    let (mut closed, mut other) = (server.connect(), server.connect());
    let id = closed.id();
    assert!(server.handle.close(id, "it is\r\n12 o'clock"));
    closed.expect_end();
    let text = "closed by the program: it is  12 o'clock";
    let reason = reasons.recv_timeout(PATIENCE);
    assert_eq!(reason, Ok(("by_program", text.to_owned())));
    let end = format!(" s: {text}");
    let line = |line: &str| line.starts_with(&format!("client {id} (")) && line.ends_with(&end);
    eventually("the log has a line", || log::find(start, line).is_some());
    eventually("INFO counts it", || other.count("closed_by_program") == 1);
    assert!(!server.handle.close(id, "again"));
    assert!(!server.handle.close(u64::MAX, "nobody"));
}

#[test]
fn handler_closes_its_own_client_after_the_reply() {
    let (server, mut peer) = serve_calls();
    peer.ask("LEAVE\r\n", "+OK\r\n");
    peer.expect_end();
    let mut other = server.connect();
    eventually("it is counted", || other.count("closed_by_program") == 1);
}

#[test]
fn client_that_waits_for_a_reply_is_reached_and_closed() {
    let (sender, tokens) = mpsc::channel();
    let commands = builtin_and(|commands| {
        commands.register("WAIT", Arity::Exactly(1), move |session, _, reply| {
            let sender = sender.clone();
            session.defer(reply).start(move |token| {
                let _ = sender.send(token);
            })
        });
    });
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    peer.speak_resp3();
    peer.send("WAIT\r\n");
    let token = tokens.recv_timeout(PATIENCE).expect("it waits");
    let id = token.client_id();
    eventually("it is blocked", || {
        let client = server.handle.client(id);
        client.is_some_and(|client| client.is_blocked)
    });
    assert!(server.handle.push(id, 2, progress));
    peer.expect(">2\r\n$8\r\nprogress\r\n,0.5\r\n");
    assert!(server.handle.close(id, "enough"));
    peer.expect_end();
    assert!(!token.reply(|reply| reply.simple("OK")));
}

#[test]
fn client_that_is_served_is_closed_after_its_turn() {
    let (commands, gate) = respool_testing::commands_with_gate();
    let server = TestServer::with(config(1), commands);
    let mut busy = gate.busy_client(server.addr);
    let id = server.handle.clients()[0].id;
    assert!(server.handle.close(id, "too slow"));
    assert!(!server.handle.push(id, 2, progress), "it is being closed");
    gate.let_one_through();
    busy.expect("+OPEN\r\n");
    busy.expect_end();
}

// Names.

#[test]
fn servers_of_a_program_are_distinguished_by_name() {
    log::collect();
    let start = Instant::now();
    let thread_of = |name| {
        let commands = builtin_and(|commands| {
            commands.register("THREAD", Arity::Exactly(1), |_, _, reply| {
                reply.bulk(thread::current().name().unwrap_or_default())
            });
        });
        let server = Server::bind(config(1), commands).expect("it starts");
        let server = TestServer::serve(server.with_name(name));
        let mut peer = server.connect();
        let thread = peer.answer("THREAD");
        server
            .handle
            .update(|config| config.timeout_s = 77)
            .expect("it changes");
        (thread, peer.local_addr().to_string())
    };
    for (name, thread) in [("cache", "cache-worker-0"), ("queue\n", "queue -worker-0")] {
        let (found, addr) = thread_of(name);
        assert_eq!(found, thread);
        let prefix = format!("{}: client 1 (", name.replace('\n', " "));
        let line = |line: &str| line.starts_with(&prefix) && line.contains(&addr);
        eventually("the close is logged", || log::find(start, line).is_some());
    }
    let line = |line: &str| line == "cache: `timeout` changed from 0 to 77";
    assert!(log::find(start, line).is_some());
    assert_eq!(thread_of("").0, "worker-0");
}
