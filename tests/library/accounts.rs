//! Logins that the program checks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use respool::config::BindAddress;
use respool::{Arity, Call, CallOutcome, Commands, Config, ErrorReply, Middleware, Session};
use respool_testing::{Peer, TestServer, builtin_and, config, log};

const WRONGPASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
const NOAUTH: &str = "-NOAUTH Authentication required.\r\n";

/// Returns commands whose hook knows the users `alice`, `bob`, `root` and `default`, whose
/// passwords are `pw-` and the name, and `token`, whose password is the name of the user. Counts
/// the logins.
fn with_users() -> (Commands, Arc<AtomicUsize>) {
    let logins = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&logins);
    let commands = builtin_and(|commands| {
        commands.on_auth(move |session, user, password| {
            count.fetch_add(1, Ordering::Relaxed);
            let password = str::from_utf8(password).map_err(|_| ErrorReply::WRONGPASS)?;
            match user {
                "token" => {
                    session.set_user(password)?;
                    if password == "revoked" {
                        return Err(ErrorReply::new("REVOKED", "the token\nis old"));
                    }
                    Ok(())
                }
                "alice" | "bob" | "root" | "default" if password == format!("pw-{user}") => Ok(()),
                _ => Err(ErrorReply::WRONGPASS),
            }
        });
        commands.register("KEEP", Arity::Exactly(1), |session, _, reply| {
            *session.state_mut::<i64>() += 1;
            reply.simple(&session.user())
        });
    });
    (commands, logins)
}

fn serve() -> TestServer {
    TestServer::with(config(1), with_users().0)
}

/// Connects a client that has logged in.
fn login(server: &TestServer, user: &str) -> Peer {
    let mut peer = server.connect();
    peer.ask(format!("AUTH {user} pw-{user}\r\n"), "+OK\r\n");
    peer
}

/// Returns the user of the client, as every command shows it.
#[track_caller]
fn user(peer: &mut Peer) -> String {
    let user = peer.answer("ACL WHOAMI");
    let info = peer.answer("CLIENT INFO");
    assert!(info.contains(&format!(" user={user} ")), "{info}");
    user
}

#[test]
fn auth_and_hello_ask_the_same_hook() {
    let (commands, logins) = with_users();
    let with_password = Config {
        requirepass: Some("secret".into()),
        ..config(1)
    };
    let server = TestServer::with(with_password, commands);
    let mut peer = server.connect();
    // Not the password of the configuration.
    for request in [
        "AUTH secret",
        "AUTH default secret",
        "HELLO 3 AUTH default secret",
        "HELLO 2 AUTH alice secret",
        "AUTH alice pw-bob",
    ] {
        peer.ask(
            format!("{request}\r\nPING\r\n"),
            [WRONGPASS, NOAUTH].concat(),
        );
    }
    assert_eq!(logins.load(Ordering::Relaxed), 5);
    peer.ask("AUTH pw-default\r\n", "+OK\r\n");
    assert_eq!(user(&mut peer), "default");
    peer.ask("AUTH alice pw-alice\r\n", "+OK\r\n");
    assert_eq!(user(&mut peer), "alice");
    peer.answers("HELLO 3 AUTH bob pw-bob SETNAME me");
    assert_eq!(user(&mut peer), "bob");
    assert_eq!(peer.answer("CLIENT GETNAME"), "me");
    peer.ask("KEEP\r\n", "+bob\r\n");
    let listed = server.handle.clients();
    assert_eq!(listed[0].user, "bob");
}

#[test]
fn clients_have_to_log_in_by_the_hook_alone() {
    let server = serve();
    let mut peer = server.connect();
    peer.ask("PING\r\nKEEP\r\nCLIENT LIST\r\n", NOAUTH.repeat(3));
    assert!(peer.answer("HELLO 3").contains("NOAUTH HELLO must"));
    // More than a client may send that is not authenticated.
    peer.send(format!("*1000\r\n{}", "$1\r\na\r\n".repeat(1000)));
    peer.expect("-ERR Protocol error: unauthenticated multibulk length\r\n");
    login(&server, "alice").ping();
}

#[test]
fn failed_login_changes_nothing() {
    let server = serve();
    let mut peer = login(&server, "alice");
    for request in [
        "AUTH bob pw-alice",
        "HELLO 3 AUTH bob x SETNAME bob",
        "AUTH x",
    ] {
        peer.ask(format!("{request}\r\n"), WRONGPASS);
    }
    // The hook has set the user before it fails.
    peer.ask("AUTH token revoked\r\n", "-REVOKED the token is old\r\n");
    assert_eq!(user(&mut peer), "alice");
    peer.ask("CLIENT GETNAME\r\n", "$-1\r\n");
    peer.ping();
}

