//! Replies that differ from Redis on purpose, and why.
//!
//! Each row must be a difference wherever its request occurs in the conversations of its setting. A
//! request with equal replies in another state is spelled with other letters there.

use super::value::latin1;
use respool_testing::redis_server::Setting;

/// Requests whose replies differ for one reason.
pub(crate) struct Difference {
    pub(crate) why: &'static str,
    pub(crate) rows: &'static [Row],
}

/// A request, Redis's reply and respool's reply, without the last CR LF. `…` matches anything.
pub(crate) type Row = (&'static str, &'static str, &'static str);

/// Returns the differences of a setting.
pub(crate) fn differences(setting: Setting) -> &'static [Difference] {
    match setting {
        Setting::Plain => PLAIN,
        Setting::Password => WITH_A_PASSWORD,
        Setting::Debug => WITH_DEBUG,
        Setting::LostFile => WITH_A_LOST_FILE,
        Setting::File | Setting::Stopped => &[],
    }
}

/// Returns the row of `request`, if there is one.
pub(crate) fn row(setting: Setting, request: &str) -> Option<&'static Row> {
    let mut rows = differences(setting)
        .iter()
        .flat_map(|difference| difference.rows);
    rows.find(|(other, ..)| *other == request)
}

/// Returns true if `reply` matches a row's text.
pub(crate) fn is(reply: &[u8], said: &str) -> bool {
    let reply = latin1(reply);
    let reply = reply.strip_suffix("\r\n").unwrap_or(&reply);
    match said.split_once('…') {
        Some((front, back)) => reply.starts_with(front) && reply.ends_with(back),
        None => reply == said,
    }
}

