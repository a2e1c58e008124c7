//! `requirepass`: which commands run before authentication, and when it is required.

use std::io::ErrorKind;

use respool::{Arity, Commands, Config};
use respool_testing::{TestServer, config, request};

const OK: &str = "+OK\r\n";
const NOAUTH: &str = "-NOAUTH Authentication required.\r\n";
const WRONGPASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
const NOAUTH_HELLO: &str = "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
     <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP \
     protocol version at the same time\r\n";

fn with_password(password: &str) -> TestServer {
    let config = Config {
        requirepass: Some(password.into()),
        ..config(2)
    };
    let mut commands = Commands::builtin();
    commands.register("MINE", Arity::Exactly(1), |_, _, reply| reply.simple("OK"));
    TestServer::with(config, commands)
}

/// Plays each conversation on a new connection to a server whose password is `secret`.
fn play(conversations: &[&[(&str, &str)]]) {
    let server = with_password("secret");
    for conversation in conversations {
        let mut peer = server.connect();
        for (request, reply) in *conversation {
            peer.ask(format!("{request}\r\n"), reply);
        }
        // There was no further reply.
        peer.ask("AUTH secret\r\n", OK);
        peer.ask("ECHO end\r\n", "$3\r\nend\r\n");
    }
}

#[test]
fn unauthenticated_client_can_only_authenticate_or_quit() {
    let server = with_password("secret");
    let mut peer = server.connect();
    for request in [
        "PING",
        "ECHO x",
        "SELECT 1",
        "TIME",
        "INFO",
        "COMMAND",
        "COMMAND COUNT",
        "CLIENT ID",
        "CLIENT KILL SKIPME no",
        "CLIENT PAUSE 1000000",
        "CLIENT UNPAUSE",
        "CLIENT REPLY OFF",
        "CONFIG GET requirepass",
        "CONFIG SET requirepass \"\"",
        "SUBSCRIBE a",
        "PSUBSCRIBE a",
        "UNSUBSCRIBE",
        "PUNSUBSCRIBE",
        "PUBLISH a b",
        "PUBSUB CHANNELS",
        "MONITOR",
        "SLOWLOG GET",
        "LATENCY RESET",
        "ACL LIST",
        "ACL WHOAMI",
        "LOLWUT",
        "SHUTDOWN",
        "DEBUG HELP",
        "CLUSTER INFO",
        "MINE",
    ] {
        peer.send(format!("{request}\r\n"));
        assert_eq!(format!("{}\r\n", peer.line()), NOAUTH, "{request}");
    }
    peer.ask("AUTH secret\r\n", OK);
    peer.ping();
    peer.ask("MINE\r\n", OK);
    peer.ask("CLIENT ID\r\n", ":1\r\n");
}

#[test]
fn every_command_but_four_needs_authentication() {
    let server = with_password("secret");
    let (mut known, mut unknown) = (server.connect(), server.connect());
    known.ask("AUTH secret\r\n", OK);
    let names = known.answers("COMMAND LIST");
    assert!(names.len() > 60, "{names:?}");
    for name in &names {
        let contains_others = names
            .iter()
            .any(|other| other.starts_with(&format!("{name}|")));
        if contains_others || ["auth", "hello", "quit", "reset"].contains(&&**name) {
            continue;
        }
        // One of these calls has the right number of arguments, if the command takes few.
        let words = name.replace('|', " ");
        let mut said = String::new();
        for arguments in ["", " x", " x x"] {
            unknown.send(format!("{words}{arguments}\r\n"));
            said.push_str(&unknown.line());
            assert!(
                said.ends_with("required.") || said.contains("-ERR "),
                "{name}: {said}"
            );
        }
        assert!(said.contains("-NOAUTH "), "{name}: {said}");
    }
}

