//! The server: wiring, start and stop.

mod acceptor;
mod background;
pub(crate) mod clock;
pub(crate) mod hooks;
mod host;
pub(crate) mod live_settings;
mod reconfigure;
mod shared;
mod supervision;
mod threads;
mod worker;

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpListener;

use crate::client::session::Session;
use crate::command::Commands;
use crate::config::Config;
use crate::net::{descriptors, listen};
use crate::pool::Pool;
use crate::server::acceptor::{Acceptor, ListenSet};
use crate::server::threads::WorkerThreads;
use crate::state::close_reason::CloseReason;
pub use background::Background;
pub use hooks::DisconnectReason;
pub use host::Host;
pub use reconfigure::ReconfigureError;
pub(crate) use shared::{Phase, Shared};
pub(crate) use supervision::keep_running;

/// A server that listens and does not serve yet.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    listen_set: ListenSet,
    local_addrs: Vec<SocketAddr>,
}

/// A hold on a server from another thread. Clones hold the same server.
#[derive(Debug, Clone)]
pub struct ServerHandle {
    shared: Arc<Shared>,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Clients that were cut off at the deadline, because they had not taken their replies, were
    /// still being served, or had not been come to. 0 means that every request that was read was
    /// answered, and the answer sent.
    pub aborted: usize,
    /// The server drained because one of its threads panicked again and again: a defect of respool,
    /// which the log tells of. A panic now and then only costs what the thread was doing.
    pub failed: bool,
}

