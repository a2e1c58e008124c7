//! `COMMAND`: how the server describes its commands and those that a program adds.
//!
//! The replies were compared with redis-server 7.0.15 for every command that both have.

use respool::{Arity, Commands};
use respool_testing::{Peer, TestServer, config};

const SYNTAX: &str = "-ERR syntax error\r\n";
const INVALID: &str = "-ERR Invalid command specified\r\n";
const NO_KEYS: &str = "-ERR The command has no key arguments\r\n";
const TOO_MANY: &str = "-ERR too many command names, at most 1024 at once\r\n";

/// Plays the conversation on a new connection in RESP3 or RESP2.
fn play(resp3: bool, commands: Commands, conversation: &[(&str, &str)]) {
    let server = TestServer::with(config(2), commands);
    let mut peer = server.connect();
    if resp3 {
        speak_resp3(&mut peer);
    }
    for (request, reply) in conversation {
        peer.ask(format!("{request}\r\n"), reply);
    }
    // There was no further reply.
    peer.ask("ECHO end\r\n", "$3\r\nend\r\n");
}

fn speak_resp3(peer: &mut Peer) {
    peer.send("HELLO 3\r\n");
    // The last field of the reply is the list of modules, which is empty.
    while peer.line() != "*0" {}
}

/// Returns the built-in commands and a custom one.
fn with_one_of_its_own() -> Commands {
    let mut commands = Commands::builtin();
    let command = commands.register("My.Sum", Arity::AtLeast(3), |_, _, reply| reply.integer(0));
    command.describe("Adds up");
    commands.register("MY.OTHER", Arity::Exactly(1), |_, _, reply| reply.null());
    commands
}

#[test]
fn command_info_has_arity_and_flags() {
    play(
        false,
        Commands::builtin(),
        &[
            (
                "COMMAND INFO ping",
                "*1\r\n*10\r\n$4\r\nping\r\n:-1\r\n*1\r\n+fast\r\n:0\r\n:0\r\n:0\r\n\
                 *2\r\n+@fast\r\n+@connection\r\n\
                 *2\r\n$25\r\nrequest_policy:all_shards\r\n$29\r\nresponse_policy:all_succeeded\r\n\
                 *0\r\n*0\r\n",
            ),
            (
                "command info Client|Id foo",
                "*2\r\n*10\r\n$9\r\nclient|id\r\n:2\r\n*3\r\n+noscript\r\n+loading\r\n+stale\r\n\
                 :0\r\n:0\r\n:0\r\n*2\r\n+@slow\r\n+@connection\r\n*0\r\n*0\r\n*0\r\n$-1\r\n",
            ),
        ],
    );
    play(
        true,
        Commands::builtin(),
        &[
            (
                "COMMAND INFO PING client|foo client|id|x ping|x | client|",
                "*6\r\n*10\r\n$4\r\nping\r\n:-1\r\n~1\r\n+fast\r\n:0\r\n:0\r\n:0\r\n\
                 ~2\r\n+@fast\r\n+@connection\r\n\
                 ~2\r\n$25\r\nrequest_policy:all_shards\r\n$29\r\nresponse_policy:all_succeeded\r\n\
                 ~0\r\n~0\r\n_\r\n_\r\n_\r\n_\r\n_\r\n",
            ),
            (
                "COMMAND INFO config|get",
                "*1\r\n*10\r\n$10\r\nconfig|get\r\n:-3\r\n\
                 ~4\r\n+admin\r\n+noscript\r\n+loading\r\n+stale\r\n:0\r\n:0\r\n:0\r\n\
                 ~3\r\n+@admin\r\n+@slow\r\n+@dangerous\r\n~0\r\n~0\r\n~0\r\n",
            ),
        ],
    );
}

