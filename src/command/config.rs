//! `CONFIG`: the directives in force.

use super::{Arity, Commands, glob};
use crate::config::Config;
use crate::resp::{Replied, Reply, Request};
use crate::session::Session;

pub(super) fn register(config: &mut Commands) {
    config.register_prompt("GET", Arity::AtLeast(3), get);
}

/// `CONFIG GET pattern [pattern …]`: the directives whose names match a pattern, each once.
fn get(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let mut directives = directives(&session.facts().config.lock());
    // Behind the name of the subcommand.
    directives.retain(|(name, _)| {
        request
            .arguments()
            .skip(1)
            .any(|pattern| glob::matches(pattern, name.as_bytes()))
    });
    reply.map(directives.len(), |pairs| {
        for (name, value) in &directives {
            pairs.pair(name, |reply| reply.bulk(value));
        }
    })
}

/// Every directive and its value, as Redis writes it.
fn directives(config: &Config) -> Vec<(&'static str, String)> {
    let addresses: Vec<_> = config.bind.iter().map(ToString::to_string).collect();
    let logfile = config
        .logfile
        .as_ref()
        .map(|path| path.display().to_string());
    vec![
        ("workers", config.workers.to_string()),
        ("bind", addresses.join(" ")),
        ("port", config.port.to_string()),
        ("maxclients", config.maxclients.to_string()),
        ("timeout", config.timeout_s.to_string()),
        ("tcp-backlog", config.tcp_backlog.to_string()),
        ("tcp-keepalive", config.tcp_keepalive_s.to_string()),
        ("proto-max-bulk-len", config.proto_max_bulk_len.to_string()),
        ("drain-timeout-ms", config.drain_timeout_ms.to_string()),
        ("loglevel", config.loglevel.to_string()),
        ("logfile", logfile.unwrap_or_default()),
        // What cannot be otherwise where nothing is kept; redis-benchmark asks for it.
        ("databases", "16".into()),
        ("save", String::new()),
        ("appendonly", "no".into()),
    ]
}
