//! The thread that loads the certificates again when their files have changed.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::inner::{Inner, Trigger};
use crate::error::ReconfigureError;
use crate::logging;
use crate::net::certificates::Stamp;

/// Loads changed files again. It survives a panic of its thread.
#[derive(Debug, Default)]
pub(super) struct CertificateWatch {
    /// The state of the files that are being loaded. It stays if the load panics: they are tried
    /// again only when they have changed, so that the thread does not panic again and again.
    loading: Option<Stamp>,
    /// The last error that was logged, and the state of the files that had it.
    logged: Option<(Stamp, String)>,
}

impl CertificateWatch {
    /// Loads changed files every `tls-auto-reload-interval` seconds, until the sender of `stop` is
    /// dropped. On a thread of its own, because a disk may be slow.
    pub(super) fn run(&mut self, inner: &Inner, stop: &Receiver<()>) {
        let mut waited_s = 0;
        while stop.recv_timeout(SECOND) == Err(RecvTimeoutError::Timeout) {
            waited_s += 1;
            let interval_s = inner.shared.settings.tls_auto_reload_interval_s();
            if interval_s == 0 || waited_s < interval_s {
                continue;
            }
            waited_s = 0;
            let config = inner.shared.state.config.lock().clone();
            let stamp = Stamp::of(&config);
            if inner.shared.certificates.have(&stamp) {
                self.logged = None;
                continue;
            }
            let load = || {
                // The configuration stays the same: the change only loads the files.
                inner.change(inner.clients_max, Trigger::ChangedFile, |_| {
                    Ok::<_, ReconfigureError>(())
                })
            };
            if let Some(error) = self.attempt(stamp, load) {
                logging::warn!(
                    "the changed certificates cannot be used, the old ones stay: {error}"
                );
            }
        }
    }

    /// Loads the files in the state `stamp`. Files that cannot be used are tried again each time,
    /// because the error may be one of the system, such as too many open files. Returns the error
    /// if it is not the last one that was logged.
    fn attempt(
        &mut self,
        stamp: Stamp,
        load: impl FnOnce() -> Result<Vec<String>, ReconfigureError>,
    ) -> Option<String> {
        if self.loading.as_ref() == Some(&stamp) {
            return None;
        }
        self.loading = Some(stamp.clone());
        let outcome = load();
        self.loading = None;
        match outcome {
            Ok(_) => {
                self.logged = None;
                None
            }
            Err(ReconfigureError::Busy | ReconfigureError::Draining) => None,
            Err(error) => {
                let text = error.to_string();
                let failure = Some((stamp, text.clone()));
                let is_new = failure != self.logged;
                self.logged = failure;
                is_new.then_some(text)
            }
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

// Without TLS, all stamps are equal.
#[cfg(feature = "tls")]
#[cfg(test)]
mod tests {
    use super::*;

    use std::panic::{AssertUnwindSafe, catch_unwind};

    use crate::config::Config;

    /// The state of a missing file with this name.
    fn stamp(file: &str) -> Stamp {
        Stamp::of(&Config {
            tls_cert_file: Some(file.into()),
            ..Config::default()
        })
    }

    fn error(reason: &'static str) -> Result<Vec<String>, ReconfigureError> {
        Err(ReconfigureError::Config {
            key: "tls-key-file",
            reason: reason.into(),
        })
    }

    #[test]
    fn failed_files_are_tried_again_and_an_error_is_logged_once() {
        let mut watch = CertificateWatch::default();
        let shown = |text: &str| Some(format!("`tls-key-file`: {text}"));
        assert_eq!(watch.attempt(stamp("a"), || error("one")), shown("one"));
        assert_eq!(watch.attempt(stamp("a"), || error("one")), None);
        assert_eq!(watch.attempt(stamp("a"), || error("two")), shown("two"));
        assert_eq!(watch.attempt(stamp("b"), || error("two")), shown("two"));
        let busy = || Err(ReconfigureError::Busy);
        assert_eq!(watch.attempt(stamp("b"), busy), None);
        assert_eq!(watch.attempt(stamp("b"), || error("two")), None);
        let mut is_loaded = false;
        let load = || {
            is_loaded = true;
            Ok(Vec::new())
        };
        assert_eq!(watch.attempt(stamp("b"), load), None);
        assert!(is_loaded);
        assert_eq!(watch.attempt(stamp("b"), || error("two")), shown("two"));
    }

    #[test]
    fn files_whose_load_panics_are_tried_once() {
        let mut watch = CertificateWatch::default();
        let panics = || panic!("a panic of the test");
        let load = AssertUnwindSafe(|| watch.attempt(stamp("a"), panics));
        assert!(catch_unwind(load).is_err());
        let is_tried = |watch: &mut CertificateWatch, file| {
            let mut is_tried = false;
            let load = || {
                is_tried = true;
                Ok(Vec::new())
            };
            watch.attempt(stamp(file), load);
            is_tried
        };
        assert!(!is_tried(&mut watch, "a"));
        assert!(is_tried(&mut watch, "b"));
    }
}
