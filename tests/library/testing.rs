//! The helpers for tests of a service.

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use respool::testing::{self, Answer, Offline, TestClient};
use respool::{Arity, Commands, Config, DeferredReply, ErrorReply, Server};
use respool_testing::PATIENCE;

type Tested = Result<(), Box<dyn Error>>;

/// Returns the built-in commands, `EACH` with a reply of each type, `HIGH` with any number of
/// bytes, and `NEVER`, whose reply the client does not get.
fn commands() -> Commands {
    let mut commands = Commands::builtin();
    commands.register("EACH", Arity::Exactly(1), |_, _, reply| {
        reply.array(8, |items| {
            items.simple("simple");
            items.bulk("bulk");
            items.integer(7);
            items.null();
            items.double(1.5);
            items.boolean(true);
            items.map(1, |items| items.entry("key", "value"));
            items.add(|item| item.verbatim("text"));
        })
    });
    commands.register("HIGH", Arity::Exactly(2), |_, request, reply| {
        Ok(reply.bulk(vec![b'x'; request.integer_in(0, 0..=i64::MAX)? as usize]))
    });
    commands.register("NEVER", Arity::Exactly(1), |session, _, reply| {
        session.close_after_reply();
        reply.simple("BYE")
    });
    commands
}

/// Runs `test` with two clients of a server on a socket, and with two of one in memory.
fn on_both(test: fn(TestClient, TestClient) -> Tested) -> Tested {
    let server = testing::serve(commands())?;
    test(server.client()?, server.client()?)?;
    let server = Offline::new(commands())?;
    test(server.client(), server.client())
}

#[test]
fn replies_have_their_types() -> Tested {
    on_both(|mut client, _| {
        let text = |text| Answer::bulk(text);
        let pair = vec![text("key"), text("value")];
        let resp2 = vec![
            Answer::simple("simple"),
            text("bulk"),
            Answer::Integer(7),
            Answer::Null,
            text("1.5"),
            Answer::Integer(1),
            Answer::Array(pair),
            text("text"),
        ];
        assert_eq!(client.call(["EACH"])?, Answer::Array(resp2.clone()));
        client.hello(3)?;
        let mut resp3 = resp2;
        resp3[4] = Answer::Double(1.5);
        resp3[5] = Answer::Boolean(true);
        resp3[6] = Answer::Map(vec![(text("key"), text("value"))]);
        resp3[7] = Answer::Verbatim {
            format: "txt".into(),
            text: b"text".to_vec(),
        };
        assert_eq!(client.call(["EACH"])?, Answer::Array(resp3));
        let unknown = client.call(["NOSUCH"])?;
        let text = "ERR unknown command 'NOSUCH', with args beginning with: ";
        assert_eq!(unknown, Answer::error(text));
        assert!(
            client
                .hello(4)
                .unwrap_err()
                .to_string()
                .starts_with("NOPROTO")
        );
        Ok(())
    })
}

#[test]
fn pipelines_larger_than_the_buffers_are_sent() -> Tested {
    on_both(|mut client, _| {
        // The replies fill the buffers of both sockets, and the server stops reading.
        let length = 100_000.to_string();
        for _ in 0..500 {
            client.send(["HIGH", &length])?;
        }
        let text = "x".repeat(100_000);
        for _ in 0..500 {
            assert!(client.receive()? == text.as_str());
        }
        assert_eq!(client.call(["PING"])?, "PONG");
        Ok(())
    })
}

#[test]
fn long_array_is_received_in_time() -> Tested {
    let mut commands = Commands::builtin();
    commands.register("MANY", Arity::Exactly(1), |_, _, reply| {
        reply.value((0..400_000).collect::<Vec<i64>>())
    });
    let server = testing::serve(commands)?;
    let mut client = server.client()?;
    let Answer::Array(items) = client.call(["MANY"])? else {
        panic!("no array");
    };
    assert_eq!(items.len(), 400_000);
    assert_eq!(client.call(["PING"])?, "PONG");
    Ok(())
}

