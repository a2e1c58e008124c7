//! The documentation of respool's own commands, for `COMMAND INFO`, `COMMAND DOCS` and `HELP`.
//!
//! The values are those of redis-server 7.0.15; those of `CLIENT SETINFO` and `CLIENT NO-TOUCH`,
//! which it lacks, are those of 7.2.0 (`src/commands/*.json`). The table of commands has the arity.

use crate::state::catalog::{Argument, Docs};

/// Returns the row of this full name.
pub(super) fn find(full_name: &str) -> Option<&'static Docs> {
    TABLE.iter().find(|docs| docs.name == full_name)
}

// Flags that several commands have, or one has many of.

const ANY_TIME: &str = "loading stale";
const FAST: &str = "loading stale fast";
const NO_SCRIPT: &str = "noscript loading stale";
const ADMIN: &str = "admin noscript loading stale";
const SLOWLOG: &str = "admin loading stale";
const PUBSUB: &str = "pubsub loading stale";
const SUBSCRIBER: &str = "pubsub noscript loading stale";
const HANDSHAKE: &str = "noscript loading stale fast no_auth allow_busy";
const SHUTDOWN: &str = "admin noscript loading stale no_multi allow_busy";

// Tips that several commands have.

const EVERY_NODE_OBEYS: &str = "request_policy:all_nodes response_policy:all_succeeded";
const EVERY_NODE_REPORTS: &str =
    "nondeterministic_output request_policy:all_nodes response_policy:special";

const ON_OR_OFF: &[Argument] = &[word("ON"), word("OFF")];

