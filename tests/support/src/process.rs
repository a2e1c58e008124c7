//! The program and other programs as processes. A process is killed on drop, or when its test is
//! killed, with all that it has started. Every wait has a deadline.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::target::program;
use crate::{PATIENCE, Peer, free_port, reaper};

/// A running process. Its outputs are read as they arrive, so it never blocks on them.
pub struct Process {
    child: Child,
    // `None` after the end of the input.
    stdin: Option<ChildStdin>,
    stdout: Output,
    stderr: Output,
    // Bytes of standard output that `expect` has passed.
    passed: usize,
    has_ended: bool,
}

/// The status and output of a process that has ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// Starts `command` with an empty standard input.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with_input(command, "")
    }

    /// Starts `command` with this input, which must fit into a pipe.
    pub fn start_with_input(command: &mut Command, input: &str) -> Self {
        let mut process = Self::start_dialogue(command);
        process.say(input);
        process.stdin = None;
        process
    }

    /// Starts `command`, whose input is written by [`Self::say`].
    pub fn start_dialogue(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// Starts `command`, whose standard input and error are set.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let spawned = command.stdout(Stdio::piped()).process_group(0).spawn();
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => panic!("{}", missing(&name)),
            Err(error) => panic!("cannot run {name}: {error}"),
        };
        reaper::watch(child.id());
        let stdin = child.stdin.take();
        let stdout = Output::of(child.stdout.take().expect("it is piped"));
        let stderr = child.stderr.take().map_or_else(Output::none, Output::of);
        Self {
            child,
            stdin,
            stdout,
            stderr,
            passed: 0,
            has_ended: false,
        }
    }

    /// Writes `text` to standard input.
    pub fn say(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("its input is still open");
        // If the process ended without reading its input, its status shows it.
        let _ = stdin.write_all(text.as_bytes());
    }

    /// Waits until the process prints `text`, after everything that earlier calls have waited for.
    /// Returns the text between.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let find = |bytes: &[u8]| {
            let rest = &bytes[self.passed..];
            rest.windows(text.len())
                .position(|part| part == text.as_bytes())
        };
        self.stdout
            .wait(Instant::now() + PATIENCE, |bytes| find(bytes).is_some());
        let bytes = self.stdout.bytes();
        let Some(before) = find(&bytes) else {
            let rest = String::from_utf8_lossy(&bytes[self.passed..]);
            let stderr = self.stderr.text();
            panic!("it does not print {text:?} but {rest:?}, and {stderr:?} as an error");
        };
        let start = self.passed;
        self.passed += before + text.len();
        String::from_utf8_lossy(&bytes[start..start + before]).into_owned()
    }

    /// Waits until it has printed `text`. Returns false if it ends, or `deadline` passes, first.
    pub fn prints(&self, text: &str, deadline: Instant) -> bool {
        self.stdout.wait(deadline, |bytes| has(bytes, text));
        has(&self.stdout.0.0.lock().bytes, text)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends the signal `name`, such as `TERM`.
    pub fn signal(&self, name: &str) {
        // The shell's own `kill`: not every machine has the program.
        let kill = format!("kill -s {name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.expect("there is a shell").success(), "{kill}");
    }

    /// Waits until the process ends by itself.
    #[track_caller]
    pub fn ended(self, within: Duration) -> Ended {
        match self.ended_or_stuck(within) {
            Ok(ended) => ended,
            Err(stuck) => panic!("{stuck}"),
        }
    }

    /// As [`Self::ended`], for processes that may hang through no fault of the program.
    pub fn ended_or_stuck(mut self, within: Duration) -> Result<Ended, String> {
        let deadline = Instant::now() + within;
        // The outputs end with the process.
        let ended = self.stdout.ends_by(deadline) && self.stderr.ends_by(deadline);
        let (stdout, stderr) = (self.stdout.text(), self.stderr.text());
        if !ended {
            return Err(format!(
                "it has not ended within {within:?}; it printed {stdout:?} and {stderr:?}"
            ));
        }
        // Not reaped yet, so the id is not reused.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.group()), options).expect("it is our child");
        Ok(Ended {
            status: self.end(),
            stdout,
            stderr,
        })
    }
}

impl Process {
    /// The id of the process group is that of the process.
    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Kills the rest of the group and reaps the process.
    fn end(&mut self) -> ExitStatus {
        let _ = kill_process_group(self.group(), Signal::KILL);
        reaper::forget(self.child.id());
        self.has_ended = true;
        self.child.wait().expect("it is our child")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end();
        }
    }
}

