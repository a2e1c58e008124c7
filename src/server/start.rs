//! Starts the threads of a server, and waits until it has drained.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

use super::acceptor::AcceptorThread;
use super::bind::Server;
use super::certificate_watch::CertificateWatch;
use super::certificates::Loaded;
use super::clock;
use super::drain::{Drained, drain};
use super::inner::Inner;
use super::operations_thread::OperationsThread;
use super::shared::Shared;
use super::supervision::{keep_running_or_lose, spawn};
use crate::error::StartError;
use crate::logging;

impl Server {
    /// Serves clients until a drain is over: see
    /// [`ServerHandle::drain`](crate::ServerHandle::drain).
    ///
    /// Does not wait for handlers that do not return.
    ///
    /// # Errors
    ///
    /// Returns [`StartError::Thread`] if the system refuses a thread.
    pub fn serve(self) -> Result<Drained, StartError> {
        let _entered = logging::enter(self.inner.shared.state.name());
        Ok(self.start()?.wait())
    }

    /// Starts all threads.
    pub(crate) fn start(self) -> Result<Started, StartError> {
        let Self {
            inner,
            listen_set,
            http_sockets,
        } = self;
        check_certificates(&inner)?;
        let shared = &inner.shared;
        let stops_clock = StopsClock(Arc::clone(shared));
        let clock_shared = Arc::clone(shared);
        spawn(&shared.state, "clock", move || {
            clock::keep_running(&clock_shared);
        })?;
        // Locked, so that the number of workers cannot change meanwhile.
        let config = shared.state.config.lock();
        inner.threads.begin_serving();
        let started = inner.threads.resize(config.worker_count());
        drop(config);
        let stop_workers = |_: &StartError| inner.threads.shutdown();
        started
            .map_err(StartError::Thread)
            .inspect_err(stop_workers)?;
        let watcher = start_watching(&inner).inspect_err(stop_workers)?;
        let operations = OperationsThread::start(shared, http_sockets).inspect_err(stop_workers)?;
        // Last: nothing would stop it if a later step failed.
        let acceptor = AcceptorThread::start(shared, listen_set).inspect_err(stop_workers)?;
        Ok(Started {
            inner,
            acceptor,
            _operations: operations,
            _watcher: watcher,
            _stops_clock: stops_clock,
        })
    }
}

/// A server whose threads are running.
pub(crate) struct Started {
    inner: Arc<Inner>,
    acceptor: AcceptorThread,
    /// Answers until the drain is over.
    _operations: OperationsThread,
    /// Ends the thread that watches the files of the certificates.
    _watcher: Option<Sender<()>>,
    _stops_clock: StopsClock,
}

impl Started {
    /// Waits until a drain is requested, and drains.
    pub(crate) fn wait(self) -> Drained {
        self.inner.shared.wait_for_drain();
        drain(&self.inner, &self.acceptor)
    }
}

/// Checks that sockets for TLS have a certificate, and that there is one if the program has set
/// TLS.
fn check_certificates(inner: &Inner) -> Result<(), StartError> {
    let certificates = &inner.shared.certificates;
    if !certificates.are_needed && certificates.are_of_program() {
        // Otherwise, all sockets would speak in plain text.
        let reason = "`Server::with_tls` was called, but no socket speaks TLS: set `tls-port` to a \
                      port, or do not call it";
        return Err(StartError::Config {
            key: "tls-port",
            reason: reason.into(),
        });
    }
    if !certificates.are_needed || certificates.current().is_some() {
        return Ok(());
    }
    let config = inner.shared.state.config.lock().clone();
    // The error about the missing key.
    let loaded = Loaded::of(&config);
    loaded.map_err(|(key, reason)| StartError::Config { key, reason })?;
    Ok(())
}

/// Starts the thread that watches the files of the certificates, if there are any. It ends when the
/// sender is dropped.
fn start_watching(inner: &Arc<Inner>) -> Result<Option<Sender<()>>, StartError> {
    let certificates = &inner.shared.certificates;
    if !certificates.are_needed || certificates.are_of_program() {
        return Ok(None);
    }
    let (watcher, stop) = mpsc::channel();
    let state = &inner.shared.state;
    let inner = Arc::clone(inner);
    let mut watch = CertificateWatch::default();
    spawn(state, "certificates", move || {
        keep_running_or_lose(
            "certificates",
            || watch.run(&inner, &stop),
            "changed files are not loaded by themselves any more (restart the server)",
        );
    })?;
    Ok(Some(watcher))
}

/// Ends the clock's thread after the server has stopped or failed to start.
struct StopsClock(Arc<Shared>);

impl Drop for StopsClock {
    fn drop(&mut self) {
        self.0.clock.stop();
    }
}
