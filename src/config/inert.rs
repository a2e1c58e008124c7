//! Directives of Redis without an effect here: those about keys, files, replicas, clusters and
//! scripts. Clients and operators set them when they start. A value is checked like in Redis
//! 7.0.15, and returned by CONFIG GET.
//!
//! The values belong to the running server. They are not keys of the file, CONFIG REWRITE does not
//! write them, and a reload does not change them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;

use parking_lot::Mutex;

use super::values::{self, NOT_MEMORY, Value, integer, joined, memory, not_one_of, out_of_range};

/// A directive without an effect.
#[derive(Debug)]
pub(crate) struct Inert {
    pub(crate) name: &'static str,
    /// The older name; empty if there is none.
    pub(crate) alias: &'static str,
    default: &'static str,
    kind: Kind,
}

/// The form of a value.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// `yes` or `no`.
    Flag,
    OneOf(&'static [&'static str]),
    /// A whole number in this range.
    Number(i64, i64),
    /// A whole number of at least 0; one out of this range is set to the nearest end.
    Clamped(i64, i64),
    /// Bytes, with a unit, from `min` to `max`; fewer than `floor` are set to `floor`.
    Memory {
        min: u64,
        max: u64,
        floor: u64,
    },
    /// Pairs of seconds and changes, or nothing.
    SavePoints,
    /// Letters for classes of keyspace events.
    Events,
}

use crate::logging;
use Kind::{Clamped, Events, Flag, Memory, Number, OneOf, SavePoints};

const INT_MAX: i64 = i32::MAX as i64;
const MEMORY_MAX: u64 = i64::MAX as u64;
const INT_MIN: i64 = i32::MIN as i64;

