//! The program: reads the configuration, starts the log and the server, obeys signals and decides
//! the exit code. Nothing else prints; whatever serves clients is in the library.

#![warn(clippy::print_stdout, clippy::print_stderr)]

// In a folder of their own, apart from the modules of the library.
#[path = "main/check.rs"]
mod check;
#[path = "main/edit.rs"]
mod edit;
#[path = "main/greeting.rs"]
mod greeting;
#[path = "main/host.rs"]
mod host;
#[path = "main/levels.rs"]
mod levels;
#[path = "main/logging.rs"]
mod logging;
#[path = "main/rewrite.rs"]
mod rewrite;

use std::error::Error;
use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::{env, thread};

use log::{error, info, warn};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use respool::config::{CommandLine, Loaded};
use respool::{Commands, Config, Drained, ReconfigureError, Server, ServerHandle};

use host::Program;
use logging::Log;

fn main() -> ExitCode {
    let command_line = match CommandLine::parse(env::args_os()) {
        Ok(command_line) => command_line,
        Err(text) => return show(&text),
    };
    match run(command_line) {
        Ok(Drained { cut: 0, .. }) => ExitCode::SUCCESS,
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

    let operator = Operator {
        command_line,
        program,
        log,
        server: server.handle(),
        draining: false,
    };
    let operator_thread = thread::Builder::new()
        .name("signals".into())
        .spawn(move || operator.obey(signals))?;
    let drained = server.serve()?;

    signals_end.close();
    // It cannot have panicked, and if it has, the server is stopped all the same.
    let _ = operator_thread.join();
    match drained.cut {
        0 => info!("stopped: every reply was sent"),
        cut => warn!("stopped: drain-timeout-ms ran out; clients cut: {cut}"),
    }
    Ok(drained)
}

/// The exit code when the server stopped, but not every client had what it was owed.
const CLIENTS_WERE_CUT: u8 = 3;

/// Where the configuration comes from.
fn source(command_line: &CommandLine) -> String {
    match &command_line.file {
        Some(file) => file.display().to_string(),
        None => "the command line".into(),
    }
}

/// Does what the operator's signals ask for, on a thread of its own.
struct Operator {
    command_line: CommandLine,
    program: Program,
    log: Log,
    server: ServerHandle,
    draining: bool,
}

impl Operator {
    /// Obeys until `signals` is closed, which is when the server has stopped.
    fn obey(mut self, mut signals: Signals) {
        for signal in signals.forever() {
            match signal {
                SIGHUP => self.reload(),
                SIGINT if self.draining => {
                    warn!("SIGINT while draining: ends at once");
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
            (Some(_), _) => info!("SIGHUP: {} is in force", source(&self.command_line)),
            (None, None) => warn!("SIGHUP: no FILE was given, so only the log was opened again"),
            (None, Some(_)) => warn!(
                "SIGHUP: no FILE was given, so only requirepass-file was read and the log opened \
                 again"
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
