//! A client as the program sees it: what `CLIENT LIST` shows, typed.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::session::Session;
use crate::net::peer::Peer;
use crate::resp::Protocol;
use crate::state::ServerState;
use crate::state::clients::{ClientFlags, ClientInfo};

/// A client at one moment, as [`ServerHandle::clients`](crate::ServerHandle::clients) returns it:
/// what `CLIENT LIST` shows.
///
/// The client goes on meanwhile. So the values may be of slightly different times.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of CLIENT LIST")]
#[non_exhaustive]
pub struct ClientSnapshot {
    /// The number of the client: see [`Session::id`].
    pub id: u64,
    /// The address of the client.
    pub peer: Peer,
    /// The address that it connected to; a Unix socket has the same one as its peer.
    pub local: Peer,
    /// The name set by `CLIENT SETNAME` or `HELLO`: visible ASCII, and empty if none is set.
    pub name: String,
    /// The user that it is logged in as: see [`Session::user`].
    pub user: String,
    /// The library that it uses, by `CLIENT SETINFO`; empty if not known.
    pub library_name: String,
    /// The version of this library; empty if not known.
    pub library_version: String,
    /// The version of the protocol of its replies.
    pub protocol: Protocol,
    /// The time since it connected, in whole seconds.
    pub age: Duration,
    /// The time since it was served last, in whole seconds.
    pub idle: Duration,
    /// The database that it has selected, 0 to 15.
    pub database: u8,
    /// The number of channels that it is subscribed to.
    pub channels: usize,
    /// The number of patterns that it is subscribed to.
    pub patterns: usize,
    /// Whether it sees every request, by `MONITOR`.
    pub is_monitor: bool,
    /// Whether `CLIENT PAUSE` holds its requests up.
    pub is_paused: bool,
    /// Whether it waits for a deferred reply.
    pub is_blocked: bool,
    /// Whether its requests are queued for `EXEC`.
    pub is_in_multi: bool,
    /// Whether `CLIENT TRACKING` is on.
    pub is_tracking: bool,
    /// Whether it is closed after its pending output is sent.
    pub is_closing: bool,
    /// Whether `maxmemory-clients` spares it, by `CLIENT NO-EVICT`.
    pub is_exempt_from_eviction: bool,
    /// The full name of its last command, such as `client|list`; `None` if it has sent none.
    pub last_command: Option<String>,
    /// Bytes of an incomplete request.
    pub pending_input_bytes: usize,
    /// Bytes of replies and messages that are not sent yet.
    pub pending_output_bytes: usize,
    /// Bytes of memory that it takes.
    pub memory_bytes: u64,
    /// Requests that it has sent.
    pub requests: u64,
    /// Bytes received from it.
    pub bytes_read: u64,
    /// Bytes of replies and messages for it.
    pub bytes_sent: u64,
}

impl ClientSnapshot {
    pub(crate) fn of(state: &ServerState, info: &ClientInfo) -> Self {
        let now_s = state.now_s();
        let since = |s: u32| Duration::from_secs(now_s.saturating_sub(s).into());
        let load = |number: &AtomicU32| number.load(Ordering::Relaxed);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let identity = info.identity();
        Self {
            id: info.id,
            peer: info.peer.clone(),
            local: info.local(),
            name: text(&identity.name),
            user: identity.user().to_owned(),
            library_name: text(&identity.library_name),
            library_version: text(&identity.library_version),
            protocol: info.inbox.protocol(),
            age: since(info.came_at_s),
            idle: since(load(&info.active_at_s)),
            database: info.database.load(Ordering::Relaxed),
            channels: load(&info.channels) as usize,
            patterns: info.patterns.load(Ordering::Relaxed).into(),
            is_monitor: info.has(ClientFlags::MONITOR),
            is_paused: info.has(ClientFlags::PAUSED),
            is_blocked: info.has(ClientFlags::BLOCKED),
            is_in_multi: info.has(ClientFlags::MULTI),
            is_tracking: info.has(ClientFlags::TRACKING),
            is_closing: info.has(ClientFlags::CLOSING),
            is_exempt_from_eviction: info.has(ClientFlags::NO_EVICT),
            last_command: state.last_command(info).map(str::to_owned),
            pending_input_bytes: info.pending_input.get(),
            pending_output_bytes: info.pending_output.get() + info.inbox.bytes(),
            memory_bytes: memory_bytes(info),
            requests: info.traffic.requests.get(),
            bytes_read: info.traffic.bytes_read.get(),
            bytes_sent: info.traffic.bytes_sent.get(),
        }
    }
}

/// Returns the bytes of memory that a client takes.
pub(crate) fn memory_bytes(info: &ClientInfo) -> u64 {
    QUIET_BYTES + info.memory_bytes()
}

/// Bytes of a client without buffers.
const QUIET_BYTES: u64 = (size_of::<ClientInfo>() + size_of::<Session>()) as u64;
