//! `CLIENT KILL`.

use std::sync::Arc;

use super::kind;
use crate::client::session::Session;
use crate::command::builtin::common::is;
use crate::resp::{Replied, Reply, Request, parse_integer};
use crate::state::ServerState;
use crate::state::clients::{ClientInfo, DEFAULT_USER, WrittenAddr};
use crate::state::inbox::KillReason;

/// `CLIENT KILL address` or `CLIENT KILL option value …`: closes the clients that match.
pub(super) fn kill(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let is_old_form = request.word_count() == 3;
    let state = Arc::clone(session.server_state());
    let filters = match Filters::parse(request, &state) {
        Ok(filters) => filters,
        Err(text) => return reply.error(text),
    };
    let now_s = state.now_s();
    let matches = |info: &Arc<ClientInfo>| {
        filters.match_client(info, now_s) && !(filters.spares_self && info.id == session.id())
    };
    let matching: Vec<_> = if let Some(id) = filters.id {
        state.clients.find(id).into_iter().filter(matches).collect()
    } else {
        let count_max = if is_old_form { 1 } else { usize::MAX };
        state
            .clients
            .all()
            .filter(matches)
            .take(count_max)
            .collect()
    };
    let mut killed_slots = Vec::new();
    for info in &matching {
        if info.id == session.id() {
            session.close_after_reply();
        } else {
            info.inbox.kill(KillReason::ClientKill);
            killed_slots.push(info.slot);
        }
    }
    state.notify(&killed_slots);
    match (is_old_form, matching.len()) {
        (true, 0) => reply.error("ERR No such client"),
        (true, _) => reply.simple("OK"),
        (false, count) => reply.integer(count as i64),
    }
}

fn is_user(info: &ClientInfo, user: &[u8]) -> bool {
    info.with_identity(|identity| identity.user().as_bytes() == user)
}

/// Whether there may be such a user. If the program checks logins, only it knows.
fn is_known(user: &[u8], state: &ServerState) -> bool {
    user == DEFAULT_USER.as_bytes()
        || state.settings.has_on_auth()
        || state.clients.all().any(|info| is_user(&info, user))
}

/// Conditions that a client has to meet to be closed.
#[derive(Debug, Default)]
struct Filters<'a> {
    id: Option<u64>,
    addr: Option<WrittenAddr<'a>>,
    local_addr: Option<WrittenAddr<'a>>,
    user: Option<&'a [u8]>,
    kind: Option<&'static str>,
    age_s: Option<u64>,
    spares_self: bool,
}

impl<'a> Filters<'a> {
    /// Reads an address, or pairs of option and value; an error is the text of the reply.
    fn parse(request: &Request<'a>, state: &ServerState) -> Result<Self, Vec<u8>> {
        if request.word_count() == 3 {
            return Ok(Self {
                addr: request.argument(1).map(WrittenAddr::new),
                ..Self::default()
            });
        }
        let mut filters = Self {
            spares_self: true,
            ..Self::default()
        };
        let mut arguments = request.arguments().skip(1);
        while let Some(option) = arguments.next() {
            let value = arguments.next().ok_or(b"ERR syntax error")?;
            let positive = |error: &str| match parse_integer(value) {
                Some(number @ 1..) => Ok(Some(number as u64)),
                _ => Err(error.as_bytes().to_vec()),
            };
            if is(option, "ID") {
                filters.id = positive("ERR client-id should be greater than 0")?;
            } else if is(option, "MAXAGE") {
                filters.age_s = positive("ERR maxage should be greater than 0")?;
            } else if is(option, "TYPE") {
                filters.kind = Some(kind::named(value)?);
            } else if is(option, "ADDR") {
                filters.addr = Some(WrittenAddr::new(value));
            } else if is(option, "LADDR") {
                filters.local_addr = Some(WrittenAddr::new(value));
            } else if is(option, "USER") {
                if !is_known(value, state) {
                    return Err([b"ERR No such user '", value, b"'"].concat());
                }
                filters.user = Some(value);
            } else if is(option, "SKIPME") && (is(value, "yes") || is(value, "no")) {
                filters.spares_self = is(value, "yes");
            } else {
                return Err(b"ERR syntax error".into());
            }
        }
        Ok(filters)
    }

    fn match_client(&self, info: &ClientInfo, now_s: u32) -> bool {
        let age_s = u64::from(now_s.saturating_sub(info.came_at_s));
        self.id.is_none_or(|id| id == info.id)
            && self.user.is_none_or(|user| is_user(info, user))
            && self.kind.is_none_or(|wanted| wanted == kind::of(info))
            && self.age_s.is_none_or(|limit_s| age_s >= limit_s)
            && self.addr.is_none_or(|addr| addr.is(&info.peer))
            && self.local_addr.is_none_or(|addr| addr.is(&info.local()))
    }
}
