//! respool and redis-server with the same settings, each a process on a free port of the loopback.

use std::fs;
use std::io::{ErrorKind, Write, stderr};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::process::{Process, Respool};
use crate::target::program;
use crate::{PATIENCE, Scratch, free_port};

/// The settings of both servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// The defaults.
    Plain,
    /// With the password [`PASSWORD`].
    Password,
    /// With `DEBUG` allowed.
    Debug,
    /// With a configuration file.
    File,
    /// As `File`, but the file and its folder are removed before the conversations start.
    LostFile,
    /// The defaults; the conversation stops the server.
    Stopped,
}

pub const PASSWORD: &str = "secret";

impl Setting {
    pub const ALL: [Self; 6] = [
        Self::Plain,
        Self::Password,
        Self::Debug,
        Self::File,
        Self::LostFile,
        Self::Stopped,
    ];

    /// Returns the flags that both programs understand.
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Password => &["--requirepass", PASSWORD],
            Self::Debug => &["--enable-debug-command", "yes"],
            Self::Plain | Self::File | Self::LostFile | Self::Stopped => &[],
        }
    }

    fn has_file(self) -> bool {
        matches!(self, Self::File | Self::LostFile)
    }
}

/// Makes an empty file if `setting` wants one, in a folder of its own below `folder`.
fn file(folder: &Scratch, setting: Setting) -> Option<PathBuf> {
    setting
        .has_file()
        .then(|| folder.file_in("configuration/file", ""))
}

/// Removes the file and its folder if `setting` wants that.
fn lose_file(folder: &Scratch, setting: Setting) {
    if setting == Setting::LostFile {
        fs::remove_dir_all(folder.path().join("configuration")).expect("it is ours");
    }
}

/// Starts respool. One runs at a time.
pub fn respool(setting: Setting) -> (Respool, Scratch) {
    let folder = Scratch::folder();
    let mut command = Command::new(program());
    command.args(file(&folder, setting)).args(setting.flags());
    // A conversation has two clients; one more worker is harmless.
    command.args(["--workers", "3"]);
    let server = Respool::run(&mut command, PATIENCE);
    lose_file(&folder, setting);
    (server, folder)
}

/// A redis-server. Killed on drop.
pub struct Redis {
    pub process: Process,
    pub addr: SocketAddr,
    // Dropped last, after the process has ended.
    folder: Scratch,
}

impl Redis {
    /// Starts redis-server. If there is none of the right version, says so and returns `None`.
    pub fn start(setting: Setting) -> Option<Self> {
        let program = installed()?;
        // Another program may take the port in between.
        let mut ports = (0..PORTS_TRIED_MAX).map(|_| free_port());
        let redis = ports.find_map(|port| Self::start_on(program, port, setting));
        Some(redis.expect("one of the free ports is still free"))
    }

    /// Starts `program` on `port`. Returns `None` if it cannot listen there.
    fn start_on(program: &str, port: u16, setting: Setting) -> Option<Self> {
        let folder = Scratch::folder();
        let mut command = redis_server(program);
        command.args(file(&folder, setting));
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.arg("--dir").arg(folder.path());
        command.args(setting.flags());
        let redis = Self {
            process: Process::start(&mut command),
            addr: (Ipv4Addr::LOCALHOST, port).into(),
            folder,
        };
        let deadline = Instant::now() + PATIENCE;
        let is_up = redis
            .process
            .prints("Ready to accept connections", deadline);
        if is_up {
            lose_file(&redis.folder, setting);
        }
        is_up.then_some(redis)
    }
}

/// Returns a command that runs redis-server. If there is none of the right version, says so and
/// returns `None`.
pub fn redis_command() -> Option<Command> {
    installed().map(redis_server)
}

/// Number of ports to try.
const PORTS_TRIED_MAX: usize = 20;

/// Returns the name of the installed server. In Debian, `redis-server` is a link to
/// `redis-check-rdb` of redis-tools, which acts by the name it is called by. This avoids the
/// package redis-server, which starts a service.
fn installed() -> Option<&'static str> {
    let found = ["redis-server", "redis-check-rdb"]
        .into_iter()
        .find_map(|program| {
            let mut command = redis_server(program);
            let output = command.arg("--version").stdin(Stdio::null()).output();
            match output {
                Ok(output) => Some((
                    program,
                    String::from_utf8_lossy(&output.stdout).into_owned(),
                )),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => panic!("cannot run {program}: {error}"),
            }
        });
    let Some((program, version)) = found else {
        say_that_nothing_was_compared("there is no redis-server; install redis or redis-tools");
        return None;
    };
    if !version.contains(" v=7.0.") {
        say_that_nothing_was_compared(&format!("redis-server is not 7.0 but: {}", version.trim()));
        return None;
    }
    Some(program)
}

/// Returns `program` called as `redis-server`.
fn redis_server(program: &str) -> Command {
    let mut command = Command::new(program);
    command.arg0("redis-server");
    command
}

/// Not captured by the test harness.
fn say_that_nothing_was_compared(why: &str) {
    let _ = writeln!(stderr(), "NOT RUN, nothing was compared with Redis: {why}");
}
