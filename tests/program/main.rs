//! What an operator sees of the program: its texts, its exit codes, its files, and what signals do.

mod arguments;
mod log;
mod processes;
mod reload;
mod rewrite;
mod secrets;
mod signals;
mod stalled_log;

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, process};

use respool_testing::{Peer, eventually, reaper};

/// A run of the program that came to its end by itself.
struct Finished {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Finished {
    /// Runs the program with `args`; one that goes on serving is killed at the deadline and fails.
    fn of(args: &[&str]) -> Self {
        let stderr = Scratch::file("");
        let errors = File::create(stderr.path()).unwrap();
        let mut run = Server::spawn_command(respool(args).stderr(errors));
        Self {
            code: run.exit().code(),
            stdout: run.log(),
            stderr: stderr.read(),
        }
    }

    fn assert_success(&self) {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
    }

    /// The exit code is 1, standard output is empty, and standard error has all of `parts`.
    fn assert_mistake(&self, parts: &[&str]) {
        assert_eq!(
            (self.code, self.stdout.as_str()),
            (Some(1), ""),
            "{}",
            self.stderr
        );
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} in {:?}", self.stderr);
        }
    }
}

/// A running program, whose standard output goes to a scratch file; killed when dropped.
struct Server {
    child: Child,
    stdout: Scratch,
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1 and waits for its first line.
    fn start(args: &[&str]) -> Self {
        let server = Self::spawn(args);
        server.wait_for("answers on 127.0.0.1:");
        server
    }

    fn spawn(args: &[&str]) -> Self {
        Self::spawn_command(respool(args).args(["--bind", "127.0.0.1", "--port", "0"]))
    }

    fn spawn_command(command: &mut Command) -> Self {
        let stdout = Scratch::file("");
        let child = command
            .stdout(File::create(stdout.path()).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        reaper::watch(child.id());
        Self { child, stdout }
    }

    /// Everything that it wrote to standard output, which is the log unless `--logfile` is given.
    fn log(&self) -> String {
        self.stdout.read()
    }

    fn wait_for(&self, part: &str) {
        eventually(part, || self.log().contains(part));
    }

    fn port(&self) -> u16 {
        let log = self.log();
        let (_, rest) = log
            .split_once("answers on 127.0.0.1:")
            .expect("the first line");
        rest.split_once(' ').unwrap().0.parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the end of the program", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        reaper::forget(self.child.id());
        let _ = self.child.wait();
    }
}

/// A file that is removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn file(text: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: only the numbers must differ.
        let name = format!(
            "{}-{}",
            process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let scratch = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        scratch.write(text);
        scratch
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    fn read(&self) -> String {
        fs::read_to_string(&self.0).unwrap()
    }

    fn remove(&self) {
        fs::remove_file(&self.0).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What the server says to CONFIG with this behind it: one line.
#[track_caller]
fn config(server: &Server, words: &str) -> String {
    let mut peer = Peer::connect((Ipv4Addr::LOCALHOST, server.port()).into());
    // An error where no password is wanted, and that is fine.
    peer.send(format!("AUTH {PASSWORD}\r\nCONFIG {words}\r\n"));
    peer.line();
    peer.line()
}

/// As an inline request writes it.
const PASSWORD: &str = r#""a \"b\"""#;

/// The value of a directive.
#[track_caller]
fn value(server: &Server, directive: &str) -> String {
    let mut peer = Peer::connect((Ipv4Addr::LOCALHOST, server.port()).into());
    peer.send(format!("AUTH {PASSWORD}\r\nCONFIG GET {directive}\r\n"));
    peer.line();
    let mut lines = std::iter::repeat_with(|| peer.line());
    // The header, the name's length, the name, the value's length.
    lines.nth(4).expect("lines do not end")
}

fn respool(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_respool"));
    command.args(args).stdin(Stdio::null());
    command
}