#[test]
fn name_then_arity_then_password_is_checked() {
    play(&[&[
        (
            "NONSENSE",
            "-ERR unknown command 'NONSENSE', with args beginning with: \r\n",
        ),
        (
            "CLIENT NONSENSE",
            "-ERR unknown subcommand 'NONSENSE'. Try CLIENT HELP.\r\n",
        ),
        (
            "ECHO",
            "-ERR wrong number of arguments for 'echo' command\r\n",
        ),
        (
            "CLIENT ID x",
            "-ERR wrong number of arguments for 'client|id' command\r\n",
        ),
        // PING checks its own arity.
        ("PING a b c", NOAUTH),
        ("ECHO x", NOAUTH),
    ]]);
}

#[test]
fn auth_accepts_the_password_with_or_without_the_user() {
    play(&[
        &[("AUTH secret", OK), ("PING", "+PONG\r\n")],
        &[("AUTH default secret", OK), ("PING", "+PONG\r\n")],
        &[("AUTH wrong", WRONGPASS), ("PING", NOAUTH)],
        &[("AUTH secret2", WRONGPASS), ("PING", NOAUTH)],
        &[("AUTH secre", WRONGPASS), ("PING", NOAUTH)],
        &[("AUTH SECRET", WRONGPASS), ("PING", NOAUTH)],
        &[("AUTH \"\"", WRONGPASS), ("PING", NOAUTH)],
        &[("AUTH default wrong", WRONGPASS), ("PING", NOAUTH)],
        &[("AUTH other secret", WRONGPASS), ("PING", NOAUTH)],
        &[("AUTH DEFAULT secret", WRONGPASS), ("PING", NOAUTH)],
        &[("AUTH a b c", "-ERR syntax error\r\n"), ("PING", NOAUTH)],
        // A wrong password after the right one does not revoke it.
        &[
            ("AUTH secret", OK),
            ("AUTH wrong", WRONGPASS),
            ("PING", "+PONG\r\n"),
        ],
    ]);
}

#[test]
fn hello_authenticates_and_reveals_nothing_before() {
    play(&[
        &[("HELLO", NOAUTH_HELLO), ("PING", NOAUTH)],
        &[("HELLO 3", NOAUTH_HELLO), ("PING", NOAUTH)],
        &[
            ("HELLO 4", "-NOPROTO unsupported protocol version\r\n"),
            ("PING", NOAUTH),
        ],
        &[("HELLO 3 AUTH default wrong", WRONGPASS), ("PING", NOAUTH)],
        &[("HELLO 3 AUTH other secret", WRONGPASS), ("PING", NOAUTH)],
        &[
            ("HELLO 3 SETNAME me", NOAUTH_HELLO),
            ("AUTH secret", OK),
            // Neither the name nor the version was changed.
            ("CLIENT GETNAME", "$-1\r\n"),
        ],
        &[
            (
                "HELLO 3 AUTH default secret SETNAME \"a b\"",
                "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
            ),
            ("PING", NOAUTH),
        ],
    ]);
    let server = with_password("secret");
    let mut peer = server.connect();
    let fields = peer.answers("HELLO 3 AUTH default secret SETNAME me");
    assert_eq!(fields[..2], ["server", "redis"]);
    peer.ping();
    assert_eq!(peer.answer("CLIENT GETNAME"), "me");
    assert_eq!(peer.answers("HELLO 2")[..2], ["server", "redis"]);
}

#[test]
fn quit_and_reset_need_no_auth_and_reset_revokes_it() {
    let server = with_password("secret");
    let mut peer = server.connect();
    peer.ask("RESET\r\n", "+RESET\r\n");
    peer.ask("PING\r\n", NOAUTH);
    peer.ask("AUTH secret\r\nPING\r\n", "+OK\r\n+PONG\r\n");
    peer.ask("RESET\r\nPING\r\n", ["+RESET\r\n", NOAUTH].concat());
    peer.ask("QUIT\r\n", OK);
    peer.expect_end();
}

#[test]
fn requests_pipelined_after_auth_are_run() {
    let server = with_password("secret");
    let mut peer = server.connect();
    peer.ask(
        "PING\r\nPING\r\nAUTH secret\r\nPING\r\nPING\r\nRESET\r\nPING\r\n",
        [
            NOAUTH,
            NOAUTH,
            "+OK\r\n+PONG\r\n+PONG\r\n+RESET\r\n",
            NOAUTH,
        ]
        .concat(),
    );
    // After AUTH, the next request may be of any size.
    let long = vec![b'x'; 100_000];
    let hello = [b"AUTH secret\r\n".to_vec(), request(&[b"ECHO", &long])].concat();
    peer.ask(hello, [b"+OK\r\n$100000\r\n", &long[..], b"\r\n"].concat());
}

