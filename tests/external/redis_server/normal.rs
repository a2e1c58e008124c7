//! Parts of replies that vary between servers or runs. Everything that is not compared is in this
//! file.
//!
//! Replies are compared byte by byte. Only if they differ, and only for the requests in [`RULES`],
//! their values are compared, without the parts that the rule removes.

use std::collections::{BTreeMap, BTreeSet};

use super::differences::differences;
use super::talk::Names;
use super::value::Value;
use respool_testing::redis_server::Setting;

/// The commands, directives and fields that both servers have.
pub(crate) struct Common {
    /// Commands and subcommands, by full name.
    pub(crate) commands: BTreeSet<String>,
    /// Directives of the configuration.
    pub(crate) directives: BTreeSet<String>,
    /// Fields of `INFO`.
    pub(crate) fields: BTreeSet<String>,
}

impl Common {
    /// Computes this from both servers' replies. What only respool has must be listed here.
    pub(crate) fn of(answers: impl Fn(&str) -> [Value; 2]) -> Self {
        let both = |request, names: fn(&Value) -> BTreeSet<String>, is_told: fn(&str) -> bool| {
            let [redis, respool] = answers(request).map(|answer| names(&answer));
            for own in &respool - &redis {
                assert!(
                    is_told(&own),
                    "`{own}` of {request} is not in Redis: add it to differences.rs if it \
                     is a command, in config/respool.toml if it is a directive, and in OWN_FIELDS if \
                     it is a field"
                );
            }
            &redis & &respool
        };
        let texts = |answer: &Value| answer.items.iter().map(|item| item.text.clone()).collect();
        let keys = |answer: &Value| answer.pairs().map(|(key, _)| key.text.clone()).collect();
        let fields = |answer: &Value| {
            let fields = answer.text.lines().filter_map(|line| line.split_once(':'));
            // Fields of commands and errors vary; close reasons are respool's own.
            let fields = fields.filter(|(field, _)| {
                let fronts = [
                    "cmdstat_",
                    "errorstat_",
                    "latency_percentiles_usec_",
                    "closed_",
                ];
                !fronts.iter().any(|front| field.starts_with(front))
            });
            fields.map(|(field, _)| field.to_owned()).collect()
        };
        Self {
            commands: both("COMMAND LIST", texts, has_a_difference),
            directives: both("CONFIG GET *", keys, is_in_the_manual),
            fields: both("INFO everything", fields, |field| {
                OWN_FIELDS.contains(&field)
            }),
        }
    }
}

/// Returns true if a request of this command differs on purpose.
fn has_a_difference(command: &str) -> bool {
    let words = command.replace('|', " ");
    let mut rows = differences(Setting::Plain)
        .iter()
        .flat_map(|difference| difference.rows);
    rows.any(|(request, ..)| {
        let front = request.get(..words.len()).unwrap_or_default();
        front.eq_ignore_ascii_case(&words)
    })
}

fn is_in_the_manual(directive: &str) -> bool {
    let manual = include_str!("../../../config/respool.toml");
    let mut keys = manual.lines().filter_map(|line| line.split_once(" = "));
    keys.any(|(key, _)| key == directive)
}

/// Fields of `INFO` that redis-server 7.0 lacks.
const OWN_FIELDS: [&str; 14] = [
    // Of Redis 7.4 and 7.2.
    "client_output_buffer_limit_disconnections",
    "client_query_buffer_limit_disconnections",
    "listener0",
    "pubsub_clients",
    // respool's own.
    "queue_wait_usec",
    "queue_waits",
    "queued_clients",
    "respool_version",
    "tls_handshake_failures",
    "tls_handshakes",
    "tls_handshakes_waiting",
    "workers",
    "workers_following",
    "workers_leading",
];

/// Reduces a value to what is equal on both servers.
type Rule = fn(&mut Value, &Names, &Common);

/// The beginning of a request, and the rule for its reply.
const RULES: &[(&str, Rule)] = &[
    // An id that each server counts itself.
    ("CLIENT ID", own_numbers),
    ("CLIENT GETREDIR", own_numbers),
    ("CLIENT TRACKINGINFO", own_numbers),
    // `version` and `id`.
    ("HELLO", hello),
    // The clock.
    ("TIME", time),
    ("CLIENT LIST", client_lines),
    ("CLIENT INFO", client_lines),
    // In Redis, in the order of a hash table, with many more commands.
    ("COMMAND LIST", names_of_commands),
    ("ACL CAT ", names_of_commands),
    ("COMMAND INFO", infos),
    ("COMMAND DOCS", docs),
    ("COMMAND", infos),
    ("CONFIG GET", directives),
    // In Redis, in the order of a hash table.
    ("PUBSUB CHANNELS", sorted),
    ("INFO commandstats", statistics),
    ("INFO latencystats", statistics),
    ("INFO", info),
    ("LATENCY HISTOGRAM", histogram),
    ("SLOWLOG GET", slowlog),
];

