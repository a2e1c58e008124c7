//! `LATENCY`: how long commands take.

use super::arguments::{NAMES_MAX, argument, is, too_many};
use crate::client::session::Session;
use crate::command::{Arity, Container};
use crate::resp::{Replied, Reply, Request};
use crate::state::ServerState;
use crate::state::stats::{CommandTotals, Totals};

pub(super) fn register(mut latency: Container<'_>) {
    latency.register_own("HISTOGRAM", Arity::AtLeast(2), histogram);
    latency.register_own("LATEST", Arity::Exactly(2), latest);
    latency.register_own("HISTORY", Arity::Exactly(3), history);
    latency.register_own("RESET", Arity::AtLeast(2), reset);
}

/// `LATENCY HISTOGRAM [command …]`: how many calls took up to so many microseconds. A container
/// stands for all of its subcommands.
fn histogram(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let wanted = || request.arguments().skip(1);
    if wanted().len() > NAMES_MAX {
        return too_many("command names", reply);
    }
    let is_meant = |name: &str| {
        let container = name.split('|').next().unwrap_or_default();
        wanted().len() == 0 || wanted().any(|word| is(word, name) || is(word, container))
    };
    let state = session.server();
    let totals = state.stats.totals();
    let commands: Vec<_> = timed_commands(state, &totals)
        .filter(|(name, _)| is_meant(name))
        .collect();
    reply.map(commands.len(), |pairs| {
        for (name, totals) in commands {
            let points = totals.cumulated();
            pairs.pair(name, |value| {
                value.map(2, |fields| {
                    // No server lives long enough for a number that does not fit.
                    fields.pair("calls", |calls| calls.integer(totals.calls as i64));
                    fields.pair("histogram_usec", |histogram| {
                        histogram.map(points.len(), |pairs| {
                            for &(micros, calls) in &points {
                                pairs.add(|item| item.integer(micros as i64));
                                pairs.add(|item| item.integer(calls as i64));
                            }
                        })
                    });
                })
            });
        }
    })
}

/// The commands of which durations are known, by their full names.
pub(super) fn timed_commands<'a>(
    state: &'a ServerState,
    totals: &'a Totals,
) -> impl Iterator<Item = (&'a str, &'a CommandTotals)> {
    crate::command::builtin::info::used_commands(state, totals)
        .filter(|(_, totals)| totals.percentile(100.0).is_some())
}

/// `LATENCY LATEST`: of each event its latest spike and its longest.
fn latest(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    let events = session.server().samples.all();
    reply.array(events.len(), |items| {
        for (name, series) in &events {
            // A series has a spike.
            let (at_s, took_ms) = series
                .samples
                .back()
                .map_or((0, 0), |spike| (spike.at_s, spike.took_ms));
            items.add(|item| {
                item.array(4, |fields| {
                    fields.add(|event| event.bulk(name));
                    fields.add(|time| time.integer(at_s as i64));
                    fields.add(|latest| latest.integer(took_ms as i64));
                    fields.add(|longest| longest.integer(series.longest_ms as i64));
                })
            });
        }
    })
}

/// `LATENCY HISTORY event`: its spikes, at most one for each second.
fn history(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let event = argument(request, 1);
    let events = session.server().samples.all();
    let series = events
        .into_iter()
        .find(|(name, _)| event.eq_ignore_ascii_case(name.as_bytes()));
    let samples = series.map(|(_, series)| series.samples).unwrap_or_default();
    reply.array(samples.len(), |items| {
        for spike in &samples {
            items.add(|item| {
                item.array(2, |fields| {
                    fields.add(|time| time.integer(spike.at_s as i64));
                    fields.add(|took| took.integer(spike.took_ms as i64));
                })
            });
        }
    })
}

/// `LATENCY RESET [event …]`: forgets these events, or all. Gives how many there were.
fn reset(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let wanted = || request.arguments().skip(1);
    let samples = &session.server().samples;
    // Found out before the lock is taken that all who are slow need.
    let mut meant = samples.events();
    if wanted().len() > 0 {
        meant.retain(|event| wanted().any(|word| is(word, event)));
    }
    reply.integer(samples.reset(&meant) as i64)
}