#[test]
fn new_password_applies_to_new_clients_only() {
    let server = TestServer::start(2);
    let (mut old, mut other) = (server.connect(), server.connect());
    other.ping();
    old.ask("CONFIG SET requirepass secret\r\n", OK);
    old.ping();
    other.ping();
    let mut new = server.connect();
    new.ask("PING\r\n", NOAUTH);
    new.ask("AUTH secret\r\n", OK);
    old.ask("CONFIG SET requirepass another\r\n", OK);
    new.ping();
    let mut last = server.connect();
    last.ask("AUTH secret\r\n", WRONGPASS);
    last.ask("AUTH another\r\nPING\r\n", "+OK\r\n+PONG\r\n");
    // After RESET, a client has to authenticate again.
    other.ask("RESET\r\nPING\r\n", ["+RESET\r\n", NOAUTH].concat());
}

#[test]
fn removed_password_is_not_required() {
    let server = with_password("secret");
    let (mut known, mut unknown) = (server.connect(), server.connect());
    let mut silent = server.connect();
    unknown.ask("PING\r\n", NOAUTH);
    known.ask("AUTH secret\r\n", OK);
    known.ask("CONFIG SET requirepass \"\"\r\n", OK);
    unknown.ping();
    silent.send("HELLO 3\r\n");
    assert_eq!(silent.leaves()[..2], ["server", "redis"]);
    server.connect().ping();
    // A client that connected while there was a password and never authenticated still has to, as
    // in Redis.
    let mut new = server.connect();
    new.ping();
    known.ask("CONFIG SET requirepass again\r\n", OK);
    unknown.ask("PING\r\n", NOAUTH);
    silent.ask("PING\r\n", NOAUTH);
    new.ping();
    known.ping();
}

#[test]
fn removed_password_removes_its_limits() {
    let server = with_password("secret");
    let (mut known, mut silent) = (server.connect(), server.connect());
    silent.ask("PING\r\n", NOAUTH);
    known.ask("AUTH secret\r\n", OK);
    known.ask("CONFIG SET requirepass \"\"\r\n", OK);
    let long = vec![b'x'; 20_000];
    let reply = [b"$20000\r\n", &long[..], b"\r\n"].concat();
    silent.ask(request(&[b"ECHO", &long]), reply);
}

#[test]
fn unauthenticated_client_sends_only_short_requests() {
    const BULK_BYTES_MAX: usize = 16 * 1024;
    const WORDS_MAX: usize = 10;
    let server = with_password("secret");
    let words = |count: usize| request(&vec![&b"PING"[..]; count]);
    let bulk = |length: usize| request(&[b"PING", &vec![b'x'; length]]);
    let refused = |count: &str| format!("-ERR Protocol error: unauthenticated {count} length\r\n");
    let play = |request: &[u8], reply: &str| {
        let mut peer = server.connect();
        peer.ask(request, reply);
        if !reply.starts_with("-NOAUTH") {
            peer.expect_end();
        }
        // For an authenticated client, this is no error.
        let mut peer = server.connect();
        peer.ask("AUTH secret\r\n", OK);
        peer.send(request);
        assert!(!peer.line().contains("Protocol error"));
    };
    play(&words(WORDS_MAX), NOAUTH);
    play(&words(WORDS_MAX + 1), &refused("multibulk"));
    play(&bulk(BULK_BYTES_MAX), NOAUTH);
    play(&bulk(BULK_BYTES_MAX + 1), &refused("bulk"));
}

#[test]
fn unauthenticated_client_holds_few_input_bytes() {
    let server = with_password("secret");
    for promise in ["*11\r\n", "*2\r\n$4\r\nPING\r\n$16385\r\n"] {
        let mut peer = server.connect();
        // The announcement alone is refused.
        peer.send(promise);
        assert!(
            peer.line()
                .starts_with("-ERR Protocol error: unauthenticated")
        );
        peer.expect_end();
    }
}

