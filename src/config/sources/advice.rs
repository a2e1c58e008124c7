//! Errors about flags: they suggest the right flag, and never show what may be a password.
//!
//! clap quotes every word that it does not know. These errors quote a word only if it is the value
//! of a known key that is not secret, or similar to the name of such a key.

use std::error::Error;
use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::nearest::{may_show, nearest};
use super::notation::Form;
use super::settings::find_key;
use crate::config::Key;
use crate::config::directive::without_effect;
use crate::config::unsupported::Unsupported;

/// Replaces clap's error about `args`, the program's name first, by one that is safe to print.
pub(super) fn explain(error: clap::Error, args: &[OsString], mut command: Command) -> clap::Error {
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
        Some(message) => command.error(error.kind(), message),
        None => error,
    }
}

/// Returns the error about a value that a flag does not take; `None` if clap's own error is right.
fn of_value(flag: &str, value: &str, reason: &str) -> Option<String> {
    let (key, form) = key_of(flag.split(' ').next()?)?;
    if key.secret {
        return Some(format!("invalid value for '{flag}': {reason}"));
    }
    let has_file = value.split(' ').any(is_file);
    (form.is_list() && has_file).then(|| {
        format!(
            "invalid value '{value}' for '{flag}': {reason}\n\n  \
             tip: every word up to the next flag belongs to '--{}', so put FILE before it",
            key.name
        )
    })
}

/// Returns the error about a word that is neither a flag nor FILE.
fn of_unknown(wrong: &str, args: &[OsString]) -> String {
    let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    // clap cuts a word at `=`, and after the first letter if it has a single dash.
    let index = args.iter().skip(1).position(|arg| arg.starts_with(wrong));
    let index = index.map_or(0, |index| index + 1);
    let before = &args[index.saturating_sub(1)];
    if let Some((key, _)) = key_of(before).filter(|(key, _)| key.secret) {
        let name = key.name;
        return format!(
            "a value is required for '--{name}': write one that begins with '--' as \
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
        // A flag of one letter and its value may be one word.
        None => tip(wrong).unwrap_or_else(|| {
            format!("argument {index} is not a flag; `respool --help` lists all flags")
        }),
    }
}

/// Returns the error about a flag of other servers, with the one to use here or the reason why
/// there is none.
fn tip(flag: &str) -> Option<String> {
    let in_table = TIPS.iter().find(|(names, _)| names.contains(&flag));
    let tip = in_table.map(|(_, tip)| *tip).or_else(|| {
        let name = flag.strip_prefix("--")?;
        let row = Unsupported::find(name.as_bytes());
        let reason = row.map(|row| row.reason);
        reason
            .or_else(|| without_effect(name).map(|_| "leave it out, because it has no effect here"))
    })?;
    Some(format!("unexpected argument '{flag}': {tip}"))
}

fn of_unexpected_word(wrong: &str, index: usize, before: &str) -> String {
    if let Some((key, _)) = key_of(&format!("--{before}")) {
        return format!(
            "argument {index} is unexpected, did you mean '--{}'?",
            key.name
        );
    }
    if is_file(wrong) {
        format!("unexpected argument '{wrong}': give FILE once, and before a flag with a list")
    } else {
        format!("argument {index} is unexpected; put a value with spaces in quotes")
    }
}

/// Returns whether a word is probably meant as FILE.
fn is_file(word: &str) -> bool {
    [".toml", ".conf"].iter().any(|end| word.ends_with(end))
}

/// Returns the key of the flag `--name`.
fn key_of(flag: &str) -> Option<(&'static Key, Form)> {
    find_key(flag.strip_prefix("--")?)
}

/// Flags of redis-server, redis-cli and other servers, with the advice for each.
const TIPS: &[(&[&str], &str)] = &[
    (&["-p"], "use '--port N'"),
    (&["-b", "-H", "--host"], "use '--bind IP'"),
    (
        &["-c", "-f", "--config", "--conf", "--file"],
        "give the file without a flag, as in 'respool FILE'",
    ),
    (
        &["-a", "--password", "--pass", "--auth"],
        "use '--requirepass-file PATH'",
    ),
    (
        &["-w", "-t", "--threads", "--io-threads"],
        "use '--workers N'",
    ),
    (&["-v"], "use '--version' or '--loglevel verbose'"),
    (
        &["-d", "--daemonize", "--supervised", "--pidfile"],
        "respool runs in the foreground; use a service manager, or 'nohup respool ... &'",
    ),
    (
        &["--dir", "--dbfilename"],
        "leave it out, because respool stores no data",
    ),
];