#[test]
fn hook_may_name_the_user() {
    let server = serve();
    let mut peer = server.connect();
    peer.ask("AUTH token carol\r\n", "+OK\r\n");
    assert_eq!(user(&mut peer), "carol");
    peer.answers("HELLO 2 AUTH token carol");
    assert_eq!(user(&mut peer), "carol");
    let error = "-ERR a user's name has 1 to 1024 bytes, and no white space or control characters";
    peer.ask("AUTH token \"a b\"\r\n", format!("{error}\r\n"));
    assert_eq!(user(&mut peer), "carol");
    peer.ask("AUTH bob pw-bob\r\n", "+OK\r\n");
    assert_eq!(user(&mut peer), "bob");
}

#[test]
fn impossible_user_is_refused_without_the_hook() {
    let (commands, logins) = with_users();
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    let long = "x".repeat(1025);
    for user in [
        "\"\"",
        "\"a b\"",
        "\"a\\nb\"",
        "\"a\\x00\"",
        "\"\\xff\"",
        &long,
    ] {
        peer.ask(format!("AUTH {user} x\r\n"), WRONGPASS);
        peer.ask(format!("HELLO 3 AUTH {user} x\r\n"), WRONGPASS);
    }
    // Neither does a HELLO that is wrong otherwise ask it.
    let syntax = "-ERR Syntax error in HELLO option 'FOO'\r\n";
    peer.ask(
        "HELLO 3 AUTH alice pw-alice FOO\r\nPING\r\n",
        [syntax, NOAUTH].concat(),
    );
    assert_eq!(logins.load(Ordering::Relaxed), 0);
}

#[test]
fn reset_logs_out() {
    let server = serve();
    let mut peer = login(&server, "alice");
    peer.ask(
        "KEEP\r\nRESET\r\nPING\r\n",
        ["+alice\r\n+RESET\r\n", NOAUTH].concat(),
    );
    let mut other = login(&server, "bob");
    let list = other.answer("CLIENT LIST ID 1");
    assert!(list.contains(" user=default "), "{list}");
    peer.ask("AUTH pw-default\r\nKEEP\r\n", "+OK\r\n+default\r\n");
}

#[test]
fn client_kill_closes_the_clients_of_a_user() {
    let server = serve();
    let mut root = login(&server, "root");
    let mut alices = [login(&server, "alice"), login(&server, "alice")];
    let mut bob = login(&server, "bob");
    root.ask(
        "CLIENT KILL USER nobody\r\nCLIENT KILL USER alice\r\n",
        ":0\r\n:2\r\n",
    );
    alices.iter_mut().for_each(Peer::expect_end);
    bob.ping();
    root.ping();
    let without = TestServer::start(1);
    without.connect().ask(
        "CLIENT KILL USER nobody\r\n",
        "-ERR No such user 'nobody'\r\n",
    );
}

#[test]
fn users_of_the_program_are_not_listed() {
    let with_password = Config {
        requirepass: Some("secret".into()),
        ..config(1)
    };
    let server = TestServer::with(with_password, with_users().0);
    let mut peer = login(&server, "alice");
    let error = "-ERR this server's users are known only to the program that runs it\r\n";
    peer.ask("ACL LIST\r\nACL USERS\r\n", error.repeat(2));
    // The password of the configuration opens nothing, also after a change.
    peer.ask("CONFIG SET requirepass other\r\n", "+OK\r\n");
    let mut other = server.connect();
    other.ask("AUTH other\r\n", WRONGPASS);
    peer.ask("CONFIG SET requirepass \"\"\r\n", "+OK\r\n");
    other.ask("PING\r\nAUTH other\r\n", [NOAUTH, WRONGPASS].concat());
}

#[test]
fn passwords_for_the_hook_are_hidden() {
    let server = serve();
    let mut root = login(&server, "root");
    root.ask("CONFIG SET slowlog-log-slower-than 0\r\n", "+OK\r\n");
    let mut monitor = login(&server, "root");
    monitor.ask("MONITOR\r\n", "+OK\r\n");
    let mut peer = login(&server, "alice");
    peer.answers("HELLO 2 AUTH bob pw-bob");
    for expected in [
        r#""AUTH" "(redacted)" "(redacted)""#,
        r#""HELLO" "2" "AUTH" "(redacted)""#,
    ] {
        let line = monitor.line();
        assert!(line.contains(expected), "{line}");
    }
    let slow = root.answers("SLOWLOG GET").join(" ");
    assert!(
        slow.contains("(redacted)") && !slow.contains("pw-"),
        "{slow}"
    );
}

