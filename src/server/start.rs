//! Starts the threads of a server, and waits until it has drained.

use std::sync::Arc;

use super::acceptor_thread::AcceptorThread;
use super::bind::Server;
use super::clock;
use super::drain::{Drained, drain};
use super::inner::Inner;
use super::shared::Shared;
use super::supervision::{keep_running, spawn};
use crate::error::StartError;

impl Server {
    /// Serves until [`ServerHandle::drain`] is called and the drain is over.
    ///
    /// A handler that does not return keeps its thread, but not this function.
    ///
    /// # Errors
    ///
    /// [`StartError::Thread`].
    pub fn serve(self) -> Result<Drained, StartError> {
        Ok(self.start()?.wait())
    }

    /// Starts every thread.
    pub(crate) fn start(self) -> Result<Started, StartError> {
        let Self {
            inner, listen_set, ..
        } = self;
        let shared = &inner.shared;
        let stops_clock = StopsClock(Arc::clone(shared));
        let clock = Arc::clone(shared);
        spawn("clock", move || {
            keep_running("clock", || clock::run(&clock), || clock.fail());
        })?;
        // Under the configuration's lock, so that this is not the number that was before a change.
        let config = shared.state.config.lock();
        inner.threads.start();
        let started = inner.threads.resize(config.worker_count());
        drop(config);
        let acceptor = started
            .map_err(StartError::Thread)
            .and_then(|()| AcceptorThread::start(shared, listen_set))
            .inspect_err(|_| inner.threads.shutdown())?;
        Ok(Started {
            inner,
            acceptor,
            _stops_clock: stops_clock,
        })
    }
}

/// A server whose threads run.
pub(crate) struct Started {
    inner: Arc<Inner>,
    acceptor: AcceptorThread,
    _stops_clock: StopsClock,
}

impl Started {
    /// Waits until a drain is wanted, and drains.
    pub(crate) fn wait(self) -> Drained {
        self.inner.shared.wait_for_drain();
        drain(&self.inner, &self.acceptor)
    }
}

/// Ends the clock's thread when the server has stopped, or could not start.
struct StopsClock(Arc<Shared>);

impl Drop for StopsClock {
    fn drop(&mut self) {
        self.0.clock.stop();
    }
}
