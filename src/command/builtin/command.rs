//! `COMMAND`: the server's commands and their documentation, in the order of their names.

use super::common::{
    NAMES_MAX, argument, array, bulks, is, pattern_too_long, set, syntax_error, too_many,
};
use crate::client::session::Session;
use crate::command::{Arity, Commands};
use crate::glob;
use crate::resp::{Replied, Reply, Request};
use crate::state::catalog::{Argument, Catalog, CommandInfo};

pub(super) fn register(commands: &mut Commands) {
    let mut command = commands.own_container_and_command("COMMAND", Arity::AtLeast(1), info);
    command.register_own("COUNT", Arity::Exactly(2), count);
    command.register_own("INFO", Arity::AtLeast(2), info);
    command.register_own("DOCS", Arity::AtLeast(2), docs);
    command.register_own("LIST", Arity::AtLeast(2), list);
    command.register_own("GETKEYS", Arity::AtLeast(4), getkeys);
    command.register_own("GETKEYSANDFLAGS", Arity::AtLeast(4), getkeys);
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
    reply.array(10, |fields| {
        fields.add(|name| name.bulk(&*command.full_name));
        fields.add(|arity| arity.integer(arity_as_redis_counts(command.arity)));
        fields.add(|flags| words(docs.all_flags(), flags));
        // The positions of the first and the last key and their distance: there are no keys.
        for _ in 0..3 {
            fields.add(|position| position.integer(0));
        }
        fields.add(|set| words(categories, set));
        fields.add(|value| set(tips, value, |tip, item| item.bulk(tip)));
        fields.add(|key_specifications| key_specifications.set(0, |_| ()));
        fields.add(|subcommands| match catalog.subcommands(command) {
            [] => subcommands.set(0, |_| ()),
            found => array(found, subcommands, |subcommand, item| {
                info_of(catalog, subcommand, item)
            }),
        });
    })
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

/// `COMMAND GETKEYS name argument …` and `COMMAND GETKEYSANDFLAGS name argument …`: the error for a
/// command without keys, which Redis checks before the number of arguments.
fn getkeys(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let catalog = &session.server_state().catalog;
    // A full name such as `client|id` is none here.
    let found = catalog.find(argument(request, 1));
    let command = found.filter(|command| command.subcommand_name().is_none());
    let exists = command.is_some_and(|command| {
        let subcommands = catalog.subcommands(command);
        let mut names = subcommands.iter().filter_map(CommandInfo::subcommand_name);
        subcommands.is_empty() || names.any(|name| is(argument(request, 2), name))
    });
    if exists {
        reply.error("ERR The command has no key arguments")
    } else {
        reply.error("ERR Invalid command specified")
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
