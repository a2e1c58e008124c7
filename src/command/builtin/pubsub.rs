//! Pub/sub: `SUBSCRIBE`, `PUBLISH`, `PUBSUB` and their like.

use std::sync::Arc;

use super::common::{argument, bulks, pattern_too_long, wrong_arguments};
use crate::client::session::{Restrictions, Session};
use crate::command::entry::PausePolicy;
use crate::command::{Arity, Commands};
use crate::glob;
use crate::resp::{LastArguments, Replied, Reply, Request};
use crate::state::channels::{
    CHANNEL_BYTES_MAX, Kind, PATTERN_BYTES_MAX, Subscriptions, Unsubscribable,
};

pub(super) fn register(commands: &mut Commands) {
    for (kind, start, end) in [
        (Kind::Channel, "SUBSCRIBE", "UNSUBSCRIBE"),
        (Kind::Pattern, "PSUBSCRIBE", "PUNSUBSCRIBE"),
    ] {
        commands
            .register_own(start, Arity::AtLeast(2), move |session, request, reply| {
                subscribe(kind, session, request, reply)
            })
            .allowed_under = Restrictions::SUBSCRIBED;
        commands
            .register_own(end, Arity::AtLeast(1), move |session, request, reply| {
                unsubscribe(kind, session, request, reply)
            })
            .allowed_under = Restrictions::SUBSCRIBED;
    }
    let publish = commands.register_own("PUBLISH", Arity::Exactly(3), |session, request, reply| {
        publish_burst(session, request, &mut LastArguments::default(), reply)
    });
    publish.burst_handler = Some(publish_burst);
    publish.pause_policy = PausePolicy::WithWrites;
    publish.hands_over = true;
    let mut pubsub = commands.own_container("PUBSUB");
    pubsub.register_own("CHANNELS", Arity::AtLeast(2), channels);
    pubsub.register_own("NUMSUB", Arity::AtLeast(2), numsub);
    pubsub.register_own("NUMPAT", Arity::Exactly(2), numpat);
}

/// `SUBSCRIBE channel …` and `PSUBSCRIBE pattern …`: a confirmation for each, then the messages of
/// these channels, or of all channels whose names match.
fn subscribe(
    kind: Kind,
    session: &mut Session,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> Replied {
    let state = Arc::clone(session.server_state());
    let info = Arc::clone(session.info());
    for name in request.arguments() {
        match session.subscribe(|own| state.channels.subscribe(&info, own, kind, name)) {
            Ok(()) => confirm(request, Some(name), session),
            Err(Unsubscribable::TooMany) => {
                session.push(|message| message.error("ERR too many subscriptions"));
            }
            Err(Unsubscribable::TooLong) => session.push(too_long),
        }
    }
    reply.nothing()
}

fn too_long(reply: Reply<'_>) -> Replied {
    reply.error(format!(
        "ERR a channel's name has at most {CHANNEL_BYTES_MAX} bytes, and a pattern \
         {PATTERN_BYTES_MAX}"
    ))
}

/// `UNSUBSCRIBE [channel …]` and `PUNSUBSCRIBE [pattern …]`: a confirmation for each of these, or
/// for all.
fn unsubscribe(
    kind: Kind,
    session: &mut Session,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> Replied {
    let state = Arc::clone(session.server_state());
    let info = Arc::clone(session.info());
    let end = |session: &mut Session, name: &[u8]| {
        session.subscribe(|own| state.channels.unsubscribe(&info, own, kind, name));
        // Earlier messages come before the confirmation.
        session.push_messages();
        confirm(request, Some(name), session);
    };
    let first = |session: &Session| session.subscriptions()?.first(kind);
    if request.word_count() > 1 {
        request.arguments().for_each(|name| end(session, name));
    } else if first(session).is_none() {
        confirm(request, None, session);
    } else {
        while let Some(topic) = first(session) {
            end(session, topic.name());
        }
    }
    reply.nothing()
}

/// Pushes a confirmation: the command, the name and the client's number of subscriptions.
fn confirm(request: &Request<'_>, name: Option<&[u8]>, session: &mut Session) {
    let count = session.subscriptions().map_or(0, Subscriptions::count);
    session.push(|message| {
        message.message(3, |items| {
            items.add(|item| item.bulk(request.name().to_ascii_lowercase()));
            items.add(|item| match name {
                Some(name) => item.bulk(name),
                None => item.null(),
            });
            items.add(|item| item.integer(count as i64));
        })
    });
}

/// `PUBLISH channel message`: sends the message to all subscribers and answers their number. Takes
/// messages of the `following` requests too.
fn publish_burst<'a>(
    session: &mut Session,
    request: &Request<'a>,
    following: &mut LastArguments<'a>,
    reply: Reply<'_>,
) -> Replied {
    let (channel, message) = (argument(request, 0), argument(request, 1));
    if channel.len() > CHANNEL_BYTES_MAX {
        return too_long(reply);
    }
    // A publisher that subscribes to the channel gets the message before the reply, as in Redis,
    // and needs no notification.
    let state = session.server_state();
    // EXEC's hook may wait after this, and so may middleware.
    let may_wait = !session.is_in_exec() && !state.observes_every_call();
    let count = state.publish_in_turn(channel, message, following, session.id(), may_wait);
    if session.subscriptions().is_some() {
        session.push_messages();
    }
    reply.integer(count as i64)
}

/// `PUBSUB CHANNELS [pattern]`: the channels with subscribers.
fn channels(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    if request.word_count() > 3 {
        return wrong_arguments("PUBSUB", request, reply);
    }
    let channels = session.server_state().channels.active();
    let channels: Vec<_> = match request.argument(1).map(glob::Pattern::new) {
        None => channels.collect(),
        Some(Ok(pattern)) => channels
            .filter(|channel| pattern.matches(channel.name()))
            .collect(),
        Some(Err(glob::TooLong)) => return pattern_too_long(reply),
    };
    bulks(channels.iter().map(|channel| channel.name()), reply)
}

/// `PUBSUB NUMSUB [channel …]`: each channel and its number of subscribers, without patterns.
fn numsub(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let channels = &session.server_state().channels;
    let names = request.arguments().skip(1);
    reply.array(2 * (request.word_count() - 2), |items| {
        for name in names {
            items.add(|item| item.bulk(name));
            items.add(|item| item.integer(channels.listeners(name) as i64));
        }
    })
}

/// `PUBSUB NUMPAT`: the number of patterns with subscribers.
fn numpat(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    let (_, patterns) = session.server_state().channels.counts();
    reply.integer(patterns as i64)
}
