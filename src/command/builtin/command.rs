//! `COMMAND`: the server's commands and their documentation, in the order of their names.

use super::common::{
    NAMES_MAX, argument, array, bulks, is, pattern_too_long, set, syntax_error, too_many,
};
use crate::client::session::Session;
use crate::command::{Arity, Commands};
use crate::glob;
use crate::resp::{ErrorReply, Replied, Reply, Request};
use crate::state::catalog::{Argument, Catalog, CommandInfo};
use crate::state::keys::Keys;

pub(super) fn register(commands: &mut Commands) {
    let mut command = commands.own_container_and_command("COMMAND", Arity::AtLeast(1), info);
    command.register_own("COUNT", Arity::Exactly(2), count);
    command.register_own("INFO", Arity::AtLeast(2), info);
    command.register_own("DOCS", Arity::AtLeast(2), docs);
    command.register_own("LIST", Arity::AtLeast(2), list);
    command.register_own("GETKEYS", Arity::AtLeast(4), getkeys);
    command.register_own("GETKEYSANDFLAGS", Arity::AtLeast(4), getkeysandflags);
}

/// `COMMAND COUNT`: the number of commands, without subcommands.
fn count(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    // No table is so long that its length does not fit.
    reply.integer(session.server_state().catalog.commands().count() as i64)
}

/// `COMMAND` and `COMMAND INFO [name …]`: the properties of all commands, or of each of these; null
/// for an unknown name.
fn info(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let catalog = &session.server_state().catalog;
    let names = request.arguments().skip(1);
    let commands: Vec<_> = match names.len() {
        0 => catalog.commands().map(Some).collect(),
        1..=NAMES_MAX => names.map(|name| catalog.find(name)).collect(),
        _ => return too_many("command names", reply),
    };
    array(commands, reply, |command, item| match command {
        Some(command) => info_of(catalog, command, item),
        None => item.null(),
    })
}

fn info_of(catalog: &Catalog, command: &CommandInfo, reply: Reply<'_>) -> Replied {
    let docs = &command.docs;
    let categories = docs.categories().map(|name| format!("@{name}"));
    let tips = docs.tips.split_whitespace();
    let keys = command.keys.as_deref();
    reply.array(10, |fields| {
        fields.add(|name| name.bulk(&*command.full_name));
        fields.add(|arity| arity.integer(arity_as_redis_counts(command.arity)));
        fields.add(|value| {
            let of_keys = keys.map_or("", Keys::flags).split_whitespace();
            words(docs.all_flags().chain(of_keys), value)
        });
        for position in positions_of(keys) {
            fields.add(|item| item.integer(position));
        }
        fields.add(|set| words(categories, set));
        fields.add(|value| set(tips, value, |tip, item| item.bulk(tip)));
        fields.add(|value| {
            set(keys.into_iter(), value, |keys, item| {
                specification(keys, access(command), item)
            })
        });
        fields.add(|subcommands| match catalog.subcommands(command) {
            [] => subcommands.set(0, |_| ()),
            found => array(found, subcommands, |subcommand, item| {
                info_of(catalog, subcommand, item)
            }),
        });
    })
}

/// Returns the positions of the first and the last key, and the distance from one to the next; 0
/// without keys, and if only a function finds them.
fn positions_of(keys: Option<&Keys>) -> [i64; 3] {
    match keys {
        None | Some(Keys::Found(_)) => [0; 3],
        // No request is so long that a position does not fit.
        Some(&Keys::Range { first, last, step }) => [first as i64, last as i64, step as i64],
    }
}

/// Answers Redis's specification of keys, whose last position counts from the first.
fn specification(keys: &Keys, flags: &str, reply: Reply<'_>) -> Replied {
    let (search, index, find, range) = match *keys {
        Keys::Range { first, last, step } => {
            let first = first as i64;
            let last = if last < 0 {
                last as i64
            } else {
                last as i64 - first
            };
            let range = [("lastkey", last), ("keystep", step as i64), ("limit", 0)];
            ("index", vec![("index", first)], "range", range.to_vec())
        }
        Keys::Found(_) => ("unknown", Vec::new(), "unknown", Vec::new()),
    };
    reply.map(3, |fields| {
        fields.pair("flags", |value| words(flags.split_whitespace(), value));
        fields.pair("begin_search", |value| {
            part_of_specification(search, &index, value)
        });
        fields.pair("find_keys", |value| {
            part_of_specification(find, &range, value)
        });
    })
}

