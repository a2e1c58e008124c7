//! The program: reads the configuration, starts the log and the server, obeys signals and decides
//! the exit code. Nothing else prints; whatever serves clients is in the library.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod check;
mod edit;
mod greeting;
mod host;
mod levels;
mod logging;
mod memory;
mod rewrite;

use std::error::Error;
use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;
use std::{env, thread};

use log::{error, info, warn};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use respool::config::{CommandLine, Loaded};
use respool::{Commands, Config, Drained, ReconfigureError, Server, ServerHandle};

use host::Program;
use logging::Log;

fn main() -> ExitCode {
    memory::bound_kept();
    let command_line = match CommandLine::parse(env::args_os()) {
        Ok(command_line) => command_line,
        Err(text) => return show(&text),
    };
    let outcome = run(command_line);
    logging::flush();
    match outcome {
        Ok(Drained { failed: true, .. }) => ExitCode::from(THREAD_FAILED),
        Ok(Drained { aborted: 0, .. }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(CLIENTS_WERE_CUT),
        Err(error) => {
            // Whoever closed standard error does not want to know.
            let _ = writeln!(io::stderr(), "respool: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the help or the version that was asked for, or what is wrong with the command line.
fn show(text: &clap::Error) -> ExitCode {
    let _ = text.print();
    if text.use_stderr() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Everything from the configuration to the end of the drain.
fn run(command_line: CommandLine) -> Result<Drained, Box<dyn Error>> {
    let loaded = match command_line.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            // The file cannot name the log file, but a flag can.
            let flags = command_line.flags();
            if !command_line.check_config && flags.logfile.is_some() && Log::start(&flags).is_ok() {
                error!("cannot start: {error}");
            }
            return Err(error.into());
        }
    };
    if command_line.check_config {
        check::check(&loaded.config)?;
        let _ = writeln!(io::stdout(), "respool: {} is fine", source(&command_line));
        for warning in &loaded.warnings {
            let _ = writeln!(io::stderr(), "respool: warning: {warning}");
        }
        return Ok(Drained::default());
    }

    let log = Log::start(&loaded.config)?;
    let has_logfile = loaded.config.logfile.is_some();
    serve(command_line, loaded, log).inspect_err(|error| {
        // Standard error has it anyway; a service manager may keep only the file.
        if has_logfile {
            error!("cannot start: {error}");
        }
    })
}

/// Everything from the start of the log to the end of the drain.
fn serve(command_line: CommandLine, loaded: Loaded, log: Log) -> Result<Drained, Box<dyn Error>> {
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    // Before the server listens, so that no signal finds a server that does not obey it.
    let signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let signals_end = signals.handle();
    let program = Program::new(&command_line);
    program.keep_secret(&loaded);
    let server = Server::bind(loaded.config, Commands::builtin())?.with_host(program.clone());
    info!("{}", greeting::line(server.local_addrs(), server.workers()));

    // At most one reload waits for the one under way: it reads whatever there is by then.
    let (reload, reloads) = mpsc::sync_channel(1);
    let reloader = Reloader {
        command_line,
        program,
        log,
        server: server.handle(),
    };
    let reloader_end = spawn("reload", &server, move || reloader.obey(&reloads))?;
    let operator = Operator {
        reload,
        server: server.handle(),
        draining: false,
    };
    let operator_end = spawn("signals", &server, move || operator.obey(signals))?;
    let mut drained = server.serve()?;

    signals_end.close();
    // A reload may wait for a disk; the process ends all the same.
    drained.failed |= [operator_end, reloader_end]
        .iter()
        .any(|end| end.recv_timeout(LAST_SIGNAL) == Err(RecvTimeoutError::Disconnected));
    match drained {
        Drained { failed: true, .. } => error!("stopped: a thread of the server kept panicking"),
        Drained { aborted: 0, .. } => info!("stopped: every reply was sent"),
        Drained { aborted, .. } => {
            warn!("stopped: drain-timeout-ms ran out; clients aborted: {aborted}");
        }
    }
    Ok(drained)
}

/// Starts a thread without which the operator could not reach the server any more: if it panics, the
/// server drains. The receiver gets a message when it has ended in order.
fn spawn(
    name: &str,
    server: &Server,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<Receiver<()>> {
    let drains = DrainsWhenDropped(server.handle());
    let (end, ended) = mpsc::sync_channel(1);
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

/// How often freed memory is returned to the system. It takes some microseconds, and milliseconds after
/// gigabytes were freed.
const MEMORY_PERIOD: Duration = Duration::from_secs(2);

/// How long the end waits for each of the operator's threads.
const LAST_SIGNAL: Duration = Duration::from_millis(100);

/// The exit code when the server stopped because one of its threads panicked again and again.
const THREAD_FAILED: u8 = 4;

/// The exit code when the server stopped, but not every client had what it was owed.
const CLIENTS_WERE_CUT: u8 = 3;

/// Where the configuration comes from.
fn source(command_line: &CommandLine) -> String {
    match &command_line.file {
        Some(file) => file.display().to_string(),
        None => "the command line".into(),
    }
}

/// Does what the operator's signals ask for, on a thread of its own, which waits for no disk.
struct Operator {
    /// Asks for a reload.
    reload: SyncSender<()>,
    server: ServerHandle,
    draining: bool,
}

impl Operator {
    /// Obeys until `signals` is closed, which is when the server has stopped.
    fn obey(mut self, mut signals: Signals) {
        for signal in signals.forever() {
            match signal {
                // If one waits already, it is for this one too.
                SIGHUP => _ = self.reload.try_send(()),
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

    /// Starts the drain; once it has started, a second word changes nothing.
    fn drain(&mut self, signal: &str) {
        if !self.draining {
            info!("{signal}: draining");
            self.draining = true;
            self.server.drain();
        }
    }
}

/// Reloads on a thread of its own: a file may be on a disk that does not answer, and other signals
/// are obeyed meanwhile.
struct Reloader {
    command_line: CommandLine,
    program: Program,
    log: Log,
    server: ServerHandle,
}

impl Reloader {
    /// Reloads whenever it is asked to, and meanwhile returns freed memory, until the one who asks is
    /// gone.
    fn obey(self, reloads: &Receiver<()>) {
        loop {
            match reloads.recv_timeout(MEMORY_PERIOD) {
                Ok(()) => self.reload(),
                Err(RecvTimeoutError::Timeout) => memory::return_freed(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reads everything again and applies all of it or, if anything is wrong, nothing.
    fn reload(&self) {
        let loaded = match self.try_reload() {
            Ok(loaded) => loaded,
            Err(error) => return error!("SIGHUP: nothing changed: {error}"),
        };
        for warning in &loaded.warnings {
            warn!("{warning}");
        }
        for key in &loaded.overridden {
            info!("SIGHUP: {key}");
        }
        match (&self.command_line.file, &loaded.config.requirepass_file) {
            (Some(_), _) => info!("SIGHUP: applied {}", source(&self.command_line)),
            (None, None) => warn!("SIGHUP: the log was opened again; there is no FILE to read"),
            (None, Some(_)) => warn!(
                "SIGHUP: requirepass-file was read and the log opened again; there is no FILE to read"
            ),
        }
    }

    fn try_reload(&self) -> Result<Loaded, Box<dyn Error>> {
        let loaded = self.command_line.load()?;
        let target = logging::open(&loaded.config)?;
        // Before it is in force, so that CONFIG REWRITE never finds it there unknown.
        self.program.keep_secret(&loaded);
        if self.command_line.file.is_some() {
            self.server.reconfigure(&loaded.config)?;
        } else {
            self.reload_password(&loaded.config)?;
        }
        // Last, because nothing can fail any more.
        self.log.switch_to(target);
        Ok(loaded)
    }

    /// Without FILE, what CONFIG SET changed stays, and so does a password that it set: then
    /// `requirepass-file` is empty.
    fn reload_password(&self, loaded: &Config) -> Result<(), ReconfigureError> {
        let mut config = self.server.config();
        if config.requirepass_file.is_some() {
            config.requirepass.clone_from(&loaded.requirepass);
            self.server.reconfigure(&config)?;
        }
        Ok(())
    }
}