/// What a server has done since it started. `INFO` tells more, and counts from the last
/// `CONFIG RESETSTAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Clients that are connected now.
    pub clients: usize,
    /// Connections accepted, those included that were refused.
    pub connections: u64,
    /// Connections refused by `maxclients`, `maxclients-per-address`, `protected-mode`, or for want
    /// of a descriptor.
    pub refused: u64,
    /// Requests that were answered by a command's handler.
    pub requests: u64,
    /// Bytes of requests.
    pub bytes_read: u64,
    /// Bytes of replies, without what those are told who are turned away.
    pub bytes_sent: u64,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A value of the configuration is not one that it may have.
    #[error("`{key}`: {reason}")]
    Config {
        /// The directive.
        key: &'static str,
        /// What is wrong with its value.
        reason: Cow<'static, str>,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}{}", listen::advice(error))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// Every address of `bind` may be missing, and is.
    #[error("none of the addresses in `bind` is on this machine")]
    NoAddress,
    /// The limit on open files leaves no room for a single client.
    #[error("the limit on open files is too low: {0}")]
    OpenFiles(#[source] io::Error),
    /// There was none in what the server was given, and no address in `bind`.
    #[error("there is no address to listen on")]
    NoListener,
    /// The system refuses what waiting for events needs.
    #[error("cannot set up polling: {0}")]
    Poll(#[source] io::Error),
    /// The system refuses a thread.
    #[error("cannot start a thread: {0}; fewer `workers` may help")]
    Thread(#[source] io::Error),
}

impl Server {
    /// Listens on every address of `config.bind`.
    ///
    /// Also raises the process's limit on open files to what `config.maxclients` needs; where that
    /// may not be, fewer clients are admitted and a warning is logged.
    ///
    /// # Errors
    ///
    /// A [`StartError`] says what the system refused.
    pub fn bind(config: Config, commands: Commands) -> Result<Self, StartError> {
        let count = config.bind.len();
        Self::with(config, commands, count, listen::listen_all)
    }

    /// Checks that a server could start with `config`, as far as that shows without listening: its
    /// values, and that the machine has the addresses. A port that is taken is not found.
    ///
    /// # Errors
    ///
    /// That with which [`Self::bind`] would fail.
    pub fn check(config: &Config) -> Result<(), StartError> {
        config
            .check()
            .map_err(|(key, reason)| StartError::Config { key, reason })?;
        listen::check_all(config)
    }

    /// As [`Self::bind`], on sockets that listen already: from systemd, from a process before this
    /// one, or with options of their own. `config.bind`, `config.port` and `config.tcp_backlog` are
    /// not looked at. The sockets, and clones of them, do not block from then on.
    ///
    /// # Errors
    ///
    /// A [`StartError`] says what the system refused.
    pub fn from_listeners(
        listeners: Vec<std::net::TcpListener>,
        config: Config,
        commands: Commands,
    ) -> Result<Self, StartError> {
        let count = listeners.len();
        let listen = |config: &Config| listen::adopt_all(listeners, config);
        Self::with(config, commands, count, listen)
    }

    fn with(
        mut config: Config,
        commands: Commands,
        listeners: usize,
        listen: impl FnOnce(&Config) -> Result<Vec<TcpListener>, StartError>,
    ) -> Result<Self, StartError> {
        config
            .check()
            .map_err(|(key, reason)| StartError::Config { key, reason })?;
        let clients_max =
            descriptors::make_room(config.maxclients, listeners).map_err(StartError::OpenFiles)?;
        let listeners = listen(&config)?;
        let local_addrs: Vec<_> = listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect();
        let port = local_addrs.first().map_or(config.port, SocketAddr::port);
        warn_about_wildcard_bind(&config, &local_addrs);
        let (listen_set, acceptor_waker) = ListenSet::new(listeners).map_err(StartError::Poll)?;
        let pool = Pool::new(clients_max + descriptors::REFUSED_MAX, num_cpus::get());
        let maxclients_at_start = config.maxclients;
        config.maxclients = clients_max;
        let pool = pool.map_err(StartError::Poll)?;
        let shared = Shared::new(
            pool,
            commands,
            config,
            port,
            maxclients_at_start,
            acceptor_waker,
        );
        Ok(Self {
            shared,
            listen_set,
            local_addrs,
        })
    }

    /// Has `hook` decide on every client that comes: `Err` turns it away, with that error line,
    /// which begins with a code such as `ERR` or `DENIED`. What the session is to remember of the
    /// client it can keep there, until the client says `RESET` (see [`Session::state`]): what must
    /// outlast that belongs in a map by [`Session::id`], or `RESET` is left out of the commands.
    ///
    /// It runs on a worker before the client's first request is read, and may block as a handler
    /// may. A client that `maxclients` or `protected-mode` refuses does not come this far. A second
    /// call changes nothing.
    #[must_use]
    pub fn on_connect(
        self,
        hook: impl Fn(&mut Session) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.shared.hooks.arrive.get_or_init(|| Box::new(hook));
        self
    }

    /// Has `hook` called when a client has gone, once for each that was let in: it was sent all that
    /// it was owed, or cannot be.
    ///
    /// It runs on a worker, and may block as a handler may. At the end of a drain it runs on the
    /// thread that drains, which waits for it. A second call changes nothing.
    #[must_use]
    pub fn on_disconnect(
        self,
        hook: impl Fn(&mut Session, &DisconnectReason<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.shared.hooks.depart.get_or_init(|| Box::new(hook));
        self
    }

    /// Gives the server the program around it, for what CONFIG can do only by that. The first one
    /// stays.
    #[must_use]
    pub fn with_host(self, host: impl Host + 'static) -> Self {
        self.shared.host.get_or_init(|| Box::new(host));
        self
    }

    /// The first address that is listened on, with the port that the system chose if it was to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addrs[0]
    }

    /// The addresses that are listened on, at least one, with the port that the system chose if it
    /// was to.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// How many workers there will be: the configured number, or one per CPU.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.shared.state.config.lock().worker_count()
    }

    /// A hold on this server for other threads. Kept in a handler, it keeps the server in memory
    /// after its end.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle {
            shared: Arc::clone(&self.shared),
        }
    }

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
            shared, listen_set, ..
        } = self;
        let stops_clock = StopsClock(Arc::clone(&shared));
        let clock = Arc::clone(&shared);
        spawn("clock", move || {
            keep_running("clock", || clock::run(&clock), || clock.fail());
        })?;
        // Under the configuration's lock, so that this is not the number that was before a change.
        let config = shared.state.config.lock();
        shared.threads.call();
        let started = WorkerThreads::resize(&shared, config.worker_count());
        drop(config);
        let acceptor = started
            .map_err(StartError::Thread)
            .and_then(|()| AcceptorThread::start(&shared, listen_set))
            .inspect_err(|_| shared.threads.shutdown(&shared.pool))?;
        Ok(Started {
            shared,
            acceptor,
            _stops_clock: stops_clock,
        })
    }
}

/// A server whose threads run.
pub(crate) struct Started {
    shared: Arc<Shared>,
    acceptor: AcceptorThread,
    _stops_clock: StopsClock,
}

impl Started {
    /// Waits until a drain is wanted, and drains.
    pub(crate) fn wait(self) -> Drained {
        self.shared.wait_for_drain();
        drain(&self.shared, &self.acceptor)
    }
}

/// The acceptor's thread, which a drain waits for, up to a bound.
struct AcceptorThread {
    /// Nothing is ever sent: the thread drops the other end when it ends.
    ended: mpsc::Receiver<()>,
}

impl AcceptorThread {
    fn start(shared: &Arc<Shared>, listen_set: ListenSet) -> Result<Self, StartError> {
        let mut acceptor = Acceptor::new(Arc::clone(shared), listen_set);
        let shared = Arc::clone(shared);
        let (end, ended) = mpsc::channel();
        spawn("acceptor", move || {
            let _end: mpsc::Sender<()> = end;
            keep_running("acceptor", || acceptor.run(), || shared.fail());
        })?;
        Ok(Self { ended })
    }

