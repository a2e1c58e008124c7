//! The commands that clients send first: HELLO, AUTH, SELECT, RESET, CLIENT and similar ones.
//!
//! Each row is a conversation on its own connection, in inline requests. The replies were compared
//! with redis-server 7.0.15, except for what that version lacks.

use respool_testing::{Peer, TestServer, config, eventually};

const OK: &str = "+OK\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";
const NAMES: &str = "-ERR Client names cannot contain spaces, newlines or special characters.\r\n";
const WRONGPASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
const INTEGER: &str = "-ERR value is not an integer or out of range\r\n";

/// Plays each conversation on a new connection.
fn play(conversations: &[&[(&str, &str)]]) {
    let server = TestServer::start(2);
    for conversation in conversations {
        let mut peer = server.connect();
        for (request, reply) in *conversation {
            peer.ask(format!("{request}\r\n"), reply);
        }
        // There was no further reply.
        peer.ask("ECHO end\r\n", "$3\r\nend\r\n");
    }
}

/// Returns the reply to HELLO for the client with this id.
fn introduction(resp3: bool, id: u64) -> String {
    let (header, proto) = if resp3 { ("%7", 3) } else { ("*14", 2) };
    format!(
        "{header}\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.0\r\n$5\r\nproto\r\n\
         :{proto}\r\n$2\r\nid\r\n:{id}\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\n\
         master\r\n$7\r\nmodules\r\n*0\r\n"
    )
}

#[test]
fn hello_switches_the_protocol_and_introduces_the_server() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.ask("CLIENT GETNAME\r\n", "$-1\r\n");
    peer.ask("HELLO\r\n", introduction(false, 1));
    peer.ask("hello 3\r\n", introduction(true, 1));
    peer.ask("CLIENT GETNAME\r\n", "_\r\n");
    peer.ask("HELLO\r\n", introduction(true, 1));
    peer.ask("HELLO 2\r\n", introduction(false, 1));
    peer.ask("CLIENT GETNAME\r\n", "$-1\r\n");
    peer.ask(
        "HELLO 3 AUTH default any SETNAME me\r\n",
        introduction(true, 1),
    );
    peer.ask("CLIENT GETNAME\r\n", "$2\r\nme\r\n");
    server.connect().ask(
        "HELLO 2 setname you auth default x\r\n",
        introduction(false, 2),
    );
}

#[test]
fn refused_hello_changes_nothing() {
    play(&[
        &[("HELLO 1", "-NOPROTO unsupported protocol version\r\n")],
        &[("HELLO 4", "-NOPROTO unsupported protocol version\r\n")],
        &[(
            "HELLO x",
            "-ERR Protocol version is not an integer or out of range\r\n",
        )],
        &[
            ("HELLO 3 FOO", "-ERR Syntax error in HELLO option 'FOO'\r\n"),
            ("CLIENT GETNAME", "$-1\r\n"),
        ],
        &[(
            "HELLO 3 AUTH default",
            "-ERR Syntax error in HELLO option 'AUTH'\r\n",
        )],
        &[(
            "HELLO 3 SETNAME",
            "-ERR Syntax error in HELLO option 'SETNAME'\r\n",
        )],
        &[
            ("HELLO 3 AUTH other x", WRONGPASS),
            ("CLIENT GETNAME", "$-1\r\n"),
        ],
        &[
            ("HELLO 3 SETNAME \"a b\"", NAMES),
            ("CLIENT GETNAME", "$-1\r\n"),
        ],
    ]);
}

#[test]
fn auth_of_the_default_user_needs_no_password() {
    let without = "-ERR AUTH <password> called without any password configured for the default \
                   user. Are you sure your configuration is correct?\r\n";
    play(&[
        &[("AUTH x", without)],
        &[("AUTH default x", OK)],
        &[("AUTH other x", WRONGPASS)],
        &[("AUTH a b c", SYNTAX)],
        &[(
            "AUTH",
            "-ERR wrong number of arguments for 'auth' command\r\n",
        )],
    ]);
}

