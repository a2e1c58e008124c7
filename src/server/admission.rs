//! Admission: who may stay, once the address of a client is known. That is at accept, or after a
//! PROXY header.

use std::sync::Arc;

use super::shared::Shared;
use crate::net::peer::Peer;
use crate::state::clients::ClientInfo;
use crate::state::close_reason::Refused;

impl Shared {
    /// Registers a client, or returns why it is refused. `maxclients` and `protected-mode` were
    /// checked before.
    pub(super) fn admit(&self, info: &Arc<ClientInfo>) -> Result<(), Refused> {
        let per_address_max = self.settings.maxclients_per_address();
        if self.state.clients.add(info, per_address_max) {
            Ok(())
        } else {
            Err(Refused::TooManyFromAddress)
        }
    }

    /// Whether `protected-mode` refuses clients from this address.
    pub(super) fn protects_from(&self, peer: &Peer) -> bool {
        self.settings.refuses_remote_clients() && !self.commands.has_on_auth && !peer.is_local()
    }

    /// Whether `maxclients-per-address` clients are connected from this address.
    pub(super) fn has_too_many_from(&self, peer: &Peer) -> bool {
        let per_address_max = self.settings.maxclients_per_address();
        per_address_max > 0
            && peer
                .ip()
                .is_some_and(|ip| self.state.clients.count_from(ip) >= per_address_max)
    }
}
