//! A log that cannot be written blocks nothing: clients are served, signals and SHUTDOWN are
//! handled, and the program ends in order.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use respool_testing::scratch::make_fifo;
use respool_testing::target::program;
use respool_testing::{Peer, Scratch, eventually, free_port, reaper};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// The program, with a log line per connection. Killed on drop.
struct Server {
    child: Child,
    addr: SocketAddr,
}

impl Server {
    /// Starts it with the log at `logfile`, or at a pipe of which only the first line is read.
    /// Returns that pipe.
    fn start(logfile: Option<&Path>, args: &[&str]) -> (Self, Option<BufReader<ChildStdout>>) {
        let mut command = Command::new(program());
        command.args(["--workers", "2", "--bind", "127.0.0.1"]);
        command.args(["--loglevel", "debug"]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.process_group(0);
        if let Some(path) = logfile {
            command.arg("--logfile").arg(path);
        }
        // The port is chosen here because the log may be unreadable.
        let port = free_port();
        command.args(["--port", &port.to_string()]);
        let child = command.spawn().expect("it is built");
        reaper::watch(child.id());
        let mut server = Self {
            child,
            addr: ([127, 0, 0, 1], port).into(),
        };
        eventually("it listens", || {
            let ended = server.child.try_wait().expect("it is our child");
            assert_eq!(ended, None, "it ended at the start");
            std::net::TcpStream::connect(server.addr).is_ok()
        });
        let pipe = server.child.stdout.take().map(|stdout| {
            // Small, so that it fills quickly.
            rustix::pipe::fcntl_setpipe_size(&stdout, 4096).expect("a pipe");
            BufReader::new(stdout)
        });
        (server, pipe)
    }

    fn connect(&self) -> Peer {
        Peer::connect(self.addr)
    }

    /// Serves this many clients one after the other. Each adds two lines to the log.
    #[track_caller]
    fn serves(&self, count: usize) {
        for _ in 0..count {
            self.connect().ping();
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.expect("there is a shell").success(), "{kill}");
    }

    #[track_caller]
    fn ends_in_order(&mut self) {
        let mut status = None;
        eventually("the program ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        assert_eq!(status.and_then(|status| status.code()), Some(0));
    }

    /// Limits the size of the files it writes.
    fn bound_files(&self, bytes: Option<u64>) {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(Some(self.pid()), Resource::Fsize, limit).expect("it is our child");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        reaper::forget(self.child.id());
        let _ = self.child.wait();
    }
}

/// Clients whose lines fill a pipe of 4 KiB many times over.
const MANY: usize = 500;

#[test]
fn unread_standard_output_blocks_nothing() {
    let (mut server, _unread) = Server::start(None, &[]);
    server.serves(MANY);
    server.signal("HUP");
    server.serves(MANY);
    server.signal("TERM");
    server.ends_in_order();
}

#[test]
fn closed_standard_output_blocks_nothing() {
    let (mut server, pipe) = Server::start(None, &[]);
    drop(pipe);
    server.serves(MANY);
    server.signal("TERM");
    server.ends_in_order();
}

#[test]
fn shutdown_ends_a_server_with_a_stalled_log() {
    let (mut server, _unread) = Server::start(None, &[]);
    server.serves(MANY);
    let mut peer = server.connect();
    peer.send("SHUTDOWN\r\n");
    peer.expect_end();
    drop(peer);
    server.ends_in_order();
}

#[test]
fn log_pipe_without_a_reader_blocks_nothing() {
    let fifo = Scratch::fifo();
    let (mut server, _) = Server::start(Some(fifo.path()), &[]);
    server.serves(MANY);
    server.signal("HUP");
    server.serves(MANY);
    server.signal("TERM");
    server.ends_in_order();
}

#[test]
fn late_reader_gets_the_first_lines_of_a_pipe() {
    let fifo = Scratch::fifo();
    let (server, _) = Server::start(Some(fifo.path()), &[]);
    let mut lines = BufReader::new(File::open(fifo.path()).expect("a pipe")).lines();
    let first = lines.next().expect("a line").expect("text");
    assert!(first.contains(" answers on "), "{first}");
    server.serves(1);
    let found = lines.any(|line| {
        line.expect("text")
            .contains("the peer closed the connection")
    });
    assert!(found);
}

#[test]
fn full_disk_blocks_nothing() {
    let (mut server, _) = Server::start(Some(Path::new("/dev/full")), &[]);
    server.serves(MANY);
    server.signal("HUP");
    server.serves(1);
    server.signal("TERM");
    server.ends_in_order();
}

#[test]
fn lines_beyond_the_file_size_limit_are_counted() {
    let file = Scratch::unused();
    let (mut server, _) = Server::start(Some(file.path()), &[]);
    let log = || file.read();
    server.serves(1);
    eventually("the lines of a client", || {
        log().contains("the peer closed the connection")
    });
    let limit = log().len() as u64 + 100;
    server.bound_files(Some(limit));
    server.serves(50);
    eventually("the file is full", || log().len() as u64 == limit);
    server.serves(50);
    assert_eq!(log().len() as u64, limit);

    server.bound_files(None);
    eventually("the count is logged", || {
        server.serves(1);
        let log = log();
        let line = log.lines().find(|line| line.contains("were dropped: "));
        line.is_some_and(|line| line.contains("[warning]") && line.contains("File too large"))
    });
    // The incomplete line is terminated.
    assert!(
        log()
            .lines()
            .all(|line| line.matches('[').count() == 1 || line.len() < 100)
    );
    server.signal("TERM");
    server.ends_in_order();
    assert!(log().ends_with("stopped: every reply was sent\n"));
}

/// The thread `log` must not block in a write: it would never see the new file.
#[test]
fn reload_replaces_unread_standard_output() {
    let file = Scratch::file("");
    let log = Scratch::unused();
    let path = file.arg();
    let (mut server, _unread) = Server::start(None, &[path]);
    server.serves(MANY);
    file.write(&format!("logfile = {:?}\n", log.path()));
    server.signal("HUP");
    eventually("the new file has lines", || {
        server.serves(1);
        fs::read_to_string(log.path())
            .is_ok_and(|log| log.contains("the peer closed the connection"))
    });
    server.signal("TERM");
    server.ends_in_order();
    let log = log.read();
    assert!(
        log.contains("[warning] lines of the log were dropped: "),
        "{log}"
    );
    assert!(log.ends_with("stopped: every reply was sent\n"), "{log}");
}

/// The thread that handles signals read the file itself.
#[test]
fn signals_are_handled_while_a_reload_waits_for_its_file() {
    let file = Scratch::file("");
    let path = file.arg();
    let (mut server, _unread) = Server::start(None, &[path]);
    fs::remove_file(file.path()).expect("it is there");
    make_fifo(file.path());
    server.signal("HUP");
    server.serves(1);
    server.signal("TERM");
    server.ends_in_order();
}