/// By group, and in each by name.
const TABLE: &[Docs] = &[
    connection("auth", HANDSHAKE, "1.0.0")
        .summary("Authenticate to the server")
        .complexity("O(N) where N is the number of passwords defined for the user")
        .history("6.0.0 Added ACL style (username and password).")
        .arguments(&[
            string("username").since("6.0.0").optional(),
            string("password"),
        ]),
    container("client", "connection", "2.4.0")
        .summary("A container for client connection commands"),
    connection("client|caching", NO_SCRIPT, "6.0.0")
        .summary("Instruct the server about tracking or not keys in the next request")
        .arguments(&[one_of("mode").of(&[word("YES"), word("NO")])]),
    connection("client|getname", NO_SCRIPT, "2.6.9").summary("Get the current connection name"),
    connection("client|getredir", NO_SCRIPT, "6.0.0")
        .summary("Get tracking notifications redirection client ID if any"),
    help("client|help", "connection", "5.0.0").category("connection"),
    connection("client|id", NO_SCRIPT, "5.0.0")
        .summary("Returns the client ID for the current connection"),
    connection("client|info", NO_SCRIPT, "6.2.0")
        .summary("Returns information about the current client connection.")
        .tips("nondeterministic_output"),
    connection("client|kill", ADMIN, "2.4.0")
        .summary("Kill the connection of a client")
        .complexity("O(N) where N is the number of client connections")
        .history(
            "2.8.12 Added new filter format.\n\
             2.8.12 `ID` option.\n\
             3.2.0 Added `master` type in for `TYPE` option.\n\
             5.0.0 Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward \
             compatibility.\n\
             6.2.0 `LADDR` option.",
        )
        .arguments(&[one_of("filter").of(&[
            string("ip:port").deprecated_since("2.8.12"),
            one_of("new-format")
                .of(&[
                    option("ID", integer("client-id")).since("2.8.12"),
                    one_of("normal_master_slave_pubsub")
                        .of(&[
                            word("NORMAL"),
                            word("MASTER").since("3.2.0"),
                            word("SLAVE"),
                            word("REPLICA").since("5.0.0"),
                            word("PUBSUB"),
                        ])
                        .token("TYPE")
                        .since("2.8.12")
                        .optional(),
                    option("USER", string("username")),
                    option("ADDR", string("ip:port")),
                    option("LADDR", string("ip:port")).since("6.2.0"),
                    option("SKIPME", string("yes/no")),
                ])
                .multiple(),
        ])]),
    connection("client|list", ADMIN, "2.4.0")
        .summary("Get the list of client connections")
        .complexity("O(N) where N is the number of client connections")
        .tips("nondeterministic_output")
        .history(
            "2.8.12 Added unique client `id` field.\n\
             5.0.0 Added optional `TYPE` filter.\n\
             6.0.0 Added `user` field.\n\
             6.2.0 Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional `ID` \
             filter.\n\
             7.0.0 Added `resp`, `multi-mem`, `rbs` and `rbp` fields.\n\
             7.0.3 Added `ssub` field.",
        )
        .arguments(&[
            one_of("normal_master_replica_pubsub")
                .of(&[
                    word("NORMAL"),
                    word("MASTER"),
                    word("REPLICA"),
                    word("PUBSUB"),
                ])
                .token("TYPE")
                .since("5.0.0")
                .optional(),
            block("id")
                .of(&[integer("client-id").multiple()])
                .token("ID")
                .since("6.2.0")
                .optional(),
        ]),
    connection("client|no-evict", ADMIN, "7.0.0")
        .summary("Set client eviction mode for the current connection")
        .arguments(&[one_of("enabled").of(ON_OR_OFF)]),
    connection("client|no-touch", NO_SCRIPT, "7.2.0")
        .summary(
            "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
        )
        .arguments(&[one_of("enabled").of(ON_OR_OFF)]),
    connection("client|pause", ADMIN, "2.9.50")
        .summary("Stop processing commands from clients for some time")
        .history("6.2.0 `CLIENT PAUSE WRITE` mode added along with the `mode` option.")
        .arguments(&[
            integer("timeout"),
            one_of("mode")
                .of(&[word("WRITE"), word("ALL")])
                .since("6.2.0")
                .optional(),
        ]),
    connection("client|reply", NO_SCRIPT, "3.2.0")
        .summary("Instruct the server whether to reply to commands")
        .arguments(&[one_of("on_off_skip").of(&[word("ON"), word("OFF"), word("SKIP")])]),
    connection("client|setinfo", NO_SCRIPT, "7.2.0")
        .summary("Sets information specific to the client or connection.")
        .arguments(&[one_of("attr").of(&[
            string("libname").token("LIB-NAME"),
            string("libver").token("LIB-VER"),
        ])]),
    connection("client|setname", NO_SCRIPT, "2.6.9")
        .summary("Set the current connection name")
        .arguments(&[string("connection-name")]),
    connection("client|tracking", NO_SCRIPT, "6.0.0")
        .summary("Enable or disable server assisted client side caching support")
        .complexity("O(1). Some options may introduce additional complexity.")
        .arguments(&[
            one_of("status").of(ON_OR_OFF),
            option("REDIRECT", integer("client-id")),
            string("prefix")
                .token("PREFIX")
                .flags("optional multiple multiple_token"),
            word("BCAST").optional(),
            word("OPTIN").optional(),
            word("OPTOUT").optional(),
            word("NOLOOP").optional(),
        ]),
    connection("client|trackinginfo", NO_SCRIPT, "6.2.0").summary(
        "Return information about server assisted client side caching for the current connection",
    ),
    connection("client|unblock", ADMIN, "5.0.0")
        .summary("Unblock a client blocked in a blocking command from a different connection")
        .complexity("O(log N) where N is the number of client connections")
        .arguments(&[
            integer("client-id"),
            one_of("timeout_error")
                .of(&[word("TIMEOUT"), word("ERROR")])
                .optional(),
        ]),
    connection("client|unpause", ADMIN, "6.2.0")
        .summary("Resume processing of clients that were paused")
        .complexity("O(N) Where N is the number of paused clients"),
    connection("echo", FAST, "1.0.0")
        .summary("Echo the given string")
        .arguments(&[string("message")]),
    connection("hello", HANDSHAKE, "6.0.0")
        .summary("Handshake with Redis")
        .history(
            "6.2.0 `protover` made optional; when called without arguments the command reports \
             the current connection's context.",
        )
        .arguments(&[block("arguments")
            .of(&[
                integer("protover"),
                block("username_password")
                    .of(&[string("username"), string("password")])
                    .token("AUTH")
                    .optional(),
                option("SETNAME", string("clientname")),
            ])
            .optional()]),
    connection("ping", "fast", "1.0.0")
        .summary("Ping the server")
        .tips("request_policy:all_shards response_policy:all_succeeded")
        .arguments(&[string("message").optional()]),
    connection("quit", HANDSHAKE, "1.0.0").summary("Close the connection"),
    connection("reset", HANDSHAKE, "6.2.0").summary("Reset the connection"),
    connection("select", FAST, "1.0.0")
        .summary("Change the selected database for the current connection")
        .arguments(&[integer("index")]),
    container("acl", "server", "6.0.0").summary("A container for Access List Control commands "),
    server("acl|cat", NO_SCRIPT, "6.0.0")
        .summary("List the ACL categories or the commands inside a category")
        .complexity("O(1) since the categories and commands are a fixed set.")
        .arguments(&[string("categoryname").optional()]),
    help("acl|help", "server", "6.0.0"),
    server("acl|list", ADMIN, "6.0.0")
        .summary("List the current ACL rules in ACL config file format")
        .complexity("O(N). Where N is the number of configured users."),
    server("acl|users", ADMIN, "6.0.0")
        .summary("List the username of all the configured ACL rules")
        .complexity("O(N). Where N is the number of configured users."),
    server("acl|whoami", NO_SCRIPT, "6.0.0")
        .summary("Return the name of the user associated to the current connection"),
    about_commands("command", "2.8.13")
        .summary("Get array of Redis command details")
        .complexity("O(N) where N is the total number of Redis commands")
        .tips("nondeterministic_output_order"),
    about_commands("command|count", "2.8.13").summary("Get total number of Redis commands"),
    about_commands("command|docs", "7.0.0")
        .summary("Get array of specific Redis command documentation")
        .complexity("O(N) where N is the number of commands to look up")
        .tips("nondeterministic_output_order")
        .arguments(&[string("command-name").flags("optional multiple")]),
    about_commands("command|getkeys", "2.8.13")
        .summary("Extract keys given a full Redis command")
        .complexity("O(N) where N is the number of arguments to the command"),
    about_commands("command|getkeysandflags", "7.0.0")
        .summary("Extract keys and access flags given a full Redis command")
        .complexity("O(N) where N is the number of arguments to the command"),
    help("command|help", "server", "5.0.0").category("connection"),
    about_commands("command|info", "2.8.13")
        .summary("Get array of specific Redis command details, or all when no argument is given.")
        .complexity("O(N) where N is the number of commands to look up")
        .tips("nondeterministic_output_order")
        .history("7.0.0 Allowed to be called with no argument to get info on all commands.")
        .arguments(&[string("command-name").flags("optional multiple")]),
    about_commands("command|list", "7.0.0")
        .summary("Get an array of Redis command names")
        .complexity("O(N) where N is the total number of Redis commands")
        .tips("nondeterministic_output_order")
        .arguments(&[one_of("filterby")
            .of(&[
                string("module-name").token("MODULE"),
                string("category").token("ACLCAT"),
                pattern("pattern").token("PATTERN"),
            ])
            .token("FILTERBY")
            .optional()]),
    container("config", "server", "2.0.0").summary("A container for server configuration commands"),
    server("config|get", ADMIN, "2.0.0")
        .summary("Get the values of configuration parameters")
        .complexity("O(N) when N is the number of configuration parameters provided")
        .history("7.0.0 Added the ability to pass multiple pattern parameters in one call")
        .arguments(&[block("parameter").of(&[string("parameter")]).multiple()]),
    help("config|help", "server", "5.0.0"),
    server("config|resetstat", ADMIN, "2.0.0").summary("Reset the stats returned by INFO"),
    server("config|rewrite", ADMIN, "2.8.0")
        .summary("Rewrite the configuration file with the in memory configuration"),
    server("config|set", ADMIN, "2.0.0")
        .summary("Set configuration parameters to the given values")
        .complexity("O(N) when N is the number of configuration parameters provided")
        .tips(EVERY_NODE_OBEYS)
        .history("7.0.0 Added the ability to set multiple parameters in one call.")
        .arguments(&[block("parameter_value")
            .of(&[string("parameter"), string("value")])
            .multiple()]),
    server("dbsize", "readonly fast", "1.0.0")
        .summary("Return the number of keys in the selected database")
        .category("keyspace")
        .tips("request_policy:all_shards response_policy:agg_sum"),
    server("debug", ADMIN, "1.0.0")
        .summary("A container for debugging commands")
        .complexity("Depends on subcommand.")
        .doc_flags("syscmd"),
    server("info", ANY_TIME, "1.0.0")
        .summary("Get information and statistics about the server")
        .category("dangerous")
        .tips("nondeterministic_output request_policy:all_shards response_policy:special")
        .history("7.0.0 Added support for taking multiple section arguments.")
        .arguments(&[string("section").flags("optional multiple")]),
    container("latency", "server", "2.8.13")
        .summary("A container for latency diagnostics commands"),
    help("latency|help", "server", "2.8.13")
        .summary("Show helpful text about the different subcommands."),
    server("latency|histogram", ADMIN, "7.0.0")
        .summary("Return the cumulative distribution of latencies of a subset of commands or all.")
        .complexity(
            "O(N) where N is the number of commands with latency information being retrieved.",
        )
        .tips(EVERY_NODE_REPORTS)
        .arguments(&[string("command").flags("optional multiple")]),
    server("latency|history", ADMIN, "2.8.13")
        .summary("Return timestamp-latency samples for the event.")
        .tips(EVERY_NODE_REPORTS)
        .arguments(&[string("event")]),
    server("latency|latest", ADMIN, "2.8.13")
        .summary("Return the latest latency samples for all events.")
        .tips(EVERY_NODE_REPORTS),
    server("latency|reset", ADMIN, "2.8.13")
        .summary("Reset latency data for one or more events.")
        .tips(EVERY_NODE_OBEYS)
        .arguments(&[string("event").flags("optional multiple")]),
    server("lolwut", "readonly fast", "5.0.0")
        .summary("Display some computer art and the Redis version")
        .complexity("")
        .arguments(&[option("VERSION", integer("version"))]),
    server("monitor", ADMIN, "1.0.0")
        .summary("Listen for all requests received by the server in real time")
        .complexity(""),
    server("role", "noscript loading stale fast", "2.8.12")
        .summary("Return the role of the instance in the context of replication")
        .category("admin"),
    server("shutdown", SHUTDOWN, "1.0.0")
        .summary("Synchronously save the dataset to disk and then shut down the server")
        .complexity(
            "O(N) when saving, where N is the total number of keys in all databases when saving \
             data, otherwise O(1)",
        )
        .history("7.0.0 Added the `NOW`, `FORCE` and `ABORT` modifiers.")
        .arguments(&[
            one_of("nosave_save")
                .of(&[word("NOSAVE"), word("SAVE")])
                .optional(),
            word("NOW").since("7.0.0").optional(),
            word("FORCE").since("7.0.0").optional(),
            word("ABORT").since("7.0.0").optional(),
        ]),
    container("slowlog", "server", "2.2.12").summary("A container for slow log commands"),
    server("slowlog|get", SLOWLOG, "2.2.12")
        .summary("Get the slow log's entries")
        .complexity("O(N) where N is the number of entries returned")
        .tips("request_policy:all_nodes nondeterministic_output")
        .history("4.0.0 Added client IP address, port and name to the reply.")
        .arguments(&[integer("count").optional()]),
    help("slowlog|help", "server", "6.2.0"),
    server("slowlog|len", SLOWLOG, "2.2.12")
        .summary("Get the slow log's length")
        .tips("request_policy:all_nodes response_policy:agg_sum nondeterministic_output"),
    server("slowlog|reset", SLOWLOG, "2.2.12")
        .summary("Clear all entries from the slow log")
        .complexity("O(N) where N is the number of entries in the slowlog")
        .tips(EVERY_NODE_OBEYS),
    server("time", FAST, "2.6.0")
        .summary("Return the current server time")
        .tips("nondeterministic_output"),
    pubsub("psubscribe", SUBSCRIBER, "2.0.0")
        .summary("Listen for messages published to channels matching the given patterns")
        .complexity("O(N) where N is the number of patterns the client is already subscribed to.")
        .arguments(&[block("pattern").of(&[pattern("pattern")]).multiple()]),
    pubsub("publish", "pubsub loading stale fast", "2.0.0")
        .summary("Post a message to a channel")
        .complexity(
            "O(N+M) where N is the number of clients subscribed to the receiving channel and M is \
             the total number of subscribed patterns (by any client).",
        )
        .arguments(&[string("channel"), string("message")]),
    container("pubsub", "pubsub", "2.8.0").summary("A container for Pub/Sub commands"),
    pubsub("pubsub|channels", PUBSUB, "2.8.0")
        .summary("List active channels")
        .complexity(
            "O(N) where N is the number of active channels, and assuming constant time pattern \
             matching (relatively short channels and patterns)",
        )
        .arguments(&[pattern("pattern").optional()]),
    help("pubsub|help", "pubsub", "6.2.0"),
    pubsub("pubsub|numpat", PUBSUB, "2.8.0")
        .summary("Get the count of unique patterns pattern subscriptions"),
    pubsub("pubsub|numsub", PUBSUB, "2.8.0")
        .summary("Get the count of subscribers for channels")
        .complexity("O(N) for the NUMSUB subcommand, where N is the number of requested channels")
        .arguments(&[string("channel").flags("optional multiple")]),
    pubsub("punsubscribe", SUBSCRIBER, "2.0.0")
        .summary("Stop listening for messages posted to channels matching the given patterns")
        .complexity(
            "O(N+M) where N is the number of patterns the client is already subscribed and M is \
             the number of total patterns subscribed in the system (by any client).",
        )
        .arguments(&[pattern("pattern").flags("optional multiple")]),
    pubsub("subscribe", SUBSCRIBER, "2.0.0")
        .summary("Listen for messages published to the given channels")
        .complexity("O(N) where N is the number of channels to subscribe to.")
        .arguments(&[string("channel").multiple()]),
    pubsub("unsubscribe", SUBSCRIBER, "2.0.0")
        .summary("Stop listening for messages posted to the given channels")
        .complexity("O(N) where N is the number of clients already subscribed to a channel.")
        .arguments(&[string("channel").flags("optional multiple")]),
    command("scan", "generic", "readonly", "2.8.0")
        .summary("Incrementally iterate the keys space")
        .complexity(
            "O(1) for every call. O(N) for a complete iteration, including enough command calls \
             for the cursor to return back to 0. N is the number of elements inside the \
             collection.",
        )
        .category("keyspace")
        .tips("nondeterministic_output request_policy:special")
        .history("6.0.0 Added the `TYPE` subcommand.")
        .arguments(&[
            integer("cursor"),
            option("MATCH", pattern("pattern")),
            option("COUNT", integer("count")),
            option("TYPE", string("type")).since("6.0.0"),
        ]),
    transaction("discard", "noscript loading stale fast allow_busy", "2.0.0")
        .summary("Discard all commands issued after MULTI")
        .complexity("O(N), when N is the number of queued commands"),
    transaction("exec", "noscript loading stale skip_slowlog", "1.2.0")
        .summary("Execute all commands issued after MULTI")
        .complexity("Depends on commands in the transaction"),
    transaction("multi", "noscript loading stale fast allow_busy", "1.2.0")
        .summary("Mark the start of a transaction block"),
    command("asking", "cluster", "fast", "3.0.0")
        .summary("Sent by cluster clients after an -ASK redirect")
        .category("connection"),
    container("cluster", "cluster", "3.0.0").summary("A container for cluster commands"),
    command("readonly", "cluster", FAST, "3.0.0")
        .summary("Enables read queries for a connection to a cluster replica node")
        .category("connection"),
    command("readwrite", "cluster", FAST, "3.0.0")
        .summary("Disables read queries for a connection to a cluster replica node")
        .category("connection"),
];

