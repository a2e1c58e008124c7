//! The acceptor's thread.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Instant;

use super::acceptor::Acceptor;
use super::listen_set::ListenSet;
use super::shared::Shared;
use super::supervision::{keep_running, spawn};
use crate::error::StartError;

/// The acceptor's thread. A drain waits for it, up to a deadline.
pub(super) struct AcceptorThread {
    /// Disconnected when the thread ends; nothing is ever sent.
    ended: mpsc::Receiver<()>,
}

impl AcceptorThread {
    pub(super) fn start(shared: &Arc<Shared>, listen_set: ListenSet) -> Result<Self, StartError> {
        let mut acceptor = Acceptor::new(Arc::clone(shared), listen_set);
        let shared = Arc::clone(shared);
        let (end, ended) = mpsc::channel();
        spawn("acceptor", move || {
            let _end: mpsc::Sender<()> = end;
            keep_running("acceptor", || acceptor.run(), || shared.fail());
        })?;
        Ok(Self { ended })
    }

    /// Returns whether the thread has ended before `deadline`.
    pub(super) fn has_ended_by(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        self.ended.recv_timeout(left) == Err(RecvTimeoutError::Disconnected)
    }
}
