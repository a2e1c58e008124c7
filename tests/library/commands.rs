//! A program's own commands: how they are called, and how the server describes them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use respool::{Arity, Commands, Config, Items, Replied, Reply, Request, Session};
use respool_testing::{Peer, TestServer, builtin_and, config, eventually, request};

const OK: &str = "+OK\r\n";

/// Returns a server with these commands on one worker, and a client.
fn serve(commands: Commands) -> (TestServer, Peer) {
    let server = TestServer::with(config(1), commands);
    let peer = server.connect();
    (server, peer)
}

// Descriptions.

/// Compares what `COMMAND INFO` returns for a command.
#[track_caller]
fn assert_info(peer: &mut Peer, name: &str, arity: i64, flags: &[&str], categories: &[&str]) {
    peer.send(format!("COMMAND INFO {name}\r\n"));
    peer.expect(format!(
        "*1\r\n*10\r\n${}\r\n{name}\r\n:{arity}\r\n",
        name.len()
    ));
    assert_eq!(peer.leaves(), flags);
    peer.expect(":0\r\n:0\r\n:0\r\n");
    assert_eq!(peer.leaves(), categories);
    peer.expect("*0\r\n*0\r\n*0\r\n");
}

#[test]
fn command_is_case_insensitive_and_checks_its_arity() {
    let (_server, mut peer) = serve(builtin_and(|commands| {
        commands.register("My-Sum.2", Arity::Exactly(3), |_, request, reply| {
            reply.integer(request.integer(0).unwrap_or(0) + request.integer(1).unwrap_or(0))
        });
        commands.register("MANY", Arity::AtLeast(2), |_, request, reply| {
            reply.integer(request.word_count() as i64)
        });
    }));
    for name in ["My-Sum.2", "MY-SUM.2", "my-sum.2", "mY-sUm.2"] {
        peer.ask(format!("{name} 40 2\r\n"), ":42\r\n");
    }
    for wrong in ["MY-SUM.2", "My-Sum.2 1", "my-sum.2 1 2 3"] {
        peer.ask(
            format!("{wrong}\r\n"),
            "-ERR wrong number of arguments for 'my-sum.2' command\r\n",
        );
    }
    peer.ask(
        "many\r\n",
        "-ERR wrong number of arguments for 'many' command\r\n",
    );
    peer.ask("many 1\r\nmany 1 2\r\n", ":2\r\n:3\r\n");
}

#[test]
fn arity_can_have_a_maximum() {
    let (_server, mut peer) = serve(builtin_and(|commands| {
        commands.register("SOME", Arity::Between(2, 3), |_, request, reply| {
            reply.integer(request.word_count() as i64)
        });
    }));
    peer.ask("SOME 1\r\nSOME 1 2\r\n", ":2\r\n:3\r\n");
    let wrong = "-ERR wrong number of arguments for 'some' command\r\n";
    peer.ask("SOME\r\nSOME 1 2 3\r\n", wrong.repeat(2));
    assert_info(&mut peer, "some", -2, &[], &["@slow"]);
}

#[test]
fn registrations_chain() {
    let (_server, mut peer) = serve(builtin_and(|commands| {
        commands
            .register("ONE", Arity::Exactly(1), nothing)
            .writes()
            .register("ONE", Arity::Exactly(2), |_, request, reply| {
                reply.bulk(request.argument(0).unwrap_or_default())
            })
            .never_blocks()
            .register("SIX", Arity::Exactly(1), nothing);
        commands
            .container("JOB")
            .register("ONE", Arity::Exactly(2), nothing)
            .never_blocks()
            .register("TWO", Arity::Exactly(3), nothing)
            .writes();
    }));
    assert_info(&mut peer, "one", 2, &["fast"], &["@fast"]);
    assert_info(&mut peer, "six", 1, &[], &["@slow"]);
    assert_info(&mut peer, "job|one", 2, &["fast"], &["@fast"]);
    assert_info(&mut peer, "job|two", 3, &["write"], &["@write", "@slow"]);
    peer.ask("ONE a\r\nJOB TWO b\r\n", "$1\r\na\r\n$-1\r\n");
}