/// The directives, with the defaults and ranges of redis-server 7.0.15, except that `save` is
/// empty.
#[rustfmt::skip]
pub(crate) const TABLE: &[Inert] = &[
    row("active-defrag-cycle-max", "", "25", Number(1, 99)),
    row("active-defrag-cycle-min", "", "1", Number(1, 99)),
    row("active-defrag-ignore-bytes", "", "104857600", memory_from(1)),
    row("active-defrag-max-scan-fields", "", "1000", Number(1, i64::MAX)),
    row("active-defrag-threshold-lower", "", "10", Number(0, 1000)),
    row("active-defrag-threshold-upper", "", "100", Number(0, 1000)),
    row("active-expire-effort", "", "1", Number(1, 10)),
    row("activerehashing", "", "yes", Flag),
    row("acllog-max-len", "", "128", Number(0, i64::MAX)),
    row("aof-load-truncated", "", "yes", Flag),
    row("aof-rewrite-incremental-fsync", "", "yes", Flag),
    row("aof-timestamp-enabled", "", "no", Flag),
    row("aof-use-rdb-preamble", "", "yes", Flag),
    row("appendfsync", "", "everysec", OneOf(&["everysec", "always", "no"])),
    row("appendonly", "", "no", Flag),
    row("auto-aof-rewrite-min-size", "", "67108864", memory_from(0)),
    row("auto-aof-rewrite-percentage", "", "100", Number(0, INT_MAX)),
    row("busy-reply-threshold", "lua-time-limit", "5000", Number(0, i64::MAX)),
    row("cluster-allow-pubsubshard-when-down", "", "yes", Flag),
    row("cluster-allow-reads-when-down", "", "no", Flag),
    row("cluster-allow-replica-migration", "", "yes", Flag),
    row("cluster-migration-barrier", "", "1", Number(0, INT_MAX)),
    row("cluster-node-timeout", "", "15000", Number(0, i64::MAX)),
    row("cluster-replica-no-failover", "cluster-slave-no-failover", "no", Flag),
    row("cluster-replica-validity-factor", "cluster-slave-validity-factor", "10", Number(0, INT_MAX)),
    row("cluster-require-full-coverage", "", "yes", Flag),
    row("dynamic-hz", "", "yes", Flag),
    row("hash-max-listpack-entries", "hash-max-ziplist-entries", "512", Number(0, i64::MAX)),
    row("hash-max-listpack-value", "hash-max-ziplist-value", "64", memory_from(0)),
    row("hll-sparse-max-bytes", "", "3000", memory_from(0)),
    row("hz", "", "10", Clamped(1, 500)),
    row("lazyfree-lazy-eviction", "", "no", Flag),
    row("lazyfree-lazy-expire", "", "no", Flag),
    row("lazyfree-lazy-server-del", "", "no", Flag),
    row("lazyfree-lazy-user-del", "", "no", Flag),
    row("lazyfree-lazy-user-flush", "", "no", Flag),
    row("lfu-decay-time", "", "1", Number(0, INT_MAX)),
    row("lfu-log-factor", "", "10", Number(0, INT_MAX)),
    row("list-compress-depth", "", "0", Number(0, INT_MAX)),
    row("list-max-listpack-size", "list-max-ziplist-size", "-2", Number(INT_MIN, INT_MAX)),
    row("maxmemory", "", "0", Memory { min: 0, max: u64::MAX, floor: 0 }),
    row("maxmemory-eviction-tenacity", "", "10", Number(0, 100)),
    row("maxmemory-policy", "", "noeviction", OneOf(POLICIES)),
    row("maxmemory-samples", "", "5", Number(1, INT_MAX)),
    row("min-replicas-max-lag", "min-slaves-max-lag", "10", Number(0, INT_MAX)),
    row("min-replicas-to-write", "min-slaves-to-write", "0", Number(0, INT_MAX)),
    row("no-appendfsync-on-rewrite", "", "no", Flag),
    row("notify-keyspace-events", "", "", Events),
    row("propagation-error-behavior", "", "ignore", OneOf(&["ignore", "panic", "panic-on-replicas"])),
    row("rdb-del-sync-files", "", "no", Flag),
    row("rdb-save-incremental-fsync", "", "yes", Flag),
    row("rdbcompression", "", "yes", Flag),
    row("repl-backlog-size", "", "1048576", Memory { min: 1, max: MEMORY_MAX, floor: 16_384 }),
    row("repl-backlog-ttl", "", "3600", Number(0, i64::MAX)),
    row("repl-disable-tcp-nodelay", "", "no", Flag),
    row("repl-diskless-load", "", "disabled", OneOf(&["disabled", "on-empty-db", "swapdb"])),
    row("repl-diskless-sync", "", "yes", Flag),
    row("repl-diskless-sync-delay", "", "5", Number(0, INT_MAX)),
    row("repl-diskless-sync-max-replicas", "", "0", Number(0, INT_MAX)),
    row("repl-ping-replica-period", "repl-ping-slave-period", "10", Number(1, INT_MAX)),
    row("repl-timeout", "", "60", Number(1, INT_MAX)),
    row("replica-announced", "", "yes", Flag),
    row("replica-ignore-disk-write-errors", "", "no", Flag),
    row("replica-ignore-maxmemory", "slave-ignore-maxmemory", "yes", Flag),
    row("replica-lazy-flush", "slave-lazy-flush", "no", Flag),
    row("replica-priority", "slave-priority", "100", Number(0, INT_MAX)),
    row("replica-read-only", "slave-read-only", "yes", Flag),
    row("replica-serve-stale-data", "slave-serve-stale-data", "yes", Flag),
    row("sanitize-dump-payload", "", "no", OneOf(&["no", "yes", "clients"])),
    row("save", "", "", SavePoints),
    row("set-max-intset-entries", "", "512", Number(0, i64::MAX)),
    row("shutdown-timeout", "", "10", Number(0, INT_MAX)),
    row("stop-writes-on-bgsave-error", "", "yes", Flag),
    row("stream-node-max-bytes", "", "4096", memory_from(0)),
    row("stream-node-max-entries", "", "100", Number(0, i64::MAX)),
    row("tracking-table-max-keys", "", "1000000", Number(0, i64::MAX)),
    row("zset-max-listpack-entries", "zset-max-ziplist-entries", "128", Number(0, i64::MAX)),
    row("zset-max-listpack-value", "zset-max-ziplist-value", "64", memory_from(0)),
];

