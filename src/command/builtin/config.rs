//! `CONFIG`: the directives in force, and how they change.

use super::arguments::{NAMES_MAX, argument, pattern_too_long, syntax_error, too_many};
use crate::client::session::Session;
use crate::command::refusal::c_string;
use crate::command::{Arity, Container};
use crate::config::directive::Directive;
use crate::glob;
use crate::resp::{Replied, Reply, Request};
use crate::state::control::{Control, NotRewritten, Unchanged};

pub(crate) fn register(mut config: Container<'_>) {
    config.register_own("GET", Arity::AtLeast(3), get);
    config.register_own("SET", Arity::AtLeast(4), set);
    config.register_own("RESETSTAT", Arity::Exactly(2), reset_stat);
    config.register_own("REWRITE", Arity::Exactly(2), rewrite);
}

/// `CONFIG GET pattern [pattern …]`: the directives whose names match a pattern, each once. What is
/// no pattern but a name comes back as it was written.
fn get(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let patterns = request.arguments().skip(1);
    if patterns.len() > NAMES_MAX {
        return too_many("patterns", reply);
    }
    // Each directive, and how it was asked for by the first pattern that it matches.
    let mut directives: Vec<_> = Directive::all()
        .map(|directive| (directive, None))
        .collect();
    for pattern in patterns {
        let wanted = match Wanted::of(pattern) {
            Ok(wanted) => wanted,
            Err(glob::TooLong) => return pattern_too_long(reply),
        };
        for (directive, asked_as) in &mut directives {
            if asked_as.is_none() {
                *asked_as = wanted.name_of(*directive);
            }
        }
    }
    // A copy: nobody waits for the configuration's lock while values are written.
    let config = session.server().config.lock().clone();
    let inert = &session.server().inert;
    let directives: Vec<_> = directives
        .into_iter()
        .filter_map(|(directive, asked_as)| Some((asked_as?, directive.text(&config, inert))))
        .collect();
    reply.map(directives.len(), |pairs| {
        for (name, value) in &directives {
            pairs.add(|item| item.bulk(name));
            pairs.add(|item| item.bulk(value));
        }
    })
}

/// What an argument of CONFIG GET asks for.
enum Wanted<'a> {
    Name(&'a [u8]),
    Pattern(glob::Pattern<'a>),
}

impl<'a> Wanted<'a> {
    fn of(argument: &'a [u8]) -> Result<Self, glob::TooLong> {
        Ok(if argument.iter().any(|byte| b"[*?".contains(byte)) {
            Self::Pattern(glob::Pattern::ignoring_case(argument)?)
        } else {
            Self::Name(argument)
        })
    }

    /// Returns how the reply names the directive; `None` if it was not asked for.
    fn name_of(&self, directive: Directive) -> Option<&'a [u8]> {
        let name = directive.name().as_bytes();
        match self {
            Self::Name(written) => written.eq_ignore_ascii_case(name).then_some(*written),
            Self::Pattern(pattern) => pattern.matches(name).then_some(name),
        }
    }
}

/// `CONFIG SET directive value [directive value …]`: all of them or, on an error, none. As Redis's
/// `configSetCommand`: first every name is judged, then every value, each time in their order.
fn set(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    if request.word_count() % 2 == 1 {
        return syntax_error(reply);
    }
    let changes = match changes(request) {
        Ok(changes) => changes,
        Err(text) => return reply.error(text),
    };
    let sets_password = changes
        .iter()
        .any(|(directive, _)| directive.name() == "requirepass");
    // What changes nothing is kept once everything else is in force.
    let mut inert_values = Vec::new();
    let outcome = session.server().control().map(|server| {
        server.change_config(&mut |config| {
            inert_values.clear();
            let mut changes = changes.iter();
            changes.try_for_each(|(directive, value)| {
                let set = directive.set(config, &mut inert_values, value);
                set.map_err(|reason| Unchanged {
                    key: Some(directive.name()),
                    reason,
                })
            })?;
            // Then the password is no longer the one in that file.
            if sets_password {
                config.requirepass_file = None;
            }
            Ok(())
        })
    });
    match outcome {
        Some(Ok(())) => {
            for (inert, value) in inert_values {
                session.server().inert.set(inert, value);
            }
            reply.simple("OK")
        }
        Some(Err(Unchanged {
            key: Some(key),
            reason,
        })) => reply.error(refusal(key.as_bytes(), &reason)),
        Some(Err(Unchanged { key: None, reason })) => {
            reply.error(format!("ERR CONFIG SET failed - {reason}"))
        }
        None => reply.error("ERR CONFIG SET failed - the server is no more"),
    }
}

/// Bytes of a value: many times those of the longest that a directive can have. Values are judged
/// under the configuration's lock.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// What a request wants to be set, and to what; or Redis's error, if one of the names cannot be.
fn changes<'a>(request: &Request<'a>) -> Result<Vec<(Directive, &'a [u8])>, Vec<u8>> {
    let mut changes: Vec<(Directive, &[u8])> = Vec::new();
    for index in (1..request.word_count() - 1).step_by(2) {
        let (name, value) = (argument(request, index), argument(request, index + 1));
        let Some(directive) = Directive::find(name) else {
            let mut text = b"ERR Unknown option or number of arguments for CONFIG SET - '".to_vec();
            text.extend_from_slice(c_string(name, name.len()));
            text.push(b'\'');
            return Err(text);
        };
        if directive.is_immutable() {
            return Err(refusal(name, "can't set immutable config"));
        }
        if value.len() > VALUE_BYTES_MAX {
            let reason = format!("argument must have at most {VALUE_BYTES_MAX} bytes");
            return Err(refusal(name, &reason));
        }
        // No more of them than there are directives: the first that comes twice is refused.
        if changes.iter().any(|(other, _)| *other == directive) {
            return Err(refusal(name, "duplicate parameter"));
        }
        changes.push((directive, value));
    }
    Ok(changes)
}

/// Redis's error when one of the directives cannot be set.
fn refusal(name: &[u8], reason: &str) -> Vec<u8> {
    let mut text = b"ERR CONFIG SET failed (possibly related to argument '".to_vec();
    text.extend_from_slice(name);
    text.extend_from_slice(b"') - ");
    text.extend_from_slice(reason.as_bytes());
    text
}

/// `CONFIG RESETSTAT`: the counts that INFO shows begin again at 0.
fn reset_stat(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    session.server().reset_stats();
    reply.simple("OK")
}

/// `CONFIG REWRITE`: the program's file says from now on what is in force.
fn rewrite(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    let server = session.server().control();
    match server.map_or(Err(NotRewritten::NoFile), Control::rewrite_config) {
        Ok(()) => reply.simple("OK"),
        Err(NotRewritten::NoFile) => reply.error("ERR The server is running without a config file"),
        Err(NotRewritten::Failed(reason)) => {
            reply.error(format!("ERR Rewriting config file: {reason}"))
        }
    }
}
