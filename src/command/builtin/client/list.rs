//! `CLIENT LIST` and `CLIENT INFO`: a line of fields for each client.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use super::kind;
use crate::client::session::Session;
use crate::client::snapshot::memory_bytes;
use crate::command::builtin::common::{argument, is, syntax_error};
use crate::resp::{Protocol, Replied, Reply, Request, parse_integer};
use crate::state::ServerState;
use crate::state::clients::{ClientFlags, ClientInfo};

/// `CLIENT INFO`: the client's own line of `CLIENT LIST`.
pub(super) fn info(session: &mut Session, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    let mut line = String::new();
    add_line(&mut line, session.server_state(), session.info());
    reply.verbatim(line)
}

/// `CLIENT LIST [TYPE type | ID id …]`: a line for each client.
pub(super) fn list(session: &mut Session, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let state = session.server_state();
    let mut lines = String::new();
    let mut arguments = request.arguments().skip(1);
    match (arguments.next(), request.word_count()) {
        (None, _) => {
            let infos = state.clients.all();
            infos.for_each(|info| add_line(&mut lines, state, &info));
        }
        (Some(option), 4) if is(option, "TYPE") => {
            let wanted = match kind::named(argument(request, 2)) {
                Ok(wanted) => wanted,
                Err(text) => return reply.error(text),
            };
            let infos = state.clients.all();
            let infos = infos.filter(|info| kind::of(info) == wanted);
            infos.for_each(|info| add_line(&mut lines, state, &info));
        }
        (Some(option), 4..) if is(option, "ID") => {
            // Lists each client once, so that a short request has no endless reply.
            let mut seen = BTreeSet::new();
            for id in arguments {
                let Some(id) = parse_integer(id) else {
                    return reply.error("ERR Invalid client ID");
                };
                let info = state.clients.find(id as u64);
                if let Some(info) = info.filter(|info| seen.insert(info.id)) {
                    add_line(&mut lines, state, &info);
                }
            }
        }
        _ => return syntax_error(reply),
    }
    reply.verbatim(lines)
}

/// Appends a client's line: the fields of Redis 7.2, then those of later versions. A field for
/// something that respool lacks, or does not count for each client, is 0 or -1.
fn add_line(list: &mut String, state: &ServerState, info: &ClientInfo) {
    add_origin(list, state.now_s(), info);
    add_buffers(list, info);
    add_protocol(list, state, info);
}

/// Appends the client's addresses, name, age, flags, database and subscriptions.
fn add_origin(list: &mut String, now_s: u32, info: &ClientInfo) {
    let (id, peer, local, fd) = (info.id, &info.peer, info.local(), info.descriptor);
    let age_s = now_s.saturating_sub(info.came_at_s);
    let idle_s = now_s.saturating_sub(load(&info.active_at_s));
    // Writing to a string does not fail.
    let _ = info.with_identity(|identity| {
        let name = String::from_utf8_lossy(&identity.name);
        write!(
            list,
            "id={id} addr={peer} laddr={local} fd={fd} name={name} age={age_s} idle={idle_s} flags=",
        )
    });
    add_flags(list, info);
    let database = info.database.load(Ordering::Relaxed);
    let channels = load(&info.channels);
    let patterns = info.patterns.load(Ordering::Relaxed);
    let queued = if info.has(ClientFlags::MULTI) {
        info.with_identity(|identity| identity.queued) as i64
    } else {
        -1
    };
    let _ = write!(
        list,
        " db={database} sub={channels} psub={patterns} ssub=0 multi={queued}",
    );
}

/// Appends the letters of the flags that are set, in Redis's order.
fn add_flags(list: &mut String, info: &ClientInfo) {
    let letters = [
        (info.has(ClientFlags::MONITOR), 'O'),
        (info.has(ClientFlags::SUBSCRIBER), 'P'),
        (info.has(ClientFlags::MULTI), 'x'),
        (info.has(ClientFlags::PAUSED | ClientFlags::BLOCKED), 'b'),
        (info.has(ClientFlags::TRACKING), 't'),
        (info.has(ClientFlags::CLOSING), 'c'),
        (info.is_on_unix_socket(), 'U'),
        (info.has(ClientFlags::NO_EVICT), 'e'),
        (info.has(ClientFlags::NO_TOUCH), 'T'),
    ];
    let length = list.len();
    let set = letters.iter().filter(|(is_set, _)| *is_set);
    list.extend(set.map(|(_, letter)| letter));
    if list.len() == length {
        list.push('N');
    }
}

/// Appends the bytes that the client's buffers take.
fn add_buffers(list: &mut String, info: &ClientInfo) {
    let input = info.pending_input.get();
    let free = info.pending_input_free.get();
    let table = info.pending_input_table.get();
    let queued = info.with_identity(|identity| identity.queued_bytes);
    let output = info.pending_output.get();
    let inbox = info.inbox.bytes();
    let messages = u8::from(inbox > 0);
    let all_output = output + inbox;
    let total = memory_bytes(info);
    let events = if output > 0 { 'w' } else { 'r' };
    let _ = write!(
        list,
        " qbuf={input} qbuf-free={free} argv-mem={table} multi-mem={queued} rbs=0 rbp=0 obl={output} \
         oll={messages} omem={all_output} tot-mem={total} events={events}",
    );
}

/// Appends the client's last command, protocol, library and traffic, and ends the line.
fn add_protocol(list: &mut String, state: &ServerState, info: &ClientInfo) {
    let command = state.last_command(info).unwrap_or("NULL");
    let version = match info.inbox.protocol() {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    let traffic = &info.traffic;
    let (bytes_read, bytes_sent) = (traffic.bytes_read.get(), traffic.bytes_sent.get());
    let requests = traffic.requests.get();
    let _ = info.with_identity(|identity| {
        let redirect = if info.has(ClientFlags::TRACKING) {
            identity.redirect as i64
        } else {
            -1
        };
        let user = identity.user();
        let library = String::from_utf8_lossy(&identity.library_name);
        let library_version = String::from_utf8_lossy(&identity.library_version);
        writeln!(
            list,
            " cmd={command} user={user} redir={redirect} resp={version} lib-name={library} \
             lib-ver={library_version} watch=0 tot-net-in={bytes_read} tot-net-out={bytes_sent} \
             tot-cmds={requests}",
        )
    });
}

fn load(number: &AtomicU32) -> u32 {
    number.load(Ordering::Relaxed)
}
