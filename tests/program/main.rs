//! What an operator sees of the program: its texts, exit codes and files, and what signals do.

#[cfg(target_os = "linux")]
mod acceptor;
mod activation;
mod arguments;
mod log;
mod log_format;
mod processes;
mod reload;
mod rewrite;
mod secrets;
mod signals;
mod stalled_log;
mod systemd;
#[cfg(feature = "tls")]
mod tls;

use std::process::{Command, Stdio};

use respool_testing::PATIENCE;
use respool_testing::process::{Ended, Process, Respool};
use respool_testing::target::program;

fn respool(args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the program until it ends by itself.
#[track_caller]
fn run(args: &[&str]) -> Ended {
    Process::start(&mut respool(args)).ended(PATIENCE)
}

/// Starts a server and waits for its first line.
fn start(args: &[&str]) -> Respool {
    Respool::run_beside_others(&mut respool(args))
}

/// Sends CONFIG with these words, and returns the reply, which is one line.
#[track_caller]
fn config(server: &Respool, words: &str) -> String {
    let mut peer = server.connect();
    // AUTH fails if no password is set, which changes nothing.
    peer.send(format!("AUTH {PASSWORD}\r\nCONFIG {words}\r\n"));
    peer.line();
    peer.line()
}

/// As an inline request writes it.
const PASSWORD: &str = r#""a \"b\"""#;

/// Returns the value of a directive.
#[track_caller]
fn value(server: &Respool, directive: &str) -> String {
    let mut peer = server.connect();
    peer.send(format!("AUTH {PASSWORD}\r\nCONFIG GET {directive}\r\n"));
    peer.line();
    let mut lines = std::iter::repeat_with(|| peer.line());
    // The header, the name's length, the name, the value's length.
    lines.nth(4).expect("lines do not end")
}