#[test]
fn messages_are_received_apart_from_replies() -> Tested {
    on_both(|mut reader, mut writer| {
        for protocol in [2, 3] {
            reader.hello(protocol)?;
            reader.send(["SUBSCRIBE", "a", "b"])?;
            assert_eq!(reader.receive()?, ("subscribe", "a", 1));
            assert_eq!(reader.receive()?, ("subscribe", "b", 2));
            for message in ["one", "two", "three"] {
                assert_eq!(writer.call(["PUBLISH", "a", message])?, 1);
            }
            assert_eq!(reader.next_message()?, ("message", "a", "one"));
            reader.send(["PING", "here"])?;
            reader.send(["UNSUBSCRIBE", "a"])?;
            assert_eq!(reader.next_message()?, ["message", "a", "two"]);
            if protocol == 2 {
                assert_eq!(reader.receive()?, ["pong", "here"]);
            } else {
                assert_eq!(reader.receive()?, "here");
            }
            assert_eq!(reader.receive()?, ("unsubscribe", "a", 1));
            assert_eq!(reader.messages(), [["message", "a", "three"]]);
            assert_eq!(reader.call(["UNSUBSCRIBE"])?, ("unsubscribe", "b", 0));
            // An array is a reply again.
            assert_eq!(reader.call(["EACH"])?, reader.call(["EACH"])?);
            assert!(reader.messages().is_empty());
        }
        Ok(())
    })
}

#[test]
fn bytes_are_sent_and_received_as_they_are() -> Tested {
    on_both(|mut client, _| {
        client.send_bytes("PING\r\n*1\r\n$4\r\nPI")?;
        assert_eq!(client.receive_bytes(7)?, b"+PONG\r\n");
        client.send_bytes(b"NG\r\n")?;
        assert_eq!(client.receive()?, Answer::simple("PONG"));
        client.send_bytes("PING\r\nQUIT\r\nPING\r\n")?;
        assert_eq!(client.receive()?, "PONG");
        assert_eq!(client.receive_close()?, b"+OK\r\n");
        let error = client.receive().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        Ok(())
    })
}

