//! `HELP` of a container: its subcommands as the catalog describes them.

use crate::client::session::Session;
use crate::resp::{Replied, Reply, Request};
use crate::state::catalog::{Argument, CommandInfo};

/// Answers `HELP` of the container that the request names: a line with the syntax of each
/// subcommand, and a line with its summary.
pub(super) fn list_subcommands(
    session: &mut Session,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> Replied {
    let catalog = &session.server_state().catalog;
    let name = String::from_utf8_lossy(request.name()).to_ascii_uppercase();
    let mut lines = vec![format!(
        "{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    )];
    let container = catalog.find(request.name());
    for subcommand in container.map_or(&[][..], |container| catalog.subcommands(container)) {
        lines.extend(lines_about(subcommand));
    }
    write_lines(&lines, reply)
}

/// Answers an array of simple strings.
pub(super) fn write_lines(lines: &[impl AsRef<str>], reply: Reply<'_>) -> Replied {
    reply.array(lines.len(), |items| {
        for line in lines {
            items.add(|item| item.simple(line.as_ref()));
        }
    })
}

/// Returns the subcommand's syntax and, if it is documented, its summary.
fn lines_about(subcommand: &CommandInfo) -> impl Iterator<Item = String> {
    let name = subcommand.subcommand_name().unwrap_or_default();
    let mut call = name.to_ascii_uppercase();
    for argument in subcommand.docs.arguments {
        call.push(' ');
        call.push_str(&syntax(argument));
    }
    let summary = subcommand.docs.summary.trim_end_matches('.');
    let summary = (!summary.is_empty()).then(|| format!("    {summary}."));
    std::iter::once(call).chain(summary)
}

/// Returns an argument's syntax: `<value>`, `ON|OFF`, `[optional]`, `<repeated> [<repeated> ...]`
/// or `(ADDR <repeated>|ID <choice>) ...`.
fn syntax(argument: &Argument) -> String {
    let parts: Vec<_> = argument.arguments.iter().map(syntax).collect();
    let value = match argument.kind {
        "pure-token" => String::new(),
        "oneof" => parts.join("|"),
        "block" => parts.join(" "),
        _ => format!("<{}>", argument.name()),
    };
    let mut text = match (argument.token, &*value) {
        ("", _) => value,
        (token, "") => token.to_owned(),
        (token, value) => format!("{token} {value}"),
    };
    let has_flag = |flag| argument.flags.split_whitespace().any(|own| own == flag);
    if has_flag("multiple") {
        text = match argument.kind {
            "oneof" => format!("({text}) ..."),
            _ => format!("{text} [{text} ...]"),
        };
    }
    if has_flag("optional") {
        format!("[{text}]")
    } else {
        text
    }
}
