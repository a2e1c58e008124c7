//! The server: wiring, start and stop.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use mio::Waker;
use mio::net::TcpListener;
use parking_lot::{Condvar, Mutex};

use crate::acceptor::{Acceptor, Door};
use crate::client::Client;
use crate::closed::{Closed, Refused};
use crate::command::Commands;
use crate::config::{Change, Config, KEYS, Key};
use crate::crew::Crew;
use crate::deadlines::Clock;
use crate::facts::Facts;
use crate::facts::control::{Control, NotRewritten, Scene, Unchanged};
use crate::facts::register::{Sentence, flag};
use crate::hooks::{Departure, Hooks};
use crate::host::Host;
use crate::pool::Pool;
use crate::session::Session;
use crate::settings::Settings;
use crate::{deadlines, listen, open_files};

/// A server that listens and does not serve yet.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    door: Door,
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
    pub cut: usize,
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
            open_files::make_room(config.maxclients, listeners).map_err(StartError::OpenFiles)?;
        let listeners = listen(&config)?;
        let local_addrs: Vec<_> = listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect();
        let port = local_addrs.first().map_or(config.port, SocketAddr::port);
        warn_of_strangers(&config, &local_addrs);
        let (door, acceptor_waker) = Door::new(listeners).map_err(StartError::Poll)?;
        let pool = Pool::new(clients_max + open_files::REFUSED_MAX, num_cpus::get());
        let maxclients_at_start = config.maxclients;
        config.maxclients = clients_max;
        let pool = pool.map_err(StartError::Poll)?;
        let shared = Arc::new_cyclic(|shared: &Weak<Shared>| Shared {
            pool,
            crew: Crew::default(),
            settings: Settings::new(&config),
            host: OnceLock::new(),
            hooks: Hooks::default(),
            rewriting: Mutex::new(()),
            clients_max,
            maxclients_at_start,
            facts: Arc::new(Facts::new(commands, shared.clone(), config, port)),
            acceptor_waker,
            phase: AtomicU8::new(Phase::Serving as u8),
            clock: Clock::default(),
            connections: AtomicUsize::new(0),
            life: Mutex::new(Life::default()),
            life_changed: Condvar::new(),
        });
        Ok(Self {
            shared,
            door,
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
    pub fn on_arrival(
        self,
        hook: impl Fn(&mut Session) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.shared.hooks.arrive.get_or_init(|| Box::new(hook));
        self
    }

    /// Has `hook` called when a client has gone, once for each that was let in: it was sent all that
    /// it was owed, or cannot be.
    ///
    /// It runs on whichever thread met the end, which may be one that watches over all clients, so
    /// it has to return soon. A second call changes nothing.
    #[must_use]
    pub fn on_departure(
        self,
        hook: impl Fn(&mut Session, &Departure<'_>) + Send + Sync + 'static,
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
        self.shared.facts.config.lock().worker_count()
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
        let Self { shared, door, .. } = self;
        let stops_clock = StopsClock(Arc::clone(&shared));
        let clock = Arc::clone(&shared);
        spawn("clock", move || deadlines::run(&clock))?;
        let acceptor = Acceptor::new(Arc::clone(&shared), door);
        // Under the configuration's lock, so that this is not the number that was before a change.
        let config = shared.facts.config.lock();
        shared.crew.call();
        let hired = Crew::resize(&shared, config.worker_count());
        drop(config);
        let acceptor = hired
            .map_err(StartError::Thread)
            .and_then(|()| spawn("acceptor", move || acceptor.run()))
            .inspect_err(|_| shared.crew.dismiss(&shared.pool))?;
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
    acceptor: thread::JoinHandle<()>,
    _stops_clock: StopsClock,
}

impl Started {
    /// Waits until a drain is wanted, and drains.
    pub(crate) fn wait(self) -> Drained {
        self.shared.wait_for_drain();
        drain(&self.shared, self.acceptor)
    }
}

/// Who listens on every address of the machine may not have thought of everybody who can reach it.
fn warn_of_strangers(config: &Config, local_addrs: &[SocketAddr]) {
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
/// Half of the time is for reading what has come. In the other half nothing is read any more, so
/// that a client that never pauses is closed between two replies and not cut off in one.
fn drain(shared: &Arc<Shared>, acceptor: thread::JoinHandle<()>) -> Drained {
    let timeout = Duration::from_millis(shared.facts.config.lock().drain_timeout_ms.into());
    let start = Instant::now();
    shared.set_phase(Phase::Draining);
    shared.wake_acceptor();
    if acceptor.join().is_err() {
        log::error!("the acceptor panicked");
    }
    shared.pool.begin_drain();
    if !shared.wait_until_empty(start + timeout / 2) {
        shared.set_phase(Phase::Closing);
        shared.wait_until_empty(start + timeout);
    }
    let cut = shared.facts.clients.load(Ordering::Relaxed);
    shared.crew.dismiss(&shared.pool);
    shared.crew.wait_until_gone(Instant::now() + LAST_TURN);
    shared
        .pool
        .empty(|client| shared.close(client, &Closed::Drained));
    Drained { cut }
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
        self.shared.crew.size()
    }

    /// What the server has done since it started, and is doing.
    ///
    /// The workers count for themselves and are not stopped: the numbers belong together only as
    /// far as nothing happens meanwhile.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let facts = &self.shared.facts;
        let work = facts.stats.work_ever();
        Stats {
            clients: facts.clients.load(Ordering::Relaxed),
            connections: facts.connections.ever(),
            refused: facts.refused.ever(),
            requests: work.requests,
            bytes_read: work.bytes_read,
            bytes_sent: work.bytes_sent,
        }
    }

    /// Gives the running server another configuration. It takes effect at once, the number of
    /// workers included; new settings of `tcp-keepalive` hold for new connections.
    ///
    /// # Errors
    ///
    /// A [`ReconfigureError`] says why the server keeps the configuration that it has, all of it.
    pub fn reconfigure(&self, config: &Config) -> Result<(), ReconfigureError> {
        config
            .check()
            .map_err(|(key, reason)| ReconfigureError::Config { key, reason })?;
        let maxclients_max = self.shared.maxclients_at_start;
        self.shared.change(maxclients_max, |current| {
            current.clone_from(config);
            Ok(())
        })
    }
}

impl Config {
    /// Checks each value as if CONFIG SET were to set it. Gives the first that it would not, and why.
    fn check(&self) -> Result<(), (&'static str, Cow<'static, str>)> {
        let mut scratch = self.clone();
        // A server on sockets that it was given needs no address.
        let is_needless = |key: &Key| key.name == "bind" && self.bind.is_empty();
        let mut keys = KEYS.iter().filter(|key| !is_needless(key));
        keys.try_for_each(|key| {
            let checked = key.set(&mut scratch, &key.text(self));
            checked.map_err(|reason| (key.name, reason))
        })
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

/// What the threads of a server share.
pub(crate) struct Shared {
    pub(crate) pool: Pool,
    pub(crate) crew: Crew,
    pub(crate) settings: Settings,
    pub(crate) facts: Arc<Facts>,
    /// The program around the server, if it was given one.
    host: OnceLock<Box<dyn Host>>,
    pub(crate) hooks: Hooks,
    /// Held while the configuration's file is rewritten.
    rewriting: Mutex<()>,
    /// Clients for whom there are descriptors and places.
    clients_max: usize,
    maxclients_at_start: usize,
    acceptor_waker: Waker,
    /// A [`Phase`]. Written by the thread that drains.
    phase: AtomicU8,
    pub(crate) clock: Clock,
    /// Connections that have a place: clients, those on their way out, and those being refused.
    connections: AtomicUsize,
    life: Mutex<Life>,
    life_changed: Condvar,
}

/// What the thread that drains waits for.
#[derive(Debug, Default)]
struct Life {
    drain_wanted: bool,
}

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It accepts and serves.
    Serving,
    /// It accepts nobody, and closes each client once it has nothing left to read.
    Draining,
    /// It reads nothing more.
    Closing,
}

/// Not what the clients have sent and are owed: whoever logs a handle should not log that.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("phase", &self.phase())
            .field("clients", &self.facts.clients)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Closing,
        }
    }

    /// Gives a connection a place; `None` if there is none left.
    pub(crate) fn assign_place(&self) -> Option<usize> {
        let place = self.pool.assign().or_else(|| {
            // Rather than to refuse anybody, those are let go who have been sent everything.
            let seen_off = |client: &Client| client.is_seen_off();
            self.pool
                .fetch(seen_off, |client| self.close(client, &Closed::PeerLeft));
            self.pool.assign()
        })?;
        self.connections.fetch_add(1, Ordering::Relaxed);
        Some(place)
    }

    /// Counts a client in, unless something is against it. Only the acceptor calls this.
    pub(crate) fn admit(&self, peer_addr: SocketAddr) -> Result<(), Refused> {
        let (settings, facts) = (&self.settings, &self.facts);
        let ip = peer_addr.ip().to_canonical();
        let per_address = settings.maxclients_per_address();
        let why = if settings.refuses_strangers() && !ip.is_loopback() {
            Refused::Protected
        } else if facts.clients.load(Ordering::Relaxed) >= settings.maxclients() {
            Refused::TooMany
        } else if per_address > 0 && facts.register.count_from(ip) >= per_address {
            Refused::TooManyFromAddress
        } else {
            facts.clients.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        };
        facts.refused.count();
        Err(why)
    }

    /// Has the program decide on a client that has come.
    #[cold]
    pub(crate) fn arrive(&self, session: &mut Session) -> Result<(), Closed> {
        if self.hooks.arrive.get().is_some() {
            self.pool.hand_over();
        }
        self.hooks.arrive(session)
    }

    /// Counts a client out: it was sent all that it was owed, or is gone.
    pub(crate) fn count_out(&self, session: &mut Session, why: &Closed) {
        self.facts.register.remove(session.entry());
        self.facts.clients.fetch_sub(1, Ordering::Relaxed);
        if self.hooks.depart.get().is_some() {
            self.pool.hand_over();
        }
        self.hooks.depart(session, why);
    }

    /// Closes those for whom and from whom the most waits, until no more waits than may.
    pub(crate) fn evict(&self) {
        let Some(bytes_max) = self.settings.memory_bytes_max() else {
            return;
        };
        let mut entries: Vec<_> = self.facts.register.all();
        let mut bytes: u64 = entries.iter().map(|entry| entry.waiting_bytes()).sum();
        if bytes <= bytes_max {
            return;
        }
        entries.retain(|entry| !entry.has(flag::NO_EVICT));
        entries.sort_by_cached_key(|entry| Reverse(entry.waiting_bytes()));
        for entry in entries {
            if bytes <= bytes_max || entry.waiting_bytes() == 0 {
                break;
            }
            bytes = bytes.saturating_sub(entry.waiting_bytes());
            entry.condemn(Sentence::Evicted);
            self.pool.nudge(entry.place);
        }
    }

    /// Has those served who rest because of a pause that is over.
    pub(crate) fn release_the_paused(&self) {
        self.pool
            .fetch(Client::is_paused, |client| self.pool.submit(client));
    }

    /// Has a client that leaves be told of nothing any more.
    pub(crate) fn stop_listening(&self, session: &mut Session) {
        if session.listens() {
            // It may take a while to find all that it is subscribed to.
            self.pool.hand_over();
            session.stop_listening();
        }
    }

    /// Closes a client: the end of it.
    pub(crate) fn close(&self, mut client: Box<Client>, why: &Closed) {
        self.stop_listening(&mut client.session);
        let is_counted = client.is_counted();
        let Client {
            session, leaving, ..
        } = &mut *client;
        let why = leaving.as_ref().map_or(why, |leaving| &leaving.why);
        if is_counted {
            self.count_out(session, why);
        }
        self.facts.note_close(session.entry(), why);
        let place = client.place();
        drop(client);
        self.pool.free(place);
        self.connections.fetch_sub(1, Ordering::Relaxed);
        if self.phase() != Phase::Serving {
            // Under the lock, or the one who waits could miss it between looking and waiting.
            let _life = self.life.lock();
            self.life_changed.notify_all();
        }
    }

    fn want_drain(&self) {
        self.life.lock().drain_wanted = true;
        self.life_changed.notify_all();
    }

    fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    fn wake_acceptor(&self) {
        if let Err(error) = self.acceptor_waker.wake() {
            log::error!("cannot wake the acceptor: {error}");
        }
    }

    fn wait_for_drain(&self) {
        let mut life = self.life.lock();
        self.life_changed
            .wait_while(&mut life, |life| !life.drain_wanted);
    }

    /// Waits until the last connection is closed, or until `deadline`. Gives whether it is.
    fn wait_until_empty(&self, deadline: Instant) -> bool {
        let mut life = self.life.lock();
        let anyone = |_: &mut Life| self.connections.load(Ordering::Relaxed) > 0;
        !self
            .life_changed
            .wait_while_until(&mut life, anyone, deadline)
            .timed_out()
    }
}

