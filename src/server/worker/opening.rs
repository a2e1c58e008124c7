//! A turn of a client that is opening: reads what is missing before the client is served.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

#[cfg(feature = "tls")]
use super::handshakes;
use crate::client::Client;
use crate::client::stage::{Opening, Stage};
use crate::dispatch::batch::TurnEnd;
use crate::logging;
use crate::net::proxy_header::{self, HEADER_BYTES_MAX};
use crate::server::shared::{Phase, Shared};
use crate::state::close_reason::{CloseReason, Refused};

/// Serves one turn of an opening client. Returns `None` after it has opened. `input` is the
/// worker's buffer.
#[cold]
pub(super) fn open(
    shared: &Shared,
    client: &mut Client,
    input: &mut [u8],
) -> Result<Option<TurnEnd>, CloseReason> {
    // Read before the socket: a drain serves what arrived before it began.
    let phase = shared.phase();
    if phase == Phase::Closing {
        return Err(CloseReason::Drained);
    }
    // From now on it is known whether the peer has left.
    client.newcomer = None;
    let end = match &mut client.stage {
        Stage::Opening(Opening::ProxyHeader { .. }) => read_proxy_header(shared, client, input)?,
        #[cfg(feature = "tls")]
        Stage::Opening(Opening::Handshake(_)) => handshakes::advance(shared, client, input)?,
        Stage::Open | Stage::Deferred | Stage::Sending | Stage::Closing(_) => None,
    };
    match end {
        Some(TurnEnd::Idle) => shared.idle_or_drained(client, phase).map(Some),
        end => Ok(end),
    }
}

/// Reads the PROXY header, and nothing after it. Then admits the client.
fn read_proxy_header(
    shared: &Shared,
    client: &mut Client,
    input: &mut [u8],
) -> Result<Option<TurnEnd>, CloseReason> {
    let Some(count) = client.connection.peek(&mut input[..HEADER_BYTES_MAX])? else {
        return Ok(Some(TurnEnd::Idle));
    };
    if count == 0 {
        return Err(CloseReason::PeerLeft);
    }
    let header = match proxy_header::parse(&input[..count]) {
        Ok(Some(header)) => header,
        Ok(None) if client.connection.has_peer_ended() => return Err(CloseReason::NoProxyHeader),
        Ok(None) => return Ok(Some(TurnEnd::Idle)),
        Err(_) => return Err(CloseReason::NoProxyHeader),
    };
    let peer = header.peer(client.session.peer());
    if shared.has_too_many_from(&peer) && delays_refusal(client) {
        return Ok(Some(TurnEnd::BudgetSpent));
    }
    client.connection.discard(&mut input[..header.length])?;
    client.session.set_peer(peer);
    logging::debug!(
        "client {} is {} by its PROXY header",
        client.session.id(),
        client.session.peer()
    );
    advance_after_header(shared, client)?;
    Ok(None)
}

/// Admits the client, and begins the stage after the PROXY header. A client of TLS is refused after
/// its handshake or, if too many wait for that, at once and silently.
fn advance_after_header(shared: &Shared, client: &mut Client) -> Result<(), CloseReason> {
    let Stage::Opening(Opening::ProxyHeader {
        then_tls, refused, ..
    }) = client.stage
    else {
        return Ok(());
    };
    let admission = refused.map_or_else(|| admit(shared, client), Err);
    if then_tls
        && refused.is_none()
        && let Err(reason) = admission
        && !shared.begin_opening_refusal()
    {
        client.refuse_silently(reason);
        return Err(CloseReason::Refused(reason));
    }
    let handshake = then_tls
        .then(|| Opening::handshake(shared.state.now_s(), admission.err()))
        .flatten();
    client.stage = match handshake {
        Some(handshake) => Stage::Opening(handshake),
        None => admission
            .map(|()| Stage::Open)
            .map_err(CloseReason::Refused)?,
    };
    Ok(())
}

/// Whether the client's refusal has to wait. As in `server/refusal_delay.rs`, clients that have left
/// count until a worker closes them. So the refused client goes to the end of the
/// queue again and again, and other workers get the processor.
fn delays_refusal(client: &mut Client) -> bool {
    match &mut client.stage {
        Stage::Opening(Opening::ProxyHeader { delayed_since, .. }) => {
            thread::yield_now();
            let now = Instant::now();
            let since = *delayed_since.get_or_insert(now);
            now.saturating_duration_since(since) < DELAY_MAX
        }
        #[cfg(feature = "tls")]
        Stage::Opening(Opening::Handshake(_)) => false,
        Stage::Open | Stage::Deferred | Stage::Sending | Stage::Closing(_) => false,
    }
}

/// Admits a client that counts already, but is not in the registry.
fn admit(shared: &Shared, client: &Client) -> Result<(), Refused> {
    let info = client.session.info();
    let admission = if shared.protects_from(&info.peer) {
        Err(Refused::Protected)
    } else {
        shared.admit(info)
    };
    admission.inspect_err(|_| {
        // Refused clients do not count, and no hook is called.
        shared.state.refused.count();
        shared.state.client_count.fetch_sub(1, Ordering::Relaxed);
    })
}

/// Maximum delay of a refusal. `server/refusal_delay.rs` has the same once every
/// client has had its first turn.
const DELAY_MAX: Duration = Duration::from_millis(3);
