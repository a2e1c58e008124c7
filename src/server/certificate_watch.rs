//! The thread that loads the certificates again when their files have changed.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::inner::{Inner, Trigger};
use crate::error::ReconfigureError;
use crate::net::certificates::Stamp;

/// Loads changed files every `tls-auto-reload-interval` seconds, until the sender of `stop` is
/// dropped. On a thread of its own, because a disk may be slow.
pub(super) fn watch_files(inner: &Inner, stop: &Receiver<()>) {
    let mut waited_s = 0;
    let mut tried = None;
    while stop.recv_timeout(SECOND) == Err(RecvTimeoutError::Timeout) {
        waited_s += 1;
        let interval_s = inner.shared.settings.tls_auto_reload_interval_s();
        if interval_s == 0 || waited_s < interval_s {
            continue;
        }
        waited_s = 0;
        let config = inner.shared.state.config.lock().clone();
        let stamp = Stamp::of(&config);
        // Files that could not be used are tried again when they change again.
        if inner.shared.certificates.have(&stamp) || tried.as_ref() == Some(&stamp) {
            continue;
        }
        tried = Some(stamp);
        // Logs an error itself.
        let outcome = inner.change(inner.clients_max, Trigger::ChangedFile, |_| {
            Ok::<_, ReconfigureError>(())
        });
        if matches!(outcome, Err(ReconfigureError::Busy)) {
            tried = None;
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
