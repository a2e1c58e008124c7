//! The owner of all parts of a server, and the operations that commands may call.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::certificates::Certificates;
use super::host::Host;
use super::shared::{Phase, Shared};
use super::threads::WorkerThreads;
use crate::command::Commands;
use crate::config::Config;
use crate::logging;
use crate::net::edge_poll::Waker;
use crate::net::listen::QueueView;
use crate::net::tcp_info::AcceptQueue;
use crate::pool::Pool;
use crate::state::control::{Control, NotRewritten, PoolSnapshot, Unchanged};
use crate::state::health::{Health, Unfit};

/// Owns the shared state, the worker threads, and the link to the program.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(super) threads: WorkerThreads,
    /// The addresses of the TCP sockets.
    pub(super) local_addrs: Vec<SocketAddr>,
    /// The accept queues of these sockets.
    queues: Vec<QueueView>,
    /// The program that runs the server, if it wants to know of CONFIG.
    pub(super) host: OnceLock<Box<dyn Host>>,
    /// Locked while the configuration is changed.
    pub(super) changing: Mutex<()>,
    /// Locked while the configuration file is rewritten.
    rewriting: Mutex<()>,
    /// Maximum clients for which there are descriptors and slots.
    pub(super) clients_max: usize,
    pub(super) maxclients_at_start: usize,
    /// Whether all clients are in memory: no worker serves them, and the clock does not run.
    pub(super) is_offline: AtomicBool,
}

/// The origin of a change of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// The program, by `ServerHandle::reconfigure`.
    Reconfigure,
    /// The program, by `ServerHandle::update`.
    Update,
    /// CONFIG SET, and whether it names a key of the certificates.
    ConfigSet { certificates: bool },
    /// A file of the certificates that has changed.
    ChangedFile,
}

impl Inner {
    /// `config.maxclients` is the number of clients for which there are descriptors.
    pub(super) fn new(
        pool: Pool,
        mut commands: Commands,
        config: Config,
        queues: Vec<QueueView>,
        maxclients_at_start: usize,
        certificates: Certificates,
        acceptor_waker: Waker,
    ) -> Arc<Self> {
        Arc::new_cyclic(|inner: &Weak<Self>| {
            let clients_max = config.maxclients;
            let local_addrs: Vec<_> = queues.iter().map(QueueView::addr).collect();
            // 0 without TCP, as in Redis.
            let port = local_addrs.first().map_or(0, SocketAddr::port);
            let control: Weak<Self> = inner.clone();
            let state = Arc::new(commands.state(control, config, port));
            let shared = Shared::new(pool, commands, state, certificates, acceptor_waker);
            let shared = Arc::new(shared);
            Self {
                threads: WorkerThreads::new(Arc::clone(&shared)),
                shared,
                local_addrs,
                queues,
                host: OnceLock::new(),
                changing: Mutex::new(()),
                rewriting: Mutex::new(()),
                clients_max,
                maxclients_at_start,
                is_offline: AtomicBool::new(false),
            }
        })
    }
}

/// Omits input and output of clients: the log must not show them.
impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("clients", &self.shared.state.client_count)
            .finish_non_exhaustive()
    }
}

impl Control for Inner {
    fn notify(&self, slot: usize) {
        self.shared.pool.notify(slot);
        if self.is_offline.load(Ordering::Relaxed) {
            self.shared.clock.wake();
        }
    }

    fn hand_over(&self) {
        self.shared.hand_over_now();
    }

    fn wake_clock(&self) {
        self.shared.clock.wake();
    }

    fn follow_pause(&self) {
        self.shared.clock.wake();
        // If another pause has begun meanwhile, its end resumes them.
        if self.shared.state.pause.level().is_none() {
            self.shared.resume_paused_clients();
        }
    }

    fn supervisor(&self) -> Option<&'static str> {
        self.host.get()?.supervisor()
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

    fn accept_queues(&self) -> Vec<(SocketAddr, AcceptQueue)> {
        self.queues.iter().filter_map(QueueView::get).collect()
    }

    fn health(&self) -> Health {
        let shared = &self.shared;
        let (acceptor, clock) = (&shared.acceptor_heartbeat, &shared.clock_heartbeat);
        // The clock first: without it, the acceptor does not beat either.
        let live = clock.check().and_then(|()| acceptor.check());
        let limit = shared.settings.stuck_after();
        let standstill = shared.look_at_workers().standstill(limit);
        let workers = standstill.map_or(Ok(()), |standstill| Err(standstill.unfit(limit)));
        let accepts = if shared.phase() != Phase::Serving {
            Err(Unfit::new("draining"))
        } else if shared.drain_request.lock().requested {
            Err(Unfit::new("draining soon"))
        } else if acceptor.is_running() {
            Ok(())
        } else {
            Err(Unfit::new("not serving"))
        };
        let ready = live.clone().and(accepts).and(workers.clone());
        Health {
            live,
            ready,
            workers,
        }
    }

    fn drain(self: Arc<Self>, in_haste: bool) {
        if in_haste {
            self.shared.request_drain_in_haste();
        } else {
            self.shared.request_drain();
        }
    }

    fn drain_ends_in(&self) -> Option<Duration> {
        let ends = self.shared.drain_request.lock().ends?;
        Some(ends.saturating_duration_since(Instant::now()))
    }

    fn change_config(
        self: Arc<Self>,
        certificates: bool,
        change: &mut dyn FnMut(&mut Config) -> Result<(), Unchanged>,
    ) -> Result<(), Unchanged> {
        // Not `maxclients_at_start`, which may be more than there are descriptors for.
        let trigger = Trigger::ConfigSet { certificates };
        let changes = self.change(self.clients_max, trigger, change)?;
        for change in changes {
            logging::trace!("CONFIG SET: {change}");
        }
        Ok(())
    }

    fn rewrite_config(self: Arc<Self>) -> Result<(), NotRewritten> {
        let host = self.host.get().filter(|host| host.config_file().is_some());
        let host = host.ok_or(NotRewritten::NoFile)?;
        // Locked before the configuration is read, so that an older configuration is not written
        // later. The configuration itself stays unlocked, because a disk may be slow. The wait is
        // bounded, so that a disk that hangs blocks few workers.
        let Some(_rewriting) = self.rewriting.try_lock_for(REWRITE_WAIT_MAX) else {
            let reason = "another CONFIG REWRITE has not ended yet";
            return Err(NotRewritten::Failed(reason.into()));
        };
        let config = self.shared.state.config.lock().clone();
        host.rewrite_config(&config).map_err(NotRewritten::Failed)
    }
}

/// Maximum time that a CONFIG REWRITE waits for the previous one.
const REWRITE_WAIT_MAX: Duration = Duration::from_secs(1);