    /// Returns whether the thread has ended before `deadline`.
    fn has_ended_by(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        self.ended.recv_timeout(left) == Err(RecvTimeoutError::Disconnected)
    }
}

/// Who listens on every address of the machine may not have thought of everybody who can reach it.
fn warn_about_wildcard_bind(config: &Config, local_addrs: &[SocketAddr]) {
    let is_open = |addr: &SocketAddr| addr.ip().is_unspecified();
    if config.requirepass.is_some() || !local_addrs.iter().any(is_open) {
        return;
    }
    if config.protected_mode {
        log::warn!(
            "`bind` has every address of this machine, but no other machine is let in without a \
             password (`protected-mode`); set `requirepass`"
        );
    } else {
        log::warn!(
            "`bind` has every address of this machine: whoever reaches it can do everything; set \
             `requirepass`, or bind fewer addresses"
        );
    }
}

/// Ends the clock's thread when the server has stopped, or could not start.
struct StopsClock(Arc<Shared>);

impl Drop for StopsClock {
    fn drop(&mut self) {
        self.0.clock.stop();
    }
}

pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<thread::JoinHandle<T>, StartError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(StartError::Thread)
}

/// Stops in an orderly way: no more accepts; requests received whole are answered; who is quiet is
/// closed.
///
/// Half of the time is for reading what has come, and the first half of that for accepting the
/// connections that were there before. In the other half nothing is read any more, so that a client
/// that never pauses is closed between two replies and not cut off in one.
fn drain(shared: &Arc<Shared>, acceptor: &AcceptorThread) -> Drained {
    // Without the configuration's lock, which may be held for long.
    let timeout = shared.settings.drain_timeout();
    let start = Instant::now();
    shared.set_phase(Phase::Draining);
    shared.wake_acceptor();
    shared.pool.begin_drain();
    let accepted_all = acceptor.has_ended_by(start + timeout / 4);
    if !shared.wait_until_empty(start + timeout / 2) {
        shared.set_phase(Phase::Closing);
        shared.wait_until_empty(start + timeout);
    }
    let aborted = shared.state.client_count.load(Ordering::Relaxed);
    // From here on the acceptor ends after its pass.
    shared.set_phase(Phase::Closing);
    shared.threads.shutdown(&shared.pool);
    let deadline = Instant::now() + LAST_TURN;
    shared.threads.wait_until_gone(deadline);
    if !accepted_all && !acceptor.has_ended_by(deadline) {
        log::warn!("the acceptor is still busy: connections that it has not come to are reset");
    }
    shared
        .pool
        .empty(|client| shared.close(client, &CloseReason::Drained));
    let failed = shared.has_failed();
    Drained { aborted, failed }
}

/// How long workers have to end their last turn once the drain is over. Only a handler that hangs
/// takes longer, and that one is not waited for.
const LAST_TURN: Duration = Duration::from_millis(100);

impl ServerHandle {
    /// Has the server drain: no more connections are accepted, every request received whole is
    /// answered, quiet clients are closed, and [`Server::serve`] returns, all within
    /// `drain-timeout-ms`, and a tenth of a second more where a handler does not return.
    ///
    /// Returns at once; calling it again changes nothing.
    pub fn drain(&self) {
        self.shared.want_drain();
    }

    /// How many worker threads there are. After a change of `workers` it follows as turns end; a
    /// handler that blocks keeps its worker for as long.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.shared.threads.size()
    }

    /// What the server has done since it started, and is doing.
    ///
    /// The workers count for themselves and are not stopped: the numbers belong together only as
    /// far as nothing happens meanwhile.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = &self.shared.state;
        let work = state.stats.work_ever();
        Stats {
            clients: state.client_count.load(Ordering::Relaxed),
            connections: state.connections.ever(),
            refused: state.refused.ever(),
            requests: work.requests,
            bytes_read: work.bytes_read,
            bytes_sent: work.bytes_sent,
        }
    }

    /// The configuration that is in force.
    #[must_use]
    pub fn config(&self) -> Config {
        self.shared.state.config.lock().clone()
    }

    /// Gives the running server another configuration. It takes effect at once, the number of
    /// workers included; new settings of `tcp-keepalive` hold for new connections. A line of the log
    /// names each key that changes.
    ///
    /// # Errors
    ///
    /// A [`ReconfigureError`] says why the server keeps the configuration that it has, all of it.
    pub fn reconfigure(&self, config: &Config) -> Result<(), ReconfigureError> {
        config
            .check()
            .map_err(|(key, reason)| ReconfigureError::Config { key, reason })?;
        let maxclients_max = self.shared.maxclients_at_start;
        let changes = self.shared.change(maxclients_max, |current| {
            current.clone_from(config);
            Ok::<_, ReconfigureError>(())
        })?;
        for change in changes {
            log::info!("{change}");
        }
        Ok(())
    }
}
