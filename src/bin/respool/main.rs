//! The program: reads the configuration, starts the log and the server, handles signals and decides
//! the exit code. Only it prints. The library serves the clients.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod activation;
mod check;
mod edit;
mod greeting;
mod host;
mod logging;
mod memory;
mod rewrite;
mod systemd;

use std::error::Error;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::{self, ExitCode};
use std::time::Duration;
use std::{env, thread};

use crossbeam_channel::{Receiver, RecvError, RecvTimeoutError, Sender, bounded, select};
use log::{error, info, warn};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use respool::config::{CommandLine, Loaded};
use respool::{Commands, Config, Drained, ReconfigureError, Server, ServerHandle, StartError};

use activation::{Handed, Sockets};
use host::Program;
use systemd::{Event, Notifier, Systemd};

fn main() -> ExitCode {
    memory::bound_kept();
    let command_line = match CommandLine::parse(env::args_os()) {
        Ok(command_line) => command_line,
        // The help, the version, or an error about the command line.
        Err(text) => {
            let _ = text.print();
            return ExitCode::from(u8::from(text.use_stderr()));
        }
    };
    // While there is no other thread.
    let sockets = if command_line.check_config {
        Ok(Vec::new())
    } else {
        activation::take()
    };
    let outcome = run(command_line, sockets);
    logging::flush();
    match outcome {
        Ok(Drained { failed: true, .. }) => ExitCode::from(THREAD_FAILED),
        Ok(Drained { aborted: 0, .. }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(CLIENTS_ABORTED),
        Err(error) => {
            // Standard error may be closed.
            let _ = writeln!(io::stderr(), "respool: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs from the configuration to the end of the drain. `handed` are the service manager's sockets.
fn run(
    command_line: CommandLine,
    handed: Result<Vec<Handed>, String>,
) -> Result<Drained, Box<dyn Error>> {
    let loaded = match command_line.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            // The file cannot name the log file, but a flag can.
            let flags = command_line.flags();
            if !command_line.check_config
                && flags.logfile.is_some()
                && logging::start(&flags).is_ok()
            {
                error!("cannot start: {error}");
            }
            return Err(error.into());
        }
    };
    if command_line.check_config {
        let warnings = check::check(&loaded.config)?;
        let _ = writeln!(io::stdout(), "respool: {} is fine", source(&command_line));
        for warning in loaded.warnings.iter().chain(&warnings) {
            let _ = writeln!(io::stderr(), "respool: warning: {warning}");
        }
        return Ok(Drained::default());
    }

    logging::start(&loaded.config)?;
    let has_logfile = loaded.config.logfile.is_some();
    let served = handed
        .map_err(Into::into)
        .and_then(|handed| serve(command_line, loaded, handed));
    served.inspect_err(|error| {
        // `main` prints it to standard error, which a service manager may not keep.
        if has_logfile {
            error!("cannot start: {error}");
        }
    })
}

/// Runs from the start of the log to the end of the drain.
fn serve(
    command_line: CommandLine,
    loaded: Loaded,
    handed: Vec<Handed>,
) -> Result<Drained, Box<dyn Error>> {
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    // Before the server listens, so that it handles every signal.
    let signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1])?;
    let signals_end = signals.handle();
    let (systemd, events) = Systemd::new();
    let program = Program::new(&command_line, systemd.clone());
    program.keep_secret(&loaded);
    let server = if handed.is_empty() {
        listen(loaded.config)?
    } else {
        listen_on(handed, loaded.config)?
    };
    let server = server.with_host(program.clone());

    // At most one of each waits while another runs: it reads the newest file.
    let (reload, reloads) = bounded(1);
    let (reopen, reopens) = bounded(1);
    let reloader = Reloader {
        command_line,
        program,
        systemd: systemd.clone(),
        server: server.handle(),
    };
    let reloader_end = spawn("reload", &server, move || reloader.run(&reloads, &reopens))?;
    let operator = Operator {
        reload,
        reopen,
        server: server.handle(),
        draining: false,
    };
    let operator_end = spawn("signals", &server, move || operator.run(signals))?;
    let notifier = events.map(|events| Notifier::new(server.handle(), events));
    let notifier_end = notifier.map(|notifier| spawn("systemd", &server, move || notifier.run()));
    let notifier_end = notifier_end.transpose()?;
    let running = server.spawn()?;
    systemd.notify(Event::Ready);
    let mut drained = running.wait();

    signals_end.close();
    systemd.notify(Event::Stopped);
    // A reload may wait for a disk, and the process ends nevertheless.
    drained.failed |= [operator_end, reloader_end]
        .iter()
        .chain(&notifier_end)
        .any(|end| end.recv_timeout(LAST_SIGNAL) == Err(RecvTimeoutError::Disconnected));
    log_end(&drained);
    Ok(drained)
}

/// Listens, and logs where.
fn listen(config: Config) -> Result<Server, StartError> {
    if config.tls_port != 0 {
        // Before anything listens: `Server::bind` leaves missing certificates to `with_tls`.
        Server::check(&config)?;
    }
    let (tls_port, unixsocket) = (config.tls_port, config.unixsocket.clone());
    let server = Server::bind(config, Commands::builtin())?;
    let http = server.http_addrs();
    let (addrs, path) = (server.local_addrs(), unixsocket.as_deref());
    let places = greeting::Places::of(addrs, tls_port, path, &http);
    info!("{}", greeting::line(&places, server.workers()));
    Ok(server)
}

/// Listens on the service manager's sockets, and logs where.
fn listen_on(handed: Vec<Handed>, config: Config) -> Result<Server, Box<dyn Error>> {
    let has_http_port = config.http_port != 0;
    let sockets = Sockets::sort(handed, &config)?;
    let server = Server::from_listeners(sockets.clients, config, Commands::builtin())?;
    // The manager keeps the sockets, and starts the next server with them.
    let server = with_http(server.leave_backlog(), sockets.http)?;
    let http = server.http_addrs();
    let places = greeting::Places {
        plain: sockets.plain,
        tls: sockets.tls,
        unixsocket: sockets.unix.as_deref(),
        http: &http,
    };
    info!("{}", greeting::line(&places, server.workers()));
    info!("the sockets are those of the service manager, and not those of `bind` and `unixsocket`");
    if has_http_port && http.is_empty() {
        warn!(
            "`http-port` has no effect: the service manager has no socket for it (name one \"http\", \
             or set `http-port` to 0)"
        );
    }
    Ok(server)
}

#[cfg(feature = "http")]
fn with_http(mut server: Server, sockets: Vec<TcpListener>) -> Result<Server, Box<dyn Error>> {
    for socket in sockets {
        server = server.with_http_listener(socket)?;
    }
    Ok(server)
}

#[cfg(not(feature = "http"))]
#[expect(clippy::needless_pass_by_value, reason = "with `http`, it takes them")]
fn with_http(server: Server, sockets: Vec<TcpListener>) -> Result<Server, Box<dyn Error>> {
    if sockets.is_empty() {
        Ok(server)
    } else {
        Err("this build has no operations listener for the socket \"http\"".into())
    }
}

fn log_end(drained: &Drained) {
    match drained {
        Drained { failed: true, .. } => error!("stopped: a thread of the server kept panicking"),
        Drained { aborted: 0, .. } => info!("stopped: every reply was sent"),
        Drained { aborted, .. } => {
            warn!("stopped: drain-timeout-ms ran out; clients aborted: {aborted}");
        }
    }
}

/// Starts a thread for the operator. If it panics, the server drains, because the operator could
/// not reach it any more. The receiver gets a message if the thread ends without a panic.
fn spawn(
    name: &str,
    server: &Server,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<Receiver<()>> {
    let drains = DrainsWhenDropped(server.handle());
    let (end, ended) = bounded(1);
    let body = move || {
        let _drains = drains;
        body();
        let _ = end.send(());
    };
    thread::Builder::new().name(name.into()).spawn(body)?;
    Ok(ended)
}

struct DrainsWhenDropped(ServerHandle);

impl Drop for DrainsWhenDropped {
    fn drop(&mut self) {
        self.0.drain();
    }
}

/// Time between two calls that return freed memory. A call takes some microseconds, or milliseconds
/// after gigabytes were freed.
const MEMORY_PERIOD: Duration = Duration::from_secs(2);

/// Maximum time to wait at the end for each of the operator's threads.
const LAST_SIGNAL: Duration = Duration::from_millis(100);

/// Exit code if the server stopped because one of its threads kept panicking.
const THREAD_FAILED: u8 = 4;

/// Exit code if clients were closed before they had their replies.
const CLIENTS_ABORTED: u8 = 3;

/// Returns the source of the configuration, for messages.
fn source(command_line: &CommandLine) -> String {
    match &command_line.file {
        Some(file) => file.display().to_string(),
        None => "the command line".into(),
    }
}

/// Handles signals, on a thread of its own that never waits for a disk.
struct Operator {
    /// Requests a reload.
    reload: Sender<()>,
    /// Requests that the log is opened again.
    reopen: Sender<()>,
    server: ServerHandle,
    draining: bool,
}

impl Operator {
    /// Handles signals until `signals` is closed, after the server stopped.
    fn run(mut self, mut signals: Signals) {
        for signal in signals.forever() {
            match signal {
                // If a request waits already, it serves this signal too.
                SIGHUP => _ = self.reload.try_send(()),
                SIGUSR1 => _ = self.reopen.try_send(()),
                SIGINT if self.draining => {
                    warn!("SIGINT while draining: stopping at once");
                    logging::flush();
                    process::exit(1);
                }
                SIGINT => self.drain("SIGINT"),
                _ => self.drain("SIGTERM"),
            }
        }
    }

    /// Starts the drain, or ends its delay.
    fn drain(&mut self, signal: &str) {
        if !self.draining {
            info!("{signal}: draining");
        }
        self.draining = true;
        self.server.drain();
    }
}

/// Reloads on a thread of its own, so that other signals are handled while it waits for a disk.
struct Reloader {
    command_line: CommandLine,
    program: Program,
    systemd: Systemd,
    server: ServerHandle,
}

impl Reloader {
    /// Reloads or opens the log again on each message, and returns freed memory between them, until
    /// the senders are dropped.
    fn run(self, reloads: &Receiver<()>, reopens: &Receiver<()>) {
        loop {
            select! {
                recv(reloads) -> message => match message {
                    Ok(()) => {
                        self.systemd.notify(Event::Reloading);
                        self.reload();
                        self.systemd.notify(Event::Reloaded);
                    }
                    Err(RecvError) => return,
                },
                recv(reopens) -> message => match message {
                    Ok(()) => match self.reopen_log() {
                        Ok(()) => info!("SIGUSR1: the log was opened again"),
                        Err(error) => error!("SIGUSR1: {error}"),
                    },
                    Err(RecvError) => return,
                },
                default(MEMORY_PERIOD) => memory::return_freed(),
            }
        }
    }

    /// Opens the log of the running configuration again, after a rotation.
    fn reopen_log(&self) -> Result<(), String> {
        logging::switch_to(logging::open(&self.server.config())?);
        Ok(())
    }

    /// Reads all sources again, and applies all values or, on any mistake, none. Opens the log
    /// again even so, because a rotation does not wait until the mistake is corrected.
    fn reload(&self) {
        let loaded = match self.try_reload() {
            Ok(loaded) => loaded,
            Err(error) => {
                let reopened = self.reopen_log();
                error!("SIGHUP: nothing changed: {error}");
                if let Err(error) = reopened {
                    error!("SIGHUP: {error}");
                }
                return;
            }
        };
        for warning in &loaded.warnings {
            warn!("{warning}");
        }
        for key in &loaded.overridden {
            info!("SIGHUP: {key}");
        }
        if self.command_line.file.is_some() {
            info!("SIGHUP: applied {}", source(&self.command_line));
        } else {
            let read = files_read(&loaded.config);
            warn!("SIGHUP: {read}the log was opened again; there is no FILE to read");
        }
    }

    fn try_reload(&self) -> Result<Loaded, Box<dyn Error>> {
        let loaded = self.command_line.load()?;
        let target = logging::open(&loaded.config)?;
        // Before it is in effect, so that CONFIG REWRITE never writes it.
        self.program.keep_secret(&loaded);
        if self.command_line.file.is_some() {
            self.server.reconfigure(&loaded.config)?;
        } else {
            self.reload_files(&loaded.config)?;
        }
        // Last, after everything that may fail.
        logging::switch_to(target);
        Ok(loaded)
    }

    /// Applies only the password of `requirepass-file` and the certificates, because without FILE
    /// the values of CONFIG SET stay. If CONFIG SET changed the password, `requirepass-file` is
    /// empty.
    fn reload_files(&self, loaded: &Config) -> Result<(), ReconfigureError> {
        let mut config = self.server.config();
        if config.requirepass_file.is_some() {
            config.requirepass.clone_from(&loaded.requirepass);
        }
        self.server.reconfigure(&config)
    }
}

/// Returns the beginning of a log line about a reload without FILE: what else was read.
fn files_read(config: &Config) -> &'static str {
    match (config.requirepass_file.is_some(), config.tls_port != 0) {
        (false, false) => "",
        (true, false) => "requirepass-file was read and ",
        (false, true) => "the certificates were loaded and ",
        (true, true) => "requirepass-file was read, the certificates were loaded and ",
    }
}
