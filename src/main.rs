//! The program: reads the configuration, starts the log and the server, obeys signals and decides
//! the exit code. Nothing else prints; whatever serves clients is in the library.

#![warn(clippy::print_stdout, clippy::print_stderr)]

// In a folder of their own, apart from the modules of the library.
#[path = "main/edit.rs"]
mod edit;
#[path = "main/greeting.rs"]
mod greeting;
#[path = "main/host.rs"]
mod host;
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

use respool::config::CommandLine;
use respool::{Commands, Drained, Server, ServerHandle};

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
    let config = command_line.config()?;
    if command_line.check_config {
        let _ = writeln!(io::stdout(), "respool: {} is fine", source(&command_line));
        return Ok(Drained::default());
    }

    let log = Log::start(&config)?;
    // Before the server listens, so that no signal finds a server that does not obey it.
    let signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let signals_end = signals.handle();
    let server = Server::bind(config, Commands::builtin())?.with_host(Program::new(&command_line));
    info!("{}", greeting::line(server.local_addrs(), server.workers()));

    let operator = Operator {
        command_line,
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
        match self.try_reload() {
            Err(error) => error!("SIGHUP: nothing changed: {error}"),
            Ok(()) if self.command_line.file.is_some() => {
                info!("SIGHUP: {} is in force", source(&self.command_line));
            }
            Ok(()) => warn!("SIGHUP: no FILE was given, so only the log was opened again"),
        }
    }

    fn try_reload(&self) -> Result<(), Box<dyn Error>> {
        let config = self.command_line.config()?;
        let target = logging::open(&config)?;
        // Without a file there is nothing new to read, and what CONFIG has set stays.
        if self.command_line.file.is_some() {
            self.server.reconfigure(&config)?;
        }
        // Last, because nothing can fail any more.
        self.log.switch_to(target);
        Ok(())
    }
}