#[test]
fn command_info_has_arity_and_declared_flags() {
    let (_server, mut peer) = serve(builtin_and(|commands| {
        let handler = |_: &mut Session, _: &Request<'_>, reply: Reply<'_>| reply.null();
        commands.register("PLAIN", Arity::Exactly(3), handler);
        let quick = commands.register("QUICK", Arity::AtLeast(1), handler);
        quick.never_blocks();
        commands
            .register("STORE", Arity::AtLeast(2), handler)
            .writes();
        let both = commands.register("BOTH", Arity::Exactly(1), handler);
        both.never_blocks().writes();
    }));
    assert_info(&mut peer, "plain", 3, &[], &["@slow"]);
    assert_info(&mut peer, "quick", -1, &["fast"], &["@fast"]);
    assert_info(&mut peer, "store", -2, &["write"], &["@write", "@slow"]);
    assert_info(
        &mut peer,
        "both",
        1,
        &["write", "fast"],
        &["@write", "@fast"],
    );
}

#[test]
fn command_docs_count_and_list_include_it() {
    let count = |commands| -> i64 {
        let (_server, mut peer) = serve(commands);
        peer.answer("COMMAND COUNT").parse().expect("a number")
    };
    let with_two = || {
        builtin_and(|commands| {
            let one = commands.register("MY.ONE", Arity::Exactly(1), |_, _, reply| reply.null());
            one.describe("Is one").never_blocks();
            let two = commands.register("MY.TWO", Arity::Exactly(1), |_, _, reply| reply.null());
            two.writes();
        })
    };
    assert_eq!(count(with_two()), count(Commands::builtin()) + 2);
    let (_server, mut peer) = serve(with_two());
    peer.ask(
        "COMMAND DOCS my.one MY.TWO\r\n",
        "*4\r\n$6\r\nmy.one\r\n*4\r\n$7\r\nsummary\r\n$6\r\nIs one\r\n\
         $5\r\ngroup\r\n$6\r\nmodule\r\n\
         $6\r\nmy.two\r\n*2\r\n$5\r\ngroup\r\n$6\r\nmodule\r\n",
    );
    let list = peer.answers("COMMAND LIST");
    for name in ["my.one", "my.two", "ping"] {
        assert_eq!(
            list.iter().filter(|listed| *listed == name).count(),
            1,
            "{name}"
        );
    }
    for (filter, names) in [
        ("PATTERN my.*", &["my.one", "my.two"][..]),
        ("PATTERN *.two", &["my.two"]),
    ] {
        assert_eq!(
            peer.answers(&format!("COMMAND LIST FILTERBY {filter}")),
            names
        );
    }
    let writes = peer.answers("COMMAND LIST FILTERBY ACLCAT write");
    assert_eq!(writes, ["my.two"]);
    assert!(
        peer.answers("COMMAND LIST FILTERBY ACLCAT fast")
            .contains(&"my.one".to_owned())
    );
}

/// `FAIL`: fails in the way that its argument names.
fn fails(request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let about = |pairs: &mut Items<'_>| pairs.pair("k", |value| value.error("WITHIN it"));
    match request.text(0) {
        Ok("plain") => reply.error("PLAIN it"),
        Ok("bulk") => reply.bulk_error("BULK\nit"),
        Ok("behind-attribute") => reply.attribute(1, about).error("BEHIND it"),
        Ok("bulk-behind-push") => reply.push(2, about).bulk_error("PUSHED it"),
        // These calls do not fail.
        Ok("within") => reply.array(1, |items| items.add(|item| item.error("WITHIN it"))),
        Ok("about") => reply.attribute(1, about).simple("OK"),
        _ => reply.simple("-FINE"),
    }
}

