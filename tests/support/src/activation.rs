//! The program as a service manager starts it: with sockets that listen.

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use crate::PATIENCE;
use crate::process::{Process, Respool};
use crate::target::program;

/// Starts the program with one or two sockets, as descriptors 3 and 4, and with these names of them,
/// separated by colons.
pub fn start(args: &[&str], names: &str, sockets: Vec<OwnedFd>) -> Process {
    let count = sockets.len();
    let mut sockets = sockets.into_iter();
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "sh"]).arg(program()).args(args);
    command
        .env("LISTEN_FDS", count.to_string())
        .env("LISTEN_FDNAMES", names);
    command.stdin(sockets.next().expect("there is one"));
    // Any other descriptor could leak into the processes of other tests.
    command.stderr(sockets.next().map_or_else(Stdio::piped, Stdio::from));
    Process::spawn(&mut command)
}

/// As [`start`], and waits until the program serves.
pub fn serve(args: &[&str], names: &str, sockets: Vec<OwnedFd>) -> Respool {
    Respool::of(start(args, names, sockets), PATIENCE, None)
}

/// The sockets come as standard input and error.
const SCRIPT: &str = r#"
    exec 3<&0 </dev/null
    if [ "$LISTEN_FDS" = 2 ]; then exec 4<&2 2>&1; fi
    export LISTEN_PID=$$
    exec "$@""#;
