//! What a program declares of its commands' arguments: keys for clients and proxies, and secrets.
//!
//! The replies about GET, MSET, BLPOP and EVAL are those of redis-server 7.0.15.

use std::panic::{AssertUnwindSafe, catch_unwind};

use respool::{Arity, Command, Commands, Config, Replied, Reply, Request, Session};
use respool_testing::{Peer, TestServer, builtin_and, config};

fn ok(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.simple("OK")
}

/// Returns commands with the keys of those of Redis.
fn with_keys() -> Commands {
    builtin_and(|commands| {
        commands
            .register("GET", Arity::Exactly(2), ok)
            .keys(1, 1, 1)
            .reads()
            .never_blocks()
            .category("string")
            .register("MSET", Arity::AtLeast(3), ok)
            .keys(1, -1, 2)
            .writes()
            .register("BLPOP", Arity::AtLeast(3), ok)
            .keys(1, -2, 1)
            .writes()
            .defers()
            .category("list")
            // Bounded, as a handler that checks the number would be.
            .register("EVAL", Arity::AtLeast(3), ok)
            .keys_by(|request| (2..).take(request.integer(1).unwrap_or(0).max(0) as usize))
            .register("ODD", Arity::AtLeast(2), ok)
            .keys_by(|_| [1, 0, usize::MAX, 0])
            .register("WIPE", Arity::Exactly(1), ok)
            .admin();
        commands
            .container("OBJECT")
            .register("ENCODING", Arity::Exactly(3), ok)
            .keys(2, 2, 1)
            .reads();
    })
}

fn serve(commands: Commands) -> (TestServer, Peer) {
    let server = TestServer::with(config(1), commands);
    let peer = server.connect();
    (server, peer)
}

#[test]
fn command_info_shows_keys_and_flags() {
    let (_server, mut peer) = serve(with_keys());
    let range = |index: i64, last: i64, step: i64| {
        format!(
            "begin_search type index spec index {index} \
             find_keys type range spec lastkey {last} keystep {step} limit 0"
        )
    };
    for (name, expected) in [
        (
            "get",
            format!(
                "get 2 readonly fast 1 1 1 @read @string @fast flags RO access {}",
                range(1, 0, 1)
            ),
        ),
        (
            "mset",
            format!(
                "mset -3 write 1 -1 2 @write @slow flags RW access update {}",
                range(1, -1, 2)
            ),
        ),
        (
            "blpop",
            format!(
                "blpop -3 write blocking 1 -2 1 @write @list @slow @blocking \
                 flags RW access update {}",
                range(1, -2, 1)
            ),
        ),
        (
            "object|encoding",
            format!(
                "object|encoding 3 readonly 2 2 1 @read @slow flags RO access {}",
                range(2, 0, 1)
            ),
        ),
        (
            "eval",
            "eval -3 no_mandatory_keys movablekeys 0 0 0 @slow flags RW access update \
             begin_search type unknown spec find_keys type unknown spec"
                .to_owned(),
        ),
        (
            "wipe",
            "wipe 1 admin 0 0 0 @admin @slow @dangerous".to_owned(),
        ),
    ] {
        let info = peer.answers(&format!("COMMAND INFO {name}"));
        assert_eq!(info.join(" "), expected);
    }
    // The bytes of Redis, after HELLO 3.
    peer.speak_resp3();
    peer.ask(
        "COMMAND INFO GET\r\n",
        "*1\r\n*10\r\n$3\r\nget\r\n:2\r\n~2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n\
         ~3\r\n+@read\r\n+@string\r\n+@fast\r\n~0\r\n~1\r\n\
         %3\r\n$5\r\nflags\r\n~2\r\n+RO\r\n+access\r\n\
         $12\r\nbegin_search\r\n%2\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n\
         %1\r\n$5\r\nindex\r\n:1\r\n\
         $9\r\nfind_keys\r\n%2\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n\
         %3\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n~0\r\n",
    );
}