impl Shared {
    /// Puts into force what `change` makes of the configuration: all of it or, on an error, nothing.
    fn change<E: From<ReconfigureError>>(
        self: &Arc<Self>,
        maxclients_max: usize,
        change: impl FnOnce(&mut Config) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut current = self.facts.config.lock();
        if self.life.lock().drain_wanted {
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
        if let Err(error) = Crew::resize(self, new.worker_count()) {
            // Those that were started are let go, for which no thread is needed.
            let _ = Crew::resize(self, current.worker_count());
            return Err(ReconfigureError::Thread(error).into());
        }
        self.settings.apply(&new);
        self.facts.follow(&new);
        *current = new;
        self.wake_acceptor();
        if let Some(host) = self.host.get() {
            host.changed(&current);
        }
        Ok(())
    }
}

impl Control for Shared {
    fn nudge(&self, place: usize) {
        self.pool.nudge(place);
    }

    fn follow_pause(&self) {
        self.clock.look();
        self.release_the_paused();
    }

    fn config_file(&self) -> Option<PathBuf> {
        self.host.get()?.config_file().map(Path::to_owned)
    }

    fn scene(&self) -> Scene {
        let (queued, followers, leads) = self.pool.scene();
        Scene {
            workers: self.crew.size(),
            followers,
            leads,
            queued,
            clients: self.facts.clients.load(Ordering::Relaxed),
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
        self.change(self.clients_max, change)
    }

    fn rewrite_config(self: Arc<Self>) -> Result<(), NotRewritten> {
        let host = self.host.get().filter(|host| host.config_file().is_some());
        let host = host.ok_or(NotRewritten::NoFile)?;
        // Taken before the configuration is looked at, so that what was in force earlier is not
        // written later. The configuration itself is not locked for as long as a disk may take.
        let _rewriting = self.rewriting.lock();
        let config = self.facts.config.lock().clone();
        host.rewrite(&config).map_err(NotRewritten::Failed)
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
