//! The five services of the cookbook, as a program that uses the crate would test them. The
//! sessions on their pages, and real clients, are in `tests/external/interop/cookbook.rs`.

#[path = "../../examples/cache.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod cache;
#[path = "../../examples/chat.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod chat;
#[path = "../../examples/limiter.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod limiter;
#[path = "../../examples/queue.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod queue;
#[path = "../../examples/tenants.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod tenants;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use respool::testing::{self, Answer, TestClient, TestServer};
use respool::{Commands, ErrorReply};
use respool_testing::eventually;
use tokio::runtime::Runtime;
use tokio::time::sleep;

fn serve(commands: Commands) -> TestServer {
    testing::serve(commands).expect("the server starts")
}

fn connect(server: &TestServer) -> TestClient {
    server.client().expect("the server accepts")
}

fn call(client: &mut TestClient, line: &str) -> Answer {
    let answer = client.call(line.split(' '));
    answer.unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Returns an error of the server, with its code.
fn error(text: &str) -> Answer {
    Answer::error(text)
}

#[test]
fn limiter_counts_calls_of_each_key() {
    let server = serve(limiter::commands(1_000_000));
    let mut client = connect(&server);
    for left in [1, 0, -1, -1] {
        assert_eq!(call(&mut client, "LIMIT bob 2 3600"), left);
    }
    assert_eq!(call(&mut client, "LIMIT alice 2 3600"), 1);
    assert_eq!(call(&mut client, "LIMIT bob 5 3600"), 0);
    for line in ["LIMIT bob two 3600", "LIMIT bob 2 soon"] {
        let text = "ERR value is not an integer or out of range";
        assert_eq!(call(&mut client, line), error(text));
    }
    assert!(matches!(
        call(&mut client, "LIMIT bob 0 1"),
        Answer::Error(_)
    ));
}

#[test]
fn limiter_begins_a_new_window_after_the_old_one() {
    let server = serve(limiter::commands(1_000_000));
    let mut client = connect(&server);
    assert_eq!(call(&mut client, "LIMIT bob 1 1"), 0);
    eventually("a new window begins", || {
        call(&mut client, "LIMIT bob 1 1") == 0
    });
    // Many keys: old windows are forgotten while there are new ones.
    for key in 0..1000 {
        assert_eq!(call(&mut client, &format!("LIMIT {key} 2 3600")), 1);
    }
    assert_eq!(call(&mut client, "LIMIT 0 2 3600"), 0);
}

#[test]
fn limiter_refuses_an_address_with_too_many_requests() {
    let server = serve(limiter::commands(3));
    let (mut one, mut other) = (connect(&server), connect(&server));
    let refused = error("LIMITED too many requests; wait a second");
    let is_refused = |client: &mut TestClient| call(client, "PING") == refused;
    eventually("the address is refused", || is_refused(&mut one));
    eventually("the window ends", || !is_refused(&mut other));
}

/// Waits until so many clients wait for a reply.
fn wait_for_blocked(server: &TestServer, count: usize) {
    let blocked = || {
        let clients = server.handle().clients().into_iter();
        clients.filter(|client| client.is_blocked).count()
    };
    eventually("the clients wait", || blocked() == count);
}

/// Connects a client that waits for a job.
fn wait_for_job(server: &TestServer, waiting: usize) -> TestClient {
    let mut client = connect(server);
    client.send(["BLPOP", "mail", "0"]).expect("it is sent");
    wait_for_blocked(server, waiting);
    client
}

#[test]
fn queue_hands_jobs_to_the_longest_waiting_client() {
    let server = serve(queue::commands());
    let mut client = connect(&server);
    assert_eq!(call(&mut client, "RPUSH mail one two"), 2);
    assert_eq!(call(&mut client, "BLPOP mail 0"), ["mail", "one"]);
    assert_eq!(call(&mut client, "BLPOP mail 0.5"), ["mail", "two"]);
    assert_eq!(call(&mut client, "BLPOP mail 0.01"), Answer::Null);

    let mut waiting: Vec<_> = (1..=3).map(|count| wait_for_job(&server, count)).collect();
    assert_eq!(call(&mut client, "RPUSH other job"), 1);
    assert_eq!(call(&mut client, "RPUSH mail three four"), 2);
    assert_eq!(call(&mut client, "RPUSH mail five"), 1);
    for (client, job) in waiting.iter_mut().zip(["three", "four", "five"]) {
        assert_eq!(client.receive().expect("a job"), ["mail", job]);
    }
    assert_eq!(call(&mut client, "RPUSH mail six"), 1);
    assert!(matches!(
        call(&mut client, "BLPOP mail -1"),
        Answer::Error(_)
    ));
}

#[test]
fn queue_loses_no_job_to_a_client_that_has_left() {
    let server = serve(queue::commands());
    let mut client = connect(&server);
    let dead = wait_for_job(&server, 1);
    let mut unblocked = wait_for_job(&server, 2);
    let killed = wait_for_job(&server, 3);
    let mut alive = wait_for_job(&server, 4);
    drop(dead);
    wait_for_blocked(&server, 3);
    call(&mut client, "CLIENT UNBLOCK 3");
    assert_eq!(unblocked.receive().expect("it ends"), Answer::Null);
    // In one pipeline: the job comes before the queue has forgotten the client.
    let pipeline = b"CLIENT KILL ID 4\r\nRPUSH mail one two\r\n";
    client.send_bytes(pipeline).expect("it is sent");
    assert_eq!(client.receive().expect("the first reply"), 1);
    assert_eq!(client.receive().expect("the second reply"), 2);
    assert_eq!(alive.receive().expect("a job"), ["mail", "one"]);
    assert_eq!(call(&mut client, "BLPOP mail 0"), ["mail", "two"]);
    drop(killed);
}

#[test]
fn chat_shows_who_is_there_and_who_leaves() -> io::Result<()> {
    let server = chat::server(testing::config(), 3).expect("the server starts");
    let server = testing::start(server).expect("the server starts");
    let (mut alice, mut bob) = (connect(&server), connect(&server));
    assert!(matches!(call(&mut alice, "SAY hello"), Answer::Error(_)));
    assert_eq!(call(&mut alice, "CLIENT SETNAME alice"), "OK");
    bob.hello(3)?;
    assert_eq!(call(&mut bob, "CLIENT SETNAME bob"), "OK");
    assert_eq!(call(&mut bob, "SUBSCRIBE chat"), ("subscribe", "chat", 1));
    assert_eq!(call(&mut alice, "SAY hello"), 1);
    assert_eq!(bob.next_message()?, ("message", "chat", "alice: hello"));
    assert_eq!(call(&mut alice, "WHISPER bob psst"), 1);
    assert_eq!(bob.next_message()?, ("whisper", "alice", "psst"));
    // She could not tell a whisper from a reply.
    assert_eq!(call(&mut bob, "WHISPER alice psst"), false);
    // A client without a name is not named by an empty one.
    let mut nameless = connect(&server);
    nameless.hello(3)?;
    assert_eq!(alice.call(["WHISPER", "", "psst"])?, 0);
    drop(nameless);
    // It would still count for the limit.
    eventually("the nameless client has left", || {
        server.handle().stats().clients == 2
    });
    let Answer::Array(listed) = call(&mut alice, "WHO") else {
        panic!("RESP2 has an array");
    };
    assert_eq!(
        (&listed[0], &listed[2]),
        (&Answer::bulk("alice"), &Answer::bulk("bob"))
    );

    let mut third = connect(&server);
    // The answer shows that the hook has admitted this one.
    assert_eq!(call(&mut third, "PING"), "PONG");
    let refused = connect(&server).receive()?;
    assert_eq!(refused, error("FULL the chat is full"));
    drop(alice);
    assert_eq!(bob.next_message()?, ("message", "chat", "alice has left"));
    Ok(())
}

static BACKEND_CALLS: AtomicUsize = AtomicUsize::new(0);
static GATE: AtomicBool = AtomicBool::new(false);
static HELD: AtomicBool = AtomicBool::new(false);

async fn backend(key: String) -> Result<String, ErrorReply> {
    let gate = match key.as_str() {
        "panic" => panic!("as the test wants it"),
        "gate" => &GATE,
        "held" => &HELD,
        _ => return Err(ErrorReply::NO_SUCH_KEY),
    };
    BACKEND_CALLS.fetch_add(1, Ordering::Relaxed);
    while !gate.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(1)).await;
    }
    Ok(format!("the content of {key}"))
}