#[test]
fn select_accepts_sixteen_databases() {
    let out_of_range = "-ERR DB index is out of range\r\n";
    let far_out = "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n";
    play(&[
        &[("SELECT 0", OK), ("SELECT 15", OK)],
        &[
            ("SELECT 16", out_of_range),
            ("SELECT -1", out_of_range),
            ("SELECT 2147483648", far_out),
            ("SELECT 2147483648", far_out),
        ],
        &[("SELECT x", INTEGER), ("SELECT 1.0", INTEGER)],
        &[(
            "SELECT",
            "-ERR wrong number of arguments for 'select' command\r\n",
        )],
    ]);
}

#[test]
fn client_setname_and_setinfo_are_kept() {
    play(&[
        &[
            ("CLIENT SETNAME me", OK),
            ("client getname", "$2\r\nme\r\n"),
            ("CLIENT SETNAME \"\"", OK),
            ("CLIENT GETNAME", "$-1\r\n"),
        ],
        &[
            ("CLIENT SETNAME \"a b\"", NAMES),
            ("CLIENT SETNAME \"a\\n\"", NAMES),
        ],
        &[
            ("CLIENT SETINFO LIB-NAME redis-py", OK),
            ("client setinfo lib-ver 5.3.1", OK),
        ],
        &[(
            "CLIENT SETINFO LIB-NAME \"a b\"",
            "-ERR LIB-NAME cannot contain spaces, newlines or special characters.\r\n",
        )],
        &[("CLIENT SETINFO FOO x", "-ERR Unrecognized option 'FOO'\r\n")],
        &[(
            "CLIENT SETNAME",
            "-ERR wrong number of arguments for 'client|setname' command\r\n",
        )],
        &[(
            "CLIENT",
            "-ERR wrong number of arguments for 'client' command\r\n",
        )],
        &[(
            "CLIENT FOO",
            "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n",
        )],
        &[(
            "client maint_notifications ON",
            "-ERR unknown subcommand 'maint_notifications'. Try CLIENT HELP.\r\n",
        )],
    ]);
}

#[test]
fn client_subcommands_about_keys_are_accepted() {
    play(&[
        &[
            ("CLIENT TRACKING ON OPTIN", OK),
            ("CLIENT CACHING YES", OK),
            ("CLIENT CACHING on", SYNTAX),
            ("CLIENT GETREDIR", ":0\r\n"),
            ("CLIENT TRACKING off", OK),
            ("CLIENT TRACKING maybe", SYNTAX),
        ],
        &[("CLIENT NO-EVICT on", OK), ("CLIENT NO-EVICT x", SYNTAX)],
        &[("CLIENT NO-TOUCH off", OK), ("CLIENT NO-TOUCH x", SYNTAX)],
        &[("CLIENT GETREDIR", ":-1\r\n")],
    ]);
}

#[test]
fn client_ids_start_at_1_and_are_not_reused() {
    let server = TestServer::start(2);
    for id in 1..=20 {
        server.connect().ask("CLIENT ID\r\n", format!(":{id}\r\n"));
    }
}

#[test]
fn client_reply_turns_replies_off_and_on() {
    play(&[
        // Only requests after `->` are answered.
        &[
            (
                "CLIENT REPLY OFF\r\nPING\r\nFOO\r\nCLIENT REPLY SKIP\r\nPING\r\nCLIENT REPLY ON",
                OK,
            ),
            ("PING", "+PONG\r\n"),
        ],
        &[("CLIENT REPLY SKIP\r\nECHO one\r\nECHO two", "$3\r\ntwo\r\n")],
        &[(
            "CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nECHO one\r\nECHO two",
            "$3\r\ntwo\r\n",
        )],
        &[("CLIENT REPLY SKIP\r\nFOO\r\nCLIENT REPLY ON", OK)],
        // RESET's own reply is skipped, and so is the reply to an empty request, as in Redis.
        &[("CLIENT REPLY SKIP\r\nRESET\r\nPING", "+PONG\r\n")],
        &[(
            "CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nRESET\r\nPING",
            "+PONG\r\n",
        )],
        &[("CLIENT REPLY SKIP\r\n*0\r\nPING", "+PONG\r\n")],
        &[("CLIENT REPLY SKIP\r\n*-1\r\nPING", "+PONG\r\n")],
        &[("CLIENT REPLY SKIP\r\n\r\nPING", "+PONG\r\n")],
        &[("CLIENT REPLY SKIP\r\n  \r\nPING", "+PONG\r\n")],
        &[("CLIENT REPLY OFF\r\n\r\nPING\r\nCLIENT REPLY ON", OK)],
        &[("CLIENT REPLY maybe", SYNTAX)],
    ]);
}