#[test]
fn info_counts_calls_and_failures_by_error_code() {
    for resp3 in [false, true] {
        let (server, mut other) = serve(builtin_and(|commands| {
            let fail = commands.register("FAIL", Arity::Exactly(2), |_, request, reply| {
                fails(request, reply)
            });
            fail.never_blocks();
        }));
        let mut peer = server.connect();
        if resp3 {
            peer.speak_resp3();
        }
        for how in [
            "plain",
            "bulk",
            "bulk",
            "behind-attribute",
            "bulk-behind-push",
            "within",
            "about",
            "fine",
        ] {
            peer.send(format!("FAIL {how}\r\n"));
        }
        peer.send("FAIL\r\nFAIL 1 2\r\nQUIT\r\n");
        peer.rest();
        for (part, expected) in [("calls=", 8), ("failed_calls=", 5), ("rejected_calls=", 2)] {
            let counted = other.info("commandstats", "cmdstat_fail", part);
            assert_eq!(counted, Some(expected), "{part} resp3: {resp3}");
        }
        for (code, expected) in [
            ("PLAIN", Some(1)),
            ("BULK", Some(2)),
            ("BEHIND", Some(1)),
            ("PUSHED", Some(1)),
            ("WITHIN", None),
            ("ERR", Some(2)),
        ] {
            let counted = other.info("errorstats", &format!("errorstat_{code}"), "count=");
            assert_eq!(counted, expected, "{code} resp3: {resp3}");
        }
        assert_eq!(other.info("stats", "total_error_replies", ""), Some(7));
    }
}

#[test]
fn slowlog_and_monitor_show_it_with_arguments() {
    let all = Config {
        slowlog_log_slower_than_us: 0,
        ..config(1)
    };
    let commands = builtin_and(|commands| {
        let mine = commands.register("MINE", Arity::AtLeast(1), |_, _, reply| reply.null());
        mine.never_blocks();
        let mut jobs = commands.container("JOB");
        jobs.register("RUN", Arity::AtLeast(2), |_, _, reply| reply.null());
    });
    let server = TestServer::with(all, commands);
    let (mut peer, mut monitor) = (server.connect(), server.connect());
    monitor.ask("MONITOR\r\n", OK);
    peer.ask("mine one \"two words\"\r\njob Run 3\r\n", "$-1\r\n$-1\r\n");
    for words in [r#""mine" "one" "two words""#, r#""job" "Run" "3""#] {
        let line = monitor.line();
        assert!(line.ends_with(&format!("] {words}")), "{line}");
    }
    let entries = peer.answers("SLOWLOG GET 2");
    let words_at = |words: &[&str]| entries.windows(words.len()).any(|window| window == words);
    assert!(words_at(&["mine", "one", "two words"]), "{entries:?}");
    assert!(words_at(&["job", "Run", "3"]), "{entries:?}");
}

#[test]
fn write_pause_holds_only_commands_declared_as_writes() {
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ran);
    let (server, mut pauser) = serve(builtin_and(move |commands| {
        let handler = |ran: &Arc<AtomicUsize>| {
            let ran = Arc::clone(ran);
            move |_: &mut Session, _: &Request<'_>, reply: Reply<'_>| {
                ran.fetch_add(1, Ordering::Relaxed);
                reply.simple("written")
            }
        };
        let put = commands.register("PUT", Arity::Exactly(1), handler(&counted));
        put.writes();
        let mut store = commands.container("STORE");
        let set = store.register("SET", Arity::Exactly(2), handler(&counted));
        set.never_blocks().writes();
        store.register("SHOW", Arity::Exactly(2), |_, _, reply| {
            reply.simple("shown")
        });
        commands.register("LOOK", Arity::Exactly(1), |_, _, reply| {
            reply.simple("seen")
        });
    }));
    let mut others = [server.connect(), server.connect()];
    pauser.ask("CLIENT PAUSE 3600000 WRITE\r\n", OK);
    for (other, write) in others.iter_mut().zip(["PUT", "STORE SET"]) {
        other.send(format!("LOOK\r\nSTORE SHOW\r\n{write}\r\nLOOK\r\n"));
        other.expect("+seen\r\n+shown\r\n");
    }
    eventually("both writers wait", || {
        pauser.info("clients", "blocked_clients", "") == Some(2)
    });
    assert_eq!(ran.load(Ordering::Relaxed), 0);
    // The pausing client is not paused.
    pauser.ask("PUT\r\nCLIENT UNPAUSE\r\n", "+written\r\n+OK\r\n");
    for other in &mut others {
        other.expect("+written\r\n+seen\r\n");
    }
}

