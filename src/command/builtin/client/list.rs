//! `CLIENT LIST`, `KILL`, `PAUSE` and their like: what a client asks about others, and does to
//! them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::command::builtin::arguments::{argument, is, syntax_error, wrong_arguments};
use crate::client::session::Session;
use crate::command::entry::PausePolicy;
use crate::command::{Arity, Container};
use crate::resp::{Protocol, Replied, Reply, Request, parse_integer};
use crate::state::clients::{ClientInfo, KillReason, NO_COMMAND, WrittenAddr, flag};
use crate::state::{ServerState, pause};

pub(crate) fn register(client: &mut Container<'_>) {
    client.register_own("LIST", Arity::AtLeast(2), list);
    client.register_own("KILL", Arity::AtLeast(3), kill);
    client.register_own("PAUSE", Arity::AtLeast(3), pause);
    client
        .register_own("UNPAUSE", Arity::Exactly(2), unpause)
        .is_held_with(PausePolicy::Never);
    client.register_own("UNBLOCK", Arity::AtLeast(3), unblock);
}

/// Appends a client's line of the list: the fields of Redis 7.2, and after them those of later
/// versions. A field is always 0 or -1 if respool does not have what it counts, or does not count it
/// for each client.
pub(crate) fn add_line(list: &mut String, state: &ServerState, info: &ClientInfo) {
    let now_s = state.now_s();
    let count = |number: &std::sync::atomic::AtomicU32| number.load(Ordering::Relaxed);
    let inbox_bytes = info.inbox_bytes();
    let pending_output_bytes = info.pending_output_bytes();
    let command = match info.command.load(Ordering::Relaxed) {
        NO_COMMAND => "NULL",
        index => state
            .catalog
            .get(index.into())
            .map_or("NULL", |command| &command.full_name),
    };
    let version = match info.protocol() {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    info.with_identity(|identity| {
        let text = String::from_utf8_lossy;
        let redirect = if info.has(flag::TRACKING) {
            identity.redirect as i64
        } else {
            -1
        };
        // Writing to a string does not fail.
        let _ = write!(
            list,
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags=",
            info.id,
            info.peer_addr,
            info.local_addr,
            info.descriptor,
            text(&identity.name),
            now_s.saturating_sub(info.came_at_s),
            now_s.saturating_sub(count(&info.active_at_s)),
        );
        add_flags(list, info);
        let _ = writeln!(
            list,
            " db={} sub={} psub={} ssub=0 multi=-1 qbuf={} qbuf-free={} argv-mem={} \
             multi-mem=0 rbs=0 rbp=0 obl={pending_output_bytes} oll={} omem={} tot-mem={} events={} \
             cmd={command} user=default redir={redirect} resp={version} lib-name={} lib-ver={} \
             watch=0 tot-net-in={} tot-net-out={} tot-cmds={}",
            info.database.load(Ordering::Relaxed),
            count(&info.channels),
            count(&info.patterns),
            info.pending_input_bytes(),
            info.free_bytes(),
            info.table_bytes(),
            u8::from(inbox_bytes > 0),
            pending_output_bytes + inbox_bytes,
            QUIET_BYTES + info.memory_bytes(),
            if pending_output_bytes > 0 { 'w' } else { 'r' },
            text(&identity.library_name),
            text(&identity.library_version),
            info.traffic.bytes_read.get(),
            info.traffic.bytes_sent.get(),
            info.traffic.requests.get(),
        );
    });
}

/// Bytes that a client takes for which nothing is held.
const QUIET_BYTES: u64 = (size_of::<ClientInfo>() + size_of::<Session>()) as u64;

/// Appends Redis's letters, in its order.
fn add_flags(list: &mut String, info: &ClientInfo) {
    let letters = [
        (flag::MONITOR, 'O'),
        (flag::SUBSCRIBER, 'P'),
        (flag::PAUSED, 'b'),
        (flag::TRACKING, 't'),
        (flag::CLOSING, 'c'),
        (flag::NO_EVICT, 'e'),
        (flag::NO_TOUCH, 'T'),
    ];
    let length = list.len();
    let set = letters.iter().filter(|(flag, _)| info.has(*flag));
    list.extend(set.map(|(_, letter)| letter));
    if list.len() == length {
        list.push('N');
    }
}

/// The kinds of clients that Redis tells apart. Respool has no masters and no replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Normal,
    Pubsub,
    Other,
}

