//! Pub/sub: `SUBSCRIBE`, `PUBLISH`, `PUBSUB` and their like.

use std::sync::Arc;

use super::arguments::{pattern_too_long, wrong_arguments};
use crate::client::session::{Session, restriction};
use crate::command::entry::{OwnHandler, PausePolicy};
use crate::command::{Arity, Commands};
use crate::glob;
use crate::resp::{Replied, Reply, Request};
use crate::state::channels::{
    CHANNEL_BYTES_MAX, Kind, PATTERN_BYTES_MAX, Subscriptions, Unsubscribable,
};
use crate::state::clients::ClientInfo;

pub(super) fn register(commands: &mut Commands) {
    let mut listening = |name, arity, handler: OwnHandler| {
        commands
            .register_own(name, arity, handler)
            .passes(restriction::SUBSCRIBED);
    };
    listening("SUBSCRIBE", Arity::AtLeast(2), subscribe);
    listening("UNSUBSCRIBE", Arity::AtLeast(1), unsubscribe);
    listening("PSUBSCRIBE", Arity::AtLeast(2), psubscribe);
    listening("PUNSUBSCRIBE", Arity::AtLeast(1), punsubscribe);
    commands
        .register_own("PUBLISH", Arity::Exactly(3), publish)
        .is_held_with(PausePolicy::WithWrites);
    let mut pubsub = commands.own_container("PUBSUB");
    pubsub.register_own("CHANNELS", Arity::AtLeast(2), channels);
    pubsub.register_own("NUMSUB", Arity::AtLeast(2), numsub);
    pubsub.register_own("NUMPAT", Arity::Exactly(2), numpat);
}

/// `SUBSCRIBE channel …`: a confirmation for each, and from now on what is published there.
fn subscribe(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    subscribe_to(Kind::Channel, "subscribe", session, request, reply)
}

/// `PSUBSCRIBE pattern …`: as `SUBSCRIBE`, to every channel whose name matches.
fn psubscribe(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    subscribe_to(Kind::Pattern, "psubscribe", session, request, reply)
}

fn subscribe_to(
    kind: Kind,
    word: &str,
    session: &mut Session,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> Replied {
    let state = Arc::clone(session.server());
    let info = Arc::clone(session.info());
    for name in request.arguments() {
        match session.subscribe(|own| state.channels.subscribe(&info, own, kind, name)) {
            Ok(()) => confirm(word, Some(name), session),
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

/// `UNSUBSCRIBE [channel …]`: from these channels, or from all. A confirmation for each.
fn unsubscribe(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    unsubscribe_from(Kind::Channel, "unsubscribe", session, request, reply)
}

/// `PUNSUBSCRIBE [pattern …]`: from these patterns, or from all.
fn punsubscribe(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    unsubscribe_from(Kind::Pattern, "punsubscribe", session, request, reply)
}

fn unsubscribe_from(
    kind: Kind,
    word: &str,
    session: &mut Session,
    request: &Request<'_>,
    reply: Reply<'_>,
) -> Replied {
    let state = Arc::clone(session.server());
    let info = Arc::clone(session.info());
    let end = |session: &mut Session, name: &[u8]| {
        session.subscribe(|own| state.channels.unsubscribe(&info, own, kind, name));
        // A message from before must not stand after the confirmation.
        session.push_messages();
        confirm(word, Some(name), session);
    };
    let first = |session: &Session| session.subscriptions()?.first(kind);
    if request.word_count() > 1 {
        request.arguments().for_each(|name| end(session, name));
    } else if first(session).is_none() {
        confirm(word, None, session);
    } else {
        while let Some(topic) = first(session) {
            end(session, topic.name());
        }
    }
    reply.nothing()
}

/// Pushes a confirmation: what was done, for which name, and how many subscriptions there are now.
fn confirm(word: &str, name: Option<&[u8]>, session: &mut Session) {
    let count = session.subscriptions().map_or(0, Subscriptions::count);
    session.push(|message| {
        message.message(3, |items| {
            items.add(|item| item.bulk(word));
            items.add(|item| match name {
                Some(name) => item.bulk(name),
                None => item.null(),
            });
            items.add(|item| item.integer(count as i64));
        })
    });
}

/// `PUBLISH channel message`: for all who listen. Gives how often it was received.
fn publish(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let mut words = request.arguments();
    let (channel, message) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    if channel.len() > CHANNEL_BYTES_MAX {
        return too_long(reply);
    }
    let state = session.server();
    // Who listens to itself gets the message before the reply, as in Redis, and need not be told.
    let is_own = |info: &ClientInfo| info.id == session.id();
    let mut told = Vec::new();
    let count = state.channels.publish(
        channel,
        message,
        state.now_s(),
        state.messages_limit(),
        |info| {
            if !is_own(info) {
                told.push(info.slot);
            }
        },
    );
    state.notify(&told);
    if session.subscriptions().is_some() {
        session.push_messages();
    }
    reply.integer(count as i64)
}

/// `PUBSUB CHANNELS [pattern]`: the channels that somebody is subscribed to.
fn channels(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    if request.word_count() > 3 {
        return wrong_arguments("PUBSUB", request, reply);
    }
    let channels = session.server().channels.active();
    let channels: Vec<_> = match request.argument(1).map(glob::Pattern::new) {
        None => channels.collect(),
        Some(Ok(pattern)) => channels
            .filter(|channel| pattern.matches(channel.name()))
            .collect(),
        Some(Err(glob::TooLong)) => return pattern_too_long(reply),
    };
    reply.array(channels.len(), |items| {
        for channel in &channels {
            items.add(|item| item.bulk(channel.name()));
        }
    })
}

/// `PUBSUB NUMSUB [channel …]`: each channel and its subscribers, those by patterns not counted.
fn numsub(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let channels = &session.server().channels;
    let names = request.arguments().skip(1);
    reply.array(2 * (request.word_count() - 2), |items| {
        for name in names {
            items.add(|item| item.bulk(name));
            items.add(|item| item.integer(channels.listeners(name) as i64));
        }
    })
}

/// `PUBSUB NUMPAT`: how many patterns somebody is subscribed to.
fn numpat(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    let (_, patterns) = session.server().channels.counts();
    reply.integer(patterns as i64)
}