// Containers.

/// Returns the built-in commands, and `JOB` with `STATE`, `START` and `HELP`.
fn with_jobs() -> Commands {
    builtin_and(|commands| {
        let mut jobs = commands.container("Job");
        let state = jobs.register("State", Arity::Exactly(3), |_, request, reply| {
            reply.bulk(request.argument(1).unwrap_or_default())
        });
        state.describe("Tells the state").never_blocks();
        jobs.register("START", Arity::AtLeast(2), |_, request, reply| {
            reply.integer(request.word_count() as i64)
        });
    })
}

#[test]
fn subcommand_is_called_after_its_container() {
    let (_server, mut peer) = serve(with_jobs());
    for (request, reply) in [
        ("JOB STATE 7", "$1\r\n7\r\n"),
        ("job state x", "$1\r\nx\r\n"),
        ("Job Start", ":2\r\n"),
        ("JOB START 1 2", ":4\r\n"),
        (
            "JOB",
            "-ERR wrong number of arguments for 'job' command\r\n",
        ),
        (
            "JOB STATE",
            "-ERR wrong number of arguments for 'job|state' command\r\n",
        ),
        (
            "JOB STATE 1 2",
            "-ERR wrong number of arguments for 'job|state' command\r\n",
        ),
        (
            "JOB HELP me",
            "-ERR wrong number of arguments for 'job|help' command\r\n",
        ),
        (
            "job Stop 1",
            "-ERR unknown subcommand 'Stop'. Try JOB HELP.\r\n",
        ),
        (
            "JOB|STATE 1",
            "-ERR unknown command 'JOB|STATE', with args beginning with: '1' \r\n",
        ),
        (
            "STATE 1",
            "-ERR unknown command 'STATE', with args beginning with: '1' \r\n",
        ),
        (
            "job help",
            "*6\r\n+JOB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n\
             +HELP\r\n+    Prints this help.\r\n+START\r\n+STATE\r\n+    Tells the state.\r\n",
        ),
    ] {
        peer.ask(format!("{request}\r\n"), reply);
    }
}

#[test]
fn command_can_be_described_after_registration() {
    let mut commands = with_jobs();
    let jobs = commands.get_mut("job").expect("it was registered");
    jobs.describe("Jobs");
    assert!(commands.get_mut("JOBS").is_none());
    let (_server, mut peer) = serve(commands);
    let docs = peer.answers("COMMAND DOCS JOB");
    assert_eq!(docs[..3], ["job", "summary", "Jobs"]);
}

// A built-in command that was declared as a write lost its flag `admin`, and monitors were shown
// its requests.
#[test]
fn declarations_extend_a_builtin_name() {
    let (server, mut peer) = serve(builtin_and(|commands| {
        let mut config = commands.container("CONFIG");
        let set = config.get_mut("SET");
        set.expect("it is built in").writes().never_blocks();
        let ping = commands.get_mut("PING").expect("it is built in");
        ping.never_blocks();
    }));
    let flags = |peer: &mut Peer, name: &str| {
        let info = peer.answers(&format!("COMMAND INFO {name}"));
        info[2..].join(" ")
    };
    let set = flags(&mut peer, "config|set");
    assert!(
        set.starts_with("admin noscript loading stale write fast "),
        "{set}"
    );
    assert!(set.contains("@write @admin @fast @dangerous"), "{set}");
    let ping = flags(&mut peer, "ping");
    assert!(ping.starts_with("fast 0 0 0 @fast"), "{ping}");

    let mut monitor = server.connect();
    monitor.ask("MONITOR\r\n", "+OK\r\n");
    peer.ask("CONFIG SET timeout 0\r\n", "+OK\r\n");
    peer.ask("ECHO x\r\n", "$1\r\nx\r\n");
    let line = monitor.line();
    assert!(line.contains("\"ECHO\""), "{line}");
}

