//! Changes the configuration of a running server.

use super::inner::Inner;
use crate::config::{Change, Config, KEYS};
use crate::error::ReconfigureError;
use crate::state::control::Unchanged;

impl Config {
    /// Checks that `new` differs from this only in what can change while a server runs.
    pub(crate) fn check_fixed(&self, new: &Self) -> Result<(), ReconfigureError> {
        let mut fixed = KEYS.iter().filter(|key| key.change == Change::AtStart);
        match fixed.find(|key| !key.is_same(self, new)) {
            Some(key) => Err(ReconfigureError::Fixed(key.name)),
            None => Ok(()),
        }
    }
}

impl Inner {
    /// Puts into force what `change` makes of the configuration: all of it or, on an error, nothing.
    /// Returns a line for each key that changed.
    pub(super) fn change<E: From<ReconfigureError>>(
        &self,
        maxclients_max: usize,
        change: impl FnOnce(&mut Config) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let mut current = self.shared.state.config.lock();
        if self.shared.wants_drain() {
            return Err(ReconfigureError::Draining.into());
        }
        let mut new = current.clone();
        change(&mut new)?;
        current.check_fixed(&new)?;
        if new.maxclients > maxclients_max {
            return Err(ReconfigureError::MaxclientsBeyond(maxclients_max).into());
        }
        new.maxclients = new.maxclients.min(self.clients_max);
        // Before all else, because only this can fail.
        if let Err(error) = self.threads.resize(new.worker_count()) {
            // Those that were started are let go, for which no thread is needed.
            let _ = self.threads.resize(current.worker_count());
            return Err(ReconfigureError::Thread(error).into());
        }
        self.shared.settings.apply(&new);
        self.shared.state.follow(&new);
        let changes = current.changes(&new);
        *current = new;
        self.shared.wake_acceptor();
        if let Some(host) = self.host.get() {
            host.changed(&current);
        }
        Ok(changes)
    }
}

impl From<ReconfigureError> for Unchanged {
    fn from(error: ReconfigureError) -> Self {
        let (key, reason) = match error {
            ReconfigureError::Draining => (None, error.to_string()),
            ReconfigureError::Fixed(key) | ReconfigureError::Config { key, .. } => {
                (Some(key), error.to_string())
            }
            ReconfigureError::MaxclientsBeyond(max) => {
                let redis = "The operating system is not able to handle the specified number of \
                             clients, try with";
                (Some("maxclients"), format!("{redis} {max}"))
            }
            ReconfigureError::Thread(_) => (Some("workers"), error.to_string()),
        };
        Self {
            key,
            reason: reason.into(),
        }
    }
}