/// Notes what a program would log.
struct Notes(Arc<Mutex<Vec<String>>>);

impl Middleware for Notes {
    fn after(&self, _: &mut Session, call: &Call<'_>, _: &CallOutcome<'_>) {
        self.0.lock().push(format!("{call:?}"));
    }
}

#[test]
fn passwords_are_hidden_in_what_a_program_logs() {
    let notes: Arc<Mutex<Vec<String>>> = Arc::default();
    let (mut commands, _) = with_users();
    commands.set_middleware(Notes(Arc::clone(&notes)));
    let transactions = Arc::clone(&notes);
    commands.transactions(move |session, exec| {
        transactions.lock().push(format!("{exec:?}"));
        exec.run(session)
    });
    let server = TestServer::with(config(1), commands);
    let mut peer = login(&server, "alice");
    peer.answer("AUHT alice pw-alice");
    peer.send("MULTI\r\nAUTH bob pw-bob\r\nECHO hi\r\nEXEC\r\n");
    peer.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$2\r\nhi\r\n");
    let auth = r#"["AUTH", "(redacted)", "(redacted)"]"#;
    let echo = r#"["ECHO", "hi"]"#;
    assert_eq!(
        notes.lock()[..],
        [
            format!("Call({auth})"),
            r#"Call(["AUHT"])"#.into(),
            r#"Call(["MULTI"])"#.into(),
            format!("[{auth}, {echo}]"),
            format!("Call({auth})"),
            format!("Call({echo})"),
            r#"Call(["EXEC"])"#.into(),
        ]
    );
}

/// Lets only `root` run commands for administrators.
struct Tenants;

impl Middleware for Tenants {
    fn before(&self, session: &mut Session, call: &Call<'_>) -> Result<(), ErrorReply> {
        let user = session.user();
        if user != "root" && call.categories().any(|category| category == "admin") {
            return Err(ErrorReply::noperm(&user, call.name()));
        }
        Ok(())
    }
}

#[test]
fn tenant_cannot_watch_or_disturb_others() {
    let (mut commands, _) = with_users();
    commands.set_middleware(Tenants);
    let server = TestServer::with(config(1), commands);
    let (mut alice, mut bob) = (login(&server, "alice"), login(&server, "bob"));
    for (request, name) in [
        ("MONITOR", "monitor"),
        ("CLIENT KILL USER alice", "client|kill"),
        ("CLIENT LIST", "client|list"),
        ("CLIENT PAUSE 100000", "client|pause"),
        ("ACL LIST", "acl|list"),
        ("CONFIG GET requirepass", "config|get"),
        ("SLOWLOG GET", "slowlog|get"),
        ("DEBUG SLEEP 100", "debug"),
        ("SHUTDOWN", "shutdown"),
    ] {
        let error = format!("-NOPERM User bob has no permissions to run the '{name}' command\r\n");
        bob.ask(format!("{request}\r\n"), error);
        alice.ping();
    }
    let mut root = login(&server, "root");
    root.ask("CLIENT KILL USER bob\r\n", ":1\r\n");
    bob.expect_end();
    alice.ping();
}

#[test]
fn hook_counts_as_a_password_for_protected_mode() {
    log::collect();
    let start = Instant::now();
    let open = Config {
        bind: vec![BindAddress {
            address: [0, 0, 0, 0].into(),
            optional: false,
        }],
        proxy_protocol_from: vec!["127.0.0.2".parse().expect("a network")],
        ..config(1)
    };
    let server = TestServer::with(open, with_users().0);
    let addr: SocketAddr = ([127, 0, 0, 1], server.addr.port()).into();
    let mut remote = Peer::connect_from([127, 0, 0, 2], addr);
    remote.send("PROXY TCP4 192.0.2.1 192.0.2.2 1000 6379\r\n");
    remote.ask(
        "PING\r\nAUTH alice pw-alice\r\n",
        [NOAUTH, "+OK\r\n"].concat(),
    );
    let is_warning = |line: &str| line.contains("without a password");
    assert_eq!(log::find(start, is_warning), None);
}
