//! The thread of the operations listener.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use mio::net::TcpListener;

use super::shared::Shared;
use super::supervision::{keep_running_or_lose, spawn};
use crate::error::StartError;
use crate::operations::{Listener, Stop};

/// The thread, if the operations listener has a socket. Ends when it is dropped.
pub(super) struct OperationsThread {
    running: Option<(Stop, mpsc::Receiver<()>)>,
}

impl OperationsThread {
    pub(super) fn start(shared: &Shared, sockets: Vec<TcpListener>) -> Result<Self, StartError> {
        if sockets.is_empty() {
            return Ok(Self { running: None });
        }
        let state = Arc::clone(&shared.state);
        let (listener, stop) = Listener::new(sockets, state).map_err(StartError::Poll)?;
        let (end, ended) = mpsc::channel::<()>();
        spawn(&shared.state, "operations", move || {
            // Dropped after the listener, so that its sockets are closed when the thread has ended.
            let _end = end;
            let mut listener = listener;
            keep_running_or_lose(
                "operations",
                || listener.run(),
                "`http-port` is not answered any more (restart the server)",
            );
        })?;
        Ok(Self {
            running: Some((stop, ended)),
        })
    }
}

impl Drop for OperationsThread {
    fn drop(&mut self) {
        if let Some((stop, ended)) = self.running.take() {
            drop(stop);
            // Disconnected when the thread ends; nothing is ever sent.
            let _ = ended.recv_timeout(LAST_ANSWERS);
        }
    }
}

/// Maximum time for the last answers. They take some milliseconds.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