#[test]
fn cache_asks_the_backend_once_and_never_waits_for_ever() {
    let runtime = Runtime::new().expect("a runtime");
    let server = serve(cache::commands(runtime.handle().clone(), backend));
    let mut clients: Vec<_> = (0..20).map(|_| connect(&server)).collect();
    for client in &mut clients {
        client.send(["GET", "gate"]).expect("it is sent");
    }
    wait_for_blocked(&server, 20);
    // Nobody else waits.
    let mut other = connect(&server);
    for line in ["GET missing", "GET missing"] {
        assert_eq!(call(&mut other, line), error("ERR no such key"));
    }
    let failed = error("ERR the backend does not answer");
    assert_eq!(call(&mut other, "GET panic"), failed);
    GATE.store(true, Ordering::Relaxed);
    for client in &mut clients {
        assert_eq!(client.receive().expect("the value"), "the content of gate");
    }
    assert_eq!(call(&mut other, "GET gate"), "the content of gate");
    let info = call(&mut other, "INFO cache");
    assert_eq!(info, "# Cache\r\ncached_keys:1\r\n");

    other.send(["GET", "held"]).expect("it is sent");
    wait_for_blocked(&server, 1);
    server.handle().drain();
    HELD.store(true, Ordering::Relaxed);
    assert_eq!(other.receive().expect("the value"), "the content of held");
    assert_eq!(BACKEND_CALLS.load(Ordering::Relaxed), 2);
}