/// Returns a command that runs `program` with default actions for all signals. A shell starts
/// background jobs with SIGINT ignored, and `nohup` with SIGHUP ignored, and their children inherit
/// it: ^C or the end of the terminal would not end them.
///
/// If `env` is older than coreutils 8.31, the command is `program` alone.
pub fn with_default_signals(program: &Path) -> Command {
    static IS_POSSIBLE: OnceLock<bool> = OnceLock::new();
    let is_possible = || {
        let mut env = Command::new("env");
        let output = env.args([DEFAULT_SIGNALS, "true"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !IS_POSSIBLE.get_or_init(is_possible) {
        return Command::new(program);
    }
    let mut command = Command::new("env");
    command.arg(DEFAULT_SIGNALS).arg(program);
    command
}

const DEFAULT_SIGNALS: &str = "--default-signal";

impl Ended {
    /// Expects success and an empty standard error. Returns standard output.
    #[track_caller]
    pub fn without_complaint(self) -> String {
        assert_eq!((self.status.code(), self.stderr.as_str()), (Some(0), ""));
        self.stdout
    }

    #[track_caller]
    pub fn assert_prints(&self, text: &str) {
        assert!(self.stdout.contains(text), "{text:?} in {:?}", self.stdout);
    }

    /// Expects exit code 1, an empty standard output, and all of `parts` in standard error.
    #[track_caller]
    pub fn assert_mistake(&self, parts: &[&str]) {
        let (code, stdout) = (self.status.code(), self.stdout.as_str());
        assert_eq!((code, stdout), (Some(1), ""), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} in {:?}", self.stderr);
        }
    }
}

/// The program as a process, on a free port of the loopback. One runs at a time unless it is
/// started beside others: most tests have limits of time for a server that has the machine to
/// itself.
pub struct Respool {
    process: Process,
    pub addr: SocketAddr,
    // Dropped last, after the process has ended.
    _alone: Option<MutexGuard<'static, ()>>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Respool {
    /// Starts the program with a log line per connection.
    pub fn start(workers: usize) -> Self {
        Self::run(&mut respool(workers), PATIENCE)
    }

    /// As [`Self::start`], but others may run at the same time.
    pub fn start_beside_others(workers: usize) -> Self {
        Self::listen(&mut respool(workers), PATIENCE, None)
    }

    /// Runs `command`, whose address is a free port of 127.0.0.1 if it says nothing else. Returns
    /// when the program listens.
    pub fn run(command: &mut Command, patience: Duration) -> Self {
        Self::listen(command, patience, Some(ALONE.lock()))
    }

    /// As [`Self::run`], but others may run at the same time.
    pub fn run_beside_others(command: &mut Command) -> Self {
        Self::listen(command, PATIENCE, None)
    }

    /// As [`Self::run_beside_others`], and on a second port with TLS, which it returns. `command`
    /// makes the command; it is made again if another program takes one of the ports meanwhile.
    pub fn run_with_tls(command: impl Fn() -> Command) -> (Self, SocketAddr) {
        loop {
            let [port, tls_port] = [free_port(), free_port()];
            let mut command = command();
            command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
            command.args(["--tls-port", &tls_port.to_string()]);
            let process = Process::start(&mut command);
            let deadline = Instant::now() + PATIENCE;
            if let Some(addr) = process.stdout.address_by(deadline) {
                let server = Self {
                    process,
                    addr,
                    _alone: None,
                };
                return (server, SocketAddr::new(addr.ip(), tls_port));
            }
            let error = process.stderr.text();
            assert!(error.contains("cannot listen on"), "{error}");
        }
    }

    fn listen(
        command: &mut Command,
        patience: Duration,
        alone: Option<MutexGuard<'static, ()>>,
    ) -> Self {
        for (flag, value) in [("--bind", "127.0.0.1"), ("--port", "0")] {
            if command.get_args().all(|arg| arg != flag) {
                command.args([flag, value]);
            }
        }
        Self::of(Process::start(command), patience, alone)
    }

    /// Waits for the line of the log with the address.
    pub(crate) fn of(
        process: Process,
        patience: Duration,
        alone: Option<MutexGuard<'static, ()>>,
    ) -> Self {
        let Some(addr) = process.stdout.address_by(Instant::now() + patience) else {
            let (stdout, stderr) = (process.stdout.text(), process.stderr.text());
            panic!("it does not say where it answers: {stdout:?} and {stderr:?}");
        };
        Self {
            process,
            addr,
            _alone: alone,
        }
    }

    pub fn connect(&self) -> Peer {
        Peer::connect(self.addr)
    }

    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        self.process.stdout.text()
    }

    /// Waits until the log has `text`.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        let has_it = self.process.prints(text, Instant::now() + PATIENCE);
        assert!(has_it, "timed out waiting for {text:?} in {}", self.log());
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the process ends.
    #[track_caller]
    pub fn ended(self, within: Duration) -> Ended {
        self.process.ended(within)
    }

    /// Expects that the server is as it was before the test: it answers, has printed no error, and
    /// stops in order. Returns its log.
    #[track_caller]
    pub fn stop(self) -> String {
        self.connect().ping();
        self.signal("TERM");
        self.ended(PATIENCE).without_complaint()
    }
}

fn respool(workers: usize) -> Command {
    let mut command = Command::new(program());
    command.args(["--loglevel", "verbose", "--workers", &workers.to_string()]);
    command
}

/// Returns the address in the line of the log that has it.
fn answers_on(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(" answers on ")?;
    rest.split_whitespace().next()?.parse().ok()
}

fn has(bytes: &[u8], text: &str) -> bool {
    let mut places = bytes.windows(text.len());
    places.any(|place| place == text.as_bytes())
}

fn missing(program: &str) -> String {
    format!(
        "{program} is missing. redis-cli and redis-benchmark are in the package redis-tools of Debian and \
         Ubuntu (`apt-get install redis-tools`), and in redis of Fedora and Homebrew; tests/run.sh \
         installs them where it can"
    )
}

/// One output of a process, as far as it was read.
#[derive(Clone, Default)]
struct Output(Arc<(Mutex<Written>, Condvar)>);

#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    /// An output that is not read.
    fn none() -> Self {
        let output = Self::default();
        output.0.0.lock().ended = true;
        output
    }

    /// Reads `pipe` to its end on a thread of its own.
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let output = Self::default();
        let reader = output.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !reader.0.0.lock().ended {
                // After an error there is nothing more to read.
                let count = pipe.read(&mut buffer).unwrap_or(0);
                let mut written = reader.0.0.lock();
                written.bytes.extend_from_slice(&buffer[..count]);
                written.ended = count == 0;
                reader.0.1.notify_all();
            }
        });
        output
    }

    /// Waits for the end. Returns false if `deadline` passes first.
    fn ends_by(&self, deadline: Instant) -> bool {
        self.wait(deadline, |_| false);
        self.0.0.lock().ended
    }

    /// Waits for the line with the address. Returns `None` if it does not come before the end or
    /// `deadline`.
    fn address_by(&self, deadline: Instant) -> Option<SocketAddr> {
        let address = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let (whole_lines, _) = text.rsplit_once('\n')?;
            whole_lines.lines().find_map(answers_on)
        };
        self.wait(deadline, |bytes| address(bytes).is_some());
        address(&self.bytes())
    }

    /// Waits until `enough` returns true, the end, or `deadline`.
    fn wait(&self, deadline: Instant, enough: impl Fn(&[u8]) -> bool) {
        let (written, changed) = &*self.0;
        let waiting = |written: &mut Written| !written.ended && !enough(&written.bytes);
        changed.wait_while_until(&mut written.lock(), waiting, deadline);
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().bytes.clone()
    }
}