#[test]
fn unauthenticated_client_has_only_a_reserve_of_output() {
    let one_worker = Config {
        requirepass: Some("secret".into()),
        ..config(1)
    };
    // A reserve and the output of one batch.
    let server = TestServer::with(one_worker, Commands::builtin());
    let mut known = server.connect();
    known.ask("AUTH secret\r\n", OK);
    let mut unknown = server.connect();
    let ping = request(&[b"PING", &[b'x'; 100]]);
    unknown.send_until_stuck(&ping, &mut known);
    let lines = known.answer("CLIENT LIST ID 2");
    let number = |name: &str| -> usize {
        let value = lines.split(' ').find_map(|field| field.strip_prefix(name));
        value.expect(&lines).parse().expect(&lines)
    };
    assert!(number("omem=") <= 2 * 64 * 1024 + 100, "{lines}");
    // What one read brought, if the turn's time ran out before it was served.
    assert!(number("qbuf=") <= 128 * 1024, "{lines}");
    unknown.socket.set_nonblocking(true).expect("a socket");
    let mut byte = [0];
    match std::io::Read::read(&mut unknown.socket, &mut byte) {
        Ok(1) => assert_eq!(byte, *b"-"),
        Ok(_) => panic!("it was closed"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
}

#[test]
fn acl_shows_only_the_digest_of_the_password() {
    let server = with_password("secret");
    let mut peer = server.connect();
    peer.ask("AUTH secret\r\n", OK);
    // `printf secret | sha256sum`
    let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let with = format!("user default on #{digest} ~* &* +@all");
    assert_eq!(peer.answers("ACL LIST"), [with]);
    assert_eq!(peer.answer("ACL WHOAMI"), "default");
    peer.ask("CONFIG SET requirepass \"\"\r\n", OK);
    assert_eq!(
        peer.answers("ACL LIST"),
        ["user default on nopass ~* &* +@all"]
    );
}

#[test]
fn noauth_error_is_counted() {
    let server = with_password("secret");
    let (mut known, mut unknown) = (server.connect(), server.connect());
    known.ask("AUTH secret\r\n", OK);
    unknown.ask("PING\r\n".repeat(3), NOAUTH.repeat(3));
    unknown.ask("AUTH x\r\n", WRONGPASS);
    let mut count = |section, field, part| known.info(section, field, part);
    assert_eq!(
        count("commandstats", "cmdstat_ping", "rejected_calls="),
        Some(3)
    );
    assert_eq!(count("commandstats", "cmdstat_ping", "calls="), Some(0));
    assert_eq!(
        count("commandstats", "cmdstat_auth", "failed_calls="),
        Some(1)
    );
    assert_eq!(count("errorstats", "errorstat_NOAUTH", "count="), Some(3));
    assert_eq!(
        count("errorstats", "errorstat_WRONGPASS", "count="),
        Some(1)
    );
}

/// After the password was removed, HELLO still required it, and a large request was still refused.
#[test]
fn removed_password_frees_unauthenticated_clients() {
    let server = TestServer::with(
        Config {
            requirepass: Some("secret".into()),
            ..config(2)
        },
        Commands::builtin(),
    );
    let mut known = server.connect();
    known.ask("AUTH secret\r\n", "+OK\r\n");
    let (mut first, mut second) = (server.connect(), server.connect());
    first.ask("PING\r\n", "-NOAUTH Authentication required.\r\n");
    second.ask("PING\r\n", "-NOAUTH Authentication required.\r\n");
    known.ask("CONFIG SET requirepass \"\"\r\n", "+OK\r\n");
    first.send("HELLO 3\r\n");
    assert_eq!(first.line(), "%7");
    let long = "x".repeat(20_000);
    second.ask(
        format!("*2\r\n$4\r\nECHO\r\n$20000\r\n{long}\r\n"),
        format!("$20000\r\n{long}\r\n"),
    );
}