impl Type {
    fn named(name: &[u8]) -> Option<Self> {
        if is(name, "normal") {
            Some(Self::Normal)
        } else if is(name, "pubsub") {
            Some(Self::Pubsub)
        } else {
            let others = ["master", "replica", "slave"];
            others
                .iter()
                .any(|other| is(name, other))
                .then_some(Self::Other)
        }
    }

    fn of(info: &ClientInfo) -> Self {
        if info.has(flag::SUBSCRIBER) {
            Self::Pubsub
        } else {
            Self::Normal
        }
    }
}

fn unknown_type(name: &[u8], reply: Reply<'_>) -> Replied {
    reply.error([b"ERR Unknown client type '", name, b"'"].concat())
}

/// `CLIENT LIST [TYPE type | ID id …]`: a line for each client, wherever it is.
fn list(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let state = session.server();
    let mut lines = String::new();
    let mut add = |info: &ClientInfo| add_line(&mut lines, state, info);
    let mut arguments = request.arguments().skip(1);
    match (arguments.next(), request.word_count()) {
        (None, _) => state.clients.all().for_each(|info| add(&info)),
        (Some(option), 4) if is(option, "TYPE") => {
            let name = argument(request, 2);
            let Some(kind) = Type::named(name) else {
                return unknown_type(name, reply);
            };
            let infos = state.clients.all();
            infos
                .filter(|info| Type::of(info) == kind)
                .for_each(|info| add(&info));
        }
        (Some(option), 4..) if is(option, "ID") => {
            // Each once, or a short request could have an endless reply.
            let mut seen = BTreeSet::new();
            for id in arguments {
                let Some(id) = parse_integer(id) else {
                    return reply.error("ERR Invalid client ID");
                };
                let info = state.clients.find(id as u64);
                if let Some(info) = info.filter(|info| seen.insert(info.id)) {
                    add(&info);
                }
            }
        }
        _ => return syntax_error(reply),
    }
    reply.verbatim(lines)
}

/// Who is to be closed.
#[derive(Debug, Default)]
struct Filters {
    id: Option<u64>,
    addr: Option<WrittenAddr>,
    local_addr: Option<WrittenAddr>,
    kind: Option<Type>,
    age_s: Option<u64>,
    spares_self: bool,
}

impl Filters {
    /// Reads pairs of option and value; an error is the text of the reply.
    fn parse(request: &Request<'_>) -> Result<Self, Vec<u8>> {
        let mut filters = Self {
            spares_self: true,
            ..Self::default()
        };
        let mut arguments = request.arguments().skip(1);
        while let Some(option) = arguments.next() {
            let value = arguments.next().ok_or(b"ERR syntax error")?;
            let positive = || parse_integer(value).filter(|&number| number > 0);
            if is(option, "ID") {
                let id = positive().ok_or(b"ERR client-id should be greater than 0")?;
                filters.id = Some(id as u64);
            } else if is(option, "MAXAGE") {
                let age_s = positive().ok_or(b"ERR maxage should be greater than 0")?;
                filters.age_s = Some(age_s as u64);
            } else if is(option, "TYPE") {
                let kind = Type::named(value);
                filters.kind =
                    Some(kind.ok_or_else(|| [b"ERR Unknown client type '", value, b"'"].concat())?);
            } else if is(option, "ADDR") {
                filters.addr = Some(WrittenAddr::new(value));
            } else if is(option, "LADDR") {
                filters.local_addr = Some(WrittenAddr::new(value));
            } else if is(option, "USER") {
                // There is one user, and everybody is it.
                if value != b"default" {
                    return Err([b"ERR No such user '", value, b"'"].concat());
                }
            } else if is(option, "SKIPME") && is(value, "yes") {
                filters.spares_self = true;
            } else if is(option, "SKIPME") && is(value, "no") {
                filters.spares_self = false;
            } else {
                return Err(b"ERR syntax error".into());
            }
        }
        Ok(filters)
    }