const PLAIN: &[Difference] = &[
    Difference {
        why: "CLIENT SETINFO is of Redis 7.2; clients send it to servers of that version",
        rows: &[
            (
                "CLIENT SETINFO",
                NO_SETINFO,
                "-ERR wrong number of arguments for 'client|setinfo' command",
            ),
            (
                "CLIENT SETINFO LIB-NAME",
                NO_SETINFO,
                "-ERR wrong number of arguments for 'client|setinfo' command",
            ),
            (
                "CLIENT SETINFO LIB-NAME a b",
                NO_SETINFO,
                "-ERR wrong number of arguments for 'client|setinfo' command",
            ),
            ("CLIENT SETINFO LIB-NAME redis-py", NO_SETINFO, "+OK"),
            (
                "client setinfo lib-ver 5.3.1",
                "-ERR unknown subcommand 'setinfo'. Try CLIENT HELP.",
                "+OK",
            ),
            (
                "CLIENT SETINFO FOO x",
                NO_SETINFO,
                "-ERR Unrecognized option 'FOO'",
            ),
            (
                "CLIENT SETINFO LIB-NAME \"a b\"",
                NO_SETINFO,
                "-ERR LIB-NAME cannot contain spaces, newlines or special characters.",
            ),
            (
                "CLIENT SETINFO lib-ver \"a b\"",
                NO_SETINFO,
                "-ERR lib-ver cannot contain spaces, newlines or special characters.",
            ),
        ],
    },
    Difference {
        why: "CLIENT NO-TOUCH is of Redis 7.2",
        rows: &[
            (
                "CLIENT NO-TOUCH",
                NO_NO_TOUCH,
                "-ERR wrong number of arguments for 'client|no-touch' command",
            ),
            (
                "CLIENT NO-TOUCH on off",
                NO_NO_TOUCH,
                "-ERR wrong number of arguments for 'client|no-touch' command",
            ),
            ("CLIENT NO-TOUCH on", NO_NO_TOUCH, "+OK"),
            ("CLIENT NO-TOUCH OFF", NO_NO_TOUCH, "+OK"),
            ("CLIENT NO-TOUCH x", NO_NO_TOUCH, "-ERR syntax error"),
        ],
    },
    Difference {
        why: "CLIENT KILL MAXAGE is of a later Redis; it closes stale clients",
        rows: &[
            ("CLIENT KILL MAXAGE 999999", "-ERR syntax error", ":0"),
            (
                "CLIENT KILL MAXAGE 0",
                "-ERR syntax error",
                "-ERR maxage should be greater than 0",
            ),
            (
                "CLIENT KILL MAXAGE x",
                "-ERR syntax error",
                "-ERR maxage should be greater than 0",
            ),
        ],
    },
    Difference {
        why: "HELLO reads all options before it checks the password, as in Redis 7.2",
        rows: &[(
            "HELLO 2 AUTH a b c",
            "-WRONGPASS invalid username-password pair or user is disabled.",
            "-ERR Syntax error in HELLO option 'c'",
        )],
    },
    Difference {
        why: "a refused HELLO changes nothing, as in Redis 7.2; 7.0 sets the name",
        rows: &[("client getname", "$2\r\nme", "…")],
    },
    Difference {
        why: "RESET also resets NO-EVICT, as in Redis 7.2",
        rows: &[("client info", "…", "…")],
    },
    Difference {
        why: "CLIENT CACHING stays set after the next request, which has no other effect because \
              nothing is tracked",
        rows: &[("client trackinginfo", "…", "…")],
    },
    Difference {
        why: "HELP lists the subcommands of this server, in the words of COMMAND DOCS",
        rows: &[
            (
                "ACL HELP",
                "*29\r\n+ACL <subcommand> [<arg>…",
                "*11\r\n+ACL <subcommand> [<arg>…",
            ),
            (
                "CLIENT HELP",
                "*48\r\n+CLIENT <subcommand> [<arg>…",
                "*37\r\n+CLIENT <subcommand> [<arg>…",
            ),
            (
                "CONFIG HELP",
                "*11\r\n+CONFIG <subcommand>…+    Prints this help.",
                "*11\r\n+CONFIG <subcommand>…+    Set configuration parameters to the given values.",
            ),
            (
                "LATENCY HELP",
                "*17\r\n+LATENCY <subcommand> [<arg>…",
                "*11\r\n+LATENCY <subcommand> [<arg>…",
            ),
            (
                "PUBSUB HELP",
                "*14\r\n+PUBSUB <subcommand> [<arg>…",
                "*9\r\n+PUBSUB <subcommand> [<arg>…",
            ),
            (
                "SLOWLOG HELP",
                "*12\r\n+SLOWLOG <subcommand> [<arg>…",
                "*9\r\n+SLOWLOG <subcommand> [<arg>…",
            ),
        ],
    },
    Difference {
        why: "there are no keys and no modules, so no commands for them",
        rows: &[
            ("COMMAND COUNT", ":2…", ":…"),
            (
                "GET a",
                "…",
                "-ERR unknown command 'GET', with args beginning with: 'a' ",
            ),
            (
                "MODULE LIST",
                "*0",
                "-ERR unknown command 'MODULE', with args beginning with: 'LIST' ",
            ),
        ],
    },
    Difference {
        why: "there is no cluster: CLUSTER always fails, and there are no shards",
        rows: &[
            (
                "CLUSTER FOO",
                "-ERR unknown subcommand 'FOO'. Try CLUSTER HELP.",
                NO_CLUSTER,
            ),
            (
                "CLUSTER SLOTS x",
                "-ERR wrong number of arguments for 'cluster|slots' command",
                NO_CLUSTER,
            ),
            (
                "PUBSUB SHARDCHANNELS",
                "*0",
                "-ERR unknown subcommand 'SHARDCHANNELS'. Try PUBSUB HELP.",
            ),
            (
                "PUBSUB SHARDNUMSUB",
                "*0",
                "-ERR unknown subcommand 'SHARDNUMSUB'. Try PUBSUB HELP.",
            ),
            (
                "SPUBLISH a b",
                ":0",
                "-ERR unknown command 'SPUBLISH', with args beginning with: 'a' 'b' ",
            ),
        ],
    },
    Difference {
        why: "an HTTP request gets an HTTP error; neither server runs what follows",
        rows: &[
            ("END: POST / HTTP/1.1", "", "HTTP/1.1 400 Bad Request\r\n…"),
            (
                "END: post / HTTP/1.0\r\nHost: localhost\r\n\r\nPING",
                "",
                "HTTP/1.1 400 Bad Request\r\n…",
            ),
            (
                "END: GET / HTTP/1.1\r\nHost: localhost\r\n\r\nPING",
                "",
                "HTTP/1.1 400 Bad Request\r\n…",
            ),
        ],
    },
    Difference {
        why: "there is one user with all permissions, which cannot be changed or listed",
        rows: &[(
            "ACL GETUSER default",
            "…",
            "-ERR unknown subcommand 'GETUSER'. Try ACL HELP.",
        )],
    },
    Difference {
        why: "DOCTOR's advice is about keys and disks; GRAPH is a picture of HISTORY",
        rows: &[
            ("LATENCY DOCTOR", "…", NO_DOCTOR),
            (
                "LATENCY DOCTOR x",
                "-ERR wrong number of arguments for 'latency|doctor' command",
                NO_DOCTOR,
            ),
            (
                "LATENCY GRAPH",
                "-ERR wrong number of arguments for 'latency|graph' command",
                NO_GRAPH,
            ),
            (
                "LATENCY GRAPH command",
                "-ERR No samples available for event 'command'",
                NO_GRAPH,
            ),
        ],
    },
    Difference {
        why: "a command that is named twice is described once: a map has each key once",
        rows: &[("LATENCY HISTOGRAM slowlog slowlog", "%2\r\n…", "%1\r\n…")],
    },
    Difference {
        why: "LOLWUT has no picture, whatever the version; its last line is Redis's",
        rows: &[
            ("LOLWUT", "…", "…Redis ver. 7.2.0\n"),
            ("LOLWUT x", "…", "…Redis ver. 7.2.0\n"),
            ("LOLWUT VERSION", "…", "…Redis ver. 7.2.0\n"),
            ("LOLWUT VERSION 5 1 1 1 1 1", "…", "…Redis ver. 7.2.0\n"),
        ],
    },
    Difference {
        why: "every request has a reply, even a second MONITOR",
        rows: &[("monitor", "", "+OK")],
    },
    Difference {
        why: "to Redis a monitor is a replica and may not publish; here it is a client",
        rows: &[(
            "publish a b",
            "-ERR Replica can't interact with the keyspace",
            ":0\r\n+…",
        )],
    },
    Difference {
        why: "texts that are kept for a client are bounded",
        rows: &[
            ("CLIENT SETNAME {x1025}", "+OK", LONG_NAME),
            ("HELLO 2 SETNAME {x1025}", "*14\r\n…", LONG_NAME),
            ("PUBLISH {x1025} a", ":0", LONG_CHANNEL),
            ("SUBSCRIBE {x1025}", "…", LONG_CHANNEL),
            ("CONFIG GET *{x1025}", "…", LONG_PATTERN),
            ("COMMAND LIST FILTERBY PATTERN *{x1025}", "…", LONG_PATTERN),
            ("PUBSUB CHANNELS *{x1025}", "…", LONG_PATTERN),
            (
                "CLIENT TRACKING on BCAST {257 prefixes}",
                "+OK",
                "-ERR too many prefixes",
            ),
        ],
    },
    Difference {
        why: "the reply to so many names could be a thousand times as long as the request",
        rows: &[
            ("COMMAND INFO{ no x1025}", "*1025\r\n…", TOO_MANY),
            ("COMMAND DOCS{ no x1025}", "…", TOO_MANY),
            ("CONFIG GET{ no x1025}", "…", TOO_MANY_PATTERNS),
            ("LATENCY HISTOGRAM{ no x1025}", "…", TOO_MANY),
        ],
    },
    Difference {
        why: "a directive has the range that respool supports",
        rows: &[
            (
                "CONFIG SET maxclients 0",
                "-ERR CONFIG SET failed…between 1 and 4294967295 inclusive",
                "-ERR CONFIG SET failed…between 1 and 1000000 inclusive",
            ),
            (
                "CONFIG SET proto-max-bulk-len 1",
                "-ERR CONFIG SET failed…between 1048576 and 9223372036854775807 inclusive",
                "-ERR CONFIG SET failed…between 1024 and 1073741824 inclusive",
            ),
            (
                "CONFIG SET slowlog-max-len -1",
                "-ERR CONFIG SET failed…between 0 and 9223372036854775807 inclusive",
                "-ERR CONFIG SET failed…between 0 and 1000000 inclusive",
            ),
            (
                "CONFIG SET tcp-keepalive -1",
                "-ERR CONFIG SET failed…between 0 and 2147483647 inclusive",
                "-ERR CONFIG SET failed…between 0 and 32767 inclusive",
            ),
        ],
    },
    Difference {
        why: "the level `nothing` is of Redis 7.2",
        rows: &[
            (
                "CONFIG SET loglevel foo",
                LEVELS,
                "-ERR CONFIG SET failed …: debug, verbose, notice, warning, nothing",
            ),
            (
                "CONFIG SET timeout 1 loglevel foo",
                LEVELS,
                "-ERR CONFIG SET failed …: debug, verbose, notice, warning, nothing",
            ),
        ],
    },
    Difference {
        why: "a value that a configuration file cannot have is refused",
        rows: &[(
            r#"CONFIG SET loglevel "\xff""#,
            LEVELS,
            "-ERR CONFIG SET failed…'loglevel') - argument must be UTF-8",
        )],
    },
    Difference {
        why: "the port cannot change at runtime",
        rows: &[(
            "CONFIG SET port x",
            "-ERR CONFIG SET failed…'port') - argument couldn't be parsed into an integer",
            "-ERR CONFIG SET failed…'port') - can't set immutable config",
        )],
    },
    Difference {
        why: "a directive of respool's own",
        rows: &[(
            "CONFIG SET workers x",
            "-ERR Unknown option or number of arguments for CONFIG SET - 'workers'",
            "-ERR CONFIG SET failed…'workers') - argument couldn't be parsed into an integer",
        )],
    },
];