#[test]
fn container_is_described_with_its_subcommands() {
    let (_server, mut peer) = serve(with_jobs());
    let module = "$5\r\ngroup\r\n$6\r\nmodule\r\n";
    let summary = "$7\r\nsummary\r\n";
    peer.ask(
        "COMMAND DOCS job\r\n",
        format!(
            "*2\r\n$3\r\njob\r\n*4\r\n{module}$11\r\nsubcommands\r\n*6\r\n\
             $8\r\njob|help\r\n*4\r\n{summary}$16\r\nPrints this help\r\n{module}\
             $9\r\njob|start\r\n*2\r\n{module}\
             $9\r\njob|state\r\n*4\r\n{summary}$15\r\nTells the state\r\n{module}"
        ),
    );
    let info = |name: &str, arity: i64, kind: &str, subcommands: &str| {
        let flags = match kind {
            "@fast" => "*1\r\n+fast\r\n",
            _ => "*0\r\n",
        };
        format!(
            "*10\r\n${}\r\n{name}\r\n:{arity}\r\n{flags}:0\r\n:0\r\n:0\r\n*1\r\n+{kind}\r\n*0\r\n\
             *0\r\n{subcommands}",
            name.len()
        )
    };
    let none = "*0\r\n";
    let help = info("job|help", 2, "@fast", none);
    let start = info("job|start", -2, "@slow", none);
    let state = info("job|state", 3, "@fast", none);
    let subcommands = format!("*3\r\n{help}{start}{state}");
    peer.ask(
        "COMMAND INFO JOB Job|State job|stop\r\n",
        format!(
            "*3\r\n{}{state}$-1\r\n",
            info("job", -2, "@slow", &subcommands)
        ),
    );
    assert_eq!(
        peer.answers("COMMAND LIST FILTERBY PATTERN job*"),
        ["job", "job|help", "job|start", "job|state"]
    );
}

#[test]
fn info_counts_each_subcommand_separately() {
    let (_server, mut peer) = serve(with_jobs());
    peer.send("JOB STATE 1\r\nJOB STATE 2\r\nJOB STATE\r\nJOB START\r\nJOB\r\nJOB STOP\r\n");
    peer.send("PING\r\nCLIENT ID\r\n");
    for _ in 0..8 {
        peer.leaves();
    }
    for (name, calls, rejected) in [
        ("job|state", 2, 1),
        ("job|start", 1, 0),
        ("job", 0, 1),
        ("ping", 1, 0),
        ("client|id", 1, 0),
    ] {
        let field = format!("cmdstat_{name}");
        let counted = |peer: &mut Peer, part| peer.info("commandstats", &field, part);
        assert_eq!(counted(&mut peer, "calls="), Some(calls), "{name}");
        assert_eq!(
            counted(&mut peer, "rejected_calls="),
            Some(rejected),
            "{name}"
        );
    }
    assert_eq!(
        peer.info("commandstats", "cmdstat_job|help", "calls="),
        None
    );
}

#[test]
fn custom_auth_runs_for_unauthenticated_clients() {
    let mut commands = Commands::builtin();
    commands.register("AUTH", Arity::Exactly(2), |session, request, reply| {
        if request.argument(0) == Some(b"sesame") {
            session.authenticate();
            reply.simple("OPEN")
        } else {
            reply.error("WRONGPASS no")
        }
    });
    let config = Config {
        requirepass: Some("another".into()),
        ..config(1)
    };
    let server = TestServer::with(config, commands);
    let mut peer = server.connect();
    peer.ask("AUTH another\r\n", "-WRONGPASS no\r\n");
    peer.ask("PING\r\n", "-NOAUTH Authentication required.\r\n");
    peer.ask("AUTH sesame\r\nPING\r\n", "+OPEN\r\n+PONG\r\n");
}

