//! The owner of everything that a server consists of, and what commands may ask of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use mio::Waker;
use parking_lot::Mutex;

use super::host::Host;
use super::shared::Shared;
use super::threads::WorkerThreads;
use crate::command::Commands;
use crate::config::Config;
use crate::pool::Pool;
use crate::state::ServerState;
use crate::state::control::{Control, NotRewritten, PoolSnapshot, Unchanged};

/// Owns what the threads share, the worker threads, and the link to the program.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(super) shared: Arc<Shared>,
    pub(super) threads: WorkerThreads,
    /// The program around the server, if there is one.
    pub(super) host: OnceLock<Box<dyn Host>>,
    /// Held while the configuration file is rewritten.
    rewriting: Mutex<()>,
    /// How many clients there are descriptors and slots for.
    pub(super) clients_max: usize,
    pub(super) maxclients_at_start: usize,
}

impl Inner {
    /// `config.maxclients` is how many clients there is room for.
    pub(super) fn new(
        pool: Pool,
        mut commands: Commands,
        config: Config,
        port: u16,
        maxclients_at_start: usize,
        acceptor_waker: Waker,
    ) -> Arc<Self> {
        Arc::new_cyclic(|inner: &Weak<Self>| {
            let clients_max = config.maxclients;
            let catalog = commands.catalog();
            let control: Weak<Self> = inner.clone();
            let state = Arc::new(ServerState::new(catalog, control, config, port));
            let shared = Arc::new(Shared::new(pool, commands, state, acceptor_waker));
            Self {
                threads: WorkerThreads::new(Arc::clone(&shared)),
                shared,
                host: OnceLock::new(),
                rewriting: Mutex::new(()),
                clients_max,
                maxclients_at_start,
            }
        })
    }
}

impl Control for Inner {
    fn notify(&self, slot: usize) {
        self.shared.pool.notify(slot);
    }

    fn follow_pause(&self) {
        self.shared.clock.look();
        // If another pause has begun meanwhile, its end releases them.
        if !self.shared.state.pause.is_on() {
            self.shared.release_the_paused();
        }
    }

    fn config_file(&self) -> Option<PathBuf> {
        self.host.get()?.config_file().map(Path::to_owned)
    }

    fn snapshot(&self) -> PoolSnapshot {
        let (queued, followers, has_leader) = self.shared.pool.snapshot();
        PoolSnapshot {
            queued,
            followers,
            has_leader,
        }
    }

    fn drain(self: Arc<Self>) {
        self.shared.want_drain();
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
        let config = self.shared.state.config.lock().clone();
        host.rewrite(&config).map_err(NotRewritten::Failed)
    }
}

/// How long a CONFIG REWRITE waits for the one before it.
const REWRITING_PATIENCE: Duration = Duration::from_secs(1);

/// The error for a client whose CONFIG REWRITE has waited for so long.
const UNDER_WAY: &str = "another CONFIG REWRITE has not ended yet";