#[test]
fn getkeys_finds_the_declared_keys() {
    const WORDS: &str = "-ERR Invalid number of arguments specified for command\r\n";
    const ARGUMENTS: &str = "-ERR Invalid arguments specified for command\r\n";
    const INVALID: &str = "-ERR Invalid command specified\r\n";
    const NO_KEYS: &str = "-ERR The command has no key arguments\r\n";
    let (_server, mut peer) = serve(with_keys());
    for (call, keys) in [
        ("GET a", "*1\r\n$1\r\na\r\n"),
        ("get a b", WORDS),
        ("MSET a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ("MSET a 1 b", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ("MSET a", WORDS),
        ("BLPOP a b 0", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ("EVAL x 2 a b c", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        ("EVAL x 0", "*0\r\n"),
        ("EVAL x -1", "*0\r\n"),
        ("EVAL x foo a", "*0\r\n"),
        ("EVAL x 9223372036854775807 a", "*1\r\n$1\r\na\r\n"),
        ("ODD a b", "*2\r\n$1\r\nb\r\n$1\r\na\r\n"),
        ("ODD a", "*0\r\n"),
        ("OBJECT ENCODING a", "*1\r\n$1\r\na\r\n"),
        ("OBJECT ENCODING", WORDS),
        ("OBJECT HELP", NO_KEYS),
        ("OBJECT FOO a", INVALID),
        ("OBJECT|ENCODING a", INVALID),
        ("WIPE a", NO_KEYS),
        ("FOO a", INVALID),
    ] {
        peer.ask(format!("COMMAND GETKEYS {call}\r\n"), keys);
    }
    peer.ask(
        "COMMAND GETKEYSANDFLAGS MSET a 1 b 2\r\n",
        "*2\r\n*2\r\n$1\r\na\r\n*3\r\n+RW\r\n+access\r\n+update\r\n\
         *2\r\n$1\r\nb\r\n*3\r\n+RW\r\n+access\r\n+update\r\n",
    );
    peer.ask(
        "COMMAND GETKEYSANDFLAGS GET a\r\n",
        "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+RO\r\n+access\r\n",
    );
    peer.ask("COMMAND GETKEYSANDFLAGS GET a b\r\n", WORDS);

    // Fewer words than the keys need, as the arity allows.
    let (_server, mut peer) = serve(builtin_and(|commands| {
        let lax = commands.register("LAX", Arity::AtLeast(1), ok);
        lax.keys(2, -2, 1);
    }));
    peer.ask("COMMAND GETKEYS LAX a b c\r\n", "*1\r\n$1\r\nb\r\n");
    for too_few in ["LAX a", "LAX a b"] {
        peer.ask(format!("COMMAND GETKEYS {too_few}\r\n"), ARGUMENTS);
    }
}

#[test]
fn acl_categories_list_the_programs_commands() {
    let (_server, mut peer) = serve(with_keys());
    for (category, names) in [
        ("string", &["get"][..]),
        ("list", &["blpop"]),
        ("blocking", &["blpop"]),
        ("write", &["blpop", "mset"]),
        ("hash", &[]),
    ] {
        for asking in ["ACL CAT", "COMMAND LIST FILTERBY ACLCAT"] {
            assert_eq!(peer.answers(&format!("{asking} {category}")), names);
        }
    }
    let dangerous = peer.answers("ACL CAT dangerous");
    assert!(dangerous.contains(&"wipe".to_owned()), "{dangerous:?}");
}

#[test]
fn impossible_declarations_panic() {
    type Declare = fn(&mut Command);
    let panics = |arity: Arity, declare: Declare| {
        let mut commands = Commands::empty();
        commands.register("MY", arity, ok);
        let command = commands.get_mut("MY").expect("it was registered");
        catch_unwind(AssertUnwindSafe(|| declare(command))).is_err()
    };
    let declarations: [(Arity, Declare, bool); 9] = [
        (Arity::Exactly(2), |my| _ = my.keys(0, 0, 0), true),
        (Arity::Exactly(2), |my| _ = my.keys(0, 1, 1), true),
        (Arity::Exactly(2), |my| _ = my.keys(1, 1, 0), true),
        (Arity::Exactly(2), |my| _ = my.keys(2, 2, 1), true),
        (Arity::Between(2, 3), |my| _ = my.keys(2, 1, 1), true),
        (Arity::Between(2, 3), |my| _ = my.keys(2, -1, 1), false),
        (Arity::AtLeast(1), |my| _ = my.category("@string"), true),
        (Arity::AtLeast(1), |my| _ = my.category("nonsense"), true),
        (Arity::AtLeast(1), |my| _ = my.category("string"), false),
    ];
    for (index, (arity, declare, expected)) in declarations.into_iter().enumerate() {
        assert_eq!(panics(arity, declare), expected, "declaration {index}");
    }
    let in_container = catch_unwind(|| {
        let mut commands = Commands::empty();
        let mut object = commands.container("OBJECT");
        // Word 1 is the subcommand's name.
        object
            .register("ENCODING", Arity::Exactly(3), ok)
            .keys(1, 1, 1);
    });
    assert!(in_container.is_err());
}

// Secrets.

/// Returns the requests that MONITOR and SLOWLOG show after these were sent to a new server.
fn shown(commands: Commands, requests: &[&str]) -> Vec<String> {
    let all = Config {
        slowlog_log_slower_than_us: 0,
        ..config(1)
    };
    let server = TestServer::with(all, commands);
    let (mut peer, mut monitor) = (server.connect(), server.connect());
    monitor.ask("MONITOR\r\n", "+OK\r\n");
    let mut shown = Vec::new();
    for request in requests {
        peer.send(format!("{request}\r\n"));
        peer.leaves();
        let line = monitor.line();
        let (_, words) = line.split_once("] ").expect("the client's address");
        shown.push(words.replace('"', ""));
    }
    // The latest first; a request is the fourth field of an entry, after id, time and duration.
    let slowlog = peer.answers("SLOWLOG GET");
    let mut rest = &slowlog[..];
    for words in shown.iter().rev() {
        let words: Vec<_> = words.split(' ').collect();
        let found = rest.windows(words.len()).position(|window| window == words);
        let found = found.unwrap_or_else(|| panic!("{words:?} in {rest:?}"));
        rest = &rest[found + words.len()..];
    }
    shown
}

#[test]
fn declared_secrets_are_redacted() {
    let commands = builtin_and(|commands| {
        commands
            .register("LOGIN", Arity::AtLeast(2), ok)
            .secret(2)
            .register("SIGN", Arity::AtLeast(1), ok)
            .secret(0)
            .register("FAR", Arity::AtLeast(1), ok)
            .secret(usize::MAX);
        commands
            .container("TOKEN")
            .register("SET", Arity::AtLeast(2), ok)
            .secret(3);
    });
    let requests = [
        ("LOGIN me hush", "LOGIN me (redacted)"),
        ("login me oops hush", "login me (redacted) (redacted)"),
        // The secret may stand one word too early.
        ("LOGIN hush", "LOGIN (redacted)"),
        ("SIGN", "SIGN"),
        ("SIGN a b", "SIGN (redacted) (redacted)"),
        ("FAR a b", "FAR (redacted) (redacted)"),
        ("TOKEN SET name hush", "TOKEN SET name (redacted)"),
        ("TOKEN SET hush", "TOKEN SET (redacted)"),
        ("TOKEN set", "TOKEN set"),
        ("ECHO public", "ECHO public"),
    ];
    let sent = requests.map(|(request, _)| request);
    let expected = requests.map(|(_, shown)| shown);
    assert_eq!(shown(commands, &sent), expected);
}

#[test]
fn replaced_builtin_commands_keep_their_secrets() {
    let commands = builtin_and(|commands| {
        commands
            .register("AUTH", Arity::AtLeast(1), ok)
            .register("CONFIG", Arity::AtLeast(1), ok);
        // A container whose names are those of a command.
        commands
            .container("HELLO")
            .register("WORLD", Arity::AtLeast(2), ok);
    });
    let requests = [
        ("AUTH", "AUTH"),
        ("AUTH me hush", "AUTH (redacted) (redacted)"),
        ("HELLO WORLD hush", "HELLO WORLD (redacted)"),
        ("CONFIG", "CONFIG"),
        (
            "CONFIG SET requirepass hush",
            "CONFIG SET requirepass (redacted)",
        ),
        ("CONFIG requirepass hush", "CONFIG requirepass (redacted)"),
    ];
    let sent = requests.map(|(request, _)| request);
    let expected = requests.map(|(_, shown)| shown);
    assert_eq!(shown(commands, &sent), expected);

    let commands = builtin_and(|commands| {
        let mut auth = commands.container("AUTH");
        auth.register("TOKEN", Arity::AtLeast(2), ok).secret(3);
    });
    let sent = ["AUTH TOKEN name hush"];
    assert_eq!(shown(commands, &sent), ["AUTH TOKEN (redacted) (redacted)"]);
}

#[test]
fn login_command_runs_without_authentication() {
    let commands = builtin_and(|commands| {
        commands
            .register("LOGIN", Arity::Exactly(2), |session, _, reply| {
                session.authenticate();
                reply.simple("OK")
            })
            .needs_no_auth()
            .secret(1);
        commands.register("AUTH", Arity::AtLeast(1), ok);
    });
    let config = Config {
        requirepass: Some("hush".into()),
        ..config(1)
    };
    let server = TestServer::with(config, commands);
    let mut peer = server.connect();
    peer.ask("ECHO a\r\n", "-NOAUTH Authentication required.\r\n");
    peer.ask("LOGIN hush\r\nECHO a\r\n", "+OK\r\n$1\r\na\r\n");
    for name in ["login", "auth"] {
        let info = peer.answers(&format!("COMMAND INFO {name}"));
        assert_eq!(info[2], "no_auth", "{info:?}");
    }
}