/// Returns the kind of a number of bytes from `min` that is signed in Redis.
const fn memory_from(min: u64) -> Kind {
    Memory {
        min,
        max: MEMORY_MAX,
        floor: 0,
    }
}

const fn row(name: &'static str, alias: &'static str, default: &'static str, kind: Kind) -> Inert {
    Inert {
        name,
        alias,
        default,
        kind,
    }
}

const POLICIES: &[&str] = &[
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
];

impl Inert {
    /// Returns the value as CONFIG GET shows it, or the reason that Redis replies.
    pub(crate) fn parse(&self, value: &str) -> Result<String, Cow<'static, str>> {
        match self.kind {
            Flag => {
                values::Flag::from_argument(value).map(|flag| values::Flag::text(&flag.plain()))
            }
            OneOf(words) => one_of(words, value).ok_or_else(|| not_one_of(words)),
            Number(min, max) => Ok(in_range(integer(value)?, min, max)?.to_string()),
            Clamped(min, max) => {
                let number = in_range(integer(value)?, 0, INT_MAX)?;
                Ok(number.clamp(min, max).to_string())
            }
            Memory { min, max, floor } => {
                let bytes = memory(value).ok_or(NOT_MEMORY)?;
                Ok(in_range(bytes, min, max)?.max(floor).to_string())
            }
            SavePoints => save_points(value).ok_or_else(|| "Invalid save parameters".into()),
            Events => events(value)
                .ok_or_else(|| "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into()),
        }
    }
}

fn one_of(words: &[&str], value: &str) -> Option<String> {
    let is_meant = |word: &&&str| word.eq_ignore_ascii_case(value);
    words.iter().find(is_meant).map(|&word| word.to_owned())
}

/// Returns `number` if it is in the range, or the reason that Redis replies.
fn in_range<N: Copy + PartialOrd + Display>(
    number: N,
    min: N,
    max: N,
) -> Result<N, Cow<'static, str>> {
    if min <= number && number <= max {
        Ok(number)
    } else {
        Err(out_of_range(min, max))
    }
}

fn save_points(value: &str) -> Option<String> {
    if value.is_empty() {
        return Some(String::new());
    }
    let numbers = value.split(' ').map(str::parse::<i64>);
    let numbers: Vec<_> = numbers.collect::<Result<_, _>>().ok()?;
    let is_point =
        |point: &[i64]| matches!(point, &[seconds, changes] if seconds > 0 && changes >= 0);
    numbers.chunks(2).all(is_point).then(|| joined(&numbers))
}

/// Normalizes classes like Redis's `keyspaceEventsFlagsToString`: `A` means all, and excludes `n`.
fn events(value: &str) -> Option<String> {
    const ALL: &str = "g$lshzxetd";
    const OTHERS: &str = "KEm";
    let is_known =
        |letter: char| "An".contains(letter) || format!("{ALL}{OTHERS}").contains(letter);
    if !value.chars().all(is_known) {
        return None;
    }
    let is_set = |letter: &char| value.contains(*letter);
    let others = OTHERS.chars().filter(is_set);
    Some(
        if value.contains('A') || ALL.chars().all(|letter| is_set(&letter)) {
            "A".chars().chain(others).collect()
        } else {
            let classes = ALL.chars().chain(['n']).filter(is_set);
            classes.chain(others).collect()
        },
    )
}