#[test]
fn reset_restores_a_new_session() {
    play(&[
        &[
            ("CLIENT SETNAME me", OK),
            ("SELECT 3", OK),
            ("RESET", "+RESET\r\n"),
            ("CLIENT GETNAME", "$-1\r\n"),
        ],
        &[
            ("CLIENT REPLY OFF\r\nRESET", "+RESET\r\n"),
            ("PING", "+PONG\r\n"),
        ],
        &[(
            "RESET x",
            "-ERR wrong number of arguments for 'reset' command\r\n",
        )],
    ]);
}

#[test]
fn time_returns_two_numbers_and_cluster_is_disabled() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.ask("TIME\r\n", "*2\r\n$10\r\n");
    peer.send("QUIT\r\n");
    let rest = String::from_utf8(peer.rest()).expect("digits");
    let seconds: u64 = rest[..10].parse().expect("ten digits, from 2001 to 2286");
    assert!(
        seconds > 1_700_000_000,
        "it was later when this was written"
    );
    play(&[&[(
        "CLUSTER SLOTS",
        "-ERR This instance has cluster support disabled\r\n",
    )]]);
}

/// Returns the text of an INFO reply in RESP2.
fn info(peer: &mut Peer, sections: &str) -> String {
    peer.send(format!("INFO {sections}\r\n"));
    let header = peer.line();
    let length: usize = header[1..].parse().expect(&header);
    let text = peer.bytes(length + 2);
    String::from_utf8(text).expect("text")
}

/// Returns the number of a field.
fn field(info: &str, name: &str) -> u64 {
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.expect(name).parse().expect(name)
}

#[test]
fn info_has_the_fields_that_clients_read() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let all = info(&mut peer, "");
    for line in [
        "# Server",
        "redis_mode:standalone",
        "loading:0",
        "role:master",
        "cluster_enabled:0",
    ] {
        assert!(all.contains(&format!("{line}\r\n")), "{line} in {all}");
    }
    assert_eq!(field(&all, "tcp_port"), server.addr.port().into());
    assert_eq!(field(&all, "process_id"), std::process::id().into());
    // Sidekiq, Datadog, collectd and redis_exporter read these.
    for name in [
        "used_memory_human",
        "used_memory_rss_human",
        "used_memory_peak_human",
        "used_memory_lua",
        "mem_fragmentation_ratio",
        "mem_allocator",
        "total_system_memory",
        "total_system_memory_human",
        "maxmemory_human",
        "rdb_last_save_time",
        "rdb_last_bgsave_status",
        "rdb_last_bgsave_time_sec",
        "aof_last_bgrewrite_status",
        "aof_last_write_status",
        "sync_full",
        "second_repl_offset",
        "repl_backlog_size",
        "lru_clock",
        "hz",
    ] {
        assert!(all.contains(&format!("\r\n{name}:")), "{name} in {all}");
    }
    let replication = info(&mut peer, "Replication");
    assert!(replication.starts_with("# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"));
    let (_, id) = replication.split_once("master_replid:").expect("an id");
    assert!(id[..40].bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert_eq!(
        info(&mut peer, "cluster replication"),
        format!("{replication}# Cluster\r\ncluster_enabled:0\r\n\r\n")
    );
    let names = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| line.starts_with("# "))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(
        names(&info(&mut peer, "everything")),
        names(&info(&mut peer, "all"))
    );
    peer.ask("INFO nonsense\r\n", "$0\r\n\r\n");
    peer.ask("HELLO 3\r\n", introduction(true, 1));
    peer.ask(
        "INFO cluster\r\n",
        "=34\r\ntxt:# Cluster\r\ncluster_enabled:0\r\n\r\n",
    );
}