#[test]
fn custom_ping_runs_for_subscribers() {
    let mut commands = Commands::builtin();
    commands.register("PING", Arity::Exactly(1), |_, _, reply| reply.simple("OWN"));
    let (_server, mut peer) = serve(commands);
    peer.ask(
        "SUBSCRIBE c\r\nPING\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n+OWN\r\n",
    );
}

fn simple(text: &'static str) -> impl Fn(&mut Session, &Request<'_>, Reply<'_>) -> Replied {
    move |_, _, reply| reply.simple(text)
}

#[test]
fn container_is_reused_and_replaces_a_command() {
    let (_server, mut peer) = serve(builtin_and(|commands| {
        commands.register("JOB", Arity::Exactly(1), |_, _, reply| reply.simple("old"));
        let arity = Arity::AtLeast(2);
        commands.container("JOB").register("A", arity, simple("a"));
        commands.container("job").register("B", arity, simple("b"));
        commands
            .container("JOB")
            .register("a", arity, simple("another a"));
        commands.container("GONE").register("A", arity, simple("a"));
        commands.register("GONE", arity, simple("no container"));
    }));
    peer.ask("JOB A\r\nJOB B\r\n", "+another a\r\n+b\r\n");
    peer.ask(
        "JOB\r\n",
        "-ERR wrong number of arguments for 'job' command\r\n",
    );
    peer.ask(
        "GONE A\r\nGONE HELP\r\n",
        "+no container\r\n+no container\r\n",
    );
}

#[test]
fn builtin_containers_accept_subcommands() {
    let (_server, mut peer) = serve(builtin_and(|commands| {
        let mut client = commands.container("CLIENT");
        client.register("WHO", Arity::AtLeast(2), |session, request, reply| {
            let words = request.word_count() as u64;
            reply.bulk(format!("{}/{words}", session.id()))
        });
        let mut command = commands.container("COMMAND");
        command.register("MINE", Arity::Exactly(2), |_, _, reply| reply.null());
    }));
    peer.ask("CLIENT WHO x\r\n", "$3\r\n1/3\r\n");
    peer.ask("CLIENT ID\r\nCOMMAND MINE\r\n", ":1\r\n$-1\r\n");
    assert_eq!(
        peer.answers("COMMAND LIST FILTERBY PATTERN client|w*"),
        ["client|who"]
    );
    assert_eq!(
        peer.info("commandstats", "cmdstat_client|who", "calls="),
        Some(1)
    );
    // The help of built-in subcommands is kept.
    assert!(peer.answers("CLIENT HELP").contains(&"GETNAME".to_owned()));
}

#[test]
fn removed_command_is_unknown() {
    let (_server, mut peer) = serve(builtin_and(|commands| {
        assert!(commands.remove("echo"));
        assert!(!commands.remove("ECHO"));
        assert!(!commands.remove("NO-COMMAND-HAS-SUCH-A-LONG-NAME-AS-THIS"));
        assert!(commands.container("CLIENT").remove("Id"));
        assert!(commands.remove("CONFIG"));
    }));
    for (request, reply) in [
        (
            "ECHO a b",
            "-ERR unknown command 'ECHO', with args beginning with: 'a' 'b' \r\n",
        ),
        (
            "client id",
            "-ERR unknown subcommand 'id'. Try CLIENT HELP.\r\n",
        ),
        (
            "CONFIG GET port",
            "-ERR unknown command 'CONFIG', with args beginning with: 'GET' 'port' \r\n",
        ),
        (
            "COMMAND INFO echo client|id config|get",
            "*3\r\n$-1\r\n$-1\r\n$-1\r\n",
        ),
        ("COMMAND LIST FILTERBY PATTERN config*", "*0\r\n"),
        ("CLIENT GETNAME", "$-1\r\n"),
    ] {
        peer.ask(format!("{request}\r\n"), reply);
    }
}

