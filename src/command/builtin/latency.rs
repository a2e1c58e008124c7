//! `LATENCY`: durations of commands, and of waits for a turn.

use super::common::{NAMES_MAX, argument, array, is, too_many};
use crate::client::session::Session;
use crate::command::{Arity, Container};
use crate::resp::{Replied, Reply, Request};
use crate::state::QUEUE_WAIT;
use crate::state::histogram::Histogram;

pub(super) fn register(mut latency: Container<'_>) {
    latency.register_own("HISTOGRAM", Arity::AtLeast(2), histogram);
    latency.register_own("LATEST", Arity::Exactly(2), latest);
    latency.register_own("HISTORY", Arity::Exactly(3), history);
    latency.register_own("RESET", Arity::AtLeast(2), reset);
}

/// `LATENCY HISTOGRAM [command …]`: for each command, the number of calls by duration, cumulated. A
/// container's name means all of its subcommands. `queue-wait` means the waits for a turn; it has
/// to be named, because clients take every other name for a command.
fn histogram(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let wanted = || request.arguments().skip(1);
    if wanted().len() > NAMES_MAX {
        return too_many("command names", reply);
    }
    let is_wanted = |name: &str| {
        let container = name.split('|').next().unwrap_or_default();
        wanted().len() == 0 || wanted().any(|word| is(word, name) || is(word, container))
    };
    let state = session.server_state();
    let totals = state.stats.totals();
    let commands = state
        .used_commands(&totals)
        .filter(|(name, _)| is_wanted(name))
        .filter_map(|(name, totals)| Some((name, totals.calls.get(), totals.durations()?)));
    let shows_waits =
        state.settings.latency_tracking() && wanted().any(|word| is(word, QUEUE_WAIT));
    let waits = shows_waits.then(|| {
        let waits = totals.queue_wait.waits();
        (QUEUE_WAIT, totals.queue_wait.count(), waits)
    });
    let rows: Vec<_> = commands.chain(waits).collect();
    reply.map(rows.len(), |pairs| {
        for (name, calls, durations) in rows {
            pairs.pair(name, |row| histogram_row(calls, durations, row));
        }
    })
}

fn histogram_row(calls: u64, durations: &Histogram, reply: Reply<'_>) -> Replied {
    let points = durations.cumulated(calls);
    reply.map(2, |fields| {
        // No server lives long enough for a number that does not fit.
        fields.pair("calls", |value| value.integer(calls as i64));
        fields.pair("histogram_usec", |histogram| {
            histogram.map(points.len(), |pairs| {
                for &(micros, calls) in &points {
                    pairs.add(|item| item.integer(micros as i64));
                    pairs.add(|item| item.integer(calls as i64));
                }
            })
        });
    })
}

/// `LATENCY LATEST`: for each event, its latest sample and its longest.
fn latest(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    let events = session.server_state().latency.all();
    array(&events, reply, |(name, series), item| {
        // A series is never empty.
        let latest = series.samples.back();
        let (at_s, took_ms) = latest.map_or((0, 0), |sample| (sample.at_s, sample.took_ms));
        item.array(4, |fields| {
            fields.add(|event| event.bulk(name));
            fields.add(|time| time.integer(at_s as i64));
            fields.add(|latest| latest.integer(took_ms as i64));
            fields.add(|longest| longest.integer(series.longest_ms as i64));
        })
    })
}

/// `LATENCY HISTORY event`: the event's samples, at most one for each second.
fn history(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let event = argument(request, 1);
    let events = session.server_state().latency.all();
    let series = events.into_iter().find(|(name, _)| is(event, name));
    let samples = series.map(|(_, series)| series.samples).unwrap_or_default();
    array(&samples, reply, |sample, item| {
        item.array(2, |fields| {
            fields.add(|time| time.integer(sample.at_s as i64));
            fields.add(|took| took.integer(sample.took_ms as i64));
        })
    })
}

/// `LATENCY RESET [event …]`: removes these events, or all, and answers their number.
fn reset(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let wanted = || request.arguments().skip(1);
    let samples = &session.server_state().latency;
    let is_wanted = |event: &&str| wanted().len() == 0 || wanted().any(|word| is(word, event));
    // Compares the names before the lock is taken, which every slow call needs.
    let events: Vec<_> = samples.all().into_keys().filter(is_wanted).collect();
    reply.integer(samples.reset(&events) as i64)
}
