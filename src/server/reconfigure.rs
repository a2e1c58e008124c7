//! How a running server is changed, and told what to do, by commands and by the program around it.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Shared;
use crate::config::{Change, Config, KEYS, Key};
use crate::server::threads::WorkerThreads;
use crate::state::control::{Control, NotRewritten, PoolSnapshot, Unchanged};

/// Why a running server keeps its configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// A value is not one that the configuration may have.
    #[error("`{key}`: {reason}")]
    Config {
        /// The directive.
        key: &'static str,
        /// What is wrong with its value.
        reason: Cow<'static, str>,
    },
    /// It is about to stop.
    #[error("the server drains")]
    Draining,
    /// The directive takes effect at the start only.
    #[error("`{0}` cannot change while the server runs; restart it")]
    Fixed(&'static str),
    /// The directive is bounded by what it was at the start.
    #[error("`maxclients` cannot go beyond {0} while the server runs; restart it")]
    MaxclientsBeyond(usize),
    /// The system refuses a thread.
    #[error("cannot start a thread: {0}; fewer `workers` may help")]
    Thread(#[source] io::Error),
}

impl Config {
    /// Checks each value as if CONFIG SET were to set it. Gives the first that it would not, and why.
    pub(super) fn check(&self) -> Result<(), (&'static str, Cow<'static, str>)> {
        let mut scratch = self.clone();
        // A server on sockets that it was given needs no address.
        let is_needless = |key: &Key| key.name == "bind" && self.bind.is_empty();
        let mut keys = KEYS.iter().filter(|key| !is_needless(key));
        keys.try_for_each(|key| {
            let checked = key.set(&mut scratch, &key.text(self));
            checked.map_err(|reason| (key.name, reason))
        })?;
        if self.requirepass_file.is_some() && self.requirepass.is_none() {
            let reason = "the password in it is missing: the program has not read the file";
            return Err(("requirepass-file", reason.into()));
        }
        Ok(())
    }

    /// A line for each key whose value in `new` is another: from what to what, but for secrets.
    pub(super) fn changes(&self, new: &Self) -> Vec<String> {
        let changed = KEYS.iter().filter(|key| !key.is_same(self, new));
        changed
            .map(|key| {
                let (old, new) = (key.shown(self), key.shown(new));
                format!("`{}` changes from {old} to {new}", key.name)
            })
            .collect()
    }

    /// Checks that `new` differs from this only in what can change while a server runs.
    pub(crate) fn check_fixed(&self, new: &Self) -> Result<(), ReconfigureError> {
        let mut fixed = KEYS.iter().filter(|key| key.change == Change::AtStart);
        match fixed.find(|key| !key.is_same(self, new)) {
            Some(key) => Err(ReconfigureError::Fixed(key.name)),
            None => Ok(()),
        }
    }
}

impl Shared {
    /// Puts into force what `change` makes of the configuration: all of it or, on an error, nothing.
    /// Returns a line for each key that changed.
    pub(super) fn change<E: From<ReconfigureError>>(
        self: &Arc<Self>,
        maxclients_max: usize,
        change: impl FnOnce(&mut Config) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let mut current = self.state.config.lock();
        if self.wants_drain() {
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
        if let Err(error) = WorkerThreads::resize(self, new.worker_count()) {
            // Those that were started are let go, for which no thread is needed.
            let _ = WorkerThreads::resize(self, current.worker_count());
            return Err(ReconfigureError::Thread(error).into());
        }
        self.settings.apply(&new);
        self.state.follow(&new);
        let changes = current.changes(&new);
        *current = new;
        self.wake_acceptor();
        if let Some(host) = self.host.get() {
            host.changed(&current);
        }
        Ok(changes)
    }
}

impl Control for Shared {
    fn notify(&self, slot: usize) {
        self.pool.notify(slot);
    }

    fn follow_pause(&self) {
        self.clock.look();
        // If another pause has begun meanwhile, its end releases them.
        if !self.state.pause.is_on() {
            self.release_the_paused();
        }
    }

    fn config_file(&self) -> Option<PathBuf> {
        self.host.get()?.config_file().map(Path::to_owned)
    }

    fn snapshot(&self) -> PoolSnapshot {
        let (queued, followers, leads) = self.pool.snapshot();
        PoolSnapshot {
            workers: self.threads.size(),
            followers,
            leads,
            queued,
            clients: self.state.client_count.load(Ordering::Relaxed),
        }
    }

    fn drain(self: Arc<Self>) {
        self.want_drain();
    }

    fn change_config(
        self: Arc<Self>,
        change: &mut dyn FnMut(&mut Config) -> Result<(), Unchanged>,
    ) -> Result<(), Unchanged> {
        // Not what it was at the start, if there is no room for so many: who is told OK gets them.
        let changes = self.change(self.clients_max, change)?;
        for change in changes {
            log::trace!("CONFIG SET: {change}");
        }
        Ok(())
    }

    fn rewrite_config(self: Arc<Self>) -> Result<(), NotRewritten> {
        let host = self.host.get().filter(|host| host.config_file().is_some());
        let host = host.ok_or(NotRewritten::NoFile)?;
        // Taken before the configuration is looked at, so that what was in force earlier is not
        // written later. The configuration itself is not locked for as long as a disk may take.
        // The wait is bounded, so that a disk that hangs keeps one worker and not one for each client
        // that asks.
        let Some(_rewriting) = self.rewriting.try_lock_for(REWRITING_PATIENCE) else {
            return Err(NotRewritten::Failed(UNDER_WAY.into()));
        };
        let config = self.state.config.lock().clone();
        host.rewrite(&config).map_err(NotRewritten::Failed)
    }
}

/// How long a CONFIG REWRITE waits for the one before it.
const REWRITING_PATIENCE: Duration = Duration::from_secs(1);

/// The error for a client whose CONFIG REWRITE has waited for so long.
const UNDER_WAY: &str = "another CONFIG REWRITE has not ended yet";

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