#[test]
fn docs_describe_commands_and_skip_unknown_names() {
    play(
        false,
        Commands::builtin(),
        &[
            (
                "COMMAND DOCS foo Echo client|foo",
                "*2\r\n$4\r\necho\r\n*10\r\n$7\r\nsummary\r\n$21\r\nEcho the given string\r\n\
                 $5\r\nsince\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$10\r\nconnection\r\n\
                 $10\r\ncomplexity\r\n$4\r\nO(1)\r\n$9\r\narguments\r\n*1\r\n\
                 *4\r\n$4\r\nname\r\n$7\r\nmessage\r\n$4\r\ntype\r\n$6\r\nstring\r\n",
            ),
            ("COMMAND DOCS foo", "*0\r\n"),
        ],
    );
    play(
        true,
        Commands::builtin(),
        &[
            (
                "COMMAND DOCS auth quit",
                "%2\r\n$4\r\nauth\r\n%6\r\n$7\r\nsummary\r\n$26\r\nAuthenticate to the server\r\n\
                 $5\r\nsince\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$10\r\nconnection\r\n\
                 $10\r\ncomplexity\r\n\
                 $60\r\nO(N) where N is the number of passwords defined for the user\r\n\
                 $7\r\nhistory\r\n~1\r\n*2\r\n$5\r\n6.0.0\r\n\
                 $40\r\nAdded ACL style (username and password).\r\n\
                 $9\r\narguments\r\n*2\r\n\
                 %4\r\n$4\r\nname\r\n$8\r\nusername\r\n$4\r\ntype\r\n$6\r\nstring\r\n\
                 $5\r\nsince\r\n$5\r\n6.0.0\r\n$5\r\nflags\r\n~1\r\n+optional\r\n\
                 %2\r\n$4\r\nname\r\n$8\r\npassword\r\n$4\r\ntype\r\n$6\r\nstring\r\n\
                 $4\r\nquit\r\n%4\r\n$7\r\nsummary\r\n$20\r\nClose the connection\r\n\
                 $5\r\nsince\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$10\r\nconnection\r\n\
                 $10\r\ncomplexity\r\n$4\r\nO(1)\r\n",
            ),
            (
                "COMMAND DOCS client|no-touch",
                "%1\r\n$15\r\nclient|no-touch\r\n%5\r\n$7\r\nsummary\r\n$81\r\nControls whether \
                 commands sent by the client affect the LRU/LFU of accessed keys.\r\n\
                 $5\r\nsince\r\n$5\r\n7.2.0\r\n$5\r\ngroup\r\n$10\r\nconnection\r\n\
                 $10\r\ncomplexity\r\n$4\r\nO(1)\r\n$9\r\narguments\r\n*1\r\n\
                 %3\r\n$4\r\nname\r\n$7\r\nenabled\r\n$4\r\ntype\r\n$5\r\noneof\r\n\
                 $9\r\narguments\r\n*2\r\n\
                 %3\r\n$4\r\nname\r\n$2\r\non\r\n$4\r\ntype\r\n$10\r\npure-token\r\n\
                 $5\r\ntoken\r\n$2\r\nON\r\n\
                 %3\r\n$4\r\nname\r\n$3\r\noff\r\n$4\r\ntype\r\n$10\r\npure-token\r\n\
                 $5\r\ntoken\r\n$3\r\nOFF\r\n",
            ),
            ("COMMAND DOCS foo", "%0\r\n"),
        ],
    );
}

#[test]
fn number_of_names_asked_about_at_once_is_bounded() {
    let many = |count: usize| " no".repeat(count);
    play(
        false,
        Commands::builtin(),
        &[
            (
                &format!("COMMAND INFO{}", many(1024)),
                &format!("*1024\r\n{}", "$-1\r\n".repeat(1024)),
            ),
            (&format!("COMMAND DOCS{}", many(1024)), "*0\r\n"),
            (&format!("COMMAND INFO{}", many(1025)), TOO_MANY),
            (&format!("COMMAND DOCS{}", many(1025)), TOO_MANY),
        ],
    );
}

#[test]
fn command_list_applies_its_filter() {
    play(
        false,
        Commands::builtin(),
        &[
            ("COMMAND LIST FILTERBY PATTERN p?ng", "*1\r\n$4\r\nping\r\n"),
            (
                "command list filterby pattern CLIENT|GET*",
                "*2\r\n$14\r\nclient|getname\r\n$15\r\nclient|getredir\r\n",
            ),
            ("COMMAND LIST FILTERBY PATTERN foo", "*0\r\n"),
            ("COMMAND LIST FILTERBY MODULE any", "*0\r\n"),
            ("COMMAND LIST FILTERBY ACLCAT string", "*0\r\n"),
            ("COMMAND LIST FILTERBY ACLCAT nonsense", "*0\r\n"),
            ("COMMAND LIST FILTERBY ACLCAT @fast", "*0\r\n"),
            ("COMMAND LIST FILTERBY nonsense any", SYNTAX),
            ("COMMAND LIST FILTERBY PATTERN", SYNTAX),
            ("COMMAND LIST FILTERBY PATTERN a b", SYNTAX),
            ("COMMAND LIST nonsense PATTERN a", SYNTAX),
            ("COMMAND LIST nonsense", SYNTAX),
        ],
    );
}

#[test]
fn no_command_has_keys() {
    let too_few = "-ERR wrong number of arguments for 'command|getkeys' command\r\n";
    play(
        false,
        Commands::builtin(),
        &[
            ("COMMAND GETKEYS", too_few),
            ("COMMAND GETKEYS PING", too_few),
            ("COMMAND GETKEYS PING x", NO_KEYS),
            ("COMMAND GETKEYS ECHO too many", NO_KEYS),
            ("COMMAND GETKEYS foo x", INVALID),
            ("COMMAND GETKEYS CLIENT ID", NO_KEYS),
            ("COMMAND GETKEYS CLIENT foo", INVALID),
            ("COMMAND GETKEYS CLIENT|ID x", INVALID),
            ("COMMAND GETKEYSANDFLAGS PING x", NO_KEYS),
            ("COMMAND GETKEYSANDFLAGS foo x", INVALID),
            (
                "COMMAND GETKEYSANDFLAGS PING",
                "-ERR wrong number of arguments for 'command|getkeysandflags' command\r\n",
            ),
        ],
    );
}