/// Defines methods that set one field each.
macro_rules! setters {
    ($($field:ident)*) => {
        $(const fn $field(mut self, $field: &'static str) -> Self {
            self.$field = $field;
            self
        })*
    };
}

impl Docs {
    setters! { summary complexity category tips doc_flags history }

    const fn arguments(mut self, arguments: &'static [Argument]) -> Self {
        self.arguments = arguments;
        self
    }
}

const fn command(
    name: &'static str,
    group: &'static str,
    flags: &'static str,
    since: &'static str,
) -> Docs {
    Docs {
        name,
        group,
        since,
        complexity: "O(1)",
        flags,
        ..Docs::UNDOCUMENTED
    }
}

const fn connection(name: &'static str, flags: &'static str, since: &'static str) -> Docs {
    command(name, "connection", flags, since).category("connection")
}

const fn server(name: &'static str, flags: &'static str, since: &'static str) -> Docs {
    command(name, "server", flags, since)
}

const fn pubsub(name: &'static str, flags: &'static str, since: &'static str) -> Docs {
    command(name, "pubsub", flags, since)
}

const fn transaction(name: &'static str, flags: &'static str, since: &'static str) -> Docs {
    command(name, "transactions", flags, since).category("transaction")
}

const fn about_commands(name: &'static str, since: &'static str) -> Docs {
    server(name, ANY_TIME, since).category("connection")
}

