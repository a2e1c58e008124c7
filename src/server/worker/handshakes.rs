//! TLS handshakes: a turn of a client in one.
//!
//! A flight of a handshake takes as long as hundreds of PINGs. So a client needs a permit for it.
//! There are half as many permits as workers, but at least one: a flood of handshakes leaves
//! workers to the clients that are served. Without a permit, a client is parked, and waits on a
//! stack. The end of a flight wakes the newest of them: its peer has waited for the shortest time,
//! and is the least likely to have given up. With a permit, a client first goes to the end of the
//! queue: clients with requests come first.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::client::Client;
use crate::client::stage::{Handshake, Opening, Permit, Stage};
use crate::dispatch::batch::TurnEnd;
use crate::logging;
use crate::net::connection::{Connection, Flight};
use crate::net::pending_output::Flushed;
use crate::net::tls::{TlsError, TlsState};
use crate::server::shared::Shared;
use crate::server::supervision::panic_text;
use crate::state::close_reason::CloseReason;

impl Shared {
    /// Grants the client a permit, or puts it on the stack. Returns whether it was granted.
    fn request_permit(&self, handshake: &mut Handshake, slot: usize) -> bool {
        let mut permits = self.permits.lock();
        let granted = permits.request(&mut handshake.permit, slot, self.settings.flights_max());
        self.state.handshakes.set_waiting(permits.waiting());
        granted
    }

    /// Takes back the client's permit, or takes it off the stack. Wakes the newest client there if
    /// a permit is free.
    fn release_permit(&self, handshake: &mut Handshake) {
        let mut permits = self.permits.lock();
        let next = permits.release(&mut handshake.permit, self.settings.flights_max());
        self.state.handshakes.set_waiting(permits.waiting());
        drop(permits);
        if let Some(slot) = next {
            self.pool.notify(slot);
        }
    }

    /// Ends the handshake of a client that is about to be closed, if it is in one.
    pub(crate) fn abandon_handshake(&self, client: &mut Client) {
        if let Stage::Opening(Opening::Handshake(handshake)) = &mut client.stage {
            self.release_permit(handshake);
            if mem::take(&mut handshake.has_begun) {
                self.state.handshakes.failed.count();
            }
        }
    }
}

/// Serves one turn of a client in its handshake. Returns `None` after the handshake.
pub(super) fn advance(
    shared: &Shared,
    client: &mut Client,
    input: &mut [u8],
) -> Result<Option<TurnEnd>, CloseReason> {
    if let Some(end) = flush(shared, client)? {
        return Ok(Some(end));
    }
    let Client {
        connection,
        session,
        stage: Stage::Opening(Opening::Handshake(handshake)),
        ..
    } = client
    else {
        return Ok(None);
    };
    if !matches!(handshake.permit, Permit::Granted) {
        let slot = session.info().slot;
        return without_permit(shared, connection, handshake, slot).map(Some);
    }
    handshake.has_begun = true;
    shared.hand_over_now();
    let end = run_flight(shared, connection, input);
    shared.release_permit(handshake);
    if matches!(end, Ok(None)) {
        handshake.has_begun = false;
        shared.state.handshakes.done.count();
    }
    match (end, handshake.refused) {
        // This client was never counted. Any other reason would subtract it.
        (Ok(None) | Err(_), Some(refused)) => Err(CloseReason::Refused(refused)),
        (Ok(None), None) => {
            client.stage = Stage::Open;
            Ok(None)
        }
        (end, _) => end,
    }
}

/// Whether the peer will not end its handshake. Its last flight may come with FIN, and so may a
/// request after it. The first flight may not: the server has to answer it.
fn has_left(has_begun: bool, count: Option<usize>, connection: &Connection) -> bool {
    count == Some(0) || (!has_begun && connection.has_peer_ended())
}

/// Requests a permit if the peer has sent bytes. Returns why the turn ends.
fn without_permit(
    shared: &Shared,
    connection: &Connection,
    handshake: &mut Handshake,
    slot: usize,
) -> Result<TurnEnd, CloseReason> {
    let count = connection.peek(&mut [0])?;
    if has_left(handshake.has_begun, count, connection) {
        return Err(CloseReason::PeerLeft);
    }
    match count {
        // The flight comes after the requests of other clients.
        Some(_) if shared.request_permit(handshake, slot) => Ok(TurnEnd::BudgetSpent),
        None | Some(_) => Ok(TurnEnd::Idle),
    }
}

/// Sends what is left of the server's previous flight. Returns why the turn ends if it cannot all
/// be sent.
fn flush(shared: &Shared, client: &mut Client) -> Result<Option<TurnEnd>, CloseReason> {
    let now_s = shared.state.now_s();
    match client.connection.flush(&mut { WRITES_MAX }, now_s)? {
        Flushed::Everything => Ok(None),
        Flushed::SocketFull => Ok(Some(TurnEnd::WriteBlocked)),
        Flushed::CallsUsed => Ok(Some(TurnEnd::BudgetSpent)),
    }
}

/// Reads and answers a flight of the peer. Returns `None` after the last one.
fn run_flight(
    shared: &Shared,
    connection: &mut Connection,
    input: &mut [u8],
) -> Result<Option<TurnEnd>, CloseReason> {
    if !connection.has_tls() {
        let certificates = shared.certificates.current();
        let config = certificates.ok_or_else(|| failed(TlsError::NoCertificate))?;
        connection.start_tls(TlsState::new(config).map_err(failed)?);
    }
    // The client is closed after a panic, so it does not matter in which state it is.
    let flight = catch_unwind(AssertUnwindSafe(|| connection.handshake(input)));
    match flight {
        Ok(Ok(Some(Flight::Last))) => Ok(None),
        Ok(Ok(Some(Flight::PeerLeft))) => Err(CloseReason::PeerLeft),
        Ok(Ok(None)) => Ok(Some(TurnEnd::Idle)),
        Ok(Err(TlsError::NotTls)) => Err(CloseReason::NotTls),
        Ok(Err(TlsError::Io(error))) => Err(CloseReason::Io(error)),
        Ok(Err(error)) => Err(failed(error)),
        Err(panic) => {
            let text = panic_text(panic.as_ref());
            logging::error!("a TLS handshake panicked: {text}");
            Err(CloseReason::Panicked)
        }
    }
}

fn failed(error: TlsError) -> CloseReason {
    CloseReason::TlsFailed(error.into())
}

/// Writes in one turn: a flight of the server is a few KiB.
const WRITES_MAX: usize = 4;