const NO_SETINFO: &str = "-ERR unknown subcommand 'SETINFO'. Try CLIENT HELP.";
const NO_NO_TOUCH: &str = "-ERR unknown subcommand 'NO-TOUCH'. Try CLIENT HELP.";
const NO_CLUSTER: &str = "-ERR This instance has cluster support disabled";
const NO_DOCTOR: &str = "-ERR unknown subcommand 'DOCTOR'. Try LATENCY HELP.";
const NO_GRAPH: &str = "-ERR unknown subcommand 'GRAPH'. Try LATENCY HELP.";
const LONG_NAME: &str = "-ERR Client names cannot be longer than 1024 bytes.";
const LONG_CHANNEL: &str = "-ERR a channel's name has at most 1024 bytes, and a pattern 256";
const LONG_PATTERN: &str = "-ERR a pattern has at most 1024 bytes";
const TOO_MANY_PATTERNS: &str = "-ERR too many patterns, at most 1024 at once";
const TOO_MANY: &str = "-ERR too many command names, at most 1024 at once";
const LEVELS: &str = "-ERR CONFIG SET failed …: debug, verbose, notice, warning";

const WITH_A_PASSWORD: &[Difference] = &[
    Difference {
        why: "the text is that of Redis 7.2, which also names the place of the version",
        rows: &[
            ("HELLO", HELLO_IN_7_0, HELLO_IN_7_2),
            ("HELLO 2", HELLO_IN_7_0, HELLO_IN_7_2),
            ("HELLO 3", HELLO_IN_7_0, HELLO_IN_7_2),
            ("HELLO 3 SETNAME x", HELLO_IN_7_0, HELLO_IN_7_2),
        ],
    },
    Difference {
        why: "a refused HELLO changes nothing, as in Redis 7.2; in 7.0 it authenticates",
        rows: &[("ping", "+PONG", "-NOAUTH Authentication required.")],
    },
    Difference {
        why: "HELLO reads all options before it checks the password, as in Redis 7.2",
        rows: &[(
            "HELLO 3 AUTH default wrong FOO",
            "-WRONGPASS invalid username-password pair or user is disabled.",
            "-ERR Syntax error in HELLO option 'FOO'",
        )],
    },
    Difference {
        why: "authentication is checked before DEBUG is",
        rows: &[(
            "DEBUG SLEEP 0",
            "-ERR DEBUG command not allowed…",
            "-NOAUTH Authentication required.",
        )],
    },
];

const HELLO_IN_7_0: &str = "-NOAUTH HELLO must be called with the client already authenticated, \
                            otherwise the HELLO AUTH <user> <pass> option can…";
const HELLO_IN_7_2: &str = "-NOAUTH HELLO must be called with the client already authenticated, \
                            otherwise the HELLO <proto> AUTH <user> <pass> option can…";

const WITH_DEBUG: &[Difference] = &[Difference {
    why: "only DEBUG SLEEP exists; the rest is about Redis's internals",
    rows: &[
        (
            "DEBUG HELP",
            "*106\r\n+DEBUG <subcommand> [<arg>…",
            "*5\r\n+DEBUG <subcommand> [<arg>…",
        ),
        (
            "DEBUG SET-ACTIVE-EXPIRE 1",
            "+OK",
            "-ERR unknown subcommand or wrong number of arguments for 'SET-ACTIVE-EXPIRE'…",
        ),
    ],
}];

const WITH_A_LOST_FILE: &[Difference] = &[Difference {
    why: "the error names the file that cannot be written",
    rows: &[(
        "CONFIG REWRITE",
        "-ERR Rewriting config file: No such file or directory",
        "-ERR Rewriting config file: cannot write /…",
    )],
}];