const fn container(name: &'static str, group: &'static str, since: &'static str) -> Docs {
    command(name, group, "", since).complexity("Depends on subcommand.")
}

const fn help(name: &'static str, group: &'static str, since: &'static str) -> Docs {
    command(name, group, ANY_TIME, since)
        .summary("Show helpful text about the different subcommands")
}

const fn argument(name: &'static str, kind: &'static str) -> Argument {
    Argument {
        name,
        kind,
        token: "",
        since: "",
        deprecated_since: "",
        flags: "",
        arguments: &[],
    }
}

const fn string(name: &'static str) -> Argument {
    argument(name, "string")
}

const fn integer(name: &'static str) -> Argument {
    argument(name, "integer")
}

const fn pattern(name: &'static str) -> Argument {
    argument(name, "pattern")
}

/// A keyword.
const fn word(token: &'static str) -> Argument {
    argument("", "pure-token").token(token)
}

/// One of several arguments.
const fn one_of(name: &'static str) -> Argument {
    argument(name, "oneof")
}

/// Several arguments, one after the other.
const fn block(name: &'static str) -> Argument {
    argument(name, "block")
}

/// An optional argument after a keyword.
const fn option(token: &'static str, argument: Argument) -> Argument {
    argument.token(token).optional()
}

impl Argument {
    setters! { token since deprecated_since flags }

