//! `CLIENT TRACKING` and what belongs to it. There are no keys, so no client is ever told that one
//! has changed; but what it has asked for is checked and remembered as in Redis (`src/tracking.c`).

use crate::command::builtin::arguments::{NOT_AN_INTEGER, argument, is, syntax_error};
use crate::client::session::{Session, Tracking};
use crate::command::{Arity, Container};
use crate::resp::{Replied, Reply, Request, parse_integer};
use crate::state::ServerState;

pub(crate) fn register(client: &mut Container<'_>) {
    client.register_own("TRACKING", Arity::AtLeast(3), tracking);
    client.register_own("CACHING", Arity::Exactly(3), caching);
    client.register_own("TRACKINGINFO", Arity::Exactly(2), trackinginfo);
    client.register_own("GETREDIR", Arity::Exactly(2), getredir);
}

/// `CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX prefix …] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]`.
fn tracking(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let (wanted, prefixes) = match parse(request, session.server()) {
        Ok(wanted) => wanted,
        Err(text) => return reply.error(text),
    };
    let switch = argument(request, 1);
    if is(switch, "off") {
        session.set_tracking(None);
    } else if is(switch, "on") {
        match wanted.beside(&prefixes, session.tracking()) {
            Ok(tracking) => session.set_tracking(Some(tracking)),
            Err(text) => return reply.error(text),
        }
    } else {
        return syntax_error(reply);
    }
    reply.simple("OK")
}

/// Returns what the options ask for, and the prefixes apart; an error is the text of the reply.
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
        } else if is(option, "BCAST") {
            wanted.broadcasts = true;
        } else if is(option, "OPTIN") {
            wanted.opts_in = true;
        } else if is(option, "OPTOUT") {
            wanted.opts_out = true;
        } else if is(option, "NOLOOP") {
            wanted.no_loop = true;
        } else {
            return Err("ERR syntax error");
        }
    }
    Ok((wanted, prefixes))
}

impl Tracking {
    /// These wishes, if they agree with one another and with those that hold already.
    fn beside(mut self, prefixes: &[&[u8]], current: Option<&Self>) -> Result<Self, Vec<u8>> {
        if !self.broadcasts && !prefixes.is_empty() {
            return Err(b"ERR PREFIX option requires BCAST mode to be enabled".into());
        }
        if current.is_some_and(|current| current.broadcasts != self.broadcasts) {
            return Err(
                b"ERR You can't switch BCAST mode on/off before disabling tracking for this \
                client, and then re-enabling it with a different mode."
                    .into(),
            );
        }
        if self.broadcasts && (self.opts_in || self.opts_out) {
            return Err(b"ERR OPTIN and OPTOUT are not compatible with BCAST".into());
        }
        if self.opts_in && self.opts_out {
            return Err(b"ERR You can't specify both OPTIN mode and OPTOUT mode".into());
        }
        if current.is_some_and(|current| {
            (self.opts_in && current.opts_out) || (self.opts_out && current.opts_in)
        }) {
            return Err(
                b"ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this \
                client, and then re-enabling it with a different mode."
                    .into(),
            );
        }
        self.add_prefixes(prefixes, current)?;
        Ok(self)
    }

    /// Joins the prefixes that hold already to those that are wanted. No two may be such that one
    /// begins with the other.
    ///
    /// Redis bounds neither their number nor their bytes; here nothing comes of them, so a client
    /// may not have much kept and compared for them.
    fn add_prefixes(&mut self, new: &[&[u8]], current: Option<&Self>) -> Result<(), Vec<u8>> {
        let held = current.map_or(&[][..], |current| &current.prefixes);
        let all = new
            .iter()
            .copied()
            .chain(held.iter().map(|prefix| &**prefix));
        let bytes: usize = all.map(<[u8]>::len).sum();
        if new.len() + held.len() > PREFIXES_MAX || bytes > PREFIXES_BYTES_MAX {
            return Err(b"ERR too many prefixes".into());
        }
        for (index, prefix) in new.iter().enumerate() {
            let overlaps = |other: &[u8]| prefix.starts_with(other) || other.starts_with(prefix);
            let mut existing = held.iter().map(|other| &**other);
            let mut provided = new[index + 1..].iter().copied();
            let (which, other) = if let Some(other) = existing.find(|other| overlaps(other)) {
                ("an existing", other)
            } else if let Some(other) = provided.find(|other| overlaps(other)) {
                ("another provided", other)
            } else {
                continue;
            };
            let mut text = b"ERR Prefix '".to_vec();
            text.extend_from_slice(prefix);
            text.extend_from_slice(format!("' overlaps with {which} prefix '").as_bytes());
            text.extend_from_slice(other);
            text.extend_from_slice(b"'. Prefixes for a single client must not overlap.");
            return Err(text);
        }
        if self.broadcasts && new.is_empty() && held.is_empty() {
            // Every key.
            self.prefixes.push(Box::default());
        }
        self.prefixes
            .extend(new.iter().map(|&prefix| prefix.into()));
        self.prefixes.extend_from_slice(held);
        self.prefixes.sort();
        Ok(())
    }
}

/// Prefixes of one client.
const PREFIXES_MAX: usize = 256;

/// Bytes of all of them.
const PREFIXES_BYTES_MAX: usize = 16 * 1024;

/// `CLIENT CACHING YES|NO`: whether the keys of the next request are to be tracked.
fn caching(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let word = argument(request, 1);
    let Some(tracking) = session.tracking() else {
        return reply.error(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN \
             or OPTOUT mode enabled",
        );
    };
    let (mode_fits, text) = if is(word, "yes") {
        let text = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.";
        (tracking.opts_in, text)
    } else if is(word, "no") {
        let text = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.";
        (tracking.opts_out, text)
    } else {
        return syntax_error(reply);
    };
    if !mode_fits {
        return reply.error(text);
    }
    let tracking = Tracking {
        caching: true,
        ..tracking.clone()
    };
    session.set_tracking(Some(tracking));
    reply.simple("OK")
}

/// `CLIENT TRACKINGINFO`: what the client has asked for.
fn trackinginfo(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    let none = Tracking::default();
    let tracking = session.tracking();
    let is_on = tracking.is_some();
    let tracking = tracking.unwrap_or(&none);
    let flags = [
        (!is_on, "off"),
        (is_on, "on"),
        (tracking.broadcasts, "bcast"),
        (tracking.opts_in, "optin"),
        (tracking.opts_in && tracking.caching, "caching-yes"),
        (tracking.opts_out, "optout"),
        (tracking.opts_out && tracking.caching, "caching-no"),
        (tracking.no_loop, "noloop"),
    ];
    let flags: Vec<_> = flags.iter().filter(|(set, _)| *set).collect();
    reply.map(3, |fields| {
        fields.pair("flags", |value| {
            value.set(flags.len(), |items| {
                for (_, name) in &flags {
                    items.add(|item| item.bulk(name));
                }
            })
        });
        fields.pair("redirect", |value| value.integer(redirect(session)));
        fields.pair("prefixes", |value| {
            value.array(tracking.prefixes.len(), |items| {
                for prefix in &tracking.prefixes {
                    items.add(|item| item.bulk(prefix));
                }
            })
        });
    })
}

/// `CLIENT GETREDIR`: the client that is told instead of this one; 0 if none is, -1 if nothing is
/// tracked.
fn getredir(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    reply.integer(redirect(session))
}

fn redirect(session: &Session) -> i64 {
    session
        .tracking()
        .map_or(-1, |tracking| tracking.redirect as i64)
}
