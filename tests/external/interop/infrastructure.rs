//! Programs that monitor servers: `HAProxy`'s checks and Redis's sentinel.

use std::collections::HashMap;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use respool_testing::balancer::haproxy_answer;
use respool_testing::case::{Case, NotRun, Outcome};
use respool_testing::process::{Process, Respool};
use respool_testing::setup::{installed, version};
use respool_testing::{PATIENCE, Peer, Scratch, eventually};

pub(crate) fn cases() -> Vec<Case> {
    let haproxy = version("haproxy", "-v");
    let checks = |does, run: fn(&Respool) -> Outcome| Case::new("HAProxy", &haproxy, does, run);
    let sentinel = version("redis-check-rdb", "--version");
    vec![
        checks(
            "`option redis-check` sees it up 40 times beside 10 idle clients",
            redis_check,
        ),
        checks(
            "a tcp-check of PING, info replication and QUIT sees it up 40 times",
            tcp_check,
        ),
        Case::new(
            "redis-sentinel",
            sentinel,
            "sees it up for 6 s over two connections that stay",
            sentinel_sees_it_up,
        ),
    ]
}

/// Each check ends with RST.
fn redis_check(server: &Respool) -> Outcome {
    let mut idle: Vec<Peer> = (0..10).map(|_| server.connect()).collect();
    let haproxy = Haproxy::start("option redis-check", server)?;
    eventually("HAProxy has checked and reset 40 times", || {
        server.log().matches("Connection reset").count() >= 40
    });
    haproxy.has_always_seen_it_up();
    for one in &mut idle {
        one.ping();
    }
    Ok(())
}

fn tcp_check(server: &Respool) -> Outcome {
    let recipe = r"option tcp-check
  tcp-check connect
  tcp-check send PING\r\n
  tcp-check expect string +PONG
  tcp-check send info\ replication\r\n
  tcp-check expect string role:master
  tcp-check send QUIT\r\n
  tcp-check expect string +OK";
    let haproxy = Haproxy::start(recipe, server)?;
    eventually("HAProxy has checked and quit 40 times", || {
        server.log().matches("it asked to be closed").count() >= 40
    });
    haproxy.has_always_seen_it_up();
    Ok(())
}

pub(crate) struct Haproxy {
    process: Process,
    folder: Scratch,
}

impl Haproxy {
    /// Checks the server ten times a second with `check`.
    fn start(check: &str, server: &Respool) -> Result<Self, NotRun> {
        let addr = server.addr;
        Self::run(&format!(
            "backend respool\n  {check}\n  server one {addr} check inter 100ms\n"
        ))
    }

    /// Starts `HAProxy` with these sections of its configuration.
    pub(crate) fn run(sections: &str) -> Result<Self, NotRun> {
        let haproxy = installed("haproxy")?;
        let folder = Scratch::for_sockets();
        let socket = folder.path().join("socket");
        let settings = format!(
            "global
  stats socket unix@{socket}
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  # Otherwise a check may take no longer than the time to the next.
  timeout check 5s
{sections}",
            socket = socket.display(),
        );
        let file = folder.file_in("haproxy.cfg", &settings);
        let mut command = Command::new(haproxy);
        let process = Process::start(command.args(["-db", "-f"]).arg(file));
        Ok(Self { process, folder })
    }

    pub(crate) fn has_always_seen_it_up(self) {
        let state = self.state();
        let state: Vec<&str> = ["status", "check_status", "chkfail", "chkdown"]
            .map(|field| state[field].as_str())
            .into();
        // A check in progress is marked with a star.
        let last = state[1].trim_start_matches("* ");
        assert_eq!(
            [state[0], last, state[2], state[3]],
            ["UP", "L7OK", "0", "0"]
        );
        self.stop();
    }

    /// Expects that it has printed no error.
    pub(crate) fn stop(self) {
        self.process.signal("TERM");
        assert_eq!(self.process.ended(PATIENCE).stderr, "");
    }

    /// Returns `HAProxy`'s row about the server in `show stat`, by column.
    fn state(&self) -> HashMap<String, String> {
        let table = haproxy_answer(&self.folder.path().join("socket"), "show stat");
        let mut rows = table.lines().map(|row| row.split(',').map(str::to_owned));
        let heads = rows.next().expect("a table has a head");
        let row = rows.find(|row| row.clone().nth(1).as_deref() == Some("one"));
        heads.zip(row.expect("it knows the server")).collect()
    }
}

/// A sentinel pings every second. After three seconds without PONG it would print `+sdown`.
fn sentinel_sees_it_up(server: &Respool) -> Outcome {
    let folder = Scratch::for_sockets();
    // A sentinel cannot choose a port itself. This one was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let addr = free.expect("a free port");
    let settings = format!(
        "bind 127.0.0.1
port {port}
dir {folder}
sentinel monitor respool 127.0.0.1 {server} 1
sentinel down-after-milliseconds respool 3000
",
        port = addr.port(),
        folder = folder.path().display(),
        server = server.addr.port(),
    );
    let file = folder.file_in("sentinel.conf", &settings);

    // The program acts as a sentinel if it is called by that name.
    let mut command = Command::new(installed("redis-check-rdb")?);
    let mut sentinel = Process::start_dialogue(command.arg0("redis-sentinel").arg(file));
    sentinel.expect("+monitor master respool");
    // Nothing must happen in this time.
    thread::sleep(WATCH);
    let info = info(server);
    let number = |field: &str| -> u64 { info[field].parse().expect("a number") };
    // One for PING and INFO, one for its subscription, and this one.
    let ever = number("total_connections_received");
    assert_eq!((number("connected_clients"), ever), (3, 3));
    let requests = number("total_commands_processed");
    sentinel.signal("TERM");
    let ended = sentinel.ended(PATIENCE);
    assert_eq!(ended.stderr, "");
    assert!(!ended.stdout.contains("+sdown"), "{}", ended.stdout);
    // It sent a PING each second.
    assert!(requests >= 6, "{requests} requests in {WATCH:?}");
    Ok(())
}

/// Returns the fields of INFO.
fn info(server: &Respool) -> HashMap<String, String> {
    let mut peer = server.connect();
    peer.send("INFO\r\n");
    let length = peer.line().trim_start_matches('$').parse();
    let text = peer.bytes(length.expect("a bulk string"));
    let text = String::from_utf8(text).expect("text");
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields
        .map(|(field, value)| (field.to_owned(), value.to_owned()))
        .collect()
}

/// Twice the time in which a sentinel notices.
const WATCH: Duration = Duration::from_secs(6);