#[test]
fn missing_reply_is_an_error_that_names_the_request() -> Tested {
    on_both(|mut client, _| {
        assert_eq!(client.call(["PING"])?, "PONG");
        client.set_timeout(Duration::from_millis(50));
        let begun = Instant::now();
        client.send(["CLIENT", "REPLY", "OFF"])?;
        let error = client.call(["GET", "a key"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let text = "no reply within 50ms; last sent: \"GET a key\"; received and not read: \"\"";
        assert_eq!(error.to_string(), text);
        assert!(begun.elapsed() >= Duration::from_millis(50));
        let error = client.next_message().unwrap_err().to_string();
        assert!(error.starts_with("no message within 50ms;"), "{error}");
        Ok(())
    })
}

#[test]
fn server_that_sends_without_end_is_not_awaited_for_ever() -> Tested {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addr = listener.local_addr()?;
    let endless = thread::spawn(move || {
        let message = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n";
        for bytes in [&b"+x"[..], message] {
            let (mut socket, _) = listener.accept().expect("a client");
            socket
                .write_all(b"*3\r\n+subscribe\r\n+a\r\n:1\r\n")
                .expect("it reads");
            while socket.write_all(bytes).is_ok() {
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let no_reply: fn(&mut TestClient) -> Option<io::Error> = |client| client.receive().err();
    let no_close: fn(&mut TestClient) -> Option<io::Error> = |client| client.receive_close().err();
    for (wait, text) in [(no_reply, "no reply within"), (no_close, "no close within")] {
        let mut client = TestClient::connect(addr)?;
        client.set_timeout(Duration::MAX);
        assert_eq!(client.call(["SUBSCRIBE", "a"])?, ("subscribe", "a", 1));
        client.set_timeout(Duration::from_millis(50));
        let error = wait(&mut client).expect("no end");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(error.to_string().starts_with(text), "{error}");
    }
    endless.join().expect("no panic");
    Ok(())
}

#[test]
fn close_by_the_server_is_an_error_that_says_so() -> Tested {
    on_both(|mut client, mut other| {
        client.send(["NEVER"])?;
        client.send(["PING"])?;
        assert_eq!(client.receive()?, "BYE");
        let error = client.receive().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        let text = error.to_string();
        assert!(
            text.contains("the server closed the connection; last sent: \"PING\""),
            "{text}"
        );
        // Another client kills this one.
        let id = other.call(["CLIENT", "ID"])?;
        drop(client);
        assert_eq!(id, other.call(["CLIENT", "ID"])?);
        Ok(())
    })
}

#[test]
fn killed_client_is_closed() -> Tested {
    on_both(|mut client, mut other| {
        let Answer::Integer(id) = client.call(["CLIENT", "ID"])? else {
            panic!("no number");
        };
        assert_eq!(other.call(["CLIENT", "KILL", "ID", &id.to_string()])?, 1);
        assert_eq!(client.receive_close()?, b"");
        Ok(())
    })
}

#[test]
fn paused_client_waits_for_its_reply() -> Tested {
    on_both(|mut client, mut other| {
        assert_eq!(other.call(["CLIENT", "PAUSE", "20", "ALL"])?, "OK");
        assert_eq!(client.call(["PING"])?, "PONG");
        assert_eq!(other.call(["CLIENT", "PAUSE", "100000", "ALL"])?, "OK");
        client.send(["PING"])?;
        thread::scope(|scope| {
            let waiting = scope.spawn(move || client.receive());
            assert_eq!(other.call(["CLIENT", "UNPAUSE"])?, "OK");
            assert_eq!(waiting.join().expect("no panic")?, "PONG");
            Ok(())
        })
    })
}

#[test]
fn server_has_its_own_configuration_and_hooks() -> Tested {
    let config = Config {
        requirepass: Some("secret".into()),
        ..testing::config()
    };
    let server = Server::bind(config, commands())?.on_connect(|session| {
        let is_first = session.id() == 1;
        is_first.then_some(()).ok_or("DENIED the second".into())
    });
    let server = testing::start(server)?;
    let mut first = server.client()?;
    assert_eq!(
        first.call(["PING"])?,
        Answer::error("NOAUTH Authentication required.")
    );
    assert_eq!(first.call(["AUTH", "secret"])?, "OK");
    let mut second = server.client()?;
    assert_eq!(second.receive()?, Answer::error("DENIED the second"));
    assert_eq!(server.drain().aborted, 0);
    Ok(())
}

#[test]
fn clients_in_memory_leave_when_dropped() -> Tested {
    let server = Offline::new(commands())?;
    let mut one = server.client();
    let mut two = server.client();
    assert_eq!(two.call(["SUBSCRIBE", "a"])?, ("subscribe", "a", 1));
    assert_eq!(server.handle().stats().clients, 2);
    assert_eq!(one.call(["PUBLISH", "a", "x"])?, 1);
    drop(two);
    assert_eq!(server.handle().stats().clients, 1);
    assert_eq!(one.call(["PUBLISH", "a", "x"])?, 0);
    for _ in 0..2_000 {
        assert_eq!(server.client().call(["PING"])?, "PONG");
    }
    Ok(())
}

#[test]
#[should_panic(expected = "as the test wants it")]
fn panic_of_a_handler_in_memory_reaches_the_test() {
    let mut commands = Commands::empty();
    commands.register("PANIC", Arity::Exactly(1), |_, _, _| -> respool::Replied {
        panic!("as the test wants it")
    });
    let server = Offline::new(commands).expect("a server in memory");
    let _ = server.client().call(["PANIC"]);
}

/// Returns `WAIT milliseconds`, and the tokens of the clients that wait.
fn deferring() -> (Commands, Receiver<DeferredReply>) {
    let (sender, tokens) = channel();
    let mut commands = Commands::builtin();
    commands.register("WAIT", Arity::Exactly(2), move |session, request, reply| {
        let timeout = Duration::from_millis(request.integer_in(0, 1..=i64::MAX)? as u64);
        Ok(session
            .defer(reply)
            .timeout(Some(timeout), |reply| reply.simple("too late"))
            .start(|token| sender.send(token).expect("the test takes it")))
    });
    (commands, tokens)
}

#[test]
fn deferred_reply_comes_to_a_client_in_memory() -> Tested {
    let (commands, tokens) = deferring();
    let server = Offline::new(commands)?;
    let (mut one, mut two) = (server.client(), server.client());
    one.send(["WAIT", "1000000"])?;
    one.send(["PING"])?;
    let token = tokens.try_recv()?;
    let Answer::Bulk(list) = two.call(["CLIENT", "LIST", "ID", "1"])? else {
        panic!("no list");
    };
    assert!(String::from_utf8(list)?.contains(" flags=b "));
    assert!(token.reply(|reply| reply.simple("done")));
    assert_eq!(one.receive()?, "done");
    assert_eq!(one.receive()?, "PONG");
    // The call waits for another thread, or for the timeout.
    let replier = thread::spawn(move || {
        let token = tokens.recv().expect("a client waits");
        assert!(token.reply(|reply| reply.simple("elsewhere")));
        tokens
    });
    assert_eq!(one.call(["WAIT", "1000000"])?, "elsewhere");
    let tokens = replier.join().expect("no panic");
    assert_eq!(one.call(["WAIT", "1"])?, "too late");
    assert!(!tokens.try_recv()?.is_wanted());
    one.send(["WAIT", "1000000"])?;
    assert_eq!(two.call(["CLIENT", "UNBLOCK", "1", "ERROR"])?, 1);
    let text = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
    assert_eq!(one.receive()?, Answer::error(text));
    one.send(["WAIT", "1000000"])?;
    let token = tokens.iter().nth(1).expect("a client waits");
    drop(one);
    assert!(!token.is_wanted());
    Ok(())
}

#[test]
fn clients_in_memory_wait_for_other_threads() -> Tested {
    let (commands, tokens) = deferring();
    let server = Offline::new(commands)?;
    let (mut one, mut two) = (server.client(), server.client());
    assert_eq!(one.call(["SUBSCRIBE", "news"])?, ("subscribe", "news", 1));
    let handle = server.handle();
    let (sender, received) = channel();
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..100 {
                let message = one.next_message().expect("a message");
                sender.send(message).expect("the test waits");
            }
        });
        scope.spawn(move || {
            for _ in 0..50 {
                let token = tokens.recv_timeout(PATIENCE).expect("a client waits");
                token.reply(|reply| reply.simple("done"));
            }
        });
        for _ in 0..50 {
            assert_eq!(handle.publish("news", "text"), 1);
            assert_eq!(received.recv()?, ("message", "news", "text"));
            assert_eq!(two.call(["PUBLISH", "news", "more"])?, 1);
            assert_eq!(received.recv()?, ("message", "news", "more"));
            assert_eq!(two.call(["WAIT", "1000000"])?, "done");
            // A client that misses a wake-up sees what has come after this time.
            assert!(start.elapsed() < PATIENCE);
        }
        Ok(())
    })
}

#[test]
fn handlers_in_memory_reach_their_server() -> Tested {
    let mut commands = Commands::builtin();
    commands.transactions(|session, exec| exec.run(session));
    commands.on_auth(|session, user, _| {
        session.set_user("tenant")?;
        (user == "one").then_some(()).ok_or(ErrorReply::SYNTAX)
    });
    commands.register("TELL", Arity::Exactly(2), |session, request, reply| {
        let server = session.server();
        Ok(reply.value((
            server.publish("news", request.bytes(0)?),
            server.clients().len(),
        )))
    });
    let server = Offline::new(commands)?;
    let (mut one, mut two) = (server.client(), server.client());
    assert_eq!(
        one.call(["AUTH", "two", ""])?,
        Answer::error("ERR syntax error")
    );
    for client in [&mut one, &mut two] {
        assert_eq!(client.call(["AUTH", "one", ""])?, "OK");
    }
    assert_eq!(one.call(["ACL", "WHOAMI"])?, "tenant");
    assert_eq!(two.call(["SUBSCRIBE", "news"])?, ("subscribe", "news", 1));
    for (words, answer) in [
        (&["MULTI"][..], "OK"),
        (&["TELL", "a"], "QUEUED"),
        (&["TELL", "b"], "QUEUED"),
    ] {
        assert_eq!(one.call(words)?, answer);
    }
    assert_eq!(one.call(["EXEC"])?, [(1, 2), (1, 2)]);
    for text in ["a", "b"] {
        assert_eq!(two.next_message()?, ("message", "news", text));
    }
    assert_eq!(server.handle().publish("news", "c"), 1);
    assert_eq!(two.next_message()?, ("message", "news", "c"));
    Ok(())
}

#[test]
fn login_by_the_test_client_may_be_refused() {
    let mut commands = Commands::builtin();
    commands.on_auth(|_, user, password| {
        if user.as_bytes() == password {
            Ok(())
        } else {
            Err(ErrorReply::WRONGPASS)
        }
    });
    let server = testing::serve(commands).expect("it starts");
    let mut client = server.client().expect("it listens");
    let refused = client.login("alice", "bob").expect_err("a wrong password");
    assert_eq!(refused.to_string(), ErrorReply::WRONGPASS.to_string());
    client.login("alice", "alice").expect("the right password");
    assert_eq!(client.call(["ACL", "WHOAMI"]).expect("a reply"), "alice");
}
