//! The requests of a client between MULTI and EXEC.

use super::session::{Restrictions, Session};
use crate::resp::{Request, RequestQueue};
use crate::state::clients::ClientFlags;

/// A transaction that EXEC has not run yet.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) requests: RequestQueue,
    /// Whether a request was refused, so that EXEC runs none of them.
    pub(crate) is_aborted: bool,
    /// Whether `CLIENT PAUSE … WRITE` holds a request up, and so EXEC.
    pub(crate) writes: bool,
}

impl Session {
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.restrictions.contains(Restrictions::MULTI)
    }

    /// Begins to queue requests.
    pub(crate) fn begin_transaction(&mut self) {
        self.restrictions.insert(Restrictions::MULTI);
        self.info().set(ClientFlags::MULTI, true);
        self.set_state(Transaction::default());
        self.publish_queue(0, 0);
    }

    /// Queues a request, unless the transaction is aborted already. Returns whether there was room
    /// for it in `bytes_max`.
    #[must_use]
    pub(crate) fn queue(&mut self, request: &Request<'_>, writes: bool, bytes_max: usize) -> bool {
        let transaction: &mut Transaction = self.state_mut();
        if transaction.is_aborted {
            return true;
        }
        transaction.writes |= writes;
        let has_room = transaction.requests.push(request, bytes_max);
        let requests = &transaction.requests;
        let (count, bytes) = (requests.len(), requests.memory_bytes());
        self.publish_queue(count, bytes);
        has_room
    }

    /// Has EXEC fail, and frees the queue.
    pub(crate) fn abort_transaction(&mut self) {
        self.set_state(Transaction {
            is_aborted: true,
            ..Transaction::default()
        });
        self.publish_queue(0, 0);
    }

    /// Whether EXEC would run a request that `CLIENT PAUSE … WRITE` holds up.
    pub(crate) fn transaction_writes(&self) -> bool {
        let transaction = self.state::<Transaction>();
        transaction.is_some_and(|transaction| transaction.writes)
    }

    /// Takes the requests, to run them.
    pub(crate) fn take_transaction(&mut self) -> Transaction {
        self.take_state().unwrap_or_default()
    }

    /// Queues no more requests, and drops those that are queued.
    pub(crate) fn end_transaction(&mut self) {
        if self.is_in_transaction() {
            self.restrictions.remove(Restrictions::MULTI);
            self.info().set(ClientFlags::MULTI, false);
            drop(self.take_transaction());
            self.publish_queue(0, 0);
        }
    }

    fn publish_queue(&self, count: usize, bytes: usize) {
        self.info().change_identity(|identity| {
            identity.queued = count;
            identity.queued_bytes = bytes;
        });
    }
}