#[test]
fn info_counts_connections_and_commands() {
    let server = TestServer::with(
        respool::Config {
            maxclients: 2,
            ..config(2)
        },
        respool::Commands::builtin(),
    );
    let (mut peer, mut other) = (server.connect(), server.connect());
    other.ask("PING\r\n".repeat(100), "+PONG\r\n".repeat(100));
    server
        .connect()
        .expect("-ERR max number of clients reached\r\n");
    eventually("the counts are in", || {
        let info = info(&mut peer, "clients stats");
        field(&info, "connected_clients") == 2
            && field(&info, "maxclients") == 2
            && field(&info, "total_connections_received") == 3
            && field(&info, "rejected_connections") == 1
            && field(&info, "total_commands_processed") >= 100
            && field(&info, "total_net_input_bytes") >= 600
            && field(&info, "total_net_output_bytes") >= 700
    });
    // The rate covers the last full second.
    eventually("the rate is in", || {
        other.ping();
        field(&info(&mut peer, "stats"), "instantaneous_ops_per_sec") > 0
    });
}

#[test]
fn config_get_returns_matching_directives() {
    let timeout = "*2\r\n$7\r\ntimeout\r\n$1\r\n0\r\n";
    play(&[
        &[
            ("CONFIG GET timeout", timeout),
            ("config get TIMEOUT", "*2\r\n$7\r\nTIMEOUT\r\n$1\r\n0\r\n"),
            ("CONFIG GET timeou?", timeout),
        ],
        &[("CONFIG GET timeout t[i]meout", timeout)],
        &[("CONFIG GET nonsense", "*0\r\n")],
        &[("CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n")],
        &[(
            "CONFIG GET appendonly",
            "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n",
        )],
        &[("CONFIG GET bind", "*2\r\n$4\r\nbind\r\n$9\r\n127.0.0.1\r\n")],
        &[(
            "CONFIG GET proto-max-bulk-len",
            "*2\r\n$18\r\nproto-max-bulk-len\r\n$9\r\n536870912\r\n",
        )],
        &[(
            "CONFIG GET",
            "-ERR wrong number of arguments for 'config|get' command\r\n",
        )],
        &[(
            "CONFIG FOO",
            "-ERR unknown subcommand 'FOO'. Try CONFIG HELP.\r\n",
        )],
    ]);
}

#[test]
fn client_unblock_finds_no_blocked_client() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    for (words, reply) in [
        ("1", ":0\r\n"),
        ("1 TIMEOUT", ":0\r\n"),
        ("99 error", ":0\r\n"),
        ("x", "-ERR value is not an integer or out of range\r\n"),
        (
            "1 x",
            "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n",
        ),
    ] {
        peer.ask(format!("CLIENT UNBLOCK {words}\r\n"), reply);
    }
}

/// Names, prefixes and patterns were bounded only by the size of a request.
#[test]
fn texts_kept_for_a_client_are_bounded() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let fits = "x".repeat(1024);
    peer.ask(format!("CLIENT SETNAME {fits}\r\n"), "+OK\r\n");
    let too_long = "-ERR Client names cannot be longer than 1024 bytes.\r\n";
    peer.ask(format!("CLIENT SETNAME {fits}x\r\n"), too_long);
    peer.ask(format!("HELLO 2 SETNAME {fits}x\r\n"), too_long);
    let too_long = "-ERR LIB-VER cannot be longer than 1024 bytes.\r\n";
    peer.ask(format!("CLIENT SETINFO LIB-VER {fits}x\r\n"), too_long);

    let prefixes: Vec<_> = (100..357)
        .map(|number| format!("PREFIX {number}"))
        .collect();
    let prefixes = prefixes.join(" ");
    peer.ask(
        format!("CLIENT TRACKING ON BCAST {prefixes}\r\n"),
        "-ERR too many prefixes\r\n",
    );

    let too_long = "-ERR a channel's name has at most 1024 bytes, and a pattern 256\r\n";
    peer.ask(format!("PUBLISH {fits} x\r\n"), ":0\r\n");
    peer.ask(format!("PUBLISH {fits}x x\r\n"), too_long);
    peer.ask(format!("PSUBSCRIBE {}x\r\n", "*".repeat(256)), too_long);
    peer.ask(format!("SUBSCRIBE {fits}x\r\n"), too_long);
}
