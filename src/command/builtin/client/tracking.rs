//! `CLIENT TRACKING` and its like. There are no keys, so no client is ever sent an invalidation;
//! the options are checked and reported as in Redis (`src/tracking.c`).

use std::iter;

use crate::client::session::{Session, Tracking, TrackingFlags as Flags};
use crate::command::builtin::common::{NOT_AN_INTEGER, argument, bulks, is, set, syntax_error};
use crate::resp::{Replied, Reply, Request, parse_integer};
use crate::state::ServerState;

/// `CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX prefix …] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]`.
pub(super) fn tracking(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let (mut wanted, prefixes) = match parse(request, session.server_state()) {
        Ok(wanted) => wanted,
        Err(text) => return reply.error(text),
    };
    let switch = argument(request, 1);
    if is(switch, "off") {
        session.set_tracking(None);
    } else if is(switch, "on") {
        let current = session.tracking();
        if let Some(text) = conflict(&wanted, &prefixes, current) {
            return reply.error(text);
        }
        let current = current.map_or(&[][..], |current| &current.prefixes);
        match joined(&prefixes, current) {
            Ok(joined) => wanted.prefixes = joined,
            Err(text) => return reply.error(text),
        }
        if wanted.flags.contains(Flags::BCAST) && wanted.prefixes.is_empty() {
            // Every key.
            wanted.prefixes.push(Box::default());
        }
        session.set_tracking(Some(wanted));
    } else {
        return syntax_error(reply);
    }
    reply.simple("OK")
}

/// Returns the options, and the prefixes apart; an error is the text of the reply.
fn parse<'a>(
    request: &Request<'a>,
    state: &ServerState,
) -> Result<(Tracking, Vec<&'a [u8]>), &'static str> {
    let (mut wanted, mut prefixes) = (Tracking::default(), Vec::new());
    let mut options = request.arguments().skip(2);
    while let Some(option) = options.next() {
        let has_value = options.len() > 0;
        if is(option, "REDIRECT") && has_value {
            if wanted.redirect != 0 {
                return Err("ERR A client can only redirect to a single other client");
            }
            let id = options.next().and_then(parse_integer);
            wanted.redirect = id.ok_or(NOT_AN_INTEGER)? as u64;
            if state.clients.find(wanted.redirect).is_none() {
                return Err("ERR The client ID you want redirect to does not exist");
            }
        } else if is(option, "PREFIX") && has_value {
            prefixes.extend(options.next());
        } else if let Some(flag) = flag_of(option) {
            wanted.flags |= flag;
        } else {
            return Err("ERR syntax error");
        }
    }
    Ok((wanted, prefixes))
}

/// Returns the flag that an option sets; CLIENT CACHING sets those that no option has.
fn flag_of(option: &[u8]) -> Option<Flags> {
    let mut flags = FLAGS
        .into_iter()
        .filter(|(_, name)| !name.starts_with("caching"));
    flags.find_map(|(flag, name)| is(option, name).then_some(flag))
}

/// In the order of `CLIENT TRACKINGINFO`.
const FLAGS: [(Flags, &str); 6] = [
    (Flags::BCAST, "bcast"),
    (Flags::OPTIN, "optin"),
    (Flags::CACHING_YES, "caching-yes"),
    (Flags::OPTOUT, "optout"),
    (Flags::CACHING_NO, "caching-no"),
    (Flags::NOLOOP, "noloop"),
];

/// Returns Redis's error if the options contradict one another or those in force.
fn conflict(
    wanted: &Tracking,
    prefixes: &[&[u8]],
    current: Option<&Tracking>,
) -> Option<&'static str> {
    let [bcast, optin, optout] =
        [Flags::BCAST, Flags::OPTIN, Flags::OPTOUT].map(|it| wanted.flags.contains(it));
    let had = |flag| current.is_some_and(|current| current.flags.contains(flag));
    let rules = [
        (
            !bcast && !prefixes.is_empty(),
            "ERR PREFIX option requires BCAST mode to be enabled",
        ),
        (
            current.is_some() && had(Flags::BCAST) != bcast,
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and \
             then re-enabling it with a different mode.",
        ),
        (
            bcast && (optin || optout),
            "ERR OPTIN and OPTOUT are not compatible with BCAST",
        ),
        (
            optin && optout,
            "ERR You can't specify both OPTIN mode and OPTOUT mode",
        ),
        (
            (optin && had(Flags::OPTOUT)) || (optout && had(Flags::OPTIN)),
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and \
             then re-enabling it with a different mode.",
        ),
    ];
    let broken = rules.iter().find(|(is_broken, _)| *is_broken);
    broken.map(|(_, text)| *text)
}