#[test]
fn unknown_command_subcommand_is_an_error() {
    play(
        false,
        Commands::builtin(),
        &[
            (
                "COMMAND FOO",
                "-ERR unknown subcommand 'FOO'. Try COMMAND HELP.\r\n",
            ),
            (
                "COMMAND COUNT x",
                "-ERR wrong number of arguments for 'command|count' command\r\n",
            ),
        ],
    );
    let server = TestServer::start(1);
    let mut peer = server.connect();
    peer.send("COMMAND HELP\r\n");
    assert_eq!(peer.line(), "*15");
    assert_eq!(
        peer.line(),
        "+COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    );
}

#[test]
fn added_command_is_described() {
    let other =
        "$8\r\nmy.other\r\n:1\r\n*0\r\n:0\r\n:0\r\n:0\r\n*1\r\n+@slow\r\n*0\r\n*0\r\n*0\r\n";
    let sum = "$6\r\nmy.sum\r\n:-3\r\n*0\r\n:0\r\n:0\r\n:0\r\n*1\r\n+@slow\r\n*0\r\n*0\r\n*0\r\n";
    play(
        false,
        with_one_of_its_own(),
        &[
            (
                "COMMAND INFO my.sum my.other",
                &format!("*2\r\n*10\r\n{sum}*10\r\n{other}"),
            ),
            (
                "COMMAND DOCS MY.SUM my.other",
                "*4\r\n\
                 $6\r\nmy.sum\r\n\
                 *4\r\n$7\r\nsummary\r\n$7\r\nAdds up\r\n$5\r\ngroup\r\n$6\r\nmodule\r\n\
                 $8\r\nmy.other\r\n\
                 *2\r\n$5\r\ngroup\r\n$6\r\nmodule\r\n",
            ),
            (
                "COMMAND LIST FILTERBY PATTERN my.*",
                "*2\r\n$8\r\nmy.other\r\n$6\r\nmy.sum\r\n",
            ),
            ("COMMAND GETKEYS my.sum x", NO_KEYS),
        ],
    );
    let mut few = Commands::empty();
    few.register("ECHO", Arity::Exactly(2), |_, request, reply| {
        reply.bulk(request.argument(0).unwrap_or_default())
    });
    play(
        false,
        few,
        &[(
            "COMMAND",
            "-ERR unknown command 'COMMAND', with args beginning with: \r\n",
        )],
    );
}

#[test]
fn commands_are_described_in_alphabetical_order() {
    let server = TestServer::with(config(1), with_one_of_its_own());
    let mut redis = redis::Client::open(format!("redis://{}/", server.addr))
        .and_then(|client| client.get_connection())
        .expect("the server answers");
    let mut ask = |words: &[&str]| -> Vec<redis::Value> {
        redis::cmd("COMMAND")
            .arg(words)
            .query(&mut redis)
            .expect("it is known")
    };
    let text = |value: &redis::Value| -> String {
        redis::from_redis_value(value.clone()).expect("a text")
    };
    let name_of = |info: &redis::Value| match info {
        redis::Value::Array(fields) => text(&fields[0]),
        other => panic!("{other:?}"),
    };
    let infos = ask(&[]);
    let names: Vec<_> = infos.iter().map(name_of).collect();
    assert!(names.is_sorted());
    assert!(names.contains(&"my.sum".to_owned()) && names.contains(&"ping".to_owned()));
    assert_eq!(ask(&["INFO"]), infos);
    let docs = ask(&["DOCS"]);
    let documented: Vec<_> = docs.iter().step_by(2).map(text).collect();
    assert_eq!(documented, names);
    // The subcommands follow their container in the list, and are found by their full name.
    let list: Vec<_> = ask(&["LIST"]).iter().map(text).collect();
    assert!(list.is_sorted_by_key(|name| name.replace('|', "\0")));
    let tops = list.iter().filter(|name| !name.contains('|'));
    assert!(tops.eq(&names));
    assert!(list.contains(&"client|id".to_owned()));
    let found = ask(&[
        &["INFO"],
        &*list.iter().map(String::as_str).collect::<Vec<_>>(),
    ]
    .concat());
    assert!(found.iter().map(name_of).eq(list));
    let count: usize = redis::cmd("COMMAND")
        .arg("COUNT")
        .query(&mut redis)
        .expect("it is known");
    assert_eq!(count, names.len());
}

#[test]
fn command_list_pattern_is_bounded() {
    let server = TestServer::start(1);
    let mut peer = server.connect();
    let list = |length: usize| {
        let pattern = "a".repeat(length);
        format!("COMMAND LIST FILTERBY PATTERN {pattern}\r\n")
    };
    peer.ask(list(1024), "*0\r\n");
    peer.ask(list(1025), "-ERR a pattern has at most 1024 bytes\r\n");
}