    const fn optional(self) -> Self {
        self.flags("optional")
    }

    const fn multiple(self) -> Self {
        self.flags("multiple")
    }

    const fn of(mut self, arguments: &'static [Self]) -> Self {
        self.arguments = arguments;
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::command::Commands;

    #[test]
    fn every_built_in_command_has_a_row_and_every_row_a_command() {
        let mut commands = Commands::builtin();
        commands.transactions(|session, exec| exec.run(session));
        let catalog = commands.catalog();
        let commands: BTreeSet<_> = catalog.all().map(|command| &*command.full_name).collect();
        let rows: BTreeSet<_> = TABLE.iter().map(|docs| docs.name).collect();
        assert_eq!(commands, rows);
        assert!(catalog.all().all(|command| command.docs.group != "module"));
    }

    #[test]
    fn rows_are_sorted_by_group_and_name() {
        let groups = [
            "connection",
            "server",
            "pubsub",
            "generic",
            "transactions",
            "cluster",
        ];
        let keys = TABLE.iter().map(|docs| {
            let group = groups.iter().position(|&group| group == docs.group);
            (group.expect("a group of these"), docs.name)
        });
        assert!(keys.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn every_row_has_a_summary_and_a_version() {
        for docs in TABLE {
            assert!(!docs.summary.is_empty(), "{}", docs.name);
            assert!(!docs.since.is_empty(), "{}", docs.name);
            assert_eq!(docs.name, docs.name.to_ascii_lowercase());
        }
    }

    #[test]
    fn categories_follow_from_flags_or_are_named() {
        let categories = |name: &str| {
            let docs = find(name).expect("an entry");
            docs.categories().collect::<Vec<_>>()
        };
        assert_eq!(categories("ping"), ["fast", "connection"]);
        assert_eq!(categories("client"), ["slow"]);
        assert_eq!(
            categories("client|kill"),
            ["admin", "slow", "dangerous", "connection"]
        );
        assert_eq!(categories("info"), ["slow", "dangerous"]);
        assert_eq!(categories("lolwut"), ["read", "fast"]);
        assert_eq!(categories("publish"), ["pubsub", "fast"]);
        assert_eq!(
            Docs::UNDOCUMENTED.categories().collect::<Vec<_>>(),
            ["slow"]
        );
    }
}