#[test]
fn empty_container_stays_a_container() {
    let (_server, mut peer) = serve(builtin_and(|commands| {
        assert!(commands.container("JOB").remove("HELP"));
    }));
    peer.ask(
        "JOB HELP\r\nJOB\r\n",
        "-ERR unknown subcommand 'HELP'. Try JOB HELP.\r\n\
         -ERR wrong number of arguments for 'job' command\r\n",
    );
}

#[test]
fn ping_can_be_replaced() {
    let (_server, mut peer) = serve(builtin_and(|commands| {
        commands.register("ping", Arity::Exactly(1), |_, _, reply| {
            reply.simple("here")
        });
    }));
    peer.ask("PING\r\nPING\r\n", "+here\r\n+here\r\n");
    peer.ask(
        "PING x\r\n",
        "-ERR wrong number of arguments for 'ping' command\r\n",
    );
    // The docs of Redis's command do not apply to this one.
    peer.ask(
        "COMMAND DOCS PING\r\n",
        "*2\r\n$4\r\nping\r\n*2\r\n$5\r\ngroup\r\n$6\r\nmodule\r\n",
    );
}

// Commands that cannot be called.

/// Returns the panic message of `register`.
fn complaint(register: impl FnOnce(&mut Commands)) -> String {
    let mut commands = Commands::empty();
    let outcome = catch_unwind(AssertUnwindSafe(|| register(&mut commands)));
    let panic = outcome.expect_err("the command cannot be called");
    let text = panic.downcast_ref::<String>();
    text.expect("it has a text of its own").clone()
}

fn nothing(_: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.null()
}

#[test]
fn unusable_name_panics() {
    for name in ["", "A B", "a\tb", "A|B", "|", "é", "A\r\n", "\u{7f}", "\0"] {
        let text = format!(
            "a command's name is visible ASCII characters other than `|`, and not {name:?}"
        );
        let register = |commands: &mut Commands| {
            commands.register(name, Arity::Exactly(1), nothing);
        };
        assert_eq!(complaint(register), text);
        assert_eq!(complaint(|commands| _ = commands.container(name)), text);
        let register_below = |commands: &mut Commands| {
            let mut container = commands.container("JOB");
            container.register(name, Arity::Exactly(2), nothing);
        };
        assert_eq!(complaint(register_below), text);
    }
    let mut commands = Commands::empty();
    commands.register("!\"#~", Arity::Exactly(1), nothing);
    let (_server, mut peer) = serve(commands);
    peer.ask(request(&[b"!\"#~"]), "$-1\r\n");
}

#[test]
fn arity_that_excludes_the_names_panics() {
    for arity in [Arity::Exactly(0), Arity::AtLeast(0)] {
        let register = |commands: &mut Commands| {
            commands.register("Name", arity, nothing);
        };
        assert_eq!(
            complaint(register),
            "an arity counts the names too, so that of Name is at least 1"
        );
    }
    for arity in [Arity::Exactly(1), Arity::AtLeast(1)] {
        let register = |commands: &mut Commands| {
            commands.container("JOB").register("Run", arity, nothing);
        };
        assert_eq!(
            complaint(register),
            "an arity counts the names too, so that of Run is at least 2"
        );
    }
}

#[test]
fn arity_whose_maximum_is_too_small_panics() {
    let register = |commands: &mut Commands| {
        commands.register("Name", Arity::Between(3, 2), nothing);
    };
    assert_eq!(
        complaint(register),
        "the maximum of an arity is at least its minimum, and that of Name is Between(3, 2)"
    );
}

/// HTTP is recognized only by names that are not commands.
#[test]
fn command_named_get_is_not_http() {
    let commands = builtin_and(|commands| {
        commands.register("GET", Arity::AtLeast(2), |_, request, reply| {
            reply.bulk(request.argument(1).unwrap_or_default())
        });
    });
    let server = TestServer::with(config(1), commands);
    let mut peer = server.connect();
    peer.ask("GET / HTTP/1.1\r\n", "$8\r\nHTTP/1.1\r\n");
    peer.ping();
    peer.send("Host: here\r\n");
    peer.expect_end();
}
