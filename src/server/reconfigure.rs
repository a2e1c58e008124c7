//! Changes the configuration of a running server.

use super::inner::Inner;
use crate::config::{Change, Config, KEYS};
use crate::error::ReconfigureError;
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
}

impl Inner {
    /// Changes the configuration by `change`, and applies it; on an error, changes nothing. Returns
    /// a line for each key that changed.
    pub(super) fn change<E: From<ReconfigureError>>(
        &self,
        maxclients_max: usize,
        change: impl FnOnce(&mut Config) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let mut current = self.shared.state.config.lock();
        if self.shared.drain_request.lock().requested {
            return Err(ReconfigureError::Draining.into());
        }
        let mut new = current.clone();
        change(&mut new)?;
        current.check_fixed(&new)?;
        if new.maxclients > maxclients_max {
            return Err(ReconfigureError::MaxclientsTooHigh(maxclients_max).into());
        }
        new.maxclients = new.maxclients.min(self.clients_max);
        // First, because only this can fail.
        if let Err(error) = self.threads.resize(new.worker_count()) {
            // Ends the threads that were started. This cannot fail.
            let _ = self.threads.resize(current.worker_count());
            return Err(ReconfigureError::Thread(error).into());
        }
        self.shared.settings.apply(&new);
        self.shared.state.apply(&new);
        let changes = current.changes(&new);
        *current = new;
        self.shared.wake_acceptor();
        if let Some(host) = self.host.get() {
            host.config_changed(&current);
        }
        Ok(changes)
    }
}

impl From<ReconfigureError> for Unchanged {
    fn from(error: ReconfigureError) -> Self {
        let mut reason = error.to_string();
        let key = match error {
            ReconfigureError::Draining => None,
            ReconfigureError::NeedsRestart(key) | ReconfigureError::Config { key, .. } => Some(key),
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