fn serve_tenants() -> TestServer {
    let accounts = [("alice", "wonder"), ("bob", "builder"), ("root", "secret")];
    serve(tenants::commands(&accounts))
}

#[test]
fn tenants_see_only_their_own_keys() {
    let server = serve_tenants();
    let mut alice = connect(&server);
    let noauth = error("NOAUTH Authentication required.");
    assert_eq!(call(&mut alice, "GET alice:color"), noauth);
    for login in ["AUTH alice builder", "AUTH carol wonder", "AUTH wonder"] {
        let refused = call(&mut alice, login);
        assert_eq!(refused, Answer::Error(ErrorReply::WRONGPASS.to_string()));
    }
    assert_eq!(call(&mut alice, "AUTH alice/web wonder"), "OK");
    assert_eq!(call(&mut alice, "ACL WHOAMI"), "alice");
    assert_eq!(call(&mut alice, "SET alice:color red"), "OK");
    assert_eq!(call(&mut alice, "GET alice:color"), "red");

    let mut bob = connect(&server);
    call(&mut bob, "HELLO 3 AUTH bob builder");
    let no_key = error("NOPERM No permissions to access a key");
    for line in ["GET alice:color", "SET alice:color blue", "GET bob"] {
        assert_eq!(call(&mut bob, line), no_key, "{line}");
    }
    let mut root = connect(&server);
    assert_eq!(call(&mut root, "AUTH root secret"), "OK");
    assert_eq!(call(&mut root, "GET alice:color"), "red");
}

#[test]
fn tenants_cannot_read_close_or_pause_others() {
    let server = serve_tenants();
    let mut bob = connect(&server);
    assert_eq!(call(&mut bob, "AUTH bob builder"), "OK");
    for line in [
        "MONITOR",
        "CLIENT KILL TYPE normal",
        "CLIENT PAUSE 1000",
        "CLIENT LIST",
        "ACL LIST",
        "CONFIG GET requirepass",
        "SLOWLOG GET",
        "SHUTDOWN",
        "SUBSCRIBE news",
    ] {
        let Answer::Error(text) = call(&mut bob, line) else {
            panic!("bob may {line}");
        };
        assert!(text.starts_with("NOPERM User bob has no perm"), "{text}");
    }
    assert_eq!(call(&mut bob, "PING"), "PONG");

    let mut root = connect(&server);
    assert_eq!(call(&mut root, "AUTH root secret"), "OK");
    assert!(matches!(call(&mut root, "CLIENT LIST"), Answer::Bulk(_)));
}
