//! Changes the configuration of a running server.

use std::time::Duration;

use super::certificates::Loaded;
use super::inner::{Inner, Trigger};
use crate::config::{Change, Config, KEYS};
use crate::error::ReconfigureError;
use crate::logging;
use crate::state::control::Unchanged;

impl Config {
    /// Checks that `new` differs only in keys that can change while a server runs.
    pub(crate) fn check_fixed(&self, new: &Self) -> Result<(), ReconfigureError> {
        let mut fixed = KEYS.iter().filter(|key| key.change == Change::AtStart);
        match fixed.find(|key| !key.is_same(self, new)) {
            Some(key) => Err(ReconfigureError::NeedsRestart(key.name)),
            None => Ok(()),
        }
    }

    /// Returns the first key of the certificates whose value in `new` differs.
    fn changed_certificate_key(&self, new: &Self) -> Option<&'static str> {
        let mut keys = KEYS
            .iter()
            .filter(|key| key.change == Change::WithCertificates);
        let changed = keys.find(|key| !key.is_same(self, new))?;
        Some(changed.name)
    }

    /// Checks that `new` has the same keys of the certificates, because the program has set TLS.
    fn check_certificates_stay(&self, new: &Self) -> Result<(), ReconfigureError> {
        match self.changed_certificate_key(new) {
            Some(key) => Err(ReconfigureError::Config {
                key,
                reason: "the program that runs the server has set its own certificates".into(),
            }),
            None => Ok(()),
        }
    }
}

impl Inner {
    /// Changes the configuration by `change`, loads the certificates again unless CONFIG SET has
    /// none of their keys, and applies both; on an error, changes nothing. Returns a line for each
    /// key that changed.
    pub(super) fn change<E: From<ReconfigureError>>(
        &self,
        maxclients_max: usize,
        trigger: Trigger,
        change: impl FnOnce(&mut Config) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        // The configuration itself stays unlocked while certificates are loaded: a disk may be
        // slow.
        let changing = self.changing.try_lock_for(CHANGE_WAIT_MAX);
        let _changing = changing.ok_or(ReconfigureError::Busy)?;
        let current = self.shared.state.config.lock().clone();
        let mut new = current.clone();
        change(&mut new)?;
        current.check_fixed(&new)?;
        if new.maxclients > maxclients_max {
            return Err(ReconfigureError::MaxclientsTooHigh(maxclients_max).into());
        }
        new.maxclients = new.maxclients.min(self.clients_max);
        let loaded = self.load_certificates(&current, &new, trigger)?;
        Ok(self.put_in_force(new, loaded)?)
    }

    /// Loads the certificates if the server has a socket for TLS.
    fn load_certificates(
        &self,
        current: &Config,
        new: &Config,
        trigger: Trigger,
    ) -> Result<Option<Loaded>, ReconfigureError> {
        let are_asked_for = match trigger {
            Trigger::Reconfigure | Trigger::ChangedFile => true,
            Trigger::Update => current.changed_certificate_key(new).is_some(),
            Trigger::ConfigSet { certificates } => certificates,
        };
        if !self.shared.certificates.are_needed || !are_asked_for {
            return Ok(None);
        }
        if self.shared.certificates.are_of_program() {
            return current.check_certificates_stay(new).map(|()| None);
        }
        Loaded::of(new).map(Some).map_err(|(key, reason)| {
            match trigger {
                // The program, or the thread that watches the files, logs it.
                Trigger::Reconfigure | Trigger::Update | Trigger::ChangedFile => {}
                Trigger::ConfigSet { .. } => {
                    logging::warn!("CONFIG SET: certificates not changed: `{key}`: {reason}");
                }
            }
            ReconfigureError::Config { key, reason }
        })
    }

    /// Applies a new configuration and certificates. Logs after the configuration is unlocked,
    /// because a logger may wait or ask the server.
    fn put_in_force(
        &self,
        new: Config,
        loaded: Option<Loaded>,
    ) -> Result<Vec<String>, ReconfigureError> {
        let mut current = self.shared.state.config.lock();
        if self.shared.is_stopping() {
            return Err(ReconfigureError::Draining);
        }
        // First, because only this can fail.
        if let Err(error) = self.threads.resize(new.worker_count()) {
            // Ends the threads that were started. This cannot fail.
            let _ = self.threads.resize(current.worker_count());
            return Err(ReconfigureError::Thread(error));
        }
        let replaced = loaded.and_then(|loaded| self.shared.certificates.replace(loaded));
        self.shared.settings.apply(&new);
        self.shared.state.apply(&new);
        let changes = current.changes(&new);
        *current = new;
        self.shared.wake_acceptor();
        if let Some(host) = self.host.get() {
            host.config_changed(&current);
        }
        drop(current);
        if let Some(line) = replaced {
            logging::info!("{line}");
        }
        Ok(changes)
    }
}

impl From<ReconfigureError> for Unchanged {
    fn from(error: ReconfigureError) -> Self {
        let mut reason = error.to_string();
        let key = match error {
            ReconfigureError::Draining | ReconfigureError::Busy => None,
            ReconfigureError::NeedsRestart(key) => Some(key),
            ReconfigureError::Config { key, reason: why } => {
                reason = why.into_owned();
                Some(key)
            }
            ReconfigureError::MaxclientsTooHigh(max) => {
                let redis = "The operating system is not able to handle the specified number of \
                             clients, try with";
                reason = format!("{redis} {max}");
                Some("maxclients")
            }
            ReconfigureError::Thread(_) => Some("workers"),
        };
        Self {
            key,
            reason: reason.into(),
        }
    }
}

/// Maximum time that a change waits for the previous one, which may wait for a disk.
const CHANGE_WAIT_MAX: Duration = Duration::from_secs(1);