fn part_of_specification(kind: &str, numbers: &[(&str, i64)], reply: Reply<'_>) -> Replied {
    reply.map(2, |fields| {
        fields.pair("type", |value| value.bulk(kind));
        fields.pair("spec", |value| {
            value.map(numbers.len(), |pairs| {
                for &(name, number) in numbers {
                    pairs.pair(name, |value| value.integer(number));
                }
            })
        });
    })
}

/// Returns what the command does with its keys, in Redis's words: the most that it may do, unless
/// it is declared that it only reads.
fn access(command: &CommandInfo) -> &'static str {
    if command.docs.has_flag("readonly") {
        "RO access"
    } else {
        "RW access update"
    }
}

/// Returns Redis's number for an arity: negative for a minimum.
fn arity_as_redis_counts(arity: Arity) -> i64 {
    // No arity is so large that it does not fit.
    match arity {
        Arity::Exactly(words) => words as i64,
        Arity::AtLeast(words) | Arity::Between(words, _) => -(words as i64),
    }
}

/// Answers a set of simple strings.
fn words(words: impl Iterator<Item: AsRef<str>>, reply: Reply<'_>) -> Replied {
    set(words, reply, |word, item| item.simple(word.as_ref()))
}

/// `COMMAND DOCS [name …]`: the documentation of each command, without unknown names.
fn docs(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let catalog = &session.server_state().catalog;
    let names = request.arguments().skip(1);
    let commands: Vec<_> = match names.len() {
        0 => catalog.commands().collect(),
        1..=NAMES_MAX => names.filter_map(|name| catalog.find(name)).collect(),
        _ => return too_many("command names", reply),
    };
    docs_of_each(catalog, commands.into_iter(), reply)
}

fn docs_of_each<'a>(
    catalog: &Catalog,
    commands: impl ExactSizeIterator<Item = &'a CommandInfo>,
    reply: Reply<'_>,
) -> Replied {
    reply.map(commands.len(), |pairs| {
        for command in commands {
            pairs.pair(&*command.full_name, |docs| docs_of(catalog, command, docs));
        }
    })
}

fn docs_of(catalog: &Catalog, command: &CommandInfo, reply: Reply<'_>) -> Replied {
    let docs = &command.docs;
    let subcommands = catalog.subcommands(command);
    let fields = [
        ("summary", Value::Text(docs.summary)),
        ("since", Value::Text(docs.since)),
        ("group", Value::Text(docs.group)),
        ("complexity", Value::Text(docs.complexity)),
        ("doc_flags", Value::Words(docs.doc_flags)),
        ("history", Value::History(docs.history)),
        ("arguments", Value::Arguments(docs.arguments)),
        ("subcommands", Value::Commands(catalog, subcommands)),
    ];
    non_empty(&fields, reply)
}

fn docs_of_argument(argument: &Argument, reply: Reply<'_>) -> Replied {
    let fields = [
        ("name", Value::Text(&argument.name())),
        ("type", Value::Text(argument.kind)),
        ("token", Value::Text(argument.token)),
        ("since", Value::Text(argument.since)),
        ("deprecated_since", Value::Text(argument.deprecated_since)),
        ("flags", Value::Words(argument.flags)),
        ("arguments", Value::Arguments(argument.arguments)),
    ];
    non_empty(&fields, reply)
}

