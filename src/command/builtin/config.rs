//! `CONFIG`: reads and changes the directives in force.

use super::common::{NAMES_MAX, argument, pattern_too_long, syntax_error, too_many};
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

/// `CONFIG GET pattern [pattern …]`: the directives whose names match a pattern, each once. A
/// directive that is named without a wildcard comes back in the case of the request.
fn get(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let patterns = request.arguments().skip(1);
    if patterns.len() > NAMES_MAX {
        return too_many("patterns", reply);
    }
    // Each directive, and its name in the reply by the first pattern that it matches.
    let mut directives: Vec<_> = Directive::all()
        .map(|directive| (directive, None))
        .collect();
    for word in patterns {
        let has_wildcard = word.iter().any(|byte| b"[*?".contains(byte));
        let pattern = has_wildcard.then(|| glob::Pattern::ignoring_case(word));
        let Ok(pattern) = pattern.transpose() else {
            return pattern_too_long(reply);
        };
        for (directive, shown) in &mut directives {
            let name = directive.name().as_bytes();
            *shown = shown.or_else(|| match &pattern {
                Some(pattern) => pattern.matches(name).then_some(name),
                None => word.eq_ignore_ascii_case(name).then_some(word),
            });
        }
    }
    // A copy, so that the lock is not held while values are written.
    let config = session.server_state().config.lock().clone();
    let state = session.server_state();
    let text = |directive: Directive| match directive.name() {
        "cluster-enabled" if state.catalog.own_info.is_cluster => "yes".to_owned(),
        _ => directive.text(&config, &state.inert),
    };
    let directives: Vec<_> = directives
        .into_iter()
        .filter_map(|(directive, name)| Some((name?, text(directive))))
        .collect();
    reply.map(directives.len(), |pairs| {
        for (name, value) in &directives {
            pairs.add(|item| item.bulk(name));
            pairs.add(|item| item.bulk(value));
        }
    })
}

/// `CONFIG SET directive value [directive value …]`: all of them or, on an error, none. Checks
/// first every name and then every value, as Redis's `configSetCommand`.
fn set(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    if request.word_count() % 2 == 1 {
        return syntax_error(reply);
    }
    let changes = match changes(request) {
        Ok(changes) => changes,
        Err(text) => return reply.error(text),
    };
    let Some(server) = session.server_state().control() else {
        return reply.error("ERR CONFIG SET failed - the server is no more");
    };
    let loads_certificates = changes.iter().any(|(one, _)| one.loads_certificates());
    // Inert values are stored once all other changes are in force.
    let mut inert_values = Vec::new();
    let outcome = server.change_config(loads_certificates, &mut |config| {
        inert_values.clear();
        for (directive, value) in &changes {
            let set = directive.set(config, &mut inert_values, value);
            set.map_err(|reason| Unchanged {
                key: Some(directive.name()),
                reason,
            })?;
            // The file no longer has the password in force.
            if directive.name() == "requirepass" {
                config.requirepass_file = None;
            }
        }
        Ok(())
    });
    let Err(Unchanged { key, reason }) = outcome else {
        for (inert, value) in inert_values {
            session.server_state().inert.set(inert, value);
        }
        return reply.simple("OK");
    };
    match key {
        Some(key) => reply.error(refusal(key.as_bytes(), &reason)),
        None => reply.error(format!("ERR CONFIG SET failed - {reason}")),
    }
}

/// Maximum bytes of a value: many times the longest valid one. Values are checked under the
/// configuration's lock.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Returns the directives and their new values; an error, the text of the reply, if one of them
/// cannot be set.
fn changes<'a>(request: &Request<'a>) -> Result<Vec<(Directive, &'a [u8])>, Vec<u8>> {
    let mut changes: Vec<(Directive, &[u8])> = Vec::new();
    for index in (1..request.word_count() - 1).step_by(2) {
        let (name, value) = (argument(request, index), argument(request, index + 1));
        let Some(directive) = Directive::find(name) else {
            let start = b"ERR Unknown option or number of arguments for CONFIG SET - '";
            return Err([start, c_string(name, name.len()), b"'"].concat());
        };
        if directive.is_immutable() {
            return Err(refusal(name, "can't set immutable config"));
        }
        if value.len() > VALUE_BYTES_MAX {
            let reason = format!("argument must have at most {VALUE_BYTES_MAX} bytes");
            return Err(refusal(name, &reason));
        }
        // Searches few: the first repetition is refused, so there are at most as many as
        // directives.
        if changes.iter().any(|(other, _)| *other == directive) {
            return Err(refusal(name, "duplicate parameter"));
        }
        changes.push((directive, value));
    }
    Ok(changes)
}

/// Returns Redis's error for a directive that cannot be set.
fn refusal(name: &[u8], reason: &str) -> Vec<u8> {
    let start = b"ERR CONFIG SET failed (possibly related to argument '";
    [start, name, b"') - ", reason.as_bytes()].concat()
}

/// `CONFIG RESETSTAT`: resets the counts of INFO to 0.
fn reset_stat(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    session.server_state().reset_stats();
    reply.simple("OK")
}

/// `CONFIG REWRITE`: writes the configuration in force to the program's file.
fn rewrite(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    let server = session.server_state().control();
    match server.map_or(Err(NotRewritten::NoFile), Control::rewrite_config) {
        Ok(()) => reply.simple("OK"),
        Err(NotRewritten::NoFile) => reply.error("ERR The server is running without a config file"),
        Err(NotRewritten::Failed(reason)) => {
            reply.error(format!("ERR Rewriting config file: {reason}"))
        }
    }
}