/// Returns true if the replies to `request` are equal under its rule.
pub(crate) fn say_the_same(
    request: &str,
    [redis, respool]: [(&[u8], &Names); 2],
    common: &Common,
) -> bool {
    if redis.0 == respool.0 {
        return true;
    }
    let [redis, respool] = [redis, respool].map(|reply| normal(request, reply, common));
    redis.is_some() && redis == respool
}

/// Returns the compared part of a reply, readable; `None` if it is compared byte by byte.
pub(crate) fn normal(
    request: &str,
    (reply, names): (&[u8], &Names),
    common: &Common,
) -> Option<Vec<Value>> {
    let mut values = Value::read_all(reply)?;
    let request = request.strip_prefix("B: ").unwrap_or(request);
    let begins = |front: &str| {
        let words = request.get(..front.len());
        words.is_some_and(|words| words.eq_ignore_ascii_case(front))
    };
    let rule = RULES.iter().find(|(front, _)| begins(front));
    let is_told = values.iter().any(is_monitored);
    for value in &mut values {
        if is_monitored(value) {
            monitored(value, names);
        } else if let Some((_, rule)) = rule {
            rule(value, names, common);
        }
    }
    if ["UNSUBSCRIBE", "PUNSUBSCRIBE"].contains(&&*request.to_ascii_uppercase()) {
        // In Redis, in the order of a hash table.
        sort_confirmations(&mut values);
    } else if rule.is_none() && !is_told {
        return None;
    }
    Some(values)
}

/// Replaces a client's id by its name in the conversation.
fn own_numbers(value: &mut Value, names: &Names, _: &Common) {
    if value.kind == ':' {
        value.text = named(&value.text, names);
    }
    let fields = value.items.iter_mut();
    fields.for_each(|field| own_numbers(field, names, &NOTHING));
}

const NOTHING: Common = Common {
    commands: BTreeSet::new(),
    directives: BTreeSet::new(),
    fields: BTreeSet::new(),
};

/// Replaces ids and addresses of clients by their names in the conversation.
fn named(text: &str, names: &Names) -> String {
    let found = names.iter().find(|(_, value)| value == text);
    found.map_or(text, |(name, _)| name).to_owned()
}

fn hello(value: &mut Value, _: &Names, _: &Common) {
    for field in ["version", "id"] {
        if let Some(value) = value.field_mut(field) {
            field.clone_into(&mut value.text);
        }
    }
}

fn time(value: &mut Value, _: &Names, _: &Common) {
    for number in &mut value.items {
        if number.text.parse::<u64>().is_ok() {
            "a number".clone_into(&mut number.text);
        }
    }
}