    fn mean(&self, info: &ClientInfo, now_s: u32) -> bool {
        let age_s = u64::from(now_s.saturating_sub(info.came_at_s));
        self.id.is_none_or(|id| id == info.id)
            && self.kind.is_none_or(|kind| kind == Type::of(info))
            && self.age_s.is_none_or(|limit_s| age_s >= limit_s)
            && self.addr.is_none_or(|addr| addr.is(&info.peer_addr))
            && self.local_addr.is_none_or(|addr| addr.is(&info.local_addr))
    }
}

/// `CLIENT KILL address` or `CLIENT KILL option value …`: closes the clients that are meant.
fn kill(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let is_old_form = request.word_count() == 3;
    let filters = if is_old_form {
        Filters {
            addr: request.argument(1).map(WrittenAddr::new),
            ..Filters::default()
        }
    } else {
        match Filters::parse(request) {
            Ok(filters) => filters,
            Err(text) => return reply.error(text),
        }
    };
    let state = Arc::clone(session.server());
    let now_s = state.now_s();
    let is_meant = |info: &Arc<ClientInfo>| {
        filters.mean(info, now_s) && !(filters.spares_self && info.id == session.id())
    };
    let count_max = if is_old_form { 1 } else { usize::MAX };
    let meant: Vec<_> = if let Some(id) = filters.id {
        let found = state.clients.find(id);
        found.into_iter().filter(is_meant).collect()
    } else {
        let all = state.clients.all();
        all.filter(is_meant).take(count_max).collect()
    };
    let mut told = Vec::new();
    for info in &meant {
        if info.id == session.id() {
            session.close_after_reply();
        } else {
            info.kill(KillReason::ClientKill);
            told.push(info.slot);
        }
    }
    state.notify(&told);
    match (is_old_form, meant.len()) {
        (true, 0) => reply.error("ERR No such client"),
        (true, _) => reply.simple("OK"),
        (false, count) => reply.integer(count as i64),
    }
}

/// `CLIENT PAUSE milliseconds [WRITE|ALL]`: the requests of other clients wait. Unlike Redis's, it
/// holds neither `CLIENT UNPAUSE` up, nor the client that asked for it, nor a drain.
fn pause(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let held = match (request.word_count(), request.argument(2)) {
        (3, _) => pause::ALL,
        (4, Some(mode)) if is(mode, "ALL") => pause::ALL,
        (4, Some(mode)) if is(mode, "WRITE") => pause::WRITES,
        (4, _) => return reply.error("ERR CLIENT PAUSE mode must be WRITE or ALL"),
        _ => return wrong_arguments("CLIENT", request, reply),
    };
    let Some(lasts_ms) = parse_integer(argument(request, 1)) else {
        return reply.error("ERR timeout is not an integer or out of range");
    };
    let Ok(lasts_ms) = u64::try_from(lasts_ms) else {
        return reply.error("ERR timeout is negative");
    };
    let state = session.server();
    let lasts = Duration::from_millis(lasts_ms);
    state.pause.begin(session.id(), held, lasts);
    follow_pause(state);
    reply.simple("OK")
}

/// `CLIENT UNPAUSE`: nobody waits any more.
fn unpause(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    if session.server().pause.end() {
        follow_pause(session.server());
    }
    reply.simple("OK")
}

fn follow_pause(state: &ServerState) {
    if let Some(control) = state.control() {
        control.follow_pause();
    }
}

/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`: ends the wait of a client in a blocking command. There is
/// no such command: a handler that waits does so on its worker's thread, and returns when it will.
fn unblock(_: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    match (request.word_count(), request.argument(2)) {
        (3, _) => {}
        (4, Some(reason)) if is(reason, "TIMEOUT") || is(reason, "ERROR") => {}
        (4, _) => return reply.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        _ => return wrong_arguments("CLIENT", request, reply),
    }
    match request.integer(1) {
        Ok(_) => reply.integer(0),
        Err(error) => reply.error(error.to_string()),
    }
}