/// The values that were set. All other directives have their defaults.
#[derive(Debug, Default)]
pub(crate) struct Values(Mutex<BTreeMap<&'static str, String>>);

impl Values {
    /// Sets a value from [`Inert::parse`]. Logs the first change of each directive.
    pub(crate) fn set(&self, inert: &'static Inert, value: String) {
        let before = self.0.lock().insert(inert.name, value);
        if before.is_none() {
            logging::info!(
                "CONFIG SET {}: the directive has no effect here; CONFIG GET returns the value",
                inert.name
            );
        }
    }

    pub(crate) fn get(&self, inert: &Inert) -> String {
        let values = self.0.lock();
        let value = values.get(inert.name).map(String::as_str);
        value.unwrap_or(inert.default).to_owned()
    }

    /// Returns the value of the directive of this name; empty if the table has none.
    pub(crate) fn named(&self, name: &str) -> String {
        let inert = TABLE.iter().find(|inert| inert.name == name);
        inert.map(|inert| self.get(inert)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inert(name: &str) -> &'static Inert {
        let mut rows = TABLE.iter();
        rows.find(|inert| inert.name == name).expect("a row")
    }

    #[test]
    fn defaults_are_valid_and_names_unique() {
        let mut names: Vec<&str> = Vec::new();
        for row in TABLE {
            assert_eq!(row.parse(row.default).as_deref(), Ok(row.default));
            names.extend([row.name, row.alias].iter().filter(|name| !name.is_empty()));
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn values_are_written_as_redis_writes_them() {
        for (name, value, written) in [
            ("maxmemory", "100mb", "104857600"),
            ("maxmemory", "1G", "1000000000"),
            ("maxmemory", "", "0"),
            ("maxmemory-policy", "ALLKEYS-LRU", "allkeys-lru"),
            ("repl-backlog-size", "1", "16384"),
            ("hz", "1000", "500"),
            ("hz", "0", "1"),
            ("appendonly", "YES", "yes"),
            ("save", "3600 1 300 100", "3600 1 300 100"),
            ("save", "", ""),
            ("notify-keyspace-events", "KEA", "AKE"),
            ("notify-keyspace-events", "gxE", "gxE"),
            ("notify-keyspace-events", "Kn", "nK"),
            ("notify-keyspace-events", "mtd", "tdm"),
            ("notify-keyspace-events", "g$lshzxetdKEmn", "AKEm"),
        ] {
            assert_eq!(inert(name).parse(value).as_deref(), Ok(written), "{name}");
        }
    }

    #[test]
    fn memory_values_out_of_range_are_refused() {
        let refused = |min: u8| {
            let text = format!("argument must be between {min} and 9223372036854775807 inclusive");
            Err(Cow::Owned(text))
        };
        let largest = "9223372036854775807";
        let too_many = [
            "9223372036854775808",
            "18446744073709551616",
            "9000000000gb",
        ];
        for row in TABLE.iter().filter(|row| matches!(row.kind, Memory { .. })) {
            assert_eq!(row.parse(largest).as_deref(), Ok(largest), "{}", row.name);
            let min = match row.name {
                "maxmemory" => continue,
                "active-defrag-ignore-bytes" | "repl-backlog-size" => 1,
                _ => 0,
            };
            for value in too_many {
                assert_eq!(row.parse(value), refused(min), "{} {value}", row.name);
            }
            for value in ["", "0"] {
                let zero = Ok("0".to_owned());
                let expected = if min == 0 { zero } else { refused(min) };
                assert_eq!(row.parse(value), expected, "{} {value}", row.name);
            }
        }
        let maxmemory = |value| inert("maxmemory").parse(value);
        assert_eq!(
            maxmemory("9000000000gb").as_deref(),
            Ok("9663676416000000000")
        );
        assert_eq!(maxmemory("18446744073709551616"), Ok(u64::MAX.to_string()));
    }

    #[test]
    fn values_that_redis_refuses_are_refused() {
        for (name, value) in [
            ("maxmemory", "x"),
            ("maxmemory", "-1"),
            ("maxmemory", "50%"),
            ("maxmemory", "1kbb"),
            ("maxmemory", "1.5gb"),
            ("maxmemory-policy", "foo"),
            ("hz", "x"),
            ("hz", "-1"),
            ("hz", "010"),
            ("maxmemory-samples", "0"),
            ("stop-writes-on-bgsave-error", "maybe"),
            ("save", "3600"),
            ("save", "0 1"),
            ("save", "1 -1"),
            ("save", " 10 5"),
            ("notify-keyspace-events", "Q"),
        ] {
            assert!(inert(name).parse(value).is_err(), "{name} {value}");
        }
    }
}