/// Returns the client's prefixes with the new ones, sorted; an error, the text of the reply, if one
/// begins with another.
///
/// Redis bounds neither their number nor their bytes. Here they are bounded, because they take
/// memory and time for nothing.
fn joined(new: &[&[u8]], current: &[Box<[u8]>]) -> Result<Vec<Box<[u8]>>, Vec<u8>> {
    let mut all: Vec<&[u8]> = new.to_vec();
    all.extend(current.iter().map(|prefix| &**prefix));
    let bytes: usize = all.iter().map(|prefix| prefix.len()).sum();
    if all.len() > PREFIXES_MAX || bytes > PREFIXES_BYTES_MAX {
        return Err(b"ERR too many prefixes".into());
    }
    for (index, prefix) in new.iter().enumerate() {
        let overlaps = |other: &&[u8]| prefix.starts_with(other) || other.starts_with(prefix);
        let existing = current.iter().map(|other| &**other).find(overlaps);
        let provided = new[index + 1..].iter().copied().find(overlaps);
        let (which, other) = match (existing, provided) {
            (Some(other), _) => ("an existing", other),
            (None, Some(other)) => ("another provided", other),
            (None, None) => continue,
        };
        let which = format!("' overlaps with {which} prefix '");
        let end = b"'. Prefixes for a single client must not overlap.";
        return Err([b"ERR Prefix '", *prefix, which.as_bytes(), other, end].concat());
    }
    all.sort_unstable();
    Ok(all.into_iter().map(Box::from).collect())
}

/// Prefixes of one client.
const PREFIXES_MAX: usize = 256;

/// Bytes of all prefixes of one client.
const PREFIXES_BYTES_MAX: usize = 16 * 1024;

/// `CLIENT CACHING YES|NO`: whether the keys of the next request are to be tracked.
pub(super) fn caching(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let word = argument(request, 1);
    let Some(tracking) = session.tracking() else {
        return reply.error(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN \
             or OPTOUT mode enabled",
        );
    };
    let (mode, answer, text) = if is(word, "yes") {
        let text = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.";
        (Flags::OPTIN, Flags::CACHING_YES, text)
    } else if is(word, "no") {
        let text = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.";
        (Flags::OPTOUT, Flags::CACHING_NO, text)
    } else {
        return syntax_error(reply);
    };
    if !tracking.flags.contains(mode) {
        return reply.error(text);
    }
    let mut tracking = tracking.clone();
    tracking.flags |= answer;
    session.set_tracking(Some(tracking));
    reply.simple("OK")
}

/// `CLIENT TRACKINGINFO`: the options in force.
pub(super) fn trackinginfo(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    let tracking = session.tracking();
    let has = |flag| tracking.is_some_and(|tracking| tracking.flags.contains(flag));
    let switch = if tracking.is_some() { "on" } else { "off" };
    let options = FLAGS.into_iter().filter(|(flag, _)| has(*flag));
    let flags = iter::once(switch).chain(options.map(|(_, name)| name));
    let prefixes = tracking.map_or(&[][..], |tracking| &tracking.prefixes);
    reply.map(3, |fields| {
        fields.pair("flags", |value| {
            set(flags, value, |name, item| item.bulk(name))
        });
        fields.pair("redirect", |value| value.integer(redirect(session)));
        fields.pair("prefixes", |value| bulks(prefixes, value));
    })
}

/// `CLIENT GETREDIR`: the client that is sent invalidations instead of this one; 0 if there is
/// none, -1 if nothing is tracked.
pub(super) fn getredir(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.integer(redirect(session))
}

fn redirect(session: &Session) -> i64 {
    let tracking = session.tracking();
    tracking.map_or(-1, |tracking| tracking.redirect as i64)
}