/// Keeps the names of all fields in order and most values. Removes sizes, times, ids, descriptors,
/// and fields of later versions.
fn client_lines(value: &mut Value, names: &Names, _: &Common) {
    if value.is_error() {
        return;
    }
    let lines = text_of(value).lines().map(|line| {
        let is_own = names
            .iter()
            .any(|(name, id)| *name == "{id}" && line.starts_with(&format!("id={id} ")));
        let fields = line.split(' ').filter_map(|field| {
            let (name, text) = field.split_once('=')?;
            match name {
                // The last command of another client is its fence.
                "cmd" if !is_own => None,
                "id" | "addr" | "laddr" | "redir" => Some(format!("{name}={}", named(text, names))),
                "fd" | "age" | "idle" | "qbuf" | "qbuf-free" | "argv-mem" | "multi-mem" | "rbs"
                | "rbp" | "obl" | "oll" | "omem" | "tot-mem" => Some(format!("{name}=")),
                "lib-name" | "lib-ver" | "watch" | "tot-net-in" | "tot-net-out" | "tot-cmds" => {
                    None
                }
                _ => Some(field.to_owned()),
            }
        });
        fields.collect::<Vec<_>>().join(" ")
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    value.text = lines.join("\n");
}

/// Returns a text that is a verbatim string in RESP3.
fn text_of(value: &Value) -> &str {
    value.text.strip_prefix("txt:").unwrap_or(&value.text)
}

fn names_of_commands(value: &mut Value, _: &Names, common: &Common) {
    value
        .items
        .retain(|name| common.commands.contains(&name.text));
    value.items.sort();
}

fn sorted(value: &mut Value, _: &Names, _: &Common) {
    value.items.sort();
}

/// Keeps the commands that both have, by name, with subcommands apart from their containers.
fn infos(value: &mut Value, _: &Names, common: &Common) {
    if value.is_error() || value.kind == ':' {
        return;
    }
    let mut found = BTreeMap::new();
    collect_infos(value, &mut found);
    found.retain(|name, _| common.commands.contains(name));
    value.items = found.into_values().collect();
}

fn collect_infos(infos: &Value, found: &mut BTreeMap<String, Value>) {
    for info in &infos.items {
        if let [name, .., subcommands] = &*info.items {
            collect_infos(subcommands, found);
            let mut own = info.clone();
            own.items.pop();
            found.insert(name.text.clone(), own);
        }
    }
}

/// As [`infos`].
fn docs(value: &mut Value, _: &Names, common: &Common) {
    if value.is_error() {
        return;
    }
    let mut found = BTreeMap::new();
    collect_docs(value, &mut found);
    found.retain(|name, _| common.commands.contains(name));
    value.items = found.into_values().collect();
}

fn collect_docs(docs: &Value, found: &mut BTreeMap<String, Value>) {
    for (name, own) in docs.pairs() {
        let mut own = own.clone();
        if let Some(subcommands) = own.field_mut("subcommands") {
            collect_docs(subcommands, found);
        }
        // CLUSTER has no subcommands here.
        let is_other = |pair: &[Value]| pair[0].text != "subcommands";
        let fields = own.items.chunks(2).filter(|pair| is_other(pair));
        own.items = fields.flatten().cloned().collect();
        own.items.insert(0, name.clone());
        found.insert(name.text.clone(), own);
    }
}

/// Keeps names and values of the directives that both have, except those that must differ.
fn directives(value: &mut Value, _: &Names, common: &Common) {
    let is_common = |name: &Value| common.directives.contains(&name.text.to_ascii_lowercase());
    let pairs = value.pairs().filter(|(name, _)| is_common(name));
    let mut pairs: Vec<_> = pairs
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, value) in &mut pairs {
        // In Redis, the last one has a class for replicas.
        if ["port", "logfile", "client-output-buffer-limit"].contains(&&*name.text) {
            "its own".clone_into(&mut value.text);
        }
    }
    pairs.sort();
    value.items = pairs
        .into_iter()
        .flat_map(|(name, value)| [name, value])
        .collect();
}

/// Sorts the names of several confirmations, and keeps the order of the counts.
fn sort_confirmations(values: &mut [Value]) {
    let mut names: Vec<_> = values
        .iter()
        .filter_map(|value| value.items.get(1).cloned())
        .collect();
    names.sort();
    for (value, name) in values.iter_mut().zip(names) {
        value.items[1] = name;
    }
}

/// Keeps the sections and fields that both have, in Redis's order, and the values of fields that do
/// not count, measure or name the server.
fn info(value: &mut Value, _: &Names, common: &Common) {
    if value.is_error() {
        return;
    }
    let lines = text_of(value).split("\r\n").filter_map(|line| {
        let Some((field, _)) = line.split_once(':') else {
            return (!line.is_empty() && line != "# Modules").then_some(line);
        };
        let varies = VARYING_FIELDS.iter().any(|front| field.starts_with(front));
        let is_common = common.fields.contains(field);
        is_common.then_some(if varies { field } else { line })
    });
    value.text = lines.collect::<Vec<_>>().join("\n");
}

/// Prefixes of fields that count, measure or name the server.
const VARYING_FIELDS: &[&str] = &[
    "client_recent_max_",
    "connected_clients",
    "executable",
    "expire_cycle_cpu_",
    "instantaneous_",
    "lru_clock",
    "master_replid",
    "mem_allocator",
    "mem_fragmentation_",
    "os",
    "process_id",
    "rdb_last_save_time",
    "redis_version",
    "run_id",
    "server_time_usec",
    "tcp_port",
    "total_",
    "uptime_",
    "used_",
];

/// Keeps all counts of each command, without times. In Redis, in the order of a hash table.
fn statistics(value: &mut Value, _: &Names, _: &Common) {
    let lines = text_of(value).split("\r\n").map(|line| {
        let parts = line.split(',').map(|part| {
            let is_time = part.starts_with("usec") || part.contains("latency_");
            match part.rsplit_once('=') {
                Some((name, _)) if is_time || part.starts_with('p') => name,
                _ => part,
            }
        });
        parts.collect::<Vec<_>>().join(",")
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    value.text = lines.join("\n");
}

/// Keeps the commands and their numbers of calls, without times.
fn histogram(value: &mut Value, _: &Names, _: &Common) {
    let mut pairs: Vec<_> = value
        .pairs()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (_, totals) in &mut pairs {
        if let Some(histogram) = totals.field_mut("histogram_usec") {
            histogram.items.clear();
        }
    }
    pairs.sort();
    value.items = pairs
        .into_iter()
        .flat_map(|(name, value)| [name, value])
        .collect();
}

/// Keeps each record without id, time, duration and address.
fn slowlog(value: &mut Value, names: &Names, _: &Common) {
    for record in &mut value.items {
        if let [number, time, took, words, addr, _name] = &mut *record.items {
            words
                .items
                .retain(|word| !word.text.starts_with("... (waited "));
            for number in [number, time, took] {
                number.text.clear();
            }
            addr.text = named(&addr.text, names);
        }
    }
}

/// Returns true for a line of MONITOR.
fn is_monitored(value: &Value) -> bool {
    value.kind == '+' && value.text.contains(" [")
}

/// Removes the time of such a line, and replaces the address by the client's name.
fn monitored(value: &mut Value, names: &Names) {
    if is_monitored(value)
        && let Some((_, rest)) = value.text.split_once(" [")
    {
        let (origin, words) = rest.split_once("] ").unwrap_or((rest, ""));
        let (database, addr) = origin.split_once(' ').unwrap_or((origin, ""));
        value.text = format!("[{database} {}] {words}", named(addr, names));
    }
}
