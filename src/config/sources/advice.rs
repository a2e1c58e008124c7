//! What a mistake in the flags is answered: the right flag, and never what may be a password.
//!
//! clap quotes every word that it does not know. Here a word is quoted only if it is the value of a
//! known key that is not secret, or looks like the name of such a key.

use std::error::Error;
use std::ffi::OsString;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::file::{may_show, nearest};
use super::{CommandLine, Form, Key, forms};

/// Turns an error of clap about `args`, the program's name first, into one that can be printed.
pub(super) fn explain(error: clap::Error, args: &[OsString]) -> clap::Error {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    let message = match (error.kind(), word(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(wrong)) => Some(of_unknown(wrong, args)),
        (ErrorKind::ValueValidation, Some(flag)) => {
            let reason = error.source().map(ToString::to_string).unwrap_or_default();
            let value = word(ContextKind::InvalidValue).unwrap_or_default();
            of_value(flag, value, &reason)
        }
        _ => None,
    };
    match message {
        Some(message) => CommandLine::command().error(error.kind(), message),
        None => error,
    }
}

/// For a value that a flag does not take; `None` if clap's own words will do.
fn of_value(flag: &str, value: &str, reason: &str) -> Option<String> {
    let (key, form) = key_of(flag.split(' ').next()?)?;
    if key.secret {
        return Some(format!("invalid value for '{flag}': {reason}"));
    }
    let has_file = value.split(' ').any(is_file);
    (form.is_list() && has_file).then(|| {
        format!(
            "invalid value '{value}' for '{flag}': {reason}\n\n  \
             tip: every word up to the next flag belongs to '--{}', so FILE goes before it",
            key.name
        )
    })
}

/// For a word that is neither a flag nor FILE.
fn of_unknown(wrong: &str, args: &[OsString]) -> String {
    let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    // clap cuts a word at its `=`, and one with a single dash after its first letter.
    let index = args.iter().skip(1).position(|arg| arg.starts_with(wrong));
    let index = index.map_or(0, |index| index + 1);
    let before = &args[index.saturating_sub(1)];
    if let Some((key, _)) = key_of(before).filter(|(key, _)| key.secret) {
        let name = key.name;
        return format!(
            "a value is required for '--{name}': one that begins with '--' is written \
             '--{name}=--...'"
        );
    }
    let flag = args[index].split('=').next().unwrap_or_default();
    if let Some(tip) = tip(flag) {
        return tip;
    }
    if !wrong.starts_with('-') {
        return of_unexpected_word(wrong, index, before);
    }
    match nearest(flag.trim_start_matches('-')) {
        Some(key) if may_show(flag.trim_start_matches('-'), key) => {
            format!(
                "unexpected argument '{flag}', did you mean '--{}'?",
                key.name
            )
        }
        Some(key) => format!("unexpected argument, did you mean '--{}'?", key.name),
        // A letter and its value may be one word.
        None => tip(wrong)
            .unwrap_or_else(|| format!("argument {index} is no flag; `respool --help` lists them")),
    }
}

/// What a flag of other servers is here.
fn tip(flag: &str) -> Option<String> {
    let (_, tip) = TIPS.iter().find(|(names, _)| names.contains(&flag))?;
    Some(format!("unexpected argument '{flag}': {tip}"))
}

fn of_unexpected_word(wrong: &str, index: usize, before: &str) -> String {
    if let Some((key, _)) = key_of(&format!("--{before}")) {
        return format!(
            "argument {index} is one too many: did you mean '--{}'?",
            key.name
        );
    }
    if is_file(wrong) {
        format!("unexpected argument '{wrong}': FILE is given once, and before IP and P")
    } else {
        format!("argument {index} is one too many; a value with blanks stands in quotes")
    }
}

/// Whether a word is meant as FILE.
fn is_file(word: &str) -> bool {
    [".toml", ".conf"].iter().any(|end| word.ends_with(end))
}

/// The key of the flag `--name`.
fn key_of(flag: &str) -> Option<(&'static Key, Form)> {
    let name = flag.strip_prefix("--")?;
    forms().find(|(key, _)| key.name == name)
}

/// Flags of redis-server, redis-cli and other servers, and what they are here.
const TIPS: &[(&[&str], &str)] = &[
    (&["-p"], "the port is '--port N'"),
    (&["-b", "-H", "--host"], "an address is '--bind IP'"),
    (
        &["-c", "-f", "--config", "--conf", "--file"],
        "the file has no flag: 'respool FILE'",
    ),
    (
        &["-a", "--password", "--pass", "--auth"],
        "the password's file is '--requirepass-file PATH'",
    ),
    (
        &["-w", "-t", "--threads", "--io-threads"],
        "the threads are '--workers N'",
    ),
    (&["-v"], "'--version', or '--loglevel verbose'"),
    (
        &["-d", "--daemonize", "--supervised", "--pidfile"],
        "respool stays in the foreground; a service manager, or 'nohup respool ... &', keeps it \
         running",
    ),
    (
        &[
            "--save",
            "--appendonly",
            "--appendfsync",
            "--dir",
            "--dbfilename",
            "--databases",
            "--maxmemory",
            "--maxmemory-policy",
        ],
        "it means nothing here, because no data is kept: leave it out",
    ),
];