/// The value of a field of the documentation.
enum Value<'a> {
    Text(&'a str),
    /// Words, separated by spaces.
    Words(&'a str),
    /// Lines of a version and what changed in it.
    History(&'a str),
    Arguments(&'a [Argument]),
    Commands(&'a Catalog, &'a [CommandInfo]),
}

/// Answers a map of the fields that are not empty.
fn non_empty(fields: &[(&str, Value<'_>)], reply: Reply<'_>) -> Replied {
    let count = fields.iter().filter(|(_, value)| !value.is_empty()).count();
    reply.map(count, |pairs| {
        for (name, value) in fields {
            if !value.is_empty() {
                pairs.pair(name, |reply| value.write(reply));
            }
        }
    })
}

impl Value<'_> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) | Self::Words(text) | Self::History(text) => text.is_empty(),
            Self::Arguments(arguments) => arguments.is_empty(),
            Self::Commands(_, commands) => commands.is_empty(),
        }
    }

    fn write(&self, reply: Reply<'_>) -> Replied {
        match self {
            Self::Text(text) => reply.bulk(text),
            Self::Words(text) => words(text.split_whitespace(), reply),
            Self::History(lines) => {
                let changes = lines.lines().filter_map(|line| line.split_once(' '));
                set(changes, reply, |(version, change), pair| {
                    pair.array(2, |pair| pair.pair(version, |text| text.bulk(change)))
                })
            }
            Self::Arguments(arguments) => array(*arguments, reply, docs_of_argument),
            Self::Commands(catalog, commands) => docs_of_each(catalog, commands.iter(), reply),
        }
    }
}

/// `COMMAND LIST [FILTERBY MODULE name|ACLCAT category|PATTERN pattern]`: the full names, each
/// container followed by its subcommands.
fn list(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let has_filter = request.word_count() == 5 && is(argument(request, 1), "FILTERBY");
    let filters_by = |kind| has_filter && is(argument(request, 2), kind);
    let value = argument(request, 3);
    let all = session.server_state().catalog.all();
    let commands: Vec<_> = if request.word_count() == 2 {
        all.collect()
    } else if filters_by("MODULE") {
        // There are no modules.
        Vec::new()
    } else if filters_by("ACLCAT") {
        all.filter(|command| command.is_in_category(value))
            .collect()
    } else if filters_by("PATTERN") {
        let Ok(pattern) = glob::Pattern::ignoring_case(value) else {
            return pattern_too_long(reply);
        };
        all.filter(|command| pattern.matches(command.full_name.as_bytes()))
            .collect()
    } else {
        return syntax_error(reply);
    };
    bulks(commands.iter().map(|command| &*command.full_name), reply)
}

/// `COMMAND GETKEYS name argument …`: the keys in such a request.
fn getkeys(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    match find_keys(&session.server_state().catalog, request) {
        Ok((_, keys)) => bulks(keys, reply),
        Err(error) => reply.value(error),
    }
}

/// `COMMAND GETKEYSANDFLAGS name argument …`: the keys in such a request, each with what the
/// command does with it.
fn getkeysandflags(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    match find_keys(&session.server_state().catalog, request) {
        Ok((command, keys)) => array(keys, reply, |key, item| {
            item.array(2, |pair| {
                pair.add(|item| item.bulk(key));
                pair.add(|item| words(access(command).split_whitespace(), item));
            })
        }),
        Err(error) => reply.value(error),
    }
}

/// Returns the command that the arguments call, and the keys among them. Redis looks for keys at
/// all before it checks the number of words.
fn find_keys<'a, 'r>(
    catalog: &'a Catalog,
    request: &Request<'r>,
) -> Result<(&'a CommandInfo, Vec<&'r [u8]>), ErrorReply> {
    let call = request.nested(1);
    let found = call.and_then(|call| Some((call, called(catalog, &call)?)));
    let Some((call, command)) = found else {
        return Err(ErrorReply::err("Invalid command specified"));
    };
    let Some(declared) = command.keys.as_deref() else {
        return Err(ErrorReply::err("The command has no key arguments"));
    };
    if !command.arity.admits(call.word_count()) {
        let text = "Invalid number of arguments specified for command";
        return Err(ErrorReply::err(text));
    }
    let keys = command.keys_in(&call);
    if keys.is_empty() && matches!(declared, Keys::Range { .. }) {
        let text = "Invalid arguments specified for command";
        return Err(ErrorReply::err(text));
    }
    Ok((command, keys))
}

/// Returns the command or subcommand that `call` names.
fn called<'a>(catalog: &'a Catalog, call: &Request<'_>) -> Option<&'a CommandInfo> {
    // A full name such as `client|id` is none here.
    let command = catalog
        .find(call.name())
        .filter(|command| command.subcommand_name().is_none())?;
    match catalog.subcommands(command) {
        [] => Some(command),
        subcommands => subcommands.iter().find(|subcommand| {
            let name = subcommand.subcommand_name();
            name.is_some_and(|name| is(argument(call, 0), name))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalog_finds_full_names_in_any_case_and_no_others() {
        let catalog = Commands::builtin().catalog();
        for name in ["ping", "Ping", "client", "client|id", "CLIENT|Id"] {
            let found = catalog.find(name.as_bytes());
            let full_name = found.map(|command| command.full_name.to_string());
            assert_eq!(full_name, Some(name.to_ascii_lowercase()));
        }
        for name in [
            "",
            "|",
            "id",
            "|id",
            "client|",
            "client|id|",
            "client|id|x",
            "ping|x",
        ] {
            assert!(catalog.find(name.as_bytes()).is_none(), "{name}");
        }
    }
}
